//! How children end, and that everybody who waits hears it.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use upstream::child::{Exit, Grace};

use crate::stage::{self, Test, in_process_table, script, short_grace, spawn};

pub(crate) const TESTS: &[Test] = &[
    ("r12_ends_are_told_apart", ends_are_told_apart),
    ("bytes_pass_through_unchanged", bytes_pass_through_unchanged),
    ("every_waiter_hears_of_the_end", every_waiter_hears_of_the_end),
    ("stop_goes_step_by_step", stop_goes_step_by_step),
    ("signals_are_at_their_defaults_in_the_child", signals_are_at_their_defaults_in_the_child),
];

fn ends_are_told_apart() {
    let cases = [
        ("exit 0", Exit::Code(0), "exited with code 0"),
        ("exit 1", Exit::Code(1), "exited with code 1"),
        ("kill -SEGV $$", Exit::Signal(Signal::SEGV.as_raw()), "was ended by SIGSEGV (bad memory access)"),
        ("kill -KILL $$", Exit::Signal(9), "was ended by SIGKILL (killed, perhaps for lack of memory)"),
    ];
    stage::with_launcher(async |launcher| {
        for (text, expected, words) in cases {
            let child = spawn(&launcher, &script(text, &[])).await;
            let exit = child.process.wait().await;
            assert_eq!((exit, exit.to_string().as_str()), (expected, words));
            assert_eq!(child.process.exit(), Some(expected));
            assert!(!in_process_table(child.process.pid()), "{text}: not reaped");
        }
    });
}

fn bytes_pass_through_unchanged() {
    let sent: Vec<u8> = (0..=255).cycle().take(3 << 20).collect();
    stage::with_launcher(async |launcher| {
        let mut child = spawn(&launcher, &script("exec cat", &[])).await;
        let mut stdin = child.stdin;
        let copy = sent.clone();
        tokio::spawn(async move { stdin.write_all(&copy).await.unwrap() });
        let mut received = Vec::new();
        child.stdout.read_to_end(&mut received).await.unwrap();
        assert!(received == sent);
        assert_eq!(child.process.wait().await, Exit::Code(0));
    });
}

fn every_waiter_hears_of_the_end() {
    stage::with_launcher(async |launcher| {
        let child = spawn(&launcher, &script("read line; exit 3", &[])).await;
        let mut waiting = [child.process.wait(), child.process.wait(), child.process.wait()].map(Box::pin);
        // A waiter that gives up takes nothing from the others.
        assert!(tokio::time::timeout(Duration::ZERO, &mut waiting[0]).await.is_err());
        drop(child.stdin);
        let [_, second, third] = waiting;
        assert_eq!(
            (second.await, third.await, child.process.wait().await),
            (Exit::Code(3), Exit::Code(3), Exit::Code(3))
        );
    });
}

fn stop_goes_step_by_step() {
    let ready = "echo ready;";
    let wait_for_signal = "while :; do read x || sleep 1 & wait $!; done";
    stage::with_launcher(async |launcher| {
        let start = async |text: String| {
            let child = spawn(&launcher, &script(&text, &[])).await;
            let mut stdout = BufReader::new(child.stdout);
            stdout.read_line(&mut String::new()).await.unwrap();
            drop(child.stdin);
            (child.process, stdout)
        };
        let (obliging, _out) = start(format!("{ready} cat >/dev/null; exit 4")).await;
        assert_eq!(obliging.stop(Grace::default()).await, Exit::Code(4));

        let (busy, _out) = start(format!("trap 'exit 5' TERM; {ready} {wait_for_signal}")).await;
        let patient = Grace { closed: Duration::from_millis(20), terminated: Duration::from_secs(30) };
        assert_eq!(busy.stop(patient).await, Exit::Code(5));

        let (deaf, _out) = start(format!("trap '' TERM; {ready} {wait_for_signal}")).await;
        let begun = Instant::now();
        assert_eq!(deaf.stop(short_grace()).await, Exit::Signal(9));
        assert!(begun.elapsed() >= short_grace().closed + short_grace().terminated);
        assert_eq!(deaf.stop(Grace::default()).await, Exit::Signal(9), "a second stop finds it ended");
    });
}

/// Our own process ignores SIGPIPE, as every Rust program does; a child that did so would not end with its reader.
fn signals_are_at_their_defaults_in_the_child() {
    stage::with_launcher(async |launcher| {
        let mut child = spawn(&launcher, &script("grep -E '^Sig(Ign|Blk)' /proc/self/status", &[])).await;
        let mut shown = String::new();
        child.stdout.read_to_string(&mut shown).await.unwrap();
        for line in shown.lines() {
            let mask = u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap();
            assert_eq!(mask & (1 << (Signal::PIPE.as_raw() - 1)), 0, "{line}");
            assert_eq!(mask & (1 << (Signal::TERM.as_raw() - 1)), 0, "{line}");
        }
        assert_eq!(shown.lines().count(), 2);
    });
}
