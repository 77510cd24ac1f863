//! One keep-alive HTTP/1.1 connection with its legacy session, if the era has one.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, StatusCode,
    client::conn::http1::{self, SendRequest},
    header::{CONTENT_TYPE, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{
    era::Era,
    headers,
    load::{
        LoadError,
        requests::Script,
        verdict::{self, Fault},
    },
};

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// Whether the body is an event stream.
    pub is_event_stream: bool,
    /// The session that the answer opened.
    pub session: Option<HeaderValue>,
    /// The whole body.
    pub body: Bytes,
}

/// A connection that is ready for calls. Must be used inside a runtime.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    session: Option<HeaderValue>,
}

impl Connection {
    /// Connects and, in the legacy era, opens a session.
    ///
    /// # Errors
    /// Fails when the endpoint cannot be reached or does not answer the handshake as the protocol says.
    pub async fn open(script: &Script) -> Result<Self, LoadError> {
        let stream = TcpStream::connect(script.address()).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        // A broken connection shows in the next call; the driver's own error adds nothing.
        tokio::spawn(driver);
        let mut connection = Self { sender, session: None };
        match script.era() {
            Era::Legacy => connection.initialize(script).await?,
            Era::Modern => {}
        }
        Ok(connection)
    }

    /// Sends the call with `id` and judges the answer.
    ///
    /// # Errors
    /// Returns the fault of the answer or of the connection.
    pub async fn call(&mut self, script: &Script, id: u64) -> Result<(), Fault> {
        let answer = self.post(script.call(id, self.session.as_ref())).await.map_err(|_| Fault::Broken)?;
        verdict::judge(&answer, id)
    }

    async fn initialize(&mut self, script: &Script) -> Result<(), LoadError> {
        let answer = self.post(script.initialize()).await?;
        verdict::judge(&answer, 0).map_err(|fault| LoadError::Handshake(fault.to_string()))?;
        self.session = answer.session;
        let answer = self.post(script.initialized(self.session.as_ref())).await?;
        if answer.status != StatusCode::ACCEPTED {
            return Err(LoadError::Handshake(format!("status {} for the notification", answer.status)));
        }
        Ok(())
    }

    async fn post(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, hyper::Error> {
        self.sender.ready().await?;
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        let content_type = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        Ok(Answer {
            status: head.status,
            is_event_stream: content_type.starts_with(b"text/event-stream"),
            session: head.headers.get(headers::SESSION).cloned(),
            body,
        })
    }
}
