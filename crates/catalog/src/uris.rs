//! The resources and templates that one server lists, and under which URIs the merged endpoint shows them: under the
//! server's own where a request for that is led to this server and to no other, whoever asks; else under URIs of ours
//! (`uri.rs`). Which of the listed ones those are is found out in `census`.

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use bytes::Bytes;
use domain::ServerId;
use protocol::Object;

use crate::{Catalog, View, census::Census, template::Template, uri};

/// What one server lists.
#[derive(Debug)]
pub(crate) struct Claims {
    server: ServerId,
    listed: HashSet<String>,
    templates: Vec<Template>,
    /// It declares resources: it may serve others than it lists.
    has_resources: bool,
}

/// What of it is shown under URIs of ours.
#[derive(Debug)]
pub(crate) struct Renamed {
    pub(crate) uris: HashSet<String>,
    pub(crate) templates: HashSet<Template>,
    /// There are other servers that can be asked for resources.
    pub(crate) has_neighbours: bool,
}

/// The resources and templates of one server, among those of all.
#[derive(Debug)]
pub(crate) struct Uris {
    claims: Claims,
    renamed: Renamed,
}

/// How the merged endpoint shows the URIs of one server.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a> {
    own: &'a Uris,
    all: &'a [Arc<Uris>],
}

// === impl Claims ===

impl Claims {
    /// Reads what a server lists; `interfaces` are the user interfaces that its tools name, which servers need not list
    /// among their resources.
    pub(crate) fn read(
        server: &ServerId,
        resources: &[Bytes],
        templates: &[Bytes],
        interfaces: impl IntoIterator<Item = String>,
    ) -> Self {
        let templates = members(templates, "uriTemplate").map(|template| Template::new(&template));
        Self {
            server: server.clone(),
            listed: members(resources, "uri").chain(interfaces).collect(),
            templates: templates.collect(),
            has_resources: false,
        }
    }

    /// Notes whether the server declares resources.
    pub(crate) fn declaring_resources(self, has_resources: bool) -> Self {
        Self { has_resources, ..self }
    }

    /// Returns the listed URIs.
    pub(crate) fn listed(&self) -> impl Iterator<Item = &str> {
        self.listed.iter().map(String::as_str)
    }

    /// Returns the listed templates.
    pub(crate) fn templates(&self) -> &[Template] {
        &self.templates
    }

    /// Tells whether some URI leads to this server.
    pub(crate) fn can_be_asked(&self) -> bool {
        self.has_resources || !self.listed.is_empty() || !self.templates.is_empty()
    }
}

// === impl Uris ===

impl Uris {
    /// Finds out how the URIs of all servers are shown. The order stays.
    pub(crate) fn of_all(claims: Vec<Claims>) -> Vec<Arc<Self>> {
        let census = Census::of(&claims);
        let renamed: Vec<_> =
            claims.iter().enumerate().map(|(at, claims)| census.renamed(at, claims)).collect();
        claims.into_iter().zip(renamed).map(|(claims, renamed)| Arc::new(Self { claims, renamed })).collect()
    }

    /// Tells whether the server lists this resource.
    pub(crate) fn lists(&self, uri: &str) -> bool {
        self.claims.listed.contains(uri)
    }

    /// Tells whether this can be an expansion of one of the server's templates.
    pub(crate) fn expands_to(&self, uri: &str) -> bool {
        self.claims.templates.iter().any(|template| template.matches(uri))
    }

    /// Tells whether the server declares resources: it may serve others than it lists.
    pub(crate) const fn has_resources(&self) -> bool {
        self.claims.has_resources
    }

    /// Tells whether any listed URI or template is shown under a URI of ours.
    fn any_renamed(&self) -> bool {
        !self.renamed.uris.is_empty() || !self.renamed.templates.is_empty()
    }

    fn is_server(&self, server: &ServerId) -> bool {
        self.claims.server == *server
    }
}

// === impl Shown ===

impl<'a> Shown<'a> {
    /// Takes one server's URIs among those of `all`.
    pub(crate) const fn new(own: &'a Uris, all: &'a [Arc<Uris>]) -> Self {
        Self { own, all }
    }

    /// Tells whether any resource or template that the server lists is shown under a URI of ours.
    pub(crate) fn renames_listed(self) -> bool {
        self.own.any_renamed()
    }

    /// Tells whether any URI of the server may be shown as another.
    pub(crate) fn renames_any(self) -> bool {
        self.own.renamed.has_neighbours || self.own.any_renamed()
    }

    /// Returns the URI under which the merged endpoint shows the server's resource `uri`.
    pub(crate) fn uri<'u>(self, uri: &'u str) -> Cow<'u, str> {
        let own = self.own;
        let server = &own.claims.server;
        if !self.renames_any() {
            Cow::Borrowed(uri)
        } else if own.renamed.uris.contains(uri) || uri.starts_with(uri::PREFIX) {
            Cow::Owned(uri::qualified(server, uri))
        } else if own.lists(uri) {
            Cow::Borrowed(uri)
        } else if own.renamed.templates.iter().any(|template| template.matches(uri)) {
            // As a client gets it that expands the template.
            Cow::Owned(uri::qualified_expansion(server, uri))
        } else if own.expands_to(uri) || !self.goes_astray(uri) {
            Cow::Borrowed(uri)
        } else {
            Cow::Owned(uri::qualified(server, uri))
        }
    }

    /// Returns the template that the merged endpoint shows for the server's own.
    pub(crate) fn template<'u>(self, template: &'u str) -> Cow<'u, str> {
        if self.own.renamed.templates.contains(&Template::new(template)) {
            Cow::Owned(uri::qualified_template(&self.own.claims.server, template))
        } else {
            Cow::Borrowed(template)
        }
    }

    /// Tells whether a request for `uri`, which the server does not list, would be led to another server for somebody,
    /// or nowhere although this one may have it. What is on the web clients read there (specification, resources:
    /// common URI schemes), so that stays as it is unless another server lists it.
    fn goes_astray(self, uri: &str) -> bool {
        let others = || self.all.iter().filter(|other| !other.is_server(&self.own.claims.server));
        let is_claimed = others().any(|other| other.lists(uri) || other.expands_to(uri));
        is_claimed || !is_on_the_web(uri) && others().any(|other| other.has_resources())
    }
}

impl Catalog {
    /// Tells whether the endpoint may show some resource of the server under another URI than the server's own.
    pub fn renames_uris(&self, view: &View, server: &ServerId) -> bool {
        *view == View::All && self.shown_of(server).is_some_and(Shown::renames_any)
    }

    /// Returns the URI under which the endpoint shows the server's resource `uri`, listed or not: its own, unless a
    /// request for that is led to another server for some caller, or nowhere. [`Catalog::route`] leads what is shown
    /// back to the server, for everybody who sees it; it is the same for all callers.
    pub fn shown_uri<'u>(&self, view: &View, server: &ServerId, uri: &'u str) -> Cow<'u, str> {
        match (view, self.shown_of(server)) {
            (View::All, Some(shown)) => shown.uri(uri),
            (View::Server(_), _) | (View::All, None) => Cow::Borrowed(uri),
        }
    }

    fn shown_of(&self, server: &ServerId) -> Option<Shown<'_>> {
        self.server(server).map(|entry| Shown::new(&entry.uris, &self.uris))
    }
}

fn is_on_the_web(uri: &str) -> bool {
    let scheme = uri.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http"))
}

fn members<'a>(items: &'a [Bytes], name: &'a str) -> impl Iterator<Item = String> + 'a {
    items.iter().filter_map(move |raw| Some(Object::parse(raw, &[]).ok()?.string(name)?.into_owned()))
}
