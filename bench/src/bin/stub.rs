//! An MCP server of both eras that costs as little as a server can. See `bench::stub`.

use clap::Parser;

/// A cheap MCP server of both eras, the upstream of every measurement
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  stub http --port 0 --era both\n  stub http --port 0 --workers 2 --tools 500\n  stub stdio --era legacy"
)]
struct Cli {
    #[command(flatten)]
    stub: bench::stub::StubArgs,
}

fn main() -> std::io::Result<()> {
    bench::stub::run(&Cli::parse().stub)
}
