//! Tests of what happens between calls and messages, with a server that is a list of what was said to it. Its parts:
//! [`stage`].

mod abandoned;
mod asking;
mod news;
pub(in crate::transports) mod stage;
mod tasks;
mod turns;
