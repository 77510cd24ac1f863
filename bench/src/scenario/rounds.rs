//! The order of measuring: every hop once in each round, so that what disturbs the machine disturbs all alike.

use serde::Serialize;

use crate::{
    era::Era,
    load::{LoadArgs, Report, TOKEN_VARIABLE},
    scenario::{
        RunArgs, RunError,
        bed::{self, Bed, Station},
        plan::{Hop, Scenario},
    },
};

/// A sample taken while the machine was busy with other things is repeated at most this often.
const REPEATS: usize = 2;

/// One measurement.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Sample {
    pub(super) era: Era,
    pub(super) scenario: Scenario,
    #[serde(serialize_with = "hop_name")]
    pub(super) hop: Hop,
    pub(super) round: u32,
    /// How many processes of the report are the hop's own; others follow.
    pub(super) measured: usize,
    pub(super) report: Report,
}

fn hop_name<S: serde::Serializer>(hop: &Hop, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(hop.name())
}

/// Measures all rounds.
pub(super) async fn measure(args: &RunArgs, beds: &[Bed]) -> Result<Vec<Sample>, RunError> {
    let mut samples = Vec::new();
    for round in 1..=args.rounds {
        for bed in beds {
            for scenario in &args.only {
                for station in &bed.stations {
                    let report = quietest(args, bed, station, *scenario).await?;
                    eprintln!("{}", progress(round, bed.era, *scenario, station.hop, &report));
                    let measured = station.measured.len();
                    let (era, scenario, hop) = (bed.era, *scenario, station.hop);
                    samples.push(Sample { era, scenario, hop, round, measured, report });
                }
            }
        }
    }
    Ok(samples)
}

async fn quietest(
    args: &RunArgs,
    bed: &Bed,
    station: &Station,
    scenario: Scenario,
) -> Result<Report, RunError> {
    let mut load = station.load(args, bed.era, scenario)?;
    if station.hop != Hop::Direct {
        load.pid.push(bed.stub.part.pid());
    }
    let mut best = sample(&load, station.hop).await?;
    for _ in 0..REPEATS {
        if best.foreign_cpu <= args.quiet {
            break;
        }
        let again = sample(&load, station.hop).await?;
        if again.foreign_cpu < best.foreign_cpu {
            best = again;
        }
    }
    Ok(best)
}

/// Runs the generator as a process of its own, so that the runner's work is not in its way.
async fn sample(load: &LoadArgs, hop: Hop) -> Result<Report, RunError> {
    let failed = |detail: String| RunError::Measurement { hop: hop.name().to_owned(), detail };
    let mut command = bed::own(&["load"])?;
    match &load.token {
        Some(token) => command.env(TOKEN_VARIABLE, token.reveal()),
        None => command.env_remove(TOKEN_VARIABLE),
    };
    let output = command.args(load.command_line()).kill_on_drop(true).output().await?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).escape_debug().to_string()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))
}

fn progress(round: u32, era: Era, scenario: Scenario, hop: Hop, report: &Report) -> String {
    let fault = report.first_fault.as_deref().map(|fault| format!(", {} errors: {fault}", report.errors));
    format!(
        "round {round} {:<6} {:<6} {:<14} {:>8.0} /s  p50 {:>8.1} us  others {:>4.1} %{}",
        era.name(),
        scenario.name(),
        hop.name(),
        report.rps,
        report.latency.p50_us,
        report.foreign_cpu * 100.0,
        fault.unwrap_or_default()
    )
}
