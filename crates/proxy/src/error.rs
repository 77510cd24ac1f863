//! The only place that knows which code, status and text a failure has for a client. Texts are public: they name
//! what was asked for and never what exists. Detail is for audit.

use std::sync::Arc;

use audit::Outcome;
use bytes::Bytes;
use domain::{AgentId, InvalidName};
use guardrails::Block;
use http::StatusCode;
use identity::ForeignAgent;
use policy::{Denial, NoAgent};
use protocol::{BadParams, Era, RequestId, code, encode};
use serde_json::{Value, json};
use upstream::{CallError, WatchError};

use crate::{RateLimited, request_state::BadState};

mod holder;
mod prose;

pub(crate) use self::holder::Holder;

/// Where a tool result of ours keeps the machine-readable part of its error.
pub const ERROR_META: &str = "dev.toolgate/error";

/// Its output schema demands `result`, and some clients hold errors to it as well.
const LISTING_OPERATION: &str = "list_servers";

/// Codes of our own in JSON-RPC errors start here, outside the range JSON-RPC reserves.
const OWN_CODES: i64 = -31_000;

/// Why a request did not bring a server's answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The method does not exist, or not in the client's era.
    #[error("method not found")]
    UnknownMethod,
    /// The server that has the resource does not tell of changes; another of the endpoint may.
    #[error("{}", WatchError::Unsupported(.0.clone()))]
    NoSubscriptions(domain::ServerId),
    /// The parameters are wrong.
    #[error(transparent)]
    Params(#[from] BadParams),
    /// The state that the caller brings back is not one that it was given for this call.
    #[error("invalid params: {0}")]
    State(#[from] BadState),
    /// Nothing that this caller may see has the name.
    #[error("unknown {what}: {name}")]
    Unknown {
        /// What was named: `tool`, `prompt`, `resource`, `task`, `server`, `log level` or `cursor`.
        what: &'static str,
        /// The name as the client gave it, made printable.
        name: String,
    },
    /// The caller's grant does not reach it. Looks like [`Failure::Unknown`] from outside.
    #[error("unknown {what}: {name}")]
    Denied {
        /// `tool`, `prompt` or `resource`.
        what: &'static str,
        /// The name as the client gave it, made printable.
        name: String,
        /// The rule that spoke; for audit only.
        denial: Denial,
    },
    /// A guardrail blocked the arguments or the answer.
    #[error(transparent)]
    Blocked(#[from] Block),
    /// The upstream did not answer in time.
    #[error("upstream `{server}` did not answer within {limit_ms} ms; the outcome is unknown")]
    Timeout {
        /// The upstream.
        server: domain::ServerId,
        /// The time it had, in milliseconds.
        limit_ms: u64,
    },
    /// The upstream could not be called, or its answer was lost.
    #[error(transparent)]
    Upstream(#[from] CallError),
    /// The credential for the upstream could not be issued. The reason is for audit only.
    #[error("no credential for upstream `{0}`")]
    Credential(domain::ServerId),
    /// The call cannot be recorded, so it is not made.
    #[error("the audit trail cannot be written, so no call is made")]
    Audit,
    /// As many requests in progress as there may be.
    #[error("the gateway has {limit} requests in progress already")]
    Overloaded {
        /// The bound.
        limit: usize,
    },
    /// As many subscriptions as there may be.
    #[error("{holder} {limit} subscriptions already, as many as there may be")]
    Subscriptions {
        /// Who has them.
        holder: Holder,
        /// The bound.
        limit: usize,
    },
    /// The client cancelled the request, or its session ended.
    #[error("cancelled by the client")]
    Cancelled,
    /// The upstream asked for input that this client's era cannot be asked for yet.
    #[error(
        "upstream `{server}` needs input from the client, which this gateway cannot ask for in this revision"
    )]
    NeedsInput {
        /// The upstream.
        server: domain::ServerId,
    },
    /// A fault of ours stopped this request, and only this one.
    #[error("the gateway failed on this request")]
    Internal,
    /// The name that the caller gives itself belongs to another caller's token.
    #[error(transparent)]
    ForeignAgent(#[from] ForeignAgent),
    /// The name that the caller gives itself is none.
    #[error("the agent's name cannot be used: {0}")]
    AgentName(InvalidName),
    /// The caller names no agent, and the rules know none for it.
    #[error(transparent)]
    NoAgent(#[from] NoAgent),
    /// The arguments of one of the gateway's own tools are wrong.
    #[error("{tool}: {problem}")]
    Arguments {
        /// The tool.
        tool: &'static str,
        /// What is wrong and what is right.
        problem: String,
    },
    /// No server of this name is configured.
    #[error("Server '{0}' not found in configured servers")]
    UnknownServer(String),
    /// The tool was called too often.
    #[error(transparent)]
    RateLimited(#[from] RateLimited),
    /// What went wrong in a tool of the gateway's own.
    #[error("{}", prose::of(failure, asked))]
    Asked {
        /// What was asked of it.
        asked: Arc<Asked>,
        /// What went wrong.
        failure: Box<Self>,
    },
    /// The gateway is shutting down; the call may have been carried out.
    #[error("the gateway is shutting down; the outcome is unknown")]
    ShuttingDown,
}

/// What was asked of a tool of the gateway's own. Its failures are told in agent-mcp-gateway's words.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The gateway's tool.
    pub(crate) operation: &'static str,
    /// On whose behalf.
    pub(crate) agent: AgentId,
    /// The server as the caller wrote it.
    pub(crate) server: String,
    /// The server's tool as the caller wrote it.
    pub(crate) tool: String,
}

impl Failure {
    /// Tells the failure as that of a tool of the gateway's own, if it was one.
    pub(crate) fn asked(self, asked: Option<&Arc<Asked>>) -> Self {
        match asked {
            Some(asked) if !matches!(self, Self::Asked { .. }) => {
                Self::Asked { asked: asked.clone(), failure: Box::new(self) }
            }
            Some(_) | None => self,
        }
    }

    /// Returns the rule that decided, for audit and for callers who may see what it is about.
    pub(crate) fn rule(&self) -> Option<&str> {
        match self {
            Self::Denied { denial, .. } => Some(&denial.rule),
            Self::RateLimited(limited) => Some(&limited.rule),
            Self::Asked { failure, .. } => failure.rule(),
            _ => None,
        }
    }

    /// Returns the symbolic code that clients and audit see.
    pub(crate) fn symbol(&self) -> &'static str {
        match self {
            Self::ForeignAgent(_) | Self::AgentName(_) => "INVALID_AGENT_ID",
            Self::NoAgent(missing) => missing.code(),
            Self::Arguments { .. } => "INVALID_PARAMS",
            Self::UnknownServer(_) => "SERVER_UNAVAILABLE",
            Self::RateLimited(_) => "RATE_LIMITED",
            Self::Asked { failure, .. } => failure.symbol(),
            Self::UnknownMethod | Self::NoSubscriptions(_) => "METHOD_NOT_FOUND",
            Self::Params(_) | Self::State(_) | Self::Upstream(CallError::Params(_)) => "INVALID_PARAMS",
            Self::Unknown { .. } => "TOOL_NOT_FOUND",
            Self::Denied { .. } => "DENIED_BY_POLICY",
            Self::Blocked(_) => "BLOCKED_BY_GUARDRAIL",
            Self::Timeout { .. } => "TIMEOUT",
            Self::Upstream(CallError::NotConfigured(_) | CallError::Unavailable { .. }) => {
                "SERVER_UNAVAILABLE"
            }
            Self::Upstream(CallError::Busy { .. }) => "SERVER_BUSY",
            Self::Upstream(CallError::Lost { .. }) => "SERVER_LOST",
            Self::Upstream(CallError::TooLarge { .. }) => "RESPONSE_TOO_LARGE",
            Self::Upstream(CallError::Protocol { .. }) => "SERVER_PROTOCOL_ERROR",
            Self::Upstream(CallError::Status { .. }) => "SERVER_HTTP_STATUS",
            Self::Upstream(CallError::ForeignCredential(_)) | Self::Credential(_) => "CREDENTIAL_UNAVAILABLE",
            Self::Audit => "AUDIT_UNAVAILABLE",
            Self::Overloaded { .. } => "OVERLOADED",
            Self::Subscriptions { .. } => "TOO_MANY_SUBSCRIPTIONS",
            Self::Cancelled => "CANCELLED",
            Self::NeedsInput { .. } => "INPUT_REQUIRED",
            Self::Internal => "INTERNAL_ERROR",
            Self::ShuttingDown => "SHUTTING_DOWN",
        }
    }

    /// Returns what audit writes as the call's outcome.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Denied { .. }
            | Self::Blocked(_)
            | Self::ForeignAgent(_)
            | Self::AgentName(_)
            | Self::NoAgent(_)
            | Self::RateLimited(_) => Outcome::Denied,
            Self::Asked { failure, .. } => failure.outcome(),
            Self::Timeout { .. } => Outcome::Timeout,
            Self::Cancelled => Outcome::Cancelled,
            Self::ShuttingDown | Self::Internal => Outcome::Unknown,
            // A server error comes from whoever stood at the end of the line, which may have run the tool.
            Self::Upstream(CallError::Status { status, .. }) if *status >= 500 => Outcome::Unknown,
            Self::Upstream(
                CallError::Lost { .. } | CallError::TooLarge { .. } | CallError::Protocol { .. },
            ) => Outcome::Unknown,
            Self::UnknownMethod
            | Self::NoSubscriptions(_)
            | Self::Params(_)
            | Self::State(_)
            | Self::Unknown { .. }
            | Self::Upstream(
                CallError::NotConfigured(_)
                | CallError::Unavailable { .. }
                | CallError::Busy { .. }
                | CallError::Status { .. }
                | CallError::Params(_)
                | CallError::ForeignCredential(_),
            )
            | Self::Credential(_)
            | Self::Audit
            | Self::Overloaded { .. }
            | Self::Subscriptions { .. }
            | Self::Arguments { .. }
            | Self::UnknownServer(_)
            | Self::NeedsInput { .. } => Outcome::Error,
        }
    }

    /// Tells whether the tool may have run although no answer came.
    fn outcome_is_unknown(&self) -> bool {
        matches!(self.outcome(), Outcome::Unknown | Outcome::Timeout)
    }

    /// Tells whether the same call may be made again without running the tool twice.
    fn is_retryable(&self) -> bool {
        matches!(
            self.root(),
            Self::Audit
                | Self::RateLimited(_)
                | Self::Overloaded { .. }
                | Self::Subscriptions { .. }
                | Self::Upstream(CallError::Busy { .. } | CallError::Unavailable { .. })
        )
    }

    /// Tells whether a failed `tools/call` is answered by a JSON-RPC error all the same: the request itself is wrong.
    const fn is_protocol_error(&self) -> bool {
        matches!(
            self,
            Self::UnknownMethod
                | Self::NoSubscriptions(_)
                | Self::Params(_)
                | Self::State(_)
                | Self::Unknown { .. }
                | Self::Denied { .. }
                | Self::Cancelled
                | Self::Upstream(CallError::Params(_))
        )
    }

    fn json_rpc_code(&self, era: Era) -> i64 {
        match self {
            Self::UnknownMethod | Self::NoSubscriptions(_) => code::METHOD_NOT_FOUND,
            Self::Internal => code::INTERNAL_ERROR,
            Self::Params(_) | Self::State(_) | Self::Upstream(CallError::Params(_)) => code::INVALID_PARAMS,
            Self::Unknown { what: "resource", .. } | Self::Denied { what: "resource", .. }
                if era == Era::Legacy =>
            {
                code::RESOURCE_NOT_FOUND
            }
            Self::Unknown { .. } | Self::Denied { .. } => code::INVALID_PARAMS,
            Self::Blocked(_) => OWN_CODES,
            Self::Timeout { .. } => OWN_CODES + 1,
            Self::Upstream(CallError::NotConfigured(_) | CallError::Unavailable { .. }) => OWN_CODES + 2,
            Self::Upstream(CallError::Busy { .. }) | Self::Overloaded { .. } => OWN_CODES + 3,
            Self::Upstream(CallError::Lost { .. }) | Self::ShuttingDown => OWN_CODES + 4,
            Self::Upstream(CallError::TooLarge { .. }) => OWN_CODES + 5,
            Self::Upstream(CallError::Protocol { .. } | CallError::Status { .. }) => OWN_CODES + 6,
            Self::Upstream(CallError::ForeignCredential(_)) | Self::Credential(_) => OWN_CODES + 7,
            Self::Audit => OWN_CODES + 8,
            Self::Cancelled => OWN_CODES + 9,
            Self::NeedsInput { .. } => OWN_CODES + 10,
            Self::RateLimited(_) => OWN_CODES + 11,
            Self::ForeignAgent(_) | Self::AgentName(_) | Self::NoAgent(_) => OWN_CODES + 12,
            Self::Subscriptions { .. } => OWN_CODES + 13,
            Self::Arguments { .. } => code::INVALID_PARAMS,
            Self::UnknownServer(_) => OWN_CODES + 2,
            Self::Asked { failure, .. } => failure.json_rpc_code(era),
        }
    }

    fn details(&self) -> Value {
        let mut details =
            json!({"code": self.symbol(), "message": self.to_string(), "retryable": self.is_retryable()});
        if self.outcome_is_unknown() {
            details["outcome"] = json!("unknown");
        }
        if let Self::RateLimited(limited) = self.root() {
            details["retry_after_ms"] = json!(limited.retry_after.as_millis() as u64);
            details["rule"] = json!(limited.rule);
        }
        details
    }

    /// Returns what really went wrong.
    fn root(&self) -> &Self {
        match self {
            Self::Asked { failure, .. } => failure.root(),
            _ => self,
        }
    }

    /// Returns the machine-readable form of a failed tool call. The gateway's own tools have agent-mcp-gateway's, with
    /// the rule: they name what was asked for, so the caller learns nothing that it did not say itself.
    fn structured(&self) -> Value {
        let mut details = self.details();
        let Self::Asked { asked, .. } = self else { return details };
        if let Some(rule) = self.rule() {
            details["rule"] = json!(rule);
        }
        let mut structured = json!({ "error": details });
        if asked.operation == LISTING_OPERATION {
            structured["result"] = json!([]);
        }
        structured
    }

    /// Builds the JSON-RPC error answer. A modern client gets 404 for a method that does not exist.
    pub(crate) fn response(&self, id: &RequestId, era: Era) -> (StatusCode, Vec<u8>) {
        let status = match self {
            Self::UnknownMethod | Self::NoSubscriptions(_) if era == Era::Modern => StatusCode::NOT_FOUND,
            _ => StatusCode::OK,
        };
        let data = (!self.is_protocol_error()).then(|| self.details());
        (status, encode::error(Some(id), self.json_rpc_code(era), &self.to_string(), data.as_ref()))
    }

    /// Builds the result that answers a failed `tools/call`; `None` when the request itself is wrong.
    pub(crate) fn tool_result(&self, era: Era) -> Option<Bytes> {
        if self.is_protocol_error() {
            return None;
        }
        let structured = self.structured();
        let mut result = json!({
            "content": [{"type": "text", "text": structured.to_string()}],
            "structuredContent": structured,
            "isError": true,
            "_meta": {ERROR_META: self.details()},
        });
        if era == Era::Modern {
            result["resultType"] = json!("complete");
        }
        Some(result.to_string().into())
    }
}

/// Returns the text of a failure of a tool of the gateway's own that is no error of the whole call.
pub(crate) fn told(failure: &Failure, asked: &Asked) -> String {
    prose::of(failure, asked)
}

/// Longest name that an error repeats, in characters.
const SHOWN_NAME: usize = 80;

/// Makes a client's own text fit to be repeated in an error.
pub(crate) fn shown(name: &str) -> String {
    name.chars().take(SHOWN_NAME).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests;
