//! Reads a Dockerfile as far as ours goes: instructions of the last stage, one a line, lists in JSON.

use std::{collections::BTreeMap, fs, path::Path};

/// The last stage of a Dockerfile.
pub(crate) struct Dockerfile(Vec<(String, String)>);

/// `COPY --from=STAGE [--chown=USER:GROUP] SOURCE TARGET`
pub(crate) struct Copy {
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) is_owned_by_user: bool,
}

impl Dockerfile {
    pub(crate) fn read(folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join("Dockerfile")).expect("readable");
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        let text = lines.join("\n").replace("\\\n", " ");
        let instruction = |line: &str| {
            let (name, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            (name.to_owned(), rest.trim().to_owned())
        };
        let all: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).map(instruction).collect();
        let last = all.iter().rposition(|(name, _)| name == "FROM").expect("a stage");
        assert_eq!(all[last].1, "scratch", "nothing else is in the image");
        Self(all[last + 1..].to_vec())
    }

    /// Returns what stands behind an instruction that is there once.
    pub(crate) fn one(&self, name: &str) -> &str {
        let mut found = self.0.iter().filter(|(instruction, _)| instruction == name);
        let (_, rest) = found.next().unwrap_or_else(|| panic!("{name} is missing"));
        assert!(found.next().is_none(), "{name} is there twice");
        rest
    }

    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        serde_json::from_str(self.one(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        let pair = |word: &str| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.one("ENV").split_whitespace().map(|word| pair(word).expect("NAME=value")).collect()
    }

    pub(crate) fn user(&self) -> (u32, u32) {
        let (user, group) = self.one("USER").split_once(':').expect("user and group");
        (user.parse().expect("a number"), group.parse().expect("a number"))
    }

    pub(crate) fn copies(&self) -> Vec<Copy> {
        let copies = self.0.iter().filter(|(name, _)| name == "COPY");
        copies.map(|(_, rest)| self.copy(rest)).collect()
    }

    fn copy(&self, rest: &str) -> Copy {
        let (options, paths): (Vec<&str>, Vec<&str>) =
            rest.split_whitespace().partition(|word| word.starts_with("--"));
        assert!(options.contains(&"--from=build"), "{rest}");
        let [source, target] = paths[..] else { panic!("{rest}") };
        let owner = options.iter().find_map(|option| option.strip_prefix("--chown="));
        assert!(owner.is_none_or(|owner| owner == self.one("USER")), "{rest}");
        Copy { source: source.to_owned(), target: target.to_owned(), is_owned_by_user: owner.is_some() }
    }
}
