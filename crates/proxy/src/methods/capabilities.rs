//! What an endpoint offers, as `initialize` and `server/discover` say it. The merged endpoint offers what the gateway
//! does, because servers come and go; a single server's endpoint offers what that server declares and the gateway
//! passes on.

use catalog::{Sight, View};
use protocol::{APPS_EXTENSION, Era, Feature, SKILLS_EXTENSION, TASKS_EXTENSION, Version};
use serde_json::{Map, Value, json};

use crate::{Snapshot, admission::Viewpoint};

/// The extensions whose methods and members are passed on (SEP-2133).
const EXTENSIONS: [&str; 3] = [TASKS_EXTENSION, APPS_EXTENSION, SKILLS_EXTENSION];

/// Returns what the endpoint offers a client that speaks `version`.
pub(super) fn offered(world: &Snapshot, viewpoint: &Viewpoint, version: Version) -> Map<String, Value> {
    let (view, sight) = (&viewpoint.view, world.configured.policy.sight(viewpoint.caller.principal()));
    let known = match view {
        View::All => false,
        // A server beyond the caller's grant looks like one that is not there.
        View::Server(server) => world.catalog.has_server(server) && sight.sees_server(server),
    };
    let offers = |name: &str| !known || world.catalog.declares(view, &sight, name);
    let subscribes = !known || world.catalog.declares_within(view, &sight, "resources", "subscribe");
    let listed = json!({"listChanged": true});
    let resources = if subscribes { json!({"subscribe": true, "listChanged": true}) } else { listed.clone() };
    let all = [
        ("tools", listed.clone()),
        ("prompts", listed),
        ("resources", resources),
        ("completions", json!({})),
        ("logging", json!({})),
    ];
    let offered = all.into_iter().filter(|(name, _)| offers(name));
    let mut offered: Map<String, Value> = offered.map(|(name, value)| (name.to_owned(), value)).collect();
    match version.era() {
        Era::Legacy if version >= Version::V2025_11_25 => {
            offered.extend(tasks(world, view, &sight).map(|tasks| ("tasks".to_owned(), tasks)));
        }
        Era::Legacy => {}
        Era::Modern => {
            let extensions = extensions(world, view, &sight);
            if !extensions.is_empty() {
                offered.insert("extensions".to_owned(), extensions.into());
            }
        }
    }
    offered
}

/// Tasks as 2025-11-25 has them. The merged endpoint does not list them: that would be a listing over servers with
/// pages of their own.
fn tasks(world: &Snapshot, view: &View, sight: &impl Sight) -> Option<Value> {
    let declared = world.catalog.declaration(view, sight, Feature::Capability("tasks"), Era::Legacy)?;
    match view {
        View::Server(_) => Some(declared),
        View::All => Some(json!({"cancel": {}, "requests": {"tools": {"call": {}}}})),
    }
}

/// What servers of the client's own era declare. Where several declare the same extension, so does the endpoint, with
/// the settings of the first; one whose methods name no server is offered only if it is clear which is meant.
fn extensions(world: &Snapshot, view: &View, sight: &impl Sight) -> Map<String, Value> {
    let declared = |id: &&'static str| {
        let feature = Feature::Extension(id);
        let is_clear = *id != SKILLS_EXTENSION || world.catalog.declaring(view, sight, feature) == 1;
        let settings = world.catalog.declaration(view, sight, feature, Era::Modern).filter(|_| is_clear);
        settings.map(|settings| ((*id).to_owned(), settings))
    };
    EXTENSIONS.iter().filter_map(declared).collect()
}
