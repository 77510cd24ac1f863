//! The policy in force: the token's own grant first, then the rules. Answers by reference, and writes texts only for
//! those who ask for them. How rules are judged stands in `rules/judge.rs`.

use std::sync::Arc;

use catalog::Route;
use domain::{Principal, PrincipalKey, ServerId, ServerScope, Subject, Target};

use crate::{
    Denial, NoAgent, PolicySight, Reading, Rules, Step, Verdict,
    judgement::{Ground, Judgement, Question},
    no_agent,
    rules::Standing,
};

/// Longest name that is judged, in bytes: no name of a server or tool can be longer, and judging takes time with it.
const MAX_NAME_BYTES: usize = 4_096;

/// The rules in force. Without rules, local callers may use everything and a token what it grants.
#[derive(Debug, Clone)]
pub struct Policy {
    rules: Option<Arc<Rules>>,
}

/// A verdict in favour: this principal may use this route, once.
#[derive(Debug)]
pub struct Permit {
    route: Route,
    principal: PrincipalKey,
}

// === impl Policy ===

impl Policy {
    /// The policy without rules: only what the caller's own token grants is looked at.
    pub const fn grants_only() -> Self {
        Self { rules: None }
    }

    /// The policy of `rules`, within what the caller's own token grants.
    pub fn with_rules(rules: Rules) -> Self {
        Self { rules: Some(Arc::new(rules)) }
    }

    /// Returns the rules, if there are any.
    pub fn rules(&self) -> Option<&Rules> {
        self.rules.as_deref()
    }

    /// Decides whether `principal` may use `route`. Prompts, resources and the server itself follow the grant of the
    /// server.
    ///
    /// # Errors
    /// [`Denial`] when the caller's grant does not reach the route's upstream, or a rule refuses it.
    pub fn authorize(&self, principal: &Principal, route: Route) -> Result<Permit, Denial> {
        let subject = route.subject();
        let tool = match &subject.target {
            Target::Tool(name) => Some(name.as_str()),
            Target::Prompt(_) | Target::Resource(_) | Target::Task(_) | Target::Server => None,
        };
        self.decide(principal, subject.server.as_str(), tool)?;
        Ok(Permit { route, principal: principal.key() })
    }

    /// Decides whether `principal` may see that `server` exists: its listings and its changes.
    ///
    /// # Errors
    /// [`Denial`] as [`Policy::authorize`] gives it.
    pub fn may_see(&self, principal: &Principal, server: &ServerId) -> Result<(), Denial> {
        self.decide(principal, server.as_str(), None)
    }

    /// Decides about a server, or a tool of it, by names that need not exist.
    pub fn judge(&self, principal: &Principal, server: &str, tool: Option<&str>) -> Verdict {
        let question = Question { agent: principal.agent.as_str(), server, tool };
        self.judgement(principal, server, tool).verdict(principal, &question)
    }

    /// Returns what `principal` may see. The agent's rules are looked up once, here.
    pub fn sight<'a>(&'a self, principal: &'a Principal) -> PolicySight<'a> {
        PolicySight::new(self.standing(principal), &principal.servers)
    }

    /// Says whether the rules know who `principal` is.
    ///
    /// # Errors
    /// [`NoAgent`] when the caller named no agent and none may stand in for it.
    pub fn require_agent(&self, principal: &Principal) -> Result<(), NoAgent> {
        self.rules().map_or(Ok(()), |rules| no_agent::require_agent(rules, principal))
    }

    /// Returns those of the `configured` servers that `principal` may see, in the order of its allow-list; where a
    /// pattern grants them, or there are no rules, in the order in which they are configured.
    ///
    /// Under [`Reading::AgentMcpGateway`] the list is what agent-mcp-gateway lists, with servers that are
    /// denied beside `*` and without those that a pattern grants.
    pub fn servers_in_order<'s>(
        &self,
        principal: &Principal,
        configured: &'s [ServerId],
    ) -> Vec<&'s ServerId> {
        let mut servers = match self.rules() {
            None => configured.iter().collect(),
            Some(_) if self.require_agent(principal).is_err() => Vec::new(),
            Some(rules) => rules.servers_in_order(principal.agent.as_str(), configured),
        };
        servers.retain(|server| principal.servers.reaches(server));
        servers
    }

    /// Tells whether a caller is told how many tools a server has, those included that it may not see: as
    /// agent-mcp-gateway does it, and under [`Reading::AgentMcpGateway`] only.
    pub fn counts_hidden_tools(&self) -> bool {
        self.rules().is_some_and(|rules| rules.reading() == Reading::AgentMcpGateway)
    }

    fn decide(&self, principal: &Principal, server: &str, tool: Option<&str>) -> Result<(), Denial> {
        let judgement = self.judgement(principal, server, tool);
        if judgement.step.allows() {
            return Ok(());
        }
        Err(Denial::new(judgement.rule(principal), judgement.step))
    }

    fn judgement<'a>(&'a self, principal: &Principal, server: &'a str, tool: Option<&str>) -> Judgement<'a> {
        if server.len().max(tool.map_or(0, str::len)) > MAX_NAME_BYTES {
            return Judgement::new(Step::NameTooLong, Ground::NameBound);
        }
        if !reaches(&principal.servers, server) {
            return Judgement::new(Step::TokenGrant, Ground::Token);
        }
        self.standing(principal).judge(server, tool)
    }

    fn standing(&self, principal: &Principal) -> Standing<'_> {
        let Some(rules) = self.rules() else { return Standing::NoRules };
        match no_agent::require_agent(rules, principal) {
            Ok(()) => rules.standing(principal.agent.as_str()),
            Err(NoAgent::Missing) => Standing::Refused(Judgement::new(Step::AgentMissing, Ground::Defaults)),
            Err(NoAgent::FallbackNotInRules { .. } | NoAgent::NoFallback) => {
                Standing::Refused(Judgement::new(Step::UnknownAgentDenied, Ground::Defaults))
            }
        }
    }
}

// === impl Permit ===

impl Permit {
    /// Returns what the permit is for.
    pub fn subject(&self) -> &Arc<Subject> {
        self.route.subject()
    }

    /// Returns the way to it.
    pub const fn route(&self) -> &Route {
        &self.route
    }

    /// Returns whose permit it is: state at the upstream is kept per principal.
    pub const fn principal(&self) -> &PrincipalKey {
        &self.principal
    }
}

/// Tells whether a server of this name, which need not exist, is within the scope.
fn reaches(scope: &ServerScope, server: &str) -> bool {
    match scope {
        ServerScope::All => true,
        ServerScope::Only(servers) => servers.contains(server),
    }
}
