//! The vectors of agent-mcp-gateway's decisions: the compatible reading agrees with every one of them, the strict one
//! differs only where `stricter.txt` says so, and only by allowing less.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod vectors {
    pub(crate) mod case;
}

use std::collections::BTreeMap;

use policy::{
    Denial, Reading, Rules, Verdict, peer_validation,
    rules::{read, read_shape},
};
use vectors::case::{self, Case};

/// Rules that the peer's engine was given although its validator refuses them, and could not evaluate or misread.
const MALFORMED: [&str; 4] = ["p0481", "p0482", "p0483", "p0484"];

fn is_malformed(case: &Case) -> bool {
    MALFORMED.contains(&case.id.as_str())
        || case.note.as_deref().is_some_and(|note| note.starts_with("malformed rules object"))
}

fn rules(case: &Case, reading: Reading) -> Option<Rules> {
    let config = read_shape(&case.rules, reading).ok()?;
    Some(Rules::build(&config, reading).unwrap().rules)
}

fn judge(case: &Case, reading: Reading) -> Option<Verdict> {
    Some(rules(case, reading)?.judge(&case.agent_id, &case.server, case.tool.as_deref()))
}

#[test]
fn compatible_verdicts_are_the_peers_in_every_case() {
    let cases = case::policy_cases();
    let mut wrong = Vec::new();
    for case in cases.iter().filter(|case| !is_malformed(case)) {
        let Some(ours) = judge(case, Reading::AgentMcpGateway) else {
            wrong.push(format!("{}: not read", case.id));
            continue;
        };
        let theirs = (case.allowed, case.rule.as_deref(), case.step.as_deref());
        if theirs != (Some(ours.allowed), Some(&ours.rule), Some(ours.step.as_str())) {
            wrong.push(format!("{}: {theirs:?} became {ours:?}", case.id));
        }
        if !case.reason_suspect && case.peer_reason.as_deref() != Some(&ours.reason) {
            wrong.push(format!("{}: reason {:?} became {:?}", case.id, case.peer_reason, ours.reason));
        }
    }
    println!("{} cases, {} of them suspect", cases.len(), cases.iter().filter(|case| case.suspect).count());
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn malformed_rules_are_load_errors_in_every_reading() {
    let cases = case::policy_cases();
    let malformed: Vec<_> = cases.iter().filter(|case| is_malformed(case)).collect();
    assert!(malformed.len() >= MALFORMED.len());
    for case in malformed {
        for reading in [Reading::Strict, Reading::AgentMcpGateway, Reading::Own] {
            let faults = read(&case.rules, reading).expect_err(&case.id);
            assert!(!faults.is_empty(), "{}", case.id);
            assert!(read_shape(&case.rules, reading).is_err(), "{}", case.id);
        }
    }
}

#[test]
fn the_peers_validator_judges_the_rules_of_every_case_alike() {
    for case in case::policy_cases() {
        let ours = peer_validation::gateway_rules(&case.rules).err();
        assert_eq!(ours.is_none(), case.peer_validates, "{}", case.id);
        assert_eq!(ours, case.peer_validation_error, "{}", case.id);
        assert_eq!(read(&case.rules, Reading::AgentMcpGateway).is_ok(), case.peer_validates, "{}", case.id);
    }
}

#[test]
fn the_peers_validator_says_the_same_in_every_validation_case() {
    let cases = case::validation_cases();
    assert!(cases.len() >= 50, "only {} validation cases", cases.len());
    for case in &cases {
        let ours = peer_validation::gateway_rules(&case.input);
        assert_eq!(ours.is_ok(), case.valid, "{}", case.input);
        assert_eq!(ours.err(), case.error, "{}", case.input);
    }
    println!("{} validation cases", cases.len());
}

#[test]
fn listed_servers_are_the_peers_where_they_differ_from_what_may_be_used() {
    let mut count = 0;
    for case in case::policy_cases().iter().filter(|case| !is_malformed(case)) {
        let Some(mismatch) = &case.list_servers_mismatch else { continue };
        let rules = rules(case, Reading::AgentMcpGateway).unwrap();
        let can = rules.judge(&case.agent_id, &case.server, None).allowed;
        assert_eq!(can, mismatch.can_access_server, "{}", case.id);
        assert_eq!(rules.allowed_servers(&case.agent_id), mismatch.get_allowed_servers, "{}", case.id);
        count += 1;
    }
    assert!(count > 0, "no case says what is listed");
    println!("{count} cases with another list of servers");
}

/// `None`: not loaded.
fn difference(case: &Case) -> Option<String> {
    let (theirs, ours) = (case.allowed, judge(case, Reading::Strict));
    let Some(ours) = ours else { return Some("the rules are not loaded".to_owned()) };
    let same = theirs == Some(ours.allowed)
        && case.rule.as_deref() == Some(&ours.rule)
        && case.step.as_deref() == Some(ours.step.as_str());
    (!same).then(|| format!("allowed {theirs:?} became {} by {} ({})", ours.allowed, ours.rule, ours.step))
}

#[test]
fn strict_verdicts_differ_only_where_the_list_says_why() {
    let listed: BTreeMap<&str, &str> = include_str!("stricter.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| line.split_once(" | ").expect("`id | reason`"))
        .collect();
    let cases = case::policy_cases();
    let differing: BTreeMap<&str, String> =
        cases.iter().filter_map(|case| Some((case.id.as_str(), difference(case)?))).collect();
    for (id, difference) in &differing {
        assert!(listed.contains_key(id), "not in the list: {id}: {difference}");
    }
    for (id, reason) in &listed {
        assert!(differing.contains_key(id), "stale in the list: {id} | {reason}");
    }
    println!("{} cases, {} differ in the strict reading", cases.len(), differing.len());
}

#[test]
fn strict_verdicts_never_allow_what_the_peer_denies() {
    for case in case::policy_cases() {
        let Some(ours) = judge(&case, Reading::Strict) else { continue };
        assert!(!ours.allowed || case.allowed == Some(true), "{}: {ours:?}", case.id);
        assert_eq!(Denial::of(&ours).is_none(), ours.allowed, "{}", case.id);
        assert!(!ours.rule.is_empty() && !ours.reason.is_empty(), "{}", case.id);
    }
}
