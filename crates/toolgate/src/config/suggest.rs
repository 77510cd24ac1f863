//! What somebody probably meant: the closest word we know, or our name for a key of another program.

/// Least likeness (Jaro-Winkler) at which a suggestion helps more than it confuses.
const LIKENESS: f64 = 0.8;

/// Keys of other programs, with what to write here.
const FOREIGN: [(&str, &str); 11] = [
    ("mcpServers", "the key is `servers` here"),
    ("mcp_servers", "the key is `servers` here"),
    ("upstreams", "the key is `servers` here"),
    ("serverUrl", "the key is `url` here"),
    ("httpUrl", "the key is `url` here"),
    ("disabled", "write `enabled: false`"),
    ("transport", "the key is `type` here, `http` or `sse`; a server with `command` needs none"),
    ("timeout", "write `timeout_ms`, in milliseconds"),
    ("environment", "the key is `env` here"),
    ("workingDirectory", "the key is `cwd` here"),
    ("port", "write `listen: { address: 127.0.0.1:8787 }`"),
];

/// Words of other programs for a transport, in lower case and without hyphens, with what to write here.
const FOREIGN_TRANSPORTS: [(&str, &str); 4] = [
    ("stdio", "leave `type` out: a server with `command` speaks on standard input and output"),
    ("local", "leave `type` out: a server with `command` speaks on standard input and output"),
    ("streamablehttp", "write `type: http`"),
    ("remote", "write `type: http`"),
];
/// The words for a transport; by them their place is known.
const TRANSPORTS: [&str; 2] = ["http", "sse"];

/// Returns the word of `known` that is close enough to `word` to be meant by it.
pub(crate) fn closest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let likeness = |candidate: &str| strsim::jaro_winkler(&lower, &candidate.to_lowercase());
    known
        .iter()
        .map(|candidate| (likeness(candidate), *candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

/// Returns what to write instead of the unknown `key`.
pub(crate) fn for_key(key: &str, known: &[&str]) -> Option<String> {
    let foreign = FOREIGN.iter().find(|(name, advice)| *name == key && fits(advice, known));
    let meant = || closest(key, known).map(|word| format!("did you mean `{word}`?"));
    let all = || (!known.is_empty()).then(|| format!("the keys here are {}", list(known)));
    foreign.map(|(_, advice)| (*advice).to_owned()).or_else(meant).or_else(all)
}

/// Returns what to write instead of `text`, where one of `words` belongs.
pub(crate) fn for_word(text: &str, words: &[&str]) -> String {
    let plain = text.replace(['-', '_'], "").to_lowercase();
    let is_transport = TRANSPORTS.iter().all(|word| words.contains(word));
    let foreign = FOREIGN_TRANSPORTS.iter().find(|(word, _)| is_transport && *word == plain);
    if let Some((_, advice)) = foreign {
        return (*advice).to_owned();
    }
    match closest(text, words) {
        Some(word) => format!("did you mean `{word}`? The words are {}", list(words)),
        None => format!("write one of {}", list(words)),
    }
}

/// Tells whether the advice names a key that exists at this place.
fn fits(advice: &str, known: &[&str]) -> bool {
    let Some(word) = advice.split('`').nth(1) else { return false };
    known.contains(&word.split(':').next().unwrap_or(word))
}

fn list(known: &[&str]) -> String {
    known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, expected: &str) {
        let server = ["command", "args", "env", "url", "headers", "enabled", "timeout_ms", "cwd", "type"];
        assert_eq!(for_key(key, &server).expect("a suggestion"), expected);
    }

    #[test]
    fn words_of_others_for_a_transport_are_understood() {
        let advice = |word| for_word(word, &TRANSPORTS);
        for word in ["streamable-http", "streamableHttp", "streamable_http"] {
            assert_eq!(advice(word), "write `type: http`");
        }
        assert!(advice("stdio").starts_with("leave `type` out"));
        assert_eq!(advice("htp"), "did you mean `http`? The words are `http`, `sse`");
        assert_eq!(advice("websocket"), "write one of `http`, `sse`");
        assert_eq!(for_word("stdio", &["eager", "lazy"]), "write one of `eager`, `lazy`");
    }

    #[test]
    fn misspelt_and_foreign_keys_are_understood() {
        check("comand", "did you mean `command`?");
        check("Command", "did you mean `command`?");
        check("header", "did you mean `headers`?");
        check("disabled", "write `enabled: false`");
        check("timeout", "write `timeout_ms`, in milliseconds");
        check("httpUrl", "the key is `url` here");
        check("transport", "the key is `type` here, `http` or `sse`; a server with `command` needs none");
        check(
            "zzz",
            "the keys here are `command`, `args`, `env`, `url`, `headers`, `enabled`, `timeout_ms`, `cwd`, `type`",
        );
    }
}
