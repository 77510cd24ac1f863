//! What the small server does when a tool of it is called: the name says which bad habit it shows.

use std::{env, process, thread};

use serde_json::{Value, json};

use super::{Stub, raw, result, say};

/// How often a change is told, where anybody listens: more than anybody acts on.
const TOLD: usize = 100;

impl Stub {
    pub(super) fn call(&mut self, id: &Value, params: &Value) {
        let (arguments, token) = (&params["arguments"], &params["_meta"]["progressToken"]);
        match params["name"].as_str().unwrap_or_default() {
            "echo" => result(id, arguments),
            "seen" => result(id, &json!({"seen": self.seen})),
            "depth" => result(id, &json!({"depth": env::var("TOOLGATE_DEPTH").unwrap_or_default()})),
            "subscribed" => {
                let uris: Vec<&String> = self.subscribed.iter().map(|(_, uri)| uri).collect();
                result(id, &json!({"uris": uris}));
            }
            "hang" => self.hanging.push(id.clone()),
            "die" => process::exit(arguments["code"].as_i64().unwrap_or(1) as i32),
            "abort" => process::abort(),
            "deaf" => loop {
                thread::park();
            },
            "twice" => (1..=2).for_each(|n| result(id, &json!({"n": n}))),
            "count" => count(id, token),
            "log" => log(id),
            "ask" => ask(id),
            "change" => self.change(id),
            "update" => update(id, arguments),
            "end-listening" => self.end_listening(id),
            "say" => {
                raw(&bytes_of(&arguments["raw"]));
                result(id, &json!({"said": true}));
            }
            "verbatim" => verbatim(id, arguments),
            "chatter" => chatter(id, arguments, token),
            "join" => self.join(id),
            "flood" => flood(id, arguments),
            other => say(&json!({"jsonrpc": "2.0", "id": id,
                "error": {"code": -32602, "message": format!("unknown tool {other}")}})),
        }
    }

    fn change(&mut self, id: &Value) {
        self.extra_tool = true;
        let is_heard = self.listening || !self.is("modern");
        for _ in 0..if is_heard { TOLD } else { 0 } {
            say(&json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
        }
        result(id, &json!({}));
    }

    fn end_listening(&mut self, id: &Value) {
        for (listening, _) in self.subscribed.drain(..) {
            result(&listening, &json!({"resultType": "complete"}));
        }
        result(id, &json!({}));
    }

    /// Answers this call and one that hangs on one line.
    fn join(&mut self, id: &Value) {
        let hanging = self.hanging.pop().expect("a call hangs");
        let answer = |id: &Value| json!({"jsonrpc": "2.0", "id": id, "result": {"joined": id}}).to_string();
        raw(format!("{}{}\n", answer(&hanging), answer(id)).as_bytes());
    }
}

fn count(id: &Value, token: &Value) {
    for step in 1..=3 {
        say(&json!({"jsonrpc": "2.0", "method": "notifications/progress",
            "params": {"vendor": 1.50, "progressToken": token, "progress": step}}));
    }
    result(id, &json!({"done": true}));
}

fn log(id: &Value) {
    say(&json!({"jsonrpc": "2.0", "method": "notifications/message",
        "params": {"level": "info", "data": "working"}}));
    result(id, &json!({}));
}

fn ask(id: &Value) {
    say(&json!({"jsonrpc": "2.0", "id": "p", "method": "ping"}));
    say(&json!({"jsonrpc": "2.0", "id": "s", "method": "sampling/createMessage", "params": {}}));
    result(id, &json!({}));
}

fn update(id: &Value, arguments: &Value) {
    let uri = arguments["uri"].as_str().unwrap_or("note://a");
    for _ in 0..arguments["count"].as_u64().unwrap_or(1) {
        say(&json!({"jsonrpc": "2.0", "method": "notifications/resources/updated",
            "params": {"uri": uri}}));
    }
    result(id, &json!({}));
}

fn verbatim(id: &Value, arguments: &Value) {
    let json = arguments["json"].as_str().expect("JSON text");
    raw(format!("{{\"result\":{json},\"id\":{id},\"jsonrpc\":\"2.0\"}}\n").as_bytes());
}

fn chatter(id: &Value, arguments: &Value, token: &Value) {
    for step in 1..=arguments["steps"].as_u64().unwrap_or(0) {
        progress(token, step);
    }
    result(id, &json!({}));
    // Too late, and for nobody.
    for token in [token, &json!("other"), &json!(1_000_000)] {
        progress(token, 1);
    }
}

fn progress(token: &Value, step: u64) {
    say(&json!({"jsonrpc": "2.0", "method": "notifications/progress",
        "params": {"progressToken": token, "progress": step}}));
}

fn flood(id: &Value, arguments: &Value) {
    let blocks = arguments["mib"].as_u64().unwrap_or(0);
    (0..blocks).for_each(|_| raw(&vec![b'x'; 1 << 20]));
    result(id, &json!({}));
}

fn bytes_of(numbers: &Value) -> Vec<u8> {
    let numbers = numbers.as_array().expect("bytes as numbers");
    numbers.iter().map(|number| u8::try_from(number.as_u64().unwrap_or(0)).unwrap_or(0)).collect()
}
