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
use upstream::Upstreams;

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
        Ok(())
    }
}
