//! What every test here needs: a launcher on a runtime of its own, and commands.

use std::{collections::BTreeMap, future::Future, path::PathBuf, time::Duration};

use domain::{Secret, ServerId};
use tokio::runtime::{Builder, Handle, Runtime};
use upstream::child::{Child, Command, Grace, Launcher};

/// A name and what it checks.
pub(crate) type Test = (&'static str, fn());

/// Longer than any test takes on a loaded machine; a test that reaches it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `test` with a launcher.
pub(crate) fn with_launcher<F: Future<Output = ()>>(test: impl FnOnce(Launcher) -> F) {
    let runtime = runtime();
    let launcher = Launcher::start(runtime.handle().clone()).unwrap();
    runtime
        .block_on(async { tokio::time::timeout(PATIENCE, test(launcher)).await })
        .expect("test took too long");
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

pub(crate) fn server() -> ServerId {
    ServerId::new("stage").unwrap()
}

pub(crate) fn command(program: impl Into<PathBuf>, args: &[&str]) -> Command {
    Command {
        program: program.into().into_os_string().into_string().unwrap(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        cwd: None,
        env: BTreeMap::new(),
    }
}

/// A shell script as a child; `$LIFELINE` and others come from `env`.
pub(crate) fn script(text: &str, env: &[(&str, &str)]) -> Command {
    let env =
        env.iter().map(|(name, value)| ((*name).to_owned(), Secret::new((*value).to_owned()))).collect();
    Command { env, ..command("sh", &["-c", text]) }
}

/// This binary in one of its parts.
pub(crate) fn part(args: &[&str]) -> Command {
    command(std::env::current_exe().unwrap(), args)
}

pub(crate) async fn spawn(launcher: &Launcher, command: &Command) -> Child {
    launcher.spawn(&server(), command).await.unwrap()
}

/// A launcher that lives on somebody else's runtime.
pub(crate) fn launcher_here() -> Launcher {
    Launcher::start(Handle::current()).unwrap()
}

/// Steps short enough for tests of children that do not go willingly.
pub(crate) fn short_grace() -> Grace {
    Grace { closed: Duration::from_millis(20), terminated: Duration::from_millis(50) }
}

/// Tells whether there is an entry, dead or alive, in the process table.
pub(crate) fn in_process_table(pid: u32) -> bool {
    PathBuf::from(format!("/proc/{pid}")).exists()
}
