//! Nothing outlives its group's leader, its owner, or the gateway.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child as StdChild, Command as StdCommand, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use upstream::child::{Child, Exit, Grace, Launcher};

use crate::{
    lifeline::{HOLD, Lifeline},
    parts,
    stage::{self, PATIENCE, Test, in_process_table, script, short_grace, spawn},
};

pub(crate) const TESTS: &[Test] = &[
    ("grandchildren_die_when_the_child_is_stopped", grandchildren_die_when_the_child_is_stopped),
    ("grandchildren_die_when_the_process_is_dropped", grandchildren_die_when_the_process_is_dropped),
    ("grandchildren_die_when_the_child_ends_by_itself", grandchildren_die_when_the_child_ends_by_itself),
    ("children_die_with_the_runtime", children_die_with_the_runtime),
    ("a_spawn_that_is_given_up_leaves_nothing", a_spawn_that_is_given_up_leaves_nothing),
    ("two_hundred_children_leave_nothing", two_hundred_children_leave_nothing),
    ("fifty_children_die_with_a_killed_gateway", fifty_children_die_with_a_killed_gateway),
    ("a_dead_watchdog_is_replaced", a_dead_watchdog_is_replaced),
];

/// Holds the lifeline together with two more processes, none of which cares for SIGTERM.
fn family() -> String {
    format!("trap '' TERM; {HOLD} (echo held >&3; sleep 1000) & sh -c 'echo held >&3; sleep 1000; :' & wait")
}
const FAMILY_MEMBERS: usize = 3;

async fn start_family(launcher: &Launcher, lifeline: &mut Lifeline) -> Child {
    let child = spawn(launcher, &script(&family(), &[("LIFELINE", &lifeline.text())])).await;
    tokio::task::block_in_place(|| lifeline.wait_held(FAMILY_MEMBERS));
    child
}

fn grandchildren_die_when_the_child_is_stopped() {
    let mut lifeline = Lifeline::new();
    stage::runtime().block_on(async {
        let launcher = stage::launcher_here();
        let family = tokio::spawn(async move {
            let child = start_family(&launcher, &mut lifeline).await;
            drop(child.stdin);
            assert_eq!(child.process.stop(short_grace()).await, Exit::Signal(9));
            assert!(!in_process_table(child.process.pid()));
            lifeline
        });
        family.await.unwrap().assert_cut();
    });
}

fn grandchildren_die_when_the_process_is_dropped() {
    let mut lifeline = Lifeline::new();
    stage::runtime().block_on(async {
        let launcher = stage::launcher_here();
        let family = tokio::spawn(async move {
            drop(start_family(&launcher, &mut lifeline).await);
            lifeline
        });
        family.await.unwrap().assert_cut();
    });
}

/// As `npx` may: the process we know ends, the server that it started would stay.
fn grandchildren_die_when_the_child_ends_by_itself() {
    let mut lifeline = Lifeline::new();
    let text = format!("{HOLD} (trap '' TERM HUP; echo held >&3; sleep 1000) & read line; exit 6");
    stage::runtime().block_on(async {
        let launcher = stage::launcher_here();
        let child = spawn(&launcher, &script(&text, &[("LIFELINE", &lifeline.text())])).await;
        lifeline.wait_held(2);
        drop(child.stdin);
        assert_eq!(child.process.wait().await, Exit::Code(6));
        lifeline.assert_cut();
    });
}

fn children_die_with_the_runtime() {
    let mut lifeline = Lifeline::new();
    let runtime = stage::runtime();
    let launcher = Launcher::start(runtime.handle().clone()).unwrap();
    let command = script(&family(), &[("LIFELINE", &lifeline.text())]);
    let child = runtime.block_on(spawn(&launcher, &command));
    lifeline.wait_held(FAMILY_MEMBERS);
    runtime.shutdown_timeout(Duration::from_secs(5));
    lifeline.assert_cut();
    drop(child);
}

fn a_spawn_that_is_given_up_leaves_nothing() {
    let mut lifeline = Lifeline::new();
    stage::runtime().block_on(async {
        let launcher = stage::launcher_here();
        let command = script(&family(), &[("LIFELINE", &lifeline.text())]);
        for wait_ms in 0..10 {
            let limit = Duration::from_millis(wait_ms);
            drop(tokio::time::timeout(limit, launcher.spawn(&stage::server(), &command)).await);
        }
        // Requests are served in order: once this one runs, the others were started, and nobody wanted them.
        let last = spawn(&launcher, &command).await;
        lifeline.wait_held(1);
        drop(last);
        lifeline.assert_cut();
    });
}

fn two_hundred_children_leave_nothing() {
    let mut lifeline = Lifeline::new();
    let path = lifeline.text();
    let text = format!("{HOLD} sleep 1000 & cat >/dev/null");
    let runtime = stage::runtime();
    let launcher = Launcher::start(runtime.handle().clone()).unwrap();
    let pids = runtime.block_on(async {
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..200 {
            let (launcher, command) = (launcher.clone(), script(&text, &[("LIFELINE", &path)]));
            running.spawn(async move { spawn(&launcher, &command).await });
        }
        let children = tokio::time::timeout(PATIENCE, running.join_all()).await.unwrap();
        lifeline.wait_held(200);
        let mut stopping = tokio::task::JoinSet::new();
        for child in children {
            drop(child.stdin);
            stopping.spawn(async move {
                let grace = Grace { closed: PATIENCE, ..Grace::default() };
                assert_eq!(child.process.stop(grace).await, Exit::Code(0));
                child.process.pid()
            });
        }
        tokio::time::timeout(PATIENCE, stopping.join_all()).await.unwrap()
    });
    lifeline.assert_cut();
    let left: Vec<u32> = pids.into_iter().filter(|pid| in_process_table(*pid)).collect();
    assert!(left.is_empty(), "processes or zombies: {left:?}");
}

/// Starts this binary as a gateway with `count` families and returns when all are there.
fn gateway(count: usize, lifeline: &mut Lifeline) -> StdChild {
    let mut gateway = StdCommand::new(std::env::current_exe().unwrap())
        .args([parts::GATEWAY, &count.to_string(), &family(), &lifeline.text()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(gateway.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
    lifeline.wait_held(count * FAMILY_MEMBERS);
    gateway
}

fn fifty_children_die_with_a_killed_gateway() {
    let mut lifeline = Lifeline::new();
    let mut gateway = gateway(50, &mut lifeline);
    let watchdog = watchdog_of(gateway.id()).expect("a watchdog runs");
    gateway.kill().unwrap(); // this is SIGKILL
    gateway.wait().unwrap();
    lifeline.assert_cut();
    await_change(|| (!lives(watchdog)).then_some(()));
}

fn a_dead_watchdog_is_replaced() {
    let mut lifeline = Lifeline::new();
    let mut gateway = gateway(2, &mut lifeline);
    let first = watchdog_of(gateway.id()).expect("a watchdog runs");
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        kill_process(pid(first), signal).unwrap();
    }
    kill_process(pid(first), Signal::KILL).unwrap();
    let second = await_change(|| watchdog_of(gateway.id()).filter(|other| *other != first));
    // Its descendants' groups were told to the second one, or this would not end.
    gateway.kill().unwrap();
    gateway.wait().unwrap();
    lifeline.assert_cut();
    await_change(|| (!lives(second)).then_some(()));
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap()).unwrap()
}

/// Waits for a change in the process table, which tells nobody of its changes.
fn await_change<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(std::time::Instant::now() < until, "the process table did not change");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Tells whether a process runs; a zombie that somebody else should reap does not.
fn lives(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != "Z")
}

fn watchdog_of(gateway: u32) -> Option<u32> {
    let entries = fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let mut of_gateway =
        pids.filter(|pid| stat(*pid).is_some_and(|(_, parent)| parent == gateway.to_string()));
    of_gateway.find(|pid| {
        let command_line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command_line.contains("__watchdog")
    })
}

/// Returns state and parent of a process.
fn stat(pid: u32) -> Option<(String, String)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
}
