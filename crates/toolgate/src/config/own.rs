//! Reads `toolgate.yaml`: strict, every fault at once. Only what is wrong inside one server stays with that server.

use std::path::{Path, PathBuf};

use super::{
    adopted,
    build::Config,
    diagnostic::{Diagnostic, Severity},
    document::{Document, Node, NodeValue},
    error::LoadError,
    find::{self, Source},
    load::{Choices, Loaded, Surroundings},
    rules::{self, Written},
    servers::{Gathering, MAX_SERVERS},
    shape::{self, Misfit},
    written::{self, GatewayConfig},
    yaml,
};

/// Adopted files in one configuration.
const MAX_INCLUDES: usize = 32;

/// Loads the YAML file at `path`.
pub(super) fn load_yaml(
    path: &Path,
    choices: &Choices,
    around: &Surroundings<'_>,
) -> Result<Loaded, LoadError> {
    let text = find::read(path, around)?;
    let document = yaml::read(&path.display().to_string(), text).map_err(|fault| refused(vec![*fault]))?;
    load(path, &document, choices, around)
}

/// Loads what `document`, the file at `path`, says.
pub(super) fn load(
    path: &Path,
    document: &Document,
    choices: &Choices,
    around: &Surroundings<'_>,
) -> Result<Loaded, LoadError> {
    let written = read_shape(document).map_err(refused)?;
    let folder = folder_of(path, around);
    let (includes, rules_file) = (written.include.clone(), written.rules_file.clone());
    let choices = &written.chosen(choices);
    let config = Config::of_document(written, document, &folder, choices, around).map_err(refused)?;
    let mut rules = rules_of(document, rules_file.as_deref(), &folder, choices, around)?;
    if let Some(rules) = &mut rules {
        rules.warn_of_unknown_token_agents(&config.tokens, document);
    }

    let mut gathering = Gathering::new(&config, choices, around);
    let servers = document.root().entry("servers").map_or(&[][..], |servers| servers.value.entries());
    let mut faults = servers_faults(document, servers.len(), includes.len());
    for entry in servers {
        if let Err(fault) = gathering.take_own(document, entry, &folder) {
            faults.push(*fault);
        }
    }
    let mut included = Vec::new();
    for (index, include) in includes.iter().take(MAX_INCLUDES).enumerate() {
        let file = relative_to(&folder, include, around);
        match adopted::include(&file, &mut gathering, around) {
            Ok(()) => included.push(file),
            Err(error) => faults.extend(include_faults(document, index, error)),
        }
    }
    if !faults.is_empty() {
        return Err(LoadError::Refused { faults, warnings: gathering.into_warnings() });
    }
    gathering.warn_of_unknown_servers(&config, document);
    Ok(gathering.finish(config, Source::Own(path.to_owned()), &included, rules))
}

/// Reads the rules: of the chosen file, else of the section, else of the file that `rules_file` names.
fn rules_of(
    document: &Document,
    rules_file: Option<&str>,
    folder: &Path,
    choices: &Choices,
    around: &Surroundings<'_>,
) -> Result<Option<Written>, LoadError> {
    if let Some(chosen) = &choices.rules {
        return rules::read_file(chosen, choices.compat, around).map(Some);
    }
    match (rules::read_section(document), rules_file) {
        (Some(_), Some(_)) => {
            let path = ["rules_file".to_owned()];
            let problem = "`rules` and `rules_file` cannot both be given";
            Err(refused(vec![document.diagnose(Severity::Error, document.locate(&path), &path, problem)]))
        }
        (Some(section), None) => section.map(Some).map_err(refused),
        (None, Some(file)) => {
            rules::read_file(&relative_to(folder, file, around), choices.compat, around).map(Some)
        }
        (None, None) => Ok(None),
    }
}

/// Compares the tree with the schema, and reads it into our types.
fn read_shape(document: &Document) -> Result<GatewayConfig, Vec<Diagnostic>> {
    let root = document.root();
    let schema = written::schema();
    let misfits = shape::check(root, &schema, &[], document.locate(&[]));
    if !misfits.is_empty() {
        return Err(misfits.iter().map(|misfit| diagnose(document, Severity::Error, misfit)).collect());
    }
    serde_json::from_value(root.to_json()).map_err(|error| {
        // The schema is made from the very types, so this is a gap between them. It must still not pass.
        vec![document.diagnose(Severity::Error, document.locate(&[]), &[], error.to_string())]
    })
}

/// Shows what does not fit.
pub(super) fn diagnose(document: &Document, severity: Severity, misfit: &Misfit) -> Diagnostic {
    let diagnostic = document.diagnose(severity, misfit.span, &misfit.path, misfit.problem.clone());
    match &misfit.help {
        Some(help) => diagnostic.with_help(help.clone()),
        None => diagnostic,
    }
}

/// Refuses a file for its faults, which are put in its order.
pub(super) fn refused(mut faults: Vec<Diagnostic>) -> LoadError {
    faults.sort_by_key(Diagnostic::position);
    LoadError::Refused { faults, warnings: Vec::new() }
}

/// Returns the folder in which the file lies, absolute.
pub(super) fn folder_of(path: &Path, around: &Surroundings<'_>) -> PathBuf {
    let folder = around.folder.join(path);
    folder.parent().map_or_else(|| around.folder.to_owned(), find::plain)
}

/// Returns the path as a person would write it from the working directory.
fn relative_to(folder: &Path, include: &str, around: &Surroundings<'_>) -> PathBuf {
    let file = find::plain(&folder.join(include));
    file.strip_prefix(around.folder).map_or_else(|_| file.clone(), Path::to_owned)
}

fn servers_faults(document: &Document, servers: usize, includes: usize) -> Vec<Diagnostic> {
    let bounds = [("servers", servers, MAX_SERVERS), ("include", includes, MAX_INCLUDES)];
    let exceeded = bounds.into_iter().filter(|(_, count, most)| count > most);
    exceeded
        .map(|(key, count, most)| {
            let path = [key.to_owned()];
            let problem = format!("{count} entries, and at most {most} are accepted");
            document.diagnose(Severity::Error, document.locate(&path), &path, problem)
        })
        .collect()
}

fn include_faults(document: &Document, index: usize, error: LoadError) -> Vec<Diagnostic> {
    match error {
        LoadError::Refused { faults, .. } => faults,
        LoadError::Unreadable { .. } | LoadError::TooLarge { .. } | LoadError::Peer(_) => {
            let path = ["include".to_owned(), index.to_string()];
            let fault = document.diagnose(Severity::Error, document.locate(&path), &path, error.to_string());
            let help = "take the file out of `include`, or name one that can be read; paths begin at the folder of this file";
            vec![fault.with_help(help)]
        }
    }
}

/// Tells whether a file with the name of a client's file is one of ours: it says so by its version.
pub(super) fn is_own(root: &Node) -> bool {
    let has = |key: &str| root.entry(key).is_some();
    matches!(root.value, NodeValue::Map(_)) && has("version") && !has("mcpServers")
}
