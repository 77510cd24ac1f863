//! The scenario runner: starts every hop, measures them in turn, and puts the medians in one table.
//! What is measured stands in `plan`, how parts are started in `parts`, `nginx` and `gateway`, in which order in
//! `rounds`, and what is made of it in `summary` and `table`.

mod bed;
mod gateway;
mod nginx;
mod parts;
mod plan;
mod rounds;
mod summary;
mod table;

use std::{io, path::PathBuf};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    era::Era,
    load::{LoadError, TOKEN_VARIABLE, Token},
    pass::Shape,
    scenario::{bed::Bed, plan::Scenario, summary::Summary},
};

/// Why a run of scenarios stops.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A process could not be started or its output not read.
    #[error("`{part}` could not be started: {source}")]
    Start {
        /// The part.
        part: String,
        /// The cause.
        source: io::Error,
    },
    /// A process ended, or named no endpoint in time.
    #[error("`{part}` named no endpoint; its last lines:\n{tail}")]
    NoEndpoint {
        /// The part.
        part: String,
        /// What it printed last.
        tail: String,
    },
    /// A hop did not answer a first call rightly.
    #[error("`{hop}` does not answer: {fault}")]
    Unusable {
        /// The hop.
        hop: String,
        /// What was wrong with its answer.
        fault: String,
    },
    /// A measurement failed.
    #[error("measuring `{hop}` failed: {detail}")]
    Measurement {
        /// The hop.
        hop: String,
        /// What the generator said.
        detail: String,
    },
    /// A load could not be built.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A file could not be written or the kernel's accounting not read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The run was ended by a signal.
    #[error("ended by a signal")]
    Interrupted,
}

/// The command line of the runner.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The gateway's program; started with `serve --config FILE --listen 127.0.0.1:0`
    #[arg(long)]
    pub gateway: Option<PathBuf>,
    /// A file that is appended to the generated configuration of the gateway
    #[arg(long, requires = "gateway")]
    pub gateway_config: Option<PathBuf>,
    /// What the gateway puts before the names of the stub's tools
    #[arg(long, default_value = "stub__")]
    pub gateway_prefix: String,
    /// Sent to the gateway as `Authorization: Bearer`
    #[arg(long, env = TOKEN_VARIABLE, hide_env_values = true)]
    pub token: Option<Token>,
    /// Shapes of the bare hop; the first is the one that ratios refer to
    #[arg(long, value_enum, num_args = 1.., default_values = ["multi", "per-core", "reuseport"])]
    pub pass: Vec<Shape>,
    /// Leaves nginx out
    #[arg(long)]
    pub without_nginx: bool,
    /// Eras of the clients, each against an upstream of the same era
    #[arg(long, value_enum, num_args = 1.., default_values = ["legacy", "modern"])]
    pub era: Vec<Era>,
    /// Scenarios
    #[arg(long, value_enum, num_args = 1.., default_values = ["echo1", "echo16", "echo64", "kb10", "mb1"])]
    pub only: Vec<Scenario>,
    /// Rounds; every hop is measured once in each, and medians are reported
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub rounds: u32,
    /// Measured seconds of each sample
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Seconds before each sample that are not counted
    #[arg(long, default_value_t = 0.5)]
    pub warmup: f64,
    /// A sample is repeated, at most twice, while other processes use more than this share of the machine
    #[arg(long, default_value_t = 0.05)]
    pub quiet: f64,
    /// Threads of the stub
    #[arg(long, default_value_t = 1)]
    pub stub_workers: usize,
    /// Where all samples and medians are written as JSON
    #[arg(long)]
    pub output: Option<PathBuf>,
}

/// Runs the scenarios and prints their table on stdout.
///
/// # Errors
/// Fails when a part cannot be started or does not answer; everything that was started is ended.
pub fn run(args: &RunArgs) -> Result<(), RunError> {
    crate::listener::current_thread()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            outcome = measure(args) => outcome,
            _ = tokio::signal::ctrl_c() => Err(RunError::Interrupted),
            _ = terminate.recv() => Err(RunError::Interrupted),
        }
    })
}

async fn measure(args: &RunArgs) -> Result<(), RunError> {
    let folder = tempfile::Builder::new().prefix("bench-").tempdir()?;
    let mut beds = Vec::new();
    for era in &args.era {
        beds.push(Bed::start(args, *era, folder.path()).await?);
    }
    let samples = rounds::measure(args, &beds).await?;
    let summary = Summary::new(args, &beds, samples);
    print!("{}", table::render(&summary));
    if let Some(path) = &args.output {
        std::fs::write(path, serde_json::to_vec_pretty(&summary).map_err(LoadError::from)?)?;
    }
    Ok(())
}
