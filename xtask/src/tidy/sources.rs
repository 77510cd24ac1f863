//! What a Rust file must look like from outside: its header, its length, its name.
//! What stands inside it is for clippy and for review.

use std::path::Path;

/// Lines at which a file certainly holds a second idea.
const LONGEST_FILE: usize = 1_000;

/// File names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helpers", "manager", "misc", "types", "mod"];

/// Returns one sentence for each rule the file breaks; nothing for what is not Rust.
pub(crate) fn faults(file: &Path, text: &str) -> Vec<String> {
    if file.extension().is_none_or(|extension| extension != "rs") {
        return Vec::new();
    }
    [header(file, text), length(file, text), name(file)].into_iter().flatten().collect()
}

fn header(file: &Path, text: &str) -> Option<String> {
    let broken = file.starts_with("crates") && !text.starts_with("//!");
    broken.then(|| {
        format!(
            "{}: open with `//!`: what it is for, what it does not do, where to look next",
            file.display()
        )
    })
}

fn length(file: &Path, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > LONGEST_FILE)
        .then(|| format!("{}: {lines} lines; find the second idea in it and move it out", file.display()))
}

fn name(file: &Path) -> Option<String> {
    let name = file.file_stem()?.to_str()?;
    let broken = EMPTY_NAMES.contains(&name);
    broken.then(|| {
        format!(
            "{}: `{name}` names nothing; use the file's main type or verb (and foo.rs + foo/)",
            file.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &str, text: &str, expected: &[&str]) {
        let faults = faults(Path::new(file), text);
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (fault, part) in faults.iter().zip(expected) {
            assert!(fault.contains(part), "{fault} should contain {part}");
        }
    }

    #[test]
    fn a_file_of_the_gateway_opens_with_its_header() {
        check("crates/domain/src/lib.rs", "//! Nouns.\n", &[]);
        check("crates/domain/src/lib.rs", "use std::fmt;\n", &["open with `//!`"]);
        check("tests/e2e/main.rs", "use std::fmt;\n", &[]);
    }

    #[test]
    fn a_long_file_is_refused() {
        check("bench/src/load.rs", &"\n".repeat(1_000), &[]);
        check("bench/src/load.rs", &"\n".repeat(1_001), &["1001 lines"]);
    }

    #[test]
    fn a_name_says_what_is_inside() {
        check("crates/domain/src/util.rs", "//! Things.\n", &["`util` names nothing"]);
        check("tests/e2e/mod.rs", "", &["`mod` names nothing"]);
        check("docs/types.md", "", &[]);
    }
}
