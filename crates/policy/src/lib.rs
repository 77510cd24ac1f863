//! Decides whether a caller may use a route. Pure: no IO, no clock, no async.
//! Content is not looked at here (see `guardrails`); who the caller is was settled in `identity`.
//!
//! A [`Permit`] is the only address an upstream call accepts, and only [`Policy::authorize`] makes one:
//!
//! ```compile_fail,E0451
//! fn forge(route: catalog::Route) -> policy::Permit {
//!     policy::Permit { route, principal: todo!() } // private fields
//! }
//! ```

use std::sync::Arc;

use catalog::Route;
use domain::{Principal, PrincipalKey, ServerId, Subject};

/// The rules in force. So far: local callers may use everything, a token what it grants.
#[derive(Debug, Clone)]
pub struct Policy(());

/// A verdict in favour: this principal may use this route, once.
#[derive(Debug)]
pub struct Permit {
    route: Route,
    principal: PrincipalKey,
}

/// A verdict against, with the rule that spoke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("denied by {rule}")]
pub struct Denial {
    /// The path of the rule, as it stands in audit: `tokens.<id>.servers`.
    pub rule: String,
}

impl Policy {
    /// The policy without rules: only what the caller's own token grants is looked at.
    pub const fn grants_only() -> Self {
        Self(())
    }

    /// Decides whether `principal` may use `route`.
    ///
    /// # Errors
    /// [`Denial`] when the caller's grant does not reach the route's upstream.
    pub fn authorize(&self, principal: &Principal, route: Route) -> Result<Permit, Denial> {
        self.may_see(principal, &route.subject().server)?;
        Ok(Permit { route, principal: principal.key() })
    }

    /// Decides whether `principal` may see that `server` exists: its listings and its changes.
    ///
    /// # Errors
    /// [`Denial`] as [`Policy::authorize`] gives it.
    pub fn may_see(&self, principal: &Principal, server: &ServerId) -> Result<(), Denial> {
        if principal.servers.reaches(server) {
            return Ok(());
        }
        let token = principal.token.as_ref().map_or("local", |token| token.as_str());
        Err(Denial { rule: format!("tokens.{token}.servers") })
    }
}

impl Permit {
    /// Returns what the permit is for.
    pub fn subject(&self) -> &Arc<Subject> {
        self.route.subject()
    }

    /// Returns the way to it.
    pub const fn route(&self) -> &Route {
        &self.route
    }

    /// Returns whose permit it is: state at the upstream is kept per principal.
    pub const fn principal(&self) -> &PrincipalKey {
        &self.principal
    }
}
