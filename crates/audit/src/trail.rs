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
    counters::count,
    flusher,
    group::{self, Seat},
    journal::{Journal, QueueFull, Stage},
    line::{self, Phase},
    medium::Medium,
    place,
    syncer::{SyncFailed, Syncer},
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
    pub(crate) journal: Mutex<Journal>,
    /// Wakes the flusher.
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
        self.shared().put(Phase::Event, &body)
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
        owner.spawn("audit-sync", |shared| shared.syncer.run())?;
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
    /// Records a line as surely as the mode promises, except for the disk.
    pub(crate) fn put(&self, phase: Phase, body: &[u8]) -> Result<(), AuditError> {
        let put = match self.mode {
            Mode::BestEffort => self.put_if_room(phase, body),
            Mode::Written | Mode::Durable => self.put_written(phase, body),
        };
        if put.is_err() {
            count(&self.counters.failures);
        }
        put
    }

    /// Records a line soon: with the next write, or within 5 ms. When there is no room it is lost and counted.
    pub(crate) fn put_soon(&self, phase: Phase, body: &[u8]) {
        let mut journal = self.journal.lock();
        let queued = journal.queue(phase, body);
        let is_closed = journal.stage == Stage::Closed;
        // Nobody would write it later. A failure was logged by the journal.
        let _written = if is_closed { journal.write_waiting() } else { Ok(()) };
        self.unlock(journal);
        if let Err(QueueFull) = queued {
            tracing::debug!("audit line dropped: the queue is full");
        }
    }

    pub(crate) fn next_call(&self) -> CallId {
        CallId::new(self.run, self.calls.fetch_add(1, Relaxed) + 1)
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

    /// Records a begin line as surely as the mode promises, except for the disk. Calls that are not alone share a write.
    ///
    /// Cancel safe only through [`Shared::abandon`]: a line put down may still be written.
    pub(crate) async fn put_begin(&self, body: &[u8]) -> Result<(), AuditError> {
        let is_alone = self.counters.open_calls.load(Relaxed) < SHARING_CALLS;
        if is_alone || self.mode == Mode::BestEffort {
            return self.put(Phase::Begin, body);
        }
        let written = match self.join(body) {
            Ok(seat) => {
                group::let_others_run().await;
                seat.verdict().unwrap_or_else(|| self.write_for_all(&seat)).map_err(AuditError::Write)
            }
            Err(refused) => Err(refused),
        };
        written.inspect_err(|_| count(&self.counters.failures))
    }

    /// Writes the group that a dropped call's begin line may be in, so that its end line comes after it.
    pub(crate) fn abandon(&self) {
        let mut journal = self.journal.lock();
        journal.write_group();
        self.unlock(journal);
    }

    fn join(&self, body: &[u8]) -> Result<Seat, AuditError> {
        let mut journal = self.journal_for_writing()?;
        Ok(journal.join(body))
    }

    fn write_for_all(&self, seat: &Seat) -> io::Result<()> {
        let mut journal = self.journal.lock();
        if seat.verdict().is_none() {
            journal.write_group();
        }
        self.unlock(journal);
        seat.verdict().expect("a group that was written is settled")
    }

    fn put_if_room(&self, phase: Phase, body: &[u8]) -> Result<(), AuditError> {
        let mut journal = self.journal.lock();
        if journal.stage == Stage::Closed {
            return Err(AuditError::Closed);
        }
        // A drop is counted by the journal, and this mode refuses nobody for it.
        let _dropped = journal.queue(phase, body);
        self.unlock(journal);
        Ok(())
    }

    fn put_written(&self, phase: Phase, body: &[u8]) -> Result<(), AuditError> {
        let mut journal = self.journal_for_writing()?;
        let written = journal.write(phase, body);
        self.unlock(journal);
        written.map_err(AuditError::Write)
    }

    /// Locks the journal, unless nothing may be written any more.
    fn journal_for_writing(&self) -> Result<MutexGuard<'_, Journal>, AuditError> {
        if self.is_lost.load(Relaxed) {
            return Err(AuditError::Deleted { path: self.place.file().to_owned() });
        }
        if self.syncer.is_broken() {
            return Err(AuditError::Sync);
        }
        let journal = self.journal.lock();
        if journal.stage == Stage::Closed { Err(AuditError::Closed) } else { Ok(journal) }
    }

    /// Releases the journal and wakes the flusher if it has something to do.
    fn unlock(&self, mut journal: MutexGuard<'_, Journal>) {
        let must_wake = journal.take_waking();
        drop(journal);
        if must_wake {
            self.woken.notify_one();
        }
    }

    fn flush(&self) -> Result<(), AuditError> {
        self.journal.lock().write_waiting().map_err(AuditError::Write)?;
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
        self.shared.journal.lock().stage = Stage::Closed;
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
