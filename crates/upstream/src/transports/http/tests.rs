//! Tests against small real servers on loopback. Their parts: [`stage`] and [`clients`].

mod cancelling;
pub(in crate::transports) mod clients;
mod events;
mod expiry;
mod faults;
mod json;
mod large;
mod listening;
mod relaying;
mod retrying;
mod session_streams;
mod sessions;
mod shared_sessions;
pub(in crate::transports) mod stage;
