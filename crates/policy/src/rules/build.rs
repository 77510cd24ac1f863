//! From rules as written to rules that can be asked: bounds are checked, patterns compiled, and what may surprise the
//! author is told.

use domain::ConfigFault;

use super::{
    Notice, Reading, Rules, RulesConfig,
    config::{AgentConfig, HalfConfig},
    judge::{AgentRules, Half},
    notices,
    patterns::{Keys, PatternList, Syntax, ToolTable},
};

/// Most agents in one set of rules; each costs a few hundred bytes and a look at start.
const MAX_AGENTS: usize = 10_000;
/// Most entries in one list: patterns are tried one after the other.
const MAX_ENTRIES: usize = 4_096;
/// Most lists of tools in one half of an agent's rules: keys that are patterns are tried one after the other.
const MAX_LISTS: usize = 4_096;
/// Longest entry or key, in bytes; the longest name of a server or tool has 256.
const MAX_ENTRY_BYTES: usize = 1_024;

/// Rules that can be asked, with what their author should know about them.
#[derive(Debug)]
pub struct Built {
    /// The rules.
    pub rules: Rules,
    /// What stood out, in the order in which it was written.
    pub warnings: Vec<Notice>,
}

impl Rules {
    /// Compiles `config` as `reading` understands it; it should have been read the same way.
    ///
    /// # Errors
    /// All faults, when a bound is exceeded: 10,000 agents, 4,096 entries in a list, 1,024 bytes in an entry.
    pub fn build(config: &RulesConfig, reading: Reading) -> Result<Built, Vec<ConfigFault>> {
        let faults = faults(config);
        if !faults.is_empty() {
            return Err(faults);
        }
        let agents = config.agents.iter().map(|(id, agent)| (id.as_str().into(), compile(agent, reading)));
        let rules =
            Self { reading, denies_missing_agent: config.deny_on_missing_agent, agents: agents.collect() };
        let mut warnings = config.notices.clone();
        warnings.extend(notices::about(config, reading));
        Ok(Built { rules, warnings })
    }
}

fn compile(agent: &AgentConfig, reading: Reading) -> AgentRules {
    AgentRules {
        reading,
        allow: allowed(&agent.allow, reading),
        deny: denied(&agent.deny, reading),
        unreadable: agent.unreadable.as_deref().map(Into::into),
    }
}

fn allowed(half: &HalfConfig, reading: Reading) -> Half {
    let lists = half.tools.iter();
    let tools = match reading {
        // To the peer an empty list is no list, and `*` is a server of that name.
        Reading::AgentMcpGateway => {
            let lists = lists.filter(|(_, tools)| !tools.is_empty());
            ToolTable::new(lists, Syntax::StarredTools, Keys::Names)
        }
        // A pattern without `*` is a name to the peer: as a pattern it would allow more.
        Reading::Strict => ToolTable::new(lists, Syntax::StarredTools, Keys::Patterns),
        Reading::Own => ToolTable::new(lists, Syntax::Tools, Keys::Patterns),
    };
    Half { servers: PatternList::new(&half.servers, Syntax::Servers), tools }
}

fn denied(half: &HalfConfig, reading: Reading) -> Half {
    let lists = half.tools.iter();
    let tools = match reading {
        Reading::AgentMcpGateway => ToolTable::new(lists, Syntax::StarredTools, Keys::Names),
        Reading::Strict | Reading::Own => ToolTable::new(lists, Syntax::Tools, Keys::Patterns),
    };
    Half { servers: PatternList::new(&half.servers, Syntax::Servers), tools }
}

fn faults(config: &RulesConfig) -> Vec<ConfigFault> {
    let mut faults = Vec::new();
    if config.agents.len() > MAX_AGENTS {
        faults.push(ConfigFault::new(&["agents"], format!("more than {MAX_AGENTS} agents")));
    }
    for (id, agent) in &config.agents {
        check_half(&["agents", id, "allow"], &agent.allow, &mut faults);
        check_half(&["agents", id, "deny"], &agent.deny, &mut faults);
    }
    faults
}

fn check_half(path: &[&str], half: &HalfConfig, faults: &mut Vec<ConfigFault>) {
    check_list(&[path, &["servers"]].concat(), &half.servers, faults);
    if half.tools.len() > MAX_LISTS {
        faults.push(ConfigFault::new(&[path, &["tools"]].concat(), format!("more than {MAX_LISTS} lists")));
    }
    for (key, list) in &half.tools {
        let path = [path, &["tools", key]].concat();
        if key.len() > MAX_ENTRY_BYTES {
            faults.push(ConfigFault::new(&path, format!("longer than {MAX_ENTRY_BYTES} bytes")));
        }
        check_list(&path, list, faults);
    }
}

fn check_list(path: &[&str], list: &[String], faults: &mut Vec<ConfigFault>) {
    if list.len() > MAX_ENTRIES {
        faults.push(ConfigFault::new(path, format!("more than {MAX_ENTRIES} entries")));
    }
    for (index, _) in list.iter().enumerate().filter(|(_, entry)| entry.len() > MAX_ENTRY_BYTES) {
        let index = index.to_string();
        let path = [path, &[index.as_str()]].concat();
        faults.push(ConfigFault::new(&path, format!("longer than {MAX_ENTRY_BYTES} bytes")));
    }
}
