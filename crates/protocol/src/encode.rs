//! Writes JSON-RPC messages around parts that are JSON text already.

use serde::Serialize;

use crate::RequestId;

/// Room for the envelope around a result.
const ENVELOPE_BYTES: usize = 64;

/// Returns what stands before a result in the answer to `id`.
pub fn result_head(id: &RequestId) -> Vec<u8> {
    let mut out = Vec::with_capacity(ENVELOPE_BYTES);
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.as_json());
    out.extend_from_slice(br#","result":"#);
    out
}

/// Builds the answer to `id` with this JSON text as its result.
pub fn result(id: &RequestId, result: &[u8]) -> Vec<u8> {
    let mut out = result_head(id);
    out.reserve_exact(result.len() + 1);
    out.extend_from_slice(result);
    out.push(b'}');
    out
}

/// Builds the answer to `id` with this JSON text as its `error`.
pub fn error_object(id: &RequestId, error: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(ENVELOPE_BYTES + error.len());
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.as_json());
    out.extend_from_slice(br#","error":"#);
    out.extend_from_slice(error);
    out.push(b'}');
    out
}

/// Returns the JSON text of an error object without `data`.
pub fn error_value(code: i64, message: &str) -> Vec<u8> {
    ErrorObject { code, message, data: None }.to_json()
}

/// Builds an error answer. Without an id (the request's could not be read) it is `null`.
pub fn error(id: Option<&RequestId>, code: i64, message: &str, data: Option<&serde_json::Value>) -> Vec<u8> {
    let object = ErrorObject { code, message, data }.to_json();
    match id {
        Some(id) => error_object(id, &object),
        None => [&br#"{"jsonrpc":"2.0","id":null,"error":"#[..], &object, b"}"].concat(),
    }
}

/// An error object (JSON-RPC 2.0 section 5.1).
#[derive(Serialize)]
struct ErrorObject<'a> {
    code: i64,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a serde_json::Value>,
}

impl ErrorObject<'_> {
    fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an error object is always JSON")
    }
}

/// Builds a request of ours; `params` is JSON text.
pub fn request(id: u64, method: &str, params: &[u8]) -> Vec<u8> {
    let mut out = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":"#).into_bytes();
    out.extend_from_slice(params);
    out.push(b'}');
    out
}

/// Builds a notification; `params` is JSON text. `method` holds nothing that JSON must escape.
pub fn notification(method: &str, params: Option<&[u8]>) -> Vec<u8> {
    let mut out = format!(r#"{{"jsonrpc":"2.0","method":"{method}""#).into_bytes();
    if let Some(params) = params {
        out.extend_from_slice(br#","params":"#);
        out.extend_from_slice(params);
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    #[test]
    fn what_is_written_can_be_read() {
        let id = RequestId::from_json("\"a\\\"b\"").unwrap();
        for body in [
            result(&id, b"{}"),
            error(Some(&id), -32601, "no \"such\" method", None),
            error(None, -32700, "x", Some(&serde_json::json!({"a": 1}))),
            request(7, "tools/list", b"{}"),
            notification("notifications/initialized", None),
            notification("notifications/cancelled", Some(b"{\"requestId\":1}")),
        ] {
            assert!(Message::parse(&body.clone().into()).is_ok(), "{}", String::from_utf8_lossy(&body));
        }
    }
}
