//! The labelled tasks that search is measured on: real tools of real servers, and what people ask for.
//! They are read from beside the repository and never become part of it.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::Read as _,
    path::PathBuf,
};

use bytes::Bytes;
use catalog::{Hit, Listing, SearchIndex};
use domain::ServerId;
use protocol::Version;
use serde_json::{Value, json};

/// One task: a query, and the tools that are right for it.
pub(crate) struct Task {
    pub(crate) query: String,
    pub(crate) style: String,
    /// Where its servers belong; tasks of one cluster are no proof for each other.
    pub(crate) cluster: String,
    /// For each step of the task the tools that do it. None at all if no tool fits.
    steps: Vec<HashSet<(String, String)>>,
}

impl Task {
    /// Tells whether some tool fits.
    pub(crate) fn is_possible(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Returns the share of the steps that have a right tool among the first `limit` hits.
    pub(crate) fn recall(&self, hits: &[Hit], limit: usize) -> f64 {
        let is_found = |step: &&HashSet<(String, String)>| {
            let mut shown = hits.iter().take(limit);
            shown.any(|hit| step.contains(&(hit.server.to_string(), hit.tool.to_string())))
        };
        self.steps.iter().filter(is_found).count() as f64 / self.steps.len() as f64
    }
}

/// Returns the folder with the tasks; `None` where it does not stand beside the repository.
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/search"));
    folder.is_dir().then_some(folder)
}

/// Reads the tasks.
pub(crate) fn tasks(folder: &std::path::Path) -> Vec<Task> {
    let text = std::fs::read_to_string(folder.join("tasks_dev.jsonl")).expect("the tasks can be read");
    text.lines().map(|line| task(&serde_json::from_str(line).expect("a task is JSON"))).collect()
}

fn task(line: &Value) -> Task {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut steps: BTreeMap<u64, HashSet<(String, String)>> = BTreeMap::new();
    for right in line["relevant"].as_array().into_iter().flatten() {
        let step = steps.entry(right["step"].as_u64().unwrap_or_default()).or_default();
        step.insert((text(&right["server"]), text(&right["tool"])));
    }
    Task {
        query: text(&line["query"]),
        style: text(&line["style"]),
        cluster: line["clusters"].to_string(),
        steps: steps.into_values().collect(),
    }
}

/// Reads the tools of all servers.
pub(crate) fn listings(folder: &std::path::Path) -> BTreeMap<ServerId, Listing> {
    let file = File::open(folder.join("catalog.json.gz")).expect("the tools can be read");
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("the tools can be unpacked");
    let rows: Vec<Value> = serde_json::from_str(&text).expect("the tools are JSON");
    let mut listings = BTreeMap::new();
    for row in rows {
        let server = ServerId::new(row["server"].as_str().expect("a server")).expect("a sound name");
        let tool = json!({"name": row["tool"], "description": row["description"], "inputSchema": row["inputSchema"]});
        let listing = listings.entry(server).or_insert_with(empty);
        listing.tools.push(Bytes::from(tool.to_string()));
    }
    listings
}

/// Returns a listing without items.
pub(crate) fn empty() -> Listing {
    Listing::empty(Version::LATEST_MODERN, Bytes::from_static(b"{}"))
}

/// Returns an index over all listings.
pub(crate) fn index<'a>(listings: impl IntoIterator<Item = (&'a ServerId, &'a Listing)>) -> SearchIndex {
    let mut index = SearchIndex::default();
    for (server, listing) in listings {
        index.update(server, listing);
    }
    index
}
