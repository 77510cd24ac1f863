//! `get_gateway_status`: how the gateway is, in debug mode. It shows all agents' names, which is why it is hidden else.

use bytes::Bytes;
use serde_json::{Value, json};

use super::structured;
use crate::{Proxy, admission::Admission};

pub(super) fn answer(proxy: &Proxy, admission: &Admission) -> Bytes {
    let world = admission.world();
    let (roster, policy) = (&world.configured.roster, &world.configured.policy);
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
    structured::object(&status, admission.era())
}
