//! Brings messages to a server that speaks HTTP+SSE: one `POST` each. What the server thinks of them comes on its
//! stream; here is only seen whether it took them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use domain::{Credential, ServerId};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::super::{
    http::{BadHeader, Client, Failure, Fixed, Purpose},
    pipe::Way,
};
use crate::{CallError, instances::Instances, metrics::Counters};

/// Messages beside calls that are on their way at once. What finds no room is not sent, and counted: only a server that takes
/// nothing and asks without end gets there.
const MAX_ERRANDS: usize = 512;
/// How long the server may take to accept a message beside calls, which may hold images.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pauses before each attempt to bring a message beside calls to a server that cannot be connected to.
const ATTEMPTS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(200), Duration::from_secs(1)];
/// How much of a response's body is read so that its connection can be used again.
const MAX_DRAINED_BYTES: usize = 64 * 1024;

/// The way to the server. Clones are the same way.
#[derive(Clone)]
pub(super) struct Poster(Arc<Inner>);

struct Inner {
    server: ServerId,
    client: Client,
    fixed: Fixed,
    instances: Arc<Instances>,
    /// Where messages go.
    target: Uri,
    errands: Arc<Semaphore>,
    tasks: TaskTracker,
    counters: Arc<Counters>,
    closing: CancellationToken,
}

/// The parts of a way of which it is not known yet where it leads.
pub(super) struct Unaddressed {
    pub(super) server: ServerId,
    pub(super) client: Client,
    pub(super) fixed: Fixed,
    pub(super) instances: Arc<Instances>,
    pub(super) tasks: TaskTracker,
    pub(super) counters: Arc<Counters>,
    pub(super) closing: CancellationToken,
}

impl Unaddressed {
    /// Opens the server's stream, and follows one redirection within the origin. Returns the address that answered.
    ///
    /// # Errors
    /// [`CallError`] when the server gives no stream.
    pub(super) async fn open_stream(&self) -> Result<(Uri, Response<Incoming>), CallError> {
        let build = |target: &Uri| {
            let headers = self.fixed.sessionless(Purpose::Get, None);
            request(Method::GET, target, headers, Bytes::new()).map_err(|bad| self.bad_header(bad))
        };
        let target = self.client.target();
        let response = self.send(build(target)?).await?;
        let (target, response) = match self.client.redirection(&response) {
            None => (target.clone(), response),
            Some(elsewhere) => {
                let response = self.send(build(&elsewhere)?).await?;
                (elsewhere, response)
            }
        };
        self.instances.note(&self.server, response.headers()).map_err(|ring| self.lost(&ring.to_string()))?;
        Ok((target, response))
    }

    /// Has messages go to `target`.
    pub(super) fn addressed(self, target: Uri) -> Poster {
        let Self { server, client, fixed, instances, tasks, counters, closing } = self;
        let errands = Arc::new(Semaphore::new(MAX_ERRANDS));
        Poster(Arc::new(Inner {
            server,
            client,
            fixed,
            instances,
            target,
            errands,
            tasks,
            counters,
            closing,
        }))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, CallError> {
        self.client.send(request).await.map_err(|failure| match failure {
            Failure::Unreachable(reason) => self.unavailable(reason),
            Failure::Broken => self.unavailable("the connection ended before the answer"),
        })
    }

    fn bad_header(&self, bad: BadHeader) -> CallError {
        self.unavailable(&bad.to_string())
    }

    fn unavailable(&self, reason: &str) -> CallError {
        CallError::Unavailable { server: self.server.clone(), reason: reason.to_owned() }
    }

    fn lost(&self, reason: &str) -> CallError {
        CallError::Lost { server: self.server.clone(), reason: reason.to_owned() }
    }
}

/// Why the server did not take a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// It cannot be sent as it is.
    BadHeader,
    /// There is no connection; nothing was sent.
    Unreachable(&'static str),
    /// It may have arrived.
    Broken,
    /// The server leads back to this gateway.
    Ring,
    /// The server knows no such stream as ours any more.
    Forgotten,
    /// The server refused it.
    Refused(StatusCode),
}

impl Poster {
    /// Sends a message and waits until the server has taken it. Dropping the future closes an HTTP/1.1 connection.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub(super) async fn post(
        &self,
        message: Bytes,
        credential: Option<&Credential>,
        passed: u32,
    ) -> Result<(), NotTaken> {
        let inner = &*self.0;
        let build = |target: &Uri| {
            let headers = inner.fixed.sessionless(Purpose::Post, credential);
            let headers = headers.map(|headers| inner.fixed.behind(headers, passed));
            request(Method::POST, target, headers, message.clone()).map_err(|_| NotTaken::BadHeader)
        };
        let mut response = inner.send(build(&inner.target)?).await?;
        if let Some(elsewhere) = inner.client.redirection(&response) {
            response = inner.send(build(&elsewhere)?).await?;
        }
        inner.instances.note(&inner.server, response.headers()).map_err(|_| NotTaken::Ring)?;
        match response.status() {
            status if status.is_success() => {
                drain(response.into_body()).await;
                Ok(())
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(NotTaken::Forgotten),
            status => Err(NotTaken::Refused(status)),
        }
    }

    async fn post_with_patience(&self, message: Bytes, credential: Option<&Credential>) {
        for pause in ATTEMPTS {
            tokio::time::sleep(pause).await;
            let posted = timeout(PATIENCE, self.post(message.clone(), credential, 0)).await;
            // Only what certainly has not arrived is brought again.
            if !matches!(posted, Ok(Err(NotTaken::Unreachable(_)))) {
                return;
            }
        }
    }
}

impl Inner {
    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, NotTaken> {
        self.client.send(request).await.map_err(|failure| match failure {
            Failure::Unreachable(reason) => NotTaken::Unreachable(reason),
            Failure::Broken => NotTaken::Broken,
        })
    }
}

impl Way for Poster {
    /// Messages overtake one another.
    fn say(&self, message: Vec<u8>) {
        self.say_for(message, None);
    }

    /// What finds no room is counted as dropped.
    fn say_for(&self, message: Vec<u8>, credential: Option<&Credential>) {
        let Ok(room) = Arc::clone(&self.0.errands).try_acquire_owned() else {
            return self.0.counters.dropped_notifications.add_one();
        };
        // Outside a runtime, or in one that ends, the whole gateway goes down.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (poster, closing, credential) = (self.clone(), self.0.closing.clone(), credential.cloned());
        // If this task died, the server would not hear this one message.
        let errand = async move {
            let posting = poster.post_with_patience(message.into(), credential.as_ref());
            let _ = closing.run_until_cancelled(posting).await;
            drop(room);
        };
        self.0.tasks.spawn_on(errand, &runtime);
    }
}

fn request(
    method: Method,
    target: &Uri,
    headers: Result<HeaderMap, BadHeader>,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, BadHeader> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = target.clone();
    *request.headers_mut() = headers?;
    Ok(request)
}

/// Reads the rest of a response, so that its connection can be used again.
async fn drain(mut body: Incoming) {
    let mut drained = 0;
    while let (true, Some(Ok(frame))) = (drained < MAX_DRAINED_BYTES, body.frame().await) {
        drained += frame.data_ref().map_or(0, Bytes::len);
    }
}

#[cfg(test)]
impl Poster {
    /// Takes all the room there is for messages beside calls.
    pub(super) async fn all_room(&self) -> tokio::sync::OwnedSemaphorePermit {
        let most = u32::try_from(MAX_ERRANDS).unwrap();
        Arc::clone(&self.0.errands).acquire_many_owned(most).await.unwrap()
    }

    /// Returns how many messages found no room.
    pub(super) fn dropped(&self) -> u64 {
        self.0.counters.values().dropped_notifications
    }
}
