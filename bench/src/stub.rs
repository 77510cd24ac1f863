//! The stub upstream: an MCP server of both eras that costs as little as a server can.
//! It keeps no sessions and checks nothing that its answers do not need. See `answers` for what it speaks.

mod answers;
mod http;
mod stdio;
mod tools;

use std::io;

use clap::{Args, Subcommand};

use crate::era::Spoken;

pub use answers::{Message, Reply, Stub};

/// The command line of the stub.
#[derive(Debug, Args)]
pub struct StubArgs {
    /// The transport.
    #[command(subcommand)]
    transport: Transport,
}

#[derive(Debug, Subcommand)]
enum Transport {
    /// Serves Streamable HTTP on loopback and prints the endpoint on stdout
    Http {
        /// The port; 0 takes a free one
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// Threads, each with a runtime and a listener of its own
        #[arg(long, default_value_t = 1)]
        workers: usize,
        #[command(flatten)]
        content: Content,
    },
    /// Serves one client on stdin and stdout
    Stdio {
        #[command(flatten)]
        content: Content,
    },
}

#[derive(Debug, Args)]
struct Content {
    /// The eras that are answered
    #[arg(long, value_enum, default_value = "both")]
    era: Spoken,
    /// Filler tools beside the three real ones
    #[arg(long, default_value_t = 0)]
    tools: usize,
}

impl Content {
    fn stub(&self) -> Stub {
        Stub::new(self.era, self.tools)
    }
}

/// Serves until the process is ended or, on stdio, until stdin closes.
///
/// # Errors
/// Fails when the port is taken or a pipe breaks.
pub fn run(args: &StubArgs) -> io::Result<()> {
    match &args.transport {
        Transport::Http { port, workers, content } => http::serve(content.stub(), *port, *workers),
        Transport::Stdio { content } => stdio::serve(content.stub()),
    }
}
