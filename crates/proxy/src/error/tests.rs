//! What a client is told of each failure: its code and status, its form and its words, each as one line of a snapshot,
//! so that no answer changes unseen. `error.rs` decides them; `prose.rs` has the words of the gateway's own tools.

use std::{fmt::Write, time::Duration};

use domain::ServerId;

use super::*;

fn every_failure() -> Vec<Failure> {
    let server = || ServerId::new("git").unwrap();
    let denial = Denial::by_rule("tokens.t1.servers");
    vec![
        Failure::UnknownMethod,
        Failure::NoSubscriptions(server()),
        Failure::Params(BadParams::Missing("name")),
        Failure::Unknown { what: "tool", name: "x".into() },
        Failure::Denied { what: "resource", name: "a://b".into(), denial },
        Failure::Blocked(Block { detector: "secrets" }),
        Failure::Timeout { server: server(), limit_ms: 5 },
        Failure::Upstream(CallError::NotConfigured(server())),
        Failure::Upstream(CallError::Unavailable { server: server(), reason: "it exited".into() }),
        Failure::Upstream(CallError::Busy { server: server(), limit: 9 }),
        Failure::Upstream(CallError::Lost { server: server(), reason: "it was killed".into() }),
        Failure::Upstream(CallError::TooLarge { server: server(), limit: 9 }),
        Failure::Upstream(CallError::Protocol { server: server(), what: "no id".into() }),
        Failure::Upstream(CallError::Status { server: server(), status: 502 }),
        Failure::Upstream(CallError::Params(protocol::Fault::NotAnObject)),
        Failure::Upstream(CallError::ForeignCredential(server())),
        Failure::Credential(server()),
        Failure::Audit,
        Failure::Overloaded { limit: 3 },
        Failure::Subscriptions { holder: Holder::Client, limit: 3 },
        Failure::Subscriptions { holder: Holder::Upstream(server()), limit: 3 },
        Failure::Cancelled,
        Failure::NeedsInput { server: server() },
        Failure::ShuttingDown,
        Failure::Internal,
        Failure::ForeignAgent(ForeignAgent { claimed: AgentId::new("ghost").unwrap() }),
        Failure::AgentName(AgentId::new("").unwrap_err()),
        Failure::NoAgent(NoAgent::Missing),
        Failure::NoAgent(NoAgent::NoFallback),
        Failure::Arguments { tool: "execute_tool", problem: "unknown field `x`".into() },
        Failure::UnknownServer("nosuch".into()),
        Failure::RateLimited(rate_limited()),
    ]
}

fn rate_limited() -> RateLimited {
    RateLimited {
        rule: "rate_limits[0]".into(),
        calls: 1,
        window: Duration::from_secs(60),
        retry_after: Duration::from_secs(12),
        why: crate::Why::NoRoomToCount,
    }
}

fn asked() -> Arc<Asked> {
    let (server, tool) = ("git".to_owned(), "log".to_owned());
    Arc::new(Asked { operation: "execute_tool", agent: AgentId::new("a").unwrap(), server, tool })
}

/// The words of agent-mcp-gateway; the form is always a result.
#[test]
fn every_failure_of_a_tool_of_our_own_has_its_words() {
    let mut table = String::new();
    for failure in every_failure() {
        let failure = failure.asked(Some(&asked()));
        let symbol = failure.symbol();
        let rule = failure.rule().unwrap_or("-");
        let form = if failure.tool_result(Era::Legacy).is_some() { "result" } else { "error" };
        writeln!(table, "{symbol} | {rule} | {form} | {failure}").unwrap();
    }
    insta::assert_snapshot!(table);
}

/// One line per failure: symbol, legacy code, modern code and status, form of a failed tool call, outcome, text.
#[test]
fn every_failure_has_its_answer() {
    let id = RequestId::from(1);
    let mut table = String::new();
    for failure in every_failure() {
        let (status, _) = failure.response(&id, Era::Modern);
        let form = if failure.tool_result(Era::Legacy).is_some() { "result" } else { "error" };
        let codes = (failure.json_rpc_code(Era::Legacy), failure.json_rpc_code(Era::Modern));
        let outcome = failure.outcome().as_str();
        let symbol = failure.symbol();
        writeln!(table, "{symbol} | {} {} {status} | {form} | {outcome} | {failure}", codes.0, codes.1)
            .unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn refusals_do_not_tell_denied_from_unknown() {
    let id = RequestId::from(1);
    let denial = Denial::by_rule("tokens.t1.servers");
    let unknown = Failure::Unknown { what: "tool", name: "x".into() };
    let denied = Failure::Denied { what: "tool", name: "x".into(), denial };
    for era in [Era::Legacy, Era::Modern] {
        assert_eq!(unknown.response(&id, era), denied.response(&id, era));
    }
    assert_eq!(denied.tool_result(Era::Modern), None);
}
