//! Over many small catalogs: whatever the merged endpoint shows of a server, to whomever, leads back to that server, and
//! is the same for everybody.

use std::{borrow::Cow, collections::BTreeSet};

use catalog::{Catalog, View};
use domain::{ServerId, ServerScope};
use proptest::{
    collection::{btree_set, vec},
    option,
    prelude::*,
    sample::select,
};
use protocol::{ListKind, Routing};
use serde_json::json;

use super::{Server, catalog, listed, server};

const URIS: [&str; 9] =
    ["x:a", "x:ab", "x:b", "y:a", "y:ab/c", "z:", "https://x/a", "toolgate://s0/x:a", "toolgate://s1/x%3Aa"];
const TEMPLATES: [&str; 8] =
    ["x:{v}", "x:a{v}", "x:{v}b", "y:{v}/c", "{+v}", "y:a", "toolgate://s0/{v}", "https://x/{v}"];
/// What a client may put into a template; into `{+v}` whole URIs as well.
const VALUES: [&str; 4] = ["", "a", "b", "ab"];
/// What servers name in results and list nowhere.
const UNLISTED: [&str; 2] = ["w:unlisted", "y:q/c"];

/// What a server has: resources, templates, and the user interface of its tool.
type Offer = (BTreeSet<&'static str>, BTreeSet<&'static str>, Option<&'static str>);

fn offers() -> impl Strategy<Value = Vec<Offer>> {
    let uris = btree_set(select(&URIS[..]), 0..4);
    let templates = btree_set(select(&TEMPLATES[..]), 0..3);
    vec((uris, templates, option::of(select(&URIS[..]))), 1..4)
}

fn servers(offers: &[Offer]) -> Vec<Server> {
    let made = offers.iter().enumerate().map(|(at, (uris, templates, interface))| {
        let (uris, templates): (Vec<_>, Vec<_>) =
            (uris.iter().copied().collect(), templates.iter().copied().collect());
        let tool = interface.map(|uri| {
            json!({"name": "t", "inputSchema": {}, "_meta": {"ui": {"resourceUri": uri}}}).to_string()
        });
        let tools: Vec<&str> = tool.iter().map(String::as_str).collect();
        server(&format!("s{at}"), &uris, &templates, &tools)
    });
    made.collect()
}

/// Returns the servers that each possible caller may see.
fn sights(servers: &[Server]) -> impl Iterator<Item = Vec<ServerId>> {
    (0..1 << servers.len()).map(|bits| {
        let seen = servers.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0);
        seen.map(|(_, (id, _))| id.clone()).collect()
    })
}

/// A caller of the catalog, who sees `server` and perhaps others.
struct Caller<'a> {
    catalog: &'a Catalog,
    sight: &'a ServerScope,
    server: &'a ServerId,
}

impl Caller<'_> {
    /// Returns what the merged endpoint shows of the server.
    fn shown(&self, kind: ListKind) -> Vec<String> {
        listed(self.catalog, &View::All, kind, &ServerScope::Only([self.server.clone()].into()))
    }

    fn is_led_back(&self, view: &View, routing: Routing, uri: &str) {
        let route = self.catalog.route(view, routing, uri, self.sight);
        let found = route.ok().map(|route| route.subject().server.clone());
        assert_eq!(found.as_ref(), Some(self.server), "{uri}, for {:?}", self.sight);
    }

    fn resources_lead_back(&self) {
        let own = View::Server(self.server.clone());
        for uri in listed(self.catalog, &own, ListKind::Resources, self.sight) {
            self.is_led_back(&own, Routing::Resource, &uri);
        }
        for uri in self.shown(ListKind::Resources) {
            self.is_led_back(&View::All, Routing::Resource, &uri);
        }
    }

    fn templates_lead_back(&self) {
        for template in self.shown(ListKind::ResourceTemplates) {
            self.is_led_back(&View::All, Routing::Reference, &template);
            let wholes = if template.contains("{+") { &URIS[..] } else { &[] };
            for value in VALUES.iter().chain(wholes) {
                let uri = template.replace("{v}", value).replace("{+v}", value);
                // Who puts a URI of ours in the place of everything names a server.
                if !value.starts_with("toolgate:") || uri != *value {
                    self.is_led_back(&View::All, Routing::Resource, &uri);
                }
            }
        }
    }

    /// Listed or not; what is on the web alone clients may read there.
    fn results_lead_back(&self) {
        for own in URIS.iter().chain(&UNLISTED) {
            let shown = self.catalog.shown_uri(&View::All, self.server, own);
            if !shown.starts_with("https:") {
                self.is_led_back(&View::All, Routing::Resource, &shown);
                let route = self
                    .catalog
                    .route(&View::All, Routing::Resource, &shown, self.sight)
                    .expect("it was found");
                assert_eq!(route.upstream_key(), Some(Cow::Borrowed(*own)), "{shown}");
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_shown_leads_to_the_server_that_shows_it(offers in offers()) {
        let servers = servers(&offers);
        let catalog = catalog(&servers);
        for seen in sights(&servers) {
            let sight = ServerScope::Only(seen.iter().cloned().collect());
            let callers = || seen.iter().map(|server| Caller { catalog: &catalog, sight: &sight, server });
            for caller in callers() {
                caller.resources_lead_back();
                caller.templates_lead_back();
                if servers.len() > 1 {
                    caller.results_lead_back();
                }
            }
            for kind in [ListKind::Resources, ListKind::ResourceTemplates] {
                let shown: Vec<String> = callers().flat_map(|caller| caller.shown(kind)).collect();
                prop_assert_eq!(listed(&catalog, &View::All, kind, &sight), shown, "it is the same for everybody");
            }
        }
    }
}
