//! Where the events of one call wait for the one who called. One allocation, one waker, no task.

use std::{
    collections::VecDeque,
    future::poll_fn,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

use super::Exchange;
use crate::{CallError, Event};

/// Notifications that may wait. A caller that reads slower loses the oldest: a newer progress says more.
const MAX_WAITING: usize = 256;

/// One call in flight.
pub(super) struct Slot {
    /// The JSON text of the client's own progress token.
    client_token: Option<Box<str>>,
    is_callers: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    notifications: VecDeque<Event>,
    last: Option<Result<Event, CallError>>,
    waker: Option<Waker>,
}

impl Slot {
    pub(super) fn new(exchange: &Exchange<'_>) -> Self {
        Self {
            client_token: exchange.params.progress_token().map(Into::into),
            is_callers: exchange.principal.is_some(),
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

    /// Adds a notification. Returns how many had to go for it.
    pub(super) fn notify(&self, event: Event) -> u64 {
        let mut state = self.state.lock();
        let is_full = state.notifications.len() >= MAX_WAITING;
        if is_full {
            state.notifications.pop_front();
        }
        state.notifications.push_back(event);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        u64::from(is_full)
    }

    /// Puts the final event behind the notifications.
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
        if let Some(event) = state.notifications.pop_front() {
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
