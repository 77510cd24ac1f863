//! The calls that wait for an answer, by the id under which they were sent. An answer takes its call out, so that
//! each call has one answer at most. Whom a server can mean is told from them, and from those that nobody waits for any
//! more (`pipe/abandoned`).

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    abandoned::{ABANDONED_TIME, Abandoned, AbandonedCall},
    slot::Slot,
    turns::Turn,
};

/// The calls in flight at one server.
#[derive(Default)]
pub(super) struct Pending(Mutex<Table>);

#[derive(Default)]
struct Table {
    calls: HashMap<u64, Call>,
    abandoned: Abandoned,
    ended: Option<Arc<str>>,
}

struct Call {
    slot: Arc<Slot>,
    /// Its end lets the next interactive call begin.
    turn: Option<Turn>,
}

/// Which caller a server may mean with what it asks.
pub(super) enum Askable {
    /// No caller waits for a call.
    Idle,
    /// It cannot be told whom the server means, or whoever it means cannot be asked.
    Nobody,
    /// This one call.
    Call(u64, Arc<Slot>),
    /// One of several whose clients can be asked.
    Anybody,
}

impl Pending {
    /// Adds a call.
    ///
    /// # Errors
    /// Why the connection has ended, if it has.
    pub(super) fn insert(&self, id: u64, slot: &Arc<Slot>, turn: Option<Turn>) -> Result<(), Arc<str>> {
        let mut table = self.0.lock();
        match &table.ended {
            Some(reason) => Err(Arc::clone(reason)),
            None => {
                table.calls.insert(id, Call { slot: Arc::clone(slot), turn });
                Ok(())
            }
        }
    }

    /// Takes a call out; `None` when its answer has come, its caller has gone, or nobody ever asked.
    pub(super) fn remove(&self, id: u64) -> Option<Arc<Slot>> {
        // The turn ends when the lock is gone.
        let call = self.0.lock().calls.remove(&id)?;
        Some(call.slot)
    }

    /// Takes out a call that the server may go on with, and remembers that it may. A request of the gateway itself
    /// asks nobody anything and is not remembered.
    pub(super) fn abandon(&self, id: u64, now: Instant) -> Option<Arc<Slot>> {
        let mut table = self.0.lock();
        let Call { slot, turn } = table.calls.remove(&id)?;
        let gone = slot.is_callers().then(|| {
            let (client, is_interactive) = (slot.client_number(), slot.is_interactive());
            table.abandoned.add(AbandonedCall {
                id,
                client,
                is_interactive,
                turn,
                until: now + ABANDONED_TIME,
            })
        });
        drop(table);
        // Turns end when the lock is gone.
        drop(gone);
        Some(slot)
    }

    /// Notes that the server is done with a call that nobody waits for, if it is one.
    pub(super) fn answered_late(&self, id: u64) {
        let answered = self.0.lock().abandoned.answered(id);
        drop(answered);
    }

    /// Forgets abandoned calls that have counted long enough. Returns when there will be the next such one.
    pub(super) fn expire(&self, now: Instant) -> Option<Instant> {
        let mut table = self.0.lock();
        let expired = table.abandoned.expire(now);
        let next = table.abandoned.next_expiry();
        drop(table);
        drop(expired);
        next
    }

    /// Takes what turns the client with this number has left in calls that it abandoned.
    pub(super) fn take_turns(&self, client: u64) -> Option<Turn> {
        let turns = self.0.lock().abandoned.take_turns(client);
        turns.into_iter().reduce(|mut turn, more| {
            turn.merge(more);
            turn
        })
    }

    /// Finds a call that goes on waiting.
    pub(super) fn find(&self, id: u64) -> Option<Arc<Slot>> {
        self.0.lock().calls.get(&id).map(|call| Arc::clone(&call.slot))
    }

    /// Finds the one call of a caller that is in flight; `None` when there are none or several, or one of somebody else
    /// may go on.
    pub(super) fn only_call(&self) -> Option<Arc<Slot>> {
        let (table, now) = (self.0.lock(), Instant::now());
        let mut calls = table.callers();
        let (_, slot) = calls.next().filter(|_| calls.next().is_none())?;
        table.abandoned.are_all_of(slot.client_number(), now).then(|| Arc::clone(slot))
    }

    /// Tells whether nobody calls but the client with this number, and no call of anybody else may go on.
    pub(super) fn is_alone(&self, client: u64) -> bool {
        self.0.lock().is_alone(client, Instant::now())
    }

    /// Finds the caller whom the server may ask something.
    pub(super) fn askable(&self) -> Askable {
        let (table, now) = (self.0.lock(), Instant::now());
        let mut interactive = table.callers().filter(|(_, slot)| slot.is_interactive());
        let (id, slot) = match (interactive.next(), interactive.next()) {
            (Some(_), Some(_)) => return Askable::Anybody,
            (Some(call), None) => call,
            (None, _) if table.callers().next().is_none() => return Askable::Idle,
            (None, _) => return Askable::Nobody,
        };
        match slot.client_number() {
            Some(client) if table.is_alone(client, now) => Askable::Call(id, Arc::clone(slot)),
            Some(client) if table.abandoned.have_interactive_of_others(client, now) => Askable::Anybody,
            Some(_) | None => Askable::Nobody,
        }
    }

    /// Refuses calls from now on, with this reason unless there is one already, and returns those in flight.
    pub(super) fn end(&self, reason: &Arc<str>) -> Vec<Arc<Slot>> {
        let mut table = self.0.lock();
        table.ended.get_or_insert_with(|| Arc::clone(reason));
        let calls = std::mem::take(&mut table.calls);
        let abandoned = table.abandoned.clear();
        drop(table);
        drop(abandoned);
        calls.into_values().map(|call| call.slot).collect()
    }
}

impl Table {
    fn callers(&self) -> impl Iterator<Item = (u64, &Arc<Slot>)> {
        let calls = self.calls.iter().map(|(id, call)| (*id, &call.slot));
        calls.filter(|(_, slot)| slot.is_callers())
    }

    fn is_alone(&self, client: u64, now: Instant) -> bool {
        self.callers().all(|(_, slot)| slot.client_number() == Some(client))
            && self.abandoned.are_all_of(Some(client), now)
    }
}
