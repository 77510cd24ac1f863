//! An access token as written, in `toolgate.yaml` and in `tokens.json`, and the checks that make it a record.

use std::{sync::Arc, time::SystemTime};

use domain::{AgentId, AgentSource, ConfigFault, Principal, ServerId, ServerScope, TokenId, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{TokenHash, TokenRecord};

/// Roles of one token; more is a mistake, and each costs every verdict a little.
const MAX_ROLES: usize = 64;
/// Servers one token can name.
const MAX_SERVERS: usize = 1024;

/// An access token as written. The token itself is not kept, only its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// Name of the token in listings and in audit. It reveals nothing of the token.
    #[schemars(example = &"ci")]
    pub id: String,
    /// `sha256:` and the SHA-256 of the whole token in hexadecimal digits.
    #[schemars(example = &"sha256:fa80eb537bf0efe281506abdd9bd7b4d952b285825cc8ae419c9c9d7a377702d")]
    pub hash: String,
    /// The agent that the caller is.
    #[schemars(example = &"reviewer")]
    pub agent: String,
    /// The person on whose behalf the agent calls. Default: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"ada@example.com")]
    pub user: Option<String>,
    /// Roles of the caller, for policy. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = roles_example())]
    pub roles: Vec<String>,
    /// The only servers that the token reaches. Default: every server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = servers_example())]
    pub servers: Option<Vec<String>>,
    /// When the token stops being valid, as an RFC 3339 time. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"2027-01-31T00:00:00Z")]
    pub expires: Option<String>,
    /// When the token was created, as an RFC 3339 time; for listings only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"2026-11-20T09:30:00Z")]
    pub created: Option<String>,
}

impl TokenConfig {
    /// Checks the entry and builds the record.
    ///
    /// # Errors
    /// Every fault, with paths that start at the entry.
    pub fn build(&self) -> Result<TokenRecord, Vec<ConfigFault>> {
        let mut faults = Vec::new();
        let id = keep(TokenId::new(self.id.as_str()).map_err(|e| fault(&["id"], e, "ci")), &mut faults);
        let hash = keep(self.parse_hash(), &mut faults);
        let agent = keep(
            AgentId::new(self.agent.as_str()).map_err(|e| fault(&["agent"], e, "reviewer")),
            &mut faults,
        );
        let user = self.user.as_deref().map(|user| {
            keep(UserId::new(user).map_err(|e| fault(&["user"], e, "ada@example.com")), &mut faults)
        });
        let roles = self.parse_roles(&mut faults);
        let servers = self.parse_servers(&mut faults);
        let expires = parse_time("expires", self.expires.as_deref(), &mut faults);
        let created = parse_time("created", self.created.as_deref(), &mut faults);
        let (Some(id), Some(hash), Some(agent), true) = (id, hash, agent, faults.is_empty()) else {
            return Err(faults);
        };
        let principal = Principal {
            agent,
            agent_source: AgentSource::Token,
            user: user.flatten(),
            roles,
            token: Some(id.clone()),
            servers,
        };
        Ok(TokenRecord::new(id, hash, principal, expires, created))
    }

    fn parse_hash(&self) -> Result<TokenHash, ConfigFault> {
        self.hash.parse().map_err(|()| {
            ConfigFault::new(&["hash"], "not `sha256:` and 64 hexadecimal digits")
                .with_help("`toolgate token create -o json` prints the hash of a new token")
        })
    }

    fn parse_roles(&self, faults: &mut Vec<ConfigFault>) -> Vec<Arc<str>> {
        if self.roles.len() > MAX_ROLES {
            faults.push(ConfigFault::new(&["roles"], format!("more than {MAX_ROLES} roles")));
        }
        if let Some(index) = self.roles.iter().position(|role| AgentId::new(role.as_str()).is_err()) {
            faults.push(
                ConfigFault::new(&["roles", &index.to_string()], "not the name of a role")
                    .with_help("write 1 to 256 bytes without control characters, for example `developer`"),
            );
        }
        self.roles.iter().map(|role| Arc::from(role.as_str())).collect()
    }

    fn parse_servers(&self, faults: &mut Vec<ConfigFault>) -> ServerScope {
        let Some(names) = &self.servers else { return ServerScope::All };
        if names.len() > MAX_SERVERS {
            faults.push(ConfigFault::new(&["servers"], format!("more than {MAX_SERVERS} servers")));
        }
        let checked = names.iter().enumerate().filter_map(|(index, name)| {
            let checked = ServerId::new(name.as_str());
            keep(checked.map_err(|e| fault(&["servers", &index.to_string()], e, "github")), faults)
        });
        ServerScope::Only(checked.collect())
    }
}

fn fault(path: &[&str], error: domain::InvalidName, example: &str) -> ConfigFault {
    ConfigFault::new(path, error.to_string()).with_help(format!("write for example `{example}`"))
}

fn keep<T>(checked: Result<T, ConfigFault>, faults: &mut Vec<ConfigFault>) -> Option<T> {
    checked.map_err(|fault| faults.push(fault)).ok()
}

fn parse_time(key: &str, text: Option<&str>, faults: &mut Vec<ConfigFault>) -> Option<SystemTime> {
    let parsed = OffsetDateTime::parse(text?, &Rfc3339).map(SystemTime::from).map_err(|_| {
        ConfigFault::new(&[key], "not an RFC 3339 time").with_help("write for example `2027-01-31T00:00:00Z`")
    });
    keep(parsed, faults)
}

const fn roles_example() -> [&'static str; 1] {
    ["developer"]
}

const fn servers_example() -> [&'static str; 2] {
    ["github", "files"]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> TokenConfig {
        TokenConfig {
            id: "ci".into(),
            hash: TokenHash::of("x").to_string(),
            agent: "builder".into(),
            user: None,
            roles: vec!["developer".into()],
            servers: Some(vec!["github".into()]),
            expires: Some("2027-01-31T00:00:00Z".into()),
            created: None,
        }
    }

    fn check(config: &TokenConfig, expected: &[&str]) {
        let faults = config.build().map_or_else(|faults| faults, |_| Vec::new());
        let lines: Vec<_> =
            faults.iter().map(|f| format!("{}: {}", f.path().join("."), f.problem())).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_sound_entry_becomes_a_principal() {
        let record = sound().build().expect("sound");
        let principal = record.principal();
        assert_eq!((principal.agent.as_str(), principal.agent_source), ("builder", AgentSource::Token));
        assert!(principal.servers.reaches(&ServerId::new("github").expect("name")));
        assert!(!principal.servers.reaches(&ServerId::new("files").expect("name")));
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let config = TokenConfig {
            id: String::new(),
            hash: "sha256:12".into(),
            agent: "a\n".into(),
            user: Some(String::new()),
            roles: vec![String::new()],
            servers: Some(vec!["ok".into(), String::new()]),
            expires: Some("tomorrow".into()),
            created: Some("yesterday".into()),
        };
        check(
            &config,
            &[
                "id: invalid token id: it must have 1 to 256 bytes and no control characters",
                "hash: not `sha256:` and 64 hexadecimal digits",
                "agent: invalid agent name: it must have 1 to 256 bytes and no control characters",
                "user: invalid user name: it must have 1 to 256 bytes and no control characters",
                "roles.0: not the name of a role",
                "servers.1: invalid server name: it must have 1 to 256 bytes and no control characters",
                "expires: not an RFC 3339 time",
                "created: not an RFC 3339 time",
            ],
        );
    }

    #[test]
    fn an_empty_list_of_servers_reaches_none() {
        let record = TokenConfig { servers: Some(vec![]), ..sound() }.build().expect("sound");
        assert!(!record.principal().servers.reaches(&ServerId::new("github").expect("name")));
    }
}
