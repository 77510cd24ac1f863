//! The three ways to share connections among threads. What is done on a connection is the same in all: see `hop`.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    thread::{self, JoinHandle},
};

use hyper::Uri;
use tokio::{runtime::Builder, sync::mpsc};

use crate::{announce, listener, pass::hop::Hop};

/// Connections handed to a worker and not yet taken; a full queue holds the accepting thread.
const HANDOVER: usize = 1_024;

/// One multi-thread runtime, one pool.
pub(super) fn multi(address: SocketAddr, workers: usize, upstream: &Uri) -> io::Result<()> {
    let hop = Hop::new(upstream.clone());
    Builder::new_multi_thread().worker_threads(workers).enable_all().build()?.block_on(async {
        // Accepting is a task of the runtime and not its main future, which lives on a thread of its own.
        tokio::spawn(async move {
            let listener = tokio::net::TcpListener::bind(address).await?;
            announce::listening(listener.local_addr()?)?;
            serve_all(&listener, &hop).await
        })
        .await?
    })
}

/// A runtime and a pool a thread, connections handed out by one accepting thread.
pub(super) fn per_core(address: SocketAddr, workers: usize, upstream: &Uri) -> io::Result<()> {
    let queues: Vec<_> = (0..workers).map(|_| start_worker(upstream.clone())).collect();
    let listener = TcpListener::bind(address)?;
    announce::listening(listener.local_addr()?)?;
    for queue in queues.iter().cycle() {
        let (stream, _) = listener.accept()?;
        stream.set_nonblocking(true)?;
        queue.blocking_send(stream).map_err(|_| io::Error::other("a worker of the hop ended"))?;
    }
    Ok(())
}

fn start_worker(upstream: Uri) -> mpsc::Sender<TcpStream> {
    let (queue, mut handed) = mpsc::channel::<TcpStream>(HANDOVER);
    thread::spawn(move || -> io::Result<()> {
        let hop = Hop::new(upstream);
        listener::current_thread()?.block_on(async {
            while let Some(stream) = handed.recv().await {
                let stream = tokio::net::TcpStream::from_std(stream)?;
                stream.set_nodelay(true)?;
                tokio::spawn(hop.clone().serve(stream));
            }
            Ok(())
        })
    });
    queue
}

/// A runtime, a pool and a listener a thread.
pub(super) fn reuseport(address: SocketAddr, workers: usize, upstream: &Uri) -> io::Result<()> {
    let first = listener::bind_shared(address)?;
    let address = first.local_addr()?;
    let mut threads = vec![start_listening(first, upstream.clone())];
    for _ in 1..workers {
        threads.push(start_listening(listener::bind_shared(address)?, upstream.clone()));
    }
    announce::listening(address)?;
    for worker in threads {
        worker.join().map_err(|_| io::Error::other("a worker of the hop panicked"))??;
    }
    Ok(())
}

fn start_listening(listener: TcpListener, upstream: Uri) -> JoinHandle<io::Result<()>> {
    thread::spawn(move || {
        let hop = Hop::new(upstream);
        listener::current_thread()?.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            serve_all(&listener, &hop).await
        })
    })
}

async fn serve_all(listener: &tokio::net::TcpListener, hop: &Hop) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(hop.clone().serve(stream));
    }
}
