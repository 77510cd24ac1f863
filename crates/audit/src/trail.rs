//! The trail: opened once, cloned to whoever makes calls. Here stand the promises of the three modes; the chain and
//! the write are [`crate::journal`]'s, a call in flight is an [`OpenCall`].

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::{
    ArgumentsKept, AuditError, Begin, CallId, Counters, Detail, Event, Mode, OpenCall, Place, Settings,
    chain::Link,
    counters::{count, uncount},
    flusher,
    inbox::{Full, Inbox, Stage},
    journal::Journal,
    line::{self, Phase},
    medium::Medium,
    place,
    seat::{Seat, let_others_run},
    syncer::{Confirmed, SyncFailed, Syncer},
};

/// Open calls from which on begin lines share writes: with fewer, waiting for others would only take time.
const SHARING_CALLS: u64 = 4;

/// The audit trail. Clones write to the same file; the last one to go closes it.
#[derive(Debug, Clone)]
pub struct Trail {
    /// Closes the trail when the last clone and the last open call are gone.
    owner: Arc<Owner>,
}

/// What the trail and its threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Locked before the inbox by whoever needs both.
    pub(crate) journal: Mutex<Journal>,
    pub(crate) inbox: Mutex<Inbox>,
    /// Wakes the flusher; waits with the inbox.
    pub(crate) woken: Condvar,
    pub(crate) syncer: Syncer,
    pub(crate) mode: Mode,
    counters: Arc<Counters>,
    arguments: ArgumentsKept,
    place: Place,
    /// Tells the calls of this opening from those of all others.
    run: [u8; CallId::RUN_BYTES],
    calls: AtomicU64,
    /// The file was deleted under our hands.
    is_lost: AtomicBool,
}

#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

// === impl Trail ===

impl Trail {
    /// Opens the trail and continues the chain in its file. A torn last line is cut off, and an event `recovered`
    /// says so. When another gateway holds the file, the trail goes to a file beside it: see [`Trail::place`].
    ///
    /// May block on the disk for some milliseconds.
    ///
    /// # Errors
    /// [`AuditError::Open`], [`AuditError::Foreign`], [`AuditError::Held`] or [`AuditError::Thread`]. A full disk is
    /// none: calls are refused until it has space.
    pub fn open(settings: &Settings) -> Result<Self, AuditError> {
        let opened = place::open(settings.file())?;
        let trail =
            Self::start(settings, opened.place, Arc::new(opened.file), opened.tip, opened.good_bytes)?;
        if opened.cut_bytes > 0 {
            tracing::warn!(bytes = opened.cut_bytes, "torn last line cut off the audit file");
            let mut body = Vec::new();
            let details = [("cut_bytes", Detail::Number(opened.cut_bytes))];
            line::push_event(&mut body, &Event { name: "recovered", details: &details });
            trail.shared().put_soon(Phase::Event, &body);
        }
        Ok(trail)
    }

    /// Puts a call on record before it is judged and sent. It returns once the mode's promise holds:
    /// `durable`: the line is on the disk; `written`: the kernel has it; `best_effort`: it is in the queue, or
    /// counted as dropped.
    ///
    /// Cancel safe: a call whose line was written ends as `cancelled` when the future is dropped.
    ///
    /// # Errors
    /// [`AuditError::Write`], [`AuditError::Sync`], [`AuditError::Deleted`] or [`AuditError::Closed`]: the call must
    /// be refused. `best_effort` fails only when closed.
    pub async fn begin(&self, begin: Begin<'_>) -> Result<OpenCall, AuditError> {
        let call = OpenCall::begin(self, &begin).await?;
        match self.shared().mode {
            Mode::Written | Mode::BestEffort => Ok(call),
            Mode::Durable => match self.shared().syncer.confirmed().await {
                Ok(()) => Ok(call),
                Err(SyncFailed) => Err(self.refuse_unsynced(call)),
            },
        }
    }

    /// Puts something other than a call on record. The kernel has the line on return; in `best_effort` it is queued.
    ///
    /// # Errors
    /// As [`Trail::begin`].
    pub fn event(&self, event: Event<'_>) -> Result<(), AuditError> {
        let mut body = Vec::with_capacity(256);
        line::push_event(&mut body, &event);
        self.shared().put(&body)
    }

    /// Brings everything recorded so far to the disk. Blocks for as long as the disk needs.
    ///
    /// # Errors
    /// [`AuditError::Write`] or [`AuditError::Sync`]; what could not be written still waits.
    pub fn flush(&self) -> Result<(), AuditError> {
        self.shared().flush()
    }

    /// Ends the trail: writes what waits, brings it to the disk, stops the threads. Calls begun from now on are
    /// refused; calls still open may finish and are written at once. Blocks for as long as the disk needs.
    ///
    /// # Errors
    /// As [`Trail::flush`]; the trail is closed all the same.
    pub fn close(&self) -> Result<(), AuditError> {
        self.owner.close()
    }

    /// Returns where the trail goes.
    pub fn place(&self) -> &Place {
        &self.shared().place
    }

    /// Returns the file the trail goes to.
    pub fn path(&self) -> &Path {
        self.shared().place.file()
    }

    /// Returns what the trail counts.
    pub fn counters(&self) -> &Counters {
        &self.shared().counters
    }

    pub(crate) fn start(
        settings: &Settings,
        place: Place,
        medium: Arc<dyn Medium>,
        tip: Link,
        good_bytes: u64,
    ) -> Result<Self, AuditError> {
        let counters = Arc::new(Counters::default());
        let shared = Arc::new(Shared {
            journal: Mutex::new(Journal::new(Arc::clone(&medium), Arc::clone(&counters), tip, good_bytes)),
            inbox: Mutex::new(Inbox::new()),
            woken: Condvar::new(),
            syncer: Syncer::new(medium, Arc::clone(&counters)),
            mode: settings.mode(),
            counters,
            arguments: settings.arguments(),
            place,
            run: random_run(),
            calls: AtomicU64::new(0),
            is_lost: AtomicBool::new(false),
        });
        let owner = Arc::new(Owner { shared, threads: Mutex::default() });
        owner.spawn("audit-flush", flusher::run)?;
        owner.spawn("audit-sync", |shared| shared.syncer.run(|| shared.note_sync_recovered()))?;
        Ok(Self { owner })
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.owner.shared
    }

    fn refuse_unsynced(&self, call: OpenCall) -> AuditError {
        count(&self.shared().counters.failures);
        call.refuse();
        AuditError::Sync
    }
}

// === impl Shared ===

impl Shared {
    /// Records an event as surely as the mode promises, except for the disk.
    fn put(&self, body: &[u8]) -> Result<(), AuditError> {
        let put = match self.seat(Phase::Event, body) {
            Ok(Some(seat)) => self.write_for_all(&seat),
            Ok(None) => Ok(()),
            Err(refused) => Err(refused),
        };
        put.inspect_err(|_| count(&self.counters.failures))
    }

    /// Records a line soon: with the next write, or within 5 ms. When there is no room it is lost and counted.
    pub(crate) fn put_soon(&self, phase: Phase, body: &[u8]) {
        if self.put_if_room(phase, body) == Stage::Closed {
            // Nobody would write it later. A failure is logged by the journal.
            let _written = self.write_out(self.journal.lock());
        }
    }

    pub(crate) fn next_call(&self) -> CallId {
        CallId::new(self.run, self.calls.fetch_add(1, Relaxed) + 1)
    }

    /// Counts a call that is refused because its begin line could not be written; it is not open any more.
    pub(crate) fn count_refused(&self, refused: AuditError) -> AuditError {
        count(&self.counters.failures);
        uncount(&self.counters.open_calls);
        refused
    }

    pub(crate) const fn arguments(&self) -> ArgumentsKept {
        self.arguments
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Notes that the file is gone, and tells whether that is news.
    pub(crate) fn note_lost_file(&self) -> bool {
        !self.is_lost.swap(true, Relaxed)
    }

    fn note_sync_recovered(&self) {
        let failures = self.counters.sync_failures.load(Relaxed);
        let mut body = Vec::new();
        let details = [("failures", Detail::Number(failures))];
        line::push_event(&mut body, &Event { name: "sync_recovered", details: &details });
        self.put_soon(Phase::Event, &body);
    }

    /// Puts down the line of somebody who waits until [`Shared::written`]; where nobody waits, it returns no seat.
    ///
    /// # Errors
    /// Nothing may be written any more.
    pub(crate) fn seat(&self, phase: Phase, body: &[u8]) -> Result<Option<Seat>, AuditError> {
        if self.mode == Mode::BestEffort {
            drop(self.open_inbox()?);
            self.put_if_room(phase, body);
            return Ok(None);
        }
        if self.is_lost.load(Relaxed) {
            return Err(AuditError::Deleted { path: self.place.file().to_owned() });
        }
        if self.syncer.is_broken() {
            return Err(AuditError::Sync);
        }
        Ok(Some(self.open_inbox()?.seat(phase, body)))
    }

    /// Waits until the line is written. Calls that are not alone share a write: each lets the tasks that are ready
    /// beside it put theirs down, and whoever comes back first writes for all.
    ///
    /// Dropping the future leaves the line where it is; see [`Shared::write_for_all`].
    pub(crate) async fn written(&self, seat: &Seat) -> Result<(), AuditError> {
        if self.counters.open_calls.load(Relaxed) >= SHARING_CALLS && !self.inbox.lock().is_full() {
            let_others_run().await;
        }
        self.write_for_all(seat)
    }

    /// Writes all that waits, unless somebody has written the line already.
    pub(crate) fn write_for_all(&self, seat: &Seat) -> Result<(), AuditError> {
        if seat.verdict().is_none() {
            let journal = self.journal.lock();
            if seat.verdict().is_none() {
                // What became of it stands in the seat.
                let _written = self.write_out(journal);
            }
        }
        let written = seat.verdict().expect("whoever takes lines out of the inbox settles their seats");
        written.map_err(AuditError::Write)
    }

    /// Writes all that waits and wakes the flusher if it has something to do then.
    ///
    /// # Errors
    /// What the system says. The seated lines are undone, the others wait again.
    pub(crate) fn write_out(&self, mut journal: MutexGuard<'_, Journal>) -> io::Result<()> {
        let taken = {
            let mut inbox = self.inbox.lock();
            if inbox.is_empty() {
                return Ok(());
            }
            inbox.take()
        };
        let written = journal.write(&taken);
        let mut inbox = self.inbox.lock();
        match &written {
            Ok(()) => inbox.written(taken.lines),
            Err(_) => inbox.refused(&taken.lines, taken.untold_drops),
        }
        let must_wake = inbox.take_waking_after_write();
        drop(inbox);
        taken.verdict.settle(&written);
        drop(journal);
        if must_wake {
            self.woken.notify_one();
        }
        written
    }

    /// Puts down a line that nobody waits for, or counts it as dropped.
    fn put_if_room(&self, phase: Phase, body: &[u8]) -> Stage {
        let mut inbox = self.inbox.lock();
        let mut put = inbox.put(phase, body);
        if matches!(put, Err(Full)) && !inbox.is_refused() {
            drop(inbox);
            // It is full only because its lines are being written, or about to be.
            drop(self.journal.lock());
            inbox = self.inbox.lock();
            put = inbox.put(phase, body);
        }
        if let Err(Full) = put {
            inbox.note_drop();
            count(&self.counters.drops);
        }
        let stage = inbox.stage;
        self.unlock(inbox);
        stage
    }

    /// Locks the inbox, unless the trail is closed.
    fn open_inbox(&self) -> Result<MutexGuard<'_, Inbox>, AuditError> {
        let inbox = self.inbox.lock();
        if inbox.stage == Stage::Closed { Err(AuditError::Closed) } else { Ok(inbox) }
    }

    /// Releases the inbox and wakes the flusher if it has something to do.
    fn unlock(&self, mut inbox: MutexGuard<'_, Inbox>) {
        let must_wake = inbox.take_waking();
        drop(inbox);
        if must_wake {
            self.woken.notify_one();
        }
    }

    fn flush(&self) -> Result<(), AuditError> {
        if self.write_and_sync()? == Confirmed::Again {
            self.note_sync_recovered();
            // That line, too. Should it fail and recover in between, the one line says it.
            let _confirmed = self.write_and_sync()?;
        }
        Ok(())
    }

    fn write_and_sync(&self) -> Result<Confirmed, AuditError> {
        self.write_out(self.journal.lock()).map_err(AuditError::Write)?;
        self.syncer.sync().map_err(|SyncFailed| {
            self.syncer.request(); // its thread tries again until the disk confirms
            AuditError::Sync
        })
    }
}

// === impl Owner ===

impl Owner {
    fn spawn(&self, name: &str, life: impl FnOnce(&Shared) + Send + 'static) -> Result<(), AuditError> {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || life(&shared));
        self.threads.lock().push(thread.map_err(AuditError::Thread)?);
        Ok(())
    }

    fn close(&self) -> Result<(), AuditError> {
        self.shared.inbox.lock().stage = Stage::Closed;
        self.shared.woken.notify_all();
        self.shared.syncer.close();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("an audit thread panicked");
            }
        }
        self.shared.flush()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "audit trail was not closed cleanly");
        }
    }
}

fn random_run() -> [u8; CallId::RUN_BYTES] {
    let mut run = [0; CallId::RUN_BYTES];
    getrandom::fill(&mut run).expect("the system gives random bytes to a running process");
    run
}
