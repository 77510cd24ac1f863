//! Configurations that the real binary writes and explains: `import`, `init`, `policy`, `validate --connect`. Every case
//! has a home folder of its own.

#[path = "init/connect.rs"]
mod connect;
#[path = "init/home.rs"]
mod home;
#[path = "init/import.rs"]
mod import;
#[path = "init/policy.rs"]
mod policy;
#[path = "init/terminal.rs"]
mod terminal;
#[path = "init/wizard.rs"]
mod wizard;
