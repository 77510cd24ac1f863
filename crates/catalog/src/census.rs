//! Who lists what, over all servers: which URIs and templates of a server the merged endpoint cannot show as they are,
//! because somebody's request for one would be led to another server. Asked once for each catalog; what it finds is
//! kept in `uris`, and requests are led in `route`. How neighbours are found is in `census/sorted`.

mod sorted;

use std::collections::HashSet;

use self::sorted::{At, Nested, Sorted};
use crate::{
    template::Template,
    uri,
    uris::{Claims, Renamed},
};

/// How often templates of one server are compared with what other servers list, each time a catalog is built; its
/// templates share this evenly. 2,500 templates may have 200 near neighbours each and are compared with all of them; a
/// template with more is shown under a URI of ours without looking further, as if it collided, which is always safe.
/// So the work for a server is bounded, some 10 ms, however much all of them list.
const MAX_COMPARISONS: usize = 500_000;

/// What all servers list.
pub(crate) struct Census<'a> {
    listed: Sorted<'a, ()>,
    /// By what their expansions begin with.
    templates: Nested<'a, &'a Template>,
    /// How many servers can be asked for resources.
    serving: usize,
}

impl<'a> Census<'a> {
    /// Counts over all servers.
    pub(crate) fn of(servers: &'a [Claims]) -> Self {
        let claims = || servers.iter().enumerate();
        let listed = claims().flat_map(|(at, server)| server.listed().map(move |uri| (uri, at, ())));
        let templates = claims().flat_map(|(at, server)| {
            distinct(server).into_iter().map(move |template| (template.beginning(), at, template))
        });
        Self {
            listed: Sorted::new(listed).merged(),
            templates: Nested::new(Sorted::new(templates)),
            serving: servers.iter().filter(|server| server.can_be_asked()).count(),
        }
    }

    /// Tells what of the server `claims`, which stands at `at`, is shown under URIs of ours. What looks like one counts
    /// as such: nobody may take the place of another server's resource.
    pub(crate) fn renamed(&self, at: At, claims: &Claims) -> Renamed {
        let is_shared =
            |uri: &str| self.listed.owner(uri).is_some_and(|owner| owner.includes_another_than(at));
        let uris = claims.listed().filter(|uri| is_shared(uri) || uri.starts_with(uri::PREFIX));
        let templates = distinct(claims);
        let comparisons = MAX_COMPARISONS / templates.len().max(1);
        let is_renamed =
            |template: &Template| template.begins(uri::PREFIX) || self.may_collide(at, template, comparisons);
        Renamed {
            uris: uris.map(str::to_owned).collect(),
            templates: templates.into_iter().filter(|template| is_renamed(template)).cloned().collect(),
            has_neighbours: self.serving > usize::from(claims.can_be_asked()),
        }
    }

    /// Tells whether another server than that at `at` lists what can be an expansion of `template`, or a template with
    /// an expansion that this one has too; also if that is not known after so many `comparisons`.
    fn may_collide(&self, at: At, template: &Template, comparisons: usize) -> bool {
        let beginning = template.beginning();
        let listed = self.listed.beginning_with(beginning, at).map(|entry| template.matches(entry.key));
        let near = self.templates.near(beginning, at).map(|entry| template.overlaps(entry.value));
        listed.chain(near).enumerate().any(|(before, collides)| collides || before == comparisons)
    }
}

/// Returns the templates of a server, none of them twice.
fn distinct(claims: &Claims) -> HashSet<&Template> {
    claims.templates().iter().collect()
}
