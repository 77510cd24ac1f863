//! Keeps the host names of package registries out of the repository: which mirror a machine uses is that machine's affair.
//! `Cargo.lock` is excepted, because cargo writes the index's address into it.

use std::path::Path;

/// The hosts, in two pieces each so that this file does not contain what it forbids.
const HOSTS: &[[&str; 2]] = &[
    ["crates", ".io"],
    ["registry.npmjs", ".org"],
    ["npmjs", ".com"],
    ["pypi", ".org"],
    ["pythonhosted", ".org"],
    ["deb.debian", ".org"],
    ["proxy.golang", ".org"],
];

/// Returns one sentence for each line that names such a host.
pub(crate) fn faults(file: &Path, text: &str) -> Vec<String> {
    if file.ends_with("Cargo.lock") {
        return Vec::new();
    }
    let hosts: Vec<String> = HOSTS.iter().map(|pieces| pieces.concat()).collect();
    let named = |line: &str| hosts.iter().find(|host| line.to_ascii_lowercase().contains(*host));
    let found = text.lines().enumerate().filter_map(|(index, line)| Some((index + 1, named(line)?)));
    found
        .map(|(line, host)| {
            format!(
                "{}:{line}: names the registry host {host}; say the registry's name or nothing",
                file.display()
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_host_is_found_with_its_line() {
        let text = format!("one\nsee {}{}/serde\n", "Crates", ".io");
        let faults = faults(Path::new("README.md"), &text);
        assert_eq!(faults.len(), 1);
        assert!(faults[0].starts_with("README.md:2: "), "{faults:?}");
    }

    #[test]
    fn cargos_own_lock_file_is_excepted() {
        let text = ["crates", ".io"].concat();
        assert_eq!(faults(Path::new("Cargo.lock"), &text), [""; 0]);
        assert_eq!(faults(Path::new("tests/env/package-lock.json"), &text).len(), 1);
    }
}
