//! Prints what a call costs in audit, for each mode and for one and four threads. It measures; it asserts nothing.
//!
//!     cargo run --release -p audit --example throughput [FOLDER]
//!
//! The files go to FOLDER (default: a temporary one) and are removed.

use std::{path::Path, thread, time::Instant};

use audit::{ArgumentsKept, Begin, End, Era, Mode, Outcome, Settings, Trail, Transport};
use domain::{AgentId, AgentSource, Principal, ServerScope};
use serde_json::value::RawValue;

/// Calls per thread; `durable` makes fewer, because each waits for the disk.
const CALLS: u32 = 200_000;
const DURABLE_CALLS: u32 = 300;

fn main() {
    let temporary = tempfile::tempdir().expect("a temporary folder can be made");
    let folder = std::env::args_os().nth(1);
    let folder = folder.as_deref().map_or(temporary.path(), Path::new);
    println!(
        "{:<12} {:<9} {:>7} {:>12} {:>12} {:>12} {:>8}",
        "mode", "arguments", "threads", "ns/call", "cpu ns/call", "bytes/call", "syncs"
    );
    for (mode, arguments) in [
        (Mode::Written, ArgumentsKept::Hash),
        (Mode::Written, ArgumentsKept::Redacted),
        (Mode::Written, ArgumentsKept::Full),
        (Mode::BestEffort, ArgumentsKept::Hash),
        (Mode::Durable, ArgumentsKept::Hash),
    ] {
        for threads in [1, 4] {
            measure(&folder.join("throughput.jsonl"), mode, arguments, threads);
        }
    }
}

fn measure(file: &Path, mode: Mode, arguments: ArgumentsKept, threads: u32) {
    let trail =
        Trail::open(&Settings::at(file).with_mode(mode).with_arguments(arguments)).expect("the trail opens");
    let calls = if mode == Mode::Durable { DURABLE_CALLS } else { CALLS };
    let (started, cpu_before) = (Instant::now(), cpu_ms());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| run(&trail, calls));
        }
    });
    let (took, cpu) = (started.elapsed(), cpu_ms() - cpu_before);
    let all = u64::from(threads) * u64::from(calls);
    trail.flush().expect("the disk takes the lines");
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    println!(
        "{:<12} {:<9} {:>7} {:>12} {:>12} {:>12} {:>8}",
        format!("{mode:?}"),
        format!("{arguments:?}"),
        threads,
        took.as_nanos() / u128::from(all),
        cpu * 1_000_000 / all,
        read(&trail.counters().bytes) / all,
        read(&trail.counters().syncs),
    );
    drop(trail);
    std::fs::remove_file(file).expect("the file is ours");
}

fn run(trail: &Trail, calls: u32) {
    let principal = Principal {
        agent: AgentId::new("research-agent").expect("a sound name"),
        agent_source: AgentSource::Launch,
        user: None,
        roles: Vec::new(),
        token: None,
        servers: ServerScope::All,
    };
    let arguments =
        r#"{"path": "notes/today.md", "text": "a line of text that a tool takes", "overwrite": true}"#;
    let arguments = RawValue::from_string(arguments.to_owned()).expect("sound JSON");
    let begin = Begin {
        principal: &principal,
        method: "tools/call",
        operation: None,
        server: Some("notes"),
        target: Some("write_note"),
        transport: Transport::Http,
        era: Era::Modern,
        session: None,
        revision: "1",
        guardrails: "none",
        arguments: Some(&arguments),
    };
    let end = End { result_bytes: Some(1234), ..End::of(Outcome::Ok) };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    runtime.block_on(async {
        for _ in 0..calls {
            trail.begin(begin).await.expect("the line is taken").finish(end);
        }
    });
}

/// Returns the processor time of this process so far, background threads included, in milliseconds.
fn cpu_ms() -> u64 {
    /// What the kernel counts in, on every common platform.
    const MS_PER_TICK: u64 = 10;
    let stat = std::fs::read_to_string("/proc/self/stat").expect("the kernel tells");
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let times = behind_name.split_whitespace().skip(11).take(2);
    times.map(|ticks| ticks.parse::<u64>().unwrap_or(0) * MS_PER_TICK).sum()
}
