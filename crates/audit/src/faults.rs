//! Tests of the trail on a disk that fills up, fails to sync, or is changed by somebody else. The disk is memory
//! behind [`Medium`]; everything else is real, threads included.

use std::{
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use domain::{AgentId, AgentSource, Principal, ServerScope};
use parking_lot::{Condvar, Mutex};

use crate::{
    AuditError, Begin, Detail, End, Era, Event, Link, Mode, Outcome, Place, Report, Settings, Trail,
    Transport, medium::Medium, verify,
};

#[derive(Debug)]
struct Disk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    bytes: Vec<u8>,
    capacity: usize,
    synced: usize,
    sync_fails: bool,
    truncate_fails: bool,
}

impl Disk {
    fn new(capacity: usize) -> Arc<Self> {
        let state =
            State { bytes: Vec::new(), capacity, synced: 0, sync_fails: false, truncate_fails: false };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() })
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
    }

    /// Waits, bounded, until the disk's state is as wanted.
    fn until(&self, wanted: impl Fn(&State) -> bool) {
        const PATIENCE: Duration = Duration::from_secs(20);
        let mut state = self.state.lock();
        while !wanted(&state) {
            assert!(!self.changed.wait_for(&mut state, PATIENCE).timed_out(), "the disk never got there");
        }
    }

    fn verified(&self) -> Report {
        verify(&self.state.lock().bytes[..]).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8(self.state.lock().bytes.clone()).unwrap()
    }
}

impl Medium for Disk {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state.lock();
        let taken = bytes.len().min(state.capacity.saturating_sub(state.bytes.len()));
        if taken == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.bytes.extend_from_slice(&bytes[..taken]);
        self.changed.notify_all();
        Ok(taken)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.truncate_fails {
            return Err(io::Error::other("no"));
        }
        state.bytes.truncate(usize::try_from(length).unwrap());
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.sync_fails {
            return Err(io::Error::other("no"));
        }
        state.synced = state.bytes.len();
        self.changed.notify_all();
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.state.lock().bytes.len() as u64)
    }
}

fn trail(disk: &Arc<Disk>, mode: Mode) -> Trail {
    let settings = Settings::at("in memory").with_mode(mode);
    let place = Place::Configured("in memory".into());
    Trail::start(&settings, place, Arc::clone(disk) as Arc<dyn Medium>, Link::GENESIS, 0).unwrap()
}

fn principal() -> Principal {
    Principal {
        agent: AgentId::new("tester").unwrap(),
        agent_source: AgentSource::Launch,
        user: None,
        roles: Vec::new(),
        token: None,
        servers: ServerScope::All,
    }
}

fn begin(principal: &Principal) -> Begin<'_> {
    Begin {
        principal,
        method: "tools/call",
        operation: None,
        server: Some("notes"),
        target: Some("read"),
        transport: Transport::Stdio,
        era: Era::Legacy,
        session: None,
        revision: "1",
        guardrails: "none",
        arguments: None,
    }
}

#[tokio::test]
async fn r28_full_disk_refuses_calls_and_recovers_without_a_gap() {
    for mode in [Mode::Written, Mode::Durable] {
        let (disk, who) = (Disk::new(2_000), principal());
        let trail = trail(&disk, mode);
        let mut recorded = 0;
        let refusal = loop {
            match trail.begin(begin(&who)).await {
                Ok(call) => call.finish(End::of(Outcome::Ok)),
                Err(refusal) => break refusal,
            }
            recorded += 1;
        };
        assert!(matches!(refusal, AuditError::Write(_)), "{refusal}");
        assert!(disk.text().ends_with('\n'), "a refused line leaves nothing behind");
        assert!(trail.begin(begin(&who)).await.is_err());

        disk.set(|state| state.capacity = usize::MAX);
        trail.begin(begin(&who)).await.unwrap().finish(End::of(Outcome::Ok));
        trail.close().unwrap();
        let report = disk.verified();
        assert_eq!((report.calls, report.open_calls), (recorded + 1, Some(0)), "ends waited for space");
        assert_eq!(report.head.seq, report.lines);
        assert_eq!(trail.counters().failures.load(Relaxed), 2);
    }
}

#[tokio::test]
async fn a_torn_write_that_cannot_be_undone_at_once_is_undone_before_the_next_line() {
    let (disk, who) = (Disk::new(700), principal());
    let trail = trail(&disk, Mode::Written);
    trail.begin(begin(&who)).await.unwrap().finish(End::of(Outcome::Ok));
    disk.set(|state| state.truncate_fails = true);
    assert!(trail.begin(begin(&who)).await.is_err());
    assert!(!disk.text().ends_with('\n'));
    disk.set(|state| (state.capacity, state.truncate_fails) = (usize::MAX, false));
    trail.begin(begin(&who)).await.unwrap().finish(End::of(Outcome::Ok));
    trail.close().unwrap();
    assert_eq!((disk.verified().calls, disk.verified().torn_bytes), (2, 0));
}

#[tokio::test]
async fn durable_returns_after_the_sync_and_refuses_without_it() {
    let (disk, who) = (Disk::new(usize::MAX), principal());
    let trail = trail(&disk, Mode::Durable);
    let call = trail.begin(begin(&who)).await.unwrap();
    disk.set(|state| assert_eq!(state.synced, state.bytes.len()));
    call.finish(End::of(Outcome::Ok));

    disk.set(|state| state.sync_fails = true);
    let refusal = trail.begin(begin(&who)).await.unwrap_err();
    assert!(matches!(refusal, AuditError::Sync), "{refusal}");
    assert!(matches!(trail.begin(begin(&who)).await, Err(AuditError::Sync)), "at once, without a line");

    disk.set(|state| state.sync_fails = false);
    disk.until(|state| state.synced == state.bytes.len());
    while trail.begin(begin(&who)).await.is_err() {
        tokio::task::yield_now().await; // the disk is sound; the flag follows it at once
    }
    trail.close().unwrap();
    assert!(disk.text().contains(r#""outcome":"error","#) && disk.text().contains("AUDIT_UNAVAILABLE"));
    assert!(disk.text().contains(r#""event":"sync_recovered","#), "lines may be missing after a power loss");
    assert_eq!(disk.verified().open_calls, Some(0));
}

#[tokio::test]
async fn a_disk_that_confirms_again_only_at_the_end_is_on_record() {
    let (disk, who) = (Disk::new(usize::MAX), principal());
    let trail = trail(&disk, Mode::Durable);
    disk.set(|state| state.sync_fails = true);
    assert!(trail.begin(begin(&who)).await.is_err());
    disk.set(|state| state.sync_fails = false);
    trail.close().unwrap();
    assert!(disk.text().contains(r#""event":"sync_recovered","#));
    disk.set(|state| assert_eq!(state.synced, state.bytes.len()));
}

#[tokio::test]
async fn best_effort_counts_its_drops_exactly_and_tells_them() {
    let (disk, who) = (Disk::new(0), principal());
    let trail = trail(&disk, Mode::BestEffort);
    const CALLS: u64 = 3_000;
    for _ in 0..CALLS {
        trail.begin(begin(&who)).await.unwrap().finish(End::of(Outcome::Ok));
    }
    let drops = trail.counters().drops.load(Relaxed);
    assert!(drops > 0);
    disk.set(|state| state.capacity = usize::MAX);
    disk.until(|state| !state.bytes.is_empty());
    trail.event(Event { name: "after", details: &[] }).unwrap();
    trail.close().unwrap();
    let (report, text) = (disk.verified(), disk.text());
    // More than one, because a short line may still find room where a long one did not.
    let told: Vec<u64> = text
        .split(r#""event":"dropped","details":{"lines":"#)
        .skip(1)
        .map(|rest| rest[..rest.find('}').unwrap()].parse().unwrap())
        .collect();
    assert_eq!(told.iter().sum::<u64>(), drops);
    assert_eq!(report.lines, 2 * CALLS - drops + told.len() as u64 + 1);
}

#[tokio::test]
async fn an_end_line_reaches_kernel_and_disk_by_itself() {
    let (disk, who) = (Disk::new(usize::MAX), principal());
    let trail = trail(&disk, Mode::Written);
    trail.begin(begin(&who)).await.unwrap().finish(End::of(Outcome::Ok));
    disk.until(|state| {
        state.synced == state.bytes.len() && state.bytes.iter().filter(|byte| **byte == b'\n').count() == 2
    });
    assert_eq!(disk.verified().open_calls, Some(0));
}

#[tokio::test]
async fn a_file_cut_by_somebody_else_is_put_on_record() {
    let disk = Disk::new(usize::MAX);
    let trail = trail(&disk, Mode::Written);
    let details = [("n", Detail::Number(1))];
    trail.event(Event { name: "one", details: &details }).unwrap();
    disk.set(|state| state.bytes.clear());
    trail.event(Event { name: "two", details: &details }).unwrap();
    disk.until(|state| String::from_utf8_lossy(&state.bytes).contains("file_changed"));
    trail.close().unwrap();
    assert_eq!(verify(disk.text().as_bytes()).unwrap_err().line, 1);
}

#[tokio::test]
async fn after_close_calls_are_refused_and_open_ones_still_end() {
    let (disk, who) = (Disk::new(usize::MAX), principal());
    let trail = trail(&disk, Mode::Written);
    let open = trail.begin(begin(&who)).await.unwrap();
    trail.close().unwrap();
    assert!(matches!(trail.begin(begin(&who)).await, Err(AuditError::Closed)));
    open.finish(End::of(Outcome::Unknown));
    assert_eq!((disk.verified().lines, disk.verified().open_calls), (2, Some(0)));
}
