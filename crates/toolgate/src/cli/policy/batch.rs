//! `toolgate policy test --batch`: many questions, an object on each line, and perhaps what is expected.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
    process::ExitCode,
};

use domain::AgentId;
use serde::Deserialize;

use super::{
    super::{
        CliError,
        output::{self, Format},
    },
    setting::Setting,
    test::Decision,
};

/// Longest line, in bytes: three names and what stands between them.
const MAX_LINE: u64 = 16 << 10;

/// One line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    #[serde(default)]
    agent: Option<AgentId>,
    server: String,
    #[serde(default)]
    tool: Option<String>,
    #[serde(default)]
    expect: Option<Expectation>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expectation {
    Allow,
    Deny,
}

/// Answers every line of `file` on a line of its own; fails if one is not as expected.
pub(super) fn run(file: &Path, setting: &Setting, format: Format) -> Result<ExitCode, CliError> {
    let name = output::printable(&file.display().to_string());
    let unreadable = |source| CliError::Unreadable { file: name.clone(), source };
    let mut lines: Box<dyn BufRead> = match file == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(BufReader::new(File::open(file).map_err(unreadable)?)),
    };
    let (mut number, mut missed) = (0_u64, 0_u64);
    while let Some(line) = next(&mut lines).map_err(unreadable)? {
        number += 1;
        if line.trim().is_empty() {
            continue;
        }
        let question: Question = serde_json::from_str(&line)
            .map_err(|error| CliError::Gateway(format!("{name}:{number}: {error}")))?;
        if !answer(&question, setting, format)? {
            missed += 1;
        }
    }
    if missed > 0 {
        eprintln!("{missed} of the answers are not as expected.");
    }
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tells whether the answer is as expected.
fn answer(question: &Question, setting: &Setting, format: Format) -> Result<bool, CliError> {
    let decision =
        Decision::make(setting, question.agent.as_ref(), &question.server, question.tool.as_deref());
    let wanted = question.expect.map(|expected| expected == Expectation::Allow);
    let is_missed = wanted.is_some_and(|wanted| wanted != decision.verdict.allowed);
    match format {
        Format::Json => {
            let mut json = decision.json();
            json["as_expected"] = wanted.map(|_| !is_missed).into();
            output::print(&json.to_string())?;
        }
        Format::Text => {
            let rule = output::printable(&decision.verdict.rule);
            let missed = if is_missed { "  NOT AS EXPECTED" } else { "" };
            output::print(&format!("{}  {rule}{missed}", decision.line()))?;
        }
    }
    Ok(!is_missed)
}

fn next(lines: &mut dyn BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let length = lines.take(MAX_LINE + 1).read_line(&mut line)?;
    if length as u64 > MAX_LINE {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a line of more than {MAX_LINE} bytes"),
        ));
    }
    Ok((length > 0).then_some(line))
}
