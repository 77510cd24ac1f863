//! Who lists what, over all servers: which URIs and templates of a server the merged endpoint cannot show as they are,
//! because somebody's request for one would be led to another server. Asked once for each catalog; what it finds is
//! kept in `uris`, and requests are led in `route`.

use std::collections::{BTreeMap, HashSet};

use crate::{
    template::Template,
    uri,
    uris::{Claims, Renamed},
};

/// Where a server stands among all.
type At = usize;

/// What all servers list.
#[derive(Default)]
pub(crate) struct Census<'a> {
    listed: BTreeMap<&'a str, Listers>,
    /// By what their expansions begin with.
    templates: BTreeMap<&'a str, Vec<(At, &'a Template)>>,
    /// How many servers can be asked for resources.
    serving: usize,
}

/// Who lists a URI.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listers {
    Only(At),
    Several,
}

impl Listers {
    fn include_another_than(self, at: At) -> bool {
        self != Self::Only(at)
    }
}

impl<'a> Census<'a> {
    /// Counts over all servers.
    pub(crate) fn of(servers: &'a [Claims]) -> Self {
        let mut census = Self::default();
        for (at, server) in servers.iter().enumerate() {
            census.serving += usize::from(server.can_be_asked());
            for uri in server.listed() {
                let listers = census.listed.entry(uri).or_insert(Listers::Only(at));
                if listers.include_another_than(at) {
                    *listers = Listers::Several;
                }
            }
            for template in server.templates() {
                census.templates.entry(template.beginning()).or_default().push((at, template));
            }
        }
        census
    }

    /// Tells what of the server `claims`, which stands at `at`, is shown under URIs of ours. What looks like one counts
    /// as such: nobody may take the place of another server's resource.
    pub(crate) fn renamed(&self, at: At, claims: &Claims) -> Renamed {
        let is_shared = |uri: &str| self.listed.get(uri).is_some_and(|by| by.include_another_than(at));
        let uris = claims.listed().filter(|uri| is_shared(uri) || uri.starts_with(uri::PREFIX));
        let templates: HashSet<&Template> = claims.templates().iter().collect();
        let is_renamed = |template: &Template| {
            template.begins(uri::PREFIX)
                || self.lists_expansion(at, template)
                || self.has_overlapping(at, template)
        };
        Renamed {
            uris: uris.map(str::to_owned).collect(),
            templates: templates.into_iter().filter(|template| is_renamed(template)).cloned().collect(),
            has_neighbours: self.serving > usize::from(claims.can_be_asked()),
        }
    }

    /// Tells whether another server than that at `at` lists what can be an expansion of `template`.
    fn lists_expansion(&self, at: At, template: &Template) -> bool {
        let beginning = template.beginning();
        let mut listed = self.listed.range(beginning..).take_while(|(uri, _)| uri.starts_with(beginning));
        listed.any(|(uri, listers)| listers.include_another_than(at) && template.matches(uri))
    }

    /// Tells whether another server than that at `at` has a template with an expansion that `template` has too.
    fn has_overlapping(&self, at: At, template: &Template) -> bool {
        let beginning = template.beginning();
        let longer = self.templates.range(beginning..).take_while(|(other, _)| other.starts_with(beginning));
        let ends = beginning.char_indices().map(|(end, _)| end);
        let shorter = ends.filter_map(|end| self.templates.get(&beginning[..end]));
        let mut near = longer.map(|(_, templates)| templates).chain(shorter).flatten();
        near.any(|(owner, other)| *owner != at && template.overlaps(other))
    }
}
