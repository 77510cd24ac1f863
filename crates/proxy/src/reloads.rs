//! What became of reloads, for people who wonder why a change has no effect. Shown by `get_gateway_status` and on the
//! operations port, in agent-mcp-gateway's form.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// What became of reloads. Cheap to clone; clones are the same record.
#[derive(Debug, Clone, Default)]
pub struct Reloads(Arc<Mutex<Option<Record>>>);

/// Which part of the configuration was read anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// The servers and everything else.
    Servers,
    /// The rules.
    Rules,
}

#[derive(Debug, Default)]
struct Record {
    servers: History,
    rules: History,
    warnings: Vec<String>,
}

#[derive(Debug, Default)]
struct History {
    last_attempt: Option<OffsetDateTime>,
    last_success: Option<OffsetDateTime>,
    last_error: Option<String>,
    attempts: u64,
    successes: u64,
}

impl Reloads {
    /// Notes a reload of these parts: with its warnings when it was put in force, else why it was not.
    pub fn note(&self, parts: &[Reloaded], outcome: Result<Vec<String>, String>) {
        let now = OffsetDateTime::now_utc();
        let mut record = self.0.lock();
        let record = record.get_or_insert_default();
        for part in parts {
            let history = match part {
                Reloaded::Servers => &mut record.servers,
                Reloaded::Rules => &mut record.rules,
            };
            history.attempts += 1;
            history.last_attempt = Some(now);
            match &outcome {
                Ok(_) => {
                    history.successes += 1;
                    history.last_success = Some(now);
                    history.last_error = None;
                }
                Err(reason) => history.last_error = Some(reason.clone()),
            }
        }
        if let Ok(warnings) = outcome {
            record.warnings = warnings;
        }
    }

    /// Shows the record; `null` before the first reload.
    pub fn to_json(&self) -> Value {
        let record = self.0.lock();
        let Some(record) = &*record else { return Value::Null };
        let mut rules = record.rules.to_json();
        rules["last_warnings"] = json!(record.warnings);
        json!({"mcp_config": record.servers.to_json(), "gateway_rules": rules})
    }
}

impl History {
    fn to_json(&self) -> Value {
        let shown = |time: Option<OffsetDateTime>| time.and_then(|time| time.format(&Rfc3339).ok());
        json!({
            "last_attempt": shown(self.last_attempt),
            "last_success": shown(self.last_success),
            "last_error": self.last_error,
            "attempt_count": self.attempts,
            "success_count": self.successes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_the_last_success() {
        let reloads = Reloads::default();
        assert_eq!(reloads.to_json(), Value::Null);
        reloads.note(&[Reloaded::Servers, Reloaded::Rules], Ok(vec!["odd".to_owned()]));
        reloads.note(&[Reloaded::Rules], Err("broken".to_owned()));
        let shown = reloads.to_json();
        assert_eq!(shown["mcp_config"]["attempt_count"], 1);
        assert_eq!(shown["gateway_rules"]["attempt_count"], 2);
        assert_eq!(shown["gateway_rules"]["success_count"], 1);
        assert_eq!(shown["gateway_rules"]["last_error"], "broken");
        assert_eq!(shown["gateway_rules"]["last_warnings"][0], "odd");
        assert!(shown["gateway_rules"]["last_success"].is_string());
    }
}
