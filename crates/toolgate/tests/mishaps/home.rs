//! The home folder (`binary/home.rs`), with nothing in the environment but what a case sets.

use std::process::Command;

#[path = "../binary/home.rs"]
mod shared;

pub(crate) use shared::{Answer, Home};

impl Home {
    pub(crate) fn with(self, name: &str, text: &str) -> Self {
        self.write(name, text);
        self
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.bare_command(arguments)
    }

    /// Runs a command with variables in its environment.
    pub(crate) fn run_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Answer {
        let mut command = self.command(arguments);
        Answer::of(&command.envs(variables.iter().copied()).output().expect("the binary is there"))
    }
}
