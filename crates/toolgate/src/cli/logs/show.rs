//! How calls are written: as aligned columns for people, or as the lines of the trail for programs.
//! Nothing from a trail steers the terminal: what could is escaped.

use std::{
    borrow::Cow,
    env,
    io::{self, BufWriter, IsTerminal as _, StdoutLock, Write},
};

use audit::Outcome;
use time::{OffsetDateTime, UtcOffset, format_description::BorrowedFormatItem, macros::format_description};

use super::{
    super::output::Format,
    entry::{Entry, RUNNING, UNFINISHED},
};

const TIME: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3]");
const HEADS: [&str; COLUMNS] =
    ["TIME", "AGENT", "SERVER", "TOOL/OPERATION", "OUTCOME", "LATENCY", "CODE/RULE"];
const COLUMNS: usize = 7;
const OUTCOME_COLUMN: usize = 4;
const LATENCY_COLUMN: usize = 5;
/// Widths to begin with: lines that are shown as they come should not jump with every longer name.
const WIDTHS: [usize; COLUMNS] = [23, 8, 8, 16, 10, 8, 0];
/// A longer name pushes its own line aside and not all others.
const MAX_WIDTH: usize = 40;
/// No zone changes its offset more often than at quarters of an hour.
const ZONE_SLOT_SECONDS: i64 = 900;
const PLAIN: &str = "\x1b[0m";

/// Writes calls to standard output.
pub(super) struct Printer {
    output: BufWriter<StdoutLock<'static>>,
    format: Format,
    table: Table,
}

/// Columns that grow with what they hold.
#[derive(Debug)]
struct Table {
    widths: [usize; COLUMNS],
    ink: Ink,
    zone: Zone,
    has_heads: bool,
}

/// Whether outcomes are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ink {
    Plain,
    Coloured,
}

/// The machine's zone, asked once per slot of time.
#[derive(Debug)]
struct Zone {
    slot: Option<i64>,
    offset: UtcOffset,
}

// === impl Printer ===

impl Printer {
    pub(super) fn new(format: Format) -> Self {
        let table = Table::new(Ink::of_standard_output(), Zone { slot: None, offset: UtcOffset::UTC });
        Self { output: BufWriter::new(io::stdout().lock()), format, table }
    }

    /// Writes some calls, aligned with each other, and brings them out.
    pub(super) fn print(&mut self, entries: &[Entry]) -> io::Result<()> {
        match self.format {
            Format::Json => {
                entries.iter().try_for_each(|entry| writeln!(self.output, "{}", harmless(&entry.raw)))?
            }
            Format::Text => self.output.write_all(self.table.lines(entries).as_bytes())?,
        }
        self.output.flush()
    }
}

// === impl Table ===

impl Table {
    const fn new(ink: Ink, zone: Zone) -> Self {
        Self { widths: WIDTHS, ink, zone, has_heads: false }
    }

    /// Lays out some calls; the first ones get heads above them.
    fn lines(&mut self, entries: &[Entry]) -> String {
        let rows: Vec<[String; COLUMNS]> = entries.iter().map(|entry| self.cells(entry)).collect();
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count().min(MAX_WIDTH));
            }
        }
        let mut text = String::new();
        if !rows.is_empty() && !std::mem::replace(&mut self.has_heads, true) {
            text.push_str(&self.line(&HEADS.map(str::to_owned), ""));
        }
        for (row, entry) in rows.iter().zip(entries) {
            let colour = match self.ink {
                Ink::Coloured => colour(&entry.outcome),
                Ink::Plain => "",
            };
            text.push_str(&self.line(row, colour));
        }
        text
    }

    fn cells(&mut self, entry: &Entry) -> [String; COLUMNS] {
        let dash = || "-".to_owned();
        let reasons: Vec<String> =
            [&entry.code, &entry.rule].into_iter().flatten().map(|text| visible(text)).collect();
        [
            self.zone.local(entry.time),
            visible(&entry.agent),
            entry.server.as_deref().map_or_else(dash, visible),
            visible(entry.target.as_ref().unwrap_or(&entry.operation)),
            visible(&entry.outcome),
            entry.latency_ms.map_or_else(dash, latency),
            if reasons.is_empty() { dash() } else { reasons.join(" ") },
        ]
    }

    fn line(&self, cells: &[String; COLUMNS], colour: &str) -> String {
        let mut line = String::new();
        for (column, (cell, width)) in cells.iter().zip(self.widths).enumerate() {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            match column {
                LATENCY_COLUMN => line.extend([padding.as_str(), cell, "  "]),
                OUTCOME_COLUMN if !colour.is_empty() => line.extend([colour, cell, PLAIN, &padding, "  "]),
                _ => line.extend([cell, padding.as_str(), "  "]),
            }
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }
}

// === impl Ink ===

impl Ink {
    /// Colours are for terminals whose user did not decline them (no-color.org).
    fn of_standard_output() -> Self {
        let is_declined = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        if io::stdout().is_terminal() && !is_declined { Self::Coloured } else { Self::Plain }
    }
}

fn colour(outcome: &str) -> &'static str {
    const GREEN: &str = "\x1b[32m";
    const YELLOW: &str = "\x1b[33m";
    const RED: &str = "\x1b[31m";
    const CYAN: &str = "\x1b[36m";
    match Outcome::ALL.into_iter().find(|known| known.as_str() == outcome) {
        Some(Outcome::Ok | Outcome::Returned) => GREEN,
        Some(Outcome::ToolError | Outcome::Cancelled | Outcome::Unknown) => YELLOW,
        Some(Outcome::Denied | Outcome::Error | Outcome::Timeout) => RED,
        None if outcome == RUNNING => CYAN,
        None if outcome == UNFINISHED => YELLOW,
        None => "",
    }
}

// === impl Zone ===

impl Zone {
    /// Writes a time as the clocks here show it; in UTC when the system does not tell its zone.
    fn local(&mut self, time: OffsetDateTime) -> String {
        let slot = time.unix_timestamp().div_euclid(ZONE_SLOT_SECONDS);
        if self.slot != Some(slot) {
            self.slot = Some(slot);
            self.offset = UtcOffset::local_offset_at(time).unwrap_or(UtcOffset::UTC);
        }
        // Within hours of the years 0 and 9999 the local time has no date.
        let local = time.checked_to_offset(self.offset).unwrap_or(time);
        local.format(TIME).unwrap_or_else(|_| "-".to_owned())
    }
}

fn latency(milliseconds: f64) -> String {
    if milliseconds < 1_000.0 {
        format!("{milliseconds:.2}ms")
    } else {
        format!("{:.2}s", milliseconds / 1_000.0)
    }
}

/// Escapes what could steer a terminal or turn the direction of what follows.
fn visible(text: &str) -> String {
    let sign = |sign: char| if is_harmful(sign) { sign.escape_default().collect() } else { sign.to_string() };
    text.chars().map(sign).collect()
}

/// Does the same to a line of JSON without changing what it means. The lines that gateways write need it nowhere.
fn harmless(json: &str) -> Cow<'_, str> {
    if !json.contains(is_harmful) {
        return Cow::Borrowed(json);
    }
    let sign = |sign: char| match sign {
        // Control characters of ASCII can only be white space here: within texts JSON forbids them.
        _ if !is_harmful(sign) => sign.to_string(),
        '\0'..='\x1f' => " ".to_owned(),
        _ => format!("\\u{:04x}", u32::from(sign)),
    };
    Cow::Owned(json.chars().map(sign).collect())
}

fn is_harmful(sign: char) -> bool {
    sign.is_control()
        || matches!(sign,
            '\u{2028}' | '\u{2029}'
            | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::{super::entry::Line, *};

    const UTC: Zone = Zone { slot: None, offset: UtcOffset::UTC };

    fn entry(fields: &str) -> Entry {
        let line = format!(
            r#"{{"phase":"end","timestamp":"2026-11-21T02:04:16.5009+00:00","call":"c","agent_id":"ci","operation":"execute_tool",{fields}}}"#
        );
        let Some(Line::End(entry)) = Line::read(line.as_bytes()) else { panic!("{line}") };
        entry
    }

    fn some_entries() -> [Entry; 3] {
        [
            entry(r#""server":"git","target":"log","outcome":"ok","latency_ms":3.5"#),
            entry(
                r#""server":"git","target":"push","outcome":"denied","latency_ms":0.1,"code":"DENIED_BY_POLICY","rule":"a.b[0]""#,
            ),
            entry(r#""outcome":"timeout","latency_ms":30000.0,"code":"T\u001b[2J\u202e""#),
        ]
    }

    #[test]
    fn calls_stand_in_columns() {
        // The zone of the machine that tests is not ours to choose.
        let mut table = Table::new(Ink::Plain, UTC);
        let lines = table.lines(&some_entries());
        let lines: Vec<&str> = lines.lines().map(|line| line.get(25..).unwrap_or_default()).collect();
        assert_eq!(
            lines,
            [
                "AGENT     SERVER    TOOL/OPERATION    OUTCOME      LATENCY  CODE/RULE",
                "ci        git       log               ok            3.50ms  -",
                "ci        git       push              denied        0.10ms  DENIED_BY_POLICY a.b[0]",
                "ci        -         execute_tool      timeout       30.00s  T\\u{1b}[2J\\u{202e}",
            ]
        );
        assert!(!table.lines(&some_entries()).contains("AGENT"), "heads stand once");
        assert_eq!(table.lines(&[]), "");
    }

    #[test]
    fn colours_do_not_move_columns() {
        let mut table = Table::new(Ink::Coloured, UTC);
        let coloured = table.lines(&some_entries());
        assert!(coloured.contains("\x1b[31mdenied\x1b[0m"), "{coloured}");
        let uncoloured = coloured.replace(PLAIN, "").replace("\x1b[31m", "").replace("\x1b[32m", "");
        assert_eq!(uncoloured, Table::new(Ink::Plain, UTC).lines(&some_entries()));
    }

    #[test]
    fn a_long_name_pushes_only_its_own_line_aside() {
        let long = "x".repeat(400);
        let mut table = Table::new(Ink::Plain, UTC);
        let lines = table.lines(&[
            entry(&format!(r#""server":"git","target":"{long}","outcome":"ok""#)),
            entry(r#""server":"git","target":"log","outcome":"ok""#),
        ]);
        assert!(lines.contains(&long));
        assert!(lines.lines().last().is_some_and(|line| line.len() < 130), "{lines}");
    }

    #[test]
    fn json_stays_json_when_it_is_made_harmless() {
        let line = "{\"a\":\r\"b\u{85}\u{7f}\u{202e}é\"}";
        let shown = harmless(line);
        assert_eq!(shown, "{\"a\": \"b\\u0085\\u007f\\u202eé\"}");
        let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(parsed(&shown), parsed(line));
        assert!(matches!(harmless("{}"), Cow::Borrowed("{}")));
    }
}
