//! What in these very rules may surprise their author: where the reading differs from the peer's, and, in the
//! compatible reading, which of the peer's holes are open.

use super::{
    Notice, Reading, RulesConfig,
    config::{AgentConfig, HalfConfig},
    patterns::{self, PatternList, Syntax},
};
use crate::{judgement::Side, pattern::is_pattern, peer_validation};

/// Returns what the author of `config` should know under `reading`, in the order in which it is written.
pub(super) fn about(config: &RulesConfig, reading: Reading) -> Vec<Notice> {
    let mut notices = Vec::new();
    for (id, agent) in &config.agents {
        let mut about = About { reading, agent: id, notices: &mut notices };
        about.id();
        about.half(Side::Allow, &agent.allow);
        about.half(Side::Deny, &agent.deny);
        about.ungranted_tools(&agent.allow);
        about.evaded_denials(agent);
        about.listed_denials(agent);
    }
    notices.extend(missing_agents(config, reading));
    notices
}

/// `deny_on_missing_agent: false` is two things to the peer; only the fallback for callers without a name is wanted.
fn missing_agents(config: &RulesConfig, reading: Reading) -> Option<Notice> {
    if config.deny_on_missing_agent {
        return None;
    }
    let path = ["defaults", "deny_on_missing_agent"];
    match reading {
        Reading::AgentMcpGateway => {
            let notice = Notice::new(&path, "Agents without rules may use every tool of every server");
            Some(notice.with_help("set deny_on_missing_agent to true"))
        }
        Reading::Strict => {
            let notice = Notice::new(
                &path,
                "Agents without rules get nothing, although deny_on_missing_agent is false; \
                 agent-mcp-gateway grants them everything",
            );
            Some(notice.with_help("write rules for them; callers that name no agent stand in as \"default\""))
        }
        Reading::Own => None,
    }
}

/// What is said about one agent.
struct About<'a> {
    reading: Reading,
    agent: &'a str,
    notices: &'a mut Vec<Notice>,
}

/// A list of names, with its place.
#[derive(Clone, Copy)]
struct List<'a> {
    side: Side,
    /// The server whose tools are listed; `None` for the list of servers.
    server: Option<&'a str>,
    entries: &'a [String],
}

impl About<'_> {
    fn id(&mut self) {
        match self.reading {
            Reading::AgentMcpGateway if self.agent.contains(char::is_control) => {
                self.say(&[], "has a control character in its name".to_owned(), "");
            }
            Reading::Strict if peer_validation::check_agent_id(self.agent).is_err() => {
                self.say(&[], "has a name that agent-mcp-gateway refuses; it is used here".to_owned(), "");
            }
            Reading::AgentMcpGateway | Reading::Strict | Reading::Own => {}
        }
    }

    fn half(&mut self, side: Side, half: &HalfConfig) {
        self.entries(List { side, server: None, entries: &half.servers });
        for (server, entries) in &half.tools {
            let list = List { side, server: Some(server), entries };
            self.key(list, server);
            self.emptiness(list);
            self.entries(list);
        }
    }

    /// A key of `tools` that is a pattern: the peer takes it for the name of a server.
    fn key(&mut self, list: List<'_>, server: &str) {
        if !is_pattern(server) {
            return;
        }
        let grants_all = list.side == Side::Allow && list.entries.iter().any(|entry| entry == "*");
        let (here, there) = match list.side {
            Side::Allow => ("narrows every matching server without a list of its own", "narrows nothing"),
            Side::Deny => ("denies on every matching server", "denies nothing"),
        };
        match self.reading {
            Reading::AgentMcpGateway if !grants_all => {
                self.say_list(list, &format!("{there}: it is taken for a server's name"), "name each server");
            }
            Reading::Strict if !grants_all => {
                self.say_list(list, &format!("{here}; in agent-mcp-gateway it {there}"), "");
            }
            Reading::AgentMcpGateway | Reading::Strict | Reading::Own => {}
        }
    }

    fn emptiness(&mut self, list: List<'_>) {
        if list.side == Side::Deny || !list.entries.is_empty() {
            return;
        }
        match self.reading {
            Reading::AgentMcpGateway => {
                self.say_list(list, "is empty, which grants every tool", "deny the server to grant none");
            }
            Reading::Strict => self.say_list(
                list,
                "is empty, which grants no tool; agent-mcp-gateway grants every one",
                "leave the key out to grant every tool",
            ),
            Reading::Own => {}
        }
    }

    fn entries(&mut self, list: List<'_>) {
        for (index, entry) in list.entries.iter().enumerate() {
            if let Some((problem, help)) = self.strange(list, entry) {
                let place = format!("{}[{index}]", list.place());
                let index = index.to_string();
                self.say(&[list.path().as_slice(), &[&index]].concat(), format!("{place}: {problem}"), help);
            }
        }
    }

    /// Says what is strange about one entry.
    fn strange(&self, list: List<'_>, entry: &str) -> Option<(String, &'static str)> {
        if entry.trim_matches(patterns::is_invisible) != entry {
            let help = "no name is trimmed; take them away";
            return Some((format!("\"{entry}\" begins or ends with invisible characters"), help));
        }
        let refused = match list.server {
            None => peer_validation::check_server(entry).is_err(),
            Some(_) => peer_validation::check_tool(entry).is_err(),
        };
        let is_half_pattern = list.server.is_some() && is_pattern(entry) && !entry.contains('*');
        match (self.reading, list.side) {
            (Reading::Strict, _) if refused => {
                Some((format!("agent-mcp-gateway refuses the pattern \"{entry}\"; it is used here"), ""))
            }
            (Reading::Strict, Side::Allow) if is_half_pattern => Some((
                format!("\"{entry}\" is a name: without `*` nothing else is special"),
                "list the names",
            )),
            (Reading::AgentMcpGateway, Side::Deny) if is_half_pattern => {
                Some((format!("\"{entry}\" denies only the tool of this very name"), "list the names"))
            }
            (Reading::AgentMcpGateway | Reading::Strict | Reading::Own, _) => None,
        }
    }

    /// Lists of tools whose server is not granted have no effect.
    fn ungranted_tools(&mut self, allow: &HalfConfig) {
        let servers = PatternList::new(&allow.servers, Syntax::Servers);
        for (server, entries) in &allow.tools {
            if !is_pattern(server) && !servers.covers(server) {
                let list = List { side: Side::Allow, server: Some(server), entries };
                self.say_list(list, "has no effect: allow.servers does not grant the server", "");
            }
        }
    }

    fn evaded_denials(&mut self, agent: &AgentConfig) {
        let denies_names = agent.deny.tools.values().flatten().any(|tool| !tool.contains('*'));
        match self.reading {
            Reading::AgentMcpGateway if denies_names => self.say(
                &["deny", "tools"],
                "deny.tools: a name with a space or line end around it evades a denial by name".to_owned(),
                "end the denied name with `*`",
            ),
            Reading::AgentMcpGateway | Reading::Strict | Reading::Own => {}
        }
    }

    fn listed_denials(&mut self, agent: &AgentConfig) {
        let is_star = |server: &String| server == "*";
        let denies_some = !agent.deny.servers.is_empty() && !agent.deny.servers.iter().any(is_star);
        match self.reading {
            Reading::AgentMcpGateway if denies_some && agent.allow.servers.iter().any(is_star) => self.say(
                &["deny", "servers"],
                "deny.servers: beside `*` in allow.servers, denied servers are still listed".to_owned(),
                "",
            ),
            Reading::AgentMcpGateway | Reading::Strict | Reading::Own => {}
        }
    }

    fn say_list(&mut self, list: List<'_>, problem: &str, help: &str) {
        self.say(&list.path(), format!("{} {problem}", list.place()), help);
    }

    fn say(&mut self, below: &[&str], problem: String, help: &str) {
        let path = [&["agents", self.agent], below].concat();
        let notice = Notice::new(&path, format!("Agent \"{}\" {problem}", self.agent));
        self.notices.push(if help.is_empty() { notice } else { notice.with_help(help) });
    }
}

impl<'a> List<'a> {
    fn path(self) -> Vec<&'a str> {
        match self.server {
            None => vec![self.side.as_str(), "servers"],
            Some(server) => vec![self.side.as_str(), "tools", server],
        }
    }

    fn place(self) -> String {
        match self.server {
            None => format!("{}.servers", self.side.as_str()),
            Some(server) => format!("{}.tools[\"{server}\"]", self.side.as_str()),
        }
    }
}
