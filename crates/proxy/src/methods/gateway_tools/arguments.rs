//! The arguments of the gateway's own tools. Unknown and doubled ones are refused, with what is right. How one argument is
//! read is in `members.rs`; that server and tool are given is looked at when the rules have spoken.

mod members;

use protocol::Object;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::GatewayTool;
use crate::error::{Failure, shown};

/// Longest search query, in bytes. A person's sentence is a tenth of it.
const MAX_QUERY_BYTES: usize = 4_096;

/// Arguments of `list_servers`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListServers {
    /// On whose behalf.
    #[serde(default, deserialize_with = "members::agent_id")]
    pub(super) agent_id: Option<String>,
    /// Whether transport, command and URL are shown.
    #[serde(default, deserialize_with = "members::include_metadata")]
    pub(super) include_metadata: bool,
}

/// Arguments of `get_server_tools`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GetServerTools {
    /// On whose behalf.
    #[serde(default, deserialize_with = "members::agent_id")]
    pub(super) agent_id: Option<String>,
    /// The server; empty when none is named.
    #[serde(default, deserialize_with = "members::server")]
    pub(super) server: String,
    /// Comma-separated names of tools.
    #[serde(default, deserialize_with = "members::names")]
    pub(super) names: Option<String>,
    /// A glob over names of tools.
    #[serde(default, deserialize_with = "members::pattern")]
    pub(super) pattern: Option<String>,
    /// The most tokens that the definitions may have.
    #[serde(default, deserialize_with = "members::max_schema_tokens")]
    pub(super) max_schema_tokens: Option<i64>,
}

/// Arguments of `execute_tool`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExecuteTool<'a> {
    /// On whose behalf.
    #[serde(default, deserialize_with = "members::agent_id")]
    pub(super) agent_id: Option<String>,
    /// The server; empty when none is named.
    #[serde(default, deserialize_with = "members::server")]
    pub(super) server: String,
    /// The server's tool; empty when none is named.
    #[serde(default, deserialize_with = "members::tool")]
    pub(super) tool: String,
    /// The tool's arguments.
    #[serde(borrow, default)]
    pub(super) args: Option<&'a RawValue>,
    /// The longest time the call may take, in milliseconds; 0 is no limit of its own.
    #[serde(default, deserialize_with = "members::timeout_ms")]
    pub(super) timeout_ms: Option<u64>,
}

/// Arguments of `search_tools`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchTools {
    /// On whose behalf.
    #[serde(default, deserialize_with = "members::agent_id")]
    pub(super) agent_id: Option<String>,
    /// What the tool should do.
    #[serde(default, deserialize_with = "members::query")]
    pub(super) query: String,
    /// Only tools of this server.
    #[serde(default, deserialize_with = "members::only_server")]
    pub(super) server: Option<String>,
    /// The most tools to show.
    #[serde(default, deserialize_with = "members::limit")]
    pub(super) limit: Option<usize>,
    /// How much is shown of each.
    #[serde(default, deserialize_with = "members::detail")]
    pub(super) detail: Detail,
}

/// How much a search shows of each tool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Detail {
    /// One line: name, parameters, the first sentence of the description.
    #[default]
    Compact,
    /// The whole description and input schema.
    Full,
}

/// Arguments of `get_gateway_status`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GetGatewayStatus {
    /// On whose behalf.
    #[serde(default, deserialize_with = "members::agent_id")]
    pub(super) agent_id: Option<String>,
}

/// Reads the arguments of a tool.
///
/// # Errors
/// [`Failure::Arguments`].
pub(super) fn read<'a, T: Deserialize<'a>>(tool: GatewayTool, json: &'a str) -> Result<T, Failure> {
    serde_json::from_str(json).map_err(|error| wrong(tool, &error.to_string()))
}

/// Reads the arguments of `execute_tool`.
///
/// # Errors
/// [`Failure::Arguments`].
pub(super) fn read_execute(json: &str) -> Result<ExecuteTool<'_>, Failure> {
    let read: ExecuteTool<'_> = read(GatewayTool::ExecuteTool, json)?;
    if read.args.is_some_and(|args| !args.get().starts_with('{')) {
        return Err(wrong(GatewayTool::ExecuteTool, "`args` must be an object"));
    }
    Ok(read)
}

/// Reads the arguments of `search_tools`.
///
/// # Errors
/// [`Failure::Arguments`].
pub(super) fn read_search(json: &str) -> Result<SearchTools, Failure> {
    let read: SearchTools = read(GatewayTool::SearchTools, json)?;
    if read.query.trim().is_empty() {
        return Err(problem(
            GatewayTool::SearchTools,
            "`query` is needed: what the tool should do, in a few words, such as \"open a pull request\""
                .into(),
        ));
    }
    if read.query.len() > MAX_QUERY_BYTES {
        let said = format!("`query` has more than {MAX_QUERY_BYTES} bytes; a few words find more");
        return Err(problem(GatewayTool::SearchTools, said));
    }
    Ok(read)
}

/// Checks that the caller named what the tool `asked` cannot do without: each argument, what was given and what it is.
///
/// # Errors
/// [`Failure::Arguments`], with all that are missing.
pub(super) fn given(asked: GatewayTool, needed: &[(&str, &str, &str)]) -> Result<(), Failure> {
    let missing = needed.iter().filter(|(_, given, _)| given.is_empty());
    let missing: Vec<String> =
        missing.map(|(name, _, meaning)| format!("`{name}` is needed: {meaning}")).collect();
    if missing.is_empty() { Ok(()) } else { Err(problem(asked, missing.join("; "))) }
}

/// What the arguments say of where a call goes, as far as it can be read: for the record of one that is refused.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// `server`, or empty.
    pub(super) server: String,
    /// `tool`, or empty.
    pub(super) tool: String,
}

/// Reads where a call goes although its arguments are wrong elsewhere.
pub(super) fn said(json: &str) -> Said {
    let Ok(object) = Object::parse(json.as_bytes(), &[]) else { return Said::default() };
    let text = |name| object.string(name).unwrap_or_default().into_owned();
    Said { server: text("server"), tool: text("tool") }
}

/// Says what is wrong without the parser's position, which means nothing to whoever wrote an object.
pub(super) fn wrong(tool: GatewayTool, said: &str) -> Failure {
    let said = said.split(" at line ").next().unwrap_or_default();
    // What the parser calls a field, agents know as an argument.
    let said = match said.split_once(" field `") {
        Some((what @ ("unknown" | "duplicate"), rest)) => format!("{what} argument `{rest}"),
        Some(_) | None => said.to_owned(),
    };
    problem(tool, shown_problem(&said))
}

fn problem(tool: GatewayTool, problem: String) -> Failure {
    Failure::Arguments { tool: tool.name(), problem }
}

/// The parser's texts repeat what the caller wrote.
fn shown_problem(problem: &str) -> String {
    problem.split('`').map(shown).collect::<Vec<_>>().join("`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused<T>(read: Result<T, Failure>) -> String {
        match read {
            Err(failure @ Failure::Arguments { .. }) => failure.to_string(),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("nothing is wrong with it"),
        }
    }

    #[test]
    fn an_argument_of_the_wrong_kind_is_told_by_its_name_in_plain_words() {
        for (json, said) in [
            (
                r#"{"timeout_ms":-1}"#,
                "execute_tool: `timeout_ms` must be a whole number of milliseconds, 0 or more",
            ),
            (
                r#"{"timeout_ms":1.5}"#,
                "execute_tool: `timeout_ms` must be a whole number of milliseconds, 0 or more",
            ),
            (r#"{"server":null}"#, "execute_tool: `server` must be text"),
            (r#"{"tool":["x"]}"#, "execute_tool: `tool` must be text"),
            (r#"{"agent_id":7}"#, "execute_tool: `agent_id` must be text"),
            (r#"{"args":"x"}"#, "execute_tool: `args` must be an object"),
            (r#"{"tool":"x","tool":"y"}"#, "execute_tool: duplicate argument `tool`"),
        ] {
            assert_eq!(refused(read_execute(json)), said, "{json}");
        }
        for (json, said) in [
            (
                r#"{"query":"a","limit":"5"}"#,
                "search_tools: `limit` must be a whole number of tools, from 1 to 50",
            ),
            (r#"{"query":"a","detail":"all"}"#, "search_tools: `detail` must be `compact` or `full`"),
            (r#"{"query":1}"#, "search_tools: `query` must be text"),
        ] {
            assert_eq!(refused(read_search(json)), said, "{json}");
        }
    }

    #[test]
    fn a_query_without_words_is_told_what_to_say() {
        for json in ["{}", r#"{"query":""}"#, r#"{"query":" \n"}"#] {
            let said = refused(read_search(json));
            assert!(said.starts_with("search_tools: `query` is needed: what the tool should do"), "{said}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let needed = [("server", "", "a server's name"), ("tool", "x", "its tool"), ("more", "", "more")];
        let said = refused(given(GatewayTool::ExecuteTool, &needed));
        assert_eq!(said, "execute_tool: `server` is needed: a server's name; `more` is needed: more");
        assert!(given(GatewayTool::ExecuteTool, &needed[1..2]).is_ok());
    }

    #[test]
    fn where_a_wrong_call_goes_is_read_as_far_as_it_can_be() {
        let both = said(r#"{"extra":1,"server":"one","tool":"echo"}"#);
        assert_eq!((both.server.as_str(), both.tool.as_str()), ("one", "echo"));
        assert_eq!(
            said(r#"{"server":1,"tool":"echo"}"#),
            Said { server: String::new(), tool: "echo".into() }
        );
        assert_eq!(said("[]"), Said::default());
    }
}
