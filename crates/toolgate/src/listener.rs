//! The accepting side of a port: takes connections and hands them out until the gateway stops.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Pause after a failed accept; it fails when file descriptors run out, and comes back when some are closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a port is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Clients.
    Clients,
    /// Metrics and status.
    Operations,
}

impl Purpose {
    const fn words(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Operations => "metrics and status",
        }
    }

    const fn settings(self) -> &'static str {
        match self {
            Self::Clients => "`--listen` or `listen.address`",
            Self::Operations => "`--ops-listen` or `listen.operations`",
        }
    }
}

/// Binds a port.
///
/// # Errors
/// [`io::Error`] that names the address, what it is for, and what to do.
pub async fn bind(address: SocketAddr, purpose: Purpose) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let settings = purpose.settings();
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("; another program listens there: stop it, or choose another port with {settings}")
            }
            io::ErrorKind::PermissionDenied => {
                format!("; ports below 1024 need privileges: choose a higher one with {settings}")
            }
            _ => format!("; choose another with {settings}"),
        };
        let words = purpose.words();
        io::Error::new(error.kind(), format!("cannot listen on {address} for {words}: {error}{advice}"))
    })
}

/// Accepts connections until `stopping` completes, then closes the port.
pub async fn accept(
    listener: TcpListener,
    stopping: CancellationToken,
    mut take: impl FnMut(TcpStream, SocketAddr),
) {
    while let Some(accepted) = stopping.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => take(stream, peer),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                pause(&stopping).await;
            }
        }
    }
}

fn pause(stopping: &CancellationToken) -> impl Future<Output = Option<()>> + '_ {
    stopping.run_until_cancelled(tokio::time::sleep(ACCEPT_PAUSE))
}
