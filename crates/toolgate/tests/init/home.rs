//! A home folder with a project in it, in which the binary runs.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

/// A home folder made for one case.
pub(crate) struct Home(tempfile::TempDir);

/// What the binary answered.
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) errors: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self(tempfile::tempdir().expect("a temporary folder"));
        fs::create_dir(home.path("project")).expect("writable");
        home
    }

    /// Writes a file with the folders above it.
    pub(crate) fn with(self, name: &str, text: &str) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("below the home")).expect("writable");
        fs::write(path, text).expect("writable");
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("the file is there")
    }

    pub(crate) fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).expect("the file is there").permissions().mode() & 0o777
    }

    /// The names in the project, sorted.
    pub(crate) fn project(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("project")).expect("a folder");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toolgate"));
        command.args(arguments).current_dir(self.path("project")).stdin(Stdio::null());
        command.env_clear().env("HOME", self.0.path()).env("TOOLGATE_STATE_DIR", self.path("state"));
        command.env("PATH", "/usr/bin:/bin");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        let output = self.command(arguments).output().expect("the binary is there");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Answer { code: output.status.code(), output: text(&output.stdout), errors: text(&output.stderr) }
    }

    /// Runs a command that must end with this code.
    #[track_caller]
    pub(crate) fn ends(&self, code: i32, arguments: &[&str]) -> Answer {
        let answer = self.run(arguments);
        assert_eq!(answer.code, Some(code), "{arguments:?}: {}{}", answer.output, answer.errors);
        answer
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.output)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.output, self.errors))
    }
}
