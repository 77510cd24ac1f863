//! The methods of MCP as data: how each is routed, which eras have it, which header names its subject.
//! A new method or extension is a row here; only if the row is not enough does `proxy` need a function.

use crate::Era;

/// The eras in which a method exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// Until 2025-11-25.
    LegacyOnly,
    /// From 2026-07-28.
    ModernOnly,
    /// In every revision.
    Both,
}

/// A listing that is merged over the upstreams that the caller may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// `tools/list`
    Tools,
    /// `prompts/list`
    Prompts,
    /// `resources/list`
    Resources,
    /// `resources/templates/list`
    ResourceTemplates,
}

impl ListKind {
    /// All kinds, in the order in which an upstream is asked for them.
    pub const ALL: [Self; 4] = [Self::Tools, Self::Prompts, Self::Resources, Self::ResourceTemplates];

    /// Returns the place of this kind in [`ListKind::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Self::Tools => 0,
            Self::Prompts => 1,
            Self::Resources => 2,
            Self::ResourceTemplates => 3,
        }
    }

    /// Returns the method that lists this kind.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::ResourceTemplates => "resources/templates/list",
        }
    }

    /// Returns the member of the result that holds the items.
    pub const fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::ResourceTemplates => "resourceTemplates",
        }
    }

    /// Returns the server capability without which the listing is not asked for.
    pub const fn capability(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources | Self::ResourceTemplates => "resources",
        }
    }
}

/// How a request finds its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// The gateway answers it.
    Local,
    /// Answered from the catalog, merged over upstreams.
    List(ListKind),
    /// To the upstream that owns the tool in `params.name`.
    Tool,
    /// To the upstream that owns the prompt in `params.name`.
    Prompt,
    /// To the upstream that owns the resource in `params.uri`.
    Resource,
    /// To the upstream that owns the prompt or resource in `params.ref`.
    Reference,
    /// To the upstream that runs the task in `params.taskId`.
    Task,
    /// To the one upstream that the endpoint shows and that declares this feature.
    Feature(Feature),
}

/// Something that a server declares as a whole, with methods that name nothing that was listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// A member of the capabilities.
    Capability(&'static str),
    /// A member of `extensions` in the capabilities (SEP-2133).
    Extension(&'static str),
}

/// Tasks that a server directs (SEP-2663).
pub const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";
/// Skills (SEP-2640).
pub const SKILLS_EXTENSION: &str = "io.modelcontextprotocol/skills";
/// MCP Apps (SEP-1865). It has no methods of its own: tools and resources say what belongs to it.
pub const APPS_EXTENSION: &str = "io.modelcontextprotocol/ui";

/// One method.
#[derive(Debug, PartialEq, Eq)]
pub struct MethodRow {
    /// The name on the wire.
    pub name: &'static str,
    /// In which eras it exists.
    pub availability: Availability,
    /// How it is routed.
    pub routing: Routing,
    /// The parameter that `Mcp-Name` repeats (SEP-2243).
    pub name_header: Option<&'static str>,
    /// Whether a modern server may answer `input_required`.
    pub may_require_input: bool,
    /// Whether a modern answer carries `ttlMs` and `cacheScope`.
    pub cacheable: bool,
    /// Whether the answer waits for work that was begun before, which may take minutes in silence.
    pub waits_for_work: bool,
}

impl MethodRow {
    /// Tells whether the method exists in `era`.
    pub fn exists_in(&self, era: Era) -> bool {
        match self.availability {
            Availability::Both => true,
            Availability::LegacyOnly => era == Era::Legacy,
            Availability::ModernOnly => era == Era::Modern,
        }
    }
}

const fn local(name: &'static str, availability: Availability) -> MethodRow {
    let routing = Routing::Local;
    MethodRow {
        name,
        availability,
        routing,
        name_header: None,
        may_require_input: false,
        cacheable: false,
        waits_for_work: false,
    }
}

const fn list(kind: ListKind) -> MethodRow {
    MethodRow { routing: Routing::List(kind), cacheable: true, ..local(kind.method(), Availability::Both) }
}

const fn routed(name: &'static str, routing: Routing, name_header: &'static str) -> MethodRow {
    MethodRow {
        routing,
        name_header: Some(name_header),
        may_require_input: true,
        ..local(name, Availability::Both)
    }
}

const fn task(name: &'static str, availability: Availability) -> MethodRow {
    MethodRow { routing: Routing::Task, name_header: Some("taskId"), ..local(name, availability) }
}

const fn feature(name: &'static str, availability: Availability, feature: Feature) -> MethodRow {
    MethodRow { routing: Routing::Feature(feature), ..local(name, availability) }
}

const SKILLS: Feature = Feature::Extension(SKILLS_EXTENSION);

/// Every method that has a row. Methods without one do not exist for our clients.
static METHODS: &[MethodRow] = &[
    routed("tools/call", Routing::Tool, "name"),
    list(ListKind::Tools),
    routed("prompts/get", Routing::Prompt, "name"),
    MethodRow { cacheable: true, ..routed("resources/read", Routing::Resource, "uri") },
    MethodRow { routing: Routing::Resource, ..local("resources/subscribe", Availability::LegacyOnly) },
    MethodRow { routing: Routing::Resource, ..local("resources/unsubscribe", Availability::LegacyOnly) },
    list(ListKind::Prompts),
    list(ListKind::Resources),
    list(ListKind::ResourceTemplates),
    MethodRow { routing: Routing::Reference, ..local("completion/complete", Availability::Both) },
    local("initialize", Availability::LegacyOnly),
    local("ping", Availability::LegacyOnly),
    local("logging/setLevel", Availability::LegacyOnly),
    MethodRow { cacheable: true, ..local("server/discover", Availability::ModernOnly) },
    local("subscriptions/listen", Availability::ModernOnly),
    task("tasks/get", Availability::Both),
    task("tasks/cancel", Availability::Both),
    task("tasks/update", Availability::ModernOnly),
    MethodRow { waits_for_work: true, ..task("tasks/result", Availability::LegacyOnly) },
    feature("tasks/list", Availability::LegacyOnly, Feature::Capability("tasks")),
    feature("skills/list", Availability::ModernOnly, SKILLS),
    feature("skills/get", Availability::ModernOnly, SKILLS),
    feature("resources/directory/read", Availability::ModernOnly, SKILLS),
];

/// Looks a method up by its name on the wire.
pub fn method(name: &str) -> Option<&'static MethodRow> {
    METHODS.iter().find(|row| row.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_know_their_place() {
        for (place, kind) in ListKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), place);
        }
    }

    #[test]
    fn names_are_unique_and_eras_kept_apart() {
        for row in METHODS {
            assert_eq!(METHODS.iter().filter(|other| other.name == row.name).count(), 1, "{}", row.name);
        }
        assert!(!method("initialize").unwrap().exists_in(Era::Modern));
        assert!(!method("server/discover").unwrap().exists_in(Era::Legacy));
        assert!(method("tools/call").unwrap().exists_in(Era::Modern));
        assert!(method("TOOLS/CALL").is_none());
    }
}
