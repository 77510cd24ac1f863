//! The variables that set up agent-mcp-gateway, read into values. Those that it documents and never reads count too:
//! whoever sets them means them. What wins over them is decided where the options are, in `cli/options.rs`.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use domain::{AgentId, InvalidName};
use proxy::StatusTool;
use upstream::config::Startup;

const DEFAULT_AGENT: &str = "GATEWAY_DEFAULT_AGENT";
const DEBUG: &str = "GATEWAY_DEBUG";
const AUDIT: &str = "GATEWAY_AUDIT_LOG";
const TRANSPORT: &str = "GATEWAY_TRANSPORT";
const STARTUP: &str = "GATEWAY_INIT_STRATEGY";
const HTTP_HOST: &str = "GATEWAY_HTTP_HOST";
/// In the order in which they count: the first is the plainer one.
const HTTP_PORTS: [&str; 2] = ["GATEWAY_HTTP_PORT", "GATEWAY_PORT"];

/// What the variables say. One that is not set or empty says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerVariables {
    /// `GATEWAY_DEFAULT_AGENT`: the agent of callers that name none.
    pub fallback_agent: Option<AgentId>,
    /// `GATEWAY_DEBUG`: whether `get_gateway_status` is offered. Any word but `true`, `1` and `yes` is no, as with the
    /// peer.
    pub status_tool: StatusTool,
    /// `GATEWAY_AUDIT_LOG`: the audit file.
    pub audit: Option<PathBuf>,
    /// `GATEWAY_TRANSPORT`: where clients are served.
    pub transport: Option<PeerTransport>,
    /// `GATEWAY_INIT_STRATEGY`: when servers are started.
    pub startup: Option<Startup>,
    /// `GATEWAY_HTTP_HOST`: the address for clients.
    pub http_host: Option<IpAddr>,
    /// `GATEWAY_HTTP_PORT`, else `GATEWAY_PORT`: the port for clients. At 0 the system chooses one.
    pub http_port: Option<u16>,
}

/// Where clients are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerTransport {
    /// On standard input and output.
    Stdio,
    /// Over HTTP.
    Http,
}

/// Why a variable cannot be used. Values are not shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerVariableError {
    /// It holds none of its words.
    #[error("{variable}: write {words}")]
    UnknownWord {
        /// The variable.
        variable: &'static str,
        /// What it may hold.
        words: &'static str,
    },
    /// It holds no port.
    #[error("{variable}: no port: write a number from 0 to 65535")]
    NoPort {
        /// The variable.
        variable: &'static str,
    },
    /// It holds no address.
    #[error("{variable}: no address: write an IP address or `localhost`")]
    NoAddress {
        /// The variable.
        variable: &'static str,
    },
    /// It holds no name of an agent.
    #[error("{variable}: {reason}")]
    NoAgent {
        /// The variable.
        variable: &'static str,
        /// What is wrong with the name.
        reason: InvalidName,
    },
    /// It begins with `~`, and nobody knows where that is.
    #[error("{variable}: `~` stands for the home folder, and HOME is not set")]
    NoHome {
        /// The variable.
        variable: &'static str,
    },
}

// === impl PeerVariables ===

impl PeerVariables {
    /// Reads all of them; `lookup` returns a variable's text.
    ///
    /// # Errors
    /// [`PeerVariableError`] about the first that cannot be used.
    pub fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, PeerVariableError> {
        let variables = Variables { lookup };
        Ok(Self {
            fallback_agent: variables.agent()?,
            status_tool: variables.status_tool(),
            audit: variables.path(AUDIT)?,
            transport: variables.transport()?,
            startup: variables.startup()?,
            http_host: variables.http_host()?,
            http_port: variables.http_port()?,
        })
    }
}

/// Reads a variable that names a file, such as `GATEWAY_RULES`; the file need not be there. Where nobody knows what `~`
/// stands for, the name stays as it is, and whoever reads the file says that it is not there.
pub(crate) fn file_named_by(
    variable: &'static str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Option<PathBuf> {
    let variables = Variables { lookup };
    variables.path(variable).unwrap_or_else(|_| variables.get(variable).map(PathBuf::from))
}

struct Variables<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Variables<'_> {
    fn get(&self, variable: &str) -> Option<String> {
        (self.lookup)(variable).filter(|text| !text.is_empty())
    }

    /// `~` at the start is the home folder; another account's (`~name`) is not looked for.
    fn path(&self, variable: &'static str) -> Result<Option<PathBuf>, PeerVariableError> {
        let Some(text) = self.get(variable) else { return Ok(None) };
        let below_home = if text == "~" { Some("") } else { text.strip_prefix("~/") };
        let Some(below_home) = below_home else { return Ok(Some(PathBuf::from(text))) };
        let home = self.get("HOME").ok_or(PeerVariableError::NoHome { variable })?;
        let folders = below_home.split('/').filter(|folder| !folder.is_empty());
        Ok(Some(folders.fold(PathBuf::from(home), |path, folder| path.join(folder))))
    }

    fn agent(&self) -> Result<Option<AgentId>, PeerVariableError> {
        let agent = self.get(DEFAULT_AGENT).map(AgentId::new).transpose();
        agent.map_err(|reason| PeerVariableError::NoAgent { variable: DEFAULT_AGENT, reason })
    }

    fn status_tool(&self) -> StatusTool {
        match self.get(DEBUG).map(|text| text.to_ascii_lowercase()).as_deref() {
            Some("true" | "1" | "yes") => StatusTool::Offered,
            Some(_) | None => StatusTool::Hidden,
        }
    }

    fn transport(&self) -> Result<Option<PeerTransport>, PeerVariableError> {
        match self.get(TRANSPORT).as_deref() {
            None => Ok(None),
            Some("stdio") => Ok(Some(PeerTransport::Stdio)),
            Some("http") => Ok(Some(PeerTransport::Http)),
            Some(_) => Err(unknown_word(TRANSPORT, "`stdio` or `http`")),
        }
    }

    fn startup(&self) -> Result<Option<Startup>, PeerVariableError> {
        match self.get(STARTUP).as_deref() {
            None => Ok(None),
            Some("eager") => Ok(Some(Startup::Eager)),
            Some("lazy") => Ok(Some(Startup::Lazy)),
            Some(_) => Err(unknown_word(STARTUP, "`eager` or `lazy`")),
        }
    }

    /// No name but `localhost` is looked up: where the gateway listens must not depend on a name service.
    fn http_host(&self) -> Result<Option<IpAddr>, PeerVariableError> {
        match self.get(HTTP_HOST) {
            None => Ok(None),
            Some(host) if host == "localhost" => Ok(Some(IpAddr::V4(Ipv4Addr::LOCALHOST))),
            Some(host) => {
                let address =
                    host.parse().map_err(|_| PeerVariableError::NoAddress { variable: HTTP_HOST })?;
                Ok(Some(address))
            }
        }
    }

    /// Both are checked, so that a mistake in the one that does not count is told too.
    fn http_port(&self) -> Result<Option<u16>, PeerVariableError> {
        let mut chosen = None;
        for variable in HTTP_PORTS {
            let port = self.get(variable).map(|text| text.parse()).transpose();
            chosen = chosen.or(port.map_err(|_| PeerVariableError::NoPort { variable })?);
        }
        Ok(chosen)
    }
}

const fn unknown_word(variable: &'static str, words: &'static str) -> PeerVariableError {
    PeerVariableError::UnknownWord { variable, words }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<PeerVariables, PeerVariableError> {
        PeerVariables::read(&|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn nothing_set_says_nothing() {
        assert_eq!(read(&[]), Ok(PeerVariables::default()));
    }

    #[test]
    fn empty_counts_as_not_set() {
        let names = [DEFAULT_AGENT, DEBUG, AUDIT, TRANSPORT, STARTUP, HTTP_HOST];
        let empty: Vec<(&str, &str)> = names.into_iter().chain(HTTP_PORTS).map(|name| (name, "")).collect();
        assert_eq!(read(&empty), Ok(PeerVariables::default()));
    }

    #[test]
    fn each_says_what_it_says() {
        let nothing = PeerVariables::default;
        let cases = [
            (AUDIT, "a/b.json", PeerVariables { audit: Some("a/b.json".into()), ..nothing() }),
            (AUDIT, "~/b.json", PeerVariables { audit: Some("/home/ada/b.json".into()), ..nothing() }),
            (AUDIT, "~//b/c.json", PeerVariables { audit: Some("/home/ada/b/c.json".into()), ..nothing() }),
            (AUDIT, "a~/b", PeerVariables { audit: Some("a~/b".into()), ..nothing() }),
            (AUDIT, "~grace/b", PeerVariables { audit: Some("~grace/b".into()), ..nothing() }),
            (AUDIT, "~", PeerVariables { audit: Some("/home/ada".into()), ..nothing() }),
            (DEFAULT_AGENT, "a", PeerVariables { fallback_agent: AgentId::new("a").ok(), ..nothing() }),
            (TRANSPORT, "stdio", PeerVariables { transport: Some(PeerTransport::Stdio), ..nothing() }),
            (TRANSPORT, "http", PeerVariables { transport: Some(PeerTransport::Http), ..nothing() }),
            (STARTUP, "eager", PeerVariables { startup: Some(Startup::Eager), ..nothing() }),
            (STARTUP, "lazy", PeerVariables { startup: Some(Startup::Lazy), ..nothing() }),
            (HTTP_HOST, "localhost", PeerVariables { http_host: Some([127, 0, 0, 1].into()), ..nothing() }),
            (HTTP_HOST, "::", PeerVariables { http_host: Some([0_u16; 8].into()), ..nothing() }),
            ("GATEWAY_PORT", "8000", PeerVariables { http_port: Some(8000), ..nothing() }),
            ("GATEWAY_HTTP_PORT", "0", PeerVariables { http_port: Some(0), ..nothing() }),
        ];
        for (variable, text, expected) in cases {
            assert_eq!(read(&[("HOME", "/home/ada"), (variable, text)]), Ok(expected), "{variable}={text}");
        }
    }

    #[test]
    fn debug_is_on_for_three_words_in_any_case() {
        for (word, expected) in [
            ("true", StatusTool::Offered),
            ("TRUE", StatusTool::Offered),
            ("1", StatusTool::Offered),
            ("Yes", StatusTool::Offered),
            ("on", StatusTool::Hidden),
            ("0", StatusTool::Hidden),
            ("false", StatusTool::Hidden),
            (" true", StatusTool::Hidden),
        ] {
            assert_eq!(read(&[(DEBUG, word)]).map(|read| read.status_tool), Ok(expected), "{word}");
        }
    }

    #[test]
    fn the_plainer_name_of_the_port_wins() {
        let read = read(&[("GATEWAY_PORT", "1"), ("GATEWAY_HTTP_PORT", "2")]);
        assert_eq!(read.map(|read| read.http_port), Ok(Some(2)));
    }

    #[test]
    fn mistakes_name_their_variable_and_show_no_value() {
        let cases = [
            (TRANSPORT, "hidden", "GATEWAY_TRANSPORT: write `stdio` or `http`"),
            (TRANSPORT, "HTTP", "GATEWAY_TRANSPORT: write `stdio` or `http`"),
            (STARTUP, "hidden", "GATEWAY_INIT_STRATEGY: write `eager` or `lazy`"),
            ("GATEWAY_PORT", "65536", "GATEWAY_PORT: no port: write a number from 0 to 65535"),
            ("GATEWAY_HTTP_PORT", "hidden", "GATEWAY_HTTP_PORT: no port: write a number from 0 to 65535"),
            (HTTP_HOST, "hidden", "GATEWAY_HTTP_HOST: no address: write an IP address or `localhost`"),
            (HTTP_HOST, "127.0.0.1:1", "GATEWAY_HTTP_HOST: no address: write an IP address or `localhost`"),
            (AUDIT, "~/hidden", "GATEWAY_AUDIT_LOG: `~` stands for the home folder, and HOME is not set"),
        ];
        for (variable, text, expected) in cases {
            let error = read(&[(variable, text)]).expect_err(expected);
            assert_eq!(error.to_string(), expected);
        }
        let error = read(&[(DEFAULT_AGENT, "hidden\n")]).expect_err("a line end is in no name");
        assert!(error.to_string().starts_with("GATEWAY_DEFAULT_AGENT: "), "{error}");
        assert!(!error.to_string().contains("hidden"), "{error}");
    }

    #[test]
    fn a_mistake_in_the_port_that_does_not_count_is_told() {
        let read = read(&[("GATEWAY_PORT", "x"), ("GATEWAY_HTTP_PORT", "2")]);
        assert_eq!(read, Err(PeerVariableError::NoPort { variable: "GATEWAY_PORT" }));
    }
}
