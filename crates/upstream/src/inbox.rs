//! Where a connection puts what its server says outside calls. Bounded, and never in the way of answers: what finds
//! no room is dropped and counted, except that something to list again, and resources that changed, are never
//! forgotten: however often that is said, it is noted once. Of a task its newest state is noted.

use std::sync::Arc;

use bytes::Bytes;
use protocol::Object;
use tokio::sync::{Notify, mpsc};

use crate::{metrics::Counters, transports::Incoming, watching::interests::Interests};

/// Notifications that wait for the supervisor. It hands them on at once unless the gateway as a whole is behind.
const CAPACITY: usize = 256;
/// Acknowledged subscriptions that wait to be noticed. Only one is asked for at a time.
const ACKNOWLEDGEMENTS: usize = 8;

/// What a server of the modern era says of the state of a task (extension `io.modelcontextprotocol/tasks`).
pub(crate) const TASK_CHANGED: &str = "notifications/tasks";
/// What a server of the modern era says first on a subscription.
pub(crate) const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

/// The connection's end.
#[derive(Debug, Clone)]
pub(crate) struct Inbox {
    queue: mpsc::Sender<Incoming>,
    acknowledgements: mpsc::Sender<Bytes>,
    lists_changed: Arc<Notify>,
    session_renewed: Arc<Notify>,
    interests: Arc<Interests>,
    counters: Arc<Counters>,
}

/// The supervisor's end.
#[derive(Debug)]
pub(crate) struct Mail {
    /// What arrived, oldest first.
    pub(crate) queue: mpsc::Receiver<Incoming>,
    /// Signalled when a listing of the server has changed; signals in a row count once.
    pub(crate) lists_changed: Arc<Notify>,
    /// What only the subscriptions of the connection are about.
    pub(crate) subscriptions: SubscriptionMail,
}

/// What whoever keeps the subscriptions hears.
#[derive(Debug)]
pub(crate) struct SubscriptionMail {
    /// The parameters of each acknowledgement, where it does not come on a stream of its own.
    pub(crate) acknowledgements: mpsc::Receiver<Bytes>,
    /// Signalled when our own session is another, which knows of no subscription.
    pub(crate) session_renewed: Arc<Notify>,
}

/// Makes both ends for a server of which `interests` are watched.
pub(crate) fn inbox(counters: Arc<Counters>, interests: Arc<Interests>) -> (Inbox, Mail) {
    let (sender, queue) = mpsc::channel(CAPACITY);
    let (acknowledge, acknowledgements) = mpsc::channel(ACKNOWLEDGEMENTS);
    let (lists_changed, session_renewed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let subscriptions = SubscriptionMail { acknowledgements, session_renewed: Arc::clone(&session_renewed) };
    let mail = Mail { queue, lists_changed: Arc::clone(&lists_changed), subscriptions };
    let inbox = Inbox {
        queue: sender,
        acknowledgements: acknowledge,
        lists_changed,
        session_renewed,
        interests,
        counters,
    };
    (inbox, mail)
}

impl Inbox {
    /// Hands over a notification that belongs to no call. Never waits.
    pub(crate) fn deliver(&self, incoming: Incoming) {
        if incoming.method.starts_with("notifications/resources/") {
            self.counters.resource_changes.add_one();
        }
        let is_dropped = match &*incoming.method {
            method if method.ends_with("/list_changed") => {
                self.lists_changed.notify_one();
                false
            }
            "notifications/resources/updated" => !self.updated(incoming.params.as_ref()),
            TASK_CHANGED => !self.task_changed(incoming.params.as_ref()),
            ACKNOWLEDGED => {
                // A reader that is behind has given this one up.
                incoming.params.is_some_and(|params| self.acknowledgements.try_send(params).is_err())
            }
            _ => self.queue.try_send(incoming).is_err(),
        };
        if is_dropped {
            self.counters.dropped_notifications.add_one();
        }
    }

    /// Notes that our own session is another one: the server has forgotten what was asked in the one before.
    pub(crate) fn session_renewed(&self) {
        self.session_renewed.notify_one();
    }

    /// Notes that anything that is listed or watched may have changed, because the server was not heard.
    pub(crate) fn suspect_changes(&self) {
        self.counters.resource_changes.add_one();
        self.lists_changed.notify_one();
        self.interests.all_updated();
    }

    /// Notes which resource has changed; tells whether it is named.
    fn updated(&self, params: Option<&Bytes>) -> bool {
        let uri = params.and_then(|params| {
            let object = Object::parse(params, &["uri"]).ok()?;
            object.string("uri").map(|uri| self.interests.updated(&uri))
        });
        uri.is_some()
    }

    /// Notes the state of a task; tells whether the task is named.
    fn task_changed(&self, params: Option<&Bytes>) -> bool {
        let id = params.and_then(|params| {
            let object = Object::parse(params, &["taskId"]).ok()?;
            object.string("taskId").map(|id| self.interests.task_changed(&id, params))
        });
        id.is_some()
    }
}
