//! What a client is shown: merged listings as ready bytes, merged capabilities and instructions.

use std::hash::{DefaultHasher, Hash, Hasher};

use domain::{ServerId, ToolName};
use protocol::{Era, Feature, ListKind, Object};
use serde_json::Value;

use crate::{Catalog, Freshness, Seen, Sight, View, block::Names, build::ServerEntry};

/// A page of a listing.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// The comma-joined items, ready to stand in a JSON array.
    pub items: Vec<u8>,
    /// Where the next page begins, if there is one.
    pub next: Option<usize>,
}

impl Page {
    fn push(&mut self, items: &[u8]) {
        if !self.items.is_empty() && !items.is_empty() {
            self.items.push(b',');
        }
        self.items.extend_from_slice(items);
    }
}

impl Names {
    const fn of(view: &View) -> Self {
        match view {
            View::All => Self::Qualified,
            View::Server(_) => Self::Own,
        }
    }
}

/// Longest instructions of one upstream that are passed on in the merged text, in bytes.
const MAX_INSTRUCTIONS_BYTES: usize = 4096;

impl Catalog {
    /// Returns a page of the items of a kind that the caller may see: at most `most` of them, from the one at `from` on.
    pub fn page(&self, view: &View, kind: ListKind, sight: &impl Sight, from: usize, most: usize) -> Page {
        let mut page = Page { items: Vec::new(), next: None };
        let (mut passed, end) = (0, from.saturating_add(most));
        let names = Names::of(view);
        for (server, seen) in self.shown(view, sight) {
            let block = server.blocks(kind).under(names);
            let is_whole = kind != ListKind::Tools || seen == Seen::Everything;
            if is_whole && passed >= from && passed + block.len() <= end {
                page.push(block.joined());
                passed += block.len();
                continue;
            }
            for at in 0..block.len() {
                if !is_whole && !sight.sees_tool(&server.id, &server.listed_tools[at]) {
                    continue;
                }
                if passed == end {
                    page.next = Some(end);
                    return page;
                }
                if passed >= from {
                    page.push(block.item(at));
                }
                passed += 1;
            }
        }
        page
    }

    /// Returns how long the caller's listing of this kind stays as it is. It is the same for everybody only if nothing
    /// is kept from the caller.
    pub fn freshness(&self, view: &View, kind: ListKind, sight: &impl Sight) -> Freshness {
        let mut shown = self.shown(view, sight).map(|(server, _)| server.freshness[kind.index()]);
        let Some(first) = shown.next() else { return Freshness::UNKNOWN };
        let all = shown.fold(first, Freshness::and);
        let mut servers = self.servers.iter().filter(|server| view.shows(&server.id));
        let sees_all = servers.all(|server| sight.of_server(&server.id) == Seen::Everything);
        Freshness { is_public: all.is_public && sees_all, ..all }
    }

    /// Returns how many bytes the caller's whole listing of tools has, without building it.
    pub fn tools_bytes(&self, view: &View, sight: &impl Sight) -> usize {
        let mut bytes = 0;
        self.each_item(view, ListKind::Tools, sight, |_, item| bytes += item.len());
        bytes
    }

    /// Returns a number that changes when the caller's listing of this kind changes, and only then: a server that comes
    /// without anything of the kind changes nothing.
    pub fn fingerprint(&self, view: &View, kind: ListKind, sight: &impl Sight) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (server, seen) in self.shown(view, sight) {
            if kind == ListKind::Tools && seen == Seen::SomeTools {
                self.each_tool(server, sight, Names::Qualified, |item| {
                    (server.id.as_str(), item).hash(&mut hasher);
                });
            } else if server.blocks(kind).under(Names::Qualified).len() > 0 {
                (server.id.as_str(), server.blocks(kind).fingerprint()).hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    /// Returns the tools of one server that the caller may see, by the server's own names and in its order, with their
    /// JSON text; `None` when the server is not listed or the caller may not see it.
    pub fn tools_of(&self, server: &ServerId, sight: &impl Sight) -> Option<Vec<(&ToolName, &[u8])>> {
        let entry = self.server(server)?;
        let seen = sight.of_server(server);
        let is_seen = |tool: &ToolName| match seen {
            Seen::Nothing => false,
            Seen::SomeTools => sight.sees_tool(server, tool),
            Seen::Everything => true,
        };
        let block = entry.blocks(ListKind::Tools).under(Names::Own);
        let tools = entry.listed_tools.iter().enumerate().filter(|(_, tool)| is_seen(tool));
        (seen != Seen::Nothing).then(|| tools.map(|(at, tool)| (tool, block.item(at))).collect())
    }

    /// Returns the JSON text of one tool under its server's own name; whether the caller may see it is not asked.
    pub fn tool_json(&self, server: &ServerId, tool: &ToolName) -> Option<&[u8]> {
        let entry = self.server(server)?;
        let at = entry.listed_tools.iter().position(|listed| listed == tool)?;
        Some(entry.blocks(ListKind::Tools).under(Names::Own).item(at))
    }

    /// Tells whether some server that the caller may see declares this capability.
    pub fn declares(&self, view: &View, sight: &impl Sight, capability: &str) -> bool {
        self.shown(view, sight).any(|(server, _)| {
            Object::parse(&server.capabilities, &[]).is_ok_and(|object| object.get(capability).is_some())
        })
    }

    /// Tells whether some server that the caller may see declares `member` within this capability.
    pub fn declares_within(&self, view: &View, sight: &impl Sight, capability: &str, member: &str) -> bool {
        self.shown(view, sight).any(|(server, _)| {
            let declared = Object::parse(&server.capabilities, &[]).ok();
            let settings = declared.as_ref().and_then(|object| object.get(capability));
            let settings = settings.and_then(|settings| Object::parse(settings.as_bytes(), &[]).ok());
            settings.is_some_and(|settings| settings.get(member) == Some("true"))
        })
    }

    /// Returns how many servers that the caller may see declare a feature.
    pub fn declaring(&self, view: &View, sight: &impl Sight, feature: Feature) -> usize {
        self.shown(view, sight).filter(|(server, _)| server.declares(feature)).count()
    }

    /// Returns what the first server of `era` that the caller may see and that declares a feature says about it.
    pub fn declaration(&self, view: &View, sight: &impl Sight, feature: Feature, era: Era) -> Option<Value> {
        let mut declaring = self.shown(view, sight).filter(|(server, _)| server.era == era);
        declaring.find_map(|(server, _)| server.declaration(feature))
    }

    /// Returns the eras of the servers that the caller may see, without repetition.
    pub fn eras(&self, view: &View, sight: &impl Sight) -> Vec<Era> {
        let mut eras: Vec<Era> = Vec::new();
        for (server, _) in self.shown(view, sight) {
            if !eras.contains(&server.era) {
                eras.push(server.era);
            }
        }
        eras
    }

    /// Returns the instructions for the model: one server's own, or those of all under headings with their names.
    pub fn instructions(&self, view: &View, sight: &impl Sight) -> Option<String> {
        let mut texts =
            self.shown(view, sight).filter_map(|(server, _)| Some((server, server.instructions.as_deref()?)));
        match view {
            View::Server(_) => texts.next().map(|(_, text)| text.to_owned()),
            View::All => {
                let merged: Vec<String> =
                    texts.map(|(server, text)| format!("# {}\n\n{}", server.id, shortened(text))).collect();
                (!merged.is_empty()).then(|| merged.join("\n\n"))
            }
        }
    }

    /// Hands each item, or each block of joined items, to `take` together with its server.
    fn each_item(
        &self,
        view: &View,
        kind: ListKind,
        sight: &impl Sight,
        mut take: impl FnMut(&ServerEntry, &[u8]),
    ) {
        let names = Names::of(view);
        for (server, seen) in self.shown(view, sight) {
            if kind == ListKind::Tools && seen == Seen::SomeTools {
                self.each_tool(server, sight, names, |item| take(server, item));
            } else {
                take(server, server.blocks(kind).under(names).joined());
            }
        }
    }

    fn each_tool(&self, server: &ServerEntry, sight: &impl Sight, names: Names, mut take: impl FnMut(&[u8])) {
        let block = server.blocks(ListKind::Tools).under(names);
        for (at, tool) in server.listed_tools.iter().enumerate() {
            if sight.sees_tool(&server.id, tool) {
                take(block.item(at));
            }
        }
    }

    fn shown(&self, view: &View, sight: &impl Sight) -> impl Iterator<Item = (&ServerEntry, Seen)> {
        let shown = self.servers.iter().filter(move |server| view.shows(&server.id));
        let seen = shown.map(move |server| (server, sight.of_server(&server.id)));
        seen.filter(|(_, seen)| *seen != Seen::Nothing)
    }
}

fn shortened(text: &str) -> &str {
    let mut end = text.len().min(MAX_INSTRUCTIONS_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
