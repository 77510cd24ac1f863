//! A caller's request on its way to an upstream: its parameters with the upstream's own name for the thing, and with
//! the `_meta` that the upstream's era wants.

use bytes::Bytes;
use protocol::{Era, Fault, MethodRow, Object, Params, Version, meta, meta::Toward};

use crate::{SharedSession, transports::WriteParams};

/// Room for `_meta` of a modern request.
const META_BYTES: usize = 256;

/// A request to be forwarded.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The method.
    pub method: &'static MethodRow,
    /// The parameters as the client wrote them.
    pub params: Params,
    /// What is known about the client.
    pub caller: Caller,
}

/// The client, as far as an upstream may learn of it.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The revision that the client speaks.
    pub version: Version,
    /// The JSON text of its `clientInfo`; ours is used where it gave none.
    pub client_info: Option<Bytes>,
    /// The legacy client's session, if it has one.
    pub session: Option<SharedSession>,
    /// How many gateways the request has passed before us.
    pub passed: u32,
}

/// Parameters ready to be written towards one upstream.
pub(crate) struct Forwarded<'a> {
    outgoing: &'a Outgoing,
    /// The name or URI that the upstream knows.
    key: Option<&'a str>,
    /// The JSON text of the client's progress token.
    progress_token: Option<&'a str>,
    upstream: Version,
    own_info: &'a str,
}

impl<'a> Forwarded<'a> {
    /// Prepares `outgoing` for an upstream that speaks `upstream` and knows the thing as `key`.
    ///
    /// # Errors
    /// [`Fault`] when `_meta` is no strict object.
    pub(crate) fn new(
        outgoing: &'a Outgoing,
        key: Option<&'a str>,
        upstream: Version,
        own_info: &'a str,
    ) -> Result<Self, Fault> {
        let meta = outgoing.params.meta().map(meta::parse).transpose()?;
        let progress_token = meta.and_then(|meta: Object<'a>| meta.get(meta::PROGRESS_TOKEN));
        let progress_token = progress_token.filter(|token| *token != "null");
        Ok(Self { outgoing, key, progress_token, upstream, own_info })
    }

    fn client_info(&self) -> &str {
        let told = self.outgoing.caller.client_info.as_ref();
        told.and_then(|info| std::str::from_utf8(info).ok()).unwrap_or(self.own_info)
    }
}

impl WriteParams for Forwarded<'_> {
    fn progress_token(&self) -> Option<&str> {
        self.progress_token
    }

    fn size_hint(&self) -> usize {
        self.outgoing.params.raw().len() + self.key.map_or(0, str::len) + META_BYTES
    }

    fn write(&self, out: &mut Vec<u8>, progress_token: Option<u64>) -> Result<(), Fault> {
        let caller = &self.outgoing.caller;
        let toward = match (caller.version.era(), self.upstream.era()) {
            (Era::Legacy, Era::Legacy) | (Era::Modern, Era::Modern) => Toward::Same { progress_token },
            (Era::Modern, Era::Legacy) => Toward::Legacy { progress_token },
            (Era::Legacy, Era::Modern) => Toward::Modern {
                version: self.upstream.as_str(),
                client_info: self.client_info(),
                capabilities: "{}",
                log_level: caller.session.as_ref().and_then(|session| session.log_level()),
                progress_token,
            },
        };
        self.outgoing.params.write(out, self.key, &toward)
    }
}
