//! The runner from end to end, for a blink: every part starts, answers rightly in both eras, and ends.

use std::process::Command;

use serde_json::Value;

#[test]
fn every_hop_answers_rightly_in_both_eras() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("bench.json");
    let status = Command::new(env!("CARGO_BIN_EXE_run"))
        .args(["--without-nginx", "--rounds", "1", "--seconds", "0.1", "--warmup", "0", "--quiet", "1"])
        .args(["--only", "echo1", "echo16", "kb10", "mb1", "list", "--output"])
        .arg(&output)
        .status()
        .unwrap();
    assert!(status.success());
    let report: Value = serde_json::from_slice(&std::fs::read(&output).unwrap()).unwrap();
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2 * 5 * 4, "eras, scenarios, hops");
    for row in rows {
        assert_eq!(row["errors"], 0, "{row}");
        // A large answer may take longer than the measured time on a slow machine; an echo does not.
        let is_echo = row["scenario"].as_str().unwrap().starts_with("echo");
        assert!(!is_echo || row["rps"].as_f64().unwrap() > 0.0, "{row}");
    }
}

#[test]
fn a_gateway_that_does_not_start_is_named_with_its_last_lines() {
    let run = Command::new(env!("CARGO_BIN_EXE_run"))
        .args([
            "--without-nginx",
            "--era",
            "legacy",
            "--only",
            "echo1",
            "--gateway",
            env!("CARGO_BIN_EXE_pass"),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(!run.status.success());
    assert!(said.contains("`gateway` named no endpoint") && said.contains("unexpected argument"), "{said}");
}
