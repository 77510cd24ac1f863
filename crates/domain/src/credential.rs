//! What we show an upstream to prove who is calling. Built by `credentials`, put on the wire by `upstream`.

use std::{fmt, sync::Arc};

use crate::{Secret, ServerId};

/// Headers that authorize a call at exactly one upstream, as it is set up.
///
/// Invariant: a credential names its server, and `upstream` refuses to send it anywhere else.
#[derive(Clone)]
pub struct Credential {
    server: ServerId,
    setup: Arc<str>,
    headers: Arc<[(String, Secret<String>)]>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("server", &self.server).field("headers", &self.headers).finish()
    }
}

impl Credential {
    /// Builds the credential for `server`; `setup` tells one configuration of it from another, and `headers` are HTTP header
    /// names with their values.
    pub fn new(
        server: ServerId,
        setup: impl Into<Arc<str>>,
        headers: impl Into<Arc<[(String, Secret<String>)]>>,
    ) -> Self {
        Self { server, setup: setup.into(), headers: headers.into() }
    }

    /// Returns the only server this credential may be shown to.
    pub const fn server(&self) -> &ServerId {
        &self.server
    }

    /// Tells whether both are for the same server, set up alike: a configuration that was changed may have moved it.
    pub fn is_for_the_same_as(&self, other: &Self) -> bool {
        self.server == other.server && self.setup == other.setup
    }

    /// Returns the headers to send. Cloning a credential copies no header.
    pub const fn headers(&self) -> &Arc<[(String, Secret<String>)]> {
        &self.headers
    }
}
