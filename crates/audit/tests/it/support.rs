//! What the tests share: a caller, a call, a finished trail.

use std::path::Path;

use audit::{Begin, End, Era, Event, Outcome, Settings, Trail, Transport};
use domain::{AgentId, AgentSource, Principal, ServerScope};

pub(crate) fn principal() -> Principal {
    Principal {
        agent: AgentId::new("research").unwrap(),
        agent_source: AgentSource::Claimed,
        user: None,
        roles: Vec::new(),
        token: None,
        servers: ServerScope::All,
    }
}

pub(crate) fn begin(principal: &Principal) -> Begin<'_> {
    Begin {
        principal,
        method: "tools/call",
        operation: Some("execute_tool"),
        server: Some("notes"),
        target: Some("read"),
        transport: Transport::Http,
        era: Era::Modern,
        session: None,
        revision: "7",
        guardrails: "none",
        arguments: None,
    }
}

/// Writes a trail of `calls` calls and one event and returns its text.
pub(crate) fn finished_trail(file: &Path, calls: usize) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (trail, who) = (Trail::open(&Settings::at(file)).unwrap(), principal());
    runtime.block_on(async {
        trail.event(Event { name: "started", details: &[] }).unwrap();
        for _ in 0..calls {
            trail.begin(begin(&who)).await.unwrap().finish(End::of(Outcome::Ok));
        }
    });
    trail.close().unwrap();
    std::fs::read_to_string(file).unwrap()
}
