//! What a fake child can tell of the process it was made: everything that it might have inherited and should not have.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

/// Returns variables, open descriptors, working directory, terminal and process group.
pub(super) fn tell() -> Value {
    let variables: BTreeMap<String, String> = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect();
    let folder = std::env::current_dir().map(|folder| folder.display().to_string()).unwrap_or_default();
    // pid (name) state ppid pgrp session tty_nr; the name may hold spaces.
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    json!({
        "variables": variables,
        "descriptors": descriptors(),
        "folder": folder,
        "pid": std::process::id(),
        "group": fields.get(2),
        "terminal": fields.get(4),
    })
}

/// Returns what each open descriptor is; the one that reads the list aside.
fn descriptors() -> BTreeMap<String, String> {
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().filter_map(Result::ok);
    let named = entries.map(|entry| {
        let target =
            fs::read_link(entry.path()).map(|target| target.display().to_string()).unwrap_or_default();
        (entry.file_name().to_string_lossy().into_owned(), target)
    });
    named.filter(|(_, target)| !target.ends_with("/fd")).collect()
}
