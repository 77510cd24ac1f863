//! Names in the merged endpoint: each leads to the tool or prompt that is listed under it, whatever servers call
//! theirs.

use bytes::Bytes;
use catalog::{Catalog, Listing, NameLimit, Naming, NamingStyle, View};
use domain::{ServerId, ServerScope, Subject, Target};
use guardrails::{Cleared, Guardrails, Untrusted};
use protocol::{ListKind, Routing, Version};
use serde_json::{Value, json};

const DASHED: Naming = Naming { style: NamingStyle::McpServerTool, limit: NameLimit::DEFAULT };

fn server(name: &str, items: &[&str]) -> (ServerId, Cleared<Listing>) {
    let mut listing = Listing::empty(Version::LATEST_MODERN, Bytes::from_static(b"{}"));
    let item =
        |item: &&str| json!({"name": item, "description": format!("{name}/{item}"), "inputSchema": {}});
    listing.tools = items.iter().map(|each| item(each).to_string().into()).collect();
    listing.prompts = listing.tools.clone();
    let id = ServerId::new(name).expect("a name");
    let subject = Subject { server: id.clone(), target: Target::Server };
    let cleared =
        Guardrails::none().screen_result(&subject, Untrusted::new(listing)).expect("it is screened");
    (id, cleared)
}

/// Checks that all are listed, under names of their own, which lead to what they name. Returns the names.
fn check(naming: Naming, servers: &[(&str, &[&str])]) -> Vec<String> {
    let listings: Vec<_> = servers.iter().map(|(name, items)| server(name, items)).collect();
    let catalog = Catalog::build(naming, listings.iter().map(|(id, listing)| (id, listing)));
    assert_eq!(catalog.findings(), []);
    let mut all = Vec::new();
    for (kind, routing) in [(ListKind::Tools, Routing::Tool), (ListKind::Prompts, Routing::Prompt)] {
        let page = catalog.page(&View::All, kind, &ServerScope::All, 0, 1000);
        let items = format!("[{}]", String::from_utf8(page.items).expect("text"));
        let items: Vec<Value> = serde_json::from_str(&items).expect("JSON");
        assert_eq!(items.len(), servers.iter().map(|(_, items)| items.len()).sum::<usize>());
        all = items.iter().map(|item| item["name"].as_str().expect("a name").to_owned()).collect();
        for (item, name) in items.iter().zip(&all) {
            assert_eq!(all.iter().filter(|other| *other == name).count(), 1, "{all:?}");
            let route = catalog.route(&View::All, routing, name, &ServerScope::All).expect("a route");
            let (Target::Tool(own) | Target::Prompt(own)) = &route.subject().target else { panic!("{name}") };
            assert_eq!(item["description"], format!("{}/{own}", route.subject().server), "{name}");
        }
    }
    all
}

#[test]
fn names_that_look_like_suffixed_ones_take_no_place() {
    // The first two are alike, and get suffixes; the third is called like one of them then.
    let alike = check(DASHED, &[("git", &["hub-search"]), ("git-hub", &["search"])]);
    let suffixed = alike.iter().map(|name| name.strip_prefix("mcp-git-hub-").expect("the beginning stays"));
    for suffixed in suffixed {
        let names = check(DASHED, &[("git", &["hub-search"]), ("git-hub", &["search", suffixed])]);
        assert_eq!(names[..2], alike, "what had its name keeps it");
    }
}

#[test]
fn suffixes_of_suffixes_take_no_place_either() {
    let name = |items: &[&str], at: usize| {
        check(Naming::default(), &[("git", items)])[at].strip_prefix("git__").expect("the server").to_owned()
    };
    let once = name(&["a.b"], 0);
    let twice = name(&["a.b", &once], 0);
    assert_ne!(once, twice);
    check(Naming::default(), &[("git", &["a.b", &once, &twice])]);
    let other = name(&["a.b", &once], 1);
    check(Naming::default(), &[("git", &["a.b", "a_b", &once, &twice, &other])]);
}
