//! Batteries of attacks and faults: the real binary between hand-written clients and fake servers.
//! A test names the row of the security (`s..`) or reliability battery (`r..`) that it proves; `not_yet` lists the
//! rows that cannot apply and why. Counts are scaled down; `TOOLGATE_TEST_SCALE` multiplies them.

#[path = "../e2e/environment.rs"]
#[expect(dead_code, reason = "the places of foreign programs are for the other target")]
mod environment;

// What the tests are made of.
mod client;
mod gateway;
mod http2;
mod limit;
mod pipe;
mod process;
mod trail;
mod wire;

// The tests, by area.
mod arriving;
mod asking;
mod bad_input;
mod batches;
mod bodies;
mod changes;
mod children;
mod closed_stderr;
mod collisions;
mod correlation;
mod crash;
mod cut_off;
mod disk;
mod door_checks;
mod doors;
mod expiring;
mod exposure;
mod gone_clients;
mod headers;
mod http_upstreams;
mod launched;
mod lazy;
mod listeners;
mod log_injection;
mod loops;
mod not_yet;
mod old_stream;
mod overload;
mod own_tools;
mod principals;
mod rate_limits;
mod reload;
mod renamed;
mod resuming;
mod revocation;
mod same_bytes;
mod sessions;
mod shutdown;
mod smuggling;
mod states;
mod stdio_upstreams;
mod streams;
mod subscriptions;
mod tasks;
mod tokens;
mod windows;
