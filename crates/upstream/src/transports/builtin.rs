//! Servers inside this process: no bytes, no processes, the same rules. A call is a future; dropping it cancels it.

use std::{fmt, future::poll_fn, pin::Pin, sync::Arc, task::Poll};

use bytes::Bytes;
use catalog::Listing;
use domain::{PrincipalKey, ServerId};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::Exchange;
use crate::{CallError, Event, Payload};

/// Notifications of one call that may wait for its caller; the call waits then.
const MAX_WAITING: usize = 16;

/// A server that is part of the gateway.
pub trait BuiltinServer: Send + Sync {
    /// Returns what the server offers. It does not change while the process lives.
    fn listing(&self) -> Listing;

    /// Answers a request with the JSON text of its result. Dropped before its end, the call is cancelled.
    ///
    /// # Errors
    /// [`BuiltinError`]: the JSON-RPC error to answer with.
    fn call<'a>(&'a self, request: BuiltinRequest) -> BuiltinFuture<'a>;
}

/// The answer of a [`BuiltinServer`] on its way.
pub type BuiltinFuture<'a> = Pin<Box<dyn Future<Output = Result<Bytes, BuiltinError>> + Send + 'a>>;

/// A JSON-RPC error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct BuiltinError {
    /// The code; see [`protocol::code`].
    pub code: i64,
    /// The message for a person.
    pub message: String,
}

/// One request to a [`BuiltinServer`].
pub struct BuiltinRequest {
    /// The method's name.
    pub method: Box<str>,
    /// The JSON text of its parameters.
    pub params: Bytes,
    /// Who calls; `None` for the gateway itself.
    pub principal: Option<PrincipalKey>,
    progress_token: Option<Box<str>>,
    notifications: mpsc::Sender<Event>,
}

impl BuiltinRequest {
    /// Makes a request of nobody, whose notifications nobody hears: to try a server out.
    pub fn detached(method: &str, params: impl Into<Bytes>) -> Self {
        let (notifications, _) = mpsc::channel(1);
        let (method, params) = (method.into(), params.into());
        Self { method, params, principal: None, progress_token: None, notifications }
    }

    /// Reports progress, if the caller asked for it. Waits while earlier notifications have not been taken.
    pub async fn progress(&self, progress: u64, total: Option<u64>, message: Option<&str>) {
        let Some(token) =
            self.progress_token.as_deref().and_then(|token| serde_json::from_str::<&RawValue>(token).ok())
        else {
            return;
        };
        let mut params = serde_json::Map::new();
        params.insert("progress".to_owned(), progress.into());
        params.extend(total.map(|total| ("total".to_owned(), total.into())));
        params.extend(message.map(|message| ("message".to_owned(), message.into())));
        let rest = serde_json::Value::Object(params).to_string();
        let params = format!(r#"{{"progressToken":{token},{}"#, &rest[1..]);
        self.notify("notifications/progress", params).await;
    }

    /// Sends a log message that belongs to this call; `data` is JSON text.
    pub async fn log(&self, level: &str, data: &serde_json::Value) {
        let params = serde_json::json!({ "level": level, "data": data });
        self.notify("notifications/message", params.to_string()).await;
    }

    async fn notify(&self, method: &str, params: String) {
        let event = Event::Notification { method: method.into(), params: Some(params.into()) };
        // The receiver lives as long as this future.
        let _ = self.notifications.send(event).await;
    }
}

impl fmt::Debug for BuiltinRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuiltinRequest").field("method", &self.method).finish_non_exhaustive()
    }
}

/// The way to a server inside this process.
pub(crate) struct BuiltinConnection {
    id: ServerId,
    server: Arc<dyn BuiltinServer>,
}

impl BuiltinConnection {
    pub(crate) fn open(id: ServerId, server: Arc<dyn BuiltinServer>) -> Arc<Self> {
        Arc::new(Self { id, server })
    }

    /// Returns what the server offers.
    pub(crate) fn listing(&self) -> Listing {
        self.server.listing()
    }

    /// Starts a call; it runs while its reply is awaited.
    pub(crate) fn request(&self, exchange: &Exchange<'_>) -> Result<BuiltinReply, CallError> {
        let mut params = Vec::with_capacity(exchange.params.size_hint());
        exchange.params.write(&mut params, None)?;
        let (sender, notifications) = mpsc::channel(MAX_WAITING);
        let request = BuiltinRequest {
            method: exchange.method.into(),
            params: params.into(),
            principal: exchange.principal.cloned(),
            progress_token: exchange.params.progress_token().map(Into::into),
            notifications: sender,
        };
        let server = Arc::clone(&self.server);
        let running: BuiltinFuture<'static> = Box::pin(async move { server.call(request).await });
        Ok(BuiltinReply { server: self.id.clone(), running: Some(running), last: None, notifications })
    }
}

/// The reply to one call.
pub(crate) struct BuiltinReply {
    server: ServerId,
    running: Option<BuiltinFuture<'static>>,
    last: Option<Event>,
    notifications: mpsc::Receiver<Event>,
}

impl BuiltinReply {
    /// Waits for the next event. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Event, CallError> {
        let event = poll_fn(|context| {
            if let Some(Poll::Ready(answer)) =
                self.running.as_mut().map(|running| running.as_mut().poll(context))
            {
                self.running = None;
                self.last = Some(answer_event(answer));
            }
            match self.notifications.poll_recv(context) {
                Poll::Ready(Some(event)) => Poll::Ready(Some(event)),
                Poll::Ready(None) => Poll::Ready(self.last.take()),
                Poll::Pending => Poll::Pending,
            }
        });
        event.await.ok_or_else(|| CallError::Protocol {
            server: self.server.clone(),
            what: "it was asked again after its final answer".to_owned(),
        })
    }
}

fn answer_event(answer: Result<Bytes, BuiltinError>) -> Event {
    match answer {
        Ok(result) => Event::Result(Payload::Whole(result)),
        Err(BuiltinError { code, message }) => {
            Event::Error(serde_json::json!({ "code": code, "message": message }).to_string().into())
        }
    }
}
