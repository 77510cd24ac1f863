//! What people run into with a gateway that runs, or does not start: the file broken meanwhile, a port that is taken,
//! a wrong variable. Every case has a home folder of its own.

#[path = "mishaps/environment.rs"]
mod environment;
#[path = "mishaps/gateway.rs"]
mod gateway;
#[path = "mishaps/home.rs"]
mod home;
#[path = "mishaps/reloads.rs"]
mod reloads;
#[path = "mishaps/starting.rs"]
mod starting;
#[path = "mishaps/whereabouts.rs"]
mod whereabouts;
