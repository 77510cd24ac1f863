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

    /// Takes out a call that the server may go on with, and remembers that it may. Its turn is over: a server that heeds
    /// the cancellation never answers, and whoever comes next is not taken for the one who is meant. A request of the
    /// gateway itself asks nobody anything and is not remembered.
    pub(super) fn abandon(&self, id: u64, now: Instant) -> Option<Arc<Slot>> {
        self.leave(id, None, now)
    }

    /// Takes out a call that was answered by this task, and remembers that the server goes on with it.
    pub(super) fn became_task(&self, id: u64, task: Box<str>, now: Instant) -> Option<Arc<Slot>> {
        self.leave(id, Some(task), now)
    }

    fn leave(&self, id: u64, task: Option<Box<str>>, now: Instant) -> Option<Arc<Slot>> {
        let mut table = self.0.lock();
        let Call { slot, turn } = table.calls.remove(&id)?;
        if slot.is_callers() {
            let (client, until) = (slot.client_number(), now + ABANDONED_TIME);
            table.abandoned.add(AbandonedCall { id, client, task, until });
        }
        drop(table);
        // The turn ends when the lock is gone.
        drop(turn);
        Some(slot)
    }

    /// Notes that the server is done with a call that nobody waits for, if it is one.
    pub(super) fn answered_late(&self, id: u64) {
        self.0.lock().abandoned.answered(id);
    }

    /// Notes that the server is done with a task.
    pub(super) fn task_over(&self, task: &str) {
        self.0.lock().abandoned.task_over(task);
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

    /// Finds the call of a caller that is about this task, best one during which the caller can be asked; `None` when
    /// there are none, or they are not all of one client.
    pub(super) fn about_task(&self, task: &str) -> Option<(u64, Arc<Slot>)> {
        let table = self.0.lock();
        let about = || table.callers().filter(|(_, slot)| slot.task() == Some(task));
        let (_, first) = about().next()?;
        let is_firsts = |(_, slot): (u64, &Arc<Slot>)| {
            Arc::ptr_eq(first, slot)
                || first.client_number().is_some_and(|client| slot.client_number() == Some(client))
        };
        let (id, slot) = about().max_by_key(|(_, slot)| slot.is_interactive())?;
        about().all(is_firsts).then(|| (id, Arc::clone(slot)))
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
            Some(_) | None => Askable::Nobody,
        }
    }

    /// Refuses calls from now on, with this reason unless there is one already, and returns those in flight.
    pub(super) fn end(&self, reason: &Arc<str>) -> Vec<Arc<Slot>> {
        let mut table = self.0.lock();
        table.ended.get_or_insert_with(|| Arc::clone(reason));
        let calls = std::mem::take(&mut table.calls);
        table.abandoned = Abandoned::default();
        drop(table);
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
