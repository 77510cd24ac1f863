//! The faults of a fake child: how it ends, what it writes that is no message.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use crate::asked::Asked;
use crate::said::Said;

/// More than a line may have by default.
const LONG_LINE_BYTES: usize = 150_000_000;
/// A line of the flood.
const STDERR_LINE_BYTES: usize = 200;

/// Ends the process as the call says: `code`, or `signal` (`SEGV`, `ABRT`, `KILL`).
pub(super) fn exit(asked: &Asked) -> Said {
    let signal = asked.text("signal");
    if signal.is_empty() {
        std::process::exit(i32::try_from(asked.number("code")).unwrap_or(1));
    }
    let process = std::process::id().to_string();
    loop {
        // The runtime takes the first SEGV for a stack overflow and only resets the handler.
        let _ = Command::new("kill").args(["-s", signal, &process]).stdin(Stdio::null()).status();
    }
}

/// Returns bytes that are no message; `id` is the JSON text of the call's id.
pub(super) fn garbage(kind: &str, id: &str) -> Vec<u8> {
    let message = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[]}}}}"#);
    match kind {
        "partial" => format!("{}\n", &message[..message.len() / 2]).into(),
        "utf8" => b"{\"jsonrpc\":\"2.0\",\"method\":\"x\xff\xfe\"}\n".to_vec(),
        "nul" => b"\0\0\0\n".to_vec(),
        "bom" => "\u{feff}\n".into(),
        "crlf" => b"\r\n\r\n".to_vec(),
        "long" => {
            let mut line = vec![b'x'; LONG_LINE_BYTES];
            line.push(b'\n');
            line
        }
        "deep" => format!("{}\n", "[".repeat(100_000)).into(),
        "doubled" => format!(r#"{{"jsonrpc":"2.0","id":{id},"id":{id},"result":{{}}}}{}"#, "\n").into(),
        "stray" => b"{\"jsonrpc\":\"2.0\",\"id\":999999999,\"result\":{}}\n".to_vec(),
        "request" => {
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"sampling/createMessage\",\"params\":{}}\n".to_vec()
        }
        // Two messages on one line: a notification, and the call's own answer will follow on the next.
        "two" => {
            let notification = r#"{"jsonrpc":"2.0","method":"notifications/nothing"}"#;
            format!("{notification}{notification}\n").into()
        }
        _ => b"Listening on stdio... \x1b[32mready\x1b[0m\n".to_vec(),
    }
}

/// Writes `bytes` bytes of lines with `text` to standard error.
pub(super) fn flood_stderr(asked: &Asked) {
    let mut line = format!("{} ", asked.text("text")).into_bytes();
    line.resize(STDERR_LINE_BYTES.max(line.len()), b'.');
    line.push(b'\n');
    let lines = usize::try_from(asked.number("bytes")).unwrap_or(usize::MAX) / line.len() + 1;
    let mut out = io::BufWriter::with_capacity(64 * 1024, io::stderr().lock());
    for _ in 0..lines {
        if out.write_all(&line).is_err() {
            return;
        }
    }
}

/// Starts a process that would live for long, in the same group, and returns its id.
pub(super) fn fork() -> u32 {
    let sleeper = Command::new("sleep").arg("3600").stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    sleeper.expect("`sleep` can be started").id()
}
