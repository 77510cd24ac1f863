//! Requests of the gateway itself: era detection, handshake, listings. They await the one answer; what the server
//! says meanwhile about them (progress, logs) is of no interest.

use bytes::{Bytes, BytesMut};
use domain::Credential;
use protocol::{Fault, Object, Version, meta};

use crate::{
    CallError, Event, Payload,
    transports::{Connection, Exchange, ReplySource, WriteParams},
};

/// The answer to a request of ours.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The JSON text of `result`.
    Result(Bytes),
    /// The `error` object.
    Error(RpcError),
}

/// What a JSON-RPC error says.
#[derive(Debug, Clone)]
pub(crate) struct RpcError {
    /// Its code; 0 if it has none.
    pub(crate) code: i64,
    /// `data.supported`: the revisions that a server names when it does not speak ours.
    pub(crate) supported: Vec<String>,
}

/// Who asks, and where.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    /// The connection.
    pub(crate) connection: &'a Connection,
    /// The headers that authorize us (HTTP).
    pub(crate) credential: &'a Credential,
    /// The JSON text of our `clientInfo`.
    pub(crate) own_info: &'a str,
}

/// Parameters that are JSON text already.
struct Text(String);

impl WriteParams for Text {
    fn progress_token(&self) -> Option<&str> {
        None
    }

    fn size_hint(&self) -> usize {
        self.0.len()
    }

    fn write(&self, out: &mut Vec<u8>, _progress_token: Option<u64>) -> Result<(), Fault> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(())
    }
}

impl Asker<'_> {
    /// Sends a request with `params`, which is JSON text.
    pub(crate) async fn send(&self, method: &str, params: String) -> Result<ReplySource, CallError> {
        let exchange = Exchange {
            passed: 0,
            method,
            params: &Text(params),
            name: None,
            param_headers: (&[], None),
            credential: Some(self.credential),
            principal: None,
            session: None,
        };
        self.connection.request(exchange).await
    }

    /// Returns the `_meta` of a modern request of ours, as JSON text.
    pub(crate) fn modern_meta(&self, version: Version) -> String {
        self.modern_meta_declaring(version, "{}")
    }

    /// The same, declaring these capabilities, which are JSON text.
    pub(crate) fn modern_meta_declaring(&self, version: Version, capabilities: &str) -> String {
        let (version_key, capabilities_key, info_key) =
            (meta::PROTOCOL_VERSION, meta::CLIENT_CAPABILITIES, meta::CLIENT_INFO);
        let info = self.own_info;
        format!(r#"{{"{version_key}":"{version}","{capabilities_key}":{capabilities},"{info_key}":{info}}}"#)
    }
}

/// Waits for the final answer. Cancel safe unless the result is streamed.
pub(crate) async fn answer(reply: &mut ReplySource) -> Result<Answer, CallError> {
    loop {
        match reply.next().await? {
            // Nobody stands behind a request of ours; dropped, the server's is refused.
            Event::Notification { .. } | Event::Request(_) => {}
            Event::Error(error) => return Ok(Answer::Error(RpcError::read(&error))),
            Event::Result(Payload::Whole(result)) => return Ok(Answer::Result(result)),
            Event::Result(Payload::Streamed(mut stream)) => {
                let mut whole = BytesMut::new(); // as large as a result may be; listings have their own bound
                while let Some(chunk) = stream.next_chunk().await {
                    whole.extend_from_slice(&chunk?);
                }
                return Ok(Answer::Result(whole.freeze()));
            }
        }
    }
}

impl RpcError {
    /// Reads the JSON text of an error object, as far as it can be read.
    fn read(error: &[u8]) -> Self {
        let object = Object::parse(error, &[]).ok();
        let member = |name| object.as_ref().and_then(|object| object.get(name));
        let supported = member("data").and_then(|data| {
            let data = Object::parse(data.as_bytes(), &[]).ok()?;
            serde_json::from_str(data.get("supported")?).ok()
        });
        let code = member("code").and_then(|code| code.parse().ok()).unwrap_or(0);
        Self { code, supported: supported.unwrap_or_default() }
    }
}
