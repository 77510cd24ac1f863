//! Keeps a legacy server telling of what is watched: `resources/subscribe` and `resources/unsubscribe` (specification
//! 2025-11-25, resources: subscriptions) in the gateway's own session, again when that session is another.

use std::{convert::Infallible, future::pending, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use protocol::code;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};

use super::{
    WatchError,
    interests::{Errand, Phase, Tenure},
    topic::Topic,
};
use crate::{
    backoff::Backoff,
    own_request::{Answer, Asker, answer},
};

/// Requests of this kind in progress at one server. After a reconnect there may be thousands to make.
const AT_ONCE: usize = 8;
/// How long a server may take to answer one.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// A session that lived so long is no failure when it is renewed. Longer than a request of ours may take, as the request
/// itself may be what the server answers by forgetting the session.
const LIVED: Duration = Duration::from_secs(60);

/// Keeps the subscriptions; never returns. `renewed` is signalled when the session is another one. A dropped request is
/// cancelled; what it was about is wanted again with the next tenure.
pub(crate) async fn keep(asker: Asker<'_>, mut tenure: Tenure, renewed: &Notify) -> Infallible {
    let mut running = FuturesUnordered::new();
    let mut renewals = Renewals::default();
    loop {
        while running.len() < AT_ONCE
            && let Some(errand) = tenure.next_errand()
        {
            running.push(run(asker, &errand, &tenure));
        }
        tokio::select! {
            biased;
            () = renewed.notified() => renewals.note(),
            () = renewals.due() => tenure.start_over_unrefused(),
            Some((term, topic, phase)) = running.next() => tenure.settle(term, &topic, phase),
            () = tenure.stirred() => {}
        }
    }
}

/// When to ask for everything again in another session.
///
/// Never at once: there are servers that answer a subscription they dislike as if they had forgotten the session. Its
/// refusal is then heard before everything is asked for again, and if it is not, the pauses grow until it is. Success
/// does not shorten them, as the others are agreed to all the while.
#[derive(Default)]
struct Renewals {
    /// When it is to be done, if the session is another one than everything was asked for in.
    due: Option<Instant>,
    /// When it was done last.
    last: Option<Instant>,
    backoff: Backoff,
}

impl Renewals {
    /// Notes that the session is another one. One new beginning does for all that are noted before it.
    fn note(&mut self) {
        if self.due.is_some() {
            return;
        }
        if self.last.is_some_and(|last| last.elapsed() >= LIVED) {
            self.backoff.reset();
        }
        self.due = Some(Instant::now() + self.backoff.next());
    }

    /// Waits until everything is to be asked for again, which is done then. Cancel safe.
    async fn due(&mut self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => pending().await,
        }
        self.due = None;
        self.last = Some(Instant::now());
    }
}

/// Has everything that is watched refused; never returns. For servers that tell of nothing.
pub(crate) async fn refuse(mut tenure: Tenure) -> Infallible {
    loop {
        let topics = tenure.claim();
        tenure.settle_asked(&topics, &Phase::Refused(WatchError::Unsupported(tenure.server().clone())));
        tenure.stirred().await;
    }
}

/// Does one errand; returns what became of it, with the beginning that it belongs to.
fn run<'a>(
    asker: Asker<'a>,
    errand: &Errand,
    tenure: &Tenure,
) -> impl Future<Output = (u64, Topic, Phase)> + use<'a> {
    let (term, server) = (tenure.term(), tenure.server().clone());
    let (method, topic, is_subscribing) = match errand {
        Errand::Subscribe(uri) => ("resources/subscribe", Topic::resource(uri), true),
        Errand::Unsubscribe(uri) => ("resources/unsubscribe", Topic::resource(uri), false),
    };
    async move {
        let params = serde_json::json!({ "uri": &*topic.name }).to_string();
        let asking = async {
            let mut reply = asker.send(method, params).await?;
            answer(&mut reply).await
        };
        let answered = timeout(ANSWER_LIMIT, asking).await;
        let phase = match (answered, is_subscribing) {
            // Whatever it says to that: if somebody wants it meanwhile, it is asked again.
            (_, false) => Phase::Wanted,
            (Ok(Ok(Answer::Result(_))), true) => Phase::Held,
            (Ok(Ok(Answer::Error(error))), true) if error.code == code::METHOD_NOT_FOUND => {
                Phase::Refused(WatchError::Unsupported(server))
            }
            (Ok(Ok(Answer::Error(error))), true) => {
                Phase::Refused(WatchError::Refused { server, code: error.code })
            }
            (Ok(Err(error)), true) => Phase::Refused(WatchError::Call(error)),
            (Err(_), true) => Phase::Refused(WatchError::Late(server)),
        };
        (term, topic, phase)
    }
}
