//! Which values of an entry look like secrets, and how they are replaced by variables. Whoever keeps a secret in a file
//! by mistake loses more than whoever sets one variable too many, so the look is a suspicious one.

use std::collections::BTreeMap;

use domain::Secret;
use serde_json::{Map, Value};

use super::server::DraftServer;

/// Parts of names whose values are secrets.
const TELLING: [&str; 13] = [
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "auth",
    "cookie",
    "session",
    "bearer",
];
/// Words that are too short to be looked for inside of others: they count as a part between separators.
const TELLING_PARTS: [&str; 5] = ["key", "pat", "pwd", "pass", "dsn"];
/// Beginnings of secrets that are known by them.
const TELLING_STARTS: [&str; 11] =
    ["sk-", "ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "AKIA", "eyJ", "-----BEGIN"];
/// Schemes before a credential; they stay in the file.
const SCHEMES: [&str; 3] = ["Bearer ", "Basic ", "Token "];
/// Shortest text without any telling name that may be a key, in characters.
const LONG: usize = 24;

/// A variable that takes the place of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The variable's name.
    pub name: String,
    /// The server that needs it.
    pub server: String,
    /// Where it stands in the server's entry: `env.GITHUB_TOKEN`.
    pub place: String,
}

/// Variables that take the place of secrets.
#[derive(Debug, Default)]
pub struct Variables {
    /// What each is to hold; none: it has a meaning already, which is not known here.
    values: BTreeMap<String, Option<Secret<String>>>,
    all: Vec<Variable>,
}

// === impl Variables ===

impl Variables {
    /// Prepares for `servers`: variables that they name already keep their meaning.
    pub fn beside(servers: &[DraftServer]) -> Self {
        let mut variables = Self::default();
        for server in servers {
            for text in texts(&server.entry) {
                let named = text.split("${").skip(1).filter_map(|rest| rest.split(['}', ':']).next());
                variables.values.extend(named.map(|name| (name.to_owned(), None)));
            }
        }
        variables
    }

    /// Replaces what looks like a secret in the environment and the headers of `server`.
    pub fn replace(&mut self, server: &mut DraftServer) {
        let name = server.name.clone();
        for key in ["env", "headers"] {
            let members = server.entry.get_mut(key).and_then(Value::as_object_mut);
            for (member, value) in members.into_iter().flatten() {
                let Some(text) = value.as_str().filter(|text| looks_secret(member, text)) else { continue };
                let (scheme, secret) = without_scheme(text);
                let place = format!("{key}.{member}");
                let variable = self.claim(&name, wished(&name, key, member), secret, place);
                *value = Value::String(format!("{scheme}${{{variable}}}"));
            }
        }
    }

    /// Returns the variables to be set, in the order of the servers.
    pub fn all(&self) -> &[Variable] {
        &self.all
    }

    /// The wished name, or one that holds the server's if the wished one means something else.
    fn claim(&mut self, server: &str, wished: String, secret: &str, place: String) -> String {
        let long = format!("{}_{wished}", upper(server));
        let numbered = (2_u32..).map(|number| format!("{long}_{number}"));
        let mut names = [wished, long.clone()].into_iter().chain(numbered);
        let is_free = |name: &String| {
            self.values
                .get(name)
                .is_none_or(|value| value.as_ref().is_some_and(|value| value.expose() == secret))
        };
        let name = names.find(is_free).expect("there are more numbers than secrets");
        self.values.insert(name.clone(), Some(Secret::new(secret.to_owned())));
        self.all.push(Variable { name: name.clone(), server: server.to_owned(), place });
        name
    }
}

impl DraftServer {
    /// Returns where in the entry values stand that look like secrets: `env.GITHUB_TOKEN`, `args`, `url`.
    pub fn secret_places(&self) -> Vec<String> {
        let mut places = Vec::new();
        for key in ["env", "headers"] {
            let members = self.entry.get(key).and_then(Value::as_object).into_iter().flatten();
            let secret =
                members.filter(|(name, value)| looks_secret(name, value.as_str().unwrap_or_default()));
            places.extend(secret.map(|(name, _)| format!("{key}.{name}")));
        }
        let mut texts = self.entry.get("args").and_then(Value::as_array).into_iter().flatten();
        let arguments: Vec<&str> = texts.by_ref().filter_map(Value::as_str).collect();
        let follows = |at: usize| at.checked_sub(1).map_or("", |before| arguments[before]);
        let is_secret = |(at, text): (usize, &&str)| is_secret_argument(follows(at), text);
        if arguments.iter().enumerate().any(is_secret) {
            places.push("args".to_owned());
        }
        if self.entry.get("url").and_then(Value::as_str).is_some_and(is_secret_address) {
            places.push("url".to_owned());
        }
        places
    }

    /// Returns the server with every value hidden that may be a secret: for showing it.
    #[must_use]
    pub fn hidden(&self) -> Self {
        let mut server = self.clone();
        for place in self.secret_places() {
            let (key, member) = place.split_once('.').unwrap_or((&place, ""));
            match server.entry.get_mut(key) {
                Some(Value::Object(members)) => {
                    members.insert(member.to_owned(), Value::from(HIDDEN));
                }
                Some(Value::Array(items)) => items.iter_mut().for_each(|item| *item = Value::from(HIDDEN)),
                Some(value) => *value = Value::from(HIDDEN),
                None => {}
            }
        }
        server
    }
}

/// What is shown instead of a secret.
const HIDDEN: &str = "********";

/// Tells whether a value of this name looks like a secret that stands in the file itself.
fn looks_secret(name: &str, value: &str) -> bool {
    let (_, secret) = without_scheme(value);
    if secret.is_empty() || secret.contains("${") {
        return false;
    }
    is_telling(name) && !is_harmless(secret) || looks_like_key(secret) || has_password(secret)
}

/// `postgres://user:password@host`
fn has_password(value: &str) -> bool {
    let authority = value.split_once("://").and_then(|(_, rest)| rest.split(['/', '?']).next());
    let user = authority.and_then(|authority| authority.rsplit_once('@')).map_or("", |(user, _)| user);
    user.split_once(':').is_some_and(|(_, password)| !password.is_empty())
}

fn is_telling(name: &str) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.to_ascii_lowercase();
    let mut parts = name.split(|c: char| !c.is_ascii_alphanumeric());
    TELLING.iter().any(|word| plain.contains(word))
        || parts.any(|part| TELLING_PARTS.iter().any(|word| part.eq_ignore_ascii_case(word)))
}

/// `AUTH_MODE=none`, `SESSION_TTL=60`: short words and numbers are settings.
fn is_harmless(value: &str) -> bool {
    const WORDS: [&str; 8] = ["true", "false", "none", "yes", "no", "on", "off", "0"];
    value.len() < 5 && value.chars().all(|c| c.is_ascii_digit())
        || WORDS.iter().any(|word| value.eq_ignore_ascii_case(word))
        || value.starts_with('/')
}

/// Letters mixed with digits, long, without anything that paths, addresses and sentences have.
fn looks_like_key(value: &str) -> bool {
    if TELLING_STARTS.iter().any(|start| value.starts_with(start)) {
        return true;
    }
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '=');
    let has = |wanted: fn(&char) -> bool| value.chars().filter(wanted).count() >= 4;
    value.len() >= LONG
        && value.chars().all(is_key)
        && has(char::is_ascii_digit)
        && has(char::is_ascii_alphabetic)
}

/// `--api-key=x`, or `x` behind `--api-key`, or a key by its look.
fn is_secret_argument(before: &str, argument: &str) -> bool {
    if argument.contains("${") {
        return false;
    }
    match argument.split_once('=') {
        Some((flag, value)) if flag.starts_with('-') => looks_secret(flag, value),
        Some(_) | None => {
            let is_value = before.starts_with('-') && !argument.starts_with('-');
            is_value && looks_secret(before, argument) || looks_like_key(argument) || has_password(argument)
        }
    }
}

/// A user name, a query, or a key in the path.
fn is_secret_address(url: &str) -> bool {
    let (address, query) = url.split_once('?').map_or((url, ""), |(address, query)| (address, query));
    let authority =
        address.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    let is_secret = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        looks_secret(name, value)
    };
    authority.contains('@') && !authority.contains("${")
        || query.split('&').any(is_secret)
        || address.split('/').any(looks_like_key)
}

fn without_scheme(value: &str) -> (&str, &str) {
    let scheme = SCHEMES
        .iter()
        .find(|scheme| value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    value.split_at(scheme.map_or(0, |scheme| scheme.len()))
}

/// A variable of an environment keeps its name; a header's is made of the server's.
fn wished(server: &str, key: &str, member: &str) -> String {
    let is_name = member.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && member.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    match key {
        "env" if is_name => member.to_owned(),
        _ if member.eq_ignore_ascii_case("authorization") => format!("{}_TOKEN", upper(server)),
        _ => format!("{}_{}", upper(server), upper(member).trim_start_matches("X_")),
    }
}

fn upper(name: &str) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = name.chars().map(upper).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

fn texts(entry: &Map<String, Value>) -> Vec<&str> {
    let mut texts = Vec::new();
    for value in entry.values() {
        match value {
            Value::String(text) => texts.push(text.as_str()),
            Value::Array(items) => texts.extend(items.iter().filter_map(Value::as_str)),
            Value::Object(members) => texts.extend(members.values().filter_map(Value::as_str)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "cases read better so")]
    fn server(name: &str, common: Value) -> DraftServer {
        DraftServer::adopt(name, &common, "here", None).expect("a server")
    }

    #[test]
    fn secrets_are_told_from_settings() {
        let secret = [
            ("GITHUB_TOKEN", "abcdef"),
            ("API_KEY", "12345"),
            ("Authorization", "Bearer abc"),
            ("DB_PASSWORD", "hunter2"),
            ("X", "ghp_abc"),
            ("DATABASE_URL", "postgres://u:p@h/db"),
            ("X", "0123456789abcdefghijklmnop"),
        ];
        let open = [
            ("GITHUB_TOKEN", "${GITHUB_TOKEN}"),
            ("Authorization", "Bearer ${T}"),
            ("AUTH_MODE", "none"),
            ("SESSION_TTL", "60"),
            ("KEY_FILE", "/etc/key"),
            ("MONKEY", "banana"),
            ("PATH", "/usr/bin:/usr/local/bin/0123456789"),
            ("TOKEN", ""),
            ("BASE_URL", "https://h:80/a@b"),
        ];
        for (name, value) in secret {
            assert!(looks_secret(name, value), "{name}={value}");
        }
        for (name, value) in open {
            assert!(!looks_secret(name, value), "{name}={value}");
        }
    }

    #[test]
    fn arguments_and_addresses_may_hold_secrets() {
        let places = |common: Value| server("s", common).secret_places();
        assert_eq!(places(json!({"command": "x", "args": ["--api-key", "abcdef"]})), ["args"]);
        assert_eq!(places(json!({"command": "x", "args": ["--api-key=abcdef"]})), ["args"]);
        assert_eq!(
            places(json!({"command": "x", "args": ["-y", "@scope/server-memory", "--port=80"]})),
            [""; 0]
        );
        assert_eq!(places(json!({"command": "x", "args": ["postgres://u:p@h/db"]})), ["args"]);
        assert_eq!(places(json!({"url": "https://h/mcp?api_key=abcdef"})), ["url"]);
        assert_eq!(places(json!({"url": "https://u:p@h/mcp"})), ["url"]);
        assert_eq!(places(json!({"url": "https://h/mcp?mode=fast"})), [""; 0]);
    }

    #[test]
    fn replaced_secrets_keep_their_meaning() {
        let mut servers = [
            server("a", json!({"command": "x", "env": {"TOKEN": "first-secret", "T": "${USED_TOKEN}"}})),
            server("b", json!({"command": "x", "env": {"TOKEN": "other-secret"}})),
            server(
                "c",
                json!({"command": "x", "env": {"TOKEN": "first-secret", "USED_TOKEN": "third-secret"}}),
            ),
            server(
                "d-e",
                json!({"url": "http://h", "headers": {"Authorization": "Bearer s3cret", "X-Api-Key": "s3cre2"}}),
            ),
        ];
        let mut variables = Variables::beside(&servers);
        servers.iter_mut().for_each(|server| variables.replace(server));
        let told: Vec<_> =
            variables.all().iter().map(|v| format!("{} {} {}", v.name, v.server, v.place)).collect();
        assert_eq!(
            told,
            [
                "TOKEN a env.TOKEN",
                "B_TOKEN b env.TOKEN",
                "TOKEN c env.TOKEN",
                "C_USED_TOKEN c env.USED_TOKEN",
                "D_E_TOKEN d-e headers.Authorization",
                "D_E_API_KEY d-e headers.X-Api-Key",
            ]
        );
        assert_eq!(servers[3].entry["headers"]["Authorization"], "Bearer ${D_E_TOKEN}");
        assert!(servers.iter().all(|server| server.secret_places().is_empty()));
    }

    #[test]
    fn hidden_servers_show_no_secret() {
        let server =
            server("s", json!({"command": "x", "args": ["--token", "s3cret"], "env": {"T_KEY": "s3cret"}}));
        let mut yaml = String::new();
        server.hidden().write("", &mut yaml);
        assert!(!yaml.contains("s3cret") && yaml.contains("command: x"), "{yaml}");
    }
}
