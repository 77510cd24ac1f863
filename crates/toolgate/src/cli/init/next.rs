//! What to do after the files are written.

use std::path::Path;

use super::{FileFormat, OWN_NAME, PEER_SERVERS};
use crate::writing::Grants;

/// Returns the commands to go on with, each with what it does.
pub(super) fn steps(out: &Path, format: FileFormat, grants: &Grants) -> Vec<(String, &'static str)> {
    let name = match format {
        FileFormat::Toolgate => OWN_NAME,
        FileFormat::AgentMcpGateway => PEER_SERVERS,
    };
    // In the working directory the file is found by itself.
    let config = match out == Path::new(".") {
        true => String::new(),
        false => format!(" --config {}", out.join(name).display()),
    };
    let agent = match grants {
        Grants::SingleAgent => String::new(),
        Grants::MultiAgent(agents) => {
            agents.keys().next().map_or_else(String::new, |agent| format!(" --agent {agent}"))
        }
    };
    vec![
        (format!("toolgate validate --connect{config}"), "tries every server"),
        (format!("toolgate install CLIENT{config}{agent}"), "lets a client use the gateway"),
    ]
}
