//! How a call waits for its turn where interactive calls go one by one. Who holds turns is `pipe/turns`' matter.

use std::{pin::pin, time::Duration};

use futures_util::FutureExt as _;
use tokio::time::timeout;

use super::{
    Pipe,
    slot::Slot,
    turns::{Over, Turn},
};
use crate::CallError;

/// How long a call may wait for its turn. Shorter than a call may be silent by default, so that whoever waits in vain
/// is told that nothing was sent, and not that the outcome is unknown.
pub(super) const TURN_WAIT: Duration = Duration::from_secs(10);

impl Pipe {
    /// Waits for the turn of a call, if it needs one, for at most `patience`. Cancel safe.
    ///
    /// # Errors
    /// [`CallError::Unavailable`] when there was none in time, or the connection has ended. Nothing was sent.
    pub(super) async fn turn(&self, slot: &Slot, patience: Duration) -> Result<Option<Turn>, CallError> {
        if !slot.is_interactive() {
            return Ok(None);
        }
        let ended = |_: Over| self.unavailable(&self.why_ended());
        let mut taking = pin!(self.turns.take());
        // Most calls need not wait, and set no timer.
        if let Some(taken) = (&mut taking).now_or_never() {
            return taken.map(Some).map_err(ended);
        }
        let taken = timeout(patience, taking).await.map_err(|_| self.no_turn(patience))?;
        taken.map(Some).map_err(ended)
    }

    fn no_turn(&self, patience: Duration) -> CallError {
        self.unavailable(&format!(
            "calls during which it may ask something go to it one at a time, and this one's turn did not come within \
             {patience:?}; nothing was sent"
        ))
    }

    /// Has interactive calls go one by one from now on, and says so the first time.
    pub(super) fn go_one_by_one(&self) {
        if self.turns.one_at_a_time() {
            tracing::warn!(upstream = %self.server, "{ONE_BY_ONE}");
        }
    }
}

const ONE_BY_ONE: &str = "the server asked something while several calls ran, and did not say during which; nobody was \
     asked, and from now on calls of clients that can be asked go to it one at a time. To have them go side by side, \
     configure the server once for each client, or connect to it over Streamable HTTP";
