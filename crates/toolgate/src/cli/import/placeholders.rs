//! What editors put between `${` and `}` beside variables of the environment, in words that mean the same without the
//! editor: `${workspaceFolder}`, `${userHome}`, and `${input:...}`, which the editor would ask a person for.

use std::path::Path;

use serde_json::Value;

/// Replaces an editor's words in every text of an entry.
pub(super) fn replace(value: &mut Value, folder: &Path) {
    match value {
        Value::String(text) if text.contains("${") => *text = plain(text, folder),
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, folder)),
        Value::Object(members) => members.values_mut().for_each(|member| replace(member, folder)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn plain(text: &str, folder: &Path) -> String {
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, behind)) = rest.split_once("${") {
        plain.push_str(before);
        let Some((inside, after)) = behind.split_once('}') else {
            plain.push_str("${");
            rest = behind;
            break;
        };
        plain.push_str(&word(inside, folder));
        rest = after;
    }
    plain.push_str(rest);
    plain
}

fn word(inside: &str, folder: &Path) -> String {
    match inside {
        "workspaceFolder" | "workspaceRoot" => folder.display().to_string(),
        "workspaceFolderBasename" => {
            folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
        }
        "userHome" => "${HOME}".to_owned(),
        "/" | "pathSeparator" => "/".to_owned(),
        other => match other.split_once(':') {
            Some(("env", name)) => format!("${{{name}}}"),
            // VS Code's other kinds ask as well.
            Some(("input" | "promptString" | "command", id)) => format!("${{{}}}", variable(id)),
            Some(_) | None => format!("${{{other}}}"),
        },
    }
}

/// `github-token` becomes `GITHUB_TOKEN`.
fn variable(id: &str) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = id.chars().map(upper).collect();
    if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') { name } else { format!("_{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_editors_are_understood() {
        let cases = [
            ("${workspaceFolder}/a", "/p/q/a"),
            ("${userHome}${/}b", "${HOME}/b"),
            ("Bearer ${input:github-token}", "Bearer ${GITHUB_TOKEN}"),
            ("${input:1}", "${_1}"),
            ("${env:A} ${B} ${C:-d:e}", "${A} ${B} ${C:-d:e}"),
            ("${workspaceFolderBasename} ${A", "q ${A"),
            ("plain", "plain"),
        ];
        for (given, expected) in cases {
            let mut value = serde_json::json!({"a": [given]});
            replace(&mut value, Path::new("/p/q"));
            assert_eq!(value["a"][0], expected);
        }
    }
}
