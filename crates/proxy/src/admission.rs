//! What is known about a caller once it is let in: who it is, in which world it is judged, through which door it
//! came. Everything past the listeners works on an [`Admission`], and only [`Admission::new`] makes one.

use std::sync::Arc;

use bytes::Bytes;
use catalog::View;
use domain::{Principal, ServerId};
use identity::{AuthError, Authenticated, Identity, Peer, Presented};
use policy::PolicySight;
use protocol::{Era, Version};

use crate::{BYTES_PER_TOKEN, Configured, Exposure, Proxy, Snapshot, session::Session, tasks::Company};

/// The door a caller came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Standard input and output of this process.
    Stdio,
    /// Streamable HTTP.
    Http,
    /// The older HTTP with server-sent events.
    Sse,
}

/// A caller that was let in, with the world its request is judged in.
///
/// Invariant: it holds an [`Authenticated`], so nothing past this point runs for a caller nobody vouched for.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    viewpoint: Viewpoint,
    world: Arc<Snapshot>,
    client: Client,
    /// Who came through the door, where the caller is an agent that it named.
    claimed_by: Option<Authenticated>,
}

/// From where a caller looks at the gateway. What it sees from there depends on the world in force.
#[derive(Debug, Clone)]
pub(crate) struct Viewpoint {
    /// Who looks.
    pub(crate) caller: Authenticated,
    /// The door it came through.
    pub(crate) door: Door,
    /// What its endpoint shows.
    pub(crate) view: View,
}

/// What a listing of tools shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The upstreams' own tools.
    Upstreams,
    /// The discovery tools.
    Discovery,
    /// The search tools.
    Search,
}

/// What the client says of itself. For display and for the wire; no decision rests on it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// The revision it speaks.
    pub(crate) version: Version,
    /// The JSON text of its `clientInfo`.
    pub(crate) info: Option<Bytes>,
    /// The legacy session, if it has one.
    pub(crate) session: Option<Arc<Session>>,
    /// How many gateways the request has passed before this one.
    pub(crate) passed: u32,
}

impl Client {
    /// A client of the modern era: everything it says comes with the request itself.
    pub(crate) const fn modern(version: Version, passed: u32) -> Self {
        Self { version, info: None, session: None, passed }
    }

    /// A client whose `initialize` opened this session.
    pub(crate) fn of_session(session: Arc<Session>, passed: u32) -> Self {
        Self {
            passed,
            version: session.version(),
            info: session.client_info().cloned(),
            session: Some(session),
        }
    }
}

/// Lets a caller in, or not. The snapshot is taken here, once.
///
/// # Errors
/// [`AuthError`] when no scheme vouches for the caller.
pub(crate) fn authenticate(proxy: &Proxy, presented: Presented<'_>) -> Result<Authenticated, AuthError> {
    proxy.identity.authenticate(presented)
}

impl Viewpoint {
    /// Tells whether the caller may hear of `server` outside its calls: it may know of it, and would still be let in.
    /// Every message that a server causes and no request of the caller's does is decided here, when it is about to be
    /// told. Blocks for one file access where the server can be reached at all.
    pub(crate) fn may_hear(&self, identity: &Identity, configured: &Configured, server: &ServerId) -> bool {
        self.reaches(configured, server) && self.still_stands(identity)
    }

    /// Tells whether the caller may know of `server`: its endpoint shows it, its own grant reaches it and the rules
    /// allow it.
    fn reaches(&self, configured: &Configured, server: &ServerId) -> bool {
        self.view.shows(server) && configured.policy.may_see(self.caller.principal(), server).is_ok()
    }

    /// Tells whether the caller would be let in through its door now, as who it is and with the same grant. Blocks for
    /// one file access.
    pub(crate) fn still_stands(&self, identity: &Identity) -> bool {
        let launcher = Presented { bearer: None, peer: Peer::Stdio };
        match self.door {
            Door::Stdio => {
                let now = identity.authenticate(launcher);
                now.is_ok_and(|now| now.principal() == self.caller.principal())
            }
            Door::Http | Door::Sse => identity.still_vouches(&self.caller),
        }
    }

    /// Looks as whoever the launching program is by now: a reload may give it another agent. Callers over HTTP stay who
    /// they are.
    pub(crate) fn follow(&mut self, identity: &Identity) {
        let launcher = Presented { bearer: None, peer: Peer::Stdio };
        match self.door {
            Door::Stdio => {
                if let Ok(now) = identity.authenticate(launcher) {
                    self.caller = now;
                }
            }
            Door::Http | Door::Sse => {}
        }
    }

    /// Returns the viewpoint of the same client at this moment; see [`Viewpoint::follow`].
    pub(crate) fn followed(&self, identity: &Identity) -> Self {
        let mut now = self.clone();
        now.follow(identity);
        now
    }

    /// Returns how the caller sees tools in `world`.
    pub(crate) fn exposure(&self, world: &Snapshot) -> Exposure {
        let (settings, agent) = (&world.configured.exposure, &self.caller.principal().agent);
        match self.door {
            Door::Stdio => settings.over_stdio(agent),
            Door::Http | Door::Sse => settings.over_http(agent, &self.view),
        }
    }

    /// Returns what the caller's listing of tools shows in `world`. Automatic exposure weighs the tools that this very
    /// caller may see.
    pub(crate) fn shown(&self, world: &Snapshot) -> Shown {
        match self.exposure(world) {
            Exposure::Direct => Shown::Upstreams,
            Exposure::Discovery => Shown::Discovery,
            Exposure::Search => Shown::Search,
            Exposure::Auto => {
                let sight = world.configured.policy.sight(self.caller.principal());
                let bytes = world.catalog.tools_bytes(&self.view, &sight) as u64;
                let is_little = bytes / BYTES_PER_TOKEN < world.configured.exposure.auto_tokens.get();
                if is_little { Shown::Upstreams } else { Shown::Search }
            }
        }
    }
}

impl Admission {
    /// Puts an authenticated caller into the world in force. Its session, if it has one, notes from where it looks now:
    /// what servers say outside calls is judged by that.
    pub(crate) fn new(proxy: &Proxy, viewpoint: Viewpoint, client: Client) -> Self {
        if let Some(session) = &client.session {
            session.looks_from(&viewpoint);
        }
        Self { viewpoint, world: proxy.snapshots.current(), client, claimed_by: None }
    }

    /// Returns the same request on behalf of the agent that it names itself.
    pub(crate) fn on_behalf_of(self, caller: Authenticated) -> Self {
        let claimed_by = Some(self.viewpoint.caller);
        Self { viewpoint: Viewpoint { caller, ..self.viewpoint }, claimed_by, ..self }
    }

    /// Returns whose the tasks are that the request starts: who came through the door, also where it named another agent.
    pub(crate) fn owner(&self) -> &Principal {
        self.claimed_by.as_ref().unwrap_or(&self.viewpoint.caller).principal()
    }

    /// Tells whether the caller is the only one there is: it has no token, and nobody needs one. Where that cannot be
    /// told there are others. Blocks for one file access.
    pub(crate) fn company(&self, identity: &Identity) -> Company {
        let is_alone = self.principal().token.is_none() && matches!(identity.requires_token(), Ok(false));
        if is_alone { Company::Alone } else { Company::Others }
    }

    /// Returns the same request as if it had come to the endpoint of one server.
    pub(crate) fn narrowed_to(self, server: ServerId) -> Self {
        Self { viewpoint: Viewpoint { view: View::Server(server), ..self.viewpoint }, ..self }
    }

    /// Returns from where the caller looks.
    pub(crate) const fn viewpoint(&self) -> &Viewpoint {
        &self.viewpoint
    }

    /// Returns the proof that the caller was authenticated.
    pub(crate) const fn caller(&self) -> &Authenticated {
        &self.viewpoint.caller
    }

    /// Returns who calls.
    pub(crate) fn principal(&self) -> &Principal {
        self.viewpoint.caller.principal()
    }

    /// Returns what the caller may see.
    pub(crate) fn sight(&self) -> PolicySight<'_> {
        self.world.configured.policy.sight(self.principal())
    }

    /// Returns the world of this request.
    pub(crate) fn world(&self) -> &Snapshot {
        &self.world
    }

    /// Returns the door the caller came through.
    pub(crate) const fn door(&self) -> Door {
        self.viewpoint.door
    }

    /// Returns what the caller's endpoint shows.
    pub(crate) const fn view(&self) -> &View {
        &self.viewpoint.view
    }

    /// Returns what the client says of itself.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the era the client speaks.
    pub(crate) const fn era(&self) -> Era {
        self.client.version.era()
    }

    /// Returns the same caller in the world in force now; for what outlives a single request.
    pub(crate) fn refreshed(&self, proxy: &Proxy) -> Self {
        Self { world: proxy.snapshots.current(), ..self.clone() }
    }
}
