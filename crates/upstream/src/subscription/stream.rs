//! One `subscriptions/listen` and its answer without end, over either transport. What it brings goes to the
//! connection's inbox; here is only heard what the subscription itself is about.

use std::{collections::HashSet, time::Duration};

use bytes::Bytes;
use protocol::{RequestId, meta};
use serde_json::Value;

use crate::{
    own_request::{Answer, Asker, answer},
    transports::{Connection, ReplySource, http::Subscription},
    watching::topic::Topic,
};

/// The method's name.
pub(crate) const LISTEN: &str = "subscriptions/listen";

/// The member of the filter that names resources.
pub(super) const RESOURCES: &str = "resourceSubscriptions";
/// The member that names tasks.
pub(super) const TASKS: &str = "taskIds";

/// A subscription that was asked for. Dropped, it is ended.
pub(super) enum Stream {
    Piped { id: RequestId, reply: ReplySource },
    Http(Box<Subscription>),
}

/// What is heard about a subscription.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The server agrees to tell of these resources and tasks.
    Acknowledged(HashSet<Topic>),
    /// It answered with this JSON-RPC error code.
    Refused { code: i64 },
    /// It is over; the server wants us to wait so long before the next.
    Ended { retry: Duration },
}

/// Why there is no subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotOpen {
    /// It may work another time.
    NotNow,
    /// The server does not do this.
    Never,
}

impl Stream {
    /// Asks for a subscription. Whoever sees the connection's end notices why it fails.
    pub(super) async fn open(asker: Asker<'_>, params: String) -> Result<Self, NotOpen> {
        match asker.connection {
            Connection::Http(connection) => {
                let subscription = connection.subscribe(&params, asker.credential).await?;
                Ok(Self::Http(Box::new(subscription)))
            }
            Connection::Stdio(_) | Connection::Sse(_) | Connection::Builtin(_) => {
                let reply = asker.send(LISTEN, params).await.map_err(|_| NotOpen::NotNow)?;
                match &reply {
                    ReplySource::Piped(piped) => Ok(Self::Piped { id: RequestId::from(piped.id()), reply }),
                    ReplySource::Http(_) | ReplySource::Builtin(_) => Err(NotOpen::Never),
                }
            }
        }
    }

    /// Waits for the next thing that is heard. Cancel safe. After the end nothing more comes.
    pub(super) async fn next(&mut self) -> Heard {
        match self {
            Self::Piped { reply, .. } => match answer(reply).await {
                Ok(Answer::Error(error)) => Heard::Refused { code: error.code },
                Ok(Answer::Result(_)) | Err(_) => Heard::Ended { retry: Duration::ZERO },
            },
            Self::Http(subscription) => subscription.next().await,
        }
    }

    /// Reads the parameters of an acknowledgement that came beside; returns what was granted if it is for this one.
    pub(super) fn acknowledges(&self, params: &Bytes) -> Option<HashSet<Topic>> {
        let Self::Piped { id, .. } = self else { return None };
        let params: Value = serde_json::from_slice(params).ok()?;
        let named = params["_meta"][meta::SUBSCRIPTION_ID].to_string();
        (named.as_bytes() == id.as_json()).then(|| granted(&params))
    }
}

/// Returns the resources and tasks that an acknowledgement grants.
pub(crate) fn granted(params: &Value) -> HashSet<Topic> {
    let named = |member: &str| params["notifications"][member].as_array().into_iter().flatten();
    let resources = named(RESOURCES).filter_map(Value::as_str).map(Topic::resource);
    let tasks = named(TASKS).filter_map(Value::as_str).map(Topic::task);
    resources.chain(tasks).collect()
}
