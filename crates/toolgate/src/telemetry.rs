//! Logs of the program itself, and the counters of the parts that keep plain atomics.

use std::{
    io::{self, IsTerminal},
    sync::atomic::Ordering,
};

use audit::Trail;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use tracing_subscriber::EnvFilter;
use upstream::{CounterValues, Upstreams};

/// The variable that sets what is logged, in the syntax of `tracing`: `info`, `upstream=debug`.
pub const LOG_VARIABLE: &str = "TOOLGATE_LOG";

/// Starts logging to stderr. stdout belongs to the protocol.
pub fn start_logging() {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
}

/// Enters the counters of the audit trail and of the upstreams into `registry`.
pub fn register(registry: &mut Registry, trail: &Trail, upstreams: &Upstreams) {
    registry.register_collector(Box::new(Parts { trail: trail.clone(), upstreams: upstreams.clone() }));
}

#[derive(Debug)]
struct Parts {
    trail: Trail,
    upstreams: Upstreams,
}

impl Collector for Parts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let audit = self.trail.counters();
        let audit = [
            ("toolgate_audit_lines", "Audit lines written", audit.lines.load(Ordering::Relaxed)),
            ("toolgate_audit_bytes", "Audit bytes written", audit.bytes.load(Ordering::Relaxed)),
            ("toolgate_audit_failures", "Audit writes that failed", audit.failures.load(Ordering::Relaxed)),
            (
                "toolgate_audit_drops",
                "Audit lines dropped by best_effort",
                audit.drops.load(Ordering::Relaxed),
            ),
        ];
        for (name, help, value) in audit {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        self.encode_upstreams(&mut encoder)
    }
}

impl Parts {
    fn encode_upstreams(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let states = self.upstreams.states();
        let gauge = ConstGauge::new(0_i64);
        let mut family = encoder.encode_descriptor(
            "toolgate_upstream_in_flight",
            "Calls in flight",
            None,
            gauge.metric_type(),
        )?;
        for state in &states {
            let labels = [("server", state.server.as_str())];
            ConstGauge::new(i64::try_from(state.in_flight).unwrap_or(i64::MAX))
                .encode(family.encode_family(&labels)?)?;
        }
        for (name, help, value) in UPSTREAM_COUNTERS {
            let mut family =
                encoder.encode_descriptor(name, help, None, ConstCounter::new(0_u64).metric_type())?;
            for state in &states {
                let labels = [("server", state.server.as_str())];
                ConstCounter::new(value(&state.counters)).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

type UpstreamCounter = (&'static str, &'static str, fn(&CounterValues) -> u64);

/// What is counted of each upstream.
const UPSTREAM_COUNTERS: [UpstreamCounter; 10] = [
    ("toolgate_upstream_calls", "Calls that were admitted", |counters| counters.calls),
    ("toolgate_upstream_busy", "Calls refused because too many were in flight", |counters| counters.busy),
    ("toolgate_upstream_lost", "Calls that may have been sent and got no answer", |counters| counters.lost),
    ("toolgate_upstream_cancelled", "Calls whose caller no longer waited", |counters| counters.cancelled),
    ("toolgate_upstream_garbage", "Lines or events that were no message", |counters| counters.garbage),
    ("toolgate_upstream_stray_answers", "Late, repeated and unknown answers", |counters| {
        counters.stray_answers
    }),
    ("toolgate_upstream_dropped_notifications", "Notifications without a receiver or room", |counters| {
        counters.dropped_notifications
    }),
    ("toolgate_upstream_refused_requests", "Requests of the server answered with an error", |counters| {
        counters.refused_requests
    }),
    ("toolgate_upstream_restarts", "Starts after a failure", |counters| counters.restarts),
    ("toolgate_upstream_listings", "Times it was asked for everything it offers", |counters| {
        counters.listings
    }),
];
