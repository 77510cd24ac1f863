//! `get_gateway_status`: how the gateway is, in debug mode. It shows all agents' names, which is why it is hidden else.

use bytes::Bytes;
use policy::{Denial, Reading};
use serde_json::{Value, json};

use super::structured;
use crate::{Proxy, admission::Admission, error::Failure};

/// # Errors
/// [`Failure::Denied`] for an agent that the rules do not name: only under agent-mcp-gateway's own reading may it ask.
pub(super) fn answer(proxy: &Proxy, admission: &Admission) -> Result<Bytes, Failure> {
    let world = admission.world();
    let (roster, policy) = (&world.configured.roster, &world.configured.policy);
    let agent = admission.principal().agent.as_str();
    if policy
        .rules()
        .is_some_and(|rules| rules.reading() != Reading::AgentMcpGateway && !rules.has_agent(agent))
    {
        let denial = Denial::by_rule("defaults.deny_on_missing_agent");
        return Err(Failure::Denied { what: "tool", name: String::new(), denial });
    }
    let policy_state = policy.rules().map_or(Value::Null, |rules| {
        let agents: Vec<&str> = rules.agent_ids().collect();
        json!({
            "total_agents": agents.len(),
            "agent_ids": agents,
            "defaults": {"deny_on_missing_agent": rules.denies_missing_agent()},
        })
    });
    let status = json!({
        "reload_status": proxy.reloads.to_json(),
        "policy_state": policy_state,
        "available_servers": roster.ids(),
        "config_paths": {
            "mcp_config": world.configured.files.servers,
            "gateway_rules": world.configured.files.rules,
        },
        "revision": world.revision,
        "metrics": proxy.operations.to_json(),
        "message": "Gateway is operational. Check reload_status for hot reload health.",
    });
    Ok(structured::object(&status, admission.era()))
}
