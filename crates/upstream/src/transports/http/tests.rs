//! Tests against small real servers on loopback. Their parts: [`stage`].

mod json;
mod stage;
