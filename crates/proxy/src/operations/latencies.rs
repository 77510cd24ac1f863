//! A histogram of durations in constant memory: log-linear, so that every bucket is narrow for its own size.
//!
//! Below 16 us there is a bucket per microsecond; above, 16 equal buckets per doubling, up to 2^30 us (18 minutes, more
//! than the longest call); what takes longer goes into the last. A bucket is shown by its middle. So an order statistic
//! is at most half a bucket off: half a microsecond below 16 us, 1/32 (3.2 %) above. A percentile between two of them
//! is as close.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Buckets per doubling, as a power of two.
const STEPS_LOG2: u32 = 4;
const STEPS: usize = 1 << STEPS_LOG2;
/// The end of the last bucket in microseconds, as a power of two.
const END_LOG2: u32 = 30;
/// The linear part, and 16 buckets for each doubling from 2^4 to 2^30: 3.4 KiB.
const BUCKETS: usize = STEPS * (1 + (END_LOG2 - STEPS_LOG2) as usize);

/// How long operations of one kind took. Recorded by many threads at once.
#[derive(Debug)]
pub(super) struct Latencies {
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

/// What [`Latencies`] said at one moment. Several can be added up.
#[derive(Debug, Clone)]
pub(super) struct Spread {
    buckets: Box<[u64]>,
    count: u64,
    nanos: u64,
}

// === impl Latencies ===

impl Default for Latencies {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU64::new(0)), nanos: AtomicU64::new(0) }
    }
}

impl Latencies {
    pub(super) fn record(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(nanos / 1_000)].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Adds what was recorded so far to `spread`.
    pub(super) fn add_to(&self, spread: &mut Spread) {
        for (sum, bucket) in spread.buckets.iter_mut().zip(&self.buckets) {
            let count = bucket.load(Ordering::Relaxed);
            *sum += count;
            spread.count += count;
        }
        spread.nanos = spread.nanos.saturating_add(self.nanos.load(Ordering::Relaxed));
    }
}

/// Returns the bucket of a duration in microseconds.
fn bucket_of(micros: u64) -> usize {
    let micros = micros.min((1 << END_LOG2) - 1);
    let shift = micros.max(1).ilog2().saturating_sub(STEPS_LOG2);
    shift as usize * STEPS + (micros >> shift) as usize
}

/// Returns where bucket `index` begins, in microseconds; for the number of buckets, where the last ends.
const fn begin_of(index: usize) -> u64 {
    if index < 2 * STEPS {
        return index as u64;
    }
    let shift = index / STEPS - 1;
    ((STEPS + index % STEPS) as u64) << shift
}

// === impl Spread ===

impl Default for Spread {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS].into(), count: 0, nanos: 0 }
    }
}

impl Spread {
    /// Adds another spread to this one.
    pub(super) fn add(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(sum, more)| *sum += more);
        self.count += other.count;
        self.nanos = self.nanos.saturating_add(other.nanos);
    }

    /// Returns how many operations there were.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Returns how long all took together, in seconds.
    pub(super) fn total_seconds(&self) -> f64 {
        Duration::from_nanos(self.nanos).as_secs_f64()
    }

    /// Returns the mean in milliseconds, exactly; 0 without operations.
    pub(super) fn mean_ms(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.nanos as f64 / 1e6 / self.count as f64 }
    }

    /// Returns a percentile (0 to 100) in milliseconds: as agent-mcp-gateway, between the two order statistics around
    /// `(count - 1) * percent / 100`, in proportion. 0 without operations.
    pub(super) fn percentile_ms(&self, percent: f64) -> f64 {
        let Some(last) = self.count.checked_sub(1) else { return 0.0 };
        let place = last as f64 * percent / 100.0;
        let lower = self.order_statistic_ms(place.floor() as u64);
        let upper = self.order_statistic_ms(place.ceil() as u64);
        lower + (upper - lower) * place.fract()
    }

    /// Returns how many operations took less than `micros`, which must be the beginning of a bucket.
    pub(super) fn below(&self, micros: u64) -> u64 {
        self.buckets
            .iter()
            .enumerate()
            .take_while(|(index, _)| begin_of(*index) < micros)
            .map(|(_, n)| n)
            .sum()
    }

    /// Returns about how long the operation took that is number `rank` (from 0) in the order of duration.
    fn order_statistic_ms(&self, rank: u64) -> f64 {
        let mut before = 0;
        let reached = self.buckets.iter().position(|count| {
            before += count;
            before > rank
        });
        let index = reached.unwrap_or(BUCKETS - 1);
        (begin_of(index) + begin_of(index + 1)) as f64 / 2.0 / 1_000.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_follow_each_other_without_gap_and_are_narrow() {
        for index in 0..BUCKETS {
            let (begin, end) = (begin_of(index), begin_of(index + 1));
            assert!(
                begin < end && (end - begin == 1 || (end - begin) * 16 <= begin),
                "{index}: {begin} {end}"
            );
            assert_eq!((bucket_of(begin), bucket_of(end - 1)), (index, index));
        }
        assert_eq!(begin_of(BUCKETS), 1 << END_LOG2);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn nothing_recorded_is_zero() {
        let spread = Spread::default();
        assert_eq!((spread.count(), spread.mean_ms(), spread.percentile_ms(99.0)), (0, 0.0, 0.0));
    }

    fn spread_of(nanos: &[u64]) -> Spread {
        let (latencies, mut spread) = (Latencies::default(), Spread::default());
        nanos.iter().for_each(|nanos| latencies.record(Duration::from_nanos(*nanos)));
        latencies.add_to(&mut spread);
        spread
    }

    /// agent-mcp-gateway's percentile over all samples, in milliseconds.
    fn exact_ms(sorted: &[u64], percent: f64) -> f64 {
        let place = (sorted.len() - 1) as f64 * percent / 100.0;
        let (lower, upper) = (sorted[place.floor() as usize] as f64, sorted[place.ceil() as usize] as f64);
        (lower + (upper - lower) * place.fract()) / 1e6
    }

    proptest! {
        #[test]
        fn percentiles_are_close_to_the_exact_ones(
            // Magnitudes first, so that microseconds are as likely as minutes.
            samples in prop::collection::vec((0..39_u32).prop_flat_map(|bits| 0..(2_u64 << bits)), 1..300),
        ) {
            let spread = spread_of(&samples);
            let mut sorted = samples.clone();
            sorted.sort_unstable();
            for percent in [0.0, 50.0, 95.0, 99.0, 100.0] {
                let (exact, shown) = (exact_ms(&sorted, percent), spread.percentile_ms(percent));
                prop_assert!((exact - shown).abs() <= exact / 32.0 + 0.000_501, "{percent}: {exact} {shown}");
            }
            let mean = samples.iter().sum::<u64>() as f64 / 1e6 / samples.len() as f64;
            prop_assert!((spread.mean_ms() - mean).abs() <= mean * 1e-9);
            for border in [4, 16, 256, 1 << 20] {
                let exact = samples.iter().filter(|nanos| **nanos / 1_000 < border).count() as u64;
                prop_assert_eq!(spread.below(border), exact);
            }
        }
    }
}
