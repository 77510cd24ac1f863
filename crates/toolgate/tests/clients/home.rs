//! The home folder (`binary/home.rs`) as `install` and `uninstall` need it.

use std::{fs, process::Command};

#[path = "../binary/home.rs"]
mod shared;

pub(crate) use shared::{Answer, Home, program};

impl Home {
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("the file is there")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare_command(arguments);
        command.env("XDG_CONFIG_HOME", self.path(".config"));
        command
    }

    /// Runs a command that must succeed.
    #[track_caller]
    pub(crate) fn done(&self, arguments: &[&str]) -> Answer {
        self.ends(0, arguments)
    }

    /// The names of the files in the folder of records.
    pub(crate) fn records(&self) -> Vec<String> {
        let files = fs::read_dir(self.path("state/installs")).into_iter().flatten();
        files.map(|file| file.expect("readable").file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn outcome(&self) -> String {
        self.json()["outcome"].as_str().expect("an outcome").to_owned()
    }
}
