//! Asks a server for everything it offers, page after page, within bounds. Items stay the bytes they are.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use bytes::Bytes;
use catalog::{Freshness, Listing};
use protocol::{Era, ListKind, Object, code};
use serde_json::value::RawValue;
use tokio::time::timeout;

use crate::{
    handshake::Greeting,
    own_request::{Answer, Asker, answer},
};

/// Pages of one kind. Real servers have a handful.
const MAX_PAGES: usize = 1_000;
/// Items of one kind.
const MAX_ITEMS: usize = 50_000;
/// Longest time that a listing is taken for fresh; a server that says more may be mistaken.
const MAX_TTL_MS: u64 = 24 * 60 * 60 * 1000;
/// Bytes of all pages of one kind.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// How long one page may take.
const PAGE_LIMIT: Duration = Duration::from_secs(30);

/// What a server offers, and what was odd about how it told us.
#[derive(Debug)]
pub(crate) struct Walked {
    /// What it offers.
    pub(crate) listing: Listing,
    /// What its owner should know, as sentences without text of the server.
    pub(crate) findings: Vec<String>,
}

/// Walks all listings that the server declares. The caller bounds the whole time.
///
/// # Errors
/// Why the server could not be listed. Nothing is kept of a half listing: tools that vanish would be taken for removed.
pub(crate) async fn walk(asker: Asker<'_>, greeting: &Greeting) -> Result<Walked, String> {
    let mut listing = Listing::empty(greeting.version, greeting.capabilities.clone());
    listing.instructions.clone_from(&greeting.instructions);
    let mut findings = Vec::new();
    for kind in ListKind::ALL {
        if declares(&greeting.capabilities, kind.capability()) {
            let mut walk = Walk::new(asker, greeting, kind);
            walk.pages().await?;
            listing.freshness[kind.index()] = walk.freshness.unwrap_or(Freshness::UNKNOWN);
            findings.extend(walk.finding.map(|what| format!("`{}`: {what}", kind.method())));
            *listing.items_mut(kind) = walk.items;
        }
    }
    Ok(Walked { listing, findings })
}

fn declares(capabilities: &[u8], name: &str) -> bool {
    let object = Object::parse(capabilities, &[]).ok();
    object.and_then(|object| object.get(name)).is_some_and(|value| value != "null" && value != "false")
}

/// The walk through one listing.
struct Walk<'a> {
    asker: Asker<'a>,
    greeting: &'a Greeting,
    kind: ListKind,
    items: Vec<Bytes>,
    bytes: usize,
    /// Hashes of the cursors that were followed, so that a circle is noticed.
    followed: HashSet<u64>,
    hasher: RandomState,
    finding: Option<String>,
    /// What the pages so far have in common.
    freshness: Option<Freshness>,
}

impl<'a> Walk<'a> {
    fn new(asker: Asker<'a>, greeting: &'a Greeting, kind: ListKind) -> Self {
        let (items, followed, hasher) = (Vec::new(), HashSet::new(), RandomState::new());
        Self { asker, greeting, kind, items, bytes: 0, followed, hasher, finding: None, freshness: None }
    }

    /// Follows the cursors until there is none, or a bound stops us.
    async fn pages(&mut self) -> Result<(), String> {
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let Some(page) = self.page(cursor.as_deref()).await? else { return Ok(()) };
            cursor = self.take(&page)?;
            match &cursor {
                None => return Ok(()),
                Some(_) if self.finding.is_some() => return Ok(()),
                Some(next) if !self.followed.insert(self.hasher.hash_one(next)) => {
                    self.finding = Some("the same cursor came twice; the rest is not listed".to_owned());
                    return Ok(());
                }
                Some(_) => {}
            }
        }
        self.finding = Some(format!("more than {MAX_PAGES} pages; the rest is not listed"));
        Ok(())
    }

    /// Fetches one page; `None` if the server does not have this listing after all.
    async fn page(&mut self, cursor: Option<&str>) -> Result<Option<Bytes>, String> {
        let method = self.kind.method();
        let asked = async {
            let mut reply = self.asker.send(method, self.params(cursor)).await?;
            answer(&mut reply).await
        };
        let answered = timeout(PAGE_LIMIT, asked).await;
        match answered.map_err(|_| format!("`{method}` took longer than {} s", PAGE_LIMIT.as_secs()))? {
            Ok(Answer::Result(page)) => Ok(Some(page)),
            Ok(Answer::Error(error)) if error.code == code::METHOD_NOT_FOUND && cursor.is_none() => Ok(None),
            // Without its tools a server is of no use; without the rest it may be.
            Ok(Answer::Error(error)) if self.kind != ListKind::Tools => {
                self.finding = Some(format!("answered with error {}; the rest is not listed", error.code));
                Ok(None)
            }
            Ok(Answer::Error(error)) => Err(format!("`{method}` was answered with error {}", error.code)),
            Err(error) => Err(error.into_reason()),
        }
    }

    fn params(&self, cursor: Option<&str>) -> String {
        let cursor = cursor.map(|cursor| format!(r#""cursor":{cursor}"#));
        let meta = match self.greeting.version.era() {
            Era::Legacy => None,
            Era::Modern => Some(format!(r#""_meta":{}"#, self.asker.modern_meta(self.greeting.version))),
        };
        let members: Vec<String> = cursor.into_iter().chain(meta).collect();
        format!("{{{}}}", members.join(","))
    }

    /// Takes the items of a page and returns the JSON text of the next page's cursor.
    fn take(&mut self, page: &Bytes) -> Result<Option<String>, String> {
        let (method, member) = (self.kind.method(), self.kind.member());
        let object = Object::parse(page, &[member, "nextCursor"])
            .map_err(|fault| format!("the result of `{method}` is {fault}"))?;
        let fresh = freshness(&object);
        self.freshness = Some(self.freshness.map_or(fresh, |before| before.and(fresh)));
        let items =
            object.get(member).ok_or_else(|| format!("the result of `{method}` has no `{member}`"))?;
        let items: Vec<&RawValue> = serde_json::from_str(items)
            .map_err(|_| format!("`{member}` in the result of `{method}` is no array"))?;
        self.bytes += page.len();
        if self.items.len() + items.len() > MAX_ITEMS || self.bytes > MAX_BYTES {
            self.finding =
                Some(format!("more than {MAX_ITEMS} items or {MAX_BYTES} bytes; the rest is not listed"));
        }
        let room = if self.bytes > MAX_BYTES { 0 } else { MAX_ITEMS - self.items.len() };
        let items = items.into_iter().take(room).map(|item| page.slice_ref(item.get().as_bytes()));
        self.items.extend(items);
        Ok(object.get("nextCursor").filter(|cursor| cursor.starts_with('"')).map(str::to_owned))
    }
}

/// Reads how long a page stays as it is (SEP-2549). What a server does not say, or says wrongly, is not assumed.
fn freshness(page: &Object<'_>) -> Freshness {
    let ttl_ms: Option<u64> = page.get("ttlMs").and_then(|ttl| ttl.parse().ok());
    let until =
        ttl_ms.filter(|ttl| *ttl > 0).map(|ttl| Instant::now() + Duration::from_millis(ttl.min(MAX_TTL_MS)));
    Freshness { until, is_public: page.string("cacheScope").as_deref() == Some("public") }
}
