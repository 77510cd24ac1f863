//! Where the events of one call wait for the one who called. One allocation, one waker, no task.

use std::{
    collections::VecDeque,
    future::poll_fn,
    task::{Context, Poll, Waker},
};

use domain::Credential;
use parking_lot::Mutex;

use super::super::Exchange;
use crate::{CallError, Event, SharedSession};

/// Events that may wait. A caller that reads slower loses the oldest: a newer progress says more.
const MAX_WAITING: usize = 256;
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

    /// Adds an event that is not the last. Returns how many had to go for it; a question among them is refused.
    pub(super) fn notify(&self, event: Event) -> u64 {
        let mut state = self.state.lock();
        let is_full = state.waiting.len() >= MAX_WAITING;
        let gone = if is_full { state.waiting.pop_front() } else { None };
        state.waiting.push_back(event);
        let waker = state.waker.take();
        drop(state);
        drop(gone);
        waker.into_iter().for_each(Waker::wake);
        u64::from(is_full)
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
