//! A log-linear histogram of durations: fixed memory, an error below 0.8 %, no allocation after building.

use std::time::Duration;

/// Linear steps in each power of two; 128 give an error of at most 1/128.
const STEP_BITS: u32 = 7;
const STEPS: usize = 1 << STEP_BITS;
/// Buckets for every value of 64 bits.
const BUCKETS: usize = (64 - STEP_BITS as usize + 1) * STEPS;

/// Counts durations in nanoseconds.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum_ns: u128,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, sum_ns: 0, max_ns: 0 }
    }
}

impl Histogram {
    /// Counts one duration; longer ones than 584 years count as that.
    pub fn record(&mut self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(ns)] += 1;
        self.total += 1;
        self.sum_ns += u128::from(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    /// Adds the counts of another histogram.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.sum_ns += other.sum_ns;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// Returns how many durations were counted.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// Returns the longest duration, exactly.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max_ns)
    }

    /// Returns the mean, exactly; zero when nothing was counted.
    pub fn mean(&self) -> Duration {
        let mean = self.sum_ns.checked_div(u128::from(self.total)).unwrap_or(0);
        Duration::from_nanos(u64::try_from(mean).expect("a mean of 64-bit values has 64 bits"))
    }

    /// Returns the duration below which `per_mille` thousandths lie, to the upper end of its bucket.
    pub fn quantile(&self, per_mille: u64) -> Duration {
        let rank = (self.total * per_mille).div_ceil(1_000).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(upper_end(index).min(self.max_ns));
            }
        }
        self.max()
    }
}

/// Values below [`STEPS`] have a bucket each; above, the leading bits choose.
fn bucket(ns: u64) -> usize {
    let bits = 64 - ns.leading_zeros();
    let shift = bits.saturating_sub(STEP_BITS + 1);
    let step = usize::try_from(ns >> shift).expect("eight bits");
    shift as usize * STEPS + step
}

fn upper_end(bucket: usize) -> u64 {
    let shift = (bucket / STEPS).saturating_sub(1);
    let step = (bucket - shift * STEPS) as u64;
    (step << shift) + ((1_u64 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BUCKETS, Histogram, bucket, upper_end};

    #[test]
    fn buckets_ascend_without_gaps_and_hold_their_values() {
        let mut last = 0;
        for ns in (0..100_000).chain((17..64).map(|bit| 1_u64 << bit)).chain([u64::MAX]) {
            let index = bucket(ns);
            assert!(index >= last && index < BUCKETS, "{ns}");
            assert!(upper_end(index) >= ns, "{ns}");
            assert!(upper_end(index) - ns <= ns / 64, "{ns}");
            last = index;
        }
    }

    #[test]
    fn quantiles_are_close() {
        let mut histogram = Histogram::default();
        for us in 1..=10_000 {
            histogram.record(Duration::from_micros(us));
        }
        let p50 = histogram.quantile(500).as_micros();
        let p99 = histogram.quantile(990).as_micros();
        assert!((5_000..=5_040).contains(&p50), "{p50}");
        assert!((9_900..=9_980).contains(&p99), "{p99}");
        assert_eq!(histogram.max(), Duration::from_millis(10));
        assert_eq!(histogram.quantile(1_000), Duration::from_millis(10));
    }

    #[test]
    fn added_histograms_count_together() {
        let (mut one, mut two) = (Histogram::default(), Histogram::default());
        one.record(Duration::from_micros(10));
        two.record(Duration::from_micros(30));
        one.add(&two);
        assert_eq!((one.count(), one.mean()), (2, Duration::from_micros(20)));
    }
}
