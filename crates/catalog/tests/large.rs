//! Catalogs of the largest size: building one takes time in proportion to what is listed, whatever the servers list.

use std::time::{Duration, Instant};

use bytes::Bytes;
use catalog::{Catalog, Listing, Naming, View};
use domain::{ServerId, ServerScope, Subject, Target};
use guardrails::{Cleared, Guardrails, Untrusted};
use protocol::{ListKind, Version};
use serde_json::json;

/// Far more than a build takes that looks at everything a bounded number of times, on a slow machine and without
/// optimization; far less than one takes that compares all with all.
const PATIENCE: Duration = Duration::from_secs(20);

fn server(
    name: &str,
    resources: impl Iterator<Item = String>,
    templates: impl Iterator<Item = String>,
) -> (ServerId, Cleared<Listing>) {
    let mut listing = Listing::empty(Version::LATEST_MODERN, Bytes::from_static(br#"{"resources":{}}"#));
    listing.resources = resources.map(|uri| json!({"uri": uri, "name": "n"}).to_string().into()).collect();
    listing.templates =
        templates.map(|uri| json!({"uriTemplate": uri, "name": "n"}).to_string().into()).collect();
    let id = ServerId::new(name).expect("a name");
    let subject = Subject { server: id.clone(), target: Target::Server };
    let cleared =
        Guardrails::none().screen_result(&subject, Untrusted::new(listing)).expect("it is screened");
    (id, cleared)
}

/// Builds and returns how many templates are shown under their own names.
fn own_names(servers: &[(ServerId, Cleared<Listing>)]) -> usize {
    let began = Instant::now();
    let catalog = Catalog::build(Naming::default(), servers.iter().map(|(id, listing)| (id, listing)));
    let took = began.elapsed();
    assert!(took < PATIENCE, "{took:?}");
    let shown = catalog.page(&View::All, ListKind::ResourceTemplates, &ServerScope::All, 0, usize::MAX);
    let shown = String::from_utf8(shown.items).expect("text");
    shown.matches(r#""uriTemplate":"x://"#).count()
}

#[test]
fn many_templates_beside_many_resources_of_the_same_beginning() {
    let resources = (0..20_000).map(|number| format!("x://{number}"));
    let templates = (0..50_000).map(|number| format!("x://{{v}}/{number}/end"));
    let servers = [
        server("listing", resources, std::iter::empty()),
        server("expanding", std::iter::empty(), templates),
    ];
    // So many are not compared with so many: they count as colliding.
    assert_eq!(own_names(&servers), 0);
}

#[test]
fn many_templates_beside_many_templates_of_the_same_beginning() {
    let templates = |end: &'static str| (0..20_000).map(move |number| format!("x://{{v}}/{number}{end}"));
    let servers = ["a", "b"].map(|name| server(name, std::iter::empty(), templates(name)));
    assert_eq!(own_names(&servers), 0);
}

#[test]
fn what_a_server_lists_itself_does_not_count() {
    let resources = (0..20_000).map(|number| format!("x://{number}"));
    let templates = (0..20_000).map(|number| format!("x://{{v}}/{number}/end"));
    let neighbours = (0..10).map(|number| format!("x://{number}/of/b"));
    let servers = [server("a", resources, templates), server("b", neighbours, std::iter::empty())];
    assert_eq!(own_names(&servers), 20_000);
}
