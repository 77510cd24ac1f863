//! Options that several commands share, and the one place that reads the environment.

use std::{
    env,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use domain::{AgentId, InvalidName};

use super::{
    CliError,
    output::{self, Format},
};
use proxy::{Exposure, StatusTool};

use crate::{
    config::{Basis, Choices, Compat, Loaded, Origin, Wanted, Whereabouts},
    peer_variables::{PeerTransport, PeerVariables},
};

/// Our folder inside the folder of all state.
const STATE_FOLDER: &str = "toolgate";

/// How a gateway is set up.
#[derive(Debug, Clone, Default, Args)]
pub struct GatewayOptions {
    /// Configuration [default: ./toolgate.yaml, else ./.mcp.json, else a built-in demo server]
    #[arg(long, value_name = "FILE", env = "TOOLGATE_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// Address for clients [default: 127.0.0.1:8787]
    #[arg(long, value_name = "ADDRESS", env = "TOOLGATE_LISTEN", hide_env_values = true, value_parser = parse_address)]
    pub listen: Option<SocketAddr>,
    /// Address for metrics and status [default: 127.0.0.1:8788]
    #[arg(long, value_name = "ADDRESS", env = "TOOLGATE_OPS_LISTEN", hide_env_values = true, value_parser = parse_address)]
    pub ops_listen: Option<SocketAddr>,
    /// Agent of callers without a token [default: default]
    #[arg(long, value_name = "NAME", env = "TOOLGATE_AGENT", hide_env_values = true, value_parser = parse_agent)]
    pub agent: Option<AgentId>,
    /// Rules of agent-mcp-gateway [default: rules of toolgate.yaml, else ./.mcp-gateway-rules.json, else none]
    #[arg(long, value_name = "FILE", env = "TOOLGATE_RULES", hide_env_values = true)]
    pub rules: Option<PathBuf>,
    /// How clients see tools, on standard input and output and at /mcp: direct, discovery, search or auto
    #[arg(long, value_name = "EXPOSURE", env = "TOOLGATE_EXPOSURE", hide_env_values = true)]
    pub exposure: Option<Exposure>,
    /// Read rules and files as another gateway does, holes included
    #[arg(long, value_name = "GATEWAY", env = "TOOLGATE_COMPAT", hide_env_values = true)]
    pub compat: Option<Peer>,
    /// Offer agents the tool get_gateway_status
    #[arg(long)]
    pub debug: bool,
    /// Where tokens and the audit trail are.
    #[command(flatten)]
    pub state: StateOptions,
}

/// A gateway whose files can be read as it reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// agent-mcp-gateway 0.2
    AgentMcpGateway,
}

/// Where state is kept.
#[derive(Debug, Clone, Default, Args)]
pub struct StateOptions {
    /// Folder of tokens, keys and the audit trail [default: $XDG_STATE_HOME/toolgate, else ~/.local/state/toolgate]
    #[arg(long, value_name = "FOLDER", env = "TOOLGATE_STATE_DIR", hide_env_values = true)]
    pub state_dir: Option<PathBuf>,
}

/// What commands have in common that work on state, and answer.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct AnswerOptions {
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t)]
    pub(super) output: Format,
    #[command(flatten)]
    pub(super) state: StateOptions,
}

/// Options of `serve`.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeOptions {
    /// The gateway.
    #[command(flatten)]
    pub gateway: GatewayOptions,
    /// Serve standard input and output too, and end when it ends
    #[arg(long, env = "TOOLGATE_STDIO", hide_env_values = true, value_parser = parse_switch)]
    pub stdio: bool,
}

// === impl GatewayOptions ===

impl GatewayOptions {
    /// Finds, reads and checks the configuration. Blocks for a few small files.
    ///
    /// # Errors
    /// [`CliError`] when there is no usable configuration.
    pub fn load(&self) -> Result<Loaded, CliError> {
        Ok(self.origin()?.load()?)
    }

    /// Finds out where the running gateway is that these options mean. A configuration that was broken since it was
    /// started is no obstacle: what it still says counts, and a person is told.
    ///
    /// # Errors
    /// [`CliError`] when the options or the surroundings cannot be used.
    pub(super) fn whereabouts(&self, wanted: Wanted) -> Result<Whereabouts, CliError> {
        let (found, basis) = self.origin()?.whereabouts()?;
        let shown = match wanted {
            Wanted::Clients => format!("{} is asked", found.clients),
            Wanted::Operations => format!("{} is asked", found.operations),
            Wanted::Trail => format!("`{}` is read", output::printable(&found.trail.display().to_string())),
        };
        let by_default = || format!("{shown}, the default of `{wanted}`");
        match basis {
            Basis::Sound => {}
            Basis::NoFile => eprintln!("note: there is no configuration file here: {}\n", by_default()),
            Basis::Faulty { fault, said } => {
                let shown = match said.contains(&wanted) {
                    true => format!("{shown}, as its `{wanted}` says"),
                    false => by_default(),
                };
                let fault = output::printable(&fault.summary());
                eprintln!("warning: the configuration is refused: {fault}; {shown}\n");
            }
        }
        Ok(found)
    }

    /// Returns what the configuration is loaded from.
    ///
    /// # Errors
    /// [`CliError`] when the options or the surroundings cannot be used.
    pub fn origin(&self) -> Result<Origin, CliError> {
        let folder = env::current_dir().map_err(CliError::NoWorkingDirectory)?;
        let (choices, state_dir, program) = (self.choices()?, self.state.folder()?, env::current_exe().ok());
        Ok(Origin { choices, folder, program, state_dir })
    }

    fn choices(&self) -> Result<Choices, CliError> {
        let named = |file: &Option<PathBuf>| file.clone().filter(|file| !file.as_os_str().is_empty());
        let peer = PeerVariables::read(&variable).map_err(|error| CliError::Gateway(error.to_string()))?;
        let address = (peer.http_host, peer.http_port);
        Ok(Choices {
            file: named(&self.config),
            rules: named(&self.rules),
            listen: self.listen,
            operations: self.ops_listen,
            agent: self.agent.clone(),
            fallback_agent: peer.fallback_agent,
            fallback_address: address,
            compat: self.compat.map_or(Compat::Toolgate, |Peer::AgentMcpGateway| Compat::AgentMcpGateway),
            exposure: self.exposure,
            status_tool: if self.debug { StatusTool::Offered } else { peer.status_tool },
            audit: peer.audit,
            startup: peer.startup,
        })
    }
}

// === impl StateOptions ===

impl StateOptions {
    /// Returns the state directory; it need not exist.
    ///
    /// # Errors
    /// [`CliError::NoStateDirectory`] when neither an option nor the environment says where.
    pub fn folder(&self) -> Result<PathBuf, CliError> {
        state_folder(self.state_dir.as_deref(), &variable).ok_or(CliError::NoStateDirectory)
    }
}

fn state_folder(chosen: Option<&Path>, variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    match chosen.filter(|chosen| !chosen.as_os_str().is_empty()) {
        Some(chosen) => std::path::absolute(chosen).ok(),
        None => absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
            .map(|folder| folder.join(STATE_FOLDER)),
    }
}

fn parse_agent(name: &str) -> Result<AgentId, InvalidName> {
    AgentId::new(name)
}

/// Reads an address and a port. No name but `localhost` is looked up: where the gateway listens must not depend on a name
/// service.
fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    let address = match text.strip_prefix("localhost:") {
        Some(port) => port.parse().ok().map(|port: u16| (Ipv4Addr::LOCALHOST, port).into()),
        None => text.parse().ok(),
    };
    address.ok_or(
        "write an IP address and a port, for example `127.0.0.1:8787`, or `0.0.0.0:8787` for every network",
    )
}

/// Reads a switch of the environment, in the words that GATEWAY_DEBUG takes and their opposites.
fn parse_switch(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" | "" => Ok(false),
        _ => Err("write `true` or `false`"),
    }
}

/// Returns where agent-mcp-gateway's variables have clients served, if they say so.
pub(super) fn transport_of_peer() -> Option<PeerTransport> {
    // A faulty variable is reported when the command that is meant reads them all.
    PeerVariables::read(&variable).ok()?.transport
}

/// Reads a variable. One that is not text counts as not set.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chosen: Option<&str>, variables: &[(&str, &str)], expected: Option<&str>) {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let folder = state_folder(chosen.map(Path::new), &variable);
        assert_eq!(folder.as_deref(), expected.map(Path::new));
    }

    #[test]
    fn the_state_directory_is_found() {
        check(None, &[("XDG_STATE_HOME", "/s"), ("HOME", "/h")], Some("/s/toolgate"));
        check(None, &[("HOME", "/h")], Some("/h/.local/state/toolgate"));
        check(None, &[("XDG_STATE_HOME", "relative"), ("HOME", "/h")], Some("/h/.local/state/toolgate"));
        check(Some("/x"), &[("HOME", "/h")], Some("/x"));
        check(Some(""), &[("HOME", "/h")], Some("/h/.local/state/toolgate"));
        check(None, &[], None);
    }
}
