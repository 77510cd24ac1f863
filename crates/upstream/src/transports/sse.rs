//! HTTP+SSE, the HTTP transport of 2024-11-05: the server speaks on one stream that a `GET` opens, and takes messages by
//! `POST` at an address that it names first on that stream. Like a child, the connection is one for all callers: what
//! stands between calls and messages is `pipe`'s work. Messages out are `sse/poster`'s, the stream is `sse/events`'.

mod events;
mod poster;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use domain::Credential;
use http::{StatusCode, Uri};
use protocol::{Version, encode};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use self::{
    events::{Events, Next},
    poster::{NotTaken, Poster, Unaddressed},
};
use super::{
    Exchange, Opening,
    http::{Client, ContentKind, Fixed, content_kind},
    pipe::{Pipe, PipeReply, Way},
};
use crate::{CallError, News, SharedSession, config::HttpSettings};

/// How long the server may take to name the address for messages.
const OPENING_TIME: Duration = Duration::from_secs(15);
/// Longest address for messages, in bytes.
const MAX_ADDRESS_BYTES: usize = 8192;
/// Calls that are being sent at once; each is a connection. The next ones wait.
const MAX_POSTS: usize = 1_000;

/// A server that speaks HTTP+SSE, and the calls in flight at it.
pub(crate) struct SseConnection {
    poster: Poster,
    pipe: Arc<Pipe>,
    posts: Arc<Semaphore>,
    tasks: TaskTracker,
    closing: CancellationToken,
}

impl SseConnection {
    /// Opens the stream and waits until the server has named the address for messages. Cancel safe.
    ///
    /// # Errors
    /// [`CallError`] when the server cannot be reached, or does not speak this transport.
    pub(crate) async fn open(settings: &HttpSettings, opening: Opening) -> Result<Arc<Self>, CallError> {
        let unavailable = |reason: String| CallError::Unavailable { server: opening.server.clone(), reason };
        let unaddressed = Unaddressed {
            server: opening.server.clone(),
            client: Client::new(settings.endpoint().url()).map_err(|error| unavailable(error.to_string()))?,
            fixed: Fixed::new(settings.headers(), opening.depth)
                .map_err(|error| unavailable(error.to_string()))?,
            instances: Arc::clone(&opening.instances),
            tasks: opening.tasks.clone(),
            counters: Arc::clone(&opening.counters),
            closing: CancellationToken::new(),
        };
        let opened = timeout(OPENING_TIME, begin(&unaddressed, opening.line_bytes)).await;
        let late = || unavailable(format!("it opened no stream within {} s", OPENING_TIME.as_secs()));
        let (events, address) = opened.unwrap_or_else(|_| Err(late()))?;
        Ok(Self::start(unaddressed, address, events, &opening))
    }

    fn start(unaddressed: Unaddressed, address: Uri, events: Events, opening: &Opening) -> Arc<Self> {
        let closing = unaddressed.closing.clone();
        let poster = unaddressed.addressed(address);
        let connection = Arc::new(Self {
            pipe: Pipe::new(opening, Arc::new(poster.clone()) as Arc<dyn Way>),
            poster,
            posts: Arc::new(Semaphore::new(MAX_POSTS)),
            tasks: opening.tasks.clone(),
            closing,
        });
        // Its death would be the end of all answers: it ends the connection on its way out.
        opening.tasks.spawn(read(Arc::clone(&connection), events, opening.line_bytes));
        connection
    }

    /// Sends a request, in the background: some servers accept one only when they have answered it. Waits only where
    /// very many are being sent, or interactive calls go one by one. Cancel safe.
    ///
    /// # Errors
    /// [`CallError::Unavailable`] when nothing was sent, [`CallError::Params`] when nothing could be.
    pub(crate) async fn request(self: &Arc<Self>, exchange: &Exchange<'_>) -> Result<PipeReply, CallError> {
        let (mut reply, message) = self.pipe.begin(exchange).await?;
        reply.forget_on_drop();
        let over = |_| self.pipe.unavailable("the connection is being closed");
        let room = Arc::clone(&self.posts).acquire_owned().await.map_err(over)?;
        let (connection, id) = (Arc::clone(self), reply.id());
        let (credential, passed) = (exchange.credential.cloned(), exchange.passed);
        // If this task died, the call would end with its caller's time.
        let sending = self.tasks.spawn(async move {
            let posting = connection.poster.post(message.into(), credential.as_ref(), passed);
            if let Some(Err(failure)) = connection.closing.run_until_cancelled(posting).await {
                connection.not_taken(id, failure);
            }
            drop(room);
        });
        reply.cancel_on_drop(sending.abort_handle());
        Ok(reply)
    }

    /// Sends a notification without parameters, and waits until it is taken.
    ///
    /// # Errors
    /// [`CallError`] when it was not.
    pub(crate) async fn notify(
        &self,
        method: &str,
        credential: Option<&Credential>,
    ) -> Result<(), CallError> {
        let message = encode::notification(method, None);
        self.poster.post(message.into(), credential, 0).await.map_err(|failure| self.error(failure))
    }

    /// See [`Connection::tell`](super::Connection::tell).
    pub(crate) fn tell_news(&self, client: &SharedSession, news: News) {
        self.pipe.tell_news(client, news);
    }

    /// Fixes the revision that is spoken.
    pub(crate) fn speak(&self, version: Version) {
        self.pipe.speak(version);
    }

    /// Waits for the end of the connection and returns why. Cancel safe.
    pub(crate) async fn closed(&self) -> String {
        self.pipe.closed().await
    }

    /// Tells whether nothing can be sent any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.pipe.has_ended()
    }

    /// Closes the stream. Calls in flight are lost.
    pub(crate) fn close(&self) {
        self.end("the gateway closed the connection");
    }

    fn end(&self, reason: &str) {
        self.pipe.end(reason);
        self.closing.cancel();
    }

    /// Ends a call that the server did not take. Where it does not know our stream any more, nothing else is of use.
    fn not_taken(&self, id: u64, failure: NotTaken) {
        self.pipe.fail(id, self.error(failure));
        if failure == NotTaken::Forgotten {
            self.end(FORGOTTEN);
        }
    }

    fn error(&self, failure: NotTaken) -> CallError {
        match failure {
            NotTaken::BadHeader => self.pipe.unavailable("a header of the credential cannot be sent"),
            NotTaken::Unreachable(reason) => self.pipe.unavailable(reason),
            NotTaken::Broken => self.pipe.lost("the connection ended before the request was taken"),
            NotTaken::Ring => self.pipe.lost("it leads back to this gateway"),
            NotTaken::Forgotten => self.pipe.unavailable(FORGOTTEN),
            NotTaken::Refused(status) => status_error(&self.pipe, status),
        }
    }
}

const FORGOTTEN: &str = "it does not know our event stream any more";

fn status_error(pipe: &Pipe, status: StatusCode) -> CallError {
    CallError::Status { server: pipe.server().clone(), status: status.as_u16() }
}

/// Opens the stream and reads the address for messages.
async fn begin(unaddressed: &Unaddressed, message_bytes: usize) -> Result<(Events, Uri), CallError> {
    let server = &unaddressed.server;
    let protocol = |what: &str| CallError::Protocol { server: server.clone(), what: what.to_owned() };
    let (base, response) = unaddressed.open_stream().await?;
    if response.status() != StatusCode::OK {
        return Err(CallError::Status { server: server.clone(), status: response.status().as_u16() });
    }
    if content_kind(response.headers()) != ContentKind::Events {
        return Err(protocol("it gave no event stream"));
    }
    let mut events = Events::new(response.into_body(), message_bytes);
    match events.next().await {
        Next::Endpoint(named) => {
            let address = address(&base, &named).ok_or_else(|| {
                protocol("the address that it names for messages cannot be used, or is of another origin")
            })?;
            Ok((events, address))
        }
        Next::Message(_) | Next::TooLarge => Err(protocol("its stream does not begin with an address")),
        Next::Ended => Err(protocol("its stream ended before it named an address")),
    }
}

/// Returns the address that a server names on the stream at `base`. It must be of the same origin, for credentials go
/// there.
fn address(base: &Uri, named: &[u8]) -> Option<Uri> {
    let named = std::str::from_utf8(named).ok().filter(|named| named.len() <= MAX_ADDRESS_BYTES)?;
    let base = Url::parse(&base.to_string()).ok()?;
    let mut address = base.join(named.trim()).ok()?;
    address.set_fragment(None);
    let is_ours =
        address.origin() == base.origin() && address.username().is_empty() && address.password().is_none();
    if is_ours { address.as_str().parse().ok() } else { None }
}

/// Reads the stream until it ends or must be given up; then ends the connection.
async fn read(connection: Arc<SseConnection>, mut events: Events, message_bytes: usize) {
    let reading = async {
        loop {
            match events.next().await {
                // What is no message is counted there.
                Next::Message(text) => drop(connection.pipe.take(&text)),
                // Another address would be another session, of which nothing is known.
                Next::Endpoint(_) => {}
                Next::TooLarge => break format!("it sent a message of more than {message_bytes} bytes"),
                Next::Ended => break "it ended its event stream".to_owned(),
            }
        }
    };
    if let Some(reason) = connection.closing.run_until_cancelled(reading).await {
        connection.end(&reason);
    }
}
