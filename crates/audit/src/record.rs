//! What a caller tells the trail: how a call begins, how it ends, what else happened. Data only; how it becomes a
//! line is in [`crate::line`], and what each field means to a reader of the file is in `docs/audit.md`.

use std::fmt;

use aws_lc_rs::digest;
use domain::Principal;
use serde_json::value::RawValue;

/// A call that is about to be judged and sent. All text may come from outside; it is escaped and cut.
#[derive(Debug, Clone, Copy)]
pub struct Begin<'a> {
    /// Who calls.
    pub principal: &'a Principal,
    /// The JSON-RPC method, for example `tools/call`.
    pub method: &'a str,
    /// agent-mcp-gateway's name of the operation, for example `execute_tool`. None: the method.
    pub operation: Option<&'a str>,
    /// The server as asked for. Text and not a `ServerId`, because a refused call may name one that is none.
    pub server: Option<&'a str>,
    /// The tool, prompt or URI as asked for.
    pub target: Option<&'a str>,
    /// How the caller is connected.
    pub transport: Transport,
    /// Which protocol the caller speaks.
    pub era: Era,
    /// The session, if the caller has one.
    pub session: Option<&'a SessionTag>,
    /// The revision of the configuration that judges the call.
    pub revision: &'a str,
    /// The guardrails in force, for example `none`.
    pub guardrails: &'a str,
    /// The arguments as received. What is kept of them: [`crate::ArgumentsKept`].
    pub arguments: Option<&'a RawValue>,
}

/// How a call ended.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// What became of it.
    pub outcome: Outcome,
    /// The code of the refusal or error, as the caller saw it, for example `DENIED_BY_POLICY`.
    pub code: Option<&'a str>,
    /// The path of the rule that decided.
    pub rule: Option<&'a str>,
    /// Bytes of the result sent to the caller.
    pub result_bytes: Option<u64>,
    /// Anything else: agent-mcp-gateway's `metadata`.
    pub metadata: &'a [(&'a str, Detail<'a>)],
}

/// Something other than a call that an auditor wants to know.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// What happened, for example `origin_denied`, `auth_failed`, `revision`, `started`, `stopped`.
    pub name: &'a str,
    /// The particulars. Text is cut at 1 KiB; at most 16 are kept.
    pub details: &'a [(&'a str, Detail<'a>)],
}

/// One particular of an event or an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail<'a> {
    /// Text, possibly from outside.
    Text(&'a str),
    /// A count, a size or a time; the key names the unit.
    Number(u64),
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The server answered with a result.
    Ok,
    /// The server answered with a result that says `isError`.
    ToolError,
    /// The server answered; the answer was passed on without being looked into.
    Returned,
    /// The gateway refused.
    Denied,
    /// The gateway or the server failed.
    Error,
    /// The server did not answer in time.
    Timeout,
    /// The caller withdrew before the call was sent on, or the server was told in time.
    Cancelled,
    /// The call may have been carried out; nobody saw its answer.
    Unknown,
}

/// agent-mcp-gateway's verdict on a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Allowed, and answered by the server.
    Allow,
    /// Refused by a rule.
    Deny,
    /// Allowed or not yet judged, and not answered.
    Error,
}

/// How a caller is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Standard input and output.
    Stdio,
    /// Streamable HTTP.
    Http,
    /// The older HTTP with server-sent events.
    Sse,
    /// Inside the gateway's own process.
    Internal,
}

/// Which protocol a caller speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Era {
    /// Revisions with `initialize` and sessions.
    Legacy,
    /// Stateless requests, from 2026-07-28 on.
    Modern,
}

/// A session as the trail shows it: the first 16 hex digits of its id's SHA-256, of no use to join the session.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionTag([u8; Self::HEX]);

// === impl Detail ===

impl<'a> From<&'a str> for Detail<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Detail<'_> {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

// === impl End ===

impl End<'static> {
    /// Builds an end with nothing but its outcome; add fields with struct update syntax.
    pub const fn of(outcome: Outcome) -> Self {
        Self { outcome, code: None, rule: None, result_bytes: None, metadata: &[] }
    }
}

// === impl Outcome ===

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::ToolError,
        Self::Returned,
        Self::Denied,
        Self::Error,
        Self::Timeout,
        Self::Cancelled,
        Self::Unknown,
    ];

    /// Returns the word on the end line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::Returned => "returned",
            Self::Denied => "denied",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }

    /// Returns agent-mcp-gateway's verdict for this outcome.
    pub const fn decision(self) -> Decision {
        match self {
            Self::Ok | Self::ToolError | Self::Returned => Decision::Allow,
            Self::Denied => Decision::Deny,
            Self::Error | Self::Timeout | Self::Cancelled | Self::Unknown => Decision::Error,
        }
    }
}

// === impl Decision ===

impl Decision {
    /// Returns the word on the end line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Deny => "DENY",
            Self::Error => "ERROR",
        }
    }
}

// === impl Transport ===

impl Transport {
    /// Returns the word on the begin line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Http => "http",
            Self::Sse => "sse",
            Self::Internal => "internal",
        }
    }
}

// === impl Era ===

impl Era {
    /// Returns the word on the begin line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }
}

// === impl SessionTag ===

impl SessionTag {
    /// Hex digits kept: 64 bits tell sessions apart and cannot be turned back into the id.
    const HEX: usize = 16;

    /// Builds the tag of the session with this id. Do it once per session, not per call.
    pub fn of(session_id: &str) -> Self {
        let hex = crate::chain::hex(digest::digest(&digest::SHA256, session_id.as_bytes()).as_ref());
        let mut tag = [0; Self::HEX];
        tag.copy_from_slice(&hex[..Self::HEX]);
        Self(tag)
    }

    /// Returns the tag as text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("hex digits are ASCII")
    }
}

impl fmt::Display for SessionTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SessionTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
