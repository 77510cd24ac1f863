//! A batch on a message stream: its messages are taken one by one, the answers to it are one array.

use std::sync::Arc;

use bytes::Bytes;
use protocol::{Era, Malformed, Message, Notification, Request, Response};

use super::{Arrival, Duplex, Exchange, Share};
use crate::batch::{self, Answered, Due, Taking};

/// A batch that arrives.
struct Arriving<'a> {
    duplex: &'a Arc<Duplex>,
    arrival: &'a Arrival,
    exchange: Arc<Exchange>,
}

impl Duplex {
    /// Tells whether the client's revision has batches; none before `initialize`.
    pub(crate) fn has_batches(&self) -> bool {
        self.session.get().is_some_and(|session| batch::has_batches(&session))
    }

    /// Takes a batch. Its requests run at the same time; their answers are sent together when the last is there.
    pub(crate) fn take_batch(self: &Arc<Self>, messages: Vec<Result<Message, Malformed>>, arrival: &Arrival) {
        let limit = self.exchange.proxy.limits.line_bytes();
        let exchange = Exchange {
            proxy: self.exchange.proxy.clone(),
            outbox: self.exchange.outbox.clone(),
            share: Share::together(limit, self.batches.clone()),
            closed: self.exchange.closed.clone(),
        };
        let exchange = Arc::new(exchange);
        let arriving = Arriving { duplex: self, arrival, exchange: exchange.clone() };
        let due = batch::take(messages, &arriving);
        let (duplex, tasks) = (self.clone(), self.exchange.proxy.drain.tasks());
        let answers = batch::gather(tasks, due, limit);
        tasks.spawn(async move {
            if let Some(answers) = answers.await {
                duplex.send(answers).await;
            }
            // Until then the batch has its share.
            drop(exchange);
        });
    }

    fn refused_in_batch(&self, request: &Request) -> Option<Bytes> {
        if &*request.method == "initialize" {
            return Some(batch::refuse(&request.id, "`initialize`"));
        }
        match self.client(request, 0) {
            Ok(client) if client.version.era() == Era::Legacy => None,
            Ok(_) => Some(batch::refuse(&request.id, "a request of a revision without batches")),
            Err(refusal) => Some(refusal),
        }
    }
}

impl Taking for Arriving<'_> {
    fn request(&self, request: Request) -> Due {
        let id = request.id.clone();
        if let Some(refusal) = self.duplex.refused_in_batch(&request) {
            return Due::now(Some(id), refusal);
        }
        let begun = match self.duplex.begin(request, self.arrival.clone()) {
            Ok(begun) => begun,
            Err(refusal) => return Due::now(Some(id), refusal),
        };
        let (duplex, exchange) = (self.duplex.clone(), self.exchange.clone());
        Due::later(id, async move {
            // Here and not in the reader: a batch is taken whole.
            exchange.has_room().await;
            let last = duplex.finish(&begun, &exchange).await;
            let (message, held) = last.map(|last| (last.message, last.held)).unzip();
            Answered { message, _held: Some(Box::new((begun, held))) }
        })
    }

    fn notification(&self, note: &Notification) {
        self.duplex.notified(note);
    }

    fn response(&self, response: Response) {
        self.duplex.answered(response);
    }
}
