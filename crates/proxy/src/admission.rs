//! What is known about a caller once it is let in: who it is, in which world it is judged, through which door it
//! came. Everything past the listeners works on an [`Admission`], and only `admit` makes one.

use std::sync::Arc;

use bytes::Bytes;
use catalog::View;
use domain::Principal;
use identity::{AuthError, Authenticated, Presented};
use protocol::{Era, Version};

use crate::{Proxy, Snapshot, session::Session};

/// The door a caller came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Standard input and output of this process.
    Stdio,
    /// Streamable HTTP.
    Http,
}

/// A caller that was let in, with the world its request is judged in.
///
/// Invariant: it holds an [`Authenticated`], so nothing past this point runs for a caller nobody vouched for.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    caller: Authenticated,
    world: Arc<Snapshot>,
    door: Door,
    view: View,
    client: Client,
}

/// What the client says of itself. For display and for the wire; no decision rests on it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// The revision it speaks.
    pub(crate) version: Version,
    /// The JSON text of its `clientInfo`.
    pub(crate) info: Option<Bytes>,
    /// The legacy session, if it has one.
    pub(crate) session: Option<Arc<Session>>,
    /// How many gateways the request has passed before this one.
    pub(crate) passed: u32,
}

impl Client {
    /// A client of the modern era: everything it says comes with the request itself.
    pub(crate) const fn modern(version: Version, passed: u32) -> Self {
        Self { version, info: None, session: None, passed }
    }

    /// A client whose `initialize` opened this session.
    pub(crate) fn of_session(session: Arc<Session>, passed: u32) -> Self {
        Self {
            passed,
            version: session.version(),
            info: session.client_info().cloned(),
            session: Some(session),
        }
    }
}

/// Lets a caller in, or not. The snapshot is taken here, once.
///
/// # Errors
/// [`AuthError`] when no scheme vouches for the caller.
pub(crate) fn authenticate(proxy: &Proxy, presented: Presented<'_>) -> Result<Authenticated, AuthError> {
    proxy.identity.authenticate(presented)
}

impl Admission {
    /// Puts an authenticated caller into the world in force.
    pub(crate) fn new(proxy: &Proxy, caller: Authenticated, door: Door, view: View, client: Client) -> Self {
        Self { caller, world: proxy.snapshots.current(), door, view, client }
    }

    /// Returns the proof that the caller was authenticated.
    pub(crate) const fn caller(&self) -> &Authenticated {
        &self.caller
    }

    /// Returns who calls.
    pub(crate) fn principal(&self) -> &Principal {
        self.caller.principal()
    }

    /// Returns the world of this request.
    pub(crate) fn world(&self) -> &Snapshot {
        &self.world
    }

    /// Returns the door the caller came through.
    pub(crate) const fn door(&self) -> Door {
        self.door
    }

    /// Returns what the caller's endpoint shows.
    pub(crate) const fn view(&self) -> &View {
        &self.view
    }

    /// Returns what the client says of itself.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the era the client speaks.
    pub(crate) const fn era(&self) -> Era {
        self.client.version.era()
    }

    /// Returns the same caller in the world in force now; for what outlives a single request.
    pub(crate) fn refreshed(&self, proxy: &Proxy) -> Self {
        Self { world: proxy.snapshots.current(), ..self.clone() }
    }
}
