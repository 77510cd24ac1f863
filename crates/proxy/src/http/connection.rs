//! One client connection: HTTP/1.1 or HTTP/2, bounded in header time and number, ended gracefully.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::net::TcpStream;

use super::{guard::Guard, service};
use crate::{Proxy, config::ListenSettings};

/// HTTP/2 streams of one connection; as many as common clients open at most.
const MAX_STREAMS: u32 = 256;

/// Largest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The connections of one listener.
#[derive(Debug)]
pub struct Connections {
    proxy: Arc<Proxy>,
    guard: Guard,
    open: AtomicUsize,
}

impl Connections {
    /// Makes the connections of a listener that is bound to `bound`.
    pub fn new(proxy: Arc<Proxy>, bound: SocketAddr, listen: &ListenSettings) -> Arc<Self> {
        Arc::new(Self { proxy, guard: Guard::new(bound, listen), open: AtomicUsize::new(0) })
    }

    /// Waits until the gateway stops and every tracked connection and call has ended. Cancel safe.
    pub async fn drained(&self) {
        self.proxy.drain.tasks().wait().await;
    }

    pub(super) const fn proxy(&self) -> &Arc<Proxy> {
        &self.proxy
    }

    pub(super) const fn guard(&self) -> &Guard {
        &self.guard
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
    let serving = service_fn(|request| {
        let connections = connections.clone();
        async move { Ok::<_, Infallible>(service::serve(connections, peer, request).await) }
    });
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), serving));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "client connection ended with an error");
    }
}

fn builder(proxy: &Proxy) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(proxy.limits.header_timeout())
        .max_buf_size(MAX_HEAD_BYTES);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(MAX_STREAMS);
    builder
}
