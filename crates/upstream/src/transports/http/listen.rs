//! Listens to what a server says outside calls.
