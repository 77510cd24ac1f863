//! The parts this binary plays besides the test runner.

use std::{
    ffi::OsString,
    io::{BufRead as _, Write as _},
    process::ExitCode,
};

use tokio::io::AsyncReadExt as _;
use upstream::child::Launcher;

use crate::{stage, stderr};

/// Shows the surroundings it finds itself in, a line each.
pub(crate) const SHOW: &str = "__show";
/// A gateway: waits for a line, starts as many scripts as it is told, and then waits to be killed.
pub(crate) const GATEWAY: &str = "__gateway";
/// A gateway that starts [`SHOW`] as its child and passes on what that says.
pub(crate) const GATEWAY_OF_SHOW: &str = "__gateway_of_show";
/// A gateway one of whose children floods stderr.
pub(crate) const FLOODED: &str = "__flooded";

pub(crate) fn play(args: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let args: Vec<String> = args.skip(1).map(|arg| arg.into_string().unwrap()).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        [SHOW] => show(),
        [GATEWAY, count, script, lifeline] => gateway(count.parse().unwrap(), script, lifeline),
        [GATEWAY_OF_SHOW, cwd] => gateway_of_show(cwd),
        [FLOODED] => stderr::be_flooded(),
        _ => return None,
    }
    Some(ExitCode::SUCCESS)
}

fn show() {
    // The listing itself takes one descriptor, which is gone when the names are read.
    let listed: Vec<_> = std::fs::read_dir("/proc/self/fd").unwrap().map(|e| e.unwrap().path()).collect();
    let open: Vec<_> = listed.iter().filter(|path| path.exists() || path.read_link().is_ok()).collect();
    for path in open {
        println!("fd {}", path.file_name().unwrap().display());
    }
    for (name, value) in std::env::vars() {
        println!("env {name}={value}");
    }
    println!("cwd {}", std::env::current_dir().unwrap().display());
    let own = rustix::process::getpid();
    println!("leads session {}", rustix::process::getsid(None).unwrap() == own);
    println!("leads group {}", rustix::process::getpgrp() == own);
    println!("terminal {}", std::fs::File::open("/dev/tty").is_ok());
    let killed =
        rustix::process::parent_process_death_signal().unwrap() == Some(rustix::process::Signal::KILL);
    println!("killed with us {killed}");
}

fn gateway(count: usize, script: &str, lifeline: &str) {
    let runtime = stage::runtime();
    let launcher = Launcher::start(runtime.handle().clone()).unwrap();
    let mut children = Vec::new();
    for _ in 0..count {
        children.push(
            runtime.block_on(stage::spawn(&launcher, &stage::script(script, &[("LIFELINE", lifeline)]))),
        );
    }
    println!("started");
    std::io::stdout().flush().unwrap();
    std::io::stdin().lock().lines().for_each(drop);
    drop(children);
}

fn gateway_of_show(cwd: &str) {
    println!("ready");
    let mut go = String::new();
    std::io::stdin().read_line(&mut go).unwrap();
    let mut command = stage::part(&[SHOW]);
    command.program = std::env::var("SHOW_PROGRAM").unwrap();
    command.cwd = Some(cwd.into());
    command.env = stage::script("", &[("DECLARED", "yes"), ("LANG", "C.UTF-8")]).env;
    let runtime = stage::runtime();
    let launcher = Launcher::start(runtime.handle().clone()).unwrap();
    let shown = runtime.block_on(async {
        let mut child = stage::spawn(&launcher, &command).await;
        let mut shown = String::new();
        child.stdout.read_to_string(&mut shown).await.unwrap();
        shown
    });
    print!("{shown}");
}
