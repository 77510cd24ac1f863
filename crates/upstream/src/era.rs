//! Finds out which era a server speaks and greets it accordingly (specification, basic: versioning, lifecycle).
//!
//! `server/discover` goes first; what a modern server must understand, and a legacy one answers with some error or not
//! at all. Then `initialize`. The two are never under way at the same time, but an answer to the first that comes late
//! still counts: servers that are downloaded at their start are slow with their first answer only.

use std::time::Duration;

use protocol::{Era, Version, code};
use tokio::time::timeout;

use crate::{
    CallError,
    config::EraChoice,
    handshake::{self, Discovered, Greeting},
    own_request::{Answer, Asker, RpcError, answer},
    transports::{Connection, ReplySource},
};

/// How a server is to be greeted.
#[derive(Debug, Clone)]
pub(crate) struct Manner<'a> {
    /// What the configuration says.
    pub(crate) choice: EraChoice,
    /// What an earlier greeting found out.
    pub(crate) known: Option<Era>,
    /// How long `server/discover` may take before `initialize` is tried.
    pub(crate) probe_timeout: Duration,
    /// The parameters of `initialize`, JSON text.
    pub(crate) initialize: &'a str,
}

/// Greets the server. The caller bounds the time.
///
/// # Errors
/// Why the server cannot be spoken with, for a person.
pub(crate) async fn greet(asker: Asker<'_>, manner: &Manner<'_>) -> Result<Greeting, String> {
    match (manner.choice, manner.known) {
        (EraChoice::Modern, _) => match probe(asker, None).await? {
            Probe::Modern(greeting) => Ok(greeting),
            Probe::Legacy | Probe::Late(_) => Err("it does not speak the modern protocol era".to_owned()),
        },
        (EraChoice::Legacy, _) | (EraChoice::Auto, Some(Era::Legacy)) => {
            initialize(asker, manner, None).await
        }
        (EraChoice::Auto, Some(Era::Modern) | None) => {
            match probe(asker, Some(manner.probe_timeout)).await? {
                Probe::Modern(greeting) => Ok(greeting),
                Probe::Legacy => initialize(asker, manner, None).await,
                Probe::Late(reply) => initialize(asker, manner, Some(reply)).await,
            }
        }
    }
}

/// What asking `server/discover` showed.
enum Probe {
    Modern(Greeting),
    Legacy,
    /// No answer yet.
    Late(ReplySource),
}

async fn probe(asker: Asker<'_>, patience: Option<Duration>) -> Result<Probe, String> {
    asker.connection.speak(Version::LATEST_MODERN);
    let params = format!(r#"{{"_meta":{}}}"#, asker.modern_meta(Version::LATEST_MODERN));
    let patience = patience.unwrap_or(Duration::MAX);
    let Ok(sent) = timeout(patience, asker.send("server/discover", params)).await else {
        return Err(too_slow(patience));
    };
    let mut reply = match sent {
        Ok(reply) => reply,
        Err(error) => return refused(error),
    };
    reply.forget_on_drop();
    let Ok(answered) = timeout(patience, answer(&mut reply)).await else {
        return late(asker.connection, reply, patience);
    };
    match answered {
        Ok(answer) => read_probe(&answer),
        Err(error) => refused(error),
    }
}

/// Silence of a child is what some legacy servers do with what they do not know. Silence over HTTP says nothing.
fn late(connection: &Connection, reply: ReplySource, patience: Duration) -> Result<Probe, String> {
    match connection {
        Connection::Stdio(_) | Connection::Builtin(_) => Ok(Probe::Late(reply)),
        Connection::Http(_) => Err(too_slow(patience)),
    }
}

fn too_slow(patience: Duration) -> String {
    format!("it did not say within {} ms which protocol era it speaks", patience.as_millis())
}

/// An HTTP status can say that this is a legacy server; anything else says that there is no connection.
fn refused(error: CallError) -> Result<Probe, String> {
    match error {
        // Who may not enter learns nothing about the era; a server that fails may speak any.
        CallError::Status { status: 401 | 403 | 407 | 429 | 500.., .. } => Err(error.into_reason()),
        CallError::Status { .. } | CallError::Protocol { .. } => Ok(Probe::Legacy),
        CallError::NotConfigured(_)
        | CallError::Unavailable { .. }
        | CallError::Busy { .. }
        | CallError::Lost { .. }
        | CallError::TooLarge { .. }
        | CallError::Params(_)
        | CallError::ForeignCredential(_) => Err(error.into_reason()),
    }
}

fn read_probe(answer: &Answer) -> Result<Probe, String> {
    match answer {
        Answer::Result(result) => match handshake::discovered(result) {
            Discovered::Modern(greeting) => Ok(Probe::Modern(greeting)),
            Discovered::LegacyOnly | Discovered::Unreadable => Ok(Probe::Legacy),
            Discovered::NoneShared => Err("it speaks none of our protocol versions".to_owned()),
        },
        Answer::Error(RpcError { code, supported }) if code::is_modern(*code) => {
            match handshake::shared_version(supported).map(Version::era) {
                Some(Era::Legacy) => Ok(Probe::Legacy),
                Some(Era::Modern) | None => Err(format!("it refused `server/discover` with error {code}")),
            }
        }
        // No single code means "legacy": servers answer what they do not know with whatever they have.
        Answer::Error(_) => Ok(Probe::Legacy),
    }
}

/// Opens a legacy session. A late answer to the probe still wins if it comes first and is a modern one.
async fn initialize(
    asker: Asker<'_>,
    manner: &Manner<'_>,
    mut probe: Option<ReplySource>,
) -> Result<Greeting, String> {
    asker.connection.speak(Version::LATEST_LEGACY);
    let sent = asker.send("initialize", manner.initialize.to_owned()).await;
    let mut reply = sent.map_err(CallError::into_reason)?;
    reply.forget_on_drop();
    let answered = loop {
        let Some(late) = &mut probe else { break answer(&mut reply).await };
        tokio::select! {
            biased;
            answered = answer(late) => {
                if let Ok(Ok(Probe::Modern(greeting))) = answered.as_ref().map(read_probe) {
                    return Ok(greeting);
                }
                probe = None;
            }
            answered = answer(&mut reply) => break answered,
        }
    };
    let greeting = match answered.map_err(CallError::into_reason)? {
        Answer::Result(result) => handshake::initialized(&result)?,
        Answer::Error(error) => return Err(format!("it refused `initialize` with error {}", error.code)),
    };
    asker.connection.speak(greeting.version);
    let told = asker.connection.notify("notifications/initialized", Some(asker.credential)).await;
    told.map_err(CallError::into_reason)?;
    Ok(greeting)
}
