//! The gateway's own tools: with them a client finds and calls the tools of its upstreams instead of loading every
//! definition at the start. `discovery` shows agent-mcp-gateway's tools, `search` a search and the same call.
//! Each tool has a file; what clients are told of them is in `definitions`.

mod arguments;
mod definitions;
mod execute_tool;
mod get_gateway_status;
mod get_server_tools;
mod list_servers;
mod search_tools;
mod structured;
mod tokens;
mod unready;

use std::sync::Arc;

use bytes::Bytes;
use catalog::View;
use domain::AgentId;
use policy::Denial;
use protocol::{MethodRow, Params, Routing};

use super::Answer;
use crate::{
    Exposure, Proxy, StatusTool,
    admission::{Admission, Shown},
    error::{Asked, Failure, shown},
    observe::{self, Note},
};

/// A tool of the gateway's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GatewayTool {
    /// Which servers there are.
    ListServers,
    /// Which tools a server has.
    GetServerTools,
    /// Which tools fit a purpose.
    SearchTools,
    /// Call one.
    ExecuteTool,
    /// How the gateway is, for whoever sets it up.
    GetGatewayStatus,
}

impl GatewayTool {
    const fn name(self) -> &'static str {
        match self {
            Self::ListServers => "list_servers",
            Self::GetServerTools => "get_server_tools",
            Self::SearchTools => "search_tools",
            Self::ExecuteTool => "execute_tool",
            Self::GetGatewayStatus => "get_gateway_status",
        }
    }
}

/// Returns the tools that a listing shows, in order; none where it shows the upstreams' own.
fn offered(shown: Shown, status: StatusTool) -> &'static [GatewayTool] {
    use GatewayTool::{ExecuteTool, GetGatewayStatus, GetServerTools, ListServers, SearchTools};
    match (shown, status) {
        (Shown::Upstreams, _) => &[],
        (Shown::Discovery, StatusTool::Hidden) => &[ListServers, GetServerTools, ExecuteTool],
        (Shown::Discovery, StatusTool::Offered) => {
            &[ListServers, GetServerTools, ExecuteTool, GetGatewayStatus]
        }
        (Shown::Search, StatusTool::Hidden) => &[SearchTools, ExecuteTool],
        (Shown::Search, StatusTool::Offered) => &[SearchTools, ExecuteTool, GetGatewayStatus],
    }
}

/// Returns the comma-joined definitions that a listing shows; `None` where it shows the upstreams' own tools.
pub(super) fn listing(shown: Shown, status: StatusTool) -> Option<String> {
    let definitions: Vec<&str> =
        offered(shown, status).iter().map(|tool| definitions::of(*tool, shown)).collect();
    (!definitions.is_empty()).then(|| definitions.join(","))
}

/// Says where a call of the tool `name` goes.
pub(super) enum Addressed {
    /// To a tool of the gateway's own.
    Gateway(GatewayTool),
    /// To a tool of an upstream.
    Upstream,
    /// Nowhere: this client is shown no tool of that name.
    Nothing,
}

/// Finds out where a call of the tool `name` goes. Under automatic exposure both kinds can be called: what its client
/// listed may since have changed from one to the other.
pub(super) fn addressed(admission: &Admission, name: &str) -> Addressed {
    let world = admission.world();
    let exposure = admission.viewpoint().exposure(world);
    if exposure == Exposure::Auto && is_listed(admission, name) {
        return Addressed::Upstream;
    }
    let shown = match exposure {
        Exposure::Direct => return Addressed::Upstream,
        Exposure::Discovery => Shown::Discovery,
        Exposure::Search | Exposure::Auto => Shown::Search,
    };
    let offered = offered(shown, world.configured.exposure.status_tool);
    match offered.iter().find(|tool| tool.name() == name) {
        Some(tool) => Addressed::Gateway(*tool),
        None if exposure == Exposure::Auto => Addressed::Upstream,
        None => Addressed::Nothing,
    }
}

/// Tells whether the caller is shown the upstreams' own tools, and one has this name: a server's endpoint may list a
/// tool that is named like one of ours.
fn is_listed(admission: &Admission, name: &str) -> bool {
    let (world, view, sight) = (admission.world(), admission.view(), admission.sight());
    *view != View::All
        && admission.viewpoint().shown(world) == Shown::Upstreams
        && world.catalog.route(view, Routing::Tool, name, &sight).is_ok()
}

/// Puts on record that a client called a tool that it is not shown.
///
/// # Errors
/// [`Failure::Unknown`], always, or [`Failure::Audit`].
pub(super) async fn refuse_unknown(
    proxy: &Proxy,
    admission: &Admission,
    params: &Params,
) -> Result<Answer, Failure> {
    let record = observe::begin(proxy, admission, &Note::unknown(params)).await?;
    let failure = Failure::Unknown { what: "tool", name: shown(&params.key()) };
    record.failed(&failure);
    Err(failure)
}

/// Calls one of the gateway's own tools.
///
/// # Errors
/// [`Failure::Asked`], recorded.
pub(super) async fn call(
    proxy: &Proxy,
    admission: Admission,
    tool: GatewayTool,
    row: &'static MethodRow,
    params: Params,
) -> Result<Answer, Failure> {
    if tool == GatewayTool::ExecuteTool {
        let running = execute_tool::start(proxy, admission, row, params).await?;
        return Ok(Answer::Running(Box::new(running)));
    }
    let arguments = params.arguments().unwrap_or("{}");
    let read = match tool {
        GatewayTool::ListServers => arguments::read(tool, arguments).map(Own::ListServers),
        GatewayTool::GetServerTools => arguments::read(tool, arguments).map(Own::GetServerTools),
        GatewayTool::SearchTools => arguments::read_search(arguments).map(Own::SearchTools),
        GatewayTool::GetGatewayStatus | GatewayTool::ExecuteTool => {
            arguments::read(tool, arguments).map(Own::GetGatewayStatus)
        }
    };
    answer_recorded(proxy, admission, tool, &params, read).await.map(Answer::Result)
}

/// The arguments of a tool that the gateway answers by itself.
enum Own {
    ListServers(arguments::ListServers),
    GetServerTools(arguments::GetServerTools),
    SearchTools(arguments::SearchTools),
    GetGatewayStatus(arguments::GetGatewayStatus),
}

impl Own {
    fn agent_id(&self) -> Option<&str> {
        match self {
            Self::ListServers(arguments) => arguments.agent_id.as_deref(),
            Self::GetServerTools(arguments) => arguments.agent_id.as_deref(),
            Self::SearchTools(arguments) => arguments.agent_id.as_deref(),
            Self::GetGatewayStatus(arguments) => arguments.agent_id.as_deref(),
        }
    }

    fn server(&self) -> Option<&str> {
        match self {
            Self::GetServerTools(arguments) => Some(&arguments.server),
            Self::SearchTools(arguments) => arguments.server.as_deref(),
            Self::ListServers(_) | Self::GetGatewayStatus(_) => None,
        }
    }
}

/// What a tool of the gateway answers.
struct Told {
    result: Bytes,
    /// What went wrong, where agent-mcp-gateway tells that in a result that is no error. For the record.
    failure: Option<Failure>,
}

impl From<Bytes> for Told {
    fn from(result: Bytes) -> Self {
        Self { result, failure: None }
    }
}

/// Answers a call from what the gateway knows, on record.
async fn answer_recorded(
    proxy: &Proxy,
    admission: Admission,
    tool: GatewayTool,
    params: &Params,
    own: Result<Own, Failure>,
) -> Result<Bytes, Failure> {
    let server = match &own {
        Ok(own) => own.server().map(str::to_owned),
        Err(_) => params.arguments().map(|json| arguments::said(json).server),
    };
    let (admission, own) = match own {
        Ok(own) => match identified(admission.clone(), own.agent_id()) {
            Ok(admission) => (settled(proxy, admission, &own).await, Ok(own)),
            Err(failure) => (admission, Err(failure)),
        },
        Err(failure) => (admission, Err(failure)),
    };
    let note = Note::own(tool.name(), params, server.as_deref(), None);
    let record = observe::begin(proxy, &admission, &note).await?;
    match own.and_then(|own| answer(proxy, &admission, &own)) {
        Ok(Told { result, failure: None }) => {
            record.answered(&result);
            Ok(result)
        }
        Ok(Told { result, failure: Some(failure) }) => {
            record.failed(&failure);
            Ok(result)
        }
        Err(failure) => {
            record.failed(&failure);
            Err(failure.asked(Some(&asked(&admission, tool.name(), "", ""))))
        }
    }
}

/// Waits for upstreams that are still starting, where the answer needs what they list, and takes the world that is there
/// then. Whoever is refused anyway does not wait.
async fn settled(proxy: &Proxy, admission: Admission, own: &Own) -> Admission {
    let needs_listings = match own {
        Own::ListServers(_) | Own::GetGatewayStatus(_) => false,
        Own::GetServerTools(arguments) => judged(&admission, &arguments.server, None).is_ok(),
        Own::SearchTools(_) => true,
    };
    if !needs_listings {
        return admission;
    }
    proxy.settle().await;
    admission.refreshed(proxy)
}

fn answer(proxy: &Proxy, admission: &Admission, own: &Own) -> Result<Told, Failure> {
    match own {
        Own::ListServers(arguments) => Ok(list_servers::answer(admission, arguments).into()),
        Own::GetServerTools(arguments) => Ok(get_server_tools::answer(proxy, admission, arguments)),
        Own::SearchTools(arguments) => Ok(search_tools::answer(proxy, admission, arguments).into()),
        Own::GetGatewayStatus(_) => get_gateway_status::answer(proxy, admission).map(Told::from),
    }
}

/// The rule that refuses servers beyond the endpoint that a client uses.
const ENDPOINT_RULE: &str = "endpoint";

/// Judges a server, or a tool of it, by names that need not exist: so a refusal says nothing about that. An endpoint for
/// one server does not reach beyond it.
fn judged(admission: &Admission, server: &str, tool: Option<&str>) -> Result<(), Failure> {
    let verdict = admission.world().configured.policy.judge(admission.principal(), server, tool);
    let is_beyond = matches!(admission.view(), View::Server(only) if only.as_str() != server);
    let denial = Denial::of(&verdict).or(is_beyond.then(|| Denial::by_rule(ENDPOINT_RULE)));
    match denial {
        None => Ok(()),
        Some(denial) => Err(Failure::Denied { what: "tool", name: shown(tool.unwrap_or_default()), denial }),
    }
}

/// Settles on whose behalf a tool of the gateway is called: the agent that the caller names, else the one it is known
/// by, else the one that the rules have for callers without a name.
fn identified(admission: Admission, agent_id: Option<&str>) -> Result<Admission, Failure> {
    match agent_id.filter(|name| !name.is_empty()) {
        Some(name) => {
            let agent = AgentId::new(name).map_err(Failure::AgentName)?;
            let caller = admission.caller().claim(agent)?;
            Ok(admission.on_behalf_of(caller))
        }
        None => {
            admission.world().configured.policy.require_agent(admission.principal())?;
            Ok(admission)
        }
    }
}

fn asked(admission: &Admission, operation: &'static str, server: &str, tool: &str) -> Arc<Asked> {
    Arc::new(Asked {
        operation,
        agent: admission.principal().agent.clone(),
        server: server.to_owned(),
        tool: tool.to_owned(),
    })
}
