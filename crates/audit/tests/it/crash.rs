//! `kill -9` at any moment: every call that was told "begun" is on record, and the file goes on.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use audit::{End, Mode, Outcome, Settings, Trail, verify};

use crate::support::{begin, principal};

/// Names the trail for the helper process; without it the helper does nothing.
const FILE: &str = "AUDIT_TEST_FILE";

/// Not a test of its own: the process that the tests kill. It makes calls for ever and prints each as it begins.
#[tokio::test]
async fn helper() {
    let Some(file) = std::env::var_os(FILE) else { return };
    let trail = Trail::open(&Settings::at(file).with_mode(Mode::Written)).unwrap();
    let (who, mut out) = (principal(), std::io::stdout());
    loop {
        let call = trail.begin(begin(&who)).await.unwrap();
        writeln!(out, "\nbegun {}", call.id()).unwrap();
        call.finish(End::of(Outcome::Ok));
    }
}

/// Starts the helper, kills it once it began `count` calls, and returns the calls it told of.
fn begun_before_kill(file: &Path, count: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::helper", "--exact", "--nocapture"])
        .env(FILE, file)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut begun = Vec::new();
    let call = |line: String| line.strip_prefix("begun ").map(str::to_owned);
    while begun.len() < count {
        begun.extend(call(lines.next().expect("the helper runs").unwrap()));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // The pipe may still hold calls, and a last one cut in the middle.
    let rest: Vec<_> = lines.map_while(Result::ok).filter_map(call).collect();
    begun.extend(rest.into_iter().filter(|id| id.contains('-')));
    begun
}

/// Returns the call that a begin line begins.
fn begun_on_line(line: &str) -> Option<&str> {
    let (_, behind) = line.strip_prefix(r#"{"phase":"begin","#)?.split_once(r#""call":""#)?;
    behind.split('"').next()
}

#[test]
fn r24_no_begun_call_is_lost_by_kill_9_and_the_chain_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    for round in 0..12 {
        let begun = begun_before_kill(&file, 1 + round * 13 % 97);
        let report = verify(BufReader::new(File::open(&file).unwrap())).unwrap();
        assert!(report.lines >= begun.len() as u64);
        let text = fs::read_to_string(&file).unwrap();
        let on_record: HashSet<_> = text.lines().filter_map(begun_on_line).collect();
        // The last may be cut in the pipe; the others are whole.
        for id in &begun[..begun.len() - 1] {
            assert!(on_record.contains(id.as_str()), "round {round}: {id} is not on record");
        }
    }
}

#[test]
fn a_line_torn_anywhere_is_cut_off_and_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    let text = crate::support::finished_trail(&file, 3);
    let last_line = text[..text.len() - 1].rfind('\n').unwrap() + 1;
    for length in [last_line + 1, last_line + 200, text.len() - 1] {
        fs::write(&file, &text[..length]).unwrap();
        drop(Trail::open(&Settings::at(&file)).unwrap());
        let report = verify(BufReader::new(File::open(&file).unwrap())).unwrap();
        assert_eq!((report.lines, report.torn_bytes, report.open_calls), (7, 0, Some(1)));
        let recovered = format!(r#""event":"recovered","details":{{"cut_bytes":{}}}"#, length - last_line);
        assert!(fs::read_to_string(&file).unwrap().contains(&recovered));
    }
}

#[test]
fn a_first_line_torn_is_cut_off_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    fs::write(&file, r#"{"phase":"beg"#).unwrap();
    drop(Trail::open(&Settings::at(&file)).unwrap());
    assert_eq!(verify(BufReader::new(File::open(&file).unwrap())).unwrap().lines, 1);
}
