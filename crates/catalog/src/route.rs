//! From a name or URI in a request to the one upstream that owns it.

use std::{borrow::Cow, sync::Arc};

use domain::{ServerId, Subject, Target};
use protocol::{Feature, Routing, param_headers::ParamHeader};

use crate::{
    Catalog, Sight,
    uri::{self, Owner},
};

/// What a client's endpoint shows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum View {
    /// Every upstream, under qualified names.
    All,
    /// One upstream under its own names.
    Server(ServerId),
}

impl View {
    /// Tells whether the endpoint shows this upstream.
    pub fn shows(&self, server: &ServerId) -> bool {
        match self {
            Self::All => true,
            Self::Server(only) => only == server,
        }
    }
}

/// A way to one thing on one upstream. Only the catalog makes routes, so each leads to something that was listed.
///
/// ```compile_fail,E0451
/// let route = catalog::Route { subject: todo!(), param_headers: todo!() }; // private fields
/// ```
#[derive(Debug, Clone)]
pub struct Route {
    subject: Arc<Subject>,
    param_headers: Arc<[ParamHeader]>,
}

/// Nothing that the endpoint shows has this name or URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing is known under this name")]
pub struct NoRoute;

impl Route {
    pub(crate) fn to(server: ServerId, target: Target, param_headers: Vec<ParamHeader>) -> Self {
        Self { subject: Arc::new(Subject { server, target }), param_headers: param_headers.into() }
    }

    /// Returns where the route leads.
    pub const fn subject(&self) -> &Arc<Subject> {
        &self.subject
    }

    /// Returns the arguments that a modern HTTP upstream wants repeated as headers.
    pub fn param_headers(&self) -> &[ParamHeader] {
        &self.param_headers
    }

    /// Returns the name or URI that the upstream knows; `None` for the server itself.
    pub fn upstream_key(&self) -> Option<Cow<'_, str>> {
        match &self.subject.target {
            Target::Tool(name) | Target::Prompt(name) => Some(Cow::Borrowed(name.as_str())),
            Target::Resource(key) | Target::Task(key) => Some(Cow::Borrowed(key)),
            Target::Server => None,
        }
    }
}

impl Catalog {
    /// Finds the route for the name or URI in `key`.
    ///
    /// `sight` only decides between several owners of the same URI; whether the caller may use the route is policy's
    /// question.
    ///
    /// # Errors
    /// [`NoRoute`] when nothing listed has that name, or the method is not routed by one.
    pub fn route(
        &self,
        view: &View,
        routing: Routing,
        key: &str,
        sight: &impl Sight,
    ) -> Result<Route, NoRoute> {
        match routing {
            Routing::Tool => self.tool(view, key).cloned().ok_or(NoRoute),
            Routing::Prompt => self.prompt(view, key).cloned().ok_or(NoRoute),
            Routing::Resource => self.resource(view, key, sight).ok_or(NoRoute),
            Routing::Reference => self.reference(view, key, sight).ok_or(NoRoute),
            Routing::Feature(feature) => self.featured(view, feature, sight).ok_or(NoRoute),
            Routing::Task | Routing::Local | Routing::List(_) => Err(NoRoute),
        }
    }

    /// Finds the route to a task that `server` runs. Tasks are not listed; whose they are is the caller's to know.
    ///
    /// # Errors
    /// [`NoRoute`] when the endpoint does not show the server.
    pub fn task_route(&self, view: &View, server: &ServerId, task: &str) -> Result<Route, NoRoute> {
        let is_shown = view.shows(server) && self.has_server(server);
        let route = || Route::to(server.clone(), Target::Task(task.into()), Vec::new());
        is_shown.then(route).ok_or(NoRoute)
    }

    /// Finds the one server that declares a feature; which of several is meant, nothing in the request says.
    fn featured(&self, view: &View, feature: Feature, sight: &impl Sight) -> Option<Route> {
        let shown = self.servers.iter().filter(|server| view.shows(&server.id));
        let mut declaring = shown.filter(|server| server.declares(feature) && sight.sees_server(&server.id));
        let only = declaring.next().filter(|_| declaring.next().is_none())?;
        Some(Route::to(only.id.clone(), Target::Server, Vec::new()))
    }

    fn tool(&self, view: &View, key: &str) -> Option<&Route> {
        match view {
            View::All => self.tools.get(key),
            View::Server(server) => self.server(server)?.tools.get(key),
        }
    }

    fn prompt(&self, view: &View, key: &str) -> Option<&Route> {
        match view {
            View::All => self.prompts.get(key),
            View::Server(server) => self.server(server)?.prompts.get(key),
        }
    }

    /// Finds the route to what is referred to: a prompt by its name, or a resource by its URI or template.
    fn reference(&self, view: &View, key: &str, sight: &impl Sight) -> Option<Route> {
        let resource = || key.contains([':', '{']).then(|| self.resource(view, key, sight)).flatten();
        self.prompt(view, key).cloned().or_else(resource)
    }

    /// Finds the route to a resource. A URI of ours says itself whose it is.
    fn resource(&self, view: &View, uri: &str, sight: &impl Sight) -> Option<Route> {
        match (view, uri::owner(uri)) {
            (View::Server(_), _) | (View::All, Owner::Unsaid) => self.resource_by_own_uri(view, uri, sight),
            (View::All, Owner::Server(server, own)) => {
                self.resource_by_own_uri(&View::Server(server), &own, sight)
            }
            (View::All, Owner::Nobody) => None,
        }
    }

    /// Listed URIs come first, templates second, and then the only server that has resources at all: servers may
    /// serve resources that they do not list.
    fn resource_by_own_uri(&self, view: &View, uri: &str, sight: &impl Sight) -> Option<Route> {
        let shown = || self.servers.iter().filter(|server| view.shows(&server.id));
        let listing = shown().filter(|server| server.uris.lists(uri));
        let matching = shown().filter(|server| server.uris.expands_to(uri));
        let mut owners = listing.chain(matching).peekable();
        let first = owners.peek().copied();
        let only_one = || {
            let mut with_resources =
                shown().filter(|server| server.uris.has_resources() && sight.sees_server(&server.id));
            with_resources.next().filter(|_| with_resources.next().is_none())
        };
        // An owner that the caller cannot reach comes last: what is hidden must not decide what can be read.
        let owner = owners.find(|server| sight.sees_server(&server.id)).or_else(only_one).or(first)?;
        Some(Route::to(owner.id.clone(), Target::Resource(uri.into()), Vec::new()))
    }
}
