//! Runs a program to its end within a time limit, its output in a log file. A program that takes longer is ended.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How often the end of the program is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Succeeded,
    Failed,
    /// It took too long.
    Stopped,
}

/// Runs the program with its output in the log file, which is made anew.
pub(crate) fn run(command: &mut Command, log: &Path, limit: Duration) -> Result<End> {
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let errors = file.try_clone().context("cannot share the log file")?;
    command.stdin(Stdio::null()).stdout(file).stderr(errors);
    let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let Some(status) = wait(&mut child, limit)? else {
        child.kill().context("cannot end a program that took too long")?;
        child.wait().context("cannot wait for a program")?;
        return Ok(End::Stopped);
    };
    Ok(if status.success() { End::Succeeded } else { End::Failed })
}

/// Waits for the end of a program; returns nothing when it has not ended in time.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        let status = child.try_wait().context("cannot wait for a program")?;
        if status.is_some() || Instant::now() > deadline {
            return Ok(status);
        }
        thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_sleep(seconds: &str, limit: Duration) -> End {
        let log = std::env::temp_dir().join(format!("xtask-limited-{}-{seconds}", std::process::id()));
        let end = run(Command::new("sleep").arg(seconds), &log, limit).unwrap();
        std::fs::remove_file(log).unwrap();
        end
    }

    #[test]
    fn a_program_that_takes_too_long_is_stopped() {
        assert_eq!(run_sleep("600", Duration::ZERO), End::Stopped);
    }

    #[test]
    fn the_programs_own_verdict_is_told() {
        assert_eq!(run_sleep("0", Duration::from_secs(60)), End::Succeeded);
        assert_eq!(run_sleep("no-number", Duration::from_secs(60)), End::Failed);
    }
}
