//! What the data plane counts. Labels are closed sets, so the number of series is bounded.

use std::{sync::Arc, time::Duration};

use audit::Outcome;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// Bucket borders of call durations in seconds: from a hop within the machine to the longest call.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 600.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// The counters of the data plane.
#[derive(Debug, Clone)]
pub struct Metrics {
    calls: Arc<[Counter; Outcome::ALL.len()]>,
    seconds: Histogram,
    running: Gauge,
    refused: Family<ReasonLabel, Counter>,
    connections: Gauge,
}

/// The counters of one running call.
#[derive(Debug)]
pub(crate) struct CallMetrics {
    metrics: Metrics,
}

impl Metrics {
    /// Makes the counters and enters them into `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let family = Family::<OutcomeLabel, Counter>::default();
        let metrics = Self {
            calls: Arc::new(
                Outcome::ALL
                    .map(|outcome| family.get_or_create(&OutcomeLabel { outcome: outcome.as_str() }).clone()),
            ),
            seconds: Histogram::new(SECONDS),
            running: Gauge::default(),
            refused: Family::default(),
            connections: Gauge::default(),
        };
        registry.register("toolgate_calls", "Calls that ended, by outcome", family);
        registry.register(
            "toolgate_call_seconds",
            "Time from a call's arrival to its end",
            metrics.seconds.clone(),
        );
        registry.register("toolgate_calls_running", "Calls in progress", metrics.running.clone());
        registry.register(
            "toolgate_requests_refused",
            "Requests refused before they were calls",
            metrics.refused.clone(),
        );
        registry.register("toolgate_connections", "Open client connections", metrics.connections.clone());
        metrics
    }

    /// Counts a call that begins.
    pub(crate) fn call(&self) -> CallMetrics {
        self.running.inc();
        CallMetrics { metrics: self.clone() }
    }

    /// Counts a request that was refused before it was a call. `reason` is one of a closed set.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts an open connection until the returned guard is dropped.
    pub(crate) fn connection(&self) -> ConnectionGauge {
        self.connections.inc();
        ConnectionGauge(self.connections.clone())
    }
}

impl CallMetrics {
    /// Counts the end of the call.
    pub(crate) fn ended(&self, outcome: Outcome, took: Duration) {
        let at = Outcome::ALL.iter().position(|other| *other == outcome).expect("ALL holds every outcome");
        self.metrics.calls[at].inc();
        self.metrics.seconds.observe(took.as_secs_f64());
    }
}

impl Drop for CallMetrics {
    fn drop(&mut self) {
        self.metrics.running.dec();
    }
}

/// Counts one connection while it is held.
pub(crate) struct ConnectionGauge(Gauge);

impl Drop for ConnectionGauge {
    fn drop(&mut self) {
        self.0.dec();
    }
}
