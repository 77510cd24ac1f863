//! The order of precedence. A server must be granted and not denied; then, for a tool: denied by name, denied by
//! pattern, allowed by name, allowed by pattern, granted with its server because nothing narrows it, refused.

use catalog::Seen;

use super::{
    Reading,
    patterns::{Name, PatternList, ToolList, ToolTable},
};
use crate::{
    Step,
    judgement::{Entry, Ground, Judgement, Side},
};

/// The rules of one agent, compiled.
#[derive(Debug)]
pub(crate) struct AgentRules {
    pub(super) reading: Reading,
    pub(super) allow: Half,
    pub(super) deny: Half,
    /// A key, by its path below the agent, that looks like a misspelled restriction: nothing is granted.
    pub(super) unreadable: Option<Box<str>>,
}

/// What is allowed, or what is denied.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) servers: PatternList,
    pub(super) tools: ToolTable,
}

/// What a caller stands on, looked up once: then every server and tool is judged from here.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Standing<'a> {
    /// There are no rules.
    NoRules,
    /// The agent has no rules, and such agents may use everything.
    Everything,
    /// The caller may use nothing.
    Refused(Judgement<'a>),
    /// The rules of this agent.
    Agent(&'a AgentRules),
}

// === impl Standing ===

impl<'a> Standing<'a> {
    /// Judges a server, or a tool of it.
    pub(crate) fn judge(self, server: &'a str, tool: Option<&str>) -> Judgement<'a> {
        match self {
            Self::NoRules => Judgement::new(Step::NoRules, Ground::Nowhere),
            Self::Everything => Judgement::new(Step::UnknownAgentAllowed, Ground::Defaults),
            Self::Refused(judgement) => judgement,
            Self::Agent(agent) => agent.judge(server, tool),
        }
    }

    /// Says how much of the server can be seen.
    pub(crate) fn seen(self, server: &str) -> Seen {
        match self {
            Self::NoRules | Self::Everything => Seen::Everything,
            Self::Refused(_) => Seen::Nothing,
            Self::Agent(agent) => agent.seen(server),
        }
    }
}

// === impl AgentRules ===

impl AgentRules {
    fn judge<'a>(&'a self, server: &'a str, tool: Option<&str>) -> Judgement<'a> {
        let server = self.name(server);
        let access = self.server(server);
        match tool {
            Some(tool) if access.step.allows() => self.tool(server, self.name(tool), access),
            Some(_) | None => access,
        }
    }

    /// Tells whether the server is granted and not denied.
    pub(super) fn allows_server(&self, server: &str) -> bool {
        self.server(self.name(server)).step.allows()
    }

    fn seen(&self, server: &str) -> Seen {
        let server = self.name(server);
        if !self.server(server).step.allows() {
            return Seen::Nothing;
        }
        let denied = self.deny.tools.denying(server).any(|list| !list.patterns.is_empty());
        let mut narrowing = self.allow.tools.narrowing(server.given).peekable();
        let narrowed = narrowing.peek().is_some() && !narrowing.any(|list| list.patterns.star().is_some());
        if denied || narrowed { Seen::SomeTools } else { Seen::Everything }
    }

    fn name<'a>(&self, given: &'a str) -> Name<'a> {
        match self.reading {
            Reading::AgentMcpGateway => Name::raw(given),
            Reading::Strict | Reading::Own => Name::trimmed(given),
        }
    }

    fn server(&self, server: Name<'_>) -> Judgement<'_> {
        self.denied_server(server).unwrap_or_else(|| self.allowed_server(server.given))
    }

    fn denied_server(&self, server: Name<'_>) -> Option<Judgement<'_>> {
        let servers = &self.deny.servers;
        let at = |step, entry| Judgement::new(step, Ground::Servers(Side::Deny, entry));
        let exact = || server.spellings().find_map(|name| servers.exact(name));
        let glob = || server.spellings().find_map(|name| servers.glob(name));
        exact()
            .map(|entry| at(Step::ServerDenyExplicit, entry))
            .or_else(|| servers.star().map(|entry| at(Step::ServerDenyWildcard, entry)))
            .or_else(|| glob().map(|entry| at(Step::ServerDenyPattern, entry)))
    }

    fn allowed_server(&self, server: &str) -> Judgement<'_> {
        let servers = &self.allow.servers;
        let at = |step, entry| Judgement::new(step, Ground::Servers(Side::Allow, entry));
        servers
            .exact(server)
            .map(|entry| at(Step::ServerAllowExplicit, entry))
            .or_else(|| servers.star().map(|entry| at(Step::ServerAllowWildcard, entry)))
            .or_else(|| servers.glob(server).map(|entry| at(Step::ServerAllowPattern, entry)))
            .unwrap_or(Judgement::new(Step::ServerNotAllowed, Ground::NoServers(Side::Allow)))
    }

    fn tool<'a>(&'a self, server: Name<'a>, tool: Name<'_>, access: Judgement<'a>) -> Judgement<'a> {
        self.denied_tool(server, tool)
            .or_else(|| self.allowed_tool(server.given, tool.given))
            .unwrap_or_else(|| self.unnamed_tool(server.given, access))
    }

    fn denied_tool<'a>(&'a self, server: Name<'a>, tool: Name<'_>) -> Option<Judgement<'a>> {
        let exact = |list: &'a ToolList| tool.spellings().find_map(|name| list.patterns.exact(name));
        let glob = |list: &'a ToolList| tool.spellings().find_map(|name| list.patterns.glob(name));
        let lists = || self.deny.tools.denying(server);
        lists().find_map(|list| Some(list.at(Step::ToolDenyExplicit, Side::Deny, exact(list)?))).or_else(
            || lists().find_map(|list| Some(list.at(Step::ToolDenyWildcard, Side::Deny, glob(list)?))),
        )
    }

    fn allowed_tool<'a>(&'a self, server: &'a str, tool: &str) -> Option<Judgement<'a>> {
        let exact = |list: &'a ToolList| list.patterns.exact(tool);
        let glob = |list: &'a ToolList| list.patterns.glob(tool);
        let lists = || self.allow.tools.narrowing(server);
        lists().find_map(|list| Some(list.at(Step::ToolAllowExplicit, Side::Allow, exact(list)?))).or_else(
            || lists().find_map(|list| Some(list.at(Step::ToolAllowWildcard, Side::Allow, glob(list)?))),
        )
    }

    /// A tool that no rule names: it comes with its server, unless a list narrows that.
    fn unnamed_tool<'a>(&'a self, server: &'a str, access: Judgement<'a>) -> Judgement<'a> {
        match self.allow.tools.narrowing(server).next() {
            None => Judgement::new(Step::ImplicitGrant, access.ground),
            Some(list) => Judgement::new(
                Step::ToolNotInAllowList,
                Ground::NoTools { side: Side::Allow, key: &list.key },
            ),
        }
    }
}

impl ToolList {
    fn at<'a>(&'a self, step: Step, side: Side, entry: Entry<'a>) -> Judgement<'a> {
        Judgement::new(step, Ground::Tools { side, key: &self.key, entry })
    }
}
