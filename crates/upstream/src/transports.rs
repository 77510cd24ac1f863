//! How messages reach an upstream: one file per transport, joined by two small enums.
//! A transport moves messages of an established era; eras are detected in `era`, restarts are `supervisor`'s.

pub(crate) mod builtin;
pub(crate) mod http;
mod pipe;
pub(crate) mod sse;
pub(crate) mod stdio;

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use bytes::Bytes;
use domain::{Credential, PrincipalKey, ServerId};
use protocol::{ClientCapabilities, Version, param_headers::ParamHeader};
use tokio_util::task::TaskTracker;

use crate::{
    CallError, Event, SharedSession, child::Grace, client_session::News, inbox::Inbox, instances::Instances,
    metrics::Counters,
};

/// What every transport is given when it opens.
#[derive(Clone)]
pub(crate) struct Opening {
    /// The server's configured name.
    pub(crate) server: ServerId,
    /// Where to put what the server says outside calls. `*/list_changed` goes there like the rest.
    pub(crate) inbox: Inbox,
    /// The server's counters.
    pub(crate) counters: Arc<Counters>,
    /// Keeps count of the connection's tasks; each ends when the connection is closed.
    pub(crate) tasks: TaskTracker,
    /// The parameters of `initialize`, for sessions that a transport opens by itself.
    pub(crate) initialize: Bytes,
    /// Largest result in bytes (HTTP).
    pub(crate) result_bytes: usize,
    /// Longest line in bytes (stdio).
    pub(crate) line_bytes: usize,
    /// What `TOOLGATE_DEPTH` and its header say.
    pub(crate) depth: u32,
    /// The gateways that this one leads to (HTTP).
    pub(crate) instances: Arc<Instances>,
}

/// One request on its way to an upstream. Its parameters are final except for the progress token.
pub(crate) struct Exchange<'a> {
    /// How many gateways the request has passed before us.
    pub(crate) passed: u32,
    /// The method's name.
    pub(crate) method: &'a str,
    /// The parameters as they are to be written; the transport only adds its own progress token where it shares a
    /// connection between calls.
    pub(crate) params: &'a dyn WriteParams,
    /// The value of `Mcp-Name` (modern HTTP).
    pub(crate) name: Option<&'a str>,
    /// The arguments to repeat as `Mcp-Param-*` (modern HTTP), with the JSON text of the arguments.
    pub(crate) param_headers: (&'a [ParamHeader], Option<&'a str>),
    /// Headers that authorize the call (HTTP).
    pub(crate) credential: Option<&'a Credential>,
    /// Whose session to use (legacy HTTP); `None` for the gateway's own.
    pub(crate) principal: Option<&'a PrincipalKey>,
    /// The legacy client's own session, if it has one.
    pub(crate) session: Option<&'a SharedSession>,
}

/// Writes the JSON text of parameters, with the progress token replaced when the client sent one.
pub(crate) trait WriteParams: Sync {
    /// Tells the JSON text of the client's progress token, if it sent one.
    fn progress_token(&self) -> Option<&str>;

    /// Tells about how many bytes [`WriteParams::write`] appends.
    fn size_hint(&self) -> usize;

    /// Appends the parameters to `out`; `progress_token` takes the place of the client's.
    fn write(&self, out: &mut Vec<u8>, progress_token: Option<u64>) -> Result<(), protocol::Fault>;
}

/// Something that an upstream sent of its own accord, outside any call.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// The method's name.
    pub(crate) method: Box<str>,
    /// The JSON text of its parameters.
    pub(crate) params: Option<Bytes>,
}

/// A way to an upstream that is open.
#[derive(Clone)]
pub(crate) enum Connection {
    /// A child process.
    Stdio(Arc<stdio::StdioConnection>),
    /// Streamable HTTP.
    Http(Arc<http::HttpConnection>),
    /// HTTP+SSE.
    Sse(Arc<sse::SseConnection>),
    /// A server inside this process.
    Builtin(Arc<builtin::BuiltinConnection>),
}

impl Connection {
    /// Sends a request and returns its reply as soon as something arrives can be awaited on it.
    pub(crate) async fn request(&self, exchange: Exchange<'_>) -> Result<ReplySource, CallError> {
        match self {
            Self::Stdio(connection) => connection.request(&exchange).await.map(ReplySource::Piped),
            Self::Http(connection) => connection.request(exchange).await.map(ReplySource::Http),
            Self::Sse(connection) => connection.request(&exchange).await.map(ReplySource::Piped),
            Self::Builtin(connection) => connection.request(&exchange).map(ReplySource::Builtin),
        }
    }

    /// Sends a notification of ours without parameters (`notifications/initialized`).
    pub(crate) async fn notify(
        &self,
        method: &str,
        credential: Option<&Credential>,
    ) -> Result<(), CallError> {
        match self {
            Self::Stdio(connection) => connection.notify(method),
            Self::Http(connection) => connection.notify(method, credential).await,
            Self::Sse(connection) => connection.notify(method, credential).await,
            Self::Builtin(_) => Ok(()),
        }
    }

    /// Tells the server that something about a client's session has changed, where the server knows of the session.
    pub(crate) fn tell(&self, session: &SharedSession, news: News) {
        match self {
            Self::Stdio(connection) => connection.tell_news(session, news),
            Self::Http(connection) => connection.tell_news(session, news),
            Self::Sse(connection) => connection.tell_news(session, news),
            Self::Builtin(_) => {}
        }
    }

    /// Begins to listen to what the server says outside calls, where that is not the connection itself and no
    /// subscription.
    pub(crate) fn listen(&self, credential: &Credential) {
        match self {
            Self::Http(connection) => connection.listen(credential),
            Self::Stdio(_) | Self::Sse(_) | Self::Builtin(_) => {}
        }
    }

    /// Waits until the connection has ended by itself and returns why, in words for a person. Cancel safe.
    pub(crate) async fn closed(&self) -> String {
        match self {
            Self::Stdio(connection) => connection.closed().await,
            Self::Http(connection) => connection.closed().await,
            Self::Sse(connection) => connection.closed().await,
            Self::Builtin(_) => std::future::pending().await,
        }
    }

    /// Ends the connection: calls in flight are lost, sessions deleted, a child is given `grace` to end.
    pub(crate) async fn close(&self, grace: Grace) {
        match self {
            Self::Stdio(connection) => connection.close(grace).await,
            Self::Http(connection) => connection.close().await,
            Self::Sse(connection) => connection.close(),
            Self::Builtin(_) => {}
        }
    }

    /// Fixes the revision that the connection speaks from now on.
    pub(crate) fn speak(&self, version: Version) {
        match self {
            Self::Stdio(connection) => connection.speak(version),
            Self::Http(connection) => connection.speak(version),
            Self::Sse(connection) => connection.speak(version),
            Self::Builtin(_) => {}
        }
    }

    /// Tells whether nothing can be sent over the connection any more. One that needs no lasting way to the
    /// server is never over.
    pub(crate) fn has_ended(&self) -> bool {
        match self {
            Self::Stdio(connection) => connection.has_ended(),
            Self::Sse(connection) => connection.has_ended(),
            Self::Http(_) | Self::Builtin(_) => false,
        }
    }

    /// Returns what `initialize` declares on this connection. One that everybody shares is greeted before any client is
    /// known, so that all which can be passed on is declared: what the client of a call cannot do is refused when it is
    /// asked. Over Streamable HTTP it is only our own session that the handshake opens, in which nobody is asked.
    pub(crate) const fn declared(&self) -> ClientCapabilities {
        if self.is_shared() { ClientCapabilities::ALL } else { ClientCapabilities::NONE }
    }

    /// Returns the word for the transport that people are shown.
    pub(crate) const fn transport(&self) -> &'static str {
        match self {
            Self::Stdio(_) => "stdio",
            Self::Http(_) => "http",
            Self::Sse(_) => "sse",
            Self::Builtin(_) => "builtin",
        }
    }

    /// Tells whether all callers share what the server remembers of its client.
    pub(crate) const fn is_shared(&self) -> bool {
        match self {
            Self::Stdio(_) | Self::Sse(_) => true,
            Self::Http(_) | Self::Builtin(_) => false,
        }
    }
}

/// Where the events of one reply come from.
pub(crate) enum ReplySource {
    /// A child process, or HTTP+SSE.
    Piped(pipe::PipeReply),
    /// Streamable HTTP.
    Http(Box<http::HttpReply>),
    /// A server inside this process.
    Builtin(builtin::BuiltinReply),
}

impl ReplySource {
    /// Has the request forgotten in silence when the reply is dropped: for those that must not be cancelled.
    pub(crate) fn forget_on_drop(&mut self) {
        match self {
            Self::Piped(reply) => reply.forget_on_drop(),
            Self::Http(reply) => reply.forget_on_drop(),
            Self::Builtin(_) => {}
        }
    }

    /// Waits for the next event. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Event, CallError> {
        match self {
            Self::Piped(reply) => reply.next().await,
            Self::Http(reply) => reply.next().await,
            Self::Builtin(reply) => reply.next().await,
        }
    }
}

/// The revision that a connection speaks; written once after the handshake, read by every call.
#[derive(Debug)]
pub(crate) struct SpokenVersion(AtomicU8);

impl SpokenVersion {
    /// Starts with the newest legacy revision, as long as nothing else was agreed on.
    pub(crate) fn new() -> Self {
        let spoken = Self(AtomicU8::new(0));
        spoken.set(Version::LATEST_LEGACY);
        spoken
    }

    pub(crate) fn set(&self, version: Version) {
        let position = Version::ALL.iter().position(|known| *known == version).expect("`ALL` is complete");
        self.0.store(u8::try_from(position).expect("there are few revisions"), Ordering::Release);
    }

    pub(crate) fn get(&self) -> Version {
        Version::ALL[usize::from(self.0.load(Ordering::Acquire))]
    }
}
