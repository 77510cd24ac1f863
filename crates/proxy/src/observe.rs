//! Every call is written down: the begin line before anything is sent, the end line when its outcome is known.
//! A call that cannot be recorded is not made. Dropping a [`Record`] unfinished is an end as well: its client went
//! away, and the upstream is told to cancel the call.

use std::{borrow::Cow, sync::LazyLock, time::Instant};

use audit::{Begin, End, OpenCall, Outcome};
use bytes::Bytes;
use catalog::Route;
use domain::AgentId;
use memchr::memmem::Finder;
use protocol::{Object, Params};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::{
    Proxy,
    admission::{Admission, Door},
    call::Routed,
    error::Failure,
    metrics::CallMetrics,
    operations::{Operation, Operations},
};

/// Largest answer that is looked into for `isError`, in bytes. Larger ones end as `returned`.
const MAX_INSPECTED_BYTES: usize = 64 * 1024;

/// What is written down of a request.
pub(crate) struct Note<'a> {
    /// The JSON-RPC method.
    method: &'static str,
    /// The gateway's own tool that was called.
    name: Option<&'static str>,
    server: Option<&'a str>,
    target: Option<Cow<'a, str>>,
    arguments: Option<&'a str>,
}

/// A call that was begun in the audit trail.
#[derive(Debug)]
pub(crate) struct Record {
    /// `None` when the end is written.
    open: Option<OpenCall>,
    metrics: CallMetrics,
    /// Counts the operation for its agent.
    operations: Operations,
    agent: AgentId,
    operation: Operation,
    began: Instant,
    /// Completes when the gateway gives up its running calls.
    over: CancellationToken,
}

/// Writes the begin line.
///
/// # Errors
/// [`Failure::Audit`] when it cannot be written as the audit mode promises.
pub(crate) async fn begin(proxy: &Proxy, admission: &Admission, note: &Note<'_>) -> Result<Record, Failure> {
    let began = Instant::now();
    let revision = admission.world().revision.to_string();
    let arguments: Option<&RawValue> =
        note.arguments.and_then(|arguments| serde_json::from_str(arguments).ok());
    let begin = Begin {
        principal: admission.principal(),
        method: note.method,
        operation: note.name,
        server: note.server,
        target: note.target.as_deref(),
        transport: match admission.door() {
            Door::Stdio => audit::Transport::Stdio,
            Door::Http => audit::Transport::Http,
            Door::Sse => audit::Transport::Sse,
        },
        era: match admission.era() {
            protocol::Era::Legacy => audit::Era::Legacy,
            protocol::Era::Modern => audit::Era::Modern,
        },
        session: admission.client().session.as_ref().map(|session| session.tag()),
        revision: &revision,
        guardrails: admission.world().configured.guardrails.name(),
        arguments,
    };
    let open = proxy.trail.begin(begin).await.map_err(|error| {
        tracing::error!(%error, "the audit trail cannot be written; calls are refused");
        Failure::Audit
    })?;
    Ok(Record {
        open: Some(open),
        metrics: proxy.metrics.call(),
        operations: proxy.operations.clone(),
        agent: admission.principal().agent.clone(),
        operation: Operation::of_name(note.name.unwrap_or(note.method)),
        began,
        over: proxy.drain.over().clone(),
    })
}

impl<'a> Note<'a> {
    /// A request that goes to an upstream.
    pub(crate) fn routed(request: &'a Routed, route: Option<&'a Route>) -> Self {
        let server = route.map(|route| route.subject().server.as_str());
        Self {
            method: request.row.name,
            name: request.asked.as_ref().map(|asked| asked.operation),
            server: server.or(request.asked.as_ref().map(|asked| &*asked.server)),
            target: Some(request.params.key()).filter(|key| !key.is_empty()),
            arguments: request.params.arguments(),
        }
    }

    /// A call of a tool that the client is not shown.
    pub(crate) fn unknown(request: &'a Params) -> Self {
        let (target, arguments) = (Some(request.key()).filter(|key| !key.is_empty()), request.arguments());
        Self { method: "tools/call", name: None, server: None, target, arguments }
    }

    /// A tool of the gateway's own, called by `request`. What the caller left empty is left out.
    pub(crate) fn own(
        name: &'static str,
        request: &'a Params,
        server: Option<&'a str>,
        target: Option<&'a str>,
    ) -> Self {
        let server = server.filter(|server| !server.is_empty());
        let target = target.filter(|target| !target.is_empty()).map(Cow::Borrowed);
        Self { method: "tools/call", name: Some(name), server, target, arguments: request.arguments() }
    }
}

impl Record {
    /// Notes that the call goes out now: from here on, an end without an answer leaves the outcome unknown.
    pub(crate) fn sent(&mut self) {
        if let Some(open) = &mut self.open {
            open.mark_sent();
        }
    }

    /// Ends the call with the server's own result.
    pub(crate) fn answered(self, result: &Bytes) {
        let outcome = outcome_of(result);
        self.finish(End { result_bytes: Some(result.len() as u64), ..End::of(outcome) });
    }

    /// Ends the call with the server's own JSON-RPC error.
    pub(crate) fn refused_by_server(self, error: &Bytes) {
        let bytes = Some(error.len() as u64);
        self.finish(End { code: Some("SERVER_ERROR"), result_bytes: bytes, ..End::of(Outcome::Error) });
    }

    /// Ends the call with a result that was passed on without being looked into.
    pub(crate) fn returned(self, result_bytes: u64) {
        self.finish(End { result_bytes: Some(result_bytes), ..End::of(Outcome::Returned) });
    }

    /// Ends the call with a failure of ours.
    pub(crate) fn failed(self, failure: &Failure) {
        let (code, rule) = (Some(failure.symbol()), failure.rule());
        self.finish(End { code, rule, ..End::of(failure.outcome()) });
    }

    fn finish(mut self, end: End<'_>) {
        self.end(end);
    }

    fn end(&mut self, end: End<'_>) {
        if let Some(open) = self.open.take() {
            let took = self.began.elapsed();
            self.metrics.ended(end.outcome, took);
            self.operations.record(self.agent.as_str(), self.operation, took, end.outcome.into());
            open.finish(end);
        }
    }
}

impl Drop for Record {
    /// Nobody waits for the answer any more: the client went away, unless the fault is ours.
    fn drop(&mut self) {
        let failure = if std::thread::panicking() {
            Failure::Internal
        } else if self.over.is_cancelled() {
            Failure::ShuttingDown
        } else {
            Failure::Cancelled
        };
        self.end(End { code: Some(failure.symbol()), ..End::of(failure.outcome()) });
    }
}

/// Tells whether a result says `isError`. One that is too large to look into is only `returned`.
fn outcome_of(result: &Bytes) -> Outcome {
    if result.len() > MAX_INSPECTED_BYTES {
        return Outcome::Returned;
    }
    static IS_ERROR: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("isError"));
    if IS_ERROR.find(result).is_none() {
        return Outcome::Ok;
    }
    match Object::parse(result, &[]) {
        Ok(object) if object.get("isError") == Some("true") => Outcome::ToolError,
        Ok(_) => Outcome::Ok,
        Err(_) => Outcome::Returned,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_of_results() {
        let outcome = |text: &str| outcome_of(&Bytes::copy_from_slice(text.as_bytes()));
        assert_eq!(outcome(r#"{"content":[]}"#), Outcome::Ok);
        assert_eq!(outcome(r#"{"content":[],"isError":false}"#), Outcome::Ok);
        assert_eq!(outcome(r#"{"content":[{"isError":true}]}"#), Outcome::Ok);
        assert_eq!(outcome(r#"{"content":[],"isError":true}"#), Outcome::ToolError);
        assert_eq!(outcome(&format!("{{\"a\":\"{}\"}}", "x".repeat(70_000))), Outcome::Returned);
    }
}
