//! A home folder with a project in it, in which the binary runs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
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

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file with the folders above it.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("below the home")).expect("writable");
        fs::write(path, bytes).expect("writable");
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("the file is there")
    }

    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).expect("text")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).current_dir(self.path("project")).stdin(Stdio::null());
        command.env_clear().env("HOME", self.0.path()).env("XDG_CONFIG_HOME", self.path(".config"));
        command.env("TOOLGATE_STATE_DIR", self.path("state"));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        Answer::of(&self.command(arguments).output().expect("the binary is there"))
    }

    /// Runs a command that must succeed.
    #[track_caller]
    pub(crate) fn done(&self, arguments: &[&str]) -> Answer {
        let answer = self.run(arguments);
        assert_eq!(answer.code, Some(0), "{arguments:?}: {}{}", answer.output, answer.errors);
        answer
    }

    /// The names of the files in the folder of records.
    pub(crate) fn records(&self) -> Vec<String> {
        let files = fs::read_dir(self.path("state/installs")).into_iter().flatten();
        files.map(|file| file.expect("readable").file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Answer {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), output: text(&output.stdout), errors: text(&output.stderr) }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.output)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.output, self.errors))
    }

    #[track_caller]
    pub(crate) fn outcome(&self) -> String {
        self.json()["outcome"].as_str().expect("an outcome").to_owned()
    }
}

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_toolgate"))
}
