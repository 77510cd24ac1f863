//! Keys that mean nothing to us: comments, strangers, and misspellings of keys that would have restricted.

/// What a key that means nothing probably is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stranger<'k> {
    /// A comment: files without comments have them as keys that begin with `_`, `$`, `#` or `//`.
    Comment,
    /// Probably this key was meant, and without it nothing is granted that was not meant to be.
    Misspelled(&'k str),
    /// Probably this restriction was meant: what it would have taken away is not known.
    Restriction(&'k str),
    /// Nothing we know.
    Unknown,
}

/// Words by which other programs restrict.
const RESTRICTING: [&str; 14] = [
    "block",
    "blocked",
    "blocklist",
    "blacklist",
    "forbid",
    "forbidden",
    "exclude",
    "excluded",
    "disallow",
    "disallowed",
    "reject",
    "rejected",
    "restrict",
    "restricted",
];

/// Says what the unknown `key` probably is where the keys `known` may stand. Those of `restricting` take away: what
/// they are worth is lost when they are misspelled, or stand in the wrong place.
pub(super) fn classify<'k>(key: &str, known: &[&'k str], restricting: &[&'k str]) -> Stranger<'k> {
    if key.starts_with(['_', '$', '#']) || key.starts_with("//") {
        return Stranger::Comment;
    }
    let word = normalized(key);
    if let Some(restriction) = restricting.iter().find(|restriction| resembles(&word, restriction)) {
        return Stranger::Restriction(restriction);
    }
    if let Some(meant) = known.iter().find(|meant| is_close(&word, meant)) {
        return Stranger::Misspelled(meant);
    }
    if let Some(first) = restricting.first().filter(|_| RESTRICTING.contains(&word.as_str())) {
        return Stranger::Restriction(first);
    }
    Stranger::Unknown
}

/// Tells whether the word is close to the restriction, or has it as a part (`denied_tools`, `denyServers`).
fn resembles(word: &str, restriction: &str) -> bool {
    is_close(word, restriction)
        || word.contains(restriction)
        || (restriction == "deny" && ["denied", "denies"].iter().any(|form| word.contains(form)))
}

/// Tells whether the two are the same but for a slip: one for short words, two for longer ones.
pub(super) fn is_close(word: &str, meant: &str) -> bool {
    let slips = if meant.len() <= 4 { 1 } else { 2 };
    strsim::osa_distance(word, meant) <= slips
}

fn normalized(key: &str) -> String {
    key.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelled_restrictions_are_told_from_comments_and_strangers() {
        let agent = |key| classify(key, &["allow", "deny"], &["deny", "tools"]);
        for key in ["dney", "Deny", "denny", "deni", "denied", "deny_tools", "denyServers", "deny ", "DENY"] {
            assert_eq!(agent(key), Stranger::Restriction("deny"), "{key}");
        }
        for key in ["tool", "tools", "Tools", "allowed_tools", "toosl"] {
            assert_eq!(agent(key), Stranger::Restriction("tools"), "{key}");
        }
        for key in ["blocked", "disallow", "exclude", "forbidden"] {
            assert_eq!(agent(key), Stranger::Restriction("deny"), "{key}");
        }
        for key in ["alow", "Allow", "allows", "allow "] {
            assert_eq!(agent(key), Stranger::Misspelled("allow"), "{key}");
        }
        for key in ["description", "name", "owner", "roles", "notes", "title", "team", "desc", ""] {
            assert_eq!(agent(key), Stranger::Unknown, "{key}");
        }
        for key in ["_deny", "$schema", "//", "# off"] {
            assert_eq!(agent(key), Stranger::Comment, "{key}");
        }
    }
}
