//! The home folder (`binary/home.rs`) as the commands need it that write and explain configurations.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

#[path = "../binary/home.rs"]
mod shared;

pub(crate) use shared::Home;

impl Home {
    /// Writes a file with the folders above it.
    pub(crate) fn with(self, name: &str, text: &str) -> Self {
        self.write(name, text);
        self
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
        let mut command = self.bare_command(arguments);
        command.env("PATH", "/usr/bin:/bin");
        command
    }
}
