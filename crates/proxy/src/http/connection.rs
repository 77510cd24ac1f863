//! One client connection: HTTP/1.1 or HTTP/2, bounded in header time, in the time without requests (`traffic`), in the
//! patience with one that does not read (`http/patient.rs`, `exchange`) and in number, ended gracefully.

mod exchange;
mod traffic;

use std::{
    convert::Infallible,
    error::Error,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response, Version};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulConnection},
};
use tokio::net::TcpStream;

use self::{
    exchange::Outgoing,
    traffic::{Traffic, Verdict},
};
use super::{guard::Guard, patient::Patient, service, sse::OpenStreams};
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
    give_up_on_the_vanished(&stream, connections.proxy.limits.stall());
    let task = run(connections.clone(), stream, peer, place);
    connections.proxy.drain.tasks().spawn(task);
}

/// Closes a connection whose other side vanished without a word: its system confirms nothing of what is sent to it, for
/// example the comments on a standing stream, which fill no socket. Without this the system tries for a quarter of an hour.
///
/// A ping over HTTP/2 would not tell such a client from one that reads slowly: it waits behind all that the systems of both
/// sides hold. Whether a client that is there reads is left to `http/patient.rs`, which is the first to lose patience.
#[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "other systems have no such option"))]
fn give_up_on_the_vanished(stream: &TcpStream, stall: Duration) {
    #[cfg(target_os = "linux")]
    {
        let millis = u32::try_from((2 * stall).as_millis()).unwrap_or(u32::MAX);
        // Without it the system's own bound holds.
        let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, millis);
    }
}

async fn run(connections: Arc<Connections>, stream: TcpStream, peer: SocketAddr, _place: Place) {
    let _gauge = connections.proxy.metrics.connection();
    let limits = &connections.proxy.limits;
    let traffic = Traffic::new(limits.stall());
    let builder = builder(&connections.proxy);
    let serving = service_fn(|request| answer(connections.clone(), traffic.clone(), peer, request));
    let stream = TokioIo::new(Patient::new(stream, limits.stall()));
    let connection = std::pin::pin!(builder.serve_connection(stream, serving));
    if let Err(error) = drive(connection, &connections.proxy, &traffic).await {
        if has_stalled(&*error) {
            connections.proxy.metrics.refused("stalled_connection");
        }
        tracing::debug!(%peer, %error, "client connection ended with an error");
    }
}

/// Answers a request; over HTTP/2, the answer is followed until the client has it.
async fn answer(
    connections: Arc<Connections>,
    traffic: Arc<Traffic>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Infallible> {
    if request.version() != Version::HTTP_2 {
        traffic.asked_over_http1();
        return Ok(service::serve(connections, peer, request).await.map(Outgoing::Plain));
    }
    let exchange = traffic.begin();
    let response = service::serve(connections, peer, request).await;
    Ok(response.map(|body| exchange.answer(body)))
}

/// Drives a connection until it ends, or has to.
///
/// An exchange is over when the system has its answer, and much of it may be on its way still. So whoever is told to go has
/// the time of a stall: a connection that is closed sooner loses what was not sent. Over HTTP/2 hyper closes it as soon as
/// the client has read that far.
async fn drive<C: GracefulConnection>(
    mut connection: Pin<&mut C>,
    proxy: &Proxy,
    traffic: &Traffic,
) -> Result<(), C::Error> {
    let stopping = proxy.drain.stopping();
    let mut patience = proxy.limits.header_timeout();
    let mut said_goodbye = false;
    loop {
        let verdict = tokio::select! {
            ended = connection.as_mut() => return ended,
            () = stopping.cancelled(), if !said_goodbye => Verdict::Idle,
            verdict = traffic.verdict(patience, || proxy.metrics.refused("stalled_answer")) => verdict,
        };
        match verdict {
            Verdict::Silent => proxy.metrics.refused("silent_connection"),
            Verdict::Stalled => proxy.metrics.refused("stalled_connection"),
            Verdict::Idle if said_goodbye => {}
            Verdict::Idle => {
                connection.as_mut().graceful_shutdown();
                (said_goodbye, patience) = (true, proxy.limits.stall());
                traffic.forgive();
                continue;
            }
        }
        return Ok(());
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::{
        io::AsyncReadExt,
        net::TcpListener,
        time::{Instant, timeout},
    };

    use super::*;

    const STALL: Duration = Duration::from_millis(300);
    /// For what happens soon, on a busy machine.
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_client_whose_system_takes_nothing_is_given_up_even_when_nobody_writes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut ours = listener.accept().await.unwrap().0;
        give_up_on_the_vanished(&ours, STALL);
        ours.writable().await.unwrap();
        let began = Instant::now();
        while ours.try_write(&[b'x'; 64 * 1024]).is_ok() {}
        let error = timeout(LONG, ours.read(&mut [0])).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "so it counts as stalled");
        assert!(began.elapsed() >= STALL);
        drop(client);
    }
}
