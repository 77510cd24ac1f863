//! The session of a stream: none before `initialize`, one after it, and none ever again once the stream is closed. An
//! `initialize` may arrive at any time, even while the stream closes, and must leave no session behind.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::session::{OpenError, Session};

/// Where a stream's session is.
#[derive(Debug, Default)]
pub(super) struct Slot(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    #[default]
    Empty,
    Filled(Arc<Session>),
    Closed,
}

/// Why no session was opened.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SlotError {
    /// The stream is closed.
    #[error("the stream is closed")]
    Closed,
    /// There is none to be had.
    #[error(transparent)]
    Session(#[from] OpenError),
}

/// A session that was opened, and the one that it takes the place of, which is to be ended.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) session: Arc<Session>,
    pub(super) before: Option<Arc<Session>>,
}

impl Slot {
    /// Returns the session, if there is one.
    pub(super) fn get(&self) -> Option<Arc<Session>> {
        match &*self.0.lock() {
            State::Filled(session) => Some(session.clone()),
            State::Empty | State::Closed => None,
        }
    }

    /// Fills the slot with the session that `open` opens. A closed one calls nothing. What opens a session must not come
    /// back to the slot.
    ///
    /// # Errors
    /// [`SlotError`]; then everything is as it was.
    pub(super) fn fill(
        &self,
        open: impl FnOnce() -> Result<Arc<Session>, OpenError>,
    ) -> Result<Opened, SlotError> {
        let mut state = self.0.lock();
        if matches!(*state, State::Closed) {
            return Err(SlotError::Closed);
        }
        // Under the lock, so that a closing that comes now finds the session.
        let session = open()?;
        let before = std::mem::replace(&mut *state, State::Filled(session.clone())).into_session();
        Ok(Opened { session, before })
    }

    /// Closes the slot for good; returns the session in it, which is to be ended.
    pub(super) fn close(&self) -> Option<Arc<Session>> {
        std::mem::replace(&mut *self.0.lock(), State::Closed).into_session()
    }
}

impl State {
    fn into_session(self) -> Option<Arc<Session>> {
        match self {
            Self::Filled(session) => Some(session),
            Self::Empty | Self::Closed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use catalog::View;
    use domain::{AgentId, AgentSource, Principal, ServerScope};
    use protocol::{ClientCapabilities, Version};

    use super::*;
    use crate::session::{Opening, Sessions};

    fn open(sessions: &Sessions) -> Result<Arc<Session>, OpenError> {
        let owner = Principal {
            agent: AgentId::new("ada").expect("a name"),
            agent_source: AgentSource::Launch,
            user: None,
            roles: Vec::new(),
            token: None,
            servers: ServerScope::All,
        };
        sessions.open(Opening {
            owner: owner.key(),
            view: View::All,
            version: Version::LATEST_LEGACY,
            client_info: None,
            capabilities: ClientCapabilities::NONE,
        })
    }

    #[test]
    fn nothing_is_opened_on_a_closed_stream() {
        let (slot, sessions) = (Slot::default(), Sessions::new(10, Duration::from_secs(1)));
        assert!(slot.close().is_none());
        assert_eq!(slot.fill(|| open(&sessions)).err(), Some(SlotError::Closed));
        assert!((slot.get().is_none(), sessions.len()) == (true, 0), "nobody would ever end it");
    }

    #[test]
    fn a_second_session_takes_the_place_of_the_first() {
        let (slot, sessions) = (Slot::default(), Sessions::new(10, Duration::from_secs(1)));
        let first = slot.fill(|| open(&sessions)).unwrap();
        assert!(first.before.is_none());
        let second = slot.fill(|| open(&sessions)).unwrap();
        let before = second.before.expect("it is to be ended");
        assert!(Arc::ptr_eq(&first.session, &before));
        sessions.close(&before);
        assert!(slot.fill(|| Err(OpenError::TooMany)).is_err());
        let last = slot.close().expect("it is to be ended, whatever failed");
        assert!(Arc::ptr_eq(&second.session, &last));
        sessions.close(&last);
        assert_eq!(sessions.len(), 0);
    }
}
