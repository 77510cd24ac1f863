//! Builds the catalog: names every tool and prompt, indexes routes, keeps listings as ready bytes.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use domain::{QualifiedName, ServerId, Target, ToolName};
use guardrails::Cleared;
use protocol::{Era, Feature, ListKind, Object, param_headers};

use serde_json::Value;

use crate::{
    Freshness, Listing, Naming, Route,
    block::{Block, Blocks},
    distinct, merged,
    uris::{Claims, Shown, Uris},
};

/// Something odd in an upstream's listing that its owner should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The upstream.
    pub server: ServerId,
    /// The item's name, made printable; empty when it has none.
    pub item: String,
    /// What is wrong with it, and what was done.
    pub what: String,
}

/// Everything that all upstreams offer, named and indexed. Immutable: a change builds the next one.
#[derive(Debug, Default)]
pub struct Catalog {
    pub(crate) servers: Vec<ServerEntry>,
    pub(crate) tools: HashMap<QualifiedName, Route>,
    pub(crate) prompts: HashMap<QualifiedName, Route>,
    /// Those of each server, in the same order.
    pub(crate) uris: Vec<Arc<Uris>>,
    findings: Vec<Finding>,
}

/// One upstream's part of the catalog.
#[derive(Debug)]
pub(crate) struct ServerEntry {
    pub(crate) id: ServerId,
    pub(crate) era: Era,
    pub(crate) capabilities: Bytes,
    pub(crate) instructions: Option<String>,
    pub(crate) tools: HashMap<ToolName, Route>,
    pub(crate) prompts: HashMap<ToolName, Route>,
    pub(crate) uris: Arc<Uris>,
    /// The names of the tools, in the order of their block.
    pub(crate) listed_tools: Vec<ToolName>,
    /// How long its listings stay as they are.
    pub(crate) freshness: [Freshness; ListKind::ALL.len()],
    blocks: [Blocks; ListKind::ALL.len()],
}

impl ServerEntry {
    /// Returns the items of one kind.
    pub(crate) const fn blocks(&self, kind: ListKind) -> &Blocks {
        &self.blocks[kind.index()]
    }

    /// Tells whether the server declares a feature.
    pub(crate) fn declares(&self, feature: Feature) -> bool {
        match feature {
            Feature::Capability(name) => declares(&self.capabilities, name),
            Feature::Extension(id) => {
                let extensions = Object::parse(&self.capabilities, &[]).ok();
                let extensions = extensions.as_ref().and_then(|object| object.get("extensions"));
                extensions.is_some_and(|extensions| declares(extensions.as_bytes(), id))
            }
        }
    }

    /// Returns what the server says about a feature that it declares.
    pub(crate) fn declaration(&self, feature: Feature) -> Option<Value> {
        let capabilities: Value = serde_json::from_slice(&self.capabilities).ok()?;
        match feature {
            Feature::Capability(name) => capabilities.get(name).cloned(),
            Feature::Extension(id) => capabilities.get("extensions")?.get(id).cloned(),
        }
    }
}

impl Catalog {
    /// Builds the catalog over all screened listings. The order of servers is the order of their names.
    pub fn build<'a>(
        naming: Naming,
        listings: impl IntoIterator<Item = (&'a ServerId, &'a Cleared<Listing>)>,
    ) -> Self {
        let mut findings = Vec::new();
        let mut drafts: Vec<Draft> =
            listings.into_iter().map(|(id, listing)| Draft::read(id, listing.get(), &mut findings)).collect();
        drafts.sort_by(|a, b| a.id.cmp(&b.id));
        let mut catalog = Self { findings, ..Self::default() };
        for kind in [ListKind::Tools, ListKind::Prompts] {
            name_items(naming, kind, &mut drafts, &mut catalog.findings);
        }
        catalog.uris = Uris::of_all(drafts.iter().map(Draft::claims).collect());
        for (at, draft) in drafts.into_iter().enumerate() {
            catalog.add(draft, at);
        }
        catalog
    }

    /// Returns what is odd in the listings.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Returns how many tools a server offers; `None` when it has no listing.
    pub fn tool_count(&self, server: &ServerId) -> Option<usize> {
        self.server(server).map(|entry| entry.listed_tools.len())
    }

    /// Returns the names of all listed servers, in order.
    pub fn server_ids(&self) -> impl Iterator<Item = &ServerId> {
        self.servers.iter().map(|server| &server.id)
    }

    /// Tells whether the server is listed.
    pub fn has_server(&self, server: &ServerId) -> bool {
        self.server(server).is_some()
    }

    pub(crate) fn server(&self, id: &ServerId) -> Option<&ServerEntry> {
        self.servers.binary_search_by(|entry| entry.id.cmp(id)).ok().map(|found| &self.servers[found])
    }

    /// Adds the server that is the one at `at`.
    fn add(&mut self, draft: Draft, at: usize) {
        // Names are distinct; were they not, nobody would take the place of another.
        for item in &draft.tools {
            let name = item.qualified.clone().expect("tools were named");
            self.tools.entry(name).or_insert_with(|| item.route.clone());
        }
        for item in &draft.prompts {
            let name = item.qualified.clone().expect("prompts were named");
            self.prompts.entry(name).or_insert_with(|| item.route.clone());
        }
        let entry = draft.finish(&self.uris[at], &self.uris);
        self.servers.push(entry);
    }
}

/// A tool or prompt on its way into the catalog.
struct Item {
    name: ToolName,
    raw: Bytes,
    route: Route,
    qualified: Option<QualifiedName>,
}

struct Draft {
    id: ServerId,
    listing: Listing,
    tools: Vec<Item>,
    prompts: Vec<Item>,
}

impl Draft {
    fn read(id: &ServerId, listing: &Listing, findings: &mut Vec<Finding>) -> Self {
        let (id, listing) = (id.clone(), listing.clone());
        let mut draft = Self { id, listing, tools: Vec::new(), prompts: Vec::new() };
        draft.tools = draft.read_items(ListKind::Tools, findings, read_tool);
        draft.prompts = draft.read_items(ListKind::Prompts, findings, read_prompt);
        draft
    }

    fn claims(&self) -> Claims {
        let listing = &self.listing;
        let interfaces = self.tools.iter().flat_map(|tool| merged::user_interfaces(&tool.raw));
        Claims::read(&self.id, &listing.resources, &listing.templates, interfaces)
            .declaring_resources(declares(&listing.capabilities, "resources"))
    }

    fn read_items(
        &self,
        kind: ListKind,
        findings: &mut Vec<Finding>,
        read: fn(&ServerId, &Bytes) -> Result<Item, Finding>,
    ) -> Vec<Item> {
        let mut seen = HashSet::new();
        let mut items = Vec::new();
        for raw in self.listing.items(kind) {
            match read(&self.id, raw) {
                Ok(item) if seen.insert(item.name.clone()) => items.push(item),
                Ok(item) => {
                    findings.push(finding(&self.id, item.name.as_str(), "listed twice; the first one counts"))
                }
                Err(found) => findings.push(found),
            }
        }
        items
    }

    const fn items(&self, kind: ListKind) -> &Vec<Item> {
        match kind {
            ListKind::Tools => &self.tools,
            ListKind::Prompts | ListKind::Resources | ListKind::ResourceTemplates => &self.prompts,
        }
    }

    const fn items_mut(&mut self, kind: ListKind) -> &mut Vec<Item> {
        match kind {
            ListKind::Tools => &mut self.tools,
            ListKind::Prompts | ListKind::Resources | ListKind::ResourceTemplates => &mut self.prompts,
        }
    }

    fn finish(self, uris: &Arc<Uris>, all: &[Arc<Uris>]) -> ServerEntry {
        let shown = Shown::new(uris, all);
        let named = |items: &[Item]| {
            let own = Block::join(items.iter().map(|item| item.raw.clone()));
            let name = |item: &Item| item.qualified.clone().expect("the item was named");
            let renamed = items.iter().map(|item| merged::named(&item.raw, &name(item), shown));
            Blocks::new(own, Block::join(renamed))
        };
        let blocks = ListKind::ALL.map(|kind| match kind {
            ListKind::Tools => named(&self.tools),
            ListKind::Prompts => named(&self.prompts),
            ListKind::Resources | ListKind::ResourceTemplates => {
                let items = self.listing.items(kind);
                let own = Block::join(items.iter().cloned());
                if shown.renames_listed() {
                    Blocks::new(own, Block::join(items.iter().map(|raw| merged::resource(raw, kind, shown))))
                } else {
                    Blocks::same(own)
                }
            }
        });
        let routes =
            |items: &[Item]| items.iter().map(|item| (item.name.clone(), item.route.clone())).collect();
        ServerEntry {
            era: self.listing.era(),
            listed_tools: self.tools.iter().map(|item| item.name.clone()).collect(),
            freshness: self.listing.freshness,
            blocks,
            tools: routes(&self.tools),
            prompts: routes(&self.prompts),
            uris: Arc::clone(uris),
            capabilities: self.listing.capabilities,
            instructions: self.listing.instructions,
            id: self.id,
        }
    }
}

fn read_tool(server: &ServerId, raw: &Bytes) -> Result<Item, Finding> {
    let object = Object::parse(raw, &["name", "inputSchema"])
        .map_err(|fault| finding(server, "", &fault.to_string()))?;
    let name = item_name(server, &object)?;
    let plan = object.get("inputSchema").map_or(Ok(Vec::new()), param_headers::plan);
    let plan = plan.map_err(|fault| finding(server, name.as_str(), &format!("not offered: {fault}")))?;
    let route = Route::to(server.clone(), Target::Tool(name.clone()), plan);
    Ok(Item { name, raw: raw.clone(), route, qualified: None })
}

fn read_prompt(server: &ServerId, raw: &Bytes) -> Result<Item, Finding> {
    let object = Object::parse(raw, &["name"]).map_err(|fault| finding(server, "", &fault.to_string()))?;
    let name = item_name(server, &object)?;
    let route = Route::to(server.clone(), Target::Prompt(name.clone()), Vec::new());
    Ok(Item { name, raw: raw.clone(), route, qualified: None })
}

fn item_name(server: &ServerId, object: &Object<'_>) -> Result<ToolName, Finding> {
    let name =
        object.string("name").ok_or_else(|| finding(server, "", "an item without a name; not offered"))?;
    ToolName::new(name.as_ref()).map_err(|fault| finding(server, &name, &fault.to_string()))
}

/// Longest part of an item's name that a finding shows, in characters.
const SHOWN_NAME: usize = 80;

fn finding(server: &ServerId, item: &str, what: &str) -> Finding {
    let item = item.chars().take(SHOWN_NAME).flat_map(char::escape_debug).collect();
    Finding { server: server.clone(), item, what: what.to_owned() }
}

fn declares(capabilities: &[u8], name: &str) -> bool {
    Object::parse(capabilities, &[]).is_ok_and(|object| object.get(name).is_some())
}

/// Names every item of a kind. One that cannot be told from others is not offered.
fn name_items(naming: Naming, kind: ListKind, drafts: &mut [Draft], findings: &mut Vec<Finding>) {
    let items = drafts.iter().flat_map(|draft| draft.items(kind).iter().map(|item| (&draft.id, &item.name)));
    let mut names = distinct::names(items, |item, changes| naming.distinguish(item, changes)).into_iter();
    for draft in drafts {
        let id = draft.id.clone();
        draft.items_mut(kind).retain_mut(|item| {
            item.qualified = names.next().flatten();
            if item.qualified.is_none() {
                findings.push(finding(
                    &id,
                    item.name.as_str(),
                    "its name cannot be told from another's; not offered",
                ));
            }
            item.qualified.is_some()
        });
    }
}
