//! What a measurement says: one line of JSON for programs, a small table for people.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::{histogram::Histogram, processes::Memory};

/// The outcome of one measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The endpoint.
    pub url: String,
    /// The era of the requests.
    pub era: String,
    /// The tool.
    pub tool: String,
    /// Connections.
    pub connections: u16,
    /// Seconds between the first and the last reading.
    pub seconds: f64,
    /// Right answers in that time.
    pub calls: u64,
    /// Faults since the start, warm-up included.
    pub errors: u64,
    /// The first fault, in words.
    pub first_fault: Option<String>,
    /// Right answers a second.
    pub rps: f64,
    /// Latency of the right answers.
    pub latency: Latency,
    /// The processes asked for, in the order asked.
    pub processes: Vec<Process>,
    /// The generator's own CPU in microseconds a call.
    pub generator_cpu_us_per_call: f64,
    /// What others used of the whole machine, between 0 and 1: above a few hundredths the figures are noisy.
    pub foreign_cpu: f64,
}

/// Latency in microseconds.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Latency {
    /// Mean.
    pub mean_us: f64,
    /// Median.
    pub p50_us: f64,
    /// 90 of 100 are below.
    pub p90_us: f64,
    /// 99 of 100 are below.
    pub p99_us: f64,
    /// The longest.
    pub max_us: f64,
}

/// What one process used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its command name.
    pub name: String,
    /// User and system time in microseconds a call.
    pub cpu_us_per_call: f64,
    /// Cores used.
    pub cores: f64,
    /// Memory at the end.
    #[serde(flatten)]
    pub memory: Memory,
}

impl From<&Histogram> for Latency {
    fn from(histogram: &Histogram) -> Self {
        let us = |duration: std::time::Duration| (duration.as_secs_f64() * 1e7).round() / 10.0;
        Self {
            mean_us: us(histogram.mean()),
            p50_us: us(histogram.quantile(500)),
            p90_us: us(histogram.quantile(900)),
            p99_us: us(histogram.quantile(990)),
            max_us: us(histogram.max()),
        }
    }
}

impl Report {
    /// Writes the report for people.
    pub fn table(&self) -> String {
        let mut table = String::new();
        let mut row = |name: &str, value: String| {
            writeln!(table, "{name:<26}{value}").expect("a String takes every write");
        };
        row("endpoint", format!("{} ({}, {} connections)", self.url, self.era, self.connections));
        row("calls", format!("{} in {:.2} s, {} errors", self.calls, self.seconds, self.errors));
        if let Some(fault) = &self.first_fault {
            row("first fault", fault.clone());
        }
        row("rate", format!("{:.0} /s", self.rps));
        let Latency { mean_us, p50_us, p90_us, p99_us, max_us } = self.latency;
        row("latency us", format!("mean {mean_us} p50 {p50_us} p90 {p90_us} p99 {p99_us} max {max_us}"));
        for process in &self.processes {
            let Process { cpu_us_per_call, cores, memory, .. } = process;
            let value = format!(
                "{cpu_us_per_call:.2} us/call, {cores:.2} cores, {} KiB (peak {})",
                memory.rss_kib, memory.peak_rss_kib
            );
            row(&format!("{} ({})", process.name, process.pid), value);
        }
        row("generator", format!("{:.2} us/call", self.generator_cpu_us_per_call));
        row("others on this machine", format!("{:.1} %", self.foreign_cpu * 100.0));
        table
    }
}
