//! Which servers an agent is shown, in which order; and which servers the rules name that do not exist.

use std::collections::{HashMap, HashSet};

use domain::ServerId;

use super::{
    Notice, Reading, Rules, Standing,
    judge::{AgentRules, Half},
    keys,
    patterns::{PatternList, Syntax},
};
use crate::{
    judgement::Side,
    pattern::{self, Pattern},
};

impl Rules {
    /// Returns what agent-mcp-gateway's `get_allowed_servers` returns: `*` alone where that is allowed and not denied,
    /// even if some servers are; else the allowed names that are not denied, patterns as they are written.
    pub fn allowed_servers(&self, agent: &str) -> Vec<&str> {
        let Standing::Agent(rules) = self.standing(agent) else { return Vec::new() };
        let denied = &rules.deny.servers;
        if rules.allow.servers.star().is_some() && denied.star().is_none() {
            return vec!["*"];
        }
        let names = rules.allow.servers.written().map(|entry| entry.pattern);
        names.filter(|&name| name != "*" && !denied.covers(name)).collect()
    }

    /// Returns those of the `configured` servers that the agent is shown, in their order for it.
    pub(crate) fn servers_in_order<'s>(&self, agent: &str, configured: &'s [ServerId]) -> Vec<&'s ServerId> {
        match (self.reading, self.standing(agent)) {
            (Reading::AgentMcpGateway, _) => self.as_the_peer_lists(agent, configured),
            (Reading::Strict | Reading::Own, Standing::Agent(rules)) => rules.servers_in_order(configured),
            (Reading::Strict | Reading::Own, Standing::NoRules | Standing::Everything) => {
                configured.iter().collect()
            }
            (Reading::Strict | Reading::Own, Standing::Refused(_)) => Vec::new(),
        }
    }

    fn as_the_peer_lists<'s>(&self, agent: &str, configured: &'s [ServerId]) -> Vec<&'s ServerId> {
        let allowed = self.allowed_servers(agent);
        if allowed == ["*"] {
            return configured.iter().collect();
        }
        let by_name: HashMap<&str, &ServerId> =
            configured.iter().map(|server| (server.as_str(), server)).collect();
        allowed.into_iter().filter_map(|name| by_name.get(name).copied()).collect()
    }

    /// Returns a notice for each server that the rules name and that is not among `configured`. A pattern counts as
    /// undefined where it matches none of them, or where it is no pattern in this reading.
    pub fn unknown_servers(&self, configured: &[ServerId]) -> Vec<Notice> {
        let mut notices = Vec::new();
        for (agent, rules) in &self.agents {
            self.unknown_in_half(agent, Side::Allow, &rules.allow, configured, &mut notices);
            self.unknown_in_half(agent, Side::Deny, &rules.deny, configured, &mut notices);
        }
        notices
    }

    fn unknown_in_half(
        &self,
        agent: &str,
        side: Side,
        half: &Half,
        configured: &[ServerId],
        notices: &mut Vec<Notice>,
    ) {
        let side = side.as_str();
        for entry in half.servers.written().filter(|entry| entry.pattern != "*") {
            if !self.is_defined(entry.pattern, configured) {
                let path = ["agents", agent, side, "servers", &entry.index.to_string()];
                notices.push(undefined(&path, entry.pattern, configured));
            }
        }
        for list in half.tools.lists() {
            if !self.is_defined(&list.key, configured) {
                let path = ["agents", agent, side, "tools", &list.key];
                notices.push(undefined(&path, &list.key, configured));
            }
        }
    }

    fn is_defined(&self, name: &str, configured: &[ServerId]) -> bool {
        let exists = || configured.iter().any(|server| server.as_str() == name);
        match self.reading {
            Reading::AgentMcpGateway => exists(),
            Reading::Strict | Reading::Own if name == "*" => true,
            Reading::Strict | Reading::Own if pattern::is_pattern(name) => {
                let glob = Pattern::new(name);
                exists() || configured.iter().any(|server| glob.matches(server.as_str()))
            }
            Reading::Strict | Reading::Own => exists(),
        }
    }
}

/// `path` is `agents.<agent>.<side>.<servers or tools>.<entry or server>`.
fn undefined(path: &[&str; 5], name: &str, configured: &[ServerId]) -> Notice {
    let [_, agent, side, list, _] = path;
    let notice =
        Notice::new(path, format!("Agent \"{agent}\" {side}.{list} references undefined server \"{name}\""));
    let lower = name.to_lowercase();
    let mut names = configured.iter().map(ServerId::as_str);
    match names.find(|known| keys::is_close(&lower, &known.to_lowercase())) {
        Some(meant) => notice.with_help(format!("did you mean \"{meant}\"?")),
        None => notice,
    }
}

impl AgentRules {
    fn servers_in_order<'s>(&self, configured: &'s [ServerId]) -> Vec<&'s ServerId> {
        let may_see = |server: &&ServerId| self.allows_server(server.as_str());
        if self.allow.servers.star().is_some() {
            return configured.iter().filter(may_see).collect();
        }
        let mut shown = HashSet::new();
        let granted = self.allow.servers.written().flat_map(|entry| granted(entry.pattern, configured));
        granted.filter(may_see).filter(|server| shown.insert(*server)).collect()
    }
}

/// Returns the configured servers that one entry of an allow-list grants.
fn granted<'s>(pattern: &str, configured: &'s [ServerId]) -> Vec<&'s ServerId> {
    let one = PatternList::new(&[pattern.to_owned()], Syntax::Servers);
    configured.iter().filter(|server| one.covers(server.as_str())).collect()
}
