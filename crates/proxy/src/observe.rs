//! Every call is written down: the begin line before anything is sent, the end line when its outcome is known.
//! A call that cannot be recorded is not made. Dropping a [`Record`] unfinished is an end as well: its client went
//! away, and the upstream is told to cancel the call.

use std::{sync::LazyLock, time::Instant};

use audit::{Begin, End, OpenCall, Outcome};
use bytes::Bytes;
use catalog::Route;
use memchr::memmem::Finder;
use protocol::Object;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::{
    Proxy,
    admission::{Admission, Door},
    call::Routed,
    error::Failure,
    metrics::CallMetrics,
};

/// Largest answer that is looked into for `isError`, in bytes. Larger ones end as `returned`.
const MAX_INSPECTED_BYTES: usize = 64 * 1024;

/// A call that was begun in the audit trail.
#[derive(Debug)]
pub(crate) struct Record {
    /// `None` when the end is written.
    open: Option<OpenCall>,
    metrics: CallMetrics,
    began: Instant,
    /// Completes when the gateway gives up its running calls.
    over: CancellationToken,
}

/// Writes the begin line.
///
/// # Errors
/// [`Failure::Audit`] when it cannot be written as the audit mode promises.
pub(crate) async fn begin(
    proxy: &Proxy,
    admission: &Admission,
    request: &Routed,
    route: Option<&Route>,
) -> Result<Record, Failure> {
    let began = Instant::now();
    let key = request.params.key();
    let revision = admission.world().revision.to_string();
    let arguments: Option<&RawValue> =
        request.params.arguments().and_then(|arguments| serde_json::from_str(arguments).ok());
    let begin = Begin {
        principal: admission.principal(),
        method: request.row.name,
        operation: None,
        server: route.map(|route| route.subject().server.as_str()),
        target: Some(&key),
        transport: match admission.door() {
            Door::Stdio => audit::Transport::Stdio,
            Door::Http => audit::Transport::Http,
        },
        era: match admission.era() {
            protocol::Era::Legacy => audit::Era::Legacy,
            protocol::Era::Modern => audit::Era::Modern,
        },
        session: admission.client().session.as_ref().map(|session| session.tag()),
        revision: &revision,
        guardrails: admission.world().guardrails.name(),
        arguments,
    };
    let open = proxy.trail.begin(begin).await.map_err(|error| {
        tracing::error!(%error, "the audit trail cannot be written; calls are refused");
        Failure::Audit
    })?;
    let over = proxy.drain.over().clone();
    Ok(Record { open: Some(open), metrics: proxy.metrics.call(), began, over })
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
        let rule = match failure {
            Failure::Denied { denial, .. } => Some(denial.rule.as_str()),
            _ => None,
        };
        self.finish(End { code: Some(failure.symbol()), rule, ..End::of(failure.outcome()) });
    }

    fn finish(mut self, end: End<'_>) {
        self.end(end);
    }

    fn end(&mut self, end: End<'_>) {
        if let Some(open) = self.open.take() {
            self.metrics.ended(end.outcome, self.began.elapsed());
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
