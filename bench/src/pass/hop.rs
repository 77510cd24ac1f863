//! One hop: read the request, read its envelope once, send it on over a pooled connection, stream the answer back.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::net::TcpStream;

use crate::envelope;

/// The longest request that is read, as a gateway bounds it.
const MAX_REQUEST_BYTES: usize = 4 << 20;

/// The answer of the hop: the upstream's body as it comes, or a short one of its own.
type Answer = Response<Either<Incoming, Full<Bytes>>>;

/// A hop with its pool; clones share the pool.
#[derive(Debug, Clone)]
pub(super) struct Hop {
    client: Client<HttpConnector, Full<Bytes>>,
    upstream: Uri,
}

impl Hop {
    /// Builds a hop with a pool of its own.
    pub(super) fn new(upstream: Uri) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { client: Client::builder(TokioExecutor::new()).build(connector), upstream }
    }

    /// Serves one connection until its client closes it.
    pub(super) async fn serve(self, stream: TcpStream) {
        let service = service_fn(move |request| {
            let hop = self.clone();
            async move { Ok::<_, Infallible>(hop.pass(request).await) }
        });
        // A client that goes away ends its connection; there is nobody to tell.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    async fn pass(&self, request: Request<Incoming>) -> Answer {
        if request.method() != Method::POST {
            return refusal(StatusCode::METHOD_NOT_ALLOWED);
        }
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, MAX_REQUEST_BYTES).collect().await else {
            return refusal(StatusCode::PAYLOAD_TOO_LARGE);
        };
        let body = body.to_bytes();
        if serde_json::from_slice::<envelope::Request<'_>>(&body).is_err() {
            return refusal(StatusCode::BAD_REQUEST);
        }
        match self.client.request(self.onward(head.headers, body)).await {
            Ok(response) => answer(response),
            Err(_) => refusal(StatusCode::BAD_GATEWAY),
        }
    }

    fn onward(&self, headers: HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.upstream.clone();
        *request.headers_mut() = without_hop_headers(headers);
        request
    }
}

fn answer(response: Response<Incoming>) -> Answer {
    let (mut head, body) = response.into_parts();
    head.headers = without_hop_headers(head.headers);
    Response::from_parts(head, Either::Left(body))
}

/// Removes what belongs to one connection; lengths are written anew from the body.
fn without_hop_headers(mut headers: HeaderMap) -> HeaderMap {
    for name in [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    headers
}

fn refusal(status: StatusCode) -> Answer {
    let mut response = Response::new(Either::Right(Full::default()));
    *response.status_mut() = status;
    response
}
