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

/// Why a server cannot be spoken with, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ungreeted {
    /// It does not take `initialize` as Streamable HTTP sends it. It may speak HTTP+SSE (specification 2025-11-25,
    /// transports: backwards compatibility).
    PerhapsOlder(String),
    /// Anything else.
    Failed(String),
}

/// Greets the server. The caller bounds the time.
///
/// # Errors
/// [`Ungreeted`].
pub(crate) async fn greet(asker: Asker<'_>, manner: &Manner<'_>) -> Result<Greeting, Ungreeted> {
    // Servers of the modern era do not speak HTTP+SSE, and need not be asked.
    let is_older = matches!(asker.connection, Connection::Sse(_));
    match (manner.choice, manner.known) {
        (EraChoice::Modern, _) if is_older => Err(not_modern()),
        (EraChoice::Modern, _) => match probe(asker, None).await? {
            Probe::Modern(greeting) => Ok(greeting),
            Probe::Legacy | Probe::Late(_) => Err(not_modern()),
        },
        (EraChoice::Legacy, _) | (EraChoice::Auto, Some(Era::Legacy)) => {
            initialize(asker, manner, None).await
        }
        (EraChoice::Auto, _) if is_older => initialize(asker, manner, None).await,
        (EraChoice::Auto, Some(Era::Modern) | None) => {
            match probe(asker, Some(manner.probe_timeout)).await? {
                Probe::Modern(greeting) => Ok(greeting),
                Probe::Legacy => initialize(asker, manner, None).await,
                Probe::Late(reply) => initialize(asker, manner, Some(reply)).await,
            }
        }
    }
}

fn not_modern() -> Ungreeted {
    Ungreeted::Failed("it does not speak the modern protocol era".to_owned())
}

impl From<String> for Ungreeted {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

/// What asking `server/discover` showed.
enum Probe {
    Modern(Greeting),
    Legacy,
    /// No answer yet.
    Late(ReplySource),
}

/// A modern server that refused the question.
struct RefusedProbe {
    /// A modern revision that it says it speaks, if we do too.
    offered: Option<Version>,
    code: i64,
}

/// Asks `server/discover`. A modern server that refuses our revision and names one that we share is asked once more in
/// that one (specification 2026-07-28, basic: versioning).
async fn probe(asker: Asker<'_>, patience: Option<Duration>) -> Result<Probe, String> {
    let patience = patience.unwrap_or(Duration::MAX);
    let mut refused = match ask_probe(asker, patience, Version::LATEST_MODERN).await? {
        Ok(probe) => return Ok(probe),
        Err(refused) => refused,
    };
    if let Some(version) = refused.offered {
        match ask_probe(asker, patience, version).await? {
            Ok(probe) => return Ok(probe),
            Err(again) => refused = again,
        }
    }
    Err(format!("it refused `server/discover` with error {}", refused.code))
}

async fn ask_probe(
    asker: Asker<'_>,
    patience: Duration,
    version: Version,
) -> Result<Result<Probe, RefusedProbe>, String> {
    asker.connection.speak(version);
    let params = format!(r#"{{"_meta":{}}}"#, asker.modern_meta(version));
    let Ok(sent) = timeout(patience, asker.send("server/discover", params)).await else {
        return Err(too_slow(patience));
    };
    let mut reply = match sent {
        Ok(reply) => reply,
        Err(error) => return refused(error).map(Ok),
    };
    reply.forget_on_drop();
    let Ok(answered) = timeout(patience, answer(&mut reply)).await else {
        return late(asker.connection, reply, patience).map(Ok);
    };
    match answered {
        Ok(answer) => read_probe(&answer),
        Err(error) => refused(error).map(Ok),
    }
}

/// Silence of a child is what some legacy servers do with what they do not know. Silence over HTTP says nothing.
fn late(connection: &Connection, reply: ReplySource, patience: Duration) -> Result<Probe, String> {
    match connection {
        Connection::Stdio(_) | Connection::Builtin(_) => Ok(Probe::Late(reply)),
        Connection::Http(_) | Connection::Sse(_) => Err(too_slow(patience)),
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

fn read_probe(answer: &Answer) -> Result<Result<Probe, RefusedProbe>, String> {
    match answer {
        Answer::Result(result) => match handshake::discovered(result) {
            Discovered::Modern(greeting) => Ok(Ok(Probe::Modern(greeting))),
            Discovered::LegacyOnly | Discovered::Unreadable => Ok(Ok(Probe::Legacy)),
            Discovered::NoneShared => Err("it speaks none of our protocol versions".to_owned()),
        },
        Answer::Error(RpcError { code, supported }) if code::is_modern(*code) => {
            let shared = handshake::shared_version(supported);
            match shared.map(Version::era) {
                Some(Era::Legacy) => Ok(Ok(Probe::Legacy)),
                Some(Era::Modern) | None => Ok(Err(RefusedProbe { offered: shared, code: *code })),
            }
        }
        // No single code means "legacy": servers answer what they do not know with whatever they have.
        Answer::Error(_) => Ok(Ok(Probe::Legacy)),
    }
}

/// Opens a legacy session. A late answer to the probe still wins if it comes first and is a modern one.
async fn initialize(
    asker: Asker<'_>,
    manner: &Manner<'_>,
    mut probe: Option<ReplySource>,
) -> Result<Greeting, Ungreeted> {
    asker.connection.speak(Version::LATEST_LEGACY);
    let sent = asker.send("initialize", manner.initialize.to_owned()).await;
    let mut reply = sent.map_err(|error| not_taken(asker.connection, error))?;
    reply.forget_on_drop();
    let answered = loop {
        let Some(late) = &mut probe else { break answer(&mut reply).await };
        tokio::select! {
            biased;
            answered = answer(late) => {
                if let Ok(Ok(Ok(Probe::Modern(greeting)))) = answered.as_ref().map(read_probe) {
                    return Ok(greeting);
                }
                probe = None;
            }
            answered = answer(&mut reply) => break answered,
        }
    };
    let greeting = match answered.map_err(CallError::into_reason)? {
        Answer::Result(result) => handshake::initialized(&result)?,
        Answer::Error(error) => {
            let reason = format!("it refused `initialize` with error {}", error.code);
            return Err(perhaps_older(asker.connection, reason));
        }
    };
    asker.connection.speak(greeting.version);
    let told = asker.connection.notify("notifications/initialized", Some(asker.credential)).await;
    told.map_err(CallError::into_reason)?;
    Ok(greeting)
}

/// Says why `initialize` did not get to a server, and whether that is how one that speaks HTTP+SSE takes it.
fn not_taken(connection: &Connection, error: CallError) -> Ungreeted {
    match error {
        CallError::Status { status: 400 | 404 | 405, .. } => perhaps_older(connection, error.into_reason()),
        _ => Ungreeted::Failed(error.into_reason()),
    }
}

/// A refusal with a JSON-RPC error is all the same: frameworks write one for routes that they do not have.
fn perhaps_older(connection: &Connection, reason: String) -> Ungreeted {
    match connection {
        Connection::Http(_) => Ungreeted::PerhapsOlder(reason),
        Connection::Stdio(_) | Connection::Sse(_) | Connection::Builtin(_) => Ungreeted::Failed(reason),
    }
}
