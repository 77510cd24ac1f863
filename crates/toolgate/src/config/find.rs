//! Finds the configuration and reads its text. One file counts; what lies beside it and is not used is named.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use super::{diagnostic::Diagnostic, error::LoadError, load::Surroundings};

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
    if let Some(named) = (around.variable)(ADOPTED_VARIABLE).filter(|named| !named.is_empty()) {
        return by_name(Path::new(&named));
    }
    if around.folder.join(ADOPTED_NAME).is_file() {
        return Source::Adopted(PathBuf::from(ADOPTED_NAME));
    }
    Source::Builtin
}

/// Names what lies there and is not used. `included` are the files that the configuration names itself.
pub(super) fn ignored(source: &Source, included: &[PathBuf], around: &Surroundings<'_>) -> Vec<Diagnostic> {
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
    if let Some(named) = (around.variable)(ADOPTED_VARIABLE).filter(|named| !named.is_empty())
        && !is_used(&around.folder.join(&named))
    {
        warnings.push(Diagnostic::warning(format!(
            "{ADOPTED_VARIABLE} is ignored: another configuration is used"
        )));
    }
    if around.folder.join(RULES_NAME).is_file() {
        warnings.push(
            Diagnostic::warning(format!("`{RULES_NAME}` is ignored: this version applies no rules from it"))
                .with_help(
                    "limit callers with access tokens: `toolgate token create --agent NAME --server SERVER`",
                ),
        );
    }
    warnings
}

/// Reads the file at `path`, which is relative to the working directory.
pub(super) fn read(path: &Path, around: &Surroundings<'_>) -> Result<String, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    let file = File::open(around.folder.join(path)).map_err(unreadable)?;
    let mut text = String::new();
    let length = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if length as u64 > MAX_FILE_BYTES {
        return Err(LoadError::TooLarge { path: path.to_owned(), limit: MAX_FILE_BYTES });
    }
    // Some editors begin a file with a byte order mark.
    Ok(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned))
}

fn by_name(path: &Path) -> Source {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let is_json = extension.eq_ignore_ascii_case("json") || extension.eq_ignore_ascii_case("jsonc");
    if is_json { Source::Adopted(path.to_owned()) } else { Source::Own(path.to_owned()) }
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        (Ok(_) | Err(_), Err(_)) | (Err(_), Ok(_)) => one == other,
    }
}
