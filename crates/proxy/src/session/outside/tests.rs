//! What clients hear outside calls, and when: without servers or streams.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use catalog::View;
use credentials::Credentials;
use domain::{AgentId, AgentSource, SystemClock};
use guardrails::Guardrails;
use identity::{IdentitySettings, Peer, Presented, TokenHash, TokenRecord, config::TokenConfig};
use policy::{Policy, Reading, Rules};
use protocol::{ClientCapabilities, Version};
use serde_json::{Value, json};

use super::{
    super::{
        Opening,
        events::{ALL_BYTES, Budget},
    },
    *,
};
use crate::{ExposureSettings, Files, RateLimits, Roster, admission::Door};

/// The token in the caller's hand.
const TOKEN: &str = "a-token";

fn token(servers: Option<&[&str]>) -> TokenRecord {
    let hash = TokenHash::of(TOKEN).to_string();
    let written = json!({"id": "t", "hash": hash, "agent": "worker", "servers": servers});
    let written: TokenConfig = serde_json::from_value(written).unwrap();
    written.build().unwrap()
}

fn identity(tokens: Vec<TokenRecord>) -> Identity {
    let (agent, agent_source) = (AgentId::new("launched").unwrap(), AgentSource::Launch);
    let settings = IdentitySettings { agent, agent_source, configured: tokens, state_dir: None };
    Identity::new(settings, Arc::new(SystemClock))
}

fn viewpoint(identity: &Identity, door: Door, view: View) -> Viewpoint {
    let presented = match door {
        Door::Stdio => Presented { bearer: None, peer: Peer::Stdio },
        Door::Http | Door::Sse => Presented { bearer: Some(TOKEN), peer: Peer::Loopback },
    };
    Viewpoint { caller: identity.authenticate(presented).unwrap(), door, view }
}

fn configured(policy: Policy) -> Configured {
    Configured {
        policy,
        guardrails: Guardrails::none(),
        credentials: Arc::new(Credentials::default()),
        exposure: Arc::new(ExposureSettings::default()),
        rate_limits: RateLimits::default(),
        roster: Arc::new(Roster::default()),
        files: Files::default(),
    }
}

fn everything() -> Configured {
    configured(Policy::grants_only())
}

fn rules(written: &Value) -> Configured {
    let config = policy::rules::read(written, Reading::Strict).unwrap();
    configured(Policy::with_rules(Rules::build(&config, Reading::Strict).unwrap().rules))
}

/// Opens the session of a client that looks from there.
fn session(viewpoint: &Viewpoint) -> Session {
    let opening = Opening {
        owner: viewpoint.caller.principal().key(),
        view: viewpoint.view.clone(),
        version: Version::LATEST_LEGACY,
        client_info: None,
        capabilities: ClientCapabilities::ALL,
    };
    let session = Session::open(opening).unwrap();
    session.looks_from(viewpoint);
    session
}

fn server(name: &str) -> ServerId {
    ServerId::new(name).unwrap()
}

fn note() -> Untrusted<Said> {
    let params = Some(Bytes::from_static(br#"{"level":"error","data":"x"}"#));
    Untrusted::new(Said::Notification { method: "notifications/message".into(), params })
}

/// Returns a request, and whether it was answered.
fn request() -> (ServerRequest, Arc<AtomicBool>) {
    let was_answered = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&was_answered);
    let request = ServerRequest::new("roots/list".into(), None, move |_| told.store(true, Ordering::Relaxed));
    (request, was_answered)
}

/// Lets server `name` say and ask something; tells whether the client hears and is asked, which go together.
fn hears(session: &Session, identity: &Identity, world: &Configured, name: &str) -> bool {
    let (request, was_refused) = request();
    session.take_said(server(name), note(), 10);
    session.take_said(server(name), Untrusted::new(Said::Request(request)), 10);
    let read = || {
        let waiting = session.outside.pop().expect("it waits");
        session.message(identity, world, waiting)
    };
    let (told, asked) = (read(), read());
    assert_eq!(told.is_some(), asked.is_some());
    assert_ne!(asked.is_some(), was_refused.load(Ordering::Relaxed), "asked or refused");
    told.is_some()
}

#[test]
fn an_endpoint_of_one_server_hears_no_other() {
    let identity = identity(vec![token(None)]);
    let all = session(&viewpoint(&identity, Door::Http, View::All));
    assert!(hears(&all, &identity, &everything(), "one") && hears(&all, &identity, &everything(), "two"));
    let one = session(&viewpoint(&identity, Door::Http, View::Server(server("one"))));
    assert!(hears(&one, &identity, &everything(), "one"));
    assert!(!hears(&one, &identity, &everything(), "two"));
}

#[test]
fn servers_beyond_the_tokens_grant_are_not_heard() {
    let identity = identity(vec![token(Some(&["one"]))]);
    for door in [Door::Http, Door::Sse] {
        let session = session(&viewpoint(&identity, door, View::All));
        assert!(hears(&session, &identity, &everything(), "one"));
        assert!(!hears(&session, &identity, &everything(), "two"));
    }
}

#[test]
fn what_the_rules_take_away_is_not_heard_though_it_was_said_before() {
    let identity = identity(vec![token(None)]);
    let session = session(&viewpoint(&identity, Door::Http, View::All));
    let before = rules(&json!({"agents": {"worker": {"allow": {"servers": ["one", "two"]}}}}));
    let after = rules(&json!({"agents": {"worker": {"allow": {"servers": ["one"]}}}}));
    assert!(hears(&session, &identity, &before, "two"));
    session.take_said(server("two"), note(), 10);
    let waiting = session.outside.pop().unwrap();
    assert_eq!(session.message(&identity, &after, waiting), None);
    assert!(hears(&session, &identity, &after, "one") && !hears(&session, &identity, &after, "two"));
    assert!(!hears(&session, &identity, &rules(&json!({"agents": {}})), "one"));
}

#[test]
fn a_caller_whose_token_was_changed_hears_nothing_until_it_comes_again() {
    let identity = identity(vec![token(None)]);
    let session = session(&viewpoint(&identity, Door::Http, View::All));
    assert!(hears(&session, &identity, &everything(), "two"));
    let agent = || (AgentId::new("launched").unwrap(), AgentSource::Launch);
    let change = |tokens| identity.reconfigure(agent().0, agent().1, tokens);
    change(vec![token(Some(&["one"]))]);
    assert!(
        !hears(&session, &identity, &everything(), "one")
            && !hears(&session, &identity, &everything(), "two")
    );
    session.looks_from(&viewpoint(&identity, Door::Http, View::All));
    assert!(
        hears(&session, &identity, &everything(), "one") && !hears(&session, &identity, &everything(), "two")
    );
    change(Vec::new());
    assert!(!hears(&session, &identity, &everything(), "one"), "it was revoked");
}

#[test]
fn the_launcher_needs_no_token_and_is_judged_by_its_agent() {
    let identity = identity(vec![token(None)]);
    let session = session(&viewpoint(&identity, Door::Stdio, View::All));
    assert!(hears(&session, &identity, &everything(), "one"));
    let world = rules(&json!({"agents": {"launched": {"allow": {"servers": ["two"]}}}}));
    assert!(!hears(&session, &identity, &world, "one") && hears(&session, &identity, &world, "two"));
    identity.reconfigure(AgentId::new("other").unwrap(), AgentSource::Launch, Vec::new());
    assert!(!hears(&session, &identity, &world, "two"), "it is another agent now");
    let world = rules(&json!({"agents": {"other": {"allow": {"servers": ["two"]}}}}));
    assert!(hears(&session, &identity, &world, "two"), "it hears as the agent that it is now");
}

#[test]
fn who_has_not_looked_yet_hears_nothing() {
    let identity = identity(vec![token(None)]);
    let session = session(&viewpoint(&identity, Door::Http, View::All));
    *session.outside.viewpoint.lock() = None;
    assert!(!hears(&session, &identity, &everything(), "one"));
}

fn waiting(session: &Session) -> usize {
    session.outside.queue.lock().waiting.len()
}

/// Opens a session that may keep a part of `all`.
fn sharing(all: &Arc<Budget>) -> Session {
    let identity = identity(vec![token(None)]);
    let mut session = session(&viewpoint(&identity, Door::Http, View::All));
    session.events.keep_within(Arc::clone(all));
    session
}

#[test]
fn what_waits_is_bounded_in_number_and_bytes() {
    let session = sharing(&Budget::new(ALL_BYTES));
    for _ in 0..MAX_WAITING + 1 {
        session.take_said(server("one"), note(), 10);
    }
    assert_eq!(waiting(&session), MAX_WAITING);
    session.take_said(server("one"), note(), MAX_BYTES);
    assert_eq!(waiting(&session), 1, "all others went for it");
    let (request, was_refused) = request();
    session.take_said(server("one"), Untrusted::new(Said::Request(request)), MAX_BYTES + 1);
    assert!(was_refused.load(Ordering::Relaxed));
    assert_eq!(waiting(&session), 1, "what cannot wait drives nothing out");
}

#[test]
fn what_waits_counts_to_what_its_session_may_keep() {
    let all = Budget::new(ALL_BYTES);
    let session = sharing(&all);
    for _ in 0..MAX_WAITING {
        session.take_said(server("one"), note(), 100);
    }
    let taken = session.events.own().taken();
    assert_eq!(taken, MAX_WAITING * (100 + MESSAGE_COST));
    assert_eq!(all.taken(), taken);
    // The session keeps so much else that only little may wait: the newest do.
    let rest = session.events.room(super::super::events::SESSION_BYTES - taken - 150).unwrap();
    session.take_said(server("two"), note(), 10_000);
    let queue = session.outside.queue.lock();
    assert!(queue.waiting.len() < MAX_WAITING && queue.bytes >= 10_000);
    drop((queue, rest));
    while session.outside.pop().is_some() {}
    assert_eq!((session.events.own().taken(), all.taken()), (0, 0), "everything was given back");
}

#[test]
fn when_all_sessions_keep_too_much_nothing_waits() {
    let all = Budget::new(1_000);
    let (session, other) = (sharing(&all), all.take(1_000).unwrap());
    session.take_said(server("one"), note(), 10);
    assert_eq!(waiting(&session), 0);
    drop(other);
    session.take_said(server("one"), note(), 10);
    assert_eq!(waiting(&session), 1);
}

#[test]
fn a_question_of_a_call_needs_somebody_who_listens() {
    let identity = identity(vec![token(None)]);
    let session = session(&viewpoint(&identity, Door::Http, View::All));
    let questions = Questions::default();
    let asking = || {
        let (request, was_answered) = request();
        session.ask_outside(&server("one"), request, &questions);
        was_answered
    };
    assert!(asking().load(Ordering::Relaxed), "refused, because nobody listens");
    session.listeners.enter();
    let was_answered = asking();
    assert!(!was_answered.load(Ordering::Relaxed));
    let Some(Waiting::Asked(question)) = session.outside.pop() else { panic!("it waits for the stream") };
    assert!(session.asked.is_waiting(question.id));
    questions.forget(&session.asked);
    assert!(was_answered.load(Ordering::Relaxed) && !session.asked.is_waiting(question.id));
}

#[test]
fn a_question_that_goes_unread_is_refused() {
    let identity = identity(vec![token(None)]);
    let session = session(&viewpoint(&identity, Door::Http, View::All));
    let questions = Questions::default();
    session.listeners.enter();
    let (waits, waiting_was_refused) = request();
    session.ask_outside(&server("one"), waits, &questions);
    session.take_said(server("one"), note(), MAX_BYTES);
    assert!(waiting_was_refused.load(Ordering::Relaxed), "it had to go for a newer one");
    let was_refused = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&was_refused);
    let params = Some(format!(r#"{{"x":"{}"}}"#, "x".repeat(MAX_BYTES)).into());
    let long = ServerRequest::new("roots/list".into(), params, move |_| told.store(true, Ordering::Relaxed));
    session.ask_outside(&server("one"), long, &questions);
    assert!(was_refused.load(Ordering::Relaxed), "it is too long");
}
