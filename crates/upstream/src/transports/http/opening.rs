//! Opens legacy sessions: `initialize`, then `notifications/initialized` (specification, lifecycle). However many
//! requests wait for the same session, it is opened once.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use domain::Credential;
use http::Method;
use protocol::{ClientCapabilities, Edit, Era, Object, Version, encode, splice};
use tokio::sync::watch;

use super::{
    HttpConnection, HttpReply,
    cancel::CancelGuard,
    headers::Purpose,
    progress::ProgressToken,
    scope::Scope,
    session::{Audience, Caller, Found, Home, Introduced, Opened, Owner, Session},
};
use crate::{CallError, Event, Payload};

/// How long opening a session may take.
const OPENING_TIME: Duration = Duration::from_secs(30);

impl HttpConnection {
    /// Returns the session of `owner`, opening it if there is none, for use by `caller`; none if it is not to be used
    /// for anybody. Cancel safe: an opening that was begun goes on.
    pub(super) async fn session(
        self: &Arc<Self>,
        owner: Option<&Owner>,
        credential: Option<&Credential>,
        caller: Option<Caller<'_>>,
    ) -> Opened {
        let welcome = |audience: &Audience| caller.into_iter().for_each(|caller| audience.welcome(caller));
        let (found, evicted) = self.sessions.find(owner, credential, Instant::now());
        self.end_later(evicted);
        let mut announcement = match found {
            Found::Open(session) => {
                welcome(&session.audience);
                return Ok(session);
            }
            Found::Full => return Err(self.unavailable("it has as many sessions as it may have")),
            Found::Opening(announcement, audience) => {
                welcome(&audience);
                announcement
            }
            Found::Absent(announce, audience) => {
                welcome(&audience);
                let announcement = announce.subscribe();
                self.start_opening(audience, credential.cloned(), announce);
                announcement
            }
        };
        let announced = announcement.wait_for(Option::is_some).await.ok().and_then(|opened| opened.clone());
        announced.unwrap_or_else(|| Err(self.unavailable("the session was not opened")))
    }

    fn start_opening(
        self: &Arc<Self>,
        audience: Arc<Audience>,
        credential: Option<Credential>,
        announce: watch::Sender<Option<Opened>>,
    ) {
        if audience.owner().is_some() && !self.is_being_tidied.swap(true, Ordering::Relaxed) {
            self.tasks.spawn(Arc::clone(self).tidy());
        }
        let connection = Arc::clone(self);
        // If this task died, those who wait are told by the end of the channel, and the next one opens anew.
        self.tasks.spawn(async move {
            let opened = connection.open_in_time(&audience, credential.clone()).await;
            match &opened {
                Ok(session) => connection.sessions.put(Arc::clone(session), credential),
                Err(_) => connection.sessions.give_up(audience.owner()),
            }
            announce.send_replace(Some(opened));
        });
    }

    async fn open_in_time(
        self: &Arc<Self>,
        audience: &Arc<Audience>,
        credential: Option<Credential>,
    ) -> Opened {
        let opening = tokio::time::timeout(OPENING_TIME, self.open_session(audience, credential));
        match self.closing.run_until_cancelled(opening).await {
            None => Err(self.unavailable("the connection is being closed")),
            Some(Err(_)) => Err(self.unavailable("opening a session took too long")),
            // The request that waits for the session was not sent, whatever became of this one.
            Some(Ok(Err(CallError::Lost { reason, .. }))) => Err(self.unavailable(&reason)),
            Some(Ok(opened)) => opened,
        }
    }

    async fn open_session(
        self: &Arc<Self>,
        audience: &Arc<Audience>,
        credential: Option<Credential>,
    ) -> Opened {
        let id = self.next_id();
        let declared = audience.owner().map_or(ClientCapabilities::NONE, Owner::declared);
        let body = encode::request(id, "initialize", &declaring(&self.initialize, &declared));
        let headers = || self.fixed.legacy(Purpose::Post, credential.as_ref(), None);
        let response = self.send(Method::POST, headers, &body.into()).await?;
        if !response.status().is_success() {
            return Err(self.status(response.status()));
        }
        let name = self.session_id(&response)?;
        let scope = Scope::new(id, ProgressToken::None, None);
        let guard = CancelGuard::new(self, id, None);
        guard.forget();
        let mut reply = HttpReply::begin(self, scope, response, guard)?;
        let introduced = self.introduced(name, &final_answer(self, &mut reply).await?)?;
        let home = Home { session: Session::of(Arc::clone(audience), introduced), credential };
        self.tell(&home, encode::notification("notifications/initialized", None).into()).await?;
        Ok(home.session)
    }

    fn introduced(&self, id: Option<http::HeaderValue>, result: &Bytes) -> Result<Introduced, CallError> {
        let read = Object::parse(result, &["protocolVersion", "capabilities"]).ok().and_then(|result| {
            let version: Version = result.string("protocolVersion")?.parse().ok()?;
            let capabilities = result.get("capabilities").unwrap_or("{}");
            let has_logging = Object::parse(capabilities.as_bytes(), &["logging"])
                .is_ok_and(|capabilities| capabilities.get("logging").is_some_and(|value| value != "null"));
            (version.era() == Era::Legacy).then_some(Introduced { id, version, has_logging })
        });
        read.ok_or_else(|| self.protocol("it opened a session without a protocol version that we speak"))
    }
}

/// Returns the parameters of `initialize` with what is to be declared in place of the capabilities in them.
fn declaring(initialize: &Bytes, declared: &ClientCapabilities) -> Bytes {
    let span =
        Object::parse(initialize, &["capabilities"]).ok().and_then(|params| params.span("capabilities"));
    let Some(at) = span else { return initialize.clone() };
    let mut declaring = Vec::with_capacity(initialize.len() + declared.as_json().len());
    splice(&mut declaring, initialize, &[Edit { at, with: declared.as_json().as_bytes() }]);
    declaring.into()
}

/// Waits for the result of a request of ours.
async fn final_answer(connection: &HttpConnection, reply: &mut HttpReply) -> Result<Bytes, CallError> {
    loop {
        match reply.next().await? {
            Event::Notification { .. } | Event::Request(_) => {}
            Event::Result(Payload::Whole(result)) => return Ok(result),
            Event::Result(Payload::Streamed(_)) => {
                return Err(connection.protocol("its answer to `initialize` is too large"));
            }
            Event::Error(_) => return Err(connection.protocol("it refused to open a session")),
        }
    }
}
