//! Hides what may be a secret in a line that is shown in a message. The length stays, so that columns stay right.

use super::document::{Node, NodeValue, Span};

/// Keys below which everything may be a secret, whatever it is called.
const SECRET_KEYS: [&str; 2] = ["env", "headers"];

/// Keys at the top of `toolgate.yaml` below which names and patterns stand, and never a secret.
const OPEN_SECTIONS: [&str; 3] = ["exposure", "rate_limits", "rules"];
/// All keys of a file of rules, beside comments. A file with others is some other file.
const RULES_KEYS: [&str; 2] = ["agents", "defaults"];

/// Keys whose values are shown. Any other key's are not: a misspelt key hides as much as the right one.
const PLAIN_KEYS: [&str; 48] = [
    "address",
    "affinity",
    "agent",
    "allowed_hosts",
    "allowed_origins",
    "arguments",
    "body_timeout_ms",
    "builtin",
    "command",
    "compat",
    "connections",
    "created",
    "cwd",
    "debug",
    "description",
    "disabled",
    "enabled",
    "era",
    "expires",
    "file",
    "hash",
    "header_timeout_ms",
    "id",
    "in_flight",
    "include",
    "line_bytes",
    "max_in_flight",
    "mode",
    "name_limit",
    "naming",
    "operations",
    "probe_timeout_ms",
    "request_bytes",
    "result_bytes",
    "roles",
    "rules_file",
    "servers",
    "session_idle_ms",
    "sessions",
    "shutdown_grace_ms",
    "sse_keep_alive_ms",
    "stall_ms",
    "startup",
    "startup_wait_ms",
    "timeout_ms",
    "transport",
    "type",
    "version",
];

/// What is known of a value by the keys above it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sight {
    Shown,
    /// Shown with everything below it.
    Open,
    Hidden,
    /// Hidden with everything below it.
    Sealed,
}

/// Words that stand before a credential and are none.
const SCHEMES: [&str; 3] = ["Bearer", "Basic", "Token"];

/// Returns the places of all values that may be secrets, in the order of the file.
pub(crate) fn secret_spans(root: &Node) -> Vec<Span> {
    let mut spans = Vec::new();
    let open = open_sections(root);
    for section in root.entries() {
        let sight =
            if open.contains(&section.key.as_str()) { Sight::Open } else { Sight::Shown.below(&section.key) };
        collect(&section.value, sight, &mut spans);
    }
    spans.sort_unstable();
    spans
}

fn open_sections(root: &Node) -> &'static [&'static str] {
    let is_of_rules = |key: &str| RULES_KEYS.contains(&key) || key.starts_with(['_', '$', '/']);
    if root.entry("version").is_some() {
        &OPEN_SECTIONS
    } else if root.entries().iter().all(|entry| is_of_rules(&entry.key)) {
        &RULES_KEYS
    } else {
        &[]
    }
}

/// Hides the parts of `line` that lie in `masked`; the line starts at byte `start` of the text.
pub(crate) fn hide(line: &str, start: usize, masked: &[Span]) -> String {
    let is_hidden =
        |offset: usize| masked.iter().any(|span| (span.start..span.end).contains(&(start + offset)));
    line.char_indices().map(|(offset, c)| if is_hidden(offset) && !is_quote(c) { '*' } else { c }).collect()
}

/// Hides every letter and digit behind the first colon; without a colon, of the whole line.
pub(super) fn hide_values(line: &str) -> String {
    let colon = line.find(':').unwrap_or(0);
    let hide = |(offset, c): (usize, char)| if offset >= colon && c.is_alphanumeric() { '*' } else { c };
    line.char_indices().map(hide).collect()
}

fn collect(node: &Node, sight: Sight, spans: &mut Vec<Span>) {
    match &node.value {
        NodeValue::Map(entries) => {
            for entry in entries {
                collect(&entry.value, sight.below(&entry.key), spans);
            }
        }
        NodeValue::List(items) => items.iter().for_each(|item| collect(item, sight, spans)),
        NodeValue::Text(text) if is_reference(text) => {}
        NodeValue::Text(_) | NodeValue::Integer(_) | NodeValue::Float(_) => match sight {
            Sight::Shown | Sight::Open => {}
            Sight::Hidden | Sight::Sealed => spans.push(node.span),
        },
        NodeValue::Null | NodeValue::Bool(_) => {}
    }
}

impl Sight {
    fn below(self, key: &str) -> Self {
        if self == Self::Sealed || SECRET_KEYS.contains(&key) {
            Self::Sealed
        } else if self == Self::Open {
            Self::Open
        } else if PLAIN_KEYS.contains(&key) {
            Self::Shown
        } else {
            Self::Hidden
        }
    }
}

/// Tells whether the text is nothing but references to variables, without defaults: worth reading, and no secret.
fn is_reference(text: &str) -> bool {
    let mut rest = text.trim();
    for scheme in SCHEMES {
        rest = rest.strip_prefix(scheme).unwrap_or(rest).trim_start();
    }
    while let Some(inside) = rest.strip_prefix("${") {
        let Some((name, behind)) = inside.split_once('}') else { return false };
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return false;
        }
        rest = behind;
    }
    rest.is_empty()
}

const fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_a_key_shows_a_secret() {
        let text = "servers: {a: {command: x, header: {A: s3cret}, env: {command: s3cret}, args: [s3cret], 9: s3cret}}";
        let document = super::super::yaml::read("f", text.to_owned()).expect("sound");
        let shown = hide(text, 0, &secret_spans(document.root()));
        let masked = "******";
        assert_eq!(
            shown,
            format!(
                "servers: {{a: {{command: x, header: {{A: {masked}}}, env: {{command: {masked}}}, args: [{masked}], 9: {masked}}}}}"
            )
        );
    }

    #[test]
    fn rules_are_shown_and_servers_named_like_a_section_are_not() {
        let shown = |text: &str| {
            let document = super::super::yaml::read("f", text.to_owned()).expect("sound");
            hide(text, 0, &secret_spans(document.root()))
        };
        for rules in [
            "{version: 1, rules: {agents: {a: {allow: {tools: {db: [x]}}}}}}",
            "{agents: {a: {allow: {tools: {db: [x]}}}}}",
        ] {
            assert_eq!(shown(rules), rules);
        }
        for (text, expected) in [
            (
                "{version: 1, servers: {rules: {agents: s3cret}}}",
                "{version: 1, servers: {rules: {agents: ******}}}",
            ),
            ("{version: 1, rules: {env: {A: s3cret}}}", "{version: 1, rules: {env: {A: ******}}}"),
            ("{agents: {a: {key: s3cret}}, model: x}", "{agents: {a: {key: ******}}, model: *}"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn references_are_shown_and_literals_are_not() {
        for shown in ["${TOKEN}", "Bearer ${TOKEN}", "${A}${B}", ""] {
            assert!(is_reference(shown), "{shown}");
        }
        for hidden in ["hunter2", "Bearer hunter2", "${A}x", "${A:-hunter2}", "${A"] {
            assert!(!is_reference(hidden), "{hidden}");
        }
    }

    #[test]
    fn values_of_a_broken_line_are_hidden() {
        assert_eq!(hide_values("  TOKEN: \"hunter2"), "  TOKEN: \"*******");
        assert_eq!(hide_values("  - hunter2 x"), "  - ******* *");
        assert_eq!(hide_values("\"a\": {\"b\": 1}"), "\"a\": {\"*\": *}");
    }
}
