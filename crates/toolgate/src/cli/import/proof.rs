//! Reads what is about to be written as the gateway would: a file that it refuses is never put in place.

use std::{env, fs, path::Path};

use super::{super::CliError, OWN_NAME, variable};
use crate::config::{self, Choices, LoadError, Loaded, Surroundings};

/// A server that will be left out as things are.
#[derive(Debug)]
pub(in crate::cli) struct Fault {
    pub(in crate::cli) server: String,
    pub(in crate::cli) reason: String,
}

/// Loads `text` as the `toolgate.yaml` of `folder`. Returns the servers that cannot be used as things are, a missing
/// variable among the reasons.
///
/// # Errors
/// [`CliError`] when the whole file would be refused.
pub(in crate::cli) fn check(text: &str, folder: &Path, state_dir: &Path) -> Result<Vec<Fault>, CliError> {
    let unusable =
        |error: &dyn std::fmt::Display| CliError::Gateway(format!("the result cannot be checked: {error}"));
    // Private to this person, as temporary folders are: the text may hold secrets.
    let place =
        tempfile::Builder::new().prefix("toolgate-import-").tempdir().map_err(|error| unusable(&error))?;
    let file = place.path().join(OWN_NAME);
    fs::write(&file, text).map_err(|error| unusable(&error))?;
    let program = env::current_exe().ok();
    let around = Surroundings { folder, variable: &variable, program: program.as_deref(), state_dir };
    match config::load(&Choices { file: Some(file), ..Choices::default() }, &around) {
        Ok(loaded) => Ok(faults(&loaded)),
        Err(LoadError::Refused { faults, .. }) => {
            let problems: Vec<String> =
                faults.iter().map(|fault| format!("{}: {}", fault.path(), fault.problem())).collect();
            Err(CliError::Gateway(format!(
                "the result would be refused, so nothing is written: {}",
                problems.join("; ")
            )))
        }
        Err(error) => Err(unusable(&error)),
    }
}

fn faults(loaded: &Loaded) -> Vec<Fault> {
    let faulty = loaded.servers.iter().filter_map(|(id, checked)| Some((id, checked.as_ref().err()?)));
    faulty.map(|(id, fault)| Fault { server: id.to_string(), reason: fault.to_string() }).collect()
}
