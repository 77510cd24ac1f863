//! Answers on standard output: text, JSON, tables.

use std::{
    fmt::Display,
    io::{self, Write as _},
};

use clap::ValueEnum;
use serde::Serialize;

use crate::config::Loaded;

/// How an answer is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Writes lines to standard output.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        output.write_all(b"\n")?;
    }
    output.flush()
}

/// Says on standard error which servers of a configuration are left out, and why: standard output may belong to the
/// protocol.
pub(super) fn warn_of_faults(loaded: &Loaded) {
    for (id, checked) in &loaded.servers {
        let Err(fault) = checked else { continue };
        for diagnostic in fault.diagnostics() {
            eprintln!("{diagnostic}\n");
        }
        eprintln!("The server `{}` is left out; the others run.\n", printable(id.as_str()));
    }
}

/// Says on standard error what works and is probably not as intended.
pub(super) fn warn(loaded: &Loaded) {
    for warning in &loaded.warnings {
        eprintln!("{warning}\n");
    }
}

/// Writes one JSON document to standard output.
pub(super) fn print_json(value: &impl Serialize) -> io::Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

/// Lays out rows under their heads, in columns two spaces apart.
pub(super) fn table(heads: &[&str], rows: Vec<Vec<String>>) -> String {
    let head = heads.iter().map(|head| head.to_uppercase()).collect();
    let rows: Vec<Vec<String>> =
        [head].into_iter().chain(rows).map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..heads.len()).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Writes a number with its noun, which takes an `s` where it has a plural.
pub(super) fn counted<T: Display + PartialEq + From<u8>>(count: T, noun: &str) -> String {
    if count == T::from(1) { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Escapes control characters: texts of other programs must not drive the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}
