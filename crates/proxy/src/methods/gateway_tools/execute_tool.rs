//! `execute_tool`: calls one tool of one server. The answer is the server's own, byte for byte: its content of any kind,
//! its structured content, its `isError`.

use std::{sync::Arc, time::Duration};

use policy::Denial;
use protocol::{Edit, MethodRow, Object, Params, splice};

use super::{
    GatewayTool,
    arguments::{self, ExecuteTool},
    asked, get_server_tools, identified,
};
use crate::{
    Proxy,
    admission::Admission,
    call::{self, Routed, Running},
    error::{Asked, Failure, shown},
    observe::{self, Note},
};

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
    let json = params.arguments().unwrap_or("{}");
    let read = arguments::read::<ExecuteTool<'_>>(GatewayTool::ExecuteTool, json);
    let aimed = match read {
        Ok(arguments) => aim(&admission, row, &params, &arguments),
        Err(failure) => Err((asked(&admission, NAME, "", ""), admission.clone(), failure)),
    };
    match aimed {
        Ok((admission, routed)) => call::start(proxy, admission, routed).await,
        Err((asked, admission, failure)) => {
            let note = Note::own(NAME, &params, Some(&asked.server), Some(&asked.tool));
            observe::begin(proxy, &admission, &note).await?.failed(&failure);
            Err(failure.asked(Some(&asked)))
        }
    }
}

const NAME: &str = GatewayTool::ExecuteTool.name();

/// Settles for whom and where the call goes. Server and tool are judged before anybody looks whether they exist, so a
/// refusal says nothing about that.
fn aim(
    admission: &Admission,
    row: &'static MethodRow,
    params: &Params,
    arguments: &ExecuteTool<'_>,
) -> Result<(Admission, Routed), (Arc<Asked>, Admission, Failure)> {
    let failed = |admission: &Admission, failure| {
        (asked(admission, NAME, &arguments.server, &arguments.tool), admission.clone(), failure)
    };
    let admission = identified(admission.clone(), arguments.agent_id.as_deref())
        .map_err(|failure| failed(admission, failure))?;
    let policy = &admission.world().configured.policy;
    let verdict = policy.judge(admission.principal(), &arguments.server, Some(&arguments.tool));
    if let Some(denial) = Denial::of(&verdict) {
        let failure = Failure::Denied { what: "tool", name: shown(&arguments.tool), denial };
        return Err(failed(&admission, failure));
    }
    let server = get_server_tools::configured(&admission, &arguments.server).cloned();
    let server = server.map_err(|failure| failed(&admission, failure))?;
    let params = rewritten(row, params, arguments).map_err(|failure| failed(&admission, failure))?;
    let asked = asked(&admission, NAME, &arguments.server, &arguments.tool);
    let time = arguments.timeout_ms.filter(|limit_ms| *limit_ms > 0).map(Duration::from_millis);
    Ok((admission.narrowed_to(server), Routed { row, params, asked: Some(asked), time }))
}

/// Puts the tool's name and arguments in the place of ours; every other member, `_meta` first of all, stays.
fn rewritten(
    row: &'static MethodRow,
    params: &Params,
    arguments: &ExecuteTool<'_>,
) -> Result<Params, Failure> {
    let args = arguments.args.map_or("{}", |args| args.get());
    if !args.starts_with('{') {
        return Err(arguments::wrong(GatewayTool::ExecuteTool, "`args` must be an object"));
    }
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
