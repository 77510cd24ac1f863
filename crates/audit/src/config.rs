//! The audit part of `toolgate.yaml`, as written and as checked. Opens no file: see [`crate::Trail::open`].

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Name of the trail inside the state directory when the configuration names no file.
pub const DEFAULT_FILE: &str = "audit.jsonl";

/// `audit:` in `toolgate.yaml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The file the trail is written to, for example `/var/log/toolgate/audit.jsonl`. A relative path starts at the
    /// folder of `toolgate.yaml`, `~/` at the home directory. Default: `audit.jsonl` in the state directory.
    /// Since 0.1.
    pub file: Option<PathBuf>,
    /// How sure a line is before its call is sent. Default: `written`. Since 0.1.
    pub mode: Mode,
    /// What is kept of a call's arguments. Default: `hash`. Since 0.1.
    pub arguments: ArgumentsKept,
}

/// How sure the begin line of a call is before the call is sent to its server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// On the disk (`fdatasync`). Survives a power cut. A full disk refuses calls.
    Durable,
    /// With the kernel, and on the disk within 50 ms. Survives the death of the gateway, not a power cut.
    /// A full disk refuses calls.
    #[default]
    Written,
    /// In a bounded queue. Never refuses a call; lines that find the queue full are dropped and counted.
    BestEffort,
}

/// What is kept of a call's arguments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArgumentsKept {
    /// The SHA-256 of their bytes: proves what was sent to whoever has the arguments, shows nothing.
    #[default]
    Hash,
    /// The arguments, with values under keys that look secret masked and long text cut.
    Redacted,
    /// The arguments, up to 64 KiB. They may hold secrets.
    Full,
}

/// Folders that a path in the configuration may start from.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// Where the gateway keeps its state; the default file lies there.
    pub state_dir: &'a Path,
    /// The folder of `toolgate.yaml`; relative paths start there.
    pub config_dir: &'a Path,
    /// The home directory, if there is one; `~/` starts there.
    pub home: Option<&'a Path>,
}

/// The checked form of [`Config`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    file: PathBuf,
    mode: Mode,
    arguments: ArgumentsKept,
}

/// A value in `audit:` that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFault {
    /// `audit.file` names no file.
    #[error("`file` must name a file, for example `/var/log/toolgate/audit.jsonl`")]
    NoFileName,
    /// `audit.file` starts with `~/` and there is no home directory.
    #[error("`file` starts with `~/`, but there is no home directory; write the whole path")]
    NoHome,
}

impl ConfigFault {
    /// Returns the key inside `audit:` that the fault is about.
    pub const fn key(&self) -> &'static str {
        match self {
            Self::NoFileName | Self::NoHome => "file",
        }
    }
}

// === impl Config ===

impl Config {
    /// Checks the configuration and settles the path of the file.
    ///
    /// # Errors
    /// Every fault found, never an empty list.
    pub fn build(&self, places: Places<'_>) -> Result<Settings, Vec<ConfigFault>> {
        let file = match &self.file {
            None => places.state_dir.join(DEFAULT_FILE),
            Some(file) => resolve(file, places).map_err(|fault| vec![fault])?,
        };
        Ok(Settings { file, mode: self.mode, arguments: self.arguments })
    }
}

// === impl Settings ===

impl Settings {
    /// Builds the default settings (`written`, arguments as a hash) for the trail at `file`.
    pub fn at(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), mode: Mode::default(), arguments: ArgumentsKept::default() }
    }

    /// Returns the settings with another mode.
    #[must_use]
    pub fn with_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// Returns the settings with another way to keep arguments.
    #[must_use]
    pub fn with_arguments(self, arguments: ArgumentsKept) -> Self {
        Self { arguments, ..self }
    }

    /// Returns the path of the trail, before anybody looked whether another gateway holds it.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Returns how sure a begin line is before its call goes on.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns what is kept of arguments.
    pub const fn arguments(&self) -> ArgumentsKept {
        self.arguments
    }
}

fn resolve(file: &Path, places: Places<'_>) -> Result<PathBuf, ConfigFault> {
    let ends_in_name = file.file_name().is_some() && !file.as_os_str().as_encoded_bytes().ends_with(b"/");
    if !ends_in_name {
        return Err(ConfigFault::NoFileName);
    }
    match file.strip_prefix("~") {
        Ok(below_home) => Ok(places.home.ok_or(ConfigFault::NoHome)?.join(below_home)),
        Err(_) => Ok(places.config_dir.join(file)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(yaml_like: &str) -> Result<PathBuf, Vec<ConfigFault>> {
        let config: Config = serde_json::from_str(yaml_like).unwrap();
        let places = Places {
            state_dir: Path::new("/state"),
            config_dir: Path::new("/project"),
            home: Some(Path::new("/home/ada")),
        };
        config.build(places).map(|settings| settings.file().to_owned())
    }

    #[test]
    fn the_file_is_found_from_its_three_starting_points() {
        assert_eq!(build("{}"), Ok("/state/audit.jsonl".into()));
        assert_eq!(build(r#"{"file": "a.jsonl"}"#), Ok("/project/a.jsonl".into()));
        assert_eq!(build(r#"{"file": "/var/log/a.jsonl"}"#), Ok("/var/log/a.jsonl".into()));
        assert_eq!(build(r#"{"file": "~/a.jsonl"}"#), Ok("/home/ada/a.jsonl".into()));
        for nameless in [r#"{"file": ""}"#, r#"{"file": "logs/"}"#, r#"{"file": ".."}"#] {
            assert_eq!(build(nameless), Err(vec![ConfigFault::NoFileName]), "{nameless}");
        }
    }

    #[test]
    fn unknown_keys_and_modes_are_refused() {
        for bad in [r#"{"path": "a"}"#, r#"{"mode": "sometimes"}"#, r#"{"arguments": "none"}"#] {
            assert!(serde_json::from_str::<Config>(bad).is_err(), "{bad}");
        }
        let config: Config = serde_json::from_str(r#"{"mode": "best_effort", "arguments": "full"}"#).unwrap();
        assert_eq!((config.mode, config.arguments), (Mode::BestEffort, ArgumentsKept::Full));
    }
}
