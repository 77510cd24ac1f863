//! End to end: the real binary between foreign clients and foreign servers, over HTTP and stdio.
//! `clients` puts other people's clients before the gateway, `servers` other people's servers behind it, and `same_era`
//! SDKs on both sides, with everything that a server may ask and tell.
//! What the machine needs for it is prepared by `cargo xtask test`; nothing here is skipped when it is missing.

mod clients;
mod driver;
mod drop_in;
mod environment;
mod fixture;
mod foreign;
mod gateway;
mod older;
mod plan;
mod process;
mod same_era;
mod servers;
