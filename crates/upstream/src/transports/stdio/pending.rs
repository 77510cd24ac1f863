//! The calls that wait for an answer, by the id under which they were sent. An answer takes its call out, so that
//! each call has one answer at most.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::slot::Slot;

/// The calls in flight at one child.
#[derive(Default)]
pub(super) struct Pending(Mutex<Table>);

#[derive(Default)]
struct Table {
    calls: HashMap<u64, Arc<Slot>>,
    ended: Option<Arc<str>>,
}

impl Pending {
    /// Adds a call.
    ///
    /// # Errors
    /// Why the connection has ended, if it has.
    pub(super) fn insert(&self, id: u64, slot: &Arc<Slot>) -> Result<(), Arc<str>> {
        let mut table = self.0.lock();
        match &table.ended {
            Some(reason) => Err(Arc::clone(reason)),
            None => {
                table.calls.insert(id, Arc::clone(slot));
                Ok(())
            }
        }
    }

    /// Takes a call out; `None` when its answer has come, its caller has gone, or nobody ever asked.
    pub(super) fn remove(&self, id: u64) -> Option<Arc<Slot>> {
        self.0.lock().calls.remove(&id)
    }

    /// Finds a call that goes on waiting.
    pub(super) fn find(&self, id: u64) -> Option<Arc<Slot>> {
        self.0.lock().calls.get(&id).cloned()
    }

    /// Finds the one call of a caller that is in flight; `None` when there are none or several.
    pub(super) fn only_call(&self) -> Option<Arc<Slot>> {
        let table = self.0.lock();
        let mut calls = table.calls.values().filter(|slot| slot.is_callers());
        calls.next().filter(|_| calls.next().is_none()).cloned()
    }

    /// Refuses calls from now on, with this reason unless there is one already, and returns those in flight.
    pub(super) fn end(&self, reason: &Arc<str>) -> Vec<Arc<Slot>> {
        let mut table = self.0.lock();
        table.ended.get_or_insert_with(|| Arc::clone(reason));
        std::mem::take(&mut table.calls).into_values().collect()
    }
}
