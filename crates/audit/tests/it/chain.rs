//! Laws of the chain: whatever is done to a line is found, and a torn end harms nothing before it.

use std::sync::LazyLock;

use audit::{Fault, Known, Link, Problem, Report, verify, verify_against};
use proptest::{prelude::*, sample::Index};

use crate::support::finished_trail;

/// A trail of 13 lines, with what its owner knows of it.
static TRAIL: LazyLock<(Vec<String>, Known)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let text = finished_trail(&folder.path().join("a.jsonl"), 6);
    let head = verify(text.as_bytes()).unwrap().head;
    (text.lines().map(|line| format!("{line}\n")).collect(), Known { holds: Some(head), ..Known::default() })
});

/// The lines of another trail of the same length.
static OTHER: LazyLock<Vec<String>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let text = finished_trail(&folder.path().join("b.jsonl"), 6);
    text.lines().map(|line| format!("{line}\n")).collect()
});

fn lines() -> Vec<String> {
    TRAIL.0.clone()
}

fn check(lines: &[String]) -> Result<Report, Fault> {
    verify_against(lines.concat().as_bytes(), TRAIL.1)
}

#[test]
fn an_untouched_trail_verifies() {
    let report = check(&lines()).unwrap();
    assert_eq!((report.lines, report.calls, report.events, report.torn_bytes), (13, 6, 1, 0));
    assert_eq!((report.open_calls, report.ends_without_begin), (Some(0), Some(0)));
}

#[test]
fn a_later_part_verifies_against_the_head_of_the_part_before() {
    let all = lines();
    let head = verify(all[..5].concat().as_bytes()).unwrap().head;
    let rest = all[5..].concat();
    verify_against(rest.as_bytes(), Known { after: head, holds: None }).unwrap();
    assert!(matches!(verify(rest.as_bytes()), Err(Fault { line: 1, problem: Problem::Ahead { .. } })));
}

#[test]
fn a_rewritten_trail_does_not_hold_the_known_line() {
    let other = OTHER.concat();
    verify(other.as_bytes()).unwrap();
    let fault = verify_against(other.as_bytes(), TRAIL.1).unwrap_err();
    assert!(matches!(fault, Fault { line: 13, problem: Problem::Rewritten }), "{fault}");
}

#[test]
fn an_empty_file_is_a_trail_without_lines() {
    assert_eq!(verify(&b""[..]).unwrap().head, Link::GENESIS);
}

proptest! {
    #[test]
    fn an_edited_byte_is_found_in_its_line(at in any::<Index>(), in_line in any::<Index>(), change in 1..=255_u8) {
        let mut lines = lines();
        let at = at.index(lines.len());
        let mut bytes = lines[at].clone().into_bytes();
        let in_line = in_line.index(bytes.len());
        let before = bytes[in_line];
        bytes[in_line] ^= change;
        let is_newline = before == b'\n' || bytes[in_line] == b'\n';
        let text = [lines[..at].concat().as_bytes(), &bytes, lines.split_off(at + 1).concat().as_bytes()].concat();
        let fault = verify_against(&text[..], TRAIL.1).unwrap_err();
        prop_assert!(is_newline || fault.line == at as u64 + 1, "{}", fault);
    }

    #[test]
    fn a_removed_line_is_found(at in any::<Index>()) {
        let mut lines = lines();
        let at = at.index(lines.len());
        lines.remove(at);
        prop_assert_eq!(check(&lines).unwrap_err().line, at as u64 + 1);
    }

    #[test]
    fn two_exchanged_lines_are_found(one in any::<Index>(), other in any::<Index>()) {
        let mut lines = lines();
        let (one, other) = (one.index(lines.len()), other.index(lines.len()));
        prop_assume!(one != other);
        lines.swap(one, other);
        prop_assert_eq!(check(&lines).unwrap_err().line, one.min(other) as u64 + 1);
    }

    #[test]
    fn a_repeated_line_is_found(from in any::<Index>(), to in any::<Index>()) {
        let mut lines = lines();
        let (from, to) = (from.index(lines.len()), to.index(lines.len() + 1));
        lines.insert(to, lines[from].clone());
        let fault = check(&lines).unwrap_err();
        // Beside its original, the second of the two is the fault.
        let expected = if to == from { to + 1 } else { to };
        prop_assert_eq!(fault.line, expected as u64 + 1);
    }

    #[test]
    fn a_line_of_another_trail_is_found(at in any::<Index>(), from in any::<Index>(), replace in any::<bool>()) {
        let mut lines = lines();
        let at = at.index(lines.len());
        let stranger = OTHER[from.index(OTHER.len())].clone();
        if replace { lines[at] = stranger } else { lines.insert(at, stranger) }
        prop_assert!(check(&lines).is_err());
    }

    #[test]
    fn lines_before_a_torn_end_verify(cut in any::<Index>()) {
        let text = lines().concat();
        let cut = cut.index(text.len());
        let whole = text[..cut].matches('\n').count() as u64;
        let torn = text[..cut].rfind('\n').map_or(cut, |newline| cut - newline - 1) as u64;
        let report = verify(&text.as_bytes()[..cut]).unwrap();
        prop_assert_eq!((report.lines, report.torn_bytes), (whole, torn));
    }

    #[test]
    fn rubbish_is_a_fault_or_a_torn_end_and_never_a_panic(rubbish in any::<Vec<u8>>()) {
        let lines = rubbish.iter().filter(|byte| **byte == b'\n').count();
        prop_assert_eq!(verify(&rubbish[..]).is_ok(), lines == 0);
    }
}
