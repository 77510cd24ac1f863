//! A call in flight: begun on record, and owing the trail an end. What else the call carries is `proxy`'s.

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::{
    AuditError, Begin, End, Outcome, Trail,
    chain::push_decimal,
    counters::{count, uncount},
    line::{self, Phase},
    seat::Seat,
};

/// Joins the begin line and the end line of a call; unique among all files of all gateways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId {
    run: [u8; Self::RUN_BYTES],
    number: u64,
}

/// A call whose begin line is on record. Finish it; a dropped one ends as `cancelled`, or as `unknown` once it was
/// sent.
#[derive(Debug)]
#[must_use = "dropping it puts the call on record as cancelled"]
pub struct OpenCall {
    trail: Trail,
    id: CallId,
    started: Instant,
    /// The fields that both lines share.
    fields: Vec<u8>,
    /// What the end line says if nobody finishes the call. None: it is finished.
    unfinished: Option<Outcome>,
}

// === impl CallId ===

impl CallId {
    /// 48 random bits tell one opening of a trail from another.
    pub(crate) const RUN_BYTES: usize = 6;

    pub(crate) const fn new(run: [u8; Self::RUN_BYTES], number: u64) -> Self {
        Self { run, number }
    }

    pub(crate) fn push(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&crate::chain::hex(&self.run)[..2 * Self::RUN_BYTES]);
        out.push(b'-');
        push_decimal(out, self.number);
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.run {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "-{}", self.number)
    }
}

// === impl OpenCall ===

impl OpenCall {
    /// Room for both lines of a common call without growing.
    const FIELDS_BYTES: usize = 768;

    pub(crate) async fn begin(trail: &Trail, begin: &Begin<'_>) -> Result<Self, AuditError> {
        let started = Instant::now();
        let shared = trail.shared();
        let id = shared.next_call();
        let mut fields = Vec::with_capacity(Self::FIELDS_BYTES);
        line::push_call(&mut fields, id, begin);
        let common = fields.len();
        line::push_begin(&mut fields, begin, shared.arguments());
        count(&shared.counters().open_calls);
        match shared.seat(Phase::Begin, &fields) {
            Ok(seat) => Beginning { trail, id, started, fields, common, seat }.finish().await,
            Err(refused) => Err(shared.count_refused(refused)),
        }
    }

    /// Returns the id that joins the call's two lines.
    pub const fn id(&self) -> CallId {
        self.id
    }

    /// Returns the time since the call began.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Notes that the call is on its way to its server: dropped from now on, it ends as `unknown`.
    pub fn mark_sent(&mut self) {
        self.unfinished = Some(Outcome::Unknown);
    }

    /// Puts the end on record: with the kernel within 5 ms. It cannot fail; a line lost to a full disk is counted,
    /// and the trail says how many were lost as soon as it can.
    pub fn finish(mut self, end: End<'_>) {
        self.unfinished = None;
        self.put_end(&end);
    }

    /// Ends a call that the trail itself refused after its begin line was written.
    pub(crate) fn refuse(self) {
        self.finish(End { code: Some("AUDIT_UNAVAILABLE"), ..End::of(Outcome::Error) });
    }

    fn put_end(&mut self, end: &End<'_>) {
        line::push_end(&mut self.fields, end, self.started.elapsed());
        let shared = self.trail.shared();
        shared.put_soon(Phase::End, &self.fields);
        uncount(&shared.counters().open_calls);
    }
}

// === impl Beginning ===

/// A call whose begin line is being written.
struct Beginning<'a> {
    trail: &'a Trail,
    id: CallId,
    started: Instant,
    fields: Vec<u8>,
    /// So many bytes of the fields stand on both lines.
    common: usize,
    /// The begin line's, until it is known what became of that. None: nobody waits for it.
    seat: Option<Seat>,
}

impl Beginning<'_> {
    async fn finish(mut self) -> Result<OpenCall, AuditError> {
        let shared = self.trail.shared();
        if let Some(seat) = &self.seat {
            let written = shared.written(seat).await;
            self.seat = None;
            written.map_err(|refused| shared.count_refused(refused))?;
        }
        Ok(self.open())
    }

    fn open(&mut self) -> OpenCall {
        let mut fields = std::mem::take(&mut self.fields);
        fields.truncate(self.common);
        fields.shrink_to(OpenCall::FIELDS_BYTES);
        let unfinished = Some(Outcome::Cancelled);
        OpenCall { trail: self.trail.clone(), id: self.id, started: self.started, fields, unfinished }
    }
}

impl Drop for Beginning<'_> {
    /// Dropped while its line waits for a write, the line is written and the call ends as cancelled.
    fn drop(&mut self) {
        let Some(seat) = self.seat.take() else { return };
        let shared = self.trail.shared();
        match shared.write_for_all(&seat) {
            Ok(()) => drop(self.open()),
            Err(refused) => drop(shared.count_refused(refused)),
        }
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        if let Some(outcome) = self.unfinished.take() {
            self.put_end(&End::of(outcome));
        }
    }
}
