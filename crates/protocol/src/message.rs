//! One JSON-RPC message, its envelope read once, parameters and results left as bytes.
//! Batches (2025-03-26) are not messages; the edge that speaks that revision splits them.

use bytes::Bytes;

use crate::{Fault, Object, RequestId};

const KNOWN: &[&str] = &["jsonrpc", "id", "method", "params", "result", "error"];

/// Longest method name that is looked at, in bytes.
const MAX_METHOD_BYTES: usize = 256;

/// Any JSON-RPC message.
#[derive(Debug, Clone)]
pub enum Message {
    /// Wants an answer.
    Request(Request),
    /// Wants none.
    Notification(Notification),
    /// Answers a request of ours.
    Response(Response),
}

/// A request with its parameters as the client wrote them.
#[derive(Debug, Clone)]
pub struct Request {
    /// The client's id.
    pub id: RequestId,
    /// The method's name.
    pub method: Box<str>,
    /// The JSON text of `params`, if there is one.
    pub params: Option<Bytes>,
}

/// A notification with its parameters as they were written.
#[derive(Debug, Clone)]
pub struct Notification {
    /// The method's name.
    pub method: Box<str>,
    /// The JSON text of `params`, if there is one.
    pub params: Option<Bytes>,
}

/// An answer to a request of ours.
#[derive(Debug, Clone)]
pub struct Response {
    /// The id that the answer names; `None` for an error about a message that could not be read.
    pub id: Option<RequestId>,
    /// What was answered.
    pub body: ResponseBody,
}

/// The JSON text of an answer.
#[derive(Debug, Clone)]
pub enum ResponseBody {
    /// The value of `result`.
    Result(Bytes),
    /// The value of `error`.
    Error(Bytes),
}

/// Why a body is not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is not JSON at all.
    #[error("the body is not valid JSON")]
    NotJson,
    /// It is JSON, but no JSON-RPC 2.0 message.
    #[error("not a JSON-RPC 2.0 message: {0}")]
    Invalid(String),
}

/// A body that is no message, with the id to answer to when one could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Malformed {
    /// What is wrong.
    pub reason: Unreadable,
    /// The id that the body named.
    pub id: Option<RequestId>,
}

impl Message {
    /// Reads one message. Parameters, results and errors are slices of `body`, not copies.
    ///
    /// # Errors
    /// [`Malformed`] when it is not JSON, not an object, not JSON-RPC 2.0, or holds doubled or case-variant members.
    pub fn parse(body: &Bytes) -> Result<Self, Malformed> {
        let object =
            Object::parse(body, KNOWN).map_err(|fault| Malformed { reason: unreadable(&fault), id: None })?;
        let id = object.get("id").and_then(RequestId::from_json);
        Self::from_object(body, &object, id.clone())
            .map_err(|what| Malformed { reason: Unreadable::Invalid(what.into()), id })
    }

    fn from_object(body: &Bytes, object: &Object<'_>, id: Option<RequestId>) -> Result<Self, &'static str> {
        if object.string("jsonrpc").as_deref() != Some("2.0") {
            return Err("`jsonrpc` must be \"2.0\"");
        }
        if object.get("id").is_some_and(|text| id.is_none() && text != "null") {
            return Err("`id` must be a string or a number");
        }
        match object.get("method") {
            Some(_) => Self::with_method(body, object, id),
            None => response(body, object, id).map(Self::Response),
        }
    }

    fn with_method(body: &Bytes, object: &Object<'_>, id: Option<RequestId>) -> Result<Self, &'static str> {
        let method = object.string("method").ok_or("`method` must be a string")?;
        if method.len() > MAX_METHOD_BYTES {
            return Err("`method` is too long");
        }
        if object.get("result").is_some() || object.get("error").is_some() {
            return Err("a message has either `method` or `result` or `error`");
        }
        let params = object.span("params").map(|span| body.slice(span));
        if params.as_ref().is_some_and(|params| params.first() != Some(&b'{')) {
            return Err("`params` must be an object");
        }
        let method: Box<str> = method.into();
        match id {
            Some(id) => Ok(Self::Request(Request { id, method, params })),
            None if object.get("id").is_some() => Err("`id` must not be null"),
            None => Ok(Self::Notification(Notification { method, params })),
        }
    }
}

fn response(body: &Bytes, object: &Object<'_>, id: Option<RequestId>) -> Result<Response, &'static str> {
    let result = object.span("result").map(|span| ResponseBody::Result(body.slice(span)));
    let error = object.span("error").map(|span| ResponseBody::Error(body.slice(span)));
    match (result, error) {
        (Some(_), Some(_)) => Err("a response has either `result` or `error`"),
        (None, None) => Err("a message needs `method`, `result` or `error`"),
        (Some(_), None) if id.is_none() => Err("a result needs an `id`"),
        (Some(body), None) | (None, Some(body)) => Ok(Response { id, body }),
    }
}

fn unreadable(fault: &Fault) -> Unreadable {
    match fault {
        Fault::NotJson => Unreadable::NotJson,
        Fault::NotAnObject | Fault::Duplicate(_) | Fault::CaseVariant(_) | Fault::TooMany => {
            Unreadable::Invalid(fault.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(body: &str) -> String {
        match Message::parse(&Bytes::copy_from_slice(body.as_bytes())) {
            Ok(Message::Request(request)) => format!("request {:?} {}", request.id, request.method),
            Ok(Message::Notification(notification)) => format!("notification {}", notification.method),
            Ok(Message::Response(response)) => format!("response {:?}", response.id),
            Err(malformed) => format!("{malformed} (id {:?})", malformed.id),
        }
    }

    #[test]
    fn envelopes() {
        let cases = [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "request 1 ping"),
            (r#"{"jsonrpc":"2.0","id":"1","method":"ping","params":{}}"#, "request \"1\" ping"),
            (r#"{"jsonrpc":"2.0","id":1.0,"method":"ping"}"#, "request 1.0 ping"),
            (r#"{"jsonrpc":"2.0","id":-7e2,"method":"ping"}"#, "request -7e2 ping"),
            (r#"{"jsonrpc":"2.0","method":"a/b"}"#, "notification a/b"),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "response Some(1)"),
            (r#"{"jsonrpc":"2.0","id":null,"error":{}}"#, "response None"),
        ];
        for (body, expected) in cases {
            assert_eq!(kind(body), expected, "{body}");
        }
    }

    #[test]
    fn refused_envelopes() {
        let cases = [
            ("nonsense", "the body is not valid JSON"),
            ("[]", "not a JSON object"),
            (r#"{"id":1,"method":"x"}"#, "`jsonrpc` must be"),
            (r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#, "`jsonrpc` must be"),
            (r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, "`id` must not be null"),
            (r#"{"jsonrpc":"2.0","id":true,"method":"x"}"#, "`id` must be a string or a number"),
            (r#"{"jsonrpc":"2.0","id":[1],"method":"x"}"#, "`id` must be a string or a number"),
            (r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, "`id` must be a string or a number"),
            (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, "`method` must be a string"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[1]}"#, "`params` must be an object"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"x","result":1}"#, "either `method`"),
            (r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#, "either `result`"),
            (r#"{"jsonrpc":"2.0","id":1}"#, "needs `method`"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"x","method":"y"}"#, "stands twice"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"x","Method":"y"}"#, "only by case"),
        ];
        for (body, expected) in cases {
            assert!(kind(body).contains(expected), "{body}: {}", kind(body));
        }
    }
}
