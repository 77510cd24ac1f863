//! The foreign clients, behind one door: [`Driver::run`] walks a plan against a target and tells what was seen.
//! Python and TypeScript run as scripts of `tests/clients`, the Inspector as its own program, rmcp in this process.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::plan::{Plan, Seen};

mod inspector;
mod rust_sdk;
mod script;

/// The longest that one client may take for one plan; a machine with two busy cores needs a tenth of it.
const LIMIT: Duration = Duration::from_secs(90);

/// A foreign client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    PythonSdk1,
    PythonSdk2,
    Fastmcp3,
    Fastmcp4,
    TypescriptSdk1,
    TypescriptSdk2,
    Inspector,
    Rmcp,
}

/// How a client is to find the protocol revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    /// The `initialize` handshake. Clients of the first generation know nothing else.
    Legacy,
    /// Asks first; a modern gateway is expected to answer as one.
    Auto,
    /// Modern from the first message.
    Modern,
}

/// What a client connects to.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Url(String),
    /// A command that the client launches and speaks to over its standard streams.
    Stdio(Vec<String>),
}

// === impl Driver ===

impl Driver {
    /// Walks the plan with this client, in `folder`. Panics when the client cannot connect or takes too long.
    #[track_caller]
    pub(crate) fn run(self, era: Era, target: &Target, folder: &Path, plan: &Plan) -> Seen {
        let report: Value = match self {
            Self::Inspector => inspector::run(era, target, folder, plan),
            Self::Rmcp => rust_sdk::run(era, target, folder, plan),
            Self::PythonSdk1 | Self::PythonSdk2 | Self::Fastmcp3 | Self::Fastmcp4 => {
                script::run(self, era, target, folder, plan)
            }
            Self::TypescriptSdk1 | Self::TypescriptSdk2 => script::run(self, era, target, folder, plan),
        };
        Seen::new(plan, report)
    }

    /// Returns whether the client can watch a call and give it up; a command line that makes one call cannot.
    pub(crate) fn follows_calls(self) -> bool {
        self != Self::Inspector
    }
}

// === impl Era ===

impl Era {
    /// Returns the revision to expect from a gateway that knows both eras.
    pub(crate) fn expected_version(self) -> &'static str {
        match self {
            Self::Legacy => "2025-11-25",
            Self::Auto | Self::Modern => "2026-07-28",
        }
    }
}
