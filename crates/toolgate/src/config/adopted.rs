//! Reads files of MCP clients (`.mcp.json` and its relatives) as they are found: comments, unknown keys and several
//! spellings are accepted with a warning. One bad server never stops the others.

use std::{collections::BTreeMap, path::Path, path::PathBuf};

use domain::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use upstream::config::{HttpTransport, ServerConfig};

use super::{
    build::Config,
    diagnostic::{Diagnostic, Severity},
    document::{Document, Entry, NodeValue},
    error::LoadError,
    find::{self, Source},
    jsonc,
    load::{Choices, Compat, Loaded, Surroundings},
    own, peer_validation, rules,
    servers::{Gathering, MAX_SERVERS},
    suggest,
};

/// Where clients keep their servers: most of them, and one editor.
const SERVER_KEYS: [&str; 2] = ["mcpServers", "servers"];
/// Keys beside the servers that mean nothing to us and need no warning.
const SILENT_KEYS: [&str; 2] = ["$schema", "inputs"];

/// One server as clients write it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AdoptedServer {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    /// agent-mcp-gateway's word, which it does not look at: a hint, where the rest of the entry bears it out.
    #[serde(default)]
    transport: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    command: Option<String>,
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    args: Vec<Secret<String>>,
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    env: BTreeMap<String, Secret<String>>,
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    cwd: Option<PathBuf>,
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    url: Option<Secret<String>>,
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    headers: BTreeMap<String, Secret<String>>,
    #[serde(default)]
    disabled: bool,
}

/// What a server's `type` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A child process.
    Stdio,
    /// Streamable HTTP.
    Http,
    /// The HTTP transport of 2024-11-05.
    Sse,
}

// === impl AdoptedServer ===

impl AdoptedServer {
    /// Reads `type` in the spellings that are found.
    ///
    /// # Errors
    /// The word, when it is none of them.
    pub(super) fn kind(&self) -> Result<Option<Kind>, &str> {
        match &self.kind {
            Some(word) => Kind::of_word(word).map(Some).ok_or(word),
            None => {
                let hint = self.transport.as_deref().and_then(Kind::of_word);
                Ok(hint.filter(|kind| self.lacks(Some(*kind)).is_none()))
            }
        }
    }

    /// Returns the key that `kind` needs and the entry lacks.
    pub(super) fn lacks(&self, kind: Option<Kind>) -> Option<&'static str> {
        match kind? {
            Kind::Stdio if self.command.is_none() => Some("command"),
            Kind::Http | Kind::Sse if self.url.is_none() => Some("url"),
            Kind::Stdio | Kind::Http | Kind::Sse => None,
        }
    }

    /// Returns the same server in our own words. Of `command` and `url` the one that `type` does not speak of is
    /// dropped: some clients keep both.
    pub(super) fn into_own(self, kind: Option<Kind>) -> ServerConfig {
        let (speaks_of_command, speaks_of_url) = match kind {
            None => (true, true),
            Some(Kind::Stdio) => (true, false),
            Some(Kind::Http | Kind::Sse) => (false, true),
        };
        let own: ServerConfig =
            serde_json::from_value(serde_json::json!({})).expect("every key has a default");
        ServerConfig {
            command: self.command.filter(|_| speaks_of_command),
            args: if speaks_of_command { self.args } else { Vec::new() },
            env: if speaks_of_command { self.env } else { BTreeMap::new() },
            cwd: self.cwd.filter(|_| speaks_of_command),
            url: self.url.filter(|_| speaks_of_url),
            transport: (kind == Some(Kind::Sse)).then_some(HttpTransport::Sse),
            headers: if speaks_of_url { self.headers } else { BTreeMap::new() },
            enabled: !self.disabled,
            description: self.description,
            ..own
        }
    }
}

// === impl Kind ===

impl Kind {
    fn of_word(word: &str) -> Option<Self> {
        let plain: String = word.chars().filter(|c| !matches!(c, '-' | '_')).collect();
        match plain.to_ascii_lowercase().as_str() {
            "stdio" | "local" => Some(Self::Stdio),
            "http" | "streamablehttp" | "remote" => Some(Self::Http),
            "sse" => Some(Self::Sse),
            _ => None,
        }
    }
}

/// Loads the client's file at `path` as the whole configuration.
pub(super) fn load(path: &Path, choices: &Choices, around: &Surroundings<'_>) -> Result<Loaded, LoadError> {
    let loaded = load_whole(path, choices, around);
    match choices.compat {
        Compat::Toolgate => loaded,
        Compat::AgentMcpGateway => loaded.map_err(LoadError::in_words_of_peer),
    }
}

fn load_whole(path: &Path, choices: &Choices, around: &Surroundings<'_>) -> Result<Loaded, LoadError> {
    let document = read(path, around)?;
    if own::is_own(document.root()) {
        return own::load(path, &document, choices, around);
    }
    if choices.compat == Compat::AgentMcpGateway {
        peer_validation::mcp_config(&document.root().to_json())
            .map_err(|problem| LoadError::refused_by_peer(&problem))?;
    }
    let config = Config::without_file(choices, around)?;
    let mut gathering = Gathering::new(&config, choices, around);
    gather(path, &document, &mut gathering, around)?;
    let rules = rules::load_found(Some(path), choices, around)?;
    Ok(gathering.finish(config, Source::Adopted(path.to_owned()), &[], rules))
}

/// Adds the servers of the client's file at `path` to those gathered before.
pub(super) fn include(
    path: &Path,
    gathering: &mut Gathering<'_>,
    around: &Surroundings<'_>,
) -> Result<(), LoadError> {
    let document = read(path, around)?;
    gather(path, &document, gathering, around)
}

fn read(path: &Path, around: &Surroundings<'_>) -> Result<Document, LoadError> {
    let text = find::read(path, around)?;
    jsonc::read(&path.display().to_string(), text).map_err(|fault| own::refused(vec![*fault]))
}

fn gather(
    path: &Path,
    document: &Document,
    gathering: &mut Gathering<'_>,
    around: &Surroundings<'_>,
) -> Result<(), LoadError> {
    let folder = own::folder_of(path, around);
    let servers = servers_entry(document, gathering)?;
    for entry in servers.map_or(&[][..], |servers| servers.value.entries()) {
        let key = servers.map_or("", |servers| servers.key.as_str());
        gathering.take_adopted(document, key, entry, &folder);
    }
    Ok(())
}

/// Finds the map of servers, and warns of what else the file holds.
fn servers_entry<'a>(
    document: &'a Document,
    gathering: &mut Gathering<'_>,
) -> Result<Option<&'a Entry>, LoadError> {
    let root = document.root();
    if !matches!(root.value, NodeValue::Map(_)) {
        return Err(refuse(document, &[], "a map of keys belongs here".to_owned()));
    }
    let servers = SERVER_KEYS.iter().find_map(|key| root.entry(key));
    for entry in root.entries() {
        let is_servers = servers.is_some_and(|servers| servers.key == entry.key);
        if !is_servers && !SILENT_KEYS.contains(&entry.key.as_str()) {
            gathering.warn(unused_key(document, entry));
        }
    }
    match servers {
        Some(servers) => checked_entry(document, servers).map(Some),
        None => {
            gathering.warn(no_servers(document));
            Ok(None)
        }
    }
}

fn checked_entry<'a>(document: &Document, servers: &'a Entry) -> Result<&'a Entry, LoadError> {
    let path = [servers.key.clone()];
    match &servers.value.value {
        NodeValue::Map(entries) if entries.len() > MAX_SERVERS => {
            let problem = format!("{} entries, and at most {MAX_SERVERS} are accepted", entries.len());
            Err(refuse(document, &path, problem))
        }
        NodeValue::Map(_) => Ok(servers),
        NodeValue::Null
        | NodeValue::Bool(_)
        | NodeValue::Integer(_)
        | NodeValue::Float(_)
        | NodeValue::Text(_)
        | NodeValue::List(_) => Err(refuse(document, &path, "a map of servers belongs here".to_owned())),
    }
}

fn refuse(document: &Document, path: &[String], problem: String) -> LoadError {
    own::refused(vec![document.diagnose(Severity::Error, document.locate(path), path, problem)])
}

fn no_servers(document: &Document) -> Diagnostic {
    let span = document.locate(&[]);
    document
        .diagnose(Severity::Warning, span, &[], "there are no `mcpServers` in this file")
        .with_help("write for example `{\"mcpServers\": {\"memory\": {\"command\": \"npx\"}}}`")
}

fn unused_key(document: &Document, entry: &Entry) -> Diagnostic {
    let path = [entry.key.clone()];
    let problem = format!("the key `{}` is not used", entry.key);
    let warning = document.diagnose(Severity::Warning, entry.key_span, &path, problem);
    match suggest::closest(&entry.key, &SERVER_KEYS) {
        Some(meant) if meant != entry.key => warning.with_help(format!("did you mean `{meant}`?")),
        Some(_) | None => warning,
    }
}
