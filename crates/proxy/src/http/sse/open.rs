//! The streams that are open, by the random names under which messages are posted to them.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use crate::duplex::Duplex;

/// Random bytes in a stream's name: 256 bits, as in the id of a session.
const ID_BYTES: usize = 32;

/// All open streams of a listener. How many there may be is bounded by the places of standing streams.
#[derive(Default)]
pub(in crate::http) struct OpenStreams(Mutex<HashMap<Arc<str>, Arc<Duplex>>>);

/// An open stream. Dropping it closes it: messages find it no more, and its session ends.
pub(super) struct OpenStream {
    streams: Arc<OpenStreams>,
    id: Arc<str>,
    duplex: Arc<Duplex>,
}

impl OpenStreams {
    /// Enters a stream under a new name.
    ///
    /// # Errors
    /// [`getrandom::Error`] when the system has no random bytes.
    pub(super) fn enter(self: &Arc<Self>, duplex: Arc<Duplex>) -> Result<OpenStream, getrandom::Error> {
        let mut random = [0; ID_BYTES];
        getrandom::fill(&mut random)?;
        let id: Arc<str> = random.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
        self.0.lock().insert(id.clone(), duplex.clone());
        Ok(OpenStream { streams: self.clone(), id, duplex })
    }

    /// Finds a stream by its name. Whose it is has to be asked of the stream.
    pub(super) fn find(&self, id: &str) -> Option<Arc<Duplex>> {
        self.0.lock().get(id).cloned()
    }
}

impl std::fmt::Debug for OpenStreams {
    /// The names are handles, so only their number is shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenStreams").field("open", &self.0.lock().len()).finish_non_exhaustive()
    }
}

impl OpenStream {
    /// Returns the name, in hexadecimal digits.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Cancels every request of the stream: nobody vouches for its caller any more.
    pub(super) fn cancel_all(&self) {
        self.duplex.cancel_all();
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.streams.0.lock().remove(&self.id);
        self.duplex.close();
    }
}
