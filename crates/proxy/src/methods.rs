//! What each method is answered with, whichever door it came through. Routed methods go to `call`; the rest is
//! answered here, from the snapshot.

mod capabilities;
mod gateway_tools;
mod lifecycle;
mod list;
mod listen;
mod subscribe;

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use catalog::Freshness;
use protocol::{Era, MethodRow, Object, Params, Request, Routing, method};

use gateway_tools::Addressed;
pub(crate) use lifecycle::initialize;
pub(crate) use listen::Listening;
use upstream::{News, SharedSession};

use crate::{
    Proxy,
    admission::Admission,
    call::{self, Routed, Running},
    error::Failure,
};

/// What answers a request.
pub(crate) enum Answer {
    /// This JSON text as the result.
    Result(Bytes),
    /// An upstream's answer, which is on its way.
    Running(Box<Running>),
    /// Notifications without end, until the client goes.
    Listening(Box<Listening>),
}

/// Answers a request of an admitted caller. Dropping the future cancels the request.
///
/// # Errors
/// [`Failure`] for everything that is not an answer.
pub(crate) async fn answer(
    proxy: &Arc<Proxy>,
    admission: Admission,
    request: Request,
) -> Result<Answer, Failure> {
    let row =
        method(&request.method).filter(|row| row.exists_in(admission.era())).ok_or(Failure::UnknownMethod)?;
    let params = Params::parse(request.params.clone(), row)?;
    match row.routing {
        Routing::Tool => match gateway_tools::addressed(&admission, &params.key()) {
            Addressed::Gateway(tool) => gateway_tools::call(proxy, admission, tool, row, params).await,
            Addressed::Upstream => routed(proxy, admission, row, params).await,
            Addressed::Nothing => gateway_tools::refuse_unknown(proxy, &admission, &params).await,
        },
        Routing::Resource if subscribe::is_about(row) => {
            subscribe::answer(proxy, admission, row, params).await.map(Answer::Result)
        }
        Routing::Prompt | Routing::Resource | Routing::Reference | Routing::Task | Routing::Feature(_) => {
            routed(proxy, admission, row, params).await
        }
        Routing::List(kind) => list::list(proxy, admission, kind, &params).await.map(Answer::Result),
        Routing::Local => local(proxy, admission, row, &request, &params),
    }
}

/// Tells whether a call of the tool `name` goes to an upstream, should one have it, and not to a tool of the gateway's
/// own or nowhere.
pub(crate) fn leads_upstream(admission: &Admission, name: &str) -> bool {
    matches!(gateway_tools::addressed(admission, name), Addressed::Upstream)
}

async fn routed(
    proxy: &Proxy,
    admission: Admission,
    row: &'static MethodRow,
    params: Params,
) -> Result<Answer, Failure> {
    let request = Routed { row, params, asked: None, time: None };
    Ok(Answer::Running(Box::new(call::start(proxy, admission, request).await?)))
}

fn local(
    proxy: &Arc<Proxy>,
    admission: Admission,
    row: &'static MethodRow,
    request: &Request,
    params: &Params,
) -> Result<Answer, Failure> {
    match &*request.method {
        "ping" => Ok(Answer::Result(Bytes::from_static(b"{}"))),
        "logging/setLevel" => set_log_level(proxy, &admission, params).map(Answer::Result),
        "server/discover" => Ok(Answer::Result(lifecycle::discover(proxy, &admission))),
        "subscriptions/listen" => {
            Ok(Answer::Listening(Box::new(Listening::new(proxy, admission, row, (request, params))?)))
        }
        // `initialize` opens a session and is answered at the door.
        _ => Err(Failure::UnknownMethod),
    }
}

fn set_log_level(proxy: &Proxy, admission: &Admission, params: &Params) -> Result<Bytes, Failure> {
    let object = Object::parse(params.raw(), &["level"]).map_err(protocol::BadParams::from)?;
    let level = object.string("level").ok_or(protocol::BadParams::Missing("level"))?;
    let session = admission.client().session.as_ref().ok_or(Failure::UnknownMethod)?;
    if session.set_log_level(&level) {
        proxy.upstreams.tell(&(session.clone() as SharedSession), News::LogLevel);
        Ok(Bytes::from_static(b"{}"))
    } else {
        Err(Failure::Unknown { what: "log level", name: crate::error::shown(&level) })
    }
}

/// Writes a result of ours with what the client's era requires beside `members`.
fn own_result(proxy: &Proxy, era: Era, members: &[u8], freshness: Freshness) -> Bytes {
    let mut out = Vec::with_capacity(members.len() + 256);
    out.push(b'{');
    if era == Era::Modern {
        let scope = if freshness.is_public { "public" } else { "private" };
        let ttl_ms = freshness.ttl_ms(Instant::now());
        let fresh = format!(r#""resultType":"complete","ttlMs":{ttl_ms},"cacheScope":"{scope}""#);
        out.extend_from_slice(fresh.as_bytes());
        let info = format!(r#","_meta":{{"{}":{}}},"#, protocol::meta::SERVER_INFO, proxy.info.as_json());
        out.extend_from_slice(info.as_bytes());
    }
    out.extend_from_slice(members);
    out.push(b'}');
    out.into()
}
