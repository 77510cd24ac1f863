//! Who wants to hear of which resource or task, and that servers are asked for it: whatever the client's and the
//! server's era, a [`Watcher`] names resources and is told when one may have changed; of a modern server's tasks it is
//! told their states. What is asked of servers is in `subscription` (modern) and `watching/subscribing` (legacy); one
//! server's table is in `watching/interests`.
//!
//! Servers are asked by the gateway itself, in its own session and with the configured credential: once for a topic,
//! however many watch it. Whether a client may hear of it is for others to judge, with each message.

mod ears;
pub(crate) mod interests;
pub(crate) mod subscribing;
mod table;
pub(crate) mod topic;

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use domain::{ServerId, Target};
use guardrails::Untrusted;
use parking_lot::Mutex;
use policy::Permit;
use tokio::time::timeout;

use self::{
    ears::{Ears, Entered},
    interests::{Interests, Phase},
    topic::Topic,
};
use crate::{CallError, Upstreams};

/// Resources and tasks that one watcher may watch. Clients of that many exist (editors that follow files), more are a mistake.
pub const MAX_WATCHED: usize = 1_000;
/// Longest URI or task id that can be watched, in bytes.
pub const MAX_WATCHED_URI_BYTES: usize = 2_048;
/// How long a server may take until it has agreed. As long as any request of ours to a server in good health.
pub const AGREEMENT_LIMIT: Duration = Duration::from_secs(40);

/// One client's interest in resources and tasks. Dropped, it takes all of it back.
pub struct Watcher {
    upstreams: Upstreams,
    ears: Arc<Ears>,
}

/// Why a resource or task is not watched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// The permit is for something else than a resource or a task.
    #[error("only resources and tasks can be subscribed to")]
    NoTopic,
    /// The URI or id is longer than [`MAX_WATCHED_URI_BYTES`].
    #[error("a URI of more than {MAX_WATCHED_URI_BYTES} bytes cannot be subscribed to")]
    TooLong,
    /// The watcher watches [`MAX_WATCHED`] already.
    #[error("more than {limit} subscriptions")]
    Full {
        /// The bound.
        limit: usize,
    },
    /// As much of this server is watched as may be, over all watchers.
    #[error("upstream `{server}` has {limit} subscriptions already")]
    ServerFull {
        /// The upstream.
        server: ServerId,
        /// The bound.
        limit: usize,
    },
    /// The server does not tell of changes.
    #[error("upstream `{0}` offers no subscriptions")]
    Unsupported(ServerId),
    /// The server refused, with this JSON-RPC error code.
    #[error("upstream `{server}` refused the subscription with code {code}")]
    Refused {
        /// The upstream.
        server: ServerId,
        /// The code; 0 if it gave none.
        code: i64,
    },
    /// The server left it out of what it agreed to.
    #[error("upstream `{0}` did not agree to the subscription")]
    LeftOut(ServerId),
    /// The server did not answer in time; it is not watched.
    #[error("upstream `{0}` did not answer to the subscription in time")]
    Late(ServerId),
    /// The server could not be asked.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// News of something that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updated {
    server: ServerId,
    what: Update,
}

/// What is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// The resource of this URI may have changed. It is the URI as it was watched, or as the server names a part of it:
    /// `file:///a/b` when `file:///a` is watched.
    Resource(Arc<str>),
    /// A task has this state: the JSON text of the parameters of `notifications/tasks`, as its server wrote them.
    Task(Bytes),
}

impl Updated {
    /// Returns the upstream that has it.
    pub const fn server(&self) -> &ServerId {
        &self.server
    }

    /// Returns what is new.
    pub fn into_what(self) -> Untrusted<Update> {
        Untrusted::new(self.what)
    }
}

/// The tables of all servers that something is watched of.
#[derive(Debug, Default)]
pub(crate) struct Watching(Mutex<HashMap<ServerId, Arc<Interests>>>);

impl Watching {
    /// Returns the table of `server`. Tables outlive a server's configuration: whoever watches goes on watching the
    /// server of that name.
    pub(crate) fn of(&self, server: &ServerId) -> Arc<Interests> {
        let mut all = self.0.lock();
        if let Some(known) = all.get(server) {
            return Arc::clone(known);
        }
        // Nobody holds them, so nothing is in them.
        all.retain(|_, interests| Arc::strong_count(interests) > 1);
        let interests = Arc::new(Interests::new(server.clone()));
        all.insert(server.clone(), Arc::clone(&interests));
        interests
    }
}

impl Upstreams {
    /// Makes a watcher that watches nothing yet.
    pub fn watcher(&self) -> Watcher {
        Watcher { upstreams: self.clone(), ears: Arc::default() }
    }
}

impl Watcher {
    /// Has the resource or task that `permit` is for watched, and waits until its server has agreed. Watching it twice is
    /// watching it once. Wakes a server that waits for the first request.
    ///
    /// Cancel safe: dropped, it is not watched, unless it was before.
    ///
    /// # Errors
    /// [`WatchError`]; it is not watched then.
    pub async fn watch(&self, permit: &Permit) -> Result<(), WatchError> {
        let subject = permit.subject();
        let server = &subject.server;
        let topic = match &subject.target {
            Target::Resource(uri) => Topic::resource(uri),
            Target::Task(id) => Topic::task(id),
            Target::Tool(_) | Target::Prompt(_) | Target::Server => return Err(WatchError::NoTopic),
        };
        if topic.name.len() > MAX_WATCHED_URI_BYTES {
            return Err(WatchError::TooLong);
        }
        self.upstreams.reach(server).await?;
        let interests = self.upstreams.watching().of(server);
        let entered = Entered::enter(&self.ears, &interests, topic)?;
        let mut phase = entered.phase();
        let settled = phase.wait_for(|phase| matches!(phase, Phase::Held | Phase::Refused(_)));
        // A table's entry lives as long as somebody watches it, so the wait ends with a phase.
        let outcome = match timeout(AGREEMENT_LIMIT, settled).await {
            Ok(Ok(phase)) => match &*phase {
                Phase::Refused(error) => Err(error.clone()),
                Phase::Held | Phase::Wanted | Phase::Asked | Phase::Leaving => Ok(()),
            },
            Ok(Err(_)) | Err(_) => Err(WatchError::Late(server.clone())),
        };
        if outcome.is_ok() {
            entered.keep();
        }
        outcome
    }

    /// Takes back the interest in the resource `uri` of `server`, or of every server; tells which they were. The servers
    /// are told in their own time.
    pub fn unwatch(&self, server: Option<&ServerId>, uri: &str) -> Vec<ServerId> {
        self.ears.leave(server, uri)
    }

    /// Waits until a watched resource may have changed or a watched task's state was told, and returns which. Changes of
    /// one that come before this is called are told once, and of several states the newest, so that what waits is
    /// bounded by what is watched. Also told is each resource whose server could not be heard for a time.
    ///
    /// Cancel safe. Several may wait; each change is told to one of them.
    pub async fn next(&self) -> Updated {
        self.ears.next().await
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.ears.leave_all();
    }
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watcher").field("watched", &self.ears.len()).finish()
    }
}
