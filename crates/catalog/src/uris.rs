//! The resources and templates that one server lists, and which of them other servers list too. What is listed by
//! several, the merged endpoint shows under URIs of ours (`uri.rs`), for each of them and whoever asks.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use bytes::Bytes;
use domain::ServerId;
use protocol::Object;

use crate::{Catalog, View, template::Template, uri};

/// The resources and templates of one server.
#[derive(Debug)]
pub(crate) struct Uris {
    server: ServerId,
    listed: HashSet<String>,
    templates: Vec<Template>,
    /// Those of `listed` that are shown under URIs of ours.
    ambiguous: HashSet<String>,
    /// Those of `templates` that are.
    ambiguous_templates: Vec<Template>,
}

/// How many servers list each URI and template.
#[derive(Default)]
pub(crate) struct Census {
    listed: HashMap<String, usize>,
    templates: HashMap<Template, usize>,
}

impl Census {
    /// Counts over all servers.
    pub(crate) fn of<'a>(servers: impl Iterator<Item = &'a Uris>) -> Self {
        let mut census = Self::default();
        for server in servers {
            for uri in &server.listed {
                *census.listed.entry(uri.clone()).or_default() += 1;
            }
            for template in server.templates.iter().collect::<HashSet<_>>() {
                *census.templates.entry(template.clone()).or_default() += 1;
            }
        }
        census
    }
}

impl Uris {
    /// Reads what a server lists.
    pub(crate) fn read(server: &ServerId, resources: &[Bytes], templates: &[Bytes]) -> Self {
        let templates = members(templates, "uriTemplate").map(|template| Template::new(&template));
        Self {
            server: server.clone(),
            listed: members(resources, "uri").collect(),
            templates: templates.collect(),
            ambiguous: HashSet::new(),
            ambiguous_templates: Vec::new(),
        }
    }

    /// Notes which of them other servers list too. What looks like a URI of ours counts as such: nobody may take the
    /// place of another server's resource.
    pub(crate) fn note(&mut self, census: &Census) {
        let is_shared = |count: Option<&usize>| count.is_some_and(|count| *count > 1);
        let listed = self.listed.iter();
        let ambiguous =
            listed.filter(|uri| is_shared(census.listed.get(*uri)) || uri.starts_with(uri::PREFIX));
        self.ambiguous = ambiguous.cloned().collect();
        let templates = self.templates.iter();
        let ambiguous = templates
            .filter(|template| is_shared(census.templates.get(template)) || template.begins(uri::PREFIX));
        self.ambiguous_templates = ambiguous.cloned().collect();
    }

    /// Tells whether the server lists this resource.
    pub(crate) fn lists(&self, uri: &str) -> bool {
        self.listed.contains(uri)
    }

    /// Tells whether this can be an expansion of one of the server's templates.
    pub(crate) fn expands_to(&self, uri: &str) -> bool {
        self.templates.iter().any(|template| template.matches(uri))
    }

    /// Tells whether any of them is shown under a URI of ours.
    pub(crate) fn any_ambiguous(&self) -> bool {
        !self.ambiguous.is_empty() || !self.ambiguous_templates.is_empty()
    }

    /// Returns the URI under which the merged endpoint shows the server's resource `uri`.
    pub(crate) fn shown<'u>(&self, uri: &'u str) -> Cow<'u, str> {
        if self.ambiguous.contains(uri) || uri.starts_with(uri::PREFIX) && self.any_ambiguous() {
            Cow::Owned(uri::qualified(&self.server, uri))
        } else if !self.lists(uri) && self.ambiguous_templates.iter().any(|template| template.matches(uri)) {
            // As a client gets it that expands the template.
            Cow::Owned(uri::qualified_template(&self.server, uri))
        } else {
            Cow::Borrowed(uri)
        }
    }

    /// Returns the template that the merged endpoint shows for the server's own.
    pub(crate) fn shown_template<'u>(&self, template: &'u str) -> Cow<'u, str> {
        if self.ambiguous_templates.contains(&Template::new(template)) {
            Cow::Owned(uri::qualified_template(&self.server, template))
        } else {
            Cow::Borrowed(template)
        }
    }
}

impl Catalog {
    /// Tells whether the endpoint shows some resource of the server under another URI than the server's own.
    pub fn renames_uris(&self, view: &View, server: &ServerId) -> bool {
        *view == View::All && self.server(server).is_some_and(|entry| entry.uris.any_ambiguous())
    }

    /// Returns the URI under which the endpoint shows the server's resource `uri`: its own, unless several servers list
    /// the same, or a template that it is an expansion of. [`Catalog::route`] leads back to the server.
    pub fn shown_uri<'u>(&self, view: &View, server: &ServerId, uri: &'u str) -> Cow<'u, str> {
        match (view, self.server(server)) {
            (View::All, Some(entry)) => entry.uris.shown(uri),
            (View::Server(_), _) | (View::All, None) => Cow::Borrowed(uri),
        }
    }
}

fn members<'a>(items: &'a [Bytes], name: &'a str) -> impl Iterator<Item = String> + 'a {
    items.iter().filter_map(move |raw| Some(Object::parse(raw, &[]).ok()?.string(name)?.into_owned()))
}
