//! Keeps a legacy server telling of what is watched: `resources/subscribe` and `resources/unsubscribe` (specification
//! 2025-11-25, resources: subscriptions) in the gateway's own session, again when that session is another.

use std::{convert::Infallible, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use protocol::code;
use tokio::{sync::Notify, time::timeout};

use super::{
    WatchError,
    interests::{Errand, Phase, Tenure},
    topic::Topic,
};
use crate::own_request::{Answer, Asker, answer};

/// Requests of this kind in progress at one server. After a reconnect there may be thousands to make.
const AT_ONCE: usize = 8;
/// How long a server may take to answer one.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Keeps the subscriptions; never returns. `renewed` is signalled when the session is another one. A dropped request is
/// cancelled; what it was about is wanted again with the next tenure.
pub(crate) async fn keep(asker: Asker<'_>, mut tenure: Tenure, renewed: &Notify) -> Infallible {
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < AT_ONCE
            && let Some(errand) = tenure.next_errand()
        {
            running.push(run(asker, &errand, &tenure));
        }
        tokio::select! {
            biased;
            () = renewed.notified() => tenure.start_over(),
            Some((term, topic, phase)) = running.next() => tenure.settle(term, &topic, phase),
            () = tenure.stirred() => {}
        }
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
