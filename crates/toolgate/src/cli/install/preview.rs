//! Shows a change before it is written, with everything that may be a secret hidden.

use std::io::{self, IsTerminal as _, Write as _};

use super::{
    super::output,
    diff::{self, Line},
};
use crate::{
    clients::ClientFile,
    config::{self, Span},
};

/// Lines of one difference that are shown; of more, the rest is counted.
const MAX_LINES: usize = 200;

/// One side of a difference.
struct Side<'a> {
    lines: Vec<&'a str>,
    /// Where each line begins.
    starts: Vec<usize>,
    secrets: Vec<Span>,
}

/// Shows on standard error what would change. `after` is none when the file would be deleted; `shown` is an entry of
/// ours in `after`, which holds no secret.
pub(crate) fn show(before: &ClientFile, after: Option<&ClientFile>, shown: Option<&str>) -> io::Result<()> {
    let path = output::printable(&before.place().path.display().to_string());
    let from = if before.exists() { path.as_str() } else { "/dev/null" };
    let mut text = format!("--- {from}\n+++ {}\n", if after.is_some() { path.as_str() } else { "/dev/null" });
    let old = Side::of(Some(before), None);
    let new = Side::of(after, shown);
    if let Some(block) = diff::difference(&old.lines, &new.lines) {
        text.push_str(&block.head());
        text.push('\n');
        for line in block.lines.iter().take(MAX_LINES) {
            text.push_str(&match line {
                Line::Kept(at) => format!(" {}\n", new.masked(*at)),
                Line::Removed(at) => coloured(Colour::Red, &format!("-{}", old.masked(*at))),
                Line::Added(at) => coloured(Colour::Green, &format!("+{}", new.masked(*at))),
            });
        }
        if let Some(more) = block.lines.len().checked_sub(MAX_LINES).filter(|more| *more > 0) {
            text.push_str(&format!("({more} more lines)\n"));
        }
    }
    io::stderr().lock().write_all(text.as_bytes())
}

// === impl Side ===

impl<'a> Side<'a> {
    fn of(file: Option<&'a ClientFile>, shown: Option<&str>) -> Self {
        let Some(file) = file else { return Self { lines: vec![], starts: vec![], secrets: vec![] } };
        let lines: Vec<&str> = file.text().split_inclusive('\n').collect();
        let starts = lines.iter().scan(0, |at, line| {
            *at += line.len();
            Some(*at - line.len())
        });
        let open = shown.and_then(|name| file.entry_span(name));
        let is_open = |span: &Span| open.is_some_and(|open| open.start <= span.start && span.end <= open.end);
        let mut secrets = config::secret_spans(file.root());
        secrets.retain(|span| !is_open(span));
        Self { starts: starts.collect(), lines, secrets }
    }

    fn masked(&self, at: usize) -> String {
        let line = self.lines[at].trim_end_matches(['\n', '\r']);
        output::printable(&config::hide(line, self.starts[at], &self.secrets)).replace("\\t", "\t")
    }
}

#[derive(Clone, Copy)]
enum Colour {
    Red,
    Green,
}

fn coloured(colour: Colour, line: &str) -> String {
    if !io::stderr().is_terminal() || std::env::var_os("NO_COLOR").is_some() {
        return format!("{line}\n");
    }
    let code = match colour {
        Colour::Red => 31,
        Colour::Green => 32,
    };
    format!("\u{1b}[{code}m{line}\u{1b}[0m\n")
}
