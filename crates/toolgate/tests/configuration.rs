//! Configuration from files to checked values, and what a person is told. Each case is a snapshot that shows the files
//! and the answer.

#[path = "configuration/adopted.rs"]
mod adopted;
#[path = "configuration/documents.rs"]
mod documents;
#[path = "configuration/finding.rs"]
mod finding;
#[path = "configuration/folder.rs"]
mod folder;
#[path = "configuration/own.rs"]
mod own;
#[path = "configuration/rules.rs"]
mod rules;
