//! Who is let in, by which scheme, and when not any more.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use domain::{AgentId, AgentSource, Clock, ServerId};
use identity::{
    AuthError, Authenticated, CreatedToken, Identity, IdentitySettings, NewToken, Peer, Presented,
    TokenStore, config::TokenConfig,
};

#[derive(Debug, Clone)]
struct ManualClock(Arc<Mutex<SystemTime>>);

impl ManualClock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(SystemTime::UNIX_EPOCH + Duration::from_hours(400_000))))
    }

    fn advance(&self, by: Duration) {
        *self.0.lock().expect("no test panics with it") += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().expect("no test panics with it")
    }
}

struct Bench {
    folder: tempfile::TempDir,
    clock: ManualClock,
    identity: Identity,
    store: TokenStore,
}

impl Bench {
    fn new() -> Self {
        Self::with_configured(&[])
    }

    fn with_configured(configured: &[TokenConfig]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = ManualClock::new();
        let identity = identity_in(folder.path(), configured, &clock);
        let store = TokenStore::new(folder.path());
        Self { folder, clock, identity, store }
    }

    fn create(&self, new: NewToken) -> CreatedToken {
        self.store.create(new, self.clock.now()).expect("the folder can be written")
    }

    fn show(&self, bearer: Option<&str>, peer: Peer) -> Result<Authenticated, AuthError> {
        self.identity.authenticate(Presented { bearer, peer })
    }

    fn check(&self, bearer: Option<&str>, peer: Peer, expected: &str) {
        let verdict = match self.show(bearer, peer) {
            Ok(caller) => caller.principal().agent.to_string(),
            Err(error) => error.to_string(),
        };
        assert!(verdict.starts_with(expected), "{peer:?}: {verdict}");
    }
}

fn identity_in(folder: &Path, configured: &[TokenConfig], clock: &ManualClock) -> Identity {
    let settings = IdentitySettings {
        agent: AgentId::new("default").expect("a name"),
        agent_source: AgentSource::Builtin,
        configured: configured.iter().map(|token| token.build().expect("a sound token")).collect(),
        state_dir: Some(folder.to_owned()),
    };
    Identity::new(settings, Arc::new(clock.clone()))
}

fn agent(name: &str) -> NewToken {
    NewToken { agent: name.into(), ..NewToken::default() }
}

const NEEDED: &str = "an access token is needed";
const INVALID: &str = "the access token is not valid";

#[test]
fn a_claimed_agent_is_believed_without_a_token_only() {
    let bench = Bench::new();
    let created = bench.create(agent("reviewer"));
    let name = |text: &str| AgentId::new(text).expect("a name");
    let launcher = bench.show(None, Peer::Stdio).expect("let in");
    let claimed = launcher.claim(name("ghost")).expect("believed");
    assert_eq!(claimed.principal().agent, name("ghost"));
    assert_eq!(claimed.principal().agent_source, AgentSource::Claimed);
    let bound = bench.show(Some(created.token.expose()), Peer::Loopback).expect("let in");
    assert_eq!(bound.claim(name("reviewer")).expect("its own").principal().agent_source, AgentSource::Token);
    assert!(bound.claim(name("ghost")).is_err());
}

#[test]
fn without_any_token_local_callers_are_the_launcher() {
    let bench = Bench::new();
    bench.check(None, Peer::Stdio, "default");
    bench.check(None, Peer::Loopback, "default");
    bench.check(None, Peer::Network, NEEDED);
    bench.check(Some("tg_0_wrong"), Peer::Loopback, INVALID);
    bench.check(Some(""), Peer::Stdio, INVALID);
}

#[test]
fn one_token_closes_loopback_and_leaves_stdio_open() {
    let bench = Bench::new();
    let created = bench.create(agent("reviewer"));
    let token = created.token.expose();
    for peer in [Peer::Stdio, Peer::Loopback, Peer::Network] {
        bench.check(Some(token), peer, "reviewer");
    }
    bench.check(None, Peer::Stdio, "default");
    bench.check(None, Peer::Loopback, NEEDED);
    bench.check(None, Peer::Network, NEEDED);
    for wrong in [&token[1..], &token.to_uppercase(), &format!("{token} "), &"x".repeat(1_000_000)] {
        bench.check(Some(wrong), Peer::Network, INVALID);
    }
}

#[test]
fn the_token_decides_agent_user_roles_and_servers() {
    let bench = Bench::new();
    let created = bench.create(NewToken {
        user: Some("ada".into()),
        roles: vec!["developer".into()],
        servers: Some(vec!["github".into()]),
        ..agent("reviewer")
    });
    let caller = bench.show(Some(created.token.expose()), Peer::Network).expect("a good token");
    let principal = caller.principal();
    assert_eq!(principal.user.as_ref().map(domain::UserId::as_str), Some("ada"));
    assert_eq!(principal.roles, ["developer".into()]);
    assert_eq!(principal.token.as_ref(), Some(created.record.id()));
    assert!(principal.servers.reaches(&ServerId::new("github").expect("a name")));
    assert!(!principal.servers.reaches(&ServerId::new("files").expect("a name")));
}

#[test]
fn a_token_dies_at_its_expiry() {
    let bench = Bench::new();
    let expires = Some(bench.clock.now() + Duration::from_mins(1));
    let created = bench.create(NewToken { expires, ..agent("reviewer") });
    bench.check(Some(created.token.expose()), Peer::Network, "reviewer");
    bench.clock.advance(Duration::from_secs(59));
    bench.check(Some(created.token.expose()), Peer::Network, "reviewer");
    bench.clock.advance(Duration::from_secs(1));
    bench.check(Some(created.token.expose()), Peer::Network, "access token `");
    bench.check(None, Peer::Loopback, NEEDED);
}

#[test]
fn a_revoked_token_dies_on_its_next_request_in_every_gateway() {
    let bench = Bench::new();
    let second = identity_in(bench.folder.path(), &[], &bench.clock);
    let kept = bench.create(agent("kept"));
    let lost = bench.create(agent("lost"));
    let show = |identity: &Identity, token: &CreatedToken| {
        identity.authenticate(Presented { bearer: Some(token.token.expose()), peer: Peer::Network }).is_ok()
    };
    assert!(show(&bench.identity, &lost) && show(&second, &lost));

    let other_process = TokenStore::new(bench.folder.path());
    assert!(other_process.revoke(lost.record.id()).expect("the folder can be written"));

    for identity in [&bench.identity, &second] {
        assert!(!show(identity, &lost));
        assert!(show(identity, &kept));
    }
    assert!(!other_process.revoke(lost.record.id()).expect("the folder can be written"));
}

#[test]
fn revoking_the_last_token_opens_nothing() {
    let bench = Bench::new();
    let created = bench.create(agent("only"));
    bench.store.revoke(created.record.id()).expect("the folder can be written");
    bench.check(None, Peer::Loopback, NEEDED);
    fs::remove_file(bench.store.path()).expect("the file is there");
    bench.check(None, Peer::Loopback, NEEDED);
    assert!(bench.identity.requires_token().expect("readable"));
}

#[test]
fn a_file_that_cannot_be_trusted_lets_nobody_in() {
    let bench = Bench::new();
    let created = bench.create(agent("reviewer"));
    let token = Some(created.token.expose().as_str());
    let path = bench.store.path();
    let sound = fs::read_to_string(&path).expect("readable");
    let damaged = [
        ("{".to_owned(), "it ends too early (line 1, column 1)"),
        ("[]".to_owned(), "it has not the shape of a list of tokens"),
        (sound.replace("\"version\": 1", "\"version\": 2"), "its version is 2, this program reads 1"),
        (sound.replace("sha256:", "md5:"), "tokens.0: `hash`: not `sha256:` and 64 hexadecimal digits"),
        (sound.replace("\"agent\"", "\"agemt\""), "it has not the shape of a list of tokens"),
    ];
    for (content, reason) in damaged {
        fs::write(&path, content).expect("writable");
        let error = bench.show(token, Peer::Network).expect_err("a damaged file");
        let identity::AuthError::TokensUnavailable(found) = &error else { panic!("{error}") };
        assert!(found.to_string().contains(reason), "{found}");
        assert!(!error.to_string().contains("tokens.json"), "strangers are not told why: {error}");
        bench.check(None, Peer::Loopback, "access tokens cannot be checked");
        bench.check(None, Peer::Stdio, "default");
        assert!(bench.store.list().is_err() && bench.store.create(agent("x"), bench.clock.now()).is_err());
    }
    fs::write(&path, &sound).expect("writable");
    bench.check(token, Peer::Network, "reviewer");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o622)).expect("ours");
    bench.check(token, Peer::Network, "access tokens cannot be checked");
}

#[test]
fn configured_tokens_count_beside_the_file() {
    let hash = identity::TokenHash::of("tg_ci_secret").to_string();
    let text = serde_json::json!({"id": "ci", "hash": hash, "agent": "builder"});
    let config: TokenConfig = serde_json::from_value(text).expect("known keys");
    let bench = Bench::with_configured(&[config]);
    bench.check(Some("tg_ci_secret"), Peer::Network, "builder");
    bench.check(None, Peer::Loopback, NEEDED);
    let created = bench.create(agent("reviewer"));
    bench.check(Some(created.token.expose()), Peer::Network, "reviewer");
}

/// The token `ci` of a configuration file, with this secret.
fn configured(secret: &str) -> TokenConfig {
    let hash = identity::TokenHash::of(secret).to_string();
    let text = serde_json::json!({"id": "ci", "hash": hash, "agent": "builder"});
    serde_json::from_value(text).expect("known keys")
}

fn reconfigure(bench: &Bench, tokens: &[TokenConfig]) {
    let records = tokens.iter().map(|token| token.build().expect("a sound token")).collect();
    bench.identity.reconfigure(AgentId::new("default").expect("a name"), AgentSource::Builtin, records);
}

#[test]
fn another_secret_under_the_same_name_is_another_grant() {
    let bench = Bench::with_configured(&[configured("tg_ci_leaked")]);
    let leaked = bench.show(Some("tg_ci_leaked"), Peer::Network).expect("let in");
    assert!(bench.identity.still_vouches(&leaked));
    reconfigure(&bench, &[configured("tg_ci_new")]);
    assert!(!bench.identity.still_vouches(&leaked), "its holder would not be let in");
    assert!(!bench.identity.still_tolerates(&leaked), "nor may it finish");
    let new = bench.show(Some("tg_ci_new"), Peer::Network).expect("let in");
    assert!(bench.identity.still_vouches(&new) && new.principal() == leaked.principal());
    let hash = identity::TokenHash::of("tg_ci_new").to_string();
    assert!(!format!("{new:?}").contains(hash.trim_start_matches("sha256:")), "not even the hash is shown");

    // The same by the file: it is written by hand here, since the program gives every token an id of its own.
    let created = bench.create(agent("reviewer"));
    let caller = bench.show(Some(created.token.expose()), Peer::Network).expect("let in");
    assert!(bench.identity.still_vouches(&caller));
    let file = fs::read_to_string(bench.store.path()).expect("readable");
    let rotated =
        file.replace(&created.record.hash().to_string(), &hash.replace("sha256:", "sha256:00")[..71]);
    assert_ne!(file, rotated);
    fs::write(bench.store.path(), rotated).expect("writable");
    assert!(!bench.identity.still_vouches(&caller));
}

#[test]
fn the_state_of_the_grants_is_another_whenever_somebody_loses_its_own() {
    let bench = Bench::with_configured(&[configured("tg_ci_secret")]);
    let mut before = bench.identity.grants();
    let mut check = |what: &str| {
        let now = bench.identity.grants();
        assert_ne!(before, now, "{what}");
        assert_eq!(now, bench.identity.grants(), "{what}: it stays until something happens");
        before = now;
    };
    reconfigure(&bench, &[]);
    check("the configured token is gone");
    let expires = Some(bench.clock.now() + Duration::from_mins(1));
    let brief = bench.create(NewToken { expires, ..agent("brief") });
    check("there is a token");
    let caller = bench.show(Some(brief.token.expose()), Peer::Network).expect("let in");
    bench.clock.advance(Duration::from_mins(1));
    check("it has expired");
    assert!(!bench.identity.still_vouches(&caller) && bench.identity.still_tolerates(&caller));
    bench.store.revoke(brief.record.id()).expect("the folder can be written");
    check("it was revoked");
    assert!(!bench.identity.still_tolerates(&caller));
    fs::remove_file(bench.store.path()).expect("the file is there");
    check("the file is gone");
}

#[test]
fn nothing_that_is_written_or_printed_holds_the_token() {
    let bench = Bench::new();
    let created = bench.create(agent("reviewer"));
    let token = created.token.expose();
    let prefix = format!("tg_{}_", created.record.id());
    let secret = token.strip_prefix(&prefix).expect("the token names its id");
    let caller = bench.show(Some(token), Peer::Network).expect("a good token");
    let presented = Presented { bearer: Some(token), peer: Peer::Stdio };
    let file = fs::read_to_string(bench.store.path()).expect("readable");
    let printed = format!("{created:?} {caller:?} {presented:?} {:?} {file}", bench.identity);
    assert!(!printed.contains(secret));
    let mode = fs::metadata(bench.store.path()).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn writers_at_the_same_time_lose_no_token() {
    let bench = Bench::new();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let store = TokenStore::new(bench.folder.path());
            let now = bench.clock.now();
            scope.spawn(move || {
                for _ in 0..10 {
                    store.create(agent(&format!("writer-{writer}")), now).expect("the folder can be written");
                }
            });
        }
    });
    assert_eq!(bench.store.list().expect("readable").len(), 40);
}

#[test]
fn a_token_bound_to_nonsense_is_not_created() {
    let bench = Bench::new();
    let error = bench.store.create(agent("a\nb"), bench.clock.now()).expect_err("a line end in a name");
    assert!(error.to_string().contains("`agent`: invalid agent name"), "{error}");
    assert!(!bench.store.path().exists());
}
