//! Matches URIs against resource templates (RFC 6570) well enough to find the owner; expansion is the client's.

/// A URI template, taken apart into its literal pieces. Templates that differ in the names of their variables alone are
/// equal: they have the same expansions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Template {
    literals: Vec<String>,
}

impl Template {
    /// Takes a template apart. An unclosed brace is a literal.
    pub(crate) fn new(template: &str) -> Self {
        let mut literals = Vec::new();
        let mut rest = template;
        while let Some((literal, tail)) = rest.split_once('{') {
            let Some((_, after)) = tail.split_once('}') else { break };
            literals.push(literal.to_owned());
            rest = after;
        }
        literals.push(rest.to_owned());
        Self { literals }
    }

    /// Returns what every expansion begins with.
    pub(crate) fn beginning(&self) -> &str {
        self.literals.first().map_or("", String::as_str)
    }

    /// Tells whether something can be an expansion of both. Between what the first pieces and the last ones say there is
    /// room for whatever either wants in its middle.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        match (self.literals.as_slice(), other.literals.as_slice()) {
            ([only], _) => other.matches(only),
            (_, [only]) => self.matches(only),
            ([first, .., last], [other_first, .., other_last]) => {
                let begins =
                    first.starts_with(other_first.as_str()) || other_first.starts_with(first.as_str());
                let ends = last.ends_with(other_last.as_str()) || other_last.ends_with(last.as_str());
                begins && ends
            }
            ([], _) | (_, []) => false,
        }
    }

    /// Tells whether every expansion begins with `prefix`.
    pub(crate) fn begins(&self, prefix: &str) -> bool {
        self.beginning().starts_with(prefix)
    }

    /// Tells whether `uri` can be an expansion: its literal pieces occur in order, the first and last at the ends.
    pub(crate) fn matches(&self, uri: &str) -> bool {
        let [first, middle @ .., last] = self.literals.as_slice() else {
            return self.literals.first().is_some_and(|literal| literal == uri);
        };
        let Some(mut rest) =
            uri.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str()))
        else {
            return false;
        };
        for literal in middle {
            let Some(found) = rest.find(literal.as_str()) else { return false };
            rest = &rest[found + literal.len()..];
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        let cases = [
            ("note://{id}", "note://7", true),
            ("note://{id}", "other://7", false),
            ("a://{x}/b/{y}.json", "a://1/b/2.json", true),
            ("a://{x}/b/{y}.json", "a://1/c/2.json", false),
            ("a://b", "a://b", true),
            ("a://b", "a://bc", false),
            ("a://{x", "a://{x", true),
            ("{+path}", "file:///x", true),
        ];
        for (template, uri, expected) in cases {
            assert_eq!(Template::new(template).matches(uri), expected, "{template} {uri}");
        }
    }

    #[test]
    fn overlaps() {
        let cases = [
            ("note://{id}", "note://{name}", true),
            ("note://{id}", "note://x/{name}", true),
            ("note://{id}/text", "note://{id}/blob", false),
            ("note://{id}", "other://{id}", false),
            ("a{x}bc{y}", "{z}cb{w}d", true),
            ("{+x}", "file:///a", true),
            ("file:///a", "file:///a", true),
            ("file:///a", "file:///b", false),
            ("ab{x}ba", "aba", false),
        ];
        for (one, other, expected) in cases {
            let (one, other) = (Template::new(one), Template::new(other));
            assert_eq!([one.overlaps(&other), other.overlaps(&one)], [expected; 2], "{one:?} {other:?}");
        }
    }
}
