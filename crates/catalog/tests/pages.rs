//! Listings in pages: whatever their size, joined they are the listing, and nothing that is hidden takes a place.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use catalog::{Catalog, Freshness, Listing, Naming, Seen, Sight, View};
use domain::{ServerId, Subject, Target, ToolName};
use guardrails::{Cleared, Guardrails, Untrusted};
use protocol::{ListKind, Version};

/// Sees everything of `all`, and of other servers the tools whose names end in an even digit.
struct Half;

impl Sight for Half {
    fn of_server(&self, server: &ServerId) -> Seen {
        if server.as_str() == "all" { Seen::Everything } else { Seen::SomeTools }
    }

    fn sees_tool(&self, _: &ServerId, tool: &ToolName) -> bool {
        tool.as_str().ends_with(['0', '2', '4', '6', '8'])
    }
}

fn server(name: &str, tools: usize) -> (ServerId, Cleared<Listing>) {
    let mut listing = Listing::empty(Version::LATEST_MODERN, Bytes::from_static(b"{}"));
    listing.tools = (0..tools).map(|at| Bytes::from(format!(r#"{{"name":"t{at}"}}"#))).collect();
    let until = Some(Instant::now() + Duration::from_secs(tools as u64 * 10));
    listing.freshness[ListKind::Tools.index()] = Freshness { until, is_public: true };
    let id = ServerId::new(name).unwrap();
    let subject = Subject { server: id.clone(), target: Target::Server };
    (id, Guardrails::none().screen_result(&subject, Untrusted::new(listing)).unwrap())
}

fn catalog() -> Catalog {
    let servers = [server("all", 7), server("half", 9), server("none", 0)];
    Catalog::build(Naming::default(), servers.iter().map(|(id, listing)| (id, listing)))
}

fn joined(catalog: &Catalog, most: usize) -> (String, usize) {
    let (mut items, mut from, mut pages) = (Vec::new(), 0, 0);
    loop {
        let page = catalog.page(&View::All, ListKind::Tools, &Half, from, most);
        items.push(String::from_utf8(page.items).unwrap());
        pages += 1;
        match page.next {
            Some(next) => from = next,
            None => return (items.join(","), pages),
        }
    }
}

#[test]
fn pages_of_any_size_are_the_listing() {
    let catalog = catalog();
    let (whole, pages) = joined(&catalog, 100);
    assert_eq!(pages, 1);
    assert_eq!(whole.matches("name").count(), 7 + 5);
    for most in 1..=13 {
        let (pieces, pages) = joined(&catalog, most);
        assert_eq!(pieces, whole, "pages of {most}");
        assert_eq!(pages, 12_usize.div_ceil(most), "pages of {most}");
    }
    let beyond = catalog.page(&View::All, ListKind::Tools, &Half, 12, 5);
    assert!(beyond.items.is_empty() && beyond.next.is_none());
}

#[test]
fn a_listing_is_as_fresh_as_its_oldest_part_and_public_only_as_a_whole() {
    let (catalog, now) = (catalog(), Instant::now());
    let all = ServerId::new("all").unwrap();
    let alone = catalog.freshness(&View::Server(all.clone()), ListKind::Tools, &Half);
    assert!(alone.is_public && alone.ttl_ms(now) > 60_000);
    let merged = catalog.freshness(&View::All, ListKind::Tools, &Half);
    assert!(!merged.is_public, "some tools are hidden");
    assert_eq!(merged.ttl_ms(now), 0, "one server's listing is not fresh any more");
    assert_eq!(catalog.freshness(&View::Server(all), ListKind::Prompts, &Half), Freshness::UNKNOWN);
}
