//! What we show an upstream to prove who is calling. Built by `credentials`, put on the wire by `upstream`.

use std::sync::Arc;

use crate::{Secret, ServerId};

/// Headers that authorize a call at exactly one upstream.
///
/// Invariant: a credential names its server, and `upstream` refuses to send it anywhere else.
#[derive(Debug, Clone)]
pub struct Credential {
    server: ServerId,
    headers: Arc<[(String, Secret<String>)]>,
}

impl Credential {
    /// Builds the credential for `server`; `headers` are HTTP header names with their values.
    pub fn new(server: ServerId, headers: impl Into<Arc<[(String, Secret<String>)]>>) -> Self {
        Self { server, headers: headers.into() }
    }

    /// Returns the only server this credential may be shown to.
    pub const fn server(&self) -> &ServerId {
        &self.server
    }

    /// Returns the headers to send. Cloning a credential copies no header.
    pub const fn headers(&self) -> &Arc<[(String, Secret<String>)]> {
        &self.headers
    }
}
