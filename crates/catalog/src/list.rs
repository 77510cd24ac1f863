//! What a client is shown: merged listings as ready bytes, merged capabilities and instructions.

use std::hash::{DefaultHasher, Hash, Hasher};

use domain::{ServerId, ToolName};
use protocol::{Era, Feature, ListKind, Object};
use serde_json::Value;

use crate::{
    Catalog, Seen, Sight, View,
    build::{Names, ServerEntry},
};

/// Longest instructions of one upstream that are passed on in the merged text, in bytes.
const MAX_INSTRUCTIONS_BYTES: usize = 4096;

impl Catalog {
    /// Returns the comma-joined items of a kind that the caller may see, ready to stand in a JSON array.
    pub fn items(&self, view: &View, kind: ListKind, sight: &impl Sight) -> Vec<u8> {
        let mut out = Vec::new();
        let mut push = |item: &[u8]| {
            if !out.is_empty() && !item.is_empty() {
                out.push(b',');
            }
            out.extend_from_slice(item);
        };
        self.each_item(view, kind, sight, |_, item| push(item));
        out
    }

    /// Returns how many bytes [`Catalog::items`] has for tools, without building it.
    pub fn tools_bytes(&self, view: &View, sight: &impl Sight) -> usize {
        let mut bytes = 0;
        self.each_item(view, ListKind::Tools, sight, |_, item| bytes += item.len());
        bytes
    }

    /// Returns a number that changes when the caller's listing of this kind changes.
    pub fn fingerprint(&self, view: &View, kind: ListKind, sight: &impl Sight) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (server, seen) in self.shown(view, sight) {
            server.id.as_str().hash(&mut hasher);
            if kind == ListKind::Tools && seen == Seen::SomeTools {
                self.each_tool(server, sight, Names::Qualified, |item| item.hash(&mut hasher));
            } else {
                server.fingerprint(kind).hash(&mut hasher);
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
        let tools = entry.listed_tools.iter().filter(|tool| is_seen(&tool.name));
        (seen != Seen::Nothing)
            .then(|| tools.map(|tool| (&tool.name, entry.tool_json(tool, Names::Own))).collect())
    }

    /// Returns the JSON text of one tool under its server's own name; whether the caller may see it is not asked.
    pub fn tool_json(&self, server: &ServerId, tool: &ToolName) -> Option<&[u8]> {
        let entry = self.server(server)?;
        let listed = entry.listed_tools.iter().find(|listed| listed.name == *tool)?;
        Some(entry.tool_json(listed, Names::Own))
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
        let names = if *view == View::All { Names::Qualified } else { Names::Own };
        for (server, seen) in self.shown(view, sight) {
            if kind == ListKind::Tools && seen == Seen::SomeTools {
                self.each_tool(server, sight, names, |item| take(server, item));
            } else {
                take(server, server.block(kind, names));
            }
        }
    }

    fn each_tool(&self, server: &ServerEntry, sight: &impl Sight, names: Names, mut take: impl FnMut(&[u8])) {
        for tool in server.listed_tools.iter().filter(|tool| sight.sees_tool(&server.id, &tool.name)) {
            take(server.tool_json(tool, names));
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
