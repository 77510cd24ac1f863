//! What a fake child is told at its start: `--speaks modern --record /tmp/marks`.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::{Script, Speaks};

/// The options of a fake child.
#[derive(Debug, Clone)]
pub struct Options {
    /// The eras it answers (`--speaks`, default both).
    pub speaks: Speaks,
    /// The file to which each `write` appends its mark (`--record`).
    pub record: Option<PathBuf>,
    /// The file with the result of the `raw` tool (`--raw`).
    pub raw: Option<PathBuf>,
    /// A file with further tools' names, one a line, read for each listing (`--tools`).
    pub tools: Option<PathBuf>,
    /// The resources that it lists and tells of (`--resources`, with commas).
    pub resources: Vec<String>,
    /// The file to which it appends its process id (`--pids`).
    pub pids: Option<PathBuf>,
    /// It ends at once with this code (`--exit-at-start`).
    pub exit_at_start: Option<u8>,
    /// It writes this kind of garbage before anything else (`--prelude`).
    pub prelude: String,
    /// It takes so long for each answer that is no tool's (`--greeting-delay-ms`).
    pub greeting_delay: Duration,
    /// It never answers (`--mute`).
    pub is_mute: bool,
    /// It goes on when its input is closed (`--outlives-stdin`).
    pub outlives_stdin: bool,
}

impl Options {
    /// Reads a command line.
    ///
    /// # Panics
    /// When it is wrong.
    pub(super) fn read(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut options = Self {
            speaks: Speaks::Both,
            record: None,
            raw: None,
            tools: None,
            resources: Vec::new(),
            pids: None,
            exit_at_start: None,
            prelude: String::new(),
            greeting_delay: Duration::ZERO,
            is_mute: false,
            outlives_stdin: false,
        };
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().expect("the option has a value");
            match name.as_str() {
                "--speaks" => options.speaks = speaks(&value()),
                "--record" => options.record = Some(value().into()),
                "--raw" => options.raw = Some(value().into()),
                "--tools" => options.tools = Some(value().into()),
                "--resources" => options.resources = value().split(',').map(str::to_owned).collect(),
                "--pids" => options.pids = Some(value().into()),
                "--exit-at-start" => options.exit_at_start = Some(value().parse().expect("an exit code")),
                "--prelude" => options.prelude = value(),
                "--greeting-delay-ms" => {
                    options.greeting_delay = Duration::from_millis(value().parse().expect("milliseconds"));
                }
                "--mute" => options.is_mute = true,
                "--outlives-stdin" => options.outlives_stdin = true,
                unknown => panic!("unknown option {unknown}"),
            }
        }
        options
    }

    /// Appends a mark to the record, if there is one.
    pub(super) fn record(&self, mark: &str) {
        self.record.iter().for_each(|file| super::append(file, mark));
    }

    /// Tells where the process can be found.
    pub(super) fn leave_pid(&self) {
        self.pids.iter().for_each(|file| super::append(file, &std::process::id().to_string()));
    }

    /// Builds the script in force; `version` is a tool that the last `relist` added.
    pub(super) fn script(&self, version: Option<String>) -> Script {
        let mut script = Script::new(self.speaks);
        if !self.resources.is_empty() {
            script = script.with_resources(self.resources.iter().cloned());
        }
        if let Some(raw) = &self.raw {
            script.raw = std::fs::read(raw).expect("the raw result can be read").into();
        }
        let listed =
            self.tools.as_ref().and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        let names = listed.lines().map(str::to_owned).chain(version);
        script.tools.extend(names.map(|name| json!({"name": name, "inputSchema": {"type": "object"}})));
        script
    }
}

fn speaks(text: &str) -> Speaks {
    match text {
        "legacy" => Speaks::Legacy,
        "modern" => Speaks::Modern,
        "both" => Speaks::Both,
        unknown => panic!("no era {unknown}"),
    }
}
