//! Requests that are refused before they are calls: the transport's own status codes, with a JSON-RPC error where
//! there is a request to answer.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use protocol::{Malformed, RequestId, Unreadable, Version, code, encode};
use serde_json::json;

use super::body::ReplyBody;

/// When to come back after a refusal for want of a place, in seconds: places come free all the time, and sooner than in a
/// second a client that was refused only adds to what there is too much of.
pub(super) const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Why a request is refused at the door.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// No such path.
    #[error("not found")]
    NotFound,
    /// The path exists, the HTTP method does not.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// `Host` is missing, doubled, or not one of ours (DNS rebinding).
    #[error("this host name is not served")]
    Host,
    /// `Origin` is a web page that may not call.
    #[error("this origin may not call")]
    Origin,
    /// Two framings in one request: a smuggling attempt.
    #[error("ambiguous message framing")]
    Framing,
    /// No valid token.
    #[error("{0}")]
    Unauthorized(identity::AuthError),
    /// The body is not `application/json`, or it is compressed.
    #[error("the body must be uncompressed application/json")]
    MediaType,
    /// The client accepts neither JSON nor an event stream.
    #[error("the client must accept application/json or text/event-stream")]
    NotAcceptable,
    /// HTTP+SSE: the client does not accept an event stream, and everything comes to it on one.
    #[error("the client must accept text/event-stream")]
    EventsNotAcceptable,
    /// The body is larger than allowed.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The bound in bytes.
        limit: usize,
    },
    /// Other bodies that arrive hold all that such may hold.
    #[error("{limit} bytes of other requests are arriving, as many as may at once; try again")]
    NoRoom {
        /// The bound in bytes.
        limit: usize,
    },
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// The body broke off.
    #[error("the body broke off")]
    BrokenBody,
    /// The body is no JSON-RPC message.
    #[error("{0}")]
    Malformed(Malformed),
    /// A batch of a client whose revision has none.
    #[error("this protocol version has no batches; send one message at a time")]
    Batch,
    /// A legacy request without a session.
    #[error("`Mcp-Session-Id` is missing; send `initialize` first")]
    NoSession(Option<RequestId>),
    /// A session that is not there, or not this caller's.
    #[error("unknown session; send `initialize` again")]
    UnknownSession(Option<RequestId>),
    /// HTTP+SSE: the address of a message names no stream.
    #[error("`sessionId` is missing; post to the address that the stream began with")]
    NoStream,
    /// HTTP+SSE: a stream that is not there, or not this caller's.
    #[error("unknown stream; open it again")]
    UnknownStream,
    /// As many sessions as there may be.
    #[error("too many sessions")]
    TooManySessions(RequestId),
    /// As many standing streams as there may be.
    #[error("too many open streams")]
    TooManyStreams,
    /// The system has no random bytes to name a stream with.
    #[error("the system has no random bytes")]
    NoRandomness,
    /// The revision is unknown.
    #[error("unsupported protocol version")]
    Version {
        /// The request to answer.
        id: Option<RequestId>,
        /// The revision that was asked for, made printable.
        requested: String,
    },
    /// Modern: a header is missing, malformed, or differs from the body.
    #[error("header mismatch: {what}")]
    HeaderMismatch {
        /// The request to answer.
        id: RequestId,
        /// Which header.
        what: String,
    },
    /// Modern: `_meta` lacks what every request carries.
    #[error("invalid params: `_meta` must hold `{missing}`")]
    Meta {
        /// The request to answer.
        id: RequestId,
        /// The member that is missing.
        missing: &'static str,
    },
    /// The request has passed too many gateways.
    #[error("the request has passed {limit} gateways, which looks like a ring of gateways")]
    Ring {
        /// The bound.
        limit: u32,
    },
    /// The gateway made a mistake of its own, which is in its log.
    #[error("internal error")]
    Panicked(Option<RequestId>),
    /// The gateway is stopping.
    #[error("the gateway is shutting down")]
    ShuttingDown,
}

impl Refusal {
    /// Returns the word under which the refusal is counted and audited.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Host => "host_denied",
            Self::Origin => "origin_denied",
            Self::Framing => "ambiguous_framing",
            Self::Unauthorized(_) => "auth_failed",
            Self::MediaType => "media_type",
            Self::NotAcceptable | Self::EventsNotAcceptable => "not_acceptable",
            Self::TooLarge { .. } => "request_too_large",
            Self::NoRoom { .. } => "no_room",
            Self::TooSlow => "request_too_slow",
            Self::BrokenBody => "broken_body",
            Self::Malformed(_) | Self::Batch => "malformed",
            Self::NoSession(_) | Self::UnknownSession(_) | Self::NoStream | Self::UnknownStream => {
                "unknown_session"
            }
            Self::TooManySessions(_) => "too_many_sessions",
            Self::TooManyStreams => "too_many_streams",
            Self::NoRandomness => "no_randomness",
            Self::Version { .. } => "unsupported_version",
            Self::HeaderMismatch { .. } => "header_mismatch",
            Self::Meta { .. } => "invalid_meta",
            Self::Ring { .. } => "gateway_ring",
            Self::Panicked(_) => "internal_error",
            Self::ShuttingDown => "shutting_down",
        }
    }

    /// Tells whether an auditor wants to know of it one by one.
    pub(super) const fn is_audited(&self) -> bool {
        matches!(self, Self::Host | Self::Origin | Self::Framing | Self::Unauthorized(_))
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::UnknownSession(_) | Self::UnknownStream => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Host | Self::Origin => StatusCode::FORBIDDEN,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotAcceptable | Self::EventsNotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NoRoom { .. } | Self::TooManySessions(_) | Self::TooManyStreams | Self::ShuttingDown => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::NoRandomness | Self::Panicked(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Ring { .. } => StatusCode::LOOP_DETECTED,
            Self::Framing
            | Self::BrokenBody
            | Self::Malformed(_)
            | Self::Batch
            | Self::NoSession(_)
            | Self::NoStream
            | Self::Version { .. }
            | Self::HeaderMismatch { .. }
            | Self::Meta { .. } => StatusCode::BAD_REQUEST,
        }
    }

    /// Builds the HTTP answer.
    pub(super) fn into_response(self) -> Response<ReplyBody> {
        let status = self.status();
        let mut response = Response::new(ReplyBody::Whole(self.body()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some((name, value)) = self.remedy() {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if self.ends_connection() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Returns the header that says what would be taken instead, where HTTP asks for one.
    const fn remedy(&self) -> Option<(HeaderName, &'static str)> {
        match self {
            Self::MethodNotAllowed => Some((header::ALLOW, "GET, POST, DELETE")),
            Self::Unauthorized(_) => Some((header::WWW_AUTHENTICATE, "Bearer realm=\"toolgate\"")),
            Self::NotFound
            | Self::Host
            | Self::Origin
            | Self::Framing
            | Self::MediaType
            | Self::NotAcceptable
            | Self::EventsNotAcceptable
            | Self::TooLarge { .. }
            | Self::NoRoom { .. }
            | Self::TooSlow
            | Self::BrokenBody
            | Self::Malformed(_)
            | Self::Batch
            | Self::NoSession(_)
            | Self::UnknownSession(_)
            | Self::NoStream
            | Self::UnknownStream
            | Self::TooManySessions(_)
            | Self::TooManyStreams
            | Self::NoRandomness
            | Self::Version { .. }
            | Self::HeaderMismatch { .. }
            | Self::Meta { .. }
            | Self::Ring { .. }
            | Self::Panicked(_)
            | Self::ShuttingDown => None,
        }
    }

    /// After these, what is still on the connection may not be what it seems, or is not worth reading.
    const fn ends_connection(&self) -> bool {
        matches!(
            self,
            Self::Framing
                | Self::TooLarge { .. }
                | Self::NoRoom { .. }
                | Self::TooSlow
                | Self::BrokenBody
                | Self::ShuttingDown
        )
    }

    fn body(&self) -> Bytes {
        let text = self.to_string();
        let error = |id: Option<&RequestId>, code| Bytes::from(encode::error(id, code, &text, None));
        match self {
            Self::Malformed(Malformed { reason: Unreadable::NotJson, id }) => {
                error(id.as_ref(), code::PARSE_ERROR)
            }
            Self::Malformed(Malformed { reason: Unreadable::Invalid(_), id }) => {
                error(id.as_ref(), code::INVALID_REQUEST)
            }
            Self::NoSession(id) | Self::UnknownSession(id) => error(id.as_ref(), code::INVALID_REQUEST),
            Self::TooManySessions(id) => error(Some(id), code::INTERNAL_ERROR),
            Self::Panicked(id) => error(id.as_ref(), code::INTERNAL_ERROR),
            Self::HeaderMismatch { id, .. } => error(Some(id), code::HEADER_MISMATCH),
            Self::Meta { id, .. } => error(Some(id), code::INVALID_PARAMS),
            Self::Version { id, requested } => {
                let data = json!({"supported": Version::ALL.map(Version::as_str), "requested": requested});
                encode::error(id.as_ref(), code::UNSUPPORTED_VERSION, &text, Some(&data)).into()
            }
            Self::NotFound
            | Self::MethodNotAllowed
            | Self::Host
            | Self::Origin
            | Self::Framing
            | Self::Unauthorized(_)
            | Self::MediaType
            | Self::NotAcceptable
            | Self::EventsNotAcceptable
            | Self::TooLarge { .. }
            | Self::NoRoom { .. }
            | Self::TooSlow
            | Self::BrokenBody
            | Self::Batch
            | Self::Ring { .. }
            | Self::TooManyStreams
            | Self::NoRandomness
            | Self::NoStream
            | Self::UnknownStream
            | Self::ShuttingDown => error(None, code::INVALID_REQUEST),
        }
    }
}
