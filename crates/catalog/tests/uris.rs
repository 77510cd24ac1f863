//! Resources of the same URI on several servers: each is shown under a URI that leads to its own server, whoever asks,
//! and everything else keeps its bytes.

#[path = "uris/leading_back.rs"]
mod leading_back;

use std::borrow::Cow;

use bytes::Bytes;
use catalog::{Catalog, Listing, Naming, View};
use domain::{ServerId, ServerScope, Subject, Target};
use guardrails::{Cleared, Guardrails, Untrusted};
use proptest::prelude::*;
use protocol::{ListKind, Routing, Version};
use serde_json::{Value, json};

type Server = (ServerId, Cleared<Listing>);

const CAPABILITIES: &[u8] = br#"{"resources":{}}"#;

fn id(name: &str) -> ServerId {
    ServerId::new(name).expect("a name")
}

fn server(name: &str, resources: &[&str], templates: &[&str], tools: &[&str]) -> Server {
    let mut listing = Listing::empty(Version::LATEST_MODERN, Bytes::from_static(CAPABILITIES));
    let bytes = |value: Value| Bytes::from(value.to_string());
    listing.resources = resources.iter().map(|uri| bytes(json!({"uri": uri, "name": "n"}))).collect();
    listing.templates =
        templates.iter().map(|template| bytes(json!({"uriTemplate": template, "name": "n"}))).collect();
    listing.tools = tools.iter().map(|tool| Bytes::copy_from_slice(tool.as_bytes())).collect();
    let subject = Subject { server: id(name), target: Target::Server };
    (id(name), Guardrails::none().screen_result(&subject, Untrusted::new(listing)).expect("it is screened"))
}

fn catalog(servers: &[Server]) -> Catalog {
    Catalog::build(Naming::default(), servers.iter().map(|(id, listing)| (id, listing)))
}

/// The servers of most tests: two with the same resource and template, one with its own.
fn notes() -> Catalog {
    catalog(&[
        server("a", &["note://1", "a://only"], &["note://{id}/text", "a://{x}"], &[]),
        server("b", &["note://1"], &["note://{name}/text"], &[]),
        server("c", &["c://only"], &[], &[]),
    ])
}

fn listed(catalog: &Catalog, view: &View, kind: ListKind, sight: &ServerScope) -> Vec<String> {
    let page = catalog.page(view, kind, sight, 0, 1000);
    let items = format!("[{}]", String::from_utf8(page.items).expect("text"));
    let items: Vec<Value> = serde_json::from_str(&items).expect("JSON");
    let member = if kind == ListKind::Resources { "uri" } else { "uriTemplate" };
    items.iter().map(|item| item[member].as_str().expect("a URI").to_owned()).collect()
}

/// Where a URI leads in the merged endpoint: `server` and the server's own URI.
fn target(catalog: &Catalog, routing: Routing, uri: &str, sight: &ServerScope) -> Option<(String, String)> {
    let route = catalog.route(&View::All, routing, uri, sight).ok()?;
    let Target::Resource(own) = &route.subject().target else { panic!("{uri} is no resource") };
    Some((route.subject().server.to_string(), own.to_string()))
}

#[test]
fn what_several_list_is_shown_under_uris_of_ours() {
    let catalog = notes();
    let shown = |view, kind| listed(&catalog, &view, kind, &ServerScope::All);
    let resources = ["toolgate://a/note%3A%2F%2F1", "a://only", "toolgate://b/note%3A%2F%2F1", "c://only"];
    assert_eq!(shown(View::All, ListKind::Resources), resources);
    let templates = ["toolgate://a/note://{id}/text", "a://{x}", "toolgate://b/note://{name}/text"];
    assert_eq!(shown(View::All, ListKind::ResourceTemplates), templates);
    assert_eq!(shown(View::Server(id("b")), ListKind::Resources), ["note://1"]);
    assert_eq!(shown(View::Server(id("b")), ListKind::ResourceTemplates), ["note://{name}/text"]);
}

#[test]
fn the_uri_is_the_same_whoever_sees_what() {
    let only_b = ServerScope::Only([id("b")].into());
    let catalog = notes();
    let resources = listed(&catalog, &View::All, ListKind::Resources, &only_b);
    assert_eq!(resources, ["toolgate://b/note%3A%2F%2F1"]);
}

#[test]
fn routes() {
    let cases: &[(&str, Option<(&str, &str)>)] = &[
        ("toolgate://a/note%3A%2F%2F1", Some(("a", "note://1"))),
        ("toolgate://b/note%3A%2F%2F1", Some(("b", "note://1"))),
        ("toolgate://b/note%3a%2f%2f1", Some(("b", "note://1"))),
        ("toolgate://b/note://1", Some(("b", "note://1"))),
        // Expansions of templates: what the client encoded stays encoded.
        ("toolgate://b/note://x%2Fy%20z/text", Some(("b", "note://x%2Fy%20z/text"))),
        ("toolgate://a/note://7/text", Some(("a", "note://7/text"))),
        // Servers without collisions are understood too, and so is what they do not list.
        ("toolgate://c/c%3A%2F%2Fonly", Some(("c", "c://only"))),
        ("toolgate://c/c://unlisted", Some(("c", "c://unlisted"))),
        ("c://only", Some(("c", "c://only"))),
        // Bare, the first server's.
        ("note://1", Some(("a", "note://1"))),
        ("toolgate://d/note%3A%2F%2F1", None),
        ("toolgate://b/note%3A%2F%2", None),
        ("toolgate://b/%FF", None),
        ("toolgate://b", None),
        ("toolgate://", None),
    ];
    let catalog = notes();
    for (uri, expected) in cases {
        let expected = expected.map(|(server, own)| (server.to_owned(), own.to_owned()));
        for routing in [Routing::Resource, Routing::Reference] {
            assert_eq!(target(&catalog, routing, uri, &ServerScope::All), expected, "{uri} {routing:?}");
        }
        // At the endpoint of one server, nothing is ours.
        if uri.starts_with("toolgate:") {
            let route = catalog.route(&View::Server(id("b")), Routing::Resource, uri, &ServerScope::All);
            assert_eq!(route.unwrap().upstream_key(), Some(Cow::Borrowed(*uri)));
        }
    }
}

#[test]
fn references_to_templates_lead_to_their_servers() {
    let catalog = notes();
    for (reference, server, own) in [
        ("toolgate://a/note://{id}/text", "a", "note://{id}/text"),
        ("toolgate://b/note://{name}/text", "b", "note://{name}/text"),
        ("a://{x}", "a", "a://{x}"),
    ] {
        let found = target(&catalog, Routing::Reference, reference, &ServerScope::All);
        assert_eq!(found, Some((server.to_owned(), own.to_owned())));
    }
}

#[test]
fn shown_uris() {
    let catalog = notes();
    let cases = [
        ("a", "note://1", "toolgate://a/note%3A%2F%2F1"),
        ("b", "note://1", "toolgate://b/note%3A%2F%2F1"),
        ("a", "note://7/text", "toolgate://a/note://7/text"),
        ("a", "a://only", "a://only"),
        ("a", "a://other", "a://other"),
        ("a", "toolgate://b/x", "toolgate://a/toolgate%3A%2F%2Fb%2Fx"),
        // Others list it, or could be asked for it; what is on the web is read there.
        ("c", "note://1", "toolgate://c/note%3A%2F%2F1"),
        ("c", "a://other", "toolgate://c/a%3A%2F%2Fother"),
        ("c", "c://other", "toolgate://c/c%3A%2F%2Fother"),
        ("c", "https://c.example/", "https://c.example/"),
        ("nobody", "note://1", "note://1"),
    ];
    for (server, own, shown) in cases {
        assert_eq!(catalog.shown_uri(&View::All, &id(server), own), shown, "{server} {own}");
        assert_eq!(catalog.shown_uri(&View::Server(id(server)), &id(server), own), own);
    }
    let renames = |view: View, server: &str| catalog.renames_uris(&view, &id(server));
    assert!(renames(View::All, "a") && renames(View::All, "b") && renames(View::All, "c"));
    assert!(!renames(View::Server(id("a")), "a"));
    // Where there is one server, all of it leads there.
    let alone = self::catalog(&[server("c", &["c://only"], &[], &[])]);
    assert!(!alone.renames_uris(&View::All, &id("c")));
    assert_eq!(alone.shown_uri(&View::All, &id("c"), "c://other"), "c://other");
}

#[test]
fn nobody_takes_the_place_of_anothers_resource() {
    let catalog = catalog(&[
        server("bad", &["toolgate://good/x%3A1"], &["toolgate://good/{+any}", "{+everything}"], &[]),
        server("good", &["x:1"], &[], &[]),
    ]);
    let found = target(&catalog, Routing::Resource, "toolgate://good/x%3A1", &ServerScope::All);
    assert_eq!(found, Some(("good".to_owned(), "x:1".to_owned())));
    let shown = listed(&catalog, &View::All, ListKind::Resources, &ServerScope::All);
    assert_eq!(shown, ["toolgate://bad/toolgate%3A%2F%2Fgood%2Fx%253A1", "x:1"]);
    let found = target(&catalog, Routing::Resource, &shown[0], &ServerScope::All);
    assert_eq!(found, Some(("bad".to_owned(), "toolgate://good/x%3A1".to_owned())));
    let templates = listed(&catalog, &View::All, ListKind::ResourceTemplates, &ServerScope::All);
    assert_eq!(templates, ["toolgate://bad/toolgate://good/{+any}", "toolgate://bad/{+everything}"]);
}

#[test]
fn a_tools_user_interface_leads_to_its_own_server() {
    let tool = r#"{ "_meta" : {"x":1.0, "ui":{"resourceUri" : "ui://x","y":[]},"ui/resourceUri":"ui://x"}, "name":"t"}"#;
    let other = r#"{"name":"o","_meta":{"ui":{"resourceUri":"ui://other"}}}"#;
    let servers = [server("a", &["ui://x"], &[], &[tool, other]), server("b", &["ui://x"], &[], &[])];
    let page = catalog(&servers).page(&View::All, ListKind::Tools, &ServerScope::All, 0, 10);
    let expected = concat!(
        r#"{ "_meta" : {"x":1.0, "ui":{"resourceUri" : "toolgate://a/ui%3A%2F%2Fx","y":[]},"#,
        r#""ui/resourceUri":"toolgate://a/ui%3A%2F%2Fx"}, "name":"a__t"},"#,
        r#"{"name":"a__o","_meta":{"ui":{"resourceUri":"ui://other"}}}"#
    );
    assert_eq!(String::from_utf8(page.items).unwrap(), expected);
}

#[test]
fn what_comes_and_goes_changes_the_listing() {
    let alone = catalog(&[server("a", &["note://1"], &[], &[])]);
    let both = catalog(&[server("a", &["note://1"], &[], &[]), server("b", &["note://1"], &[], &[])]);
    let only_a = ServerScope::Only([id("a")].into());
    let fingerprint = |catalog: &Catalog| catalog.fingerprint(&View::All, ListKind::Resources, &only_a);
    assert_ne!(fingerprint(&alone), fingerprint(&both));
    // Nobody needs to list again for one that has none.
    let without = catalog(&[server("a", &["note://1"], &[], &[]), server("b", &[], &[], &[])]);
    let of_all = |catalog: &Catalog| catalog.fingerprint(&View::All, ListKind::Resources, &ServerScope::All);
    assert_eq!(of_all(&alone), of_all(&without));
    assert_ne!(of_all(&alone), of_all(&both));
}

#[test]
fn a_template_that_reaches_what_another_server_has_is_shown_under_ours() {
    let catalog = catalog(&[
        server("a", &["note://1"], &["file:///{path}"], &[]),
        server("b", &[], &["note://{id}", "other://{x}"], &[]),
        server("c", &[], &["file:///c/{path}", "file:///{path}.md/x"], &[]),
    ]);
    let templates = listed(&catalog, &View::All, ListKind::ResourceTemplates, &ServerScope::All);
    let expected = [
        "toolgate://a/file:///{path}",
        "toolgate://b/note://{id}",
        "other://{x}",
        "toolgate://c/file:///c/{path}",
        "toolgate://c/file:///{path}.md/x",
    ];
    assert_eq!(templates, expected);
    // Listed by one server alone, a URI leads to that.
    assert_eq!(listed(&catalog, &View::All, ListKind::Resources, &ServerScope::All), ["note://1"]);
    let found = target(&catalog, Routing::Resource, "toolgate://b/note://1", &ServerScope::All);
    assert_eq!(found, Some(("b".to_owned(), "note://1".to_owned())));
}

proptest! {
    #[test]
    fn whatever_is_listed_leads_back(
        names in prop::collection::btree_set("\\PC{1,20}", 2..4),
        uris in prop::collection::btree_set("\\PC{0,30}|[a-z]{1,3}:[%/a-b]{0,6}|toolgate://[ab%/:]{0,9}", 1..5),
    ) {
        let uris: Vec<&str> = uris.iter().map(String::as_str).collect();
        let servers: Vec<Server> = names.iter().map(|name| server(name, &uris, &[], &[])).collect();
        let catalog = catalog(&servers);
        let shown = listed(&catalog, &View::All, ListKind::Resources, &ServerScope::All);
        let owned = names.iter().flat_map(|name| uris.iter().map(move |uri| (name.clone(), (*uri).to_owned())));
        for (shown, owned) in shown.iter().zip(owned) {
            prop_assert_eq!(catalog.shown_uri(&View::All, &id(&owned.0), &owned.1), shown.as_str());
            prop_assert_eq!(target(&catalog, Routing::Resource, shown, &ServerScope::All), Some(owned));
        }
    }
}
