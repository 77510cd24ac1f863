//! A fake server over Streamable HTTP, on a port of its own, in tasks of the test's runtime.
//! `http/handling` answers requests, `http/tasks` those about tasks, `http/body` is the body of an answer that comes in
//! pieces or breaks off.

mod body;
mod changes;
mod handling;
pub(crate) mod tasks;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

use self::handling::Handling;
use crate::{Script, Seen};

/// Notifications that a listening client may be behind.
const BROADCAST: usize = 1024;

/// A server on `127.0.0.1`. Dropped, it is gone like a killed process: port and connections are closed at once.
pub struct FakeServer {
    address: SocketAddr,
    handling: Arc<Handling>,
    tasks: Mutex<JoinSet<()>>,
    /// Accepted connections are not read while this is true.
    is_deaf: watch::Sender<bool>,
}

impl FakeServer {
    /// Starts a server on a free port.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port has an address");
        let handling = Arc::new(Handling::new(script, broadcast::Sender::new(BROADCAST)));
        let server = Self { address, handling, tasks: Mutex::default(), is_deaf: watch::Sender::new(false) };
        server.spawn(listener);
        server
    }

    /// Returns the server's address for a configuration.
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Returns what the server was asked.
    pub fn seen(&self) -> &Seen {
        &self.handling.seen
    }

    /// Closes the port and all connections at once, as the kernel does for a killed process.
    pub async fn kill(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
        self.handling.forget_sessions();
    }

    /// Listens again on the same port after [`FakeServer::kill`].
    ///
    /// # Panics
    /// When the port is taken.
    pub async fn revive(&self) {
        let listener = TcpListener::bind(self.address).await.expect("the port is free again");
        self.spawn(listener);
    }

    /// Forgets all sessions, as a server does that restarts behind a balancer: connections stay.
    pub fn expire_sessions(&self) {
        self.handling.forget_sessions();
    }

    /// From now on connections are accepted and never read.
    pub fn go_deaf(&self) {
        self.is_deaf.send_replace(true);
    }

    /// Reads connections again, those of the deaf time included.
    pub fn hear_again(&self) {
        self.is_deaf.send_replace(false);
    }

    fn spawn(&self, listener: TcpListener) {
        let accepting = accept(listener, Arc::clone(&self.handling), self.is_deaf.subscribe());
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(accepting);
    }
}

async fn accept(listener: TcpListener, handling: Arc<Handling>, is_deaf: watch::Receiver<bool>) {
    // Aborting this task drops the set, and with it every connection.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        handling.seen.connection();
        connections.spawn(converse(stream, Arc::clone(&handling), is_deaf.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(stream: TcpStream, handling: Arc<Handling>, is_deaf: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let mut at_first = is_deaf.clone();
    let service = service_fn(|request| {
        let (handling, mut is_deaf) = (Arc::clone(&handling), is_deaf.clone());
        async move {
            // A connection that was open before is not answered either.
            let _ = is_deaf.wait_for(|is_deaf| !is_deaf).await;
            handling.answer(request).await
        }
    });
    if at_first.wait_for(|is_deaf| !is_deaf).await.is_ok() {
        // Broken connections are what this server is for.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }
}
