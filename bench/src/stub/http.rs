//! The stub over Streamable HTTP: POST answers, every other verb is 405. Sessions are named and never checked.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    thread,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Frame, Incoming, SizeHint},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::{
    announce, headers, listener,
    stub::{Message, Reply, Stub},
};

/// The longest request that is read; above it the connection's request fails.
const MAX_REQUEST_BYTES: usize = 16 << 20;

/// Sessions get ascending names; nothing is kept about them.
static NEXT_SESSION: AtomicU64 = AtomicU64::new(1);

/// Serves on loopback with one runtime and one listener a thread.
pub(crate) fn serve(stub: Stub, port: u16, workers: usize) -> io::Result<()> {
    let stub = Arc::new(stub);
    let first = listener::bind_shared(SocketAddr::from(([127, 0, 0, 1], port)))?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..workers {
        listeners.push(listener::bind_shared(address)?);
    }
    announce::listening(address)?;
    let threads: Vec<_> = listeners
        .into_iter()
        .map(|listener| {
            let stub = Arc::clone(&stub);
            thread::spawn(move || accept(listener, &stub))
        })
        .collect();
    for worker in threads {
        worker.join().map_err(|_| io::Error::other("a worker of the stub panicked"))??;
    }
    Ok(())
}

fn accept(listener: std::net::TcpListener, stub: &Arc<Stub>) -> io::Result<()> {
    listener::current_thread()?.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let stub = Arc::clone(stub);
            let service = service_fn(move |request| {
                let stub = Arc::clone(&stub);
                async move { Ok::<_, Infallible>(answer(&stub, request).await) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    })
}

async fn answer(stub: &Stub, request: Request<Incoming>) -> Response<Pieces> {
    if request.method() != Method::POST {
        return empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let Ok(body) = Limited::new(request.into_body(), MAX_REQUEST_BYTES).collect().await else {
        return empty(StatusCode::PAYLOAD_TOO_LARGE);
    };
    match stub.answer(&body.to_bytes()) {
        Reply::Accepted => empty(StatusCode::ACCEPTED),
        Reply::Now(message) => full(message),
        Reply::After(pause, message) => {
            tokio::time::sleep(pause).await;
            full(message)
        }
    }
}

fn empty(status: StatusCode) -> Response<Pieces> {
    let mut response = Response::new(Pieces::default());
    *response.status_mut() = status;
    response
}

fn full(message: Message) -> Response<Pieces> {
    let mut response = Response::new(Pieces { rest: message.pieces, next: 0 });
    *response.status_mut() = StatusCode::from_u16(message.status).expect("the stub's statuses are valid");
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(headers::JSON));
    if message.opens_session {
        let name = format!("stub-{}", NEXT_SESSION.fetch_add(1, Ordering::Relaxed));
        let value = HeaderValue::from_str(&name).expect("digits are a header value");
        response.headers_mut().insert(headers::SESSION, value);
    }
    response
}

/// A body of pieces with a known length, so that hyper writes them in one vectored write.
#[derive(Debug, Default)]
struct Pieces {
    rest: [Bytes; 3],
    next: usize,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        while self.next < self.rest.len() {
            let index = self.next;
            self.next += 1;
            let piece = std::mem::take(&mut self.rest[index]);
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.iter().all(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.iter().map(|piece| piece.len() as u64).sum())
    }
}
