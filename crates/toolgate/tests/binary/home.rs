//! A home folder with a project in it, in which the binary runs. Each test binary has a `home.rs` of its own that adds
//! what it alone needs, [`Home::command`] with its variables among it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

#[path = "answer.rs"]
mod answer;
#[path = "json.rs"]
mod json;

pub(crate) use answer::Answer;

/// A home folder made for one case.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self(tempfile::tempdir().expect("a temporary folder"));
        fs::create_dir(home.path("project")).expect("writable");
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file with the folders above it.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("below the home")).expect("writable");
        fs::write(path, bytes).expect("writable");
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("the file is there")
    }

    /// The binary in the project, with no variables but those that say where home and state are.
    pub(crate) fn bare_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).current_dir(self.path("project")).stdin(Stdio::null());
        command.env_clear().env("HOME", self.0.path()).env("TOOLGATE_STATE_DIR", self.path("state"));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        Answer::of(&self.command(arguments).output().expect("the binary is there"))
    }

    /// Runs a command that must end with this code.
    #[track_caller]
    pub(crate) fn ends(&self, code: i32, arguments: &[&str]) -> Answer {
        let answer = self.run(arguments);
        assert_eq!(answer.code, Some(code), "{arguments:?}: {}{}", answer.output, answer.errors);
        answer
    }
}

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_toolgate"))
}
