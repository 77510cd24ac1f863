//! From the command line's choices to a configuration in force, or to the list of everything that is wrong.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use domain::{AgentId, ServerId};
use indexmap::IndexMap;
use proxy::{Exposure, Roster, StatusTool};
use upstream::config::{Builtin, ServerSettings, Startup};

use super::{
    adopted,
    build::Config,
    diagnostic::Diagnostic,
    error::{LoadError, ServerFault},
    find::{self, Source},
    own, rules,
    servers::Gathering,
    whereabouts::{self, Basis, Whereabouts},
};

/// Name of the built-in server when there is no file.
const DEMO_NAME: &str = "demo";

/// What the command line decides; it wins over the file.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    /// The file; none: it is looked for.
    pub file: Option<PathBuf>,
    /// `listen.address`.
    pub listen: Option<SocketAddr>,
    /// `listen.operations`.
    pub operations: Option<SocketAddr>,
    /// `agent`.
    pub agent: Option<AgentId>,
    /// agent-mcp-gateway's agent for callers that name none.
    pub fallback_agent: Option<AgentId>,
    /// agent-mcp-gateway's address and port for clients; `toolgate.yaml` has its own.
    pub fallback_address: (Option<IpAddr>, Option<u16>),
    /// The file of the rules; none: it is looked for.
    pub rules: Option<PathBuf>,
    /// Whose reading of the files counts.
    pub compat: Compat,
    /// `exposure.stdio` and `exposure.http`.
    pub exposure: Option<Exposure>,
    /// Whether `get_gateway_status` is offered.
    pub status_tool: StatusTool,
    /// `audit.file`.
    pub audit: Option<PathBuf>,
    /// When the servers of an adopted file are started.
    pub startup: Option<Startup>,
}

/// Whose reading of agent-mcp-gateway's files counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compat {
    /// Ours: stricter where its rules have holes.
    #[default]
    Toolgate,
    /// Its own: holes, validator and messages.
    AgentMcpGateway,
}

/// What surrounds the program. Given as arguments, so that tests need no real environment.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The working directory; relative paths start there.
    pub folder: &'a Path,
    /// Looks up an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// This very program, if it is known.
    pub program: Option<&'a Path>,
    /// Where state is kept.
    pub state_dir: &'a Path,
}

/// What a configuration is loaded from, kept so that it can be loaded again.
#[derive(Debug, Clone)]
pub struct Origin {
    /// What the command line decides.
    pub choices: Choices,
    /// The working directory at the start.
    pub folder: PathBuf,
    /// This very program, if it is known.
    pub program: Option<PathBuf>,
    /// Where state is kept.
    pub state_dir: PathBuf,
}

impl Origin {
    /// Finds, reads and checks the configuration. Blocks for a few small files.
    ///
    /// # Errors
    /// [`LoadError`] when there is no usable configuration.
    pub fn load(&self) -> Result<Loaded, LoadError> {
        load(&self.choices, &self.surroundings())
    }

    /// Finds out where the gateway of this configuration is, even if the configuration was broken since it runs. Blocks
    /// for a few small files.
    ///
    /// # Errors
    /// [`LoadError`] when not even the defaults are sound.
    pub(crate) fn whereabouts(&self) -> Result<(Whereabouts, Basis), LoadError> {
        whereabouts::whereabouts(&self.choices, &self.surroundings())
    }

    fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            folder: &self.folder,
            // One that is not text names nothing that is there, and so is refused where it matters.
            variable: &|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()),
            program: self.program.as_deref(),
            state_dir: &self.state_dir,
        }
    }
}

/// A configuration, checked.
#[derive(Debug)]
pub struct Loaded {
    /// Everything but the servers.
    pub config: Config,
    /// The servers in the order of the file: their settings, or why they are left out.
    pub servers: IndexMap<ServerId, Result<ServerSettings, ServerFault>>,
    /// Servers that are switched off in the file.
    pub disabled: Vec<ServerId>,
    /// What works and is probably not as intended.
    pub warnings: Vec<Diagnostic>,
    /// Where all this comes from.
    pub source: Source,
    /// The servers as agents are told of them.
    pub roster: Roster,
    /// The file of the rules, if they have one of their own.
    pub rules_source: Option<PathBuf>,
    /// Every file that decides, or would if it were there; absolute paths.
    pub watched: Vec<PathBuf>,
    /// Whose reading of the files counts.
    pub compat: Compat,
}

/// Finds, reads and checks the configuration. Blocks for a few small files.
///
/// # Errors
/// [`LoadError`] when there is no usable configuration; a server that cannot be used is no error but an entry of
/// [`Loaded::servers`].
pub fn load(choices: &Choices, around: &Surroundings<'_>) -> Result<Loaded, LoadError> {
    let source = find::find(choices.file.as_deref(), around);
    match &source {
        Source::Own(path) => own::load_yaml(path, choices, around),
        Source::Adopted(path) => adopted::load(path, choices, around),
        Source::Builtin => load_builtin(choices, around),
    }
}

fn load_builtin(choices: &Choices, around: &Surroundings<'_>) -> Result<Loaded, LoadError> {
    let config = Config::without_file(choices, around)?;
    let id = ServerId::new(DEMO_NAME).expect("`demo` is a name");
    let mut gathering = Gathering::new(&config, choices, around);
    gathering.add(id.clone(), Ok(ServerSettings::builtin(id, Builtin::Demo)));
    let rules = rules::load_found(None, choices, around)?;
    Ok(gathering.finish(config, Source::Builtin, &[], rules))
}
