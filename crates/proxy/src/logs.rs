//! Which log messages of a call its client wants (specification, logging). A legacy client says so for its session and
//! gets everything until then; a modern one says so with each request and gets nothing otherwise.

use protocol::{Era, Object, Params, meta};

use crate::{admission::Client, session::Session};

/// Levels of log messages (RFC 5424), least severe first.
pub(crate) const LEVELS: [&str; 8] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// What a client wants to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Every message.
    Everything,
    /// Messages of this level and above, as an index into [`LEVELS`].
    From(usize),
    /// No message.
    Nothing,
}

impl Wish {
    /// Reads what the client wants of the call with these parameters.
    pub(crate) fn of(client: &Client, params: &Params) -> Self {
        match client.version.era() {
            Era::Legacy => client.session.as_deref().map_or(Self::Everything, Self::of_session),
            Era::Modern => asked_for(params).map_or(Self::Nothing, Self::From),
        }
    }

    /// Returns what the client of a session wants.
    pub(crate) fn of_session(session: &Session) -> Self {
        session.log_level().and_then(rank).map_or(Self::Everything, Self::From)
    }

    /// Tells whether a log message with these parameters is wanted. One without a known level is, by those who want any.
    pub(crate) fn takes(self, params: Option<&[u8]>) -> bool {
        let level = || {
            let params = Object::parse(params?, &[]).ok()?;
            rank(&params.string("level")?)
        };
        match self {
            Self::Everything => true,
            Self::From(wanted) => level().is_none_or(|offered| offered >= wanted),
            Self::Nothing => false,
        }
    }
}

fn asked_for(params: &Params) -> Option<usize> {
    let members = params.meta().filter(|text| text.contains("logLevel"))?;
    rank(&meta::parse(members).ok()?.string(meta::LOG_LEVEL)?)
}

fn rank(level: &str) -> Option<usize> {
    LEVELS.iter().position(|known| *known == level)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use protocol::{Version, method};

    use super::*;

    fn modern(meta: &str) -> Wish {
        let params = format!(r#"{{"name":"x","_meta":{meta}}}"#);
        let params = Params::parse(Some(Bytes::from(params)), method("tools/call").unwrap()).unwrap();
        Wish::of(&Client::modern(Version::LATEST_MODERN, 0), &params)
    }

    #[test]
    fn a_modern_client_hears_what_it_asks_for() {
        assert_eq!(modern("{}"), Wish::Nothing);
        assert_eq!(modern(r#"{"io.modelcontextprotocol/logLevel":"nonsense"}"#), Wish::Nothing);
        let warning = modern(r#"{"io.modelcontextprotocol/logLevel":"warning"}"#);
        assert_eq!(warning, Wish::From(3));
        assert!(!warning.takes(Some(br#"{"level":"info"}"#)));
        assert!(warning.takes(Some(br#"{"level":"error"}"#)));
        assert!(warning.takes(Some(br#"{"level":"loud"}"#)));
        assert!(!Wish::Nothing.takes(Some(br#"{"level":"emergency"}"#)));
    }
}
