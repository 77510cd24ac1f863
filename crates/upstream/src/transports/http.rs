//! Streamable HTTP upstreams.

use std::sync::Arc;

use bytes::Bytes;
use domain::Credential;
use protocol::Version;

use super::{Exchange, Opening, SpokenVersion};
use crate::{CallError, Event, config::HttpSettings};

/// A Streamable HTTP server.
pub(crate) struct HttpConnection {
    opening: Opening,
    version: SpokenVersion,
}

impl HttpConnection {
    /// Prepares the connection; nothing is sent yet.
    pub(crate) fn open(_settings: &HttpSettings, opening: Opening) -> Result<Arc<Self>, CallError> {
        Ok(Arc::new(Self { opening, version: SpokenVersion::new() }))
    }

    pub(crate) async fn request(&self, _exchange: Exchange<'_>) -> Result<Box<HttpReply>, CallError> {
        let reason = "HTTP is not spoken yet".to_owned();
        Err(CallError::Unavailable { server: self.opening.server.clone(), reason })
    }

    pub(crate) async fn notify(
        &self,
        _method: &str,
        _credential: Option<&Credential>,
    ) -> Result<(), CallError> {
        Ok(())
    }

    pub(crate) async fn closed(&self) -> String {
        std::future::pending().await
    }

    pub(crate) async fn close(&self) {}

    pub(crate) fn speak(&self, version: Version) {
        self.version.set(version);
    }

    pub(crate) fn version(&self) -> Version {
        self.version.get()
    }
}

/// The reply of an HTTP server.
pub(crate) struct HttpReply;

impl HttpReply {
    pub(crate) async fn next(&mut self) -> Result<Event, CallError> {
        std::future::pending().await
    }
}

/// A result that is still arriving.
pub(crate) struct ResultChunks;

impl ResultChunks {
    pub(crate) async fn next_chunk(&mut self) -> Option<Result<Bytes, CallError>> {
        None
    }
}
