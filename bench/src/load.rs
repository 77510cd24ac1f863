//! The load generator: a closed loop of calls over keep-alive connections, each answer verified.
//! Requests are built in `requests`, sent in `connection`, judged in `verdict`, timed in `closed_loop`;
//! what comes out is the `report`.

pub mod closed_loop;
pub mod connection;
pub mod report;
pub mod requests;
pub mod verdict;

use std::{fmt, io, time::Duration};

use clap::{Args, ValueEnum};
use hyper::Uri;

use crate::era::Era;

pub use report::Report;

/// The environment variable that carries the token where a command line would show it.
pub const TOKEN_VARIABLE: &str = "BENCH_TOKEN";

/// A bearer token; never shown.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Returns the token, for the header or the environment of the generator.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Token {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(..)")
    }
}

/// What goes wrong before a measurement; afterwards, faults are counted.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The URL has no host and port, or a value does not fit a header.
    #[error("`{0}` cannot be used in a request")]
    Unusable(String),
    /// The socket failed.
    #[error("connection failed: {0}")]
    Io(#[from] io::Error),
    /// The HTTP exchange failed.
    #[error("exchange failed: {0}")]
    Http(#[from] hyper::Error),
    /// The legacy handshake was answered otherwise than expected.
    #[error("handshake failed: {0}")]
    Handshake(String),
    /// A file of the machine's accounting or a report could not be read.
    #[error("report is unreadable: {0}")]
    Report(#[from] serde_json::Error),
}

/// The command line of the load generator.
#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    /// The endpoint to call
    #[arg(long)]
    pub url: Uri,
    /// Connections, each with one call at a time
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub connections: u16,
    /// Measured seconds
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Seconds before them that are not counted
    #[arg(long, default_value_t = 1.0)]
    pub warmup: f64,
    /// The era of the requests
    #[arg(long, value_enum, default_value = "legacy")]
    pub era: Era,
    /// What is requested
    #[arg(long, value_enum, default_value = "tools-call")]
    pub method: Method,
    /// The tool to call, as the endpoint names it
    #[arg(long, default_value = "echo")]
    pub tool: String,
    /// Calls with {"size": N}, for the stub's `bytes`
    #[arg(long, conflicts_with = "arguments")]
    pub size: Option<usize>,
    /// Calls with this JSON object instead of a text to echo
    #[arg(long)]
    pub arguments: Option<String>,
    /// Sent as `Authorization: Bearer`
    #[arg(long, env = TOKEN_VARIABLE, hide_env_values = true)]
    pub token: Option<Token>,
    /// Processes whose CPU and memory are reported
    #[arg(long, num_args = 1..)]
    pub pid: Vec<u32>,
    /// Prints a table instead of a line of JSON
    #[arg(long)]
    pub pretty: bool,
}

/// What is requested in the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// `tools/call`
    ToolsCall,
    /// `tools/list`, the first page
    ToolsList,
}

impl Method {
    /// Returns the name as the command line writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ToolsCall => "tools-call",
            Self::ToolsList => "tools-list",
        }
    }
}

impl LoadArgs {
    /// Returns the time before measuring.
    pub fn warmup(&self) -> Duration {
        Duration::from_secs_f64(self.warmup.max(0.0))
    }

    /// Returns the measured time, at least a millisecond.
    pub fn measured(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.max(0.001))
    }
}

impl LoadArgs {
    /// Writes the arguments as a command line, for a generator in a process of its own; the token is left out.
    pub fn command_line(&self) -> Vec<String> {
        let value = |value: &dyn ToString| value.to_string();
        let mut line = vec![
            ["--url", &value(&self.url)].map(str::to_owned),
            ["--connections", &value(&self.connections)].map(str::to_owned),
            ["--seconds", &value(&self.seconds)].map(str::to_owned),
            ["--warmup", &value(&self.warmup)].map(str::to_owned),
            ["--era", self.era.name()].map(str::to_owned),
            ["--method", self.method.name()].map(str::to_owned),
            ["--tool", &self.tool].map(str::to_owned),
        ];
        line.extend(self.size.map(|size| ["--size".to_owned(), size.to_string()]));
        line.extend(self.arguments.clone().map(|arguments| ["--arguments".to_owned(), arguments]));
        line.extend(self.pid.iter().map(|pid| ["--pid".to_owned(), pid.to_string()]));
        let mut line = line.concat();
        line.extend(self.pretty.then(|| "--pretty".to_owned()));
        line
    }
}

/// Runs the loop and prints the report on stdout.
///
/// # Errors
/// Fails when the endpoint cannot be reached or refuses the handshake; faults of calls are counted in the report.
pub fn run(args: &LoadArgs) -> Result<(), LoadError> {
    let report = crate::listener::current_thread()?.block_on(closed_loop::measure(args))?;
    if args.pretty {
        print!("{}", report.table());
    } else {
        println!("{}", serde_json::to_string(&report)?);
    }
    Ok(())
}
