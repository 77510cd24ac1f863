//! Gathers the servers of all files: names without collisions, variables filled in, entries checked, ourselves left
//! out. What one entry gets wrong stays with that entry.

use std::{collections::HashMap, path::Path, path::PathBuf, sync::OnceLock};

use domain::{ConfigFault, ServerId, ServerScope};
use indexmap::IndexMap;
use proxy::{ConfiguredServer, Reached, Roster};
use serde_json::Value;
use upstream::config::{ServerConfig, ServerSettings, TransportSettings};
use url::Url;

use super::{
    adopted::AdoptedServer,
    build::{Config, placed},
    diagnostic::{Diagnostic, Severity},
    document::{Document, Entry, Node},
    error::ServerFault,
    find::{self, Source},
    interpolate::{self, Gap, GapKind},
    load::{Choices, Loaded, Surroundings},
    own::diagnose,
    rules::Written,
    self_reference::Ourselves,
    shape::{self, MisfitKind},
    suggest,
};

/// Servers in one configuration. Each costs a connection or a process.
pub(super) const MAX_SERVERS: usize = 1_000;

type Checked = Result<ServerSettings, ServerFault>;

/// Servers gathered so far.
pub(super) struct Gathering<'a> {
    around: &'a Surroundings<'a>,
    choices: &'a Choices,
    ourselves: Ourselves,
    servers: IndexMap<ServerId, Checked>,
    descriptions: HashMap<ServerId, String>,
    disabled: Vec<ServerId>,
    warnings: Vec<Diagnostic>,
    /// Names in lower case, with the name as it was written first.
    names: HashMap<String, String>,
}

/// One entry with where it stands.
struct Spot<'a> {
    document: &'a Document,
    path: Vec<String>,
    entry: &'a Entry,
    folder: &'a Path,
}

// === impl Gathering ===

impl<'a> Gathering<'a> {
    pub(super) fn new(config: &Config, choices: &'a Choices, around: &'a Surroundings<'a>) -> Self {
        Self {
            around,
            choices,
            ourselves: Ourselves::new(config.listen.address(), around),
            servers: IndexMap::new(),
            descriptions: HashMap::new(),
            disabled: Vec::new(),
            warnings: Vec::new(),
            names: HashMap::new(),
        }
    }

    pub(super) fn warn(&mut self, warning: Diagnostic) {
        self.warnings.push(warning);
    }

    pub(super) fn add(&mut self, id: ServerId, checked: Checked) {
        self.servers.insert(id, checked);
    }

    pub(super) fn into_warnings(self) -> Vec<Diagnostic> {
        self.warnings
    }

    /// Takes one entry of `servers` in `toolgate.yaml`, whose shape is right.
    ///
    /// # Errors
    /// The fault of its name, which is a fault of the whole file.
    pub(super) fn take_own(
        &mut self,
        document: &Document,
        entry: &Entry,
        folder: &Path,
    ) -> Result<(), Box<Diagnostic>> {
        let spot = Spot { document, path: vec!["servers".to_owned(), entry.key.clone()], entry, folder };
        let id = self.claim_name(&spot).map_err(|fault| spot.diagnose(Severity::Error, &fault))?;
        let read = spot.fill(self.around).and_then(|node| spot.read::<ServerConfig>(&node));
        self.settle(id, &spot, read);
        Ok(())
    }

    /// Takes one entry of a client's file; `key` is the key of the map in which it stands. A name that cannot be used
    /// leaves the server out with a warning: nobody could address it.
    pub(super) fn take_adopted(&mut self, document: &Document, key: &str, entry: &Entry, folder: &Path) {
        let spot = Spot { document, path: vec![key.to_owned(), entry.key.clone()], entry, folder };
        match self.claim_name(&spot) {
            Ok(id) => {
                let read = self.read_adopted(&spot);
                self.settle(id, &spot, read);
            }
            Err(fault) => self.warnings.push(*spot.diagnose(Severity::Warning, &fault)),
        }
    }

    /// Warns of tokens that name servers which do not exist.
    pub(super) fn warn_of_unknown_servers(&mut self, config: &Config, document: &Document) {
        for (index, token) in config.tokens.iter().enumerate() {
            let ServerScope::Only(names) = &token.principal().servers else { continue };
            let is_unknown =
                |name: &&ServerId| !self.servers.contains_key(*name) && !self.disabled.contains(name);
            for name in names.iter().filter(is_unknown) {
                let path = ["tokens".to_owned(), index.to_string(), "servers".to_owned()];
                let problem =
                    format!("token `{}` names the server `{name}`, which is not configured", token.id());
                let known: Vec<&str> = self.servers.keys().map(ServerId::as_str).collect();
                let warning = document.diagnose(Severity::Warning, document.locate(&path), &path, problem);
                self.warnings.push(match suggest::closest(name.as_str(), &known) {
                    Some(meant) => warning.with_help(format!("did you mean `{meant}`?")),
                    None => warning,
                });
            }
        }
    }

    /// Ends the gathering.
    pub(super) fn finish(
        self,
        mut config: Config,
        source: Source,
        included: &[PathBuf],
        rules: Option<Written>,
    ) -> Loaded {
        let roster = roster(&self.servers, self.descriptions);
        let mut warnings = self.warnings;
        let mut rules_source = None;
        if let Some(mut rules) = rules {
            rules.warn_of_unknown_servers(
                &roster.ids().iter().chain(&self.disabled).cloned().collect::<Vec<_>>(),
            );
            rules.warn_of_unknown_agent(&config.agent, config.agent_source);
            rules.warn_of_looseness();
            warnings.append(&mut rules.warnings);
            config.policy = rules.policy;
            rules_source = rules.file;
        }
        warnings.extend(find::ignored(&source, included, rules_source.as_deref(), self.around));
        let used: Vec<PathBuf> = source
            .path()
            .map(Path::to_owned)
            .into_iter()
            .chain(included.to_vec())
            .chain(rules_source.clone())
            .collect();
        let watched = find::candidates(self.choices, &used, self.around);
        let (servers, disabled, compat) = (self.servers, self.disabled, self.choices.compat);
        Loaded { config, servers, disabled, warnings, source, roster, rules_source, watched, compat }
    }

    /// Checks the name and that no other has it, in whatever case.
    fn claim_name(&mut self, spot: &Spot<'_>) -> Result<ServerId, ConfigFault> {
        let name = &spot.entry.key;
        let id = ServerId::new(name.as_str()).map_err(|error| ConfigFault::new(&[], error.to_string()))?;
        match self.names.get(&name.to_lowercase()) {
            Some(taken) => Err(ConfigFault::new(&[], format!("there is a server `{taken}` already"))
                .with_help("give it a name that differs by more than upper and lower case")),
            None => {
                self.names.insert(name.to_lowercase(), name.clone());
                Ok(id)
            }
        }
    }

    fn read_adopted(&mut self, spot: &Spot<'_>) -> Result<ServerConfig, ServerFault> {
        static SCHEMA: OnceLock<Value> = OnceLock::new();
        let schema = SCHEMA.get_or_init(|| schemars::schema_for!(AdoptedServer).to_value());
        let misfits = shape::check(&spot.entry.value, schema, &spot.path, spot.entry.key_span);
        let (unknown, wrong): (Vec<_>, Vec<_>) =
            misfits.into_iter().partition(|misfit| misfit.kind == MisfitKind::UnknownKey);
        self.warnings.extend(unknown.iter().map(|key| diagnose(spot.document, Severity::Warning, key)));
        if !wrong.is_empty() {
            let diagnostics = wrong.iter().map(|misfit| diagnose(spot.document, Severity::Error, misfit));
            return Err(ServerFault::Invalid { diagnostics: diagnostics.collect() });
        }
        let mut node = spot.entry.value.clone();
        node.retain(|key| unknown.iter().all(|misfit| misfit.path.last().is_none_or(|last| last != key)));
        if node.entry("disabled").is_none_or(|entry| entry.value.to_json() != Value::Bool(true)) {
            node = spot.fill_node(&node, self.around)?;
        }
        let adopted: AdoptedServer = spot.read(&node)?;
        let kind = adopted.kind().map_err(|word| {
            let fault = ConfigFault::new(&["type"], format!("`{word}` is no transport that we know"));
            spot.invalid(&fault.with_help("write `stdio`, `http` or `sse`"))
        })?;
        if let Some(key) = adopted.lacks(kind) {
            let fault = ConfigFault::new(
                &["type"],
                format!("`type` speaks of a server with `{key}`, and there is none"),
            );
            return Err(spot.invalid(&fault.with_help(format!("write `{key}`, or leave `type` out"))));
        }
        let own = adopted.into_own(kind);
        Ok(ServerConfig { startup: self.choices.startup.unwrap_or(own.startup), ..own })
    }

    /// Checks what an entry says and files the server under its name.
    fn settle(&mut self, id: ServerId, spot: &Spot<'_>, read: Result<ServerConfig, ServerFault>) {
        if is_switched_off(&spot.entry.value) {
            self.disabled.push(id);
            return;
        }
        let checked = read.and_then(|mut config| {
            if let Some(description) = config.description.take() {
                self.descriptions.insert(id.clone(), description);
            }
            spot.build(id.clone(), config)
        });
        if let Ok(settings) = &checked
            && let Some(reason) = self.ourselves.is_meant_by(settings)
        {
            let fault = ConfigFault::new(&[], format!("the server `{id}` is skipped: {reason}"));
            self.warnings.push(*spot.diagnose(Severity::Warning, &fault));
            return;
        }
        self.servers.insert(id, checked);
    }
}

// === impl Spot ===

impl Spot<'_> {
    fn diagnose(&self, severity: Severity, fault: &ConfigFault) -> Box<Diagnostic> {
        let path: Vec<String> = self.path.iter().chain(fault.path()).cloned().collect();
        let diagnostic =
            self.document.diagnose(severity, self.document.locate(&path), &path, fault.problem());
        Box::new(diagnostic.with_help_of(fault))
    }

    fn invalid(&self, fault: &ConfigFault) -> ServerFault {
        ServerFault::Invalid { diagnostics: vec![*self.diagnose(Severity::Error, fault)] }
    }

    fn fill(&self, around: &Surroundings<'_>) -> Result<Node, ServerFault> {
        if is_switched_off(&self.entry.value) {
            return Ok(self.entry.value.clone());
        }
        self.fill_node(&self.entry.value, around)
    }

    fn fill_node(&self, node: &Node, around: &Surroundings<'_>) -> Result<Node, ServerFault> {
        interpolate::fill(node, around.variable).map_err(|gaps| self.gap_fault(&gaps))
    }

    fn gap_fault(&self, gaps: &[Gap]) -> ServerFault {
        let mut names = Vec::new();
        for gap in gaps {
            if let GapKind::Missing(name) = &gap.kind
                && !names.contains(name)
            {
                names.push(name.clone());
            }
        }
        let diagnostics = gaps.iter().map(|gap| self.show_gap(gap)).collect();
        let only_missing = gaps.iter().all(|gap| matches!(gap.kind, GapKind::Missing(_)));
        if only_missing {
            ServerFault::MissingVariables { names, diagnostics }
        } else {
            ServerFault::Invalid { diagnostics }
        }
    }

    fn show_gap(&self, gap: &Gap) -> Diagnostic {
        let (problem, help) = match &gap.kind {
            GapKind::Missing(name) => (
                format!("the environment variable `{name}` is not set"),
                format!("set it, or give a default: `${{{name}:-value}}`"),
            ),
            GapKind::Unfinished => ("`${` without `}`".to_owned(), "write `$${` for a plain `${`".to_owned()),
            GapKind::NotAName => (
                "between `${` and `}` stands no name of a variable".to_owned(),
                "write for example `${API_TOKEN}`; `$${` stands for a plain `${`".to_owned(),
            ),
            GapKind::TooLong => ("the value is too long".to_owned(), "write a shorter one".to_owned()),
        };
        let path: Vec<String> = self.path.iter().chain(&gap.path).cloned().collect();
        self.document.diagnose(Severity::Error, gap.span, &path, problem).with_help(help)
    }

    /// Reads a node whose shape was checked. The message of a failure could hold a value, so it is not shown.
    fn read<T: serde::de::DeserializeOwned>(&self, node: &Node) -> Result<T, ServerFault> {
        serde_json::from_value(node.to_json())
            .map_err(|_| self.invalid(&ConfigFault::new(&[], "the entry has not the shape of a server")))
    }

    fn build(&self, id: ServerId, mut config: ServerConfig) -> Result<ServerSettings, ServerFault> {
        config.cwd = config.cwd.map(|folder| self.folder.join(folder));
        config.build(id).map_err(|faults| ServerFault::Invalid {
            diagnostics: faults.iter().map(|fault| placed(self.document, &self.path, fault)).collect(),
        })
    }
}

/// What agents are told of a server that cannot be started: the particulars are the operator's.
const FAULTY: &str = "its configuration is faulty";

/// Describes the servers, in their order, as agents are told of them.
fn roster(servers: &IndexMap<ServerId, Checked>, mut descriptions: HashMap<ServerId, String>) -> Roster {
    let configured = servers.iter().map(|(id, checked)| ConfiguredServer {
        id: id.clone(),
        description: descriptions.remove(id),
        reached: checked.as_ref().ok().map(reached),
        fault: checked.is_err().then(|| FAULTY.to_owned()),
    });
    Roster::new(configured.collect())
}

fn reached(settings: &ServerSettings) -> Reached {
    match settings.transport() {
        TransportSettings::Child(child) => Reached::Command(child.program().to_owned()),
        TransportSettings::Http(http) => Reached::Url(without_secrets(http.endpoint().url().clone())),
        TransportSettings::Builtin(_) => Reached::Builtin,
    }
}

fn without_secrets(mut url: Url) -> String {
    // A URL that was checked has a host, so neither can fail.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

/// Tells whether the entry says `enabled: false`, or `disabled: true` as clients do.
fn is_switched_off(server: &Node) -> bool {
    let says = |key: &str, word: bool| {
        server.entry(key).is_some_and(|entry| entry.value.to_json() == Value::Bool(word))
    };
    says("enabled", false) || says("disabled", true)
}
