//! `execute_tool`: calls one tool of one server. The answer is the server's own, byte for byte: its content of any kind,
//! its structured content, its `isError`.

use std::{sync::Arc, time::Duration};

use domain::ServerId;
use protocol::{Edit, MethodRow, Object, Params, splice};

use super::{
    GatewayTool,
    arguments::{self, ExecuteTool},
    asked, get_server_tools, identified, judged,
};
use crate::{
    Exposure, Proxy,
    admission::Admission,
    call::{self, Routed, Running},
    error::{Asked, Failure},
    observe::{self, Note},
};

const NAME: &str = GatewayTool::ExecuteTool.name();

/// A call that is not made, with whoever it is put on record for.
struct Refused {
    admission: Admission,
    asked: Arc<Asked>,
    failure: Failure,
}

/// Begins the call.
///
/// # Errors
/// [`Failure::Asked`], recorded.
pub(super) async fn start(
    proxy: &Proxy,
    admission: Admission,
    row: &'static MethodRow,
    params: Params,
) -> Result<Running, Failure> {
    match aim(admission, row, &params) {
        Ok((admission, routed)) => call::start(proxy, admission, routed).await,
        Err(refused) => {
            let Refused { admission, asked, failure } = *refused;
            let note = Note::own(NAME, &params, Some(&asked.server), Some(&asked.tool));
            observe::begin(proxy, &admission, &note).await?.failed(&failure);
            Err(failure.asked(Some(&asked)))
        }
    }
}

/// Settles for whom and where the call goes.
fn aim(
    admission: Admission,
    row: &'static MethodRow,
    params: &Params,
) -> Result<(Admission, Routed), Box<Refused>> {
    let json = params.arguments().unwrap_or("{}");
    let refused = |admission: Admission, (server, tool): (&str, &str), failure| {
        let asked = asked(&admission, NAME, server, tool);
        Box::new(Refused { admission, asked, failure })
    };
    let arguments = match arguments::read_execute(json) {
        Ok(arguments) => arguments,
        Err(failure) => {
            let said = arguments::said(json);
            return Err(refused(admission, (&said.server, &said.tool), failure));
        }
    };
    let address = (arguments.server.as_str(), arguments.tool.as_str());
    let admission = match identified(admission.clone(), arguments.agent_id.as_deref()) {
        Ok(admission) => admission,
        Err(failure) => return Err(refused(admission, address, failure)),
    };
    match routed(&admission, row, params, &arguments) {
        Ok((server, routed)) => Ok((admission.narrowed_to(server), routed)),
        Err(failure) => Err(refused(admission, address, failure)),
    }
}

/// Judges server and tool before anybody looks whether they exist, so that a refusal says nothing about that, and writes
/// the call.
fn routed(
    admission: &Admission,
    row: &'static MethodRow,
    params: &Params,
    arguments: &ExecuteTool<'_>,
) -> Result<(ServerId, Routed), Failure> {
    let ExecuteTool { server, tool, .. } = arguments;
    if !names_may_be_left_out(admission) {
        given(arguments)?;
    }
    judged(admission, server, Some(tool))?;
    given(arguments)?;
    let id = get_server_tools::configured(admission, server)?.clone();
    let params = rewritten(row, params, arguments)?;
    let asked = Some(asked(admission, NAME, server, tool));
    let time = arguments.timeout_ms.filter(|limit_ms| *limit_ms > 0).map(Duration::from_millis);
    Ok((id, Routed { row, params, asked, time }))
}

/// Tells whether the caller knows the call by agent-mcp-gateway's definition, which requires no argument: there the rules
/// speak first, of names that are empty too.
fn names_may_be_left_out(admission: &Admission) -> bool {
    admission.viewpoint().exposure(admission.world()) == Exposure::Discovery
}

fn given(arguments: &ExecuteTool<'_>) -> Result<(), Failure> {
    let needed = [
        ("server", arguments.server.as_str(), "the name of a server"),
        ("tool", arguments.tool.as_str(), "the name of one of its tools"),
    ];
    arguments::given(GatewayTool::ExecuteTool, &needed)
}

/// Puts the tool's name and arguments in the place of ours; every other member, `_meta` first of all, stays.
fn rewritten(
    row: &'static MethodRow,
    params: &Params,
    arguments: &ExecuteTool<'_>,
) -> Result<Params, Failure> {
    let args = arguments.args.map_or("{}", |args| args.get());
    let object = Object::parse(params.raw(), &[]).map_err(protocol::BadParams::from)?;
    let (Some(name_at), Some(arguments_at)) = (object.span("name"), object.span("arguments")) else {
        return Err(arguments::wrong(GatewayTool::ExecuteTool, "`server` and `tool` are needed"));
    };
    let name = serde_json::to_vec(&arguments.tool).expect("a string is JSON");
    let mut edits = [Edit { at: name_at, with: &name }, Edit { at: arguments_at, with: args.as_bytes() }];
    edits.sort_by_key(|edit| edit.at.start);
    let mut out = Vec::with_capacity(params.raw().len());
    splice(&mut out, params.raw(), &edits);
    Ok(Params::parse(Some(out.into()), row)?)
}
