//! A child that talks too much, in colours, and of secrets (S64).

use std::{
    fs,
    io::Write,
    process::Command,
    sync::{Arc, Mutex},
};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tracing_subscriber::fmt::MakeWriter;
use upstream::child::Exit;

use crate::{
    parts,
    stage::{self, Test, script, spawn},
};

pub(crate) const TESTS: &[Test] = &[
    ("s64_secrets_and_escapes_do_not_reach_log_or_status", secrets_and_escapes_do_not_reach_log_or_status),
    ("s64_a_flood_of_a_gigabyte_harms_nobody", a_flood_of_a_gigabyte_harms_nobody),
    ("many_lines_are_counted_and_the_last_ones_kept", many_lines_are_counted_and_the_last_ones_kept),
    ("last_words_are_read_before_the_end_is_told", last_words_are_read_before_the_end_is_told),
];

/// Takes what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Runs `test` with a log of its own, on one thread, because that is where the log is set.
fn with_log(test: impl AsyncFnOnce(upstream::child::Launcher)) -> String {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let launcher = upstream::child::Launcher::start(runtime.handle().clone()).unwrap();
        runtime.block_on(async { tokio::time::timeout(stage::PATIENCE, test(launcher)).await }).unwrap();
    });
    String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
}

fn secrets_and_escapes_do_not_reach_log_or_status() {
    let text = r#"printf 'token=%s \033[31mred\033[0m\007\r\nsecond \377 %s\nhalf a line with %s' "$TOKEN" "$TOKEN" "$TOKEN" >&2"#;
    let log = with_log(async |launcher| {
        let child = spawn(&launcher, &script(text, &[("TOKEN", "ghp_0123456789abcdef")])).await;
        assert_eq!(child.process.wait().await, Exit::Code(0));
        let expected = [
            r"token=[secret] \u{1b}[31mred\u{1b}[0m\u{7}",
            r"second \xff [secret]",
            "half a line with [secret]",
        ];
        assert_eq!(child.process.recent_stderr(), expected);
        assert_eq!(child.process.printable(b"\x1bghp_0123456789abcdef"), r"\u{1b}[secret]");
        assert!(!format!("{child:?}").contains("ghp_"));
    });
    assert_eq!(log.matches("upstream=stage").count(), 3, "{log}");
    assert!(!log.contains("ghp_") && !log.contains(['\u{1b}', '\u{7}']), "{log}");
}

/// Kibibytes of memory this process holds.
fn resident_kib() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// In a process of its own, so that what it measures is not another test's memory.
fn a_flood_of_a_gigabyte_harms_nobody() {
    let status = Command::new(std::env::current_exe().unwrap()).arg(parts::FLOODED).status().unwrap();
    assert!(status.success());
}

/// What [`parts::FLOODED`] does.
pub(crate) fn be_flooded() {
    let flood = "yes 'the secret is hunter2hunter2, and so on' | head -c 1073741840 >&2; head -c 67108864 /dev/zero >&2";
    let log = with_log(async |launcher| {
        let mut quiet = spawn(&launcher, &script("exec cat", &[])).await;
        let mut echoes = BufReader::new(&mut quiet.stdout).lines();
        // What the first lines bring in is not what is measured.
        let first = spawn(&launcher, &script("echo first >&2", &[])).await;
        first.process.wait().await;
        quiet.stdin.write_all(b"ping\n").await.unwrap();
        assert_eq!(echoes.next_line().await.unwrap().as_deref(), Some("ping"));
        let before = resident_kib();
        let loud = spawn(&launcher, &script(flood, &[("SECRET", "hunter2hunter2")])).await;
        let mut answered = 0;
        while loud.process.exit().is_none() {
            quiet.stdin.write_all(b"ping\n").await.unwrap();
            let echo = tokio::time::timeout(stage::PATIENCE, echoes.next_line()).await;
            assert_eq!(echo.unwrap().unwrap().as_deref(), Some("ping"));
            answered += 1;
        }
        assert_eq!(loud.process.exit(), Some(Exit::Code(0)));
        let grown = resident_kib().saturating_sub(before);
        assert!(grown < 12 << 10, "{grown} KiB more");
        assert!(answered > 100, "only {answered} echoes beside the flood");
        assert!(loud.process.suppressed_stderr_lines() > 20_000_000);
    });
    assert!(log.len() < 1 << 20 && !log.contains("hunter2"), "{} bytes", log.len());
    assert!(log.contains("lines of stderr suppressed"), "{log}");
}

fn many_lines_are_counted_and_the_last_ones_kept() {
    // In one write, so that all of them belong to one window of time.
    let text = "seq -f 'line %g' 0 299 >&2; exit 1";
    let log = with_log(async |launcher| {
        let child = spawn(&launcher, &script(text, &[])).await;
        child.process.wait().await;
        let recent = child.process.recent_stderr();
        assert_eq!(recent.len(), 40);
        assert_eq!(recent.last().map(String::as_str), Some("line 299"));
        let logged = 300 - child.process.suppressed_stderr_lines();
        assert!((100..200).contains(&logged), "{logged}");
    });
    assert!(log.contains("line 0") && log.contains("lines of stderr suppressed"), "{log}");
}

fn last_words_are_read_before_the_end_is_told() {
    stage::with_launcher(async |launcher| {
        for round in 0..20 {
            let text = format!("echo last words {round} >&2; exit 1");
            let child = spawn(&launcher, &script(&text, &[])).await;
            child.process.wait().await;
            assert_eq!(child.process.recent_stderr(), [format!("last words {round}")]);
        }
    });
}
