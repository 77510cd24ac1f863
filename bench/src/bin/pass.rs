//! The bare hop in front of an MCP server. See `bench::pass`.

use clap::Parser;

/// The bare hop: the least that a Rust gateway does for a call
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  pass --upstream http://127.0.0.1:4711/mcp\n  pass --upstream http://127.0.0.1:4711/mcp --shape per-core --workers 2"
)]
struct Cli {
    #[command(flatten)]
    pass: bench::pass::PassArgs,
}

fn main() -> std::io::Result<()> {
    bench::pass::run(Cli::parse().pass)
}
