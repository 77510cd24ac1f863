//! What a client is shown: merged listings as ready bytes, merged capabilities and instructions.

use std::hash::{DefaultHasher, Hash, Hasher};

use domain::ServerScope;
use protocol::{Era, ListKind, Object};

use crate::{Catalog, View, build::ServerEntry};

/// Longest instructions of one upstream that are passed on in the merged text, in bytes.
const MAX_INSTRUCTIONS_BYTES: usize = 4096;

impl Catalog {
    /// Returns the comma-joined items of a kind that the caller may see, ready to stand in a JSON array.
    pub fn items(&self, view: &View, kind: ListKind, scope: &ServerScope) -> Vec<u8> {
        let qualified = *view == View::All;
        let blocks: Vec<_> = self
            .shown(view, scope)
            .map(|server| server.block(kind, qualified))
            .filter(|block| !block.is_empty())
            .collect();
        let mut out = Vec::with_capacity(blocks.iter().map(|block| block.len() + 1).sum());
        for block in blocks {
            if !out.is_empty() {
                out.push(b',');
            }
            out.extend_from_slice(block);
        }
        out
    }

    /// Returns a number that changes when the caller's listing of this kind changes.
    pub fn fingerprint(&self, view: &View, kind: ListKind, scope: &ServerScope) -> u64 {
        let mut hasher = DefaultHasher::new();
        for server in self.shown(view, scope) {
            (server.id.as_str(), server.fingerprint(kind)).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Tells whether some server that the caller may see declares this capability.
    pub fn declares(&self, view: &View, scope: &ServerScope, capability: &str) -> bool {
        self.shown(view, scope).any(|server| {
            Object::parse(&server.capabilities, &[]).is_ok_and(|object| object.get(capability).is_some())
        })
    }

    /// Returns the eras of the servers that the caller may see, without repetition.
    pub fn eras(&self, view: &View, scope: &ServerScope) -> Vec<Era> {
        let mut eras: Vec<Era> = Vec::new();
        for server in self.shown(view, scope) {
            if !eras.contains(&server.era) {
                eras.push(server.era);
            }
        }
        eras
    }

    /// Returns the instructions for the model: one server's own, or those of all under headings with their names.
    pub fn instructions(&self, view: &View, scope: &ServerScope) -> Option<String> {
        let mut texts =
            self.shown(view, scope).filter_map(|server| Some((server, server.instructions.as_deref()?)));
        match view {
            View::Server(_) => texts.next().map(|(_, text)| text.to_owned()),
            View::All => {
                let merged: Vec<String> =
                    texts.map(|(server, text)| format!("# {}\n\n{}", server.id, shortened(text))).collect();
                (!merged.is_empty()).then(|| merged.join("\n\n"))
            }
        }
    }

    fn shown(&self, view: &View, scope: &ServerScope) -> impl Iterator<Item = &ServerEntry> {
        self.servers.iter().filter(move |server| view.shows(&server.id) && scope.reaches(&server.id))
    }
}

fn shortened(text: &str) -> &str {
    let mut end = text.len().min(MAX_INSTRUCTIONS_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
