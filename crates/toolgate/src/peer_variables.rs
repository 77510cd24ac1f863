//! The variables that set up agent-mcp-gateway, read into values. Those that it documents and never reads count too: who
//! sets them means them. What they override, and what overrides them, is decided where the options are (`cli/options.rs`).

use std::{
    net::{IpAddr, Ipv4Addr},
    num::ParseIntError,
    path::PathBuf,
};

use domain::{AgentId, InvalidName};
use proxy::StatusTool;
use upstream::config::Startup;

use crate::config::StartupChoice;
