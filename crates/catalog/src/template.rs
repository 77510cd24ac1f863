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

    /// Tells whether every expansion begins with `prefix`.
    pub(crate) fn begins(&self, prefix: &str) -> bool {
        self.literals.first().is_some_and(|literal| literal.starts_with(prefix))
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
}
