//! The rules in force, and who a caller is that names no agent, taken from the configuration as `serve` takes them.

use domain::{AgentId, AgentSource, Principal, ServerId, ServerScope};
use policy::Policy;

use super::{
    super::{CliError, GatewayOptions, output, typed},
    Where,
};

/// What decides.
pub(super) struct Setting {
    pub(super) policy: Policy,
    /// The servers of the configuration, those included that are switched off or left out.
    pub(super) servers: Vec<ServerId>,
    /// Who a caller is that names no agent.
    unnamed: (AgentId, AgentSource),
}

impl Setting {
    /// Loads the configuration; says on standard error what is odd about it.
    pub(super) fn load(place: &Where) -> Result<Self, CliError> {
        let around: GatewayOptions = typed::from_environment()
            .map_err(|error| CliError::Gateway(error.to_string().trim_start_matches("error: ").to_owned()))?;
        let Where { config, rules, compat, state } = place.clone();
        let options = GatewayOptions { config, rules, compat, state, ..around };
        let loaded = options.load()?;
        output::warn(&loaded);
        let servers = loaded.servers.keys().chain(&loaded.disabled).cloned().collect();
        let config = loaded.config;
        Ok(Self { policy: config.policy, servers, unnamed: (config.agent, config.agent_source) })
    }

    /// Returns a caller without a token that names this agent, or none.
    pub(super) fn caller(&self, agent: Option<&AgentId>) -> Principal {
        let (agent, agent_source) = match agent {
            Some(agent) => (agent.clone(), AgentSource::Claimed),
            None => self.unnamed.clone(),
        };
        Principal {
            agent,
            agent_source,
            user: None,
            roles: Vec::new(),
            token: None,
            servers: ServerScope::All,
        }
    }

    /// Tells whether a server of this name is configured.
    pub(super) fn has_server(&self, name: &str) -> bool {
        self.servers.iter().any(|server| server.as_str() == name)
    }

    #[cfg(test)]
    pub(super) fn of_rules(rules: &serde_json::Value, servers: &[&str]) -> Self {
        let config = policy::rules::read(rules, policy::Reading::Own).expect("rules");
        let built = policy::Rules::build(&config, policy::Reading::Own).expect("within bounds");
        let servers = servers.iter().map(|name| ServerId::new(*name).expect("a name")).collect();
        let unnamed = (AgentId::new("default").expect("a name"), AgentSource::Builtin);
        Self { policy: Policy::with_rules(built.rules), servers, unnamed }
    }
}
