//! Finds the configuration and reads its text. One file counts; what lies beside it and is not used is named.

use std::{
    fs::File,
    io::Read as _,
    path::{Component, Path, PathBuf},
};

use crate::peer_variables;

use super::{
    diagnostic::Diagnostic,
    error::LoadError,
    load::{Choices, Surroundings},
};

/// Largest file that is read: ten times what a thousand servers need.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Our own file, in the working directory.
const OWN_NAMES: [&str; 2] = ["toolgate.yaml", "toolgate.yml"];
/// The file that MCP clients keep in a project.
pub(super) const ADOPTED_NAME: &str = ".mcp.json";
/// Rules of agent-mcp-gateway, which lie beside it.
const RULES_NAME: &str = ".mcp-gateway-rules.json";
/// Where agent-mcp-gateway is told its servers' file.
const ADOPTED_VARIABLE: &str = "GATEWAY_MCP_CONFIG";
/// Where agent-mcp-gateway is told its rules' file.
const RULES_VARIABLE: &str = "GATEWAY_RULES";
/// Where agent-mcp-gateway keeps both for a whole account, under the home folder.
const PEER_FOLDER: &str = ".config/agent-mcp-gateway";
/// Where it looks last, under the working directory.
const CONFIG_FOLDER: &str = "config";

/// Where a configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A `toolgate.yaml`.
    Own(PathBuf),
    /// A file of an MCP client, such as `.mcp.json`.
    Adopted(PathBuf),
    /// No file: the built-in demo server.
    Builtin,
}

impl Source {
    /// Returns the file, if there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Own(path) | Self::Adopted(path) => Some(path),
            Self::Builtin => None,
        }
    }
}

/// Finds the file: the chosen one, else the working directory's, else what the environment names, else none.
pub(super) fn find(chosen: Option<&Path>, around: &Surroundings<'_>) -> Source {
    if let Some(chosen) = chosen {
        return by_name(chosen);
    }
    if let Some(own) = OWN_NAMES.iter().find(|name| around.folder.join(name).is_file()) {
        return Source::Own(PathBuf::from(own));
    }
    match find_servers_of_peer(around) {
        Some(path) => by_name(&path),
        None => Source::Builtin,
    }
}

/// Finds the rules: the chosen file, else what the environment names, else beside the servers' file, else in the places
/// of agent-mcp-gateway. A file that is named counts whether or not it is there.
pub(crate) fn find_rules(
    chosen: Option<&Path>,
    servers: Option<&Path>,
    around: &Surroundings<'_>,
) -> Option<PathBuf> {
    if let Some(chosen) = chosen {
        return Some(chosen.to_owned());
    }
    let named = named_by(RULES_VARIABLE, around);
    let beside = || servers.and_then(|file| beside(file, around));
    named.or_else(beside).or_else(|| find_of_peer(RULES_VARIABLE, RULES_NAME, around))
}

/// Finds the servers' file where agent-mcp-gateway finds it.
pub(crate) fn find_servers_of_peer(around: &Surroundings<'_>) -> Option<PathBuf> {
    find_of_peer(ADOPTED_VARIABLE, ADOPTED_NAME, around)
}

/// Returns every file that decides about the configuration, or would if it were there: what a change of has to be looked
/// at. Absolute paths.
pub(super) fn candidates(choices: &Choices, used: &[PathBuf], around: &Surroundings<'_>) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = used.to_vec();
    if choices.file.is_none() {
        files.extend(OWN_NAMES.iter().map(PathBuf::from));
        files.extend(places(ADOPTED_NAME, around));
    }
    if choices.rules.is_none() {
        files.extend(places(RULES_NAME, around));
    }
    let mut files: Vec<PathBuf> = files.into_iter().map(|file| plain(&around.folder.join(file))).collect();
    files.sort();
    files.dedup();
    files
}

/// Looks where agent-mcp-gateway looks: the variable, the working directory, the home folder, the folder `config`.
fn find_of_peer(variable: &'static str, name: &str, around: &Surroundings<'_>) -> Option<PathBuf> {
    let found = || places(name, around).into_iter().find(|place| is_there(&around.folder.join(place)));
    named_by(variable, around).or_else(found)
}

fn places(name: &str, around: &Surroundings<'_>) -> Vec<PathBuf> {
    let home = home(around).map(|home| home.join(PEER_FOLDER).join(name));
    [PathBuf::from(name)].into_iter().chain(home).chain([Path::new(CONFIG_FOLDER).join(name)]).collect()
}

fn named_by(variable: &'static str, around: &Surroundings<'_>) -> Option<PathBuf> {
    peer_variables::file_named_by(variable, around.variable)
}

/// Returns the variable to blame when the file at `path` is not there.
fn variable_that_names(path: &Path, around: &Surroundings<'_>) -> Option<&'static str> {
    let variables = [ADOPTED_VARIABLE, RULES_VARIABLE];
    variables.into_iter().find(|variable| named_by(variable, around).as_deref() == Some(path))
}

fn home(around: &Surroundings<'_>) -> Option<PathBuf> {
    (around.variable)("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// Tells whether something stands at `path`, whatever it is: a link that leads nowhere, or a folder that cannot be looked
/// into, must be refused when it is read, and not passed over as if there were no rules.
fn is_there(path: &Path) -> bool {
    !matches!(path.symlink_metadata(), Err(error) if error.kind() == std::io::ErrorKind::NotFound)
}

/// Rules that lie beside a chosen file of servers belong to it: to pass them over would open what they close.
fn beside(servers: &Path, around: &Surroundings<'_>) -> Option<PathBuf> {
    let rules = servers.with_file_name(RULES_NAME);
    is_there(&around.folder.join(&rules)).then_some(rules)
}

/// Names what lies there and is not used. `included` are the files that the configuration names itself.
pub(super) fn ignored(
    source: &Source,
    included: &[PathBuf],
    rules: Option<&Path>,
    around: &Surroundings<'_>,
) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    let is_used = |path: &Path| {
        let used = source.path().into_iter().chain(included.iter().map(PathBuf::as_path));
        used.map(|used| around.folder.join(used)).any(|used| same_file(&used, path))
    };
    let adopted = around.folder.join(ADOPTED_NAME);
    if adopted.is_file() && !is_used(&adopted) {
        warnings.push(
            Diagnostic::warning(format!("`{ADOPTED_NAME}` is ignored: another configuration is used"))
                .with_help(format!(
                    "write `include: [{ADOPTED_NAME}]` in `toolgate.yaml` to adopt its servers"
                )),
        );
    }
    if let Some(named) = named_by(ADOPTED_VARIABLE, around)
        && !is_used(&around.folder.join(&named))
    {
        warnings.push(Diagnostic::warning(format!(
            "{ADOPTED_VARIABLE} is ignored: another configuration is used"
        )));
    }
    let is_applied = |path: &Path| rules.is_some_and(|rules| same_file(&around.folder.join(rules), path));
    if let Some(named) = named_by(RULES_VARIABLE, around)
        && !is_applied(&around.folder.join(&named))
    {
        warnings
            .push(Diagnostic::warning(format!("{RULES_VARIABLE} is ignored: other rules are used, or none")));
    }
    let beside = around.folder.join(RULES_NAME);
    if beside.is_file() && !is_applied(&beside) {
        warnings.push(
            Diagnostic::warning(format!("`{RULES_NAME}` is ignored: other rules are used, or none"))
                .with_help(format!("write `rules_file: {RULES_NAME}` in `toolgate.yaml` to apply it")),
        );
    }
    warnings
}

/// Reads the file at `path`, which is relative to the working directory.
pub(super) fn read(path: &Path, around: &Surroundings<'_>) -> Result<String, LoadError> {
    let unreadable = |source| LoadError::Unreadable {
        path: path.to_owned(),
        named_by: variable_that_names(path, around),
        source,
    };
    let file = File::open(around.folder.join(path)).map_err(unreadable)?;
    let mut text = String::new();
    let length = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if length as u64 > MAX_FILE_BYTES {
        return Err(LoadError::TooLarge { path: path.to_owned(), limit: MAX_FILE_BYTES });
    }
    // Some editors begin a file with a byte order mark.
    Ok(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned))
}

/// Returns the path without steps that lead nowhere (`/./`).
pub(super) fn plain(path: &Path) -> PathBuf {
    path.components().filter(|component| *component != Component::CurDir).collect()
}

fn by_name(path: &Path) -> Source {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let is_json = extension.eq_ignore_ascii_case("json") || extension.eq_ignore_ascii_case("jsonc");
    if is_json { Source::Adopted(path.to_owned()) } else { Source::Own(path.to_owned()) }
}

/// Tells whether both paths lead to one file.
pub(crate) fn same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        (Ok(_) | Err(_), Err(_)) | (Err(_), Ok(_)) => one == other,
    }
}
