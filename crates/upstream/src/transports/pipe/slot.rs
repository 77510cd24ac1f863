//! Where the events of one call wait for the one who called. One allocation, one waker, no task.

use std::{
    collections::VecDeque,
    future::poll_fn,
    mem::discriminant,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use domain::Credential;
use parking_lot::Mutex;

use super::{super::Exchange, related};
use crate::{CallError, Event, SharedSession};

/// Events that may wait. A caller that reads slower loses the oldest: a newer progress says more.
const MAX_WAITING: usize = 256;
/// Bytes of notifications that may wait, and as many of questions: a great deal of text for a client that is behind. The
/// newest of either always finds room, however large; what one message may be bounds it.
const MAX_WAITING_BYTES: usize = 1 << 20;
/// What servers may ask of a client (specification 2025-11-25, client features).
const ASKED: [&str; 3] = ["sampling/createMessage", "elicitation/create", "roots/list"];
/// Requests that are answered at once, or only look at something under way. During these nothing is asked, so that
/// they need not wait for those during which something is.
const BRIEF: [&str; 5] =
    ["completion/complete", "logging/setLevel", "tasks/get", "tasks/list", "tasks/cancel"];

/// One call in flight.
pub(super) struct Slot {
    /// The JSON text of the client's own progress token.
    client_token: Option<Box<str>>,
    is_callers: bool,
    /// Its caller's session, if it has one.
    client: Option<SharedSession>,
    is_interactive: bool,
    /// The task that the request is about, if it is about one.
    task: Option<Box<str>>,
    /// Whether the server introduces itself by the answer.
    is_introduction: bool,
    /// Whether an answer means that the task is over.
    ends_task: bool,
    /// What authorizes the call, and with it all that is said about it.
    credential: Option<Credential>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Event>,
    last: Option<Result<Event, CallError>>,
    waker: Option<Waker>,
}

impl Slot {
    pub(super) fn new(exchange: &Exchange<'_>) -> Self {
        let client = exchange.session.filter(|_| exchange.principal.is_some()).cloned();
        let can_ask = |client: &SharedSession| ASKED.iter().any(|method| client.capabilities().allow(method));
        Self {
            client_token: exchange.params.progress_token().map(Into::into),
            is_callers: exchange.principal.is_some(),
            is_interactive: !BRIEF.contains(&exchange.method) && client.as_ref().is_some_and(can_ask),
            client,
            task: related::of_request(exchange),
            is_introduction: exchange.method == "initialize",
            ends_task: exchange.method == "tasks/result",
            credential: exchange.credential.cloned(),
            state: Mutex::default(),
        }
    }

    /// Returns what authorizes the call.
    pub(super) const fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
    }

    /// Makes the place of a request of the gateway whose answer nobody reads.
    pub(super) fn unread() -> Self {
        Self {
            client_token: None,
            is_callers: false,
            client: None,
            is_interactive: false,
            task: None,
            is_introduction: false,
            ends_task: false,
            credential: None,
            state: Mutex::default(),
        }
    }

    /// Returns the JSON text of the client's progress token, if it sent one.
    pub(super) fn client_token(&self) -> Option<&str> {
        self.client_token.as_deref()
    }

    /// Tells whether a caller waits here, and not the gateway itself.
    pub(super) const fn is_callers(&self) -> bool {
        self.is_callers
    }

    /// Returns the session of the caller, if it has one.
    pub(super) const fn client(&self) -> Option<&SharedSession> {
        self.client.as_ref()
    }

    /// Returns the number of the caller's session, if it has one.
    pub(super) fn client_number(&self) -> Option<u64> {
        self.client.as_ref().map(|client| client.number())
    }

    /// Tells whether the server may ask the caller something during the call.
    pub(super) const fn is_interactive(&self) -> bool {
        self.is_interactive
    }

    /// Returns the id of the task that the request is about, if it is about one.
    pub(super) fn task(&self) -> Option<&str> {
        self.task.as_deref()
    }

    /// Tells whether the server introduces itself by the answer (`initialize`).
    pub(super) const fn is_introduction(&self) -> bool {
        self.is_introduction
    }

    /// Tells whether the task that the request is about is over when it has its result (`tasks/result`).
    pub(super) const fn ends_task(&self) -> bool {
        self.ends_task
    }

    /// Adds an event that is not the last. Returns how many had to go for it; a question among them is refused.
    pub(super) fn notify(&self, event: Event) -> u64 {
        let mut state = self.state.lock();
        let gone = state.make_room(&event);
        state.waiting.push_back(event);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        // What goes is dropped when the lock is gone: that refuses questions.
        gone.len() as u64
    }

    /// Puts the final event behind the others.
    pub(super) fn finish(&self, last: Result<Event, CallError>) {
        let mut state = self.state.lock();
        state.last = Some(last);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Waits for the next event. Cancel safe; for one caller at a time, and not to be called after the final event.
    pub(super) async fn next(&self) -> Result<Event, CallError> {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&self, context: &Context<'_>) -> Poll<Result<Event, CallError>> {
        let mut state = self.state.lock();
        if let Some(event) = state.waiting.pop_front() {
            return Poll::Ready(Ok(event));
        }
        match state.last.take() {
            Some(last) => Poll::Ready(last),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl State {
    /// Takes out what has to go before `new` may wait, the oldest first: as many bytes of its kind as are too many, and
    /// where too much waits a notification before a question.
    fn make_room(&mut self, new: &Event) -> Vec<Event> {
        let is_alike = |event: &Event| discriminant(event) == discriminant(new);
        let mut bytes: usize = self.waiting.iter().filter(|event| is_alike(event)).map(bytes_of).sum();
        let mut gone = Vec::new();
        while bytes > 0 && bytes + bytes_of(new) > MAX_WAITING_BYTES {
            let Some(oldest) = self.take_oldest(is_alike) else { break };
            bytes -= bytes_of(&oldest);
            gone.push(oldest);
        }
        if self.waiting.len() >= MAX_WAITING {
            let oldest = self.take_oldest(|event| matches!(event, Event::Notification { .. }));
            gone.extend(oldest.or_else(|| self.waiting.pop_front()));
        }
        gone
    }

    fn take_oldest(&mut self, is_meant: impl Fn(&Event) -> bool) -> Option<Event> {
        let place = self.waiting.iter().position(is_meant)?;
        self.waiting.remove(place)
    }
}

/// Returns how many bytes of text an event holds that is not the last.
fn bytes_of(event: &Event) -> usize {
    match event {
        Event::Notification { method, params } => method.len() + params.as_ref().map_or(0, Bytes::len),
        Event::Request(question) => question.method().len() + question.params().map_or(0, Bytes::len),
        Event::Result(_) | Event::Error(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::ServerRequest;

    fn log(bytes: usize) -> Event {
        Event::Notification { method: "m".into(), params: Some(vec![b' '; bytes - 1].into()) }
    }

    fn question(bytes: usize) -> Event {
        Event::Request(ServerRequest::new("q".into(), Some(vec![b' '; bytes - 1].into()), |_| {}))
    }

    fn waiting(slot: &Slot) -> Vec<usize> {
        let taken = std::iter::from_fn(|| slot.next().now_or_never());
        taken.map(|event| bytes_of(&event.unwrap())).collect()
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_and_the_newest_finds_room() {
        let (slot, half) = (Slot::unread(), MAX_WAITING_BYTES / 2);
        assert_eq!([slot.notify(log(half)), slot.notify(log(half)), slot.notify(log(9))], [0, 0, 1]);
        assert_eq!(slot.notify(question(MAX_WAITING_BYTES * 3)), 0, "questions count for themselves");
        assert_eq!(slot.notify(log(MAX_WAITING_BYTES * 2)), 2);
        assert_eq!(slot.notify(log(7)), 1);
        assert_eq!(waiting(&slot), [MAX_WAITING_BYTES * 3, 7]);
        assert_eq!(
            [slot.notify(question(half)), slot.notify(question(half)), slot.notify(question(9))],
            [0, 0, 1]
        );
        assert_eq!(waiting(&slot), [half, 9]);
    }

    #[test]
    fn what_waits_is_bounded_in_number_and_questions_outlast_notifications() {
        let slot = Slot::unread();
        assert_eq!(slot.notify(question(5)), 0);
        let dropped: u64 = (1..=MAX_WAITING).map(|_| slot.notify(log(3))).sum();
        assert_eq!(dropped, 1);
        let waiting = waiting(&slot);
        assert_eq!((waiting.len(), waiting[0]), (MAX_WAITING, 5));
    }
}
