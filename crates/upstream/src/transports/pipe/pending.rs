//! The calls that wait for an answer, by the id under which they were sent. An answer takes its call out, so that
//! each call has one answer at most.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::{slot::Slot, turns::Turn};

/// The calls in flight at one server.
#[derive(Default)]
pub(super) struct Pending(Mutex<Table>);

#[derive(Default)]
struct Table {
    calls: HashMap<u64, Call>,
    ended: Option<Arc<str>>,
}

struct Call {
    slot: Arc<Slot>,
    /// Its end lets the next interactive call begin.
    _turn: Option<Turn>,
}

/// Which caller a server may mean with what it asks.
pub(super) enum Askable {
    /// No caller's call is in flight.
    Idle,
    /// Those who call cannot be asked anything.
    Nobody,
    /// This one call.
    Call(u64, Arc<Slot>),
    /// One of several.
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
                table.calls.insert(id, Call { slot: Arc::clone(slot), _turn: turn });
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

    /// Finds a call that goes on waiting.
    pub(super) fn find(&self, id: u64) -> Option<Arc<Slot>> {
        self.0.lock().calls.get(&id).map(|call| Arc::clone(&call.slot))
    }

    /// Finds the one call of a caller that is in flight; `None` when there are none or several.
    pub(super) fn only_call(&self) -> Option<Arc<Slot>> {
        let table = self.0.lock();
        let mut calls = table.callers();
        calls.next().filter(|_| calls.next().is_none()).map(|(_, slot)| Arc::clone(slot))
    }

    /// Tells whether nobody calls but the client with this number.
    pub(super) fn is_alone(&self, client: u64) -> bool {
        let table = self.0.lock();
        table.callers().all(|(_, slot)| slot.client().is_some_and(|calling| calling.number() == client))
    }

    /// Finds the caller whom the server may ask something.
    pub(super) fn askable(&self) -> Askable {
        let table = self.0.lock();
        let mut found = Askable::Idle;
        for (id, slot) in table.callers() {
            found = match found {
                Askable::Call(..) if slot.is_interactive() => return Askable::Anybody,
                _ if slot.is_interactive() => Askable::Call(id, Arc::clone(slot)),
                Askable::Idle => Askable::Nobody,
                Askable::Nobody | Askable::Call(..) | Askable::Anybody => found,
            };
        }
        found
    }

    /// Refuses calls from now on, with this reason unless there is one already, and returns those in flight.
    pub(super) fn end(&self, reason: &Arc<str>) -> Vec<Arc<Slot>> {
        let mut table = self.0.lock();
        table.ended.get_or_insert_with(|| Arc::clone(reason));
        let calls = std::mem::take(&mut table.calls);
        drop(table);
        calls.into_values().map(|call| call.slot).collect()
    }
}

impl Table {
    fn callers(&self) -> impl Iterator<Item = (u64, &Arc<Slot>)> {
        let calls = self.calls.iter().map(|(id, call)| (*id, &call.slot));
        calls.filter(|(_, slot)| slot.is_callers())
    }
}
