//! Why a call to an upstream did not bring an answer. The variants say what the caller may do about it.

use domain::ServerId;

/// A call that ended without an answer from the tool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No such upstream is configured any more. Nothing was sent.
    #[error("upstream `{0}` is not configured")]
    NotConfigured(ServerId),
    /// The upstream is not connected. Nothing was sent.
    #[error("upstream `{server}` is not available: {reason}")]
    Unavailable {
        /// The upstream.
        server: ServerId,
        /// Why, in words for a person; it holds no secret and no unescaped text of the server.
        reason: String,
    },
    /// The upstream has as many calls in flight as it may have. Nothing was sent.
    #[error("upstream `{server}` has {limit} calls in flight already")]
    Busy {
        /// The upstream.
        server: ServerId,
        /// The bound.
        limit: usize,
    },
    /// The connection ended after the call may have been sent. Its outcome is unknown and it is not sent again.
    #[error("upstream `{server}` was lost during the call: {reason}; the outcome is unknown")]
    Lost {
        /// The upstream.
        server: ServerId,
        /// Why, in words for a person.
        reason: String,
    },
    /// The answer is larger than allowed.
    #[error("upstream `{server}` answered with more than {limit} bytes")]
    TooLarge {
        /// The upstream.
        server: ServerId,
        /// The bound in bytes.
        limit: usize,
    },
    /// The upstream answered with something that is not MCP.
    #[error("upstream `{server}` broke the protocol: {what}")]
    Protocol {
        /// The upstream.
        server: ServerId,
        /// What was wrong with the answer.
        what: String,
    },
    /// The upstream refused the HTTP request.
    #[error("upstream `{server}` answered with HTTP status {status}{}", hint(*.status))]
    Status {
        /// The upstream.
        server: ServerId,
        /// The HTTP status code.
        status: u16,
    },
    /// The caller's parameters cannot be forwarded. Nothing was sent.
    #[error("the parameters cannot be forwarded: {0}")]
    Params(#[from] protocol::Fault),
    /// The credential belongs to another upstream. Nothing was sent.
    #[error("the credential is for another upstream than `{0}`")]
    ForeignCredential(ServerId),
}

impl CallError {
    /// Returns what happened without naming the upstream, for texts that name it already.
    pub(crate) fn into_reason(self) -> String {
        match self {
            Self::Unavailable { reason, .. } | Self::Lost { reason, .. } => reason,
            Self::TooLarge { limit, .. } => format!("it answered with more than {limit} bytes"),
            Self::Protocol { what, .. } => format!("it broke the protocol: {what}"),
            Self::Status { status, .. } => format!("it answered with HTTP status {status}{}", hint(status)),
            Self::NotConfigured(_) | Self::Busy { .. } | Self::Params(_) | Self::ForeignCredential(_) => {
                self.to_string()
            }
        }
    }
}

/// Returns what whoever configures the gateway can do about an HTTP status: most servers that refuse want a credential.
const fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => "; it wants a credential: set `headers: Authorization` for this server",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_credential_says_where_to_put_one() {
        for status in [401, 403] {
            let error = CallError::Status { server: ServerId::new("git").unwrap(), status };
            for said in [error.to_string(), error.into_reason()] {
                assert!(said.contains(&format!("HTTP status {status}")), "{said}");
                assert!(said.ends_with("set `headers: Authorization` for this server"), "{said}");
                assert!(!said.contains('\n'), "{said}");
            }
        }
        let other = CallError::Status { server: ServerId::new("git").unwrap(), status: 502 };
        assert_eq!(other.to_string(), "upstream `git` answered with HTTP status 502");
    }
}
