//! The threads that serve clients: one current-thread runtime per core, each with its own connections to HTTP
//! upstreams, so that a call never crosses cores. Upstream children, listeners and the publisher live on the main
//! runtime. Why this shape: ARCHITECTURE.md, "Runtime".

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use proxy::Connections;
use tokio::{net::TcpStream, runtime::Builder, sync::mpsc};

/// Connections that wait to be taken over by a worker. A full queue closes the connection.
const QUEUE: usize = 1_024;

type Handover = (std::net::TcpStream, SocketAddr);

/// The worker threads.
pub struct Workers {
    queues: Vec<mpsc::Sender<Handover>>,
    next: AtomicUsize,
}

impl Workers {
    /// Starts `count` workers. They end when the returned value is dropped and their connections have ended.
    ///
    /// # Errors
    /// [`io::Error`] when a thread or runtime cannot be made.
    pub fn start(count: usize, connections: &Arc<Connections>) -> io::Result<Self> {
        let queues = (0..count.max(1)).map(|index| start_worker(index, connections.clone()));
        Ok(Self { queues: queues.collect::<io::Result<_>>()?, next: AtomicUsize::new(0) })
    }

    /// Hands a connection to the next worker in turn.
    pub fn take(&self, stream: TcpStream, peer: SocketAddr) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.queues.len();
        let handed = stream.into_std().map(|stream| self.queues[turn].try_send((stream, peer)).is_ok());
        if !matches!(handed, Ok(true)) {
            tracing::warn!(%peer, "a connection could not be handed to a worker and is closed");
        }
    }
}

fn start_worker(index: usize, connections: Arc<Connections>) -> io::Result<mpsc::Sender<Handover>> {
    let (sender, mut queue) = mpsc::channel::<Handover>(QUEUE);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let serve = async move {
        while let Some((stream, peer)) = queue.recv().await {
            match TcpStream::from_std(stream) {
                Ok(stream) => proxy::serve_connection(&connections, stream, peer),
                Err(error) => tracing::warn!(%peer, %error, "a connection could not be taken over"),
            }
        }
        connections.drained().await;
    };
    thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        // Index 0 belongs to the main thread, which lists and greets; its connections must not serve calls.
        upstream::worker::enter(index + 1);
        runtime.block_on(serve);
    })?;
    Ok(sender)
}
