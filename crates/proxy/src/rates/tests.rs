//! The limits as callers meet them: exact under threads, sliding, atomic over rules, kept over a reload, bounded.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::RateLimitConfig;

const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);

fn rules(list: serde_json::Value) -> Vec<RateLimitRule> {
    let entries: Vec<RateLimitConfig> = serde_json::from_value(list).unwrap();
    RateLimitConfig::build_all(&entries).unwrap()
}

fn limits(list: serde_json::Value) -> RateLimits {
    RateLimits::new(rules(list))
}

/// Makes calls at `now` until one is refused, at most 1000, and counts those let through.
fn passing(limits: &RateLimits, agent: &str, server: &str, tool: &str, now: Instant) -> usize {
    (0..1_000).take_while(|_| limits.admit(agent, server, tool, now).is_ok()).count()
}

#[test]
fn fifty_callers_at_once_pass_exactly_as_often_as_the_limit_says() {
    for calls in [1, 7, 50, 333] {
        let limits = limits(json!([
            {"calls": calls, "per": "hour"},
            {"calls": 100_000, "per": "hour", "each": ["agent", "tool"]},
        ]));
        let (start, passed) = (Barrier::new(50), AtomicUsize::new(0));
        thread::scope(|scope| {
            for caller in 0..50 {
                let (limits, start, passed) = (limits.clone(), &start, &passed);
                scope.spawn(move || {
                    start.wait();
                    for _ in 0..20 {
                        let admitted = limits.admit("a", "s", ["t", "u"][caller % 2], Instant::now());
                        passed.fetch_add(usize::from(admitted.is_ok()), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(passed.into_inner(), calls);
    }
}

#[test]
fn the_window_slides_to_the_nanosecond() {
    let limits = limits(json!([{"calls": 2, "per": "10s"}]));
    let start = Instant::now();
    let admit = |after: Duration| limits.admit("a", "s", "t", start + after).map_err(|no| no.retry_after);
    assert_eq!(admit(Duration::ZERO), Ok(()));
    assert_eq!(admit(3 * SECOND), Ok(()));
    assert_eq!(admit(3 * SECOND), Err(7 * SECOND));
    assert_eq!(admit(10 * SECOND - NANO), Err(NANO));
    assert_eq!(admit(10 * SECOND), Ok(()));
    assert_eq!(admit(10 * SECOND), Err(3 * SECOND));
    assert_eq!(admit(13 * SECOND), Ok(()));
    // A caller that read the clock before others were let through is judged by their time.
    assert_eq!(admit(Duration::ZERO), Err(7 * SECOND));
}

#[test]
fn what_has_a_counter_of_its_own_is_chosen_per_rule() {
    let now = Instant::now();
    let check = |each: serde_json::Value, expected: [usize; 4]| {
        let limits = limits(json!([{"calls": 3, "per": "minute", "each": each}]));
        let calls = [("a", "s", "t"), ("b", "s", "t"), ("a", "s", "u"), ("a", "r", "t")];
        assert_eq!(calls.map(|(agent, server, tool)| passing(&limits, agent, server, tool, now)), expected);
    };
    check(json!([]), [3, 0, 0, 0]);
    check(json!(["agent"]), [3, 3, 0, 0]);
    check(json!(["server"]), [3, 0, 0, 3]);
    check(json!(["tool"]), [3, 0, 3, 3]);
    check(json!(["agent", "tool"]), [3, 3, 3, 3]);
}

#[test]
fn calls_that_no_rule_matches_pass() {
    let now = Instant::now();
    assert_eq!(passing(&RateLimits::default(), "a", "s", "t", now), 1_000);
    let limits = limits(json!([{"agents": "bot-*", "tools": ["delete_*"], "calls": 1, "per": "day"}]));
    assert_eq!(passing(&limits, "a", "s", "delete_x", now), 1_000);
    assert_eq!(passing(&limits, "bot-1", "s", "list", now), 1_000);
    assert_eq!(passing(&limits, "bot-1", "s", "delete_x", now), 1);
}

#[test]
fn a_call_that_one_rule_refuses_is_counted_in_none() {
    let limits = limits(json!([
        {"calls": 5, "per": "minute"},
        {"tools": "rare", "calls": 1, "per": "hour", "each": []},
    ]));
    let now = Instant::now();
    assert_eq!(passing(&limits, "a", "s", "rare", now), 1);
    assert_eq!(passing(&limits, "a", "s", "rare", now), 0);
    assert_eq!(passing(&limits, "a", "s", "often", now), 4);
    // Both rules refuse now; the one named is the one to wait for.
    let refused = limits.admit("a", "s", "rare", now).unwrap_err();
    assert_eq!((refused.rule.as_str(), refused.retry_after), ("rate_limits[1]", Duration::from_secs(3_600)));
}

#[test]
fn a_refusal_names_limit_counter_and_time() {
    let now = Instant::now();
    let text = |rule: serde_json::Value, later: Duration| {
        let limits = limits(json!([rule]));
        limits.admit("a'\n", "s", "t", now).unwrap();
        limits.admit("a'\n", "s", "t", now + later).unwrap_err().to_string()
    };
    assert_eq!(
        text(json!({"calls": 1, "per": "minute"}), 48 * SECOND + NANO),
        r"rate limit: 1 call per minute for agent 'a\'\n'; try again in 12 s"
    );
    let limits = limits(json!([{"calls": 2, "per": "10s", "each": ["tool"]}]));
    assert_eq!(passing(&limits, "a", "s", "t", now), 2);
    let refused = limits.admit("a", "s", "t", now + 9 * SECOND + 999 * Duration::from_millis(1)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "rate limit: 2 calls per 10 s for server 's', tool 't'; try again in 1 s"
    );
    assert_eq!(refused.retry_after_secs(), 1);
    assert_eq!((refused.calls, refused.window), (2, 10 * SECOND));
    assert_eq!(
        text(json!({"calls": 1, "per": "1d", "each": []}), Duration::ZERO),
        "rate limit: 1 call per day for all callers together; try again in 86400 s"
    );
}

#[test]
fn a_reload_keeps_the_counters_of_rules_that_count_the_same() {
    let rule = |calls: u32| json!({"calls": calls, "per": "minute"});
    let other = json!({"servers": "other", "calls": 9, "per": "minute"});
    let now = Instant::now();
    let old = limits(json!([rule(5)]));
    assert_eq!(passing(&old, "a", "s", "t", now), 5);

    let moved = old.reconfigured(rules(json!([other, rule(5)])));
    assert_eq!(moved.admit("a", "s", "t", now).unwrap_err().rule, "rate_limits[1]");
    assert_eq!(passing(&moved.reconfigured(rules(json!([rule(7)]))), "a", "s", "t", now), 2);
    // Seven lie within the window now, whoever asks: the counters are shared.
    let lowered = moved.reconfigured(rules(json!([rule(6)])));
    assert!(lowered.admit("a", "s", "t", now + 60 * SECOND - NANO).is_err());
    assert_eq!(passing(&lowered, "a", "s", "t", now + 60 * SECOND), 6);

    let changed = old.reconfigured(rules(json!([{"calls": 5, "per": "hour"}])));
    assert_eq!(passing(&changed, "a", "s", "t", now), 5);
    assert!(old.reconfigured(Vec::new()).admit("a", "s", "t", now).is_ok());
}

#[test]
fn equal_rules_count_a_call_once_each() {
    let rule = json!({"calls": 3, "per": "minute"});
    let limits = limits(json!([rule]));
    let twice = limits.reconfigured(rules(json!([rule, rule])));
    assert_eq!(passing(&twice, "a", "s", "t", Instant::now()), 3);
}

#[test]
fn when_every_counter_is_in_use_a_new_one_is_refused_and_known_ones_go_on() {
    let bounds = Bounds { counters: 4, logged_calls: 1_000 };
    let limits = RateLimits::bounded(rules(json!([{"calls": 3, "per": "10s"}])), bounds);
    let start = Instant::now();
    for (second, agent) in (0..).zip(["a", "b", "c", "d"]) {
        limits.admit(agent, "s", "t", start + second * SECOND).unwrap();
    }
    let refused = limits.admit("e", "s", "t", start + 4 * SECOND).unwrap_err();
    assert_eq!((refused.why, refused.retry_after), (Why::NoRoomToCount, 6 * SECOND));
    limits.admit("a", "s", "t", start + 5 * SECOND).unwrap();
    // `a` called again, so `b` is the first to be forgotten, at 11 s.
    assert!(limits.admit("e", "s", "t", start + 11 * SECOND - NANO).is_err());
    limits.admit("e", "s", "t", start + 11 * SECOND).unwrap();
    assert_eq!(limits.counters.lock().sizes().0, 4);
}

#[test]
fn when_every_place_is_taken_no_call_is_let_through_uncounted() {
    let bounds = Bounds { counters: 100, logged_calls: 20 };
    let limits = RateLimits::bounded(rules(json!([{"calls": 100, "per": "10s"}])), bounds);
    let now = Instant::now();
    assert_eq!(passing(&limits, "a", "s", "t", now), 16);
    assert_eq!(limits.admit("a", "s", "t", now).unwrap_err().why, Why::NoRoomToCount);
    assert_eq!(passing(&limits, "b", "s", "t", now), 4);
    assert_eq!(limits.counters.lock().sizes(), (2, 20));
    assert_eq!(passing(&limits, "c", "s", "t", now + 10 * SECOND), 16);
}

#[test]
fn idle_counters_are_forgotten_along_with_calls() {
    let limits = limits(json!([{"calls": 3, "per": "1s"}]));
    let start = Instant::now();
    for number in 0..1_000 {
        limits.admit(&format!("agent-{number}"), "s", "t", start).unwrap();
    }
    assert_eq!(limits.counters.lock().sizes().0, 1_000);
    for _ in 0..200 {
        // Refused calls clean up as well.
        let _ = limits.admit("a", "s", "t", start + SECOND);
    }
    assert_eq!(limits.counters.lock().sizes(), (1, 3));
}

/// All calls that were let through, for ever, and a count over them.
#[derive(Default)]
struct Naive(Vec<(Duration, [&'static str; 3])>);

/// A rule as the naive model sees it: the tool it counts (none: all), calls, window, what tells counters apart.
type Row = (Option<&'static str>, usize, Duration, [bool; 3]);

const ROWS: [Row; 3] = [
    (None, 4, Duration::from_secs(10), [true, false, false]),
    (Some("t"), 2, Duration::from_secs(3), [false, true, true]),
    (None, 6, Duration::from_secs(7), [false; 3]),
];

impl Naive {
    fn admit(&mut self, call: [&'static str; 3], now: Duration) -> bool {
        let counted = |tool: Option<&str>, call: &[&str; 3]| tool.is_none_or(|tool| tool == call[2]);
        let has_room = ROWS.iter().filter(|row| counted(row.0, &call)).all(|(tool, calls, window, each)| {
            let shares = |other: &[&str; 3]| (0..3).all(|part| !each[part] || other[part] == call[part]);
            let within = |time: Duration| now < time + *window;
            let near =
                self.0.iter().filter(|(time, other)| within(*time) && counted(*tool, other) && shares(other));
            near.count() < *calls
        });
        if has_room {
            self.0.push((now, call));
        }
        has_room
    }
}

proptest! {
    #[test]
    fn the_limits_agree_with_counting_every_call(
        calls in prop::collection::vec((0..3_usize, 0..2_usize, 0..2_usize, 0..1_500_u64), 1..200),
    ) {
        let limits = limits(json!([
            {"calls": 4, "per": "10s"},
            {"tools": "t", "calls": 2, "per": "3s", "each": ["tool"]},
            {"calls": 6, "per": "7s", "each": []},
        ]));
        let (start, mut naive, mut now) = (Instant::now(), Naive::default(), Duration::ZERO);
        for (agent, server, tool, passed) in calls {
            // Steps of 500 ms meet the ends of windows exactly.
            now += Duration::from_millis(passed / 500 * 500 + passed % 2);
            let (agent, server, tool) = (["a", "b", "c"][agent], ["r", "s"][server], ["t", "u"][tool]);
            let admitted = limits.admit(agent, server, tool, start + now);
            prop_assert_eq!(admitted.is_ok(), naive.admit([agent, server, tool], now));
            if let Err(refused) = admitted {
                let (early, in_time) = (now + refused.retry_after - NANO, now + refused.retry_after);
                prop_assert!(!Naive(naive.0.clone()).admit([agent, server, tool], early));
                prop_assert!(Naive(naive.0.clone()).admit([agent, server, tool], in_time));
            }
            limits.counters.lock().sizes();
        }
    }
}
