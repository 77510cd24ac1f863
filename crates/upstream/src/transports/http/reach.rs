//! Finds out whether a server that refused a connection is gone for more than a moment.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{net::TcpStream, time};

use super::HttpConnection;

/// When a connection is tried again after a first one was refused: a server that restarts is back soon, and calls are
/// answered with an error meanwhile.
const ATTEMPTS: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(300), Duration::from_millis(600)];
/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(2);

impl HttpConnection {
    /// Looks after a server that could not be connected to; if it stays so, the connection counts as closed.
    pub(super) fn check_reach(self: &Arc<Self>) {
        if self.is_being_checked.swap(true, Ordering::Relaxed) {
            return;
        }
        let connection = Arc::clone(self);
        // If this task died, the server would count as reachable until the connection is replaced.
        self.tasks.spawn(async move {
            let is_gone = connection.closing.run_until_cancelled(connection.is_out_of_reach()).await;
            if is_gone == Some(true) {
                connection.unreachable.send_replace(Some("it cannot be connected to".into()));
            }
            connection.is_being_checked.store(false, Ordering::Relaxed);
        });
    }

    async fn is_out_of_reach(&self) -> bool {
        let target = self.client.target();
        let default = if target.scheme_str() == Some("https") { 443 } else { 80 };
        let Some(host) = target.host() else { return true };
        let address = (host.trim_matches(['[', ']']), target.port_u16().unwrap_or(default));
        for pause in ATTEMPTS {
            time::sleep(pause).await;
            if let Ok(Ok(_)) = time::timeout(PATIENCE, TcpStream::connect(address)).await {
                return false;
            }
        }
        true
    }
}
