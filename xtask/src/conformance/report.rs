//! The one table of a run, and the list of what failed in it or was not looked at.

use std::fmt::Write;

use super::checks::Outcome;
use super::expected::Expected;
use super::findings::Finding;
use super::running::Run;

const HEAD: [&str; 9] =
    ["rig", "revision", "scenarios", "passed", "failed", "scored", "passed", "failed", "scored"];

/// Returns the table: a line per rig, without the gateway on the left and through it on the right.
pub(crate) fn table(runs: &[Run]) -> String {
    let rows: Vec<[String; 9]> = [HEAD.map(str::to_owned)].into_iter().chain(runs.iter().map(row)).collect();
    let mut table = String::from("conformance: (1) without the gateway, (2) through the gateway\n");
    for (index, row) in rows.iter().enumerate() {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
            let gap = if matches!(column, 3 | 6) { "| " } else { "" };
            format!("{gap}{cell:width$}")
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        _ = writeln!(table, "{}", line.trim_end());
        if index == 0 {
            _ = writeln!(table, "{}", "-".repeat(line.len()));
        }
    }
    table
}

fn row(run: &Run) -> [String; 9] {
    let head = [run.rig.name.to_owned(), run.rig.revision.to_owned(), run.scenarios.len().to_string()];
    let [name, revision, scenarios] = head;
    let [passed, failed, scored] = counts(run, &run.direct);
    let [through_passed, through_failed, through_scored] = counts(run, &run.through);
    [name, revision, scenarios, passed, failed, scored, through_passed, through_failed, through_scored]
}

fn counts(run: &Run, outcomes: &[Outcome]) -> [String; 3] {
    let passed = outcomes.iter().filter(|outcome| outcome.is_passed()).count();
    let scored = run.scenarios.iter().zip(outcomes).filter(|(scenario, _)| scenario.is_scored);
    let (scored, scored_passed) = scored.fold((0, 0), |(scored, passed), (_, outcome)| {
        (scored + 1, passed + usize::from(outcome.is_passed()))
    });
    let share = if scored == 0 { "-".to_owned() } else { format!("{scored_passed} of {scored}") };
    [passed.to_string(), (outcomes.len() - passed).to_string(), share]
}

/// Returns a paragraph per finding: where the check failed or was not made, whether that is expected, and what the suite
/// says.
pub(crate) fn failures(runs: &[Run], expected: &Expected) -> String {
    let found = runs.iter().flat_map(|run| run.findings().into_iter().map(|finding| (run.rig.name, finding)));
    found.map(|(rig, finding)| paragraph(rig, &finding, expected)).collect()
}

fn paragraph(rig: &str, finding: &Finding, expected: &Expected) -> String {
    let Finding { scenario, check, place, message } = finding;
    let verdict = match expected.entry_for(rig, finding) {
        Some(entry) => format!("expected: {}", entry.reason.trim()),
        None => "NOT EXPECTED".to_owned(),
    };
    format!("{rig} {scenario}:{check}\n    {}; {verdict}\n    {message}\n", place.words())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::rigs::RIGS;
    use crate::conformance::scenarios::Scenario;

    fn run() -> Run {
        let scenario = |name: &str, is_scored| Scenario { name: name.to_owned(), is_scored };
        Run {
            rig: &RIGS[1],
            scenarios: vec![scenario("ping", true), scenario("caching", true), scenario("extra", false)],
            direct: vec![Outcome::default(), Outcome::default(), Outcome::of("x", "late")],
            through: vec![Outcome::default(), Outcome::of("y", "lost"), Outcome::of("x", "late")],
        }
    }

    #[test]
    fn the_table_counts_both_ways() {
        let table = table(&[run()]);
        let line = table.lines().nth(3).unwrap();
        let cells: Vec<&str> = line.split_whitespace().collect();
        let expected = "server-2026-07-28 2026-07-28 3 | 2 1 2 of 2 | 1 2 1 of 2";
        assert_eq!(cells.join(" "), expected, "{table}");
    }

    #[test]
    fn a_failure_says_where_it_fails() {
        let text = failures(&[run()], &Expected::default());
        assert!(
            text.contains("caching:y\n    fails only through the gateway; NOT EXPECTED\n    lost\n"),
            "{text}"
        );
        assert!(text.contains("extra:x\n    fails without the gateway, too; "), "{text}");
    }
}
