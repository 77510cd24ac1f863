//! One client connection: HTTP/1.1 or HTTP/2, bounded in header time, in the patience with one that does not read
//! (`http/patient.rs`) and in number, ended gracefully.

use std::{
    convert::Infallible,
    error::Error,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::net::TcpStream;

use super::{guard::Guard, patient::Patient, service, sse::OpenStreams};
use crate::{Proxy, config::ListenSettings};

/// HTTP/2 streams of one connection; as many as common clients open at most.
const MAX_STREAMS: u32 = 256;

/// Largest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Time between two pings on an HTTP/2 connection: well within what routers keep a quiet connection for.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// Time that an HTTP/2 peer has to answer a ping before it counts as gone.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// The connections of one listener.
#[derive(Debug)]
pub struct Connections {
    proxy: Arc<Proxy>,
    guard: Guard,
    streams: Arc<OpenStreams>,
    open: AtomicUsize,
}

impl Connections {
    /// Makes the connections of a listener that is bound to `bound`.
    pub fn new(proxy: Arc<Proxy>, bound: SocketAddr, listen: &ListenSettings) -> Arc<Self> {
        Arc::new(Self {
            proxy,
            guard: Guard::new(bound, listen),
            streams: Arc::default(),
            open: AtomicUsize::new(0),
        })
    }

    /// Waits until the gateway stops and every tracked connection and call has ended. Then tells the
    /// trail of refusals that were only counted. Cancel safe.
    pub async fn drained(&self) {
        self.proxy.drain.tasks().wait().await;
        self.proxy.audit_suppressed();
    }

    pub(super) const fn proxy(&self) -> &Arc<Proxy> {
        &self.proxy
    }

    pub(super) const fn guard(&self) -> &Guard {
        &self.guard
    }

    pub(super) const fn streams(&self) -> &Arc<OpenStreams> {
        &self.streams
    }

    /// Takes a place among the open connections; `None` when all are taken.
    fn enter(self: &Arc<Self>) -> Option<Place> {
        let limit = self.proxy.limits.connections();
        let taken = self
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| (open < limit).then_some(open + 1));
        taken.ok().map(|_| Place(self.clone()))
    }
}

/// A place among the open connections.
struct Place(Arc<Connections>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves one connection until it ends or the gateway stops. Beyond the bound the connection is closed at once.
///
/// Its task is tracked: stopping waits for the requests in it.
pub fn serve_connection(connections: &Arc<Connections>, stream: TcpStream, peer: SocketAddr) {
    let Some(place) = connections.enter() else {
        connections.proxy.metrics.refused("too_many_connections");
        return;
    };
    // Small answers must not wait for the next packet.
    let _ = stream.set_nodelay(true);
    let task = run(connections.clone(), stream, peer, place);
    connections.proxy.drain.tasks().spawn(task);
}

async fn run(connections: Arc<Connections>, stream: TcpStream, peer: SocketAddr, _place: Place) {
    let _gauge = connections.proxy.metrics.connection();
    let stopping = connections.proxy.drain.stopping().clone();
    let builder = builder(&connections.proxy);
    let asked = AtomicBool::new(false);
    let asked = &asked;
    let serving = service_fn(|request| {
        asked.store(true, Ordering::Relaxed);
        let connections = connections.clone();
        async move { Ok::<_, Infallible>(service::serve(connections, peer, request).await) }
    });
    let stream = Patient::new(stream, connections.proxy.limits.stall());
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), serving));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = silent(asked, connections.proxy.limits.header_timeout()) => {
            connections.proxy.metrics.refused("silent_connection");
            return;
        }
    };
    if let Err(error) = ended {
        if has_stalled(&*error) {
            connections.proxy.metrics.refused("stalled_connection");
        }
        tracing::debug!(%peer, %error, "client connection ended with an error");
    }
}

/// Tells whether a connection ended because its client took nothing for too long (`http/patient.rs`).
fn has_stalled(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Completes when no request came within `limit`; never, when one came.
///
/// The HTTP/1 timer starts with the first byte that is no HTTP/2 preface, so whoever sends nothing, or a preface byte
/// by byte, or a preface and no request, would stay for ever.
async fn silent(asked: &AtomicBool, limit: Duration) {
    tokio::time::sleep(limit).await;
    if asked.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

fn builder(proxy: &Proxy) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(proxy.limits.header_timeout())
        .max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}
