//! `install` and `uninstall` of the real binary on sample files of every client, in a home folder made for each case.

#[path = "clients/home.rs"]
mod home;
#[path = "clients/listing.rs"]
mod listing;
#[path = "clients/refusals.rs"]
mod refusals;
#[path = "clients/round_trip.rs"]
mod round_trip;
#[path = "clients/samples.rs"]
mod samples;
#[path = "clients/terminal.rs"]
mod terminal;
#[path = "clients/undo.rs"]
mod undo;
