//! Which variables a child sees: a short list of ours, and what is declared for it. Everything else stays with us,
//! because a gateway's environment holds the secrets of other servers.

use std::{collections::BTreeMap, ffi::OsString};

use super::{Command, SpawnError};

/// Variables that programs need to find themselves, their user and their language.
const INHERITED: [&str; 8] = ["HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER"];
/// The family of locale variables is inherited as a whole.
const INHERITED_PREFIX: &str = "LC_";

/// A complete environment.
pub(super) type Environment = BTreeMap<OsString, OsString>;

/// Keeps of `ours` what every child may see.
pub(super) fn inherited(ours: impl Iterator<Item = (OsString, OsString)>) -> Environment {
    ours.filter(|(name, _)| name.to_str().is_some_and(is_inherited)).collect()
}

/// Adds what `command` declares to the inherited variables.
///
/// # Errors
/// [`SpawnError::Environment`] for a name or value that no process can be given.
pub(super) fn for_child(inherited: &Environment, command: &Command) -> Result<Environment, SpawnError> {
    let mut environment = inherited.clone();
    for (name, value) in &command.env {
        let sound_name = !name.is_empty() && !name.contains(['=', '\0']);
        if !sound_name || value.expose().contains('\0') {
            return Err(SpawnError::Environment { name: name.escape_debug().to_string() });
        }
        environment.insert(name.into(), value.expose().into());
    }
    Ok(environment)
}

fn is_inherited(name: &str) -> bool {
    INHERITED.contains(&name) || name.starts_with(INHERITED_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Secret;

    fn os(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn command(env: &[(&str, &str)]) -> Command {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), Secret::new((*value).to_owned())));
        Command { program: "p".to_owned(), args: Vec::new(), cwd: None, env: env.collect() }
    }

    #[test]
    fn only_the_listed_variables_are_inherited() {
        let ours = os(&[
            ("PATH", "/bin"),
            ("LC_ALL", "C"),
            ("HOME", "/h"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("LCX", "x"),
            ("PATHS", "x"),
        ]);
        assert_eq!(inherited(ours.into_iter()), os(&[("HOME", "/h"), ("LC_ALL", "C"), ("PATH", "/bin")]));
    }

    #[test]
    fn declared_variables_win() {
        let child =
            for_child(&os(&[("PATH", "/bin"), ("USER", "u")]), &command(&[("PATH", "/opt")])).unwrap();
        assert_eq!(child, os(&[("PATH", "/opt"), ("USER", "u")]));
    }

    #[test]
    fn impossible_variables_are_refused_by_name_and_without_value() {
        for (name, value) in [("", "v"), ("A=B", "v"), ("A\0", "v"), ("A", "hunter2\0")] {
            let refusal = for_child(&Environment::new(), &command(&[(name, value)])).unwrap_err().to_string();
            assert!(!refusal.contains("hunter2"), "{refusal}");
        }
    }
}
