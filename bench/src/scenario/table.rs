//! The table for people, in Markdown, so that it can go into a note as it is.

use std::fmt::Write;

use crate::scenario::summary::{Row, Summary};

/// Renders the starts of the hops, then one table a scenario and era.
pub(super) fn render(summary: &Summary) -> String {
    let mut text = format!(
        "{} cores, {} rounds of {} s a sample; medians; CPU is user + system of the hop's own processes\n",
        summary.cores, summary.rounds, summary.seconds
    );
    write_starts(&mut text, summary).expect("a String takes every write");
    let same = |one: &Row, other: &Row| (one.era, one.scenario) == (other.era, other.scenario);
    for rows in summary.rows.chunk_by(same) {
        write_rows(&mut text, rows).expect("a String takes every write");
    }
    text
}

fn write_starts(text: &mut String, summary: &Summary) -> std::fmt::Result {
    writeln!(text, "\n| before load | era | endpoint after ms | first tools/list after ms | RSS MB |")?;
    writeln!(text, "|---|---|---|---|---|")?;
    for row in &summary.starts {
        let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
        let (announced, listed) = (ms(row.start.announced_ms), ms(row.start.first_listing_ms));
        let rss = megabytes(row.start.memory.rss_kib as f64);
        writeln!(text, "| {} | {} | {announced} | {listed} | {rss:.1} |", row.hop, row.era.name())?;
    }
    Ok(())
}

fn write_rows(text: &mut String, rows: &[Row]) -> std::fmt::Result {
    let Some(first) = rows.first() else { return Ok(()) };
    writeln!(
        text,
        "\n| {}, {} | CPU us/call | / pass | / nginx | calls/s | / pass | / nginx | p50 us | p99 us | added p50 | added p99 | peak RSS MB | others % | errors |",
        first.scenario.title(),
        first.era.name()
    )?;
    writeln!(text, "|{}", "---|".repeat(14))?;
    for row in rows {
        let cells = [
            format!("{:.1}", row.cpu_us),
            ratio(row.cpu_over_pass),
            ratio(row.cpu_over_nginx),
            format!("{:.0}", row.rps),
            ratio(row.rps_over_pass),
            ratio(row.rps_over_nginx),
            format!("{:.0}", row.p50_us),
            format!("{:.0}", row.p99_us),
            added(row.added_p50_us),
            added(row.added_p99_us),
            format!("{:.1}", megabytes(row.peak_rss_kib)),
            format!("{:.0}", row.foreign_cpu * 100.0),
            row.errors.to_string(),
        ];
        writeln!(text, "| {} | {} |", row.hop, cells.join(" | "))?;
    }
    Ok(())
}

fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

fn added(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:+.0}"))
}

fn megabytes(kib: f64) -> f64 {
    kib / 1024.0
}
