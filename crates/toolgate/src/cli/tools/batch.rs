//! A file of search tasks, one a line, and an answer a line: for measuring search with the tools one has.

use std::{fs, io, path::Path, process::ExitCode};

use catalog::SearchIndex;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::{CliError, output};

/// One line of the file. Other members, such as the right answer, are not read.
#[derive(Debug, Deserialize)]
pub(super) struct Task {
    /// Whatever the answer is to be known by.
    id: Value,
    query: String,
}

/// Reads all tasks. Empty lines are none.
///
/// # Errors
/// [`CliError::Unreadable`] naming the first line that is no task.
pub(super) fn read(file: &Path) -> Result<Vec<Task>, CliError> {
    let unreadable = |source: io::Error| CliError::Unreadable { file: file.display().to_string(), source };
    let text = fs::read_to_string(file).map_err(unreadable)?;
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let task = |(line, number): (&str, usize)| {
        serde_json::from_str(line).map_err(|error| {
            let reason = format!("line {number} is no task with `id` and `query`: {error}");
            unreadable(io::Error::new(io::ErrorKind::InvalidData, reason))
        })
    };
    lines.map(task).collect()
}

/// Writes a line for each task, in their order.
pub(super) fn answer(tasks: &[Task], index: &SearchIndex, limit: usize) -> Result<ExitCode, CliError> {
    let mut answers = String::new();
    for task in tasks {
        let hits = index
            .search(&task.query, limit, |_, _| true)
            .into_iter()
            .map(|hit| json!({"server": hit.server.as_str(), "tool": hit.tool.as_str(), "score": hit.score}));
        let line = json!({"id": task.id, "hits": hits.collect::<Vec<_>>()});
        answers.push_str(&line.to_string());
        answers.push('\n');
    }
    if !answers.is_empty() {
        output::print(&answers)?;
    }
    Ok(ExitCode::SUCCESS)
}
