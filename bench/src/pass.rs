//! The bare hop: what any asynchronous Rust gateway must at least do for a call, and nothing more.
//! One file says what a hop does (`hop`), one how threads share the work (`shapes`).

mod hop;
mod shapes;

use std::{io, net::SocketAddr};

use clap::{Args, ValueEnum};
use hyper::Uri;

/// The command line of the bare hop.
#[derive(Debug, Args)]
pub struct PassArgs {
    /// The endpoint that calls are passed to
    #[arg(long)]
    upstream: Uri,
    /// The port; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// How threads share the work
    #[arg(long, value_enum, default_value = "multi")]
    shape: Shape,
    /// Worker threads
    #[arg(long, default_value_t = 2)]
    workers: usize,
}

/// How threads share the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// One multi-thread runtime and one pool of upstream connections
    Multi,
    /// A runtime and a pool a thread; one accepting thread hands connections out round robin
    PerCore,
    /// A runtime, a pool and a listener a thread; the kernel hands connections out
    Reuseport,
}

impl Shape {
    /// All shapes, in the order they are reported.
    pub const ALL: [Self; 3] = [Self::Multi, Self::PerCore, Self::Reuseport];

    /// Returns the name as the command line writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Multi => "multi",
            Self::PerCore => "per-core",
            Self::Reuseport => "reuseport",
        }
    }
}

/// Passes calls on until the process is ended.
///
/// # Errors
/// Fails when the port is taken or a worker cannot start.
pub fn run(args: PassArgs) -> io::Result<()> {
    let address = SocketAddr::from(([127, 0, 0, 1], args.port));
    match args.shape {
        Shape::Multi => shapes::multi(address, args.workers, &args.upstream),
        Shape::PerCore => shapes::per_core(address, args.workers, &args.upstream),
        Shape::Reuseport => shapes::reuseport(address, args.workers, &args.upstream),
    }
}
