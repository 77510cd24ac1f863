//! Checks the parts of a configuration that are not servers, each by the crate that owns it.

use std::{net::SocketAddr, path::Path, path::PathBuf, time::Duration};

use domain::{AgentId, AgentSource, ConfigFault};
use identity::TokenRecord;
use policy::Policy;
use proxy::{
    ExposureSettings, RateLimitRule,
    config::{ExposureConfig, Limits, ListenSettings, RateLimitConfig},
};

use super::{
    diagnostic::{Diagnostic, Severity},
    document::Document,
    error::LoadError,
    load::{Choices, Surroundings},
    written::{
        DEFAULT_AGENT, GatewayConfig, MAX_SHUTDOWN_GRACE_MS, MAX_STARTUP_WAIT_MS, NamingChoice, VERSION,
    },
};

/// Tokens in one file; more belong into the state directory, where they can be revoked at once.
const MAX_TOKENS: usize = 1_000;

/// Everything that is configured but the servers, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the gateway listens.
    pub listen: ListenSettings,
    /// Bounds of the data plane.
    pub limits: Limits,
    /// How long the first list of tools waits for starting servers.
    pub startup_wait: Duration,
    /// How long calls in flight may go on when the gateway ends.
    pub shutdown_grace: Duration,
    /// How the names of server and tool are joined.
    pub naming: catalog::Naming,
    /// The agent of callers without a token.
    pub agent: AgentId,
    /// Who named it.
    pub agent_source: AgentSource,
    /// Who may use what.
    pub policy: Policy,
    /// How clients see tools.
    pub exposure: ExposureSettings,
    /// How often tools may be called.
    pub rate_limits: Vec<RateLimitRule>,
    /// The tokens of the file.
    pub tokens: Vec<TokenRecord>,
    /// The audit trail.
    pub audit: audit::Settings,
}

/// A fault with the path of its section.
type Placed = (Vec<String>, ConfigFault);

// === impl Config ===

impl Config {
    /// Builds the configuration of a gateway that has no file of its own.
    pub(super) fn without_file(choices: &Choices, around: &Surroundings<'_>) -> Result<Self, LoadError> {
        let mut written = GatewayConfig::default();
        choices.fall_back_to_peer(&mut written);
        Self::of_keys(written, around.folder, choices, around)
    }

    /// Builds what `written` says, wherever it is from; `folder` is that of its file.
    pub(super) fn of_keys(
        written: GatewayConfig,
        folder: &Path,
        choices: &Choices,
        around: &Surroundings<'_>,
    ) -> Result<Self, LoadError> {
        Self::build(written, folder, choices, around).map_err(|faults| {
            let plain =
                |(path, fault): &Placed| Diagnostic::new(Severity::Error, fault.problem()).at_path(path);
            LoadError::Refused { faults: faults.iter().map(plain).collect(), warnings: Vec::new() }
        })
    }

    /// Builds what `document`, read as `written`, says.
    pub(super) fn of_document(
        written: GatewayConfig,
        document: &Document,
        folder: &Path,
        choices: &Choices,
        around: &Surroundings<'_>,
    ) -> Result<Self, Vec<Diagnostic>> {
        Self::build(written, folder, choices, around)
            .map_err(|faults| faults.iter().map(|(path, fault)| placed(document, path, fault)).collect())
    }

    fn build(
        mut written: GatewayConfig,
        folder: &Path,
        choices: &Choices,
        around: &Surroundings<'_>,
    ) -> Result<Self, Vec<Placed>> {
        choices.override_listeners(&mut written);
        let mut faults = version_fault(written.version).into_iter().collect::<Vec<_>>();
        let listen = keep(&["listen"], written.listen.build(), &mut faults);
        let limits = keep(&["limits"], written.limits.build(), &mut faults);
        let startup_wait = bounded("startup_wait_ms", written.startup_wait_ms, MAX_STARTUP_WAIT_MS);
        let shutdown_grace = bounded("shutdown_grace_ms", written.shutdown_grace_ms, MAX_SHUTDOWN_GRACE_MS);
        let naming = keep(&[], naming(&written), &mut faults);
        let agent = keep(&[], agent(choices, written.agent.as_deref()), &mut faults);
        let exposure = keep(&["exposure"], exposure(&written.exposure, choices), &mut faults);
        let rate_limits =
            keep(&["rate_limits"], RateLimitConfig::build_all(&written.rate_limits), &mut faults);
        let tokens = tokens(&written, &mut faults);
        let audit = keep(&["audit"], audit_settings(&written.audit, folder, choices, around), &mut faults);
        let startup_wait = keep(&[], startup_wait, &mut faults);
        let shutdown_grace = keep(&[], shutdown_grace, &mut faults);
        let built = (|| {
            Some(Self {
                listen: listen?,
                limits: limits?,
                startup_wait: startup_wait?,
                shutdown_grace: shutdown_grace?,
                naming: naming?,
                agent: agent.as_ref()?.0.clone(),
                agent_source: agent.as_ref()?.1,
                policy: Policy::grants_only(),
                exposure: exposure?,
                rate_limits: rate_limits?,
                tokens,
                audit: audit?,
            })
        })();
        built.filter(|_| faults.is_empty()).ok_or(faults)
    }
}

impl Choices {
    fn fall_back_to_peer(&self, written: &mut GatewayConfig) {
        let usual: Option<SocketAddr> = written.listen.address.parse().ok();
        if let (Some(mut address), (ip, port)) = (usual, self.fallback_address) {
            address.set_ip(ip.unwrap_or(address.ip()));
            address.set_port(port.unwrap_or(address.port()));
            written.listen.address = address.to_string();
        }
    }

    fn override_listeners(&self, written: &mut GatewayConfig) {
        if let Some(address) = self.listen {
            written.listen.address = address.to_string();
        }
        if let Some(address) = self.operations {
            written.listen.operations = address.to_string();
        }
    }
}

/// Shows a crate's fault at its place in `document`; `section` is the path of what the crate was given.
pub(super) fn placed(document: &Document, section: &[String], fault: &ConfigFault) -> Diagnostic {
    let path: Vec<String> = section.iter().chain(fault.path()).cloned().collect();
    document.diagnose(Severity::Error, document.locate(&path), &path, fault.problem()).with_help_of(fault)
}

fn keep<T>(
    section: &[&str],
    built: Result<T, impl IntoIterator<Item = ConfigFault>>,
    faults: &mut Vec<Placed>,
) -> Option<T> {
    let section: Vec<String> = section.iter().map(|&segment| segment.to_owned()).collect();
    built.map_err(|found| faults.extend(found.into_iter().map(|fault| (section.clone(), fault)))).ok()
}

fn version_fault(version: u32) -> Option<Placed> {
    (version != VERSION).then(|| {
        let fault = ConfigFault::new(&["version"], format!("version {version} is not known to this program"));
        (Vec::new(), fault.with_help(format!("write `version: {VERSION}`")))
    })
}

fn bounded(key: &str, value_ms: u64, most_ms: u64) -> Result<Duration, Option<ConfigFault>> {
    if value_ms <= most_ms {
        return Ok(Duration::from_millis(value_ms));
    }
    let fault = ConfigFault::new(&[key], format!("{value_ms} is more than {most_ms}"));
    Err(Some(fault.with_help("leave the key out for its default")))
}

fn naming(written: &GatewayConfig) -> Result<catalog::Naming, Option<ConfigFault>> {
    let style = match written.naming {
        NamingChoice::ServerTool => catalog::NamingStyle::ServerTool,
        NamingChoice::McpServerTool => catalog::NamingStyle::McpServerTool,
    };
    let limit = usize::try_from(written.name_limit).ok().and_then(catalog::NameLimit::new);
    let fault = || {
        let fault =
            ConfigFault::new(&["name_limit"], format!("{} is not within 16 and 64", written.name_limit));
        Some(fault.with_help("write for example `name_limit: 64`"))
    };
    limit.map(|limit| catalog::Naming { style, limit }).ok_or_else(fault)
}

/// The command line wins over the file, and both over agent-mcp-gateway's fallback.
fn agent(choices: &Choices, written: Option<&str>) -> Result<(AgentId, AgentSource), Option<ConfigFault>> {
    if let Some(chosen) = &choices.agent {
        return Ok((chosen.clone(), AgentSource::Launch));
    }
    match (written, &choices.fallback_agent) {
        (Some(written), _) => {
            AgentId::new(written).map(|agent| (agent, AgentSource::Launch)).map_err(|error| {
                let fault = ConfigFault::new(&["agent"], error.to_string());
                Some(fault.with_help("write for example `agent: developer`"))
            })
        }
        (None, Some(fallback)) => Ok((fallback.clone(), AgentSource::Fallback)),
        (None, None) => Ok((AgentId::new(DEFAULT_AGENT).expect("`default` is a name"), AgentSource::Builtin)),
    }
}

fn exposure(written: &ExposureConfig, choices: &Choices) -> Result<ExposureSettings, Vec<ConfigFault>> {
    let mut settings = written.build(choices.status_tool)?;
    if let Some(chosen) = choices.exposure {
        (settings.stdio, settings.http) = (chosen, chosen);
    }
    Ok(settings)
}

fn tokens(written: &GatewayConfig, faults: &mut Vec<Placed>) -> Vec<TokenRecord> {
    if written.tokens.len() > MAX_TOKENS {
        let fault = ConfigFault::new(&["tokens"], format!("more than {MAX_TOKENS} tokens"));
        faults.push((Vec::new(), fault.with_help("create them with `toolgate token create`")));
    }
    let mut records: Vec<TokenRecord> = Vec::with_capacity(written.tokens.len());
    for (index, token) in written.tokens.iter().take(MAX_TOKENS).enumerate() {
        let section = ["tokens", &index.to_string()];
        let Some(record) = keep(&section, token.build(), faults) else { continue };
        if records.iter().any(|known| known.id() == record.id()) {
            let fault = ConfigFault::new(&["id"], format!("another token has the id `{}` too", record.id()));
            faults.push((section.map(str::to_owned).to_vec(), fault));
        }
        if records.iter().any(|known| known.hash() == record.hash()) {
            let fault = ConfigFault::new(&["hash"], "another token has the same hash");
            faults.push((section.map(str::to_owned).to_vec(), fault));
        }
        records.push(record);
    }
    records
}

fn audit_settings(
    written: &audit::Config,
    folder: &Path,
    choices: &Choices,
    around: &Surroundings<'_>,
) -> Result<audit::Settings, Vec<ConfigFault>> {
    let mut written = written.clone();
    if let Some(file) = choices.audit.as_ref().filter(|_| written.file.is_none()) {
        written.file = Some(around.folder.join(file));
    }
    written.file = written.file.map(without_here);
    let home = (around.variable)("HOME").map(PathBuf::from);
    let places = audit::Places { state_dir: around.state_dir, config_dir: folder, home: home.as_deref() };
    let fault = |fault: &audit::ConfigFault| ConfigFault::new(&[fault.key()], fault.to_string());
    written.build(places).map_err(|faults| faults.iter().map(fault).collect())
}

/// Returns `./name` as `name`, so that the whole path has no step that leads nowhere. Only what names no file stays.
fn without_here(file: PathBuf) -> PathBuf {
    match file.to_str().and_then(|text| text.strip_prefix("./")) {
        Some(rest) if !rest.is_empty() => rest.into(),
        Some(_) | None => file,
    }
}
