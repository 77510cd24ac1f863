//! A fake server that is a child process: one message a line, both eras, faults on request. Blocking, one thread for
//! each call that waits. What it is told at its start stands in [`Options`], the rest in the arguments of calls.

mod faults;
mod options;
mod surroundings;

use std::fs::OpenOptions;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use protocol::Era;
use serde_json::{Value, json};

pub use self::options::Options;
use crate::asked::Asked;
use crate::said::{self, IdPlace, Said, TOOLS};

/// The tools that only this kind of server has.
const OWN_TOOLS: &[&str] = &["exit", "environ", "stderr", "fork"];

/// The server.
struct Child {
    options: Options,
    tools: Vec<&'static str>,
    seen: Mutex<Account>,
    lists: AtomicU64,
    /// The resources that are subscribed to, by the request that did it; legacy ones by none.
    subscribed: Mutex<Vec<(Value, String)>>,
}

/// What the `seen` tool tells.
#[derive(Default)]
struct Account {
    calls: u64,
    hanging: u64,
    cancelled: Vec<Value>,
}

/// Serves until standard input is closed; returns how the process is to end.
///
/// # Panics
/// When the options are wrong.
pub fn serve(arguments: impl Iterator<Item = String>) -> ExitCode {
    let options = Options::read(arguments);
    if let Some(code) = options.exit_at_start {
        eprintln!("fake: exit {code} at start");
        return code.into();
    }
    options.leave_pid();
    let tools = TOOLS.iter().chain(OWN_TOOLS).copied().collect();
    let child = Arc::new(Child {
        options,
        tools,
        seen: Mutex::default(),
        lists: AtomicU64::new(0),
        subscribed: Mutex::default(),
    });
    if !child.options.prelude.is_empty() {
        write(&faults::garbage(&child.options.prelude, ""));
    }
    for line in io::stdin().lock().split(b'\n').map_while(Result::ok) {
        if let Some(asked) = Asked::read(&line)
            && !child.options.is_mute
        {
            child.take(asked);
        }
    }
    if child.options.outlives_stdin {
        loop {
            thread::park();
        }
    }
    ExitCode::SUCCESS
}

impl Child {
    fn take(self: &Arc<Self>, asked: Asked) {
        let Some(id) = asked.id.clone() else {
            if asked.method == "notifications/cancelled" {
                let cancelled = asked.params["requestId"].clone();
                self.subscriptions().retain(|(listening, _)| *listening != cancelled);
                self.account().cancelled.push(cancelled);
            }
            return;
        };
        if asked.method != "tools/call" {
            thread::sleep(self.options.greeting_delay);
        }
        let script = self.script_now();
        if let Some(message) = self.subscribe(&script, &asked, &id) {
            return write_message(message);
        }
        if let Some(said) = said::greeting(&script, &self.tools, &asked) {
            return write_message(said.message(&id, IdPlace::First));
        }
        self.account().calls += 1;
        if asked.tool() == "write" {
            self.options.record(asked.text("mark"));
        }
        let waits = asked.number("delay_ms") > 0
            || matches!(asked.tool(), "progress" | "stderr" | "bytes" | "update");
        if waits {
            let child = Arc::clone(self);
            thread::spawn(move || child.call(&asked, &id));
        } else {
            self.call(&asked, &id);
        }
    }

    fn call(&self, asked: &Asked, id: &Value) {
        thread::sleep(Duration::from_millis(asked.number("delay_ms")));
        let said = match asked.tool() {
            "hang" => return self.account().hanging += 1,
            "exit" => faults::exit(asked),
            "seen" => self.tell(asked),
            "environ" => said::data(asked.era, &surroundings::tell()),
            "fork" => said::data(asked.era, &json!({"pid": faults::fork()})),
            "relist" => self.relist(asked),
            "update" => self.update(asked),
            "progress" => report(asked),
            "stderr" => {
                faults::flood_stderr(asked);
                said::text(asked.era, "flooded")
            }
            "garbage" => {
                write(&faults::garbage(asked.text("kind"), &id.to_string()));
                said::text(asked.era, asked.text("text"))
            }
            _ => {
                let unknown = || Said::Error { code: -32602, message: "unknown tool".to_owned() };
                said::plain_tool(&self.script_now(), asked).unwrap_or_else(unknown)
            }
        };
        let message = said.message(id, IdPlace::of(asked));
        if asked.tool() == "twice" {
            write_message(message.clone());
        }
        write_message(message);
    }

    fn script_now(&self) -> crate::Script {
        let version = self.lists.load(Ordering::Relaxed);
        let version = (version > 0).then(|| format!("version_{version}"));
        self.options.script(version)
    }

    fn tell(&self, asked: &Asked) -> Said {
        let account = self.account();
        let told =
            json!({"calls": account.calls, "hanging": account.hanging, "cancelled": account.cancelled});
        said::data(asked.era, &told)
    }

    /// `relist`: another listing, `count` times, told each time.
    fn relist(&self, asked: &Asked) -> Said {
        for _ in 0..asked.number("count").max(1) {
            self.lists.fetch_add(1, Ordering::Relaxed);
            write_message(said::notification("notifications/tools/list_changed", &json!({})));
            thread::sleep(Duration::from_millis(asked.number("pause_ms")));
        }
        said::text(asked.era, "listed")
    }

    /// Answers what begins and ends subscriptions, in either era; `None` for everything else.
    fn subscribe(&self, script: &crate::Script, asked: &Asked, id: &Value) -> Option<Vec<u8>> {
        if script.resources.is_empty() || !script.speaks.includes(asked.era) {
            return None;
        }
        let uri = asked.params["uri"].as_str().unwrap_or_default().to_owned();
        let said = match (asked.method.as_str(), asked.era) {
            ("subscriptions/listen", Era::Modern) => {
                let granted = said::granted(script, asked);
                let params = said::acknowledgement(id, &granted);
                self.subscriptions().extend(granted.into_iter().map(|uri| (id.clone(), uri)));
                return Some(said::notification("notifications/subscriptions/acknowledged", &params));
            }
            ("resources/subscribe", Era::Legacy) if script.resources.contains(&uri) => {
                self.subscriptions().push((Value::Null, uri));
                Said::result(&json!({}))
            }
            ("resources/subscribe", Era::Legacy) => {
                Said::Error { code: -32002, message: "no such resource".to_owned() }
            }
            ("resources/unsubscribe", Era::Legacy) => {
                self.subscriptions().retain(|(_, subscribed)| *subscribed != uri);
                Said::result(&json!({}))
            }
            _ => return None,
        };
        Some(said.message(id, IdPlace::First))
    }

    /// `update`: says `count` times that a resource has changed, to those who subscribed to it, with a pause after each.
    fn update(&self, asked: &Asked) -> Said {
        let subscribed = self.subscriptions().clone();
        for _ in 0..asked.number("count").max(1) {
            for (listening, uri) in subscribed.iter().filter(|(_, uri)| uri == asked.text("uri")) {
                let mut params = json!({"uri": uri});
                if !listening.is_null() {
                    params["_meta"] = json!({protocol::meta::SUBSCRIPTION_ID: listening});
                }
                write_message(said::notification("notifications/resources/updated", &params));
            }
            thread::sleep(Duration::from_millis(asked.number("pause_ms")));
        }
        said::text(asked.era, "updated")
    }

    fn subscriptions(&self) -> std::sync::MutexGuard<'_, Vec<(Value, String)>> {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn account(&self) -> std::sync::MutexGuard<'_, Account> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `progress`: `count` notifications, then the answer.
fn report(asked: &Asked) -> Said {
    for count in 1..=asked.number("count") {
        said::progress(asked, count).into_iter().for_each(write_message);
        thread::sleep(Duration::from_millis(asked.number("pause_ms")));
    }
    said::text(asked.era, "done")
}

fn write_message(mut message: Vec<u8>) {
    message.push(b'\n');
    write(&message);
}

/// A closed pipe ends the reader as well.
fn write(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// Appends a line to a file in one write, so that it is there even if the process is killed right after.
fn append(file: &std::path::Path, line: &str) {
    let file = OpenOptions::new().append(true).create(true).open(file);
    file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
        .expect("the record can be written");
}
