//! Medians over the rounds, and their ratios to the hops that set the floor.

use serde::Serialize;

use crate::{
    era::Era,
    load::Report,
    scenario::{
        RunArgs,
        bed::{Bed, Start},
        plan::{Hop, Scenario},
        rounds::Sample,
    },
};

/// Everything a run found out.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) cores: usize,
    pub(super) rounds: u32,
    pub(super) seconds: f64,
    pub(super) starts: Vec<StartRow>,
    pub(super) rows: Vec<Row>,
    pub(super) samples: Vec<Sample>,
}

/// What was seen of a hop before any load.
#[derive(Debug, Serialize)]
pub(super) struct StartRow {
    pub(super) era: Era,
    pub(super) hop: &'static str,
    #[serde(flatten)]
    pub(super) start: Start,
}

/// The medians of one hop in one scenario.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    pub(super) era: Era,
    pub(super) scenario: Scenario,
    pub(super) hop: &'static str,
    pub(super) rps: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// The hop's own CPU; the stub's, when there is no hop.
    pub(super) cpu_us: f64,
    /// Resident memory of the hop's processes, the most since they started.
    pub(super) peak_rss_kib: f64,
    /// Share of the machine that other processes used.
    pub(super) foreign_cpu: f64,
    pub(super) errors: u64,
    /// Latency over that of no hop.
    pub(super) added_p50_us: Option<f64>,
    pub(super) added_p99_us: Option<f64>,
    /// Against the first shape of the bare hop.
    pub(super) cpu_over_pass: Option<f64>,
    pub(super) rps_over_pass: Option<f64>,
    /// Against nginx.
    pub(super) cpu_over_nginx: Option<f64>,
    pub(super) rps_over_nginx: Option<f64>,
}

impl Summary {
    /// Summarises `samples`.
    pub(super) fn new(args: &RunArgs, beds: &[Bed], samples: Vec<Sample>) -> Self {
        let mut rows = Vec::new();
        for bed in beds {
            for scenario in &args.only {
                let hops: Vec<Hop> = bed.stations.iter().map(|station| station.hop).collect();
                rows.extend(rows_of(bed.era, *scenario, &hops, &samples));
            }
        }
        let starts = beds.iter().flat_map(|bed| {
            bed.stations.iter().map(|station| StartRow {
                era: bed.era,
                hop: station.hop.name(),
                start: station.start,
            })
        });
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            rounds: args.rounds,
            seconds: args.seconds,
            starts: starts.collect(),
            rows,
            samples,
        }
    }
}

/// The rows of one scenario, with the ratios among them.
fn rows_of(era: Era, scenario: Scenario, hops: &[Hop], samples: &[Sample]) -> Vec<Row> {
    let mut rows: Vec<Row> = hops.iter().map(|hop| medians(era, scenario, *hop, samples)).collect();
    let find = |rows: &[Row], wanted: &dyn Fn(Hop) -> bool| {
        hops.iter().position(|hop| wanted(*hop)).map(|index| rows[index].clone())
    };
    let direct = find(&rows, &|hop| hop == Hop::Direct);
    let pass = find(&rows, &|hop| matches!(hop, Hop::Pass(_)));
    let nginx = find(&rows, &|hop| hop == Hop::Nginx);
    for (row, hop) in rows.iter_mut().zip(hops) {
        if *hop == Hop::Direct {
            continue;
        }
        row.added_p50_us = direct.as_ref().map(|direct| row.p50_us - direct.p50_us);
        row.added_p99_us = direct.as_ref().map(|direct| row.p99_us - direct.p99_us);
        row.cpu_over_pass = pass.as_ref().map(|pass| row.cpu_us / pass.cpu_us);
        row.rps_over_pass = pass.as_ref().map(|pass| row.rps / pass.rps);
        row.cpu_over_nginx = nginx.as_ref().map(|nginx| row.cpu_us / nginx.cpu_us);
        row.rps_over_nginx = nginx.as_ref().map(|nginx| row.rps / nginx.rps);
    }
    rows
}

fn medians(era: Era, scenario: Scenario, hop: Hop, samples: &[Sample]) -> Row {
    let of_hop = |sample: &&Sample| sample.era == era && sample.scenario == scenario && sample.hop == hop;
    let samples: Vec<&Sample> = samples.iter().filter(of_hop).collect();
    let over = |figure: fn(&Sample) -> f64| median(samples.iter().map(|sample| figure(sample)).collect());
    let report =
        |figure: fn(&Report) -> f64| median(samples.iter().map(|sample| figure(&sample.report)).collect());
    Row {
        era,
        scenario,
        hop: hop.name(),
        rps: report(|report| report.rps),
        p50_us: report(|report| report.latency.p50_us),
        p99_us: report(|report| report.latency.p99_us),
        cpu_us: over(|sample| sample.own().map(|process| process.cpu_us_per_call).sum()),
        peak_rss_kib: over(|sample| sample.own().map(|process| process.memory.peak_rss_kib as f64).sum()),
        foreign_cpu: report(|report| report.foreign_cpu),
        errors: samples.iter().map(|sample| sample.report.errors).sum(),
        added_p50_us: None,
        added_p99_us: None,
        cpu_over_pass: None,
        rps_over_pass: None,
        cpu_over_nginx: None,
        rps_over_nginx: None,
    }
}

impl Sample {
    /// The processes that are the hop.
    fn own(&self) -> impl Iterator<Item = &crate::load::report::Process> {
        self.report.processes.iter().take(self.measured)
    }
}

/// The middle value; the mean of the two middle ones of an even number; zero of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        (None, _) | (_, None) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(vec![5.0]), 5.0);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
