//! Resources that a modern upstream said will stay as they are for a while (SEP-2549). What is public is kept once for
//! all; what is private for one principal. Everything is forgotten with the world it was read in: a change of the rules
//! or of what upstreams list makes a new one.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use bytes::Bytes;
use domain::{PrincipalKey, ServerId};
use parking_lot::Mutex;
use protocol::{Edit, Object, Params, splice};

/// Bytes of all results that are kept.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of one result; a larger one is passed on and not kept, whether or not it came in pieces.
const MAX_RESULT_BYTES: usize = 256 * 1024;
/// Results that are kept.
const MAX_RESULTS: usize = 10_000;
/// Longest time that a result is kept; a server that says more may be mistaken.
const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// The parameters of a read that depends on nothing else. A repetition with input is never kept.
const PLAIN: [&str; 2] = ["uri", "_meta"];

/// The results.
#[derive(Debug, Default)]
pub(crate) struct ReadCache(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    results: HashMap<Key, Kept>,
    /// The keys in the order in which they came; those of results that are gone are passed over.
    order: VecDeque<(Key, u64)>,
    bytes: usize,
    last_turn: u64,
}

/// What a result is the answer to, and in whose eyes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    server: ServerId,
    uri: Box<str>,
    /// `None` for what is public.
    principal: Option<PrincipalKey>,
}

#[derive(Debug)]
struct Kept {
    result: Bytes,
    until: Instant,
    world: World,
    turn: u64,
}

/// In which world something was read: the revision in force, and how many resources the server had said to have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct World {
    /// The snapshot's revision.
    pub(crate) revision: u64,
    /// What the server has said of its resources ([`upstream::Upstreams::resource_changes`]).
    pub(crate) changes: u64,
}

/// One read that may be answered from the cache.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    server: ServerId,
    uri: Box<str>,
    principal: PrincipalKey,
    world: World,
}

impl Read {
    /// Returns the read with these parameters, unless something else than the URI decides about its result.
    pub(crate) fn of(
        server: &ServerId,
        uri: &str,
        principal: &PrincipalKey,
        params: &Params,
        world: World,
    ) -> Option<Self> {
        let object = Object::parse(params.raw(), &[]).ok()?;
        let is_plain = object.iter().all(|(name, _)| PLAIN.contains(&name));
        is_plain.then(|| Self {
            server: server.clone(),
            uri: uri.into(),
            principal: principal.clone(),
            world,
        })
    }

    fn key(&self, principal: Option<PrincipalKey>) -> Key {
        Key { server: self.server.clone(), uri: self.uri.clone(), principal }
    }
}

impl ReadCache {
    /// Returns a result that is still good, with the time that is left to it.
    pub(crate) fn find(&self, read: &Read) -> Option<Bytes> {
        let now = Instant::now();
        let table = self.0.lock();
        let keys = [read.key(Some(read.principal.clone())), read.key(None)];
        let is_good = |kept: &&Kept| kept.until > now && kept.world == read.world;
        let kept = keys.iter().find_map(|key| table.results.get(key).filter(is_good))?;
        Some(with_ttl(&kept.result, kept.until - now))
    }

    /// Keeps a complete result if its server says that it may be kept.
    pub(crate) fn keep(&self, read: &Read, result: &Bytes) {
        let Some((ttl, is_public)) = freshness(result).filter(|_| result.len() <= MAX_RESULT_BYTES) else {
            return;
        };
        let key = read.key((!is_public).then(|| read.principal.clone()));
        let until = Instant::now() + ttl;
        self.0.lock().insert(key, Kept { result: result.clone(), until, world: read.world, turn: 0 });
    }
}

impl Table {
    fn insert(&mut self, key: Key, mut kept: Kept) {
        self.last_turn += 1;
        kept.turn = self.last_turn;
        self.bytes += kept.result.len();
        self.order.push_back((key.clone(), kept.turn));
        if let Some(before) = self.results.insert(key, kept) {
            self.bytes -= before.result.len();
        }
        // A result that is replaced leaves its place in the order, so the order is bounded too.
        while self.bytes > MAX_BYTES || self.order.len() > MAX_RESULTS {
            let Some((key, turn)) = self.order.pop_front() else { return };
            if self.results.get(&key).is_some_and(|kept| kept.turn == turn)
                && let Some(oldest) = self.results.remove(&key)
            {
                self.bytes -= oldest.result.len();
            }
        }
    }
}

/// Reads for how long a result may be kept, and whether for everybody; `None` if it may not be.
fn freshness(result: &Bytes) -> Option<(Duration, bool)> {
    let object = Object::parse(result, &["resultType", "ttlMs", "cacheScope"]).ok()?;
    let ttl_ms: u64 = object.get("ttlMs")?.parse().ok()?;
    let is_complete = object.string("resultType").is_none_or(|kind| kind == "complete");
    let is_public = object.string("cacheScope").as_deref() == Some("public");
    let ttl = Duration::from_millis(ttl_ms).min(MAX_TTL);
    (is_complete && ttl_ms > 0).then_some((ttl, is_public))
}

fn with_ttl(result: &Bytes, left: Duration) -> Bytes {
    let span = Object::parse(result, &[]).ok().and_then(|object| object.span("ttlMs"));
    let Some(at) = span else { return result.clone() };
    let mut out = Vec::with_capacity(result.len());
    splice(&mut out, result, &[Edit { at, with: left.as_millis().to_string().as_bytes() }]);
    out.into()
}

#[cfg(test)]
mod tests {
    use domain::{AgentId, AgentSource, Principal, ServerScope};
    use protocol::method;

    use super::*;

    fn principal(name: &str) -> PrincipalKey {
        let (agent, agent_source) = (AgentId::new(name).unwrap(), AgentSource::Launch);
        let (user, roles, token, servers) = (None, Vec::new(), None, ServerScope::All);
        Principal { agent, agent_source, user, roles, token, servers }.key()
    }

    const NOW: World = World { revision: 1, changes: 0 };

    fn read_of(params: &str, name: &str, world: World) -> Option<Read> {
        let row = method("resources/read").unwrap();
        let params = Params::parse(Some(Bytes::copy_from_slice(params.as_bytes())), row).unwrap();
        let server = ServerId::new("a").unwrap();
        Read::of(&server, &params.key(), &principal(name), &params, world)
    }

    fn read(uri: &str, name: &str, world: World) -> Read {
        read_of(&format!(r#"{{"uri":"{uri}","_meta":{{}}}}"#), name, world).expect("a plain read")
    }

    fn result(ttl_ms: u64, scope: &str) -> Bytes {
        format!(r#"{{"resultType":"complete","ttlMs":{ttl_ms},"cacheScope":"{scope}","contents":[]}}"#).into()
    }

    #[test]
    fn public_results_are_for_all_and_private_ones_for_one() {
        let cache = ReadCache::default();
        cache.keep(&read("u:1", "one", NOW), &result(60_000, "public"));
        cache.keep(&read("u:2", "one", NOW), &result(60_000, "private"));
        let found = |uri: &str, name: &str| cache.find(&read(uri, name, NOW)).is_some();
        assert!(found("u:1", "one") && found("u:1", "two"));
        assert!(found("u:2", "one") && !found("u:2", "two"));
        let kept = cache.find(&read("u:1", "one", NOW)).unwrap();
        let ttl: u64 = Object::parse(&kept, &[]).unwrap().get("ttlMs").unwrap().parse().unwrap();
        assert!(ttl <= 60_000 && ttl > 50_000, "{ttl}");
    }

    #[test]
    fn an_old_private_result_does_not_hide_a_good_public_one() {
        let cache = ReadCache::default();
        let later = World { revision: 2, ..NOW };
        cache.keep(&read("u:1", "one", NOW), &result(60_000, "private"));
        cache.keep(&read("u:1", "two", later), &result(60_000, "public"));
        assert!(cache.find(&read("u:1", "one", later)).is_some());
    }

    #[test]
    fn another_world_forgets() {
        let cache = ReadCache::default();
        cache.keep(&read("u:1", "one", NOW), &result(60_000, "public"));
        let find = |world| cache.find(&read("u:1", "one", world)).is_some();
        assert!(!find(World { revision: 2, ..NOW }) && !find(World { changes: 1, ..NOW }));
        assert!(find(NOW));
    }

    #[test]
    fn what_may_not_be_kept_is_not() {
        let cache = ReadCache::default();
        let own = read("u:1", "one", NOW);
        for kept in [
            result(0, "public"),
            Bytes::from_static(b"{\"contents\":[]}"),
            Bytes::from_static(br#"{"resultType":"input_required","ttlMs":5000}"#),
            Bytes::from(format!(r#"{{"ttlMs":5000,"contents":"{}"}}"#, "x".repeat(MAX_RESULT_BYTES))),
        ] {
            cache.keep(&own, &kept);
            assert!(cache.find(&own).is_none());
        }
        assert!(read_of(r#"{"uri":"u:1","requestState":"s"}"#, "one", NOW).is_none());
        assert!(read_of(r#"{"uri":"u:1","inputResponses":{}}"#, "one", NOW).is_none());
    }

    #[test]
    fn it_is_bounded() {
        let cache = ReadCache::default();
        let large: Bytes = format!(r#"{{"ttlMs":5000,"contents":"{}"}}"#, "x".repeat(200_000)).into();
        for number in 0..400 {
            cache.keep(&read(&format!("u:{number}"), "one", NOW), &large);
        }
        let table = cache.0.lock();
        assert!(table.bytes <= MAX_BYTES);
        assert_eq!(table.bytes, table.results.values().map(|kept| kept.result.len()).sum::<usize>());
        assert!(table.results.len() > 100);
    }
}
