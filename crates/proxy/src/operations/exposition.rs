//! The counters as Prometheus reads them. Made when asked for, out of the same histograms that percentiles come from,
//! so that a call is recorded once.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet},
    metrics::MetricType,
};

use super::{
    Operation,
    agents::{AgentReading, Agents, Reading},
    latencies::Spread,
};

/// Borders of the buckets shown, in microseconds: powers of four, from a hop within the machine to the longest call.
/// Each begins a bucket of the finer histogram, so that none has to be divided.
const BORDERS_MICROS: [u64; 12] = [
    1 << 6,
    1 << 8,
    1 << 10,
    1 << 12,
    1 << 14,
    1 << 16,
    1 << 18,
    1 << 20,
    1 << 22,
    1 << 24,
    1 << 26,
    1 << 28,
];

/// What enters the counters into a registry.
#[derive(Debug)]
pub(super) struct Exposition(pub(super) Arc<Agents>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    agent: String,
    operation: &'static str,
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let readings = self.0.readings();
        let pairs = || {
            readings.iter().flat_map(|AgentReading { agent, operations }| {
                operations.iter().map(move |(operation, reading)| (labels(agent, *operation), reading))
            })
        };
        seconds(&mut encoder, pairs())?;
        errors(&mut encoder, pairs())
    }
}

fn seconds<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    pairs: impl Iterator<Item = (Labels, &'a Reading)>,
) -> fmt::Result {
    let help = "Time that operations took, by agent and operation";
    let mut metric =
        encoder.encode_descriptor("toolgate_operation_seconds", help, None, MetricType::Histogram)?;
    for (labels, Reading { spread, .. }) in pairs {
        let (sum, count) = (spread.total_seconds(), spread.count());
        metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets(spread), None)?;
    }
    Ok(())
}

fn errors<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    pairs: impl Iterator<Item = (Labels, &'a Reading)>,
) -> fmt::Result {
    let help = "Operations that did not end with what was asked for, by agent and operation";
    let mut metric =
        encoder.encode_descriptor("toolgate_operation_errors", help, None, MetricType::Counter)?;
    for (labels, reading) in pairs {
        metric.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&reading.errors, None)?;
    }
    Ok(())
}

fn labels(agent: &str, operation: Operation) -> Labels {
    Labels { agent: agent.to_owned(), operation: operation.as_str() }
}

/// Returns the buckets: where each ends, in seconds, and how many operations it holds; the encoder adds them up.
fn buckets(spread: &Spread) -> Vec<(f64, u64)> {
    let mut before = 0;
    let mut buckets: Vec<(f64, u64)> = BORDERS_MICROS
        .into_iter()
        .map(|micros| {
            let below = spread.below(micros);
            let here = below - before;
            before = below;
            (micros as f64 / 1e6, here)
        })
        .collect();
    buckets.push((f64::INFINITY, spread.count() - before));
    buckets
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;
    use crate::operations::{Ending, Operations};

    #[test]
    fn prometheus_sees_counts_errors_and_seconds_per_agent_and_operation() {
        let mut registry = Registry::default();
        let operations = Operations::register(&mut registry);
        let record = |agent, millis, ending| {
            operations.record(agent, Operation::CallTool, Duration::from_millis(millis), ending);
        };
        record("ci", 1, Ending::Answered);
        record("ci", 5, Ending::Failed);
        record("ci", 2_000_000, Ending::Answered);
        record("a\"}\n", 1, Ending::Answered);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let series = |name: &str, le: &str| {
            let start = format!("{name}{{{le}agent=\"ci\",operation=\"tools/call\"}} ");
            let line = text.lines().find(|line| line.starts_with(&start));
            line.unwrap_or_else(|| panic!("{start}: {text}"))[start.len()..].to_owned()
        };
        assert_eq!(series("toolgate_operation_seconds_count", ""), "3");
        assert_eq!(series("toolgate_operation_seconds_sum", ""), "2000.006");
        assert_eq!(series("toolgate_operation_errors_total", ""), "1");
        let bucket = |le: &str| series("toolgate_operation_seconds_bucket", &format!("le=\"{le}\","));
        let borders = ["0.000256", "0.001024", "0.016384", "268.435456", "+Inf"];
        assert_eq!(borders.map(bucket), ["0", "1", "2", "2", "3"]);
        assert!(text.contains(r#"agent="a\\\"}\\n""#), "{text}");
        assert_eq!(text.lines().filter(|line| line.contains("_bucket{")).count(), 2 * 13);
    }
}
