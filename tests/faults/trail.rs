//! The audit trail as a test reads it: its lines, its calls, and what `toolgate audit verify` says of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::environment;

/// A trail's file.
#[derive(Debug, Clone)]
pub(crate) struct Trail {
    pub(crate) file: PathBuf,
    /// Keeps the folder for as long as somebody reads the trail.
    _folder: Arc<TempDir>,
}

/// The two lines of one call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    pub(crate) begin: Option<Value>,
    pub(crate) end: Option<Value>,
}

impl Trail {
    /// Names the trail in a folder.
    pub(crate) fn new(file: PathBuf, folder: Arc<TempDir>) -> Self {
        Self { file, _folder: folder }
    }

    /// Returns the whole lines, in their order.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let bytes = std::fs::read(&self.file).unwrap_or_default();
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(&[][..], |end| &bytes[..end]);
        let lines = whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).expect("a line is one JSON object")).collect()
    }

    /// Returns the events of a name.
    pub(crate) fn events(&self, name: &str) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["event"] == name).collect()
    }

    /// Returns how many refusals of a name are on record: a line each, or a line for the sum of several.
    pub(crate) fn refusals(&self, name: &str) -> u64 {
        self.events(name).iter().map(|line| line["details"]["suppressed"].as_u64().unwrap_or(1)).sum()
    }

    /// Returns the calls, by their ids.
    pub(crate) fn calls(&self) -> BTreeMap<String, Call> {
        let mut calls = BTreeMap::<String, Call>::new();
        for line in self.lines() {
            let Some(id) = line["call"].as_str().map(str::to_owned) else { continue };
            let call = calls.entry(id).or_default();
            let place = if line["phase"] == "begin" { &mut call.begin } else { &mut call.end };
            assert!(place.is_none(), "a second line for the same phase: {line}");
            *place = Some(line);
        }
        calls
    }

    /// Returns the end lines, in their order.
    pub(crate) fn ends(&self) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["phase"] == "end").collect()
    }

    /// Checks the trail with the program; returns its report.
    pub(crate) async fn verify(&self) -> Value {
        let (sound, said) = verify(&self.file).await;
        assert!(sound, "the trail is not sound: {said}");
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("no report: {said}"))
    }
}

/// Checks a file with the program; tells whether it is sound, and what was said.
pub(crate) async fn verify(file: &Path) -> (bool, String) {
    let mut command = Command::new(environment::gateway());
    let output = command.args(["audit", "verify", "-o", "json"]).arg(file).kill_on_drop(true).output().await;
    let output = output.expect("the gateway can be started");
    let said = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}
