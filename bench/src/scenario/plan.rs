//! What is measured: the scenarios, and the hops that stand between the generator and the stub.

use clap::ValueEnum;
use serde::Serialize;

use crate::pass::Shape;

/// One kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scenario {
    /// A short echo over one connection: the latency a hop adds
    Echo1,
    /// A short echo over 16 connections: the CPU a hop costs
    Echo16,
    /// A short echo over 64 connections
    Echo64,
    /// A result of 10 KB over 16 connections
    Kb10,
    /// A result of 1 MB over 4 connections
    Mb1,
    /// The listing of tools over 16 connections
    List,
}

impl Scenario {
    /// Returns the name as the command line writes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Echo1 => "echo1",
            Self::Echo16 => "echo16",
            Self::Echo64 => "echo64",
            Self::Kb10 => "kb10",
            Self::Mb1 => "mb1",
            Self::List => "list",
        }
    }

    /// Returns what the table says of it.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Echo1 => "echo, 1 connection",
            Self::Echo16 => "echo, 16 connections",
            Self::Echo64 => "echo, 64 connections",
            Self::Kb10 => "10 KB, 16 connections",
            Self::Mb1 => "1 MB, 4 connections",
            Self::List => "tools/list, 16 connections",
        }
    }

    pub(crate) const fn connections(self) -> u16 {
        match self {
            Self::Echo1 => 1,
            Self::Echo16 | Self::Kb10 | Self::List => 16,
            Self::Echo64 => 64,
            Self::Mb1 => 4,
        }
    }

    pub(crate) const fn request(self) -> RequestKind {
        match self {
            Self::Echo1 | Self::Echo16 | Self::Echo64 => RequestKind::Echo,
            Self::Kb10 => RequestKind::Bytes(10 << 10),
            Self::Mb1 => RequestKind::Bytes(1 << 20),
            Self::List => RequestKind::List,
        }
    }
}

/// What a scenario asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// The tool `echo`.
    Echo,
    /// The tool `bytes` with this size.
    Bytes(usize),
    /// `tools/list`.
    List,
}

/// What stands between the generator and the stub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hop {
    /// Nothing.
    Direct,
    /// A plain reverse proxy.
    Nginx,
    /// The bare hop.
    Pass(Shape),
    /// The gateway, with the stub behind HTTP.
    Gateway,
    /// The gateway, with the stub as its child on stdio.
    GatewayStdio,
}

impl Hop {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Pass(Shape::Multi) => "pass multi",
            Self::Pass(Shape::PerCore) => "pass per-core",
            Self::Pass(Shape::Reuseport) => "pass reuseport",
            Self::Gateway => "gateway",
            Self::GatewayStdio => "gateway stdio",
        }
    }
}
