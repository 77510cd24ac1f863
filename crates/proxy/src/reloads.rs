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
    /// Notes that the configuration was put in force after a change of these parts, with its warnings. All of it was
    /// read, so nothing that was refused before still stands.
    pub fn note_success(&self, changed: &[Reloaded], warnings: Vec<String>) {
        let mut record = self.0.lock();
        let record = record.get_or_insert_default();
        let now = record.attempt(changed, &[]);
        for part in changed {
            let history = record.history(*part);
            history.successes += 1;
            history.last_success = Some(now);
        }
        record.warnings = warnings;
    }

    /// Notes that a change of these parts was refused, for the fault of those `at_fault`. It replaces what was refused
    /// before: all that is known of the files as they are now.
    pub fn note_refusal(&self, changed: &[Reloaded], at_fault: &[Reloaded], reason: &str) {
        let mut record = self.0.lock();
        let record = record.get_or_insert_default();
        record.attempt(changed, at_fault);
        for part in at_fault {
            record.history(*part).last_error = Some(reason.to_owned());
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

impl Record {
    /// Counts an attempt for each of the parts, and forgets what was wrong before. Returns when it was.
    fn attempt(&mut self, changed: &[Reloaded], at_fault: &[Reloaded]) -> OffsetDateTime {
        let now = OffsetDateTime::now_utc();
        for part in [Reloaded::Servers, Reloaded::Rules] {
            let history = self.history(part);
            history.last_error = None;
            if changed.contains(&part) || at_fault.contains(&part) {
                history.attempts += 1;
                history.last_attempt = Some(now);
            }
        }
        now
    }

    const fn history(&mut self, part: Reloaded) -> &mut History {
        match part {
            Reloaded::Servers => &mut self.servers,
            Reloaded::Rules => &mut self.rules,
        }
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
        reloads.note_success(&[Reloaded::Servers, Reloaded::Rules], vec!["odd".to_owned()]);
        reloads.note_refusal(&[Reloaded::Rules], &[Reloaded::Rules], "broken");
        let shown = reloads.to_json();
        assert_eq!(shown["mcp_config"]["attempt_count"], 1);
        assert_eq!(shown["gateway_rules"]["attempt_count"], 2);
        assert_eq!(shown["gateway_rules"]["success_count"], 1);
        assert_eq!(shown["gateway_rules"]["last_error"], "broken");
        assert_eq!(shown["gateway_rules"]["last_warnings"][0], "odd");
        assert!(shown["gateway_rules"]["last_success"].is_string());
    }

    #[test]
    fn what_is_refused_is_booked_to_the_part_at_fault_until_a_load_succeeds() {
        let reloads = Reloads::default();
        let errors = || {
            let shown = reloads.to_json();
            [&shown["mcp_config"], &shown["gateway_rules"]].map(|part| part["last_error"].clone())
        };
        reloads.note_refusal(&[Reloaded::Rules], &[Reloaded::Servers], "a key too many");
        assert_eq!(errors(), [json!("a key too many"), Value::Null]);
        reloads.note_refusal(&[Reloaded::Servers], &[Reloaded::Rules], "no agents");
        assert_eq!(errors(), [Value::Null, json!("no agents")]);
        reloads.note_success(&[Reloaded::Servers], Vec::new());
        assert_eq!(errors(), [Value::Null, Value::Null]);
    }
}
