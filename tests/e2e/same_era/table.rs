//! The table that the test prints: a row for each client, era and way, a column for each feature.

use super::features::FEATURES;

/// What came of one run: a cell for each feature, in their order.
pub(super) struct Row {
    /// Client, revision, and how the gateway was reached and reached the server.
    pub(super) head: [String; 4],
    /// What was seen wrong, and `None` where all was right.
    pub(super) cells: Vec<Option<String>>,
    /// What client and gateway wrote to standard error.
    pub(super) said: String,
}

/// What the first columns are called.
const HEAD: [&str; 4] = ["client", "revision", "client to gateway", "gateway to server"];

impl Row {
    /// Returns whether something was wrong.
    pub(super) fn has_failed(&self) -> bool {
        self.cells.iter().any(Option::is_some)
    }

    /// Tells what was wrong and what was written meanwhile; nothing when all was right.
    pub(super) fn complaint(&self) -> String {
        if !self.has_failed() {
            return String::new();
        }
        let failures = FEATURES.iter().zip(&self.cells);
        let failures = failures.filter_map(|(feature, cell)| Some((feature.name, cell.as_ref()?)));
        let lines: String = failures.map(|(name, wrong)| format!("  {name}: {wrong}\n")).collect();
        format!("{}\n{lines}--- said meanwhile:\n{}\n", self.head.join(", "), self.said)
    }

    fn words(&self) -> Vec<String> {
        let cells = self.cells.iter().map(|cell| if cell.is_some() { "FAILED" } else { "ok" }.to_owned());
        self.head.iter().cloned().chain(cells).collect()
    }
}

/// Returns the table, its columns as wide as they must be.
pub(super) fn table(rows: &[Row]) -> String {
    let head = HEAD.into_iter().chain(FEATURES.iter().map(|feature| feature.name)).map(str::to_owned);
    let lines: Vec<Vec<String>> = [head.collect()].into_iter().chain(rows.iter().map(Row::words)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    let line = |words: &Vec<String>| {
        let padded = words.iter().zip(&widths).map(|(word, width)| format!("{word:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    lines.iter().map(line).collect()
}
