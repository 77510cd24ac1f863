//! Connections to one HTTP server: pools, TLS, bounds in time. It sends requests and knows nothing of MCP.
//!
//! The proxies that `HTTP_PROXY` and its like name are not used: servers are reached directly. An answer's body is
//! never decompressed, because compression is never asked for.

use std::{
    error::Error,
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header::LOCATION};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Pooled, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::ClientConfig;
use url::Url;

use crate::worker;

/// A server that does not take a connection within this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An idle connection is given up before common servers do it (Node and uvicorn: 5 s). A request that meets a
/// connection just being closed may have been sent, and is lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// Idle connections kept for each worker: more than the calls that usually run at once.
const MAX_IDLE: usize = 256;
/// Pools for each server; threads beyond that share.
const MAX_POOLS: usize = 64;
/// A peer that vanished without a word is noticed after about this time, times four.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Sends requests to one server.
pub(in crate::transports) struct Client {
    endpoint: Url,
    target: Uri,
    tls: Option<Arc<ClientConfig>>,
    pools: Box<[OnceLock<Box<Pool>>]>,
}

/// The connections of one worker. They are tasks of the runtime that first needed them.
enum Pool {
    Plain(Pooled<HttpConnector, Full<Bytes>>),
    Tls(Pooled<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

/// Why there is no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transports) enum Failure {
    /// There is no connection, for this reason; nothing was sent.
    Unreachable(&'static str),
    /// The request may have been sent.
    Broken,
}

/// Why no client can be made for an address.
#[derive(Debug, thiserror::Error)]
pub(in crate::transports) enum BadEndpoint {
    /// The address cannot be written into a request.
    #[error("its address cannot be used in a request")]
    Address,
    /// The system's root certificates cannot be read.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

// === impl Client ===

impl Client {
    /// Prepares connections to `endpoint`; none is opened yet.
    pub(in crate::transports) fn new(endpoint: &Url) -> Result<Self, BadEndpoint> {
        let tls = (endpoint.scheme() == "https").then(tls_config).transpose()?;
        let target = target(endpoint).ok_or(BadEndpoint::Address)?;
        let pools = (0..MAX_POOLS).map(|_| OnceLock::new()).collect();
        Ok(Self { endpoint: endpoint.clone(), target, tls, pools })
    }

    /// Returns where requests go.
    pub(in crate::transports) const fn target(&self) -> &Uri {
        &self.target
    }

    /// Sends a request and waits for the head of the response. Dropping the future closes an HTTP/1.1 connection.
    ///
    /// A request that provably never left is sent again on another connection, by the pool; no other is.
    pub(in crate::transports) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Failure> {
        let sent = match self.pool() {
            Pool::Plain(client) => client.request(request).await,
            Pool::Tls(client) => client.request(request).await,
        };
        sent.map_err(
            |error| {
                if error.is_connect() { Failure::Unreachable(reason(&error)) } else { Failure::Broken }
            },
        )
    }

    /// Returns where a response sends us: only redirections that keep method and body, and only within the origin,
    /// for credentials go with them.
    pub(in crate::transports) fn redirection(&self, response: &Response<Incoming>) -> Option<Uri> {
        let keeps_method =
            matches!(response.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        let location = response.headers().get(LOCATION).filter(|_| keeps_method)?.to_str().ok()?;
        let url = self.endpoint.join(location).ok()?;
        if url.origin() == self.endpoint.origin() { target(&url) } else { None }
    }

    /// Returns the pool of this thread's worker.
    fn pool(&self) -> &Pool {
        let slot = &self.pools[worker::current() % self.pools.len()];
        slot.get_or_init(|| Box::new(Pool::new(self.tls.as_ref())))
    }
}

// === impl Pool ===

impl Pool {
    fn new(tls: Option<&Arc<ClientConfig>>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_keepalive(Some(KEEP_ALIVE));
        connector.set_keepalive_interval(Some(KEEP_ALIVE));
        connector.set_keepalive_retries(Some(3));
        let mut builder = Pooled::builder(TokioExecutor::new());
        builder.timer(TokioTimer::new()).pool_timer(TokioTimer::new());
        builder.pool_idle_timeout(IDLE_TIMEOUT).pool_max_idle_per_host(MAX_IDLE);
        builder.http2_keep_alive_interval(KEEP_ALIVE).http2_adaptive_window(true);
        let Some(tls) = tls else { return Self::Plain(builder.build(connector)) };
        connector.enforce_http(false);
        let https = HttpsConnectorBuilder::new().with_tls_config(ClientConfig::clone(tls)).https_only();
        Self::Tls(builder.build(https.enable_all_versions().wrap_connector(connector)))
    }
}

/// Says for a person why a connection could not be made. Nothing of the server's own words is in it.
fn reason(error: &(dyn Error + 'static)) -> &'static str {
    let mut reason = "it cannot be connected to";
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.to_string() == "dns error" {
            reason = "its host name is not known";
        }
        // An I/O error that wraps another error does not name it as its source.
        let io = error.downcast_ref::<io::Error>();
        reason = match io.map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => "it refuses connections",
            Some(io::ErrorKind::TimedOut) => "it did not take a connection in time",
            Some(_) | None => reason,
        };
        let wrapped = io.and_then(io::Error::get_ref).map(|wrapped| wrapped as &(dyn Error + 'static));
        match wrapped.unwrap_or(error).downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidCertificate(_)) => return "its certificate is not trusted",
            Some(_) => return "TLS cannot be agreed on with it",
            None => cause = wrapped.or_else(|| error.source()),
        }
    }
    reason
}

fn target(url: &Url) -> Option<Uri> {
    let mut url = url.clone();
    url.set_fragment(None);
    url.as_str().parse().ok()
}

/// Returns the TLS settings that all servers share: the system's roots, read once.
fn tls_config() -> Result<Arc<ClientConfig>, BadEndpoint> {
    static SHARED: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = SHARED.get() {
        return Ok(Arc::clone(config));
    }
    let bad = |error: rustls::Error| BadEndpoint::Tls(error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(bad)?;
    let config = versions.try_with_platform_verifier().map_err(bad)?.with_no_client_auth();
    Ok(Arc::clone(SHARED.get_or_init(|| Arc::new(config))))
}
