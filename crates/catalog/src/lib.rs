//! Turns screened upstream listings into one immutable [`Catalog`]: names, collisions, ready bytes, routes.
//! No IO and no policy: who may use a route is decided in `policy`. Listings are fetched by `upstream`.

mod block;
mod build;
mod census;
mod distinct;
mod list;
mod listing;
mod merged;
mod naming;
mod route;
mod search;
mod sight;
mod template;
mod uri;
mod uris;

pub use build::{Catalog, Finding};
pub use list::Page;
pub use listing::{Freshness, Listing};
pub use naming::{NameLimit, Naming, NamingStyle};
pub use route::{NoRoute, Route, View};
pub use search::{Hit, SearchCost, SearchIndex, signature};
pub use sight::{Seen, Sight};
