//! The rows of the batteries that cannot apply yet, with the reason; and the check that no row was forgotten.

/// Rows of the security battery that belong to what exists today.
const SECURITY: &[&str] = &[
    "S01", "S02", "S04", "S06", "S07", "S09", "S10", "S12", "S14", "S15", "S16", "S28", "S29", "S39", "S62",
    "S64", "S73",
];

/// Rows of the groups upstream, client, shutdown, crash, disk, stream and correlate of the reliability battery.
const RELIABILITY: &[&str] = &[
    "R01", "R02", "R04", "R06", "R07", "R08", "R09", "R10", "R12", "R14", "R15", "R16", "R18", "R20", "R21",
    "R23", "R24", "R26", "R27", "R28", "R30", "R49", "R56",
];

/// Rows without a test, and why.
const NOT_YET: &[(&str, &str)] = &[
    ("R02", "no server is trusted, and nothing is retried: that needs trust in hints and a second endpoint"),
    ("R09", "a server has one endpoint; there is nothing to eject and nothing to fail over to"),
    ("R30", "there is no database: tokens and the trail are files"),
];

/// Rows that have a test for a part, and what the rest waits for.
const IN_PART: &[(&str, &str)] = &[
    ("S01", "an upstream that is called after a page was refused is the whole of it; no browser takes part"),
    ("S12", "a rate limit that falls inside a batch is not tried"),
    ("S29", "20,000 calls and not a million; `TOOLGATE_TEST_SCALE` multiplies them"),
    ("R07", "100 MB and not 1 GB, with a smaller limit and fewer callers"),
    ("R08", "seconds and not minutes"),
    ("R12", "being killed for want of memory is played by SIGKILL, which is how the kernel does it"),
    ("R18", "two thousand sessions and seconds, not ten thousand and minutes"),
    ("R21", "that readiness says 503 first can be seen only on a connection that was open before"),
    ("R24", "some twenty kills and not a thousand"),
    (
        "R26",
        "only the trail and the tokens exist; configuration, credentials, pins and approvals are not written by the gateway, and no points of failure are compiled in",
    ),
    (
        "R27",
        "no message is known that panics, so what a panic does to its request is tested beside its guards in `proxy`; what is tried here are the stack and numbers at their bounds",
    ),
    ("R28", "the disk is played by a limit on file sizes; there is no log volume and no database"),
    ("R49", "seconds and not an hour; no load balancer stands before the gateway"),
    ("R56", "20,000 calls and not a million; `TOOLGATE_TEST_SCALE` multiplies them"),
];

/// The tests of this target as they stand in its sources.
const SOURCES: &[&str] = &[
    include_str!("bad_input.rs"),
    include_str!("batches.rs"),
    include_str!("bodies.rs"),
    include_str!("changes.rs"),
    include_str!("children.rs"),
    include_str!("correlation.rs"),
    include_str!("crash.rs"),
    include_str!("disk.rs"),
    include_str!("door_checks.rs"),
    include_str!("doors.rs"),
    include_str!("gone_clients.rs"),
    include_str!("headers.rs"),
    include_str!("http_upstreams.rs"),
    include_str!("launched.rs"),
    include_str!("log_injection.rs"),
    include_str!("loops.rs"),
    include_str!("old_stream.rs"),
    include_str!("principals.rs"),
    include_str!("same_bytes.rs"),
    include_str!("sessions.rs"),
    include_str!("shutdown.rs"),
    include_str!("smuggling.rs"),
    include_str!("stdio_upstreams.rs"),
    include_str!("streams.rs"),
    include_str!("tokens.rs"),
];

fn has_test(row: &str) -> bool {
    let beginning = format!("#[test]\nfn {}_", row.to_lowercase());
    SOURCES.iter().any(|source| source.contains(&beginning))
}

#[test]
fn every_row_has_a_test_or_a_reason() {
    for row in SECURITY.iter().chain(RELIABILITY) {
        let listed = NOT_YET.iter().any(|(other, _)| other == row);
        assert!(
            has_test(row) != listed,
            "{row}: has a test: {}, is listed as not yet: {listed}",
            has_test(row)
        );
    }
    for (row, reason) in NOT_YET.iter().chain(IN_PART) {
        assert!(SECURITY.contains(row) || RELIABILITY.contains(row), "{row} is no row");
        assert!(!reason.is_empty(), "{row}");
    }
    for (row, _) in IN_PART {
        assert!(has_test(row), "{row} has no test, so it is not tested in part");
    }
}
