//! Tests against small real servers on loopback. Their parts: [`stage`].

mod cancelling;
mod events;
mod faults;
mod json;
mod large;
mod listening;
mod sessions;
mod stage;
