//! Which gateways a server leads to, so that a ring of gateways is noticed before it grows: each gateway answers
//! another one with the ids of all gateways behind it, and one that finds its own id there does not use the server.
//!
//! Processes that start one another are stopped by the depth counter instead (see [`crate::DEPTH_VARIABLE`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use domain::ServerId;
use http::HeaderMap;
use parking_lot::Mutex;

/// The response header that names the gateways behind an endpoint, separated by commas.
pub const INSTANCES_HEADER: &str = "toolgate-instances";

/// Most gateways that are named; a request may not pass more than eight anyway.
const MAX_INSTANCES: usize = 64;
/// Digits of an id.
const ID_DIGITS: usize = 16;

/// The gateways that this one leads to.
#[derive(Debug)]
pub(crate) struct Instances {
    own: Box<str>,
    behind: Mutex<BTreeMap<ServerId, BTreeSet<Box<str>>>>,
}

/// A server that leads back to this gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it leads back to this gateway; take it out of the configuration here or there")]
pub(crate) struct Ring;

impl Instances {
    /// Makes an id for this gateway.
    pub(crate) fn new() -> Arc<Self> {
        let mut random = [0; ID_DIGITS / 2];
        getrandom::fill(&mut random).expect("the system gives random bytes to a running process");
        let own: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Arc::new(Self { own: own.into(), behind: Mutex::default() })
    }

    /// Takes note of what a server's response says; a response without the header is no gateway's.
    ///
    /// # Errors
    /// [`Ring`] when this gateway is behind the server.
    pub(crate) fn note(&self, server: &ServerId, headers: &HeaderMap) -> Result<(), Ring> {
        let Some(named) = headers.get(INSTANCES_HEADER) else { return Ok(()) };
        let text = named.to_str().unwrap_or_default();
        let ids: BTreeSet<Box<str>> =
            text.split(',').filter(|id| is_id(id)).take(MAX_INSTANCES).map(Into::into).collect();
        if ids.contains(&self.own) {
            self.behind.lock().remove(server);
            return Err(Ring);
        }
        self.behind.lock().insert(server.clone(), ids);
        Ok(())
    }

    /// Returns this gateway's id and those behind it, as the header names them.
    pub(crate) fn named(&self) -> String {
        let behind = self.behind.lock();
        let all: BTreeSet<&str> = behind.values().flatten().map(AsRef::as_ref).take(MAX_INSTANCES).collect();
        all.into_iter().fold(self.own.to_string(), |named, id| named + "," + id)
    }

    /// Forgets what is behind a server that is not used any more.
    pub(crate) fn forget(&self, server: &ServerId) {
        self.behind.lock().remove(server);
    }
}

fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(named: &str) -> HeaderMap {
        HeaderMap::from_iter([(INSTANCES_HEADER.parse().unwrap(), named.parse().unwrap())])
    }

    #[test]
    fn a_ring_of_three_is_noticed_by_its_first() {
        let (a, b, c) = (Instances::new(), Instances::new(), Instances::new());
        let server = ServerId::new("next").unwrap();
        assert_eq!(b.note(&server, &answer(&c.named())), Ok(()));
        assert_eq!(a.note(&server, &answer(&b.named())), Ok(()));
        assert_eq!(c.note(&server, &answer(&a.named())), Err(Ring));
        assert_eq!(c.named(), &*c.own, "what is not used is not behind it");
    }

    #[test]
    fn foreign_values_are_passed_over() {
        let a = Instances::new();
        let server = ServerId::new("x").unwrap();
        assert_eq!(a.note(&server, &answer("nonsense,,\"")), Ok(()));
        assert_eq!(a.note(&server, &HeaderMap::new()), Ok(()));
        assert_eq!(a.named(), &*a.own);
    }
}
