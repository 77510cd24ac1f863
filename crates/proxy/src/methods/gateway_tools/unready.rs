//! Which servers a search looks into: of those that the caller may see, some may be starting or down, and their tools
//! are missing from what is found. A server that the caller may not see is told like one that does not exist.

use std::borrow::Cow;

use catalog::Sight;
use domain::ServerId;

use crate::{ConfiguredServer, Proxy, admission::Admission, error::shown};

/// The most servers that are named, so that an answer stays short however many there are.
const MAX_NAMED: usize = 20;

/// What a search covers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scope<'a> {
    /// All that the caller may see, or the one that it named; those that are not ready have nothing to find.
    Servers {
        /// Sorted as the configuration is.
        unready: Vec<&'a ServerId>,
    },
    /// The caller named a server that is not there for it.
    NoServer {
        /// What it may name.
        seen: Vec<&'a ServerId>,
    },
}

/// Finds out what a search covers that is narrowed to the server `only`.
pub(super) fn scope<'a>(admission: &'a Admission, only: Option<&str>) -> Scope<'a> {
    let (world, view, sight) = (admission.world(), admission.view(), admission.sight());
    let is_seen = |id: &&ServerId| view.shows(id) && sight.sees_server(id);
    let seen: Vec<&ServerId> = world.configured.roster.ids().iter().filter(is_seen).collect();
    let is_wanted = |id: &&ServerId| only.is_none_or(|only| only == id.as_str());
    if only.is_some() && !seen.iter().any(is_wanted) {
        return Scope::NoServer { seen };
    }
    let is_unready = |id: &&ServerId| is_wanted(id) && !world.catalog.has_server(id);
    Scope::Servers { unready: seen.into_iter().filter(is_unready).collect() }
}

/// Says why the server `name` has nothing to find.
pub(super) fn reason<'a>(proxy: &Proxy, admission: &'a Admission, server: &ServerId) -> Cow<'a, str> {
    let configured = admission.world().configured.roster.get(server.as_str());
    let fault = configured.and_then(|server: &ConfiguredServer| server.fault.as_deref());
    fault.map_or_else(|| proxy.why_unavailable(server).into(), Cow::Borrowed)
}

/// Returns the first names, for a program to read.
pub(super) fn bounded<'a>(servers: &[&'a ServerId]) -> Vec<&'a str> {
    servers.iter().take(MAX_NAMED).map(|server| server.as_str()).collect()
}

/// Returns the names as a sentence has them, and how many more there are.
pub(super) fn listed(servers: &[&ServerId]) -> String {
    let mut names: Vec<String> = bounded(servers).into_iter().map(shown).collect();
    let more = servers.len() - names.len();
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_the_rest_is_counted() {
        let servers: Vec<ServerId> =
            (0..MAX_NAMED + 2).map(|n| ServerId::new(format!("s{n}")).unwrap()).collect();
        let servers: Vec<&ServerId> = servers.iter().collect();
        assert_eq!(listed(&servers[..2]), "s0, s1");
        assert!(listed(&servers).ends_with("s19, and 2 more"), "{}", listed(&servers));
        assert_eq!(bounded(&servers).len(), MAX_NAMED);
    }
}
