//! Sends requests and reads the head of their responses: what is an answer, what a refusal, what is to be sent again.

use std::{io::Write as _, sync::Arc};

use bytes::Bytes;
use domain::Credential;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use protocol::{Message, RequestId, Response as Answer, ResponseBody, encode};

use super::{
    HttpConnection, HttpReply,
    body::{Collecting, Filled},
    cancel::CancelGuard,
    client::Failure,
    headers::{BadHeader, LAST_EVENT_ID, Purpose, SESSION_ID},
    json::MAX_ERROR_BYTES,
    progress::ProgressToken,
    scope::Scope,
    session::{Caller, Home, Owner, Session},
};
use crate::{CallError, Event, transports::Exchange};

/// Room for what stands around the parameters in a request.
const ENVELOPE_BYTES: usize = 96;
/// How often a request opens a new session because the server has forgotten the one before; it was not looked at then.
/// More than once, because many callers may see a fresh session forgotten again; a server that forgets every one has no
/// sessions worth the name.
const MAX_REOPENINGS: u32 = 4;
/// How many of these may follow a refusal that only probably means that.
const MAX_REOPENINGS_ON_SUSPICION: u32 = 1;
/// The code that legacy servers give, with status 400 and no id, to a session they do not know.
const LEGACY_REFUSAL: i64 = -32000;

/// A response that is no answer by its status.
struct Refusal {
    status: StatusCode,
    /// The JSON-RPC error in its body, with the id that it names.
    error: Option<(Option<RequestId>, Bytes)>,
}

impl HttpConnection {
    /// Sends a modern request. Closing its connection cancels it, which dropping the reply does.
    pub(super) async fn request_modern(
        self: &Arc<Self>,
        exchange: &Exchange<'_>,
    ) -> Result<HttpReply, CallError> {
        let id = self.next_id();
        let body = message(id, exchange, None)?;
        let scope = Scope::new(id, token(id, exchange, Sharing::Alone), None);
        let guard = CancelGuard::new(self, id, None);
        let headers = || {
            let headers = self.fixed.modern_exchange(exchange, self.version())?;
            Ok(self.fixed.behind(headers, exchange.passed))
        };
        let response = self.send_guarded(&guard, headers, &body).await;
        self.reply(scope, response, guard).await.map(|(reply, _)| reply)
    }

    /// Sends a legacy request in the session of its caller. If the server has forgotten the session, it has not
    /// looked at the request either (specification, transports: session management), which is sent again; where that is
    /// only probable, not more than once.
    pub(super) async fn request_legacy(
        self: &Arc<Self>,
        exchange: &Exchange<'_>,
    ) -> Result<HttpReply, CallError> {
        let id = self.next_id();
        let shared = exchange.params.progress_token().map(|_| id);
        let body = message(id, exchange, shared)?;
        let client = exchange.session;
        let caller = exchange.principal.map(|principal| Caller { principal, client });
        let owner = caller.map(|caller| Owner::of(self.affinity, caller.principal, client));
        let mut reopenings = Reopenings::default();
        loop {
            let home = self.home_for(owner.as_ref(), exchange.credential, caller).await?;
            let scope =
                Scope::new(id, token(id, exchange, Sharing::Session), Some(home.clone())).asking(client);
            let guard = CancelGuard::new(self, id, Some(home.clone()));
            let headers =
                || Ok(self.fixed.behind(self.legacy_headers(Purpose::Post, &home)?, exchange.passed));
            let response = self.send_guarded(&guard, headers, &body).await;
            let (reply, session) = self.reply(scope, response, guard).await?;
            if !reopenings.admit(session) {
                return Ok(reply);
            }
            self.sessions.forget(owner.as_ref(), &home.session);
            if owner.is_none() {
                self.inbox.session_renewed();
            }
            self.suspect_changes();
        }
    }

    /// Sends `initialize` for our own session, which the answer opens.
    pub(super) async fn request_initialize(
        self: &Arc<Self>,
        exchange: &Exchange<'_>,
    ) -> Result<HttpReply, CallError> {
        let id = self.next_id();
        let body = message(id, exchange, None)?;
        let headers = || self.fixed.legacy(Purpose::Post, exchange.credential, None);
        let response = self.send(Method::POST, headers, &body).await?;
        let session = Session::own(self.session_id(&response)?);
        let is_taken = response.status().is_success();
        let scope = Scope::new(id, ProgressToken::None, None);
        let guard = CancelGuard::new(self, id, None);
        let (reply, _) = self.reply(scope, Ok(response), guard).await?;
        if is_taken {
            self.sessions.put(session, exchange.credential.cloned());
        }
        Ok(reply)
    }

    /// Sends a message that wants no answer.
    ///
    /// # Errors
    /// [`CallError`] when it was not accepted.
    pub(super) async fn tell(self: &Arc<Self>, home: &Home, message: Bytes) -> Result<(), CallError> {
        let response = self.send(Method::POST, || self.legacy_headers(Purpose::Post, home), &message).await?;
        if response.status().is_success() { Ok(()) } else { Err(self.status(response.status())) }
    }

    /// Asks the server something of ours in a session, and waits for the answer, whatever it is. The caller bounds the
    /// time. Tells whether the server knew the session.
    ///
    /// # Errors
    /// [`CallError`] when no answer came.
    pub(super) async fn ask(
        self: &Arc<Self>,
        home: &Home,
        method: &str,
        params: &[u8],
    ) -> Result<SessionState, CallError> {
        let id = self.next_id();
        let body = encode::request(id, method, params).into();
        let scope = Scope::new(id, ProgressToken::None, Some(home.clone()));
        let guard = CancelGuard::new(self, id, None);
        guard.forget();
        let response = self.send(Method::POST, || self.legacy_headers(Purpose::Post, home), &body).await;
        let (mut reply, state) = self.reply(scope, response, guard).await?;
        while state == SessionState::Alive
            && matches!(reply.next().await?, Event::Notification { .. } | Event::Request(_))
        {}
        Ok(state)
    }

    /// Opens the event stream of a session, from its beginning or behind an event.
    pub(super) async fn open_stream(
        self: &Arc<Self>,
        home: &Home,
        last_id: Option<&HeaderValue>,
    ) -> Result<Response<Incoming>, CallError> {
        let headers = || {
            let mut headers = self.legacy_headers(Purpose::Get, home)?;
            if let Some(last_id) = last_id {
                headers.insert(LAST_EVENT_ID, last_id.clone());
            }
            Ok(headers)
        };
        self.send(Method::GET, headers, &Bytes::new()).await
    }

    /// Ends a session.
    pub(super) async fn end(self: &Arc<Self>, home: &Home) -> Result<(), CallError> {
        self.send(Method::DELETE, || self.legacy_headers(Purpose::Delete, home), &Bytes::new())
            .await
            .map(drop)
    }

    /// Reads the name of the session that a response opens.
    pub(super) fn session_id(&self, response: &Response<Incoming>) -> Result<Option<HeaderValue>, CallError> {
        let Some(id) = response.headers().get(SESSION_ID) else { return Ok(None) };
        let is_sound = id.len() <= MAX_SESSION_ID_BYTES && id.as_bytes().iter().all(u8::is_ascii_graphic);
        if !is_sound || id.is_empty() {
            return Err(self.protocol("its session id cannot be sent back"));
        }
        let mut id = id.clone();
        id.set_sensitive(true);
        Ok(Some(id))
    }

    pub(super) fn legacy_headers(&self, purpose: Purpose, home: &Home) -> Result<HeaderMap, BadHeader> {
        let session = (&*home.session, home.session.version(self.version()));
        self.fixed.legacy(purpose, home.credential.as_ref(), Some(session))
    }

    /// Sends a request whose end is watched: what provably never left need not be cancelled, and what may have arrived
    /// is, for the caller waits for it no more.
    async fn send_guarded(
        self: &Arc<Self>,
        guard: &CancelGuard,
        headers: impl Fn() -> Result<HeaderMap, BadHeader> + Send + Sync,
        body: &Bytes,
    ) -> Result<Response<Incoming>, CallError> {
        let response = self.send(Method::POST, headers, body).await;
        match &response {
            Ok(_) => {}
            Err(CallError::Unavailable { .. }) => guard.forget(),
            Err(_) => guard.call_off(),
        }
        response
    }

    /// Sends a request, and follows one redirection within the origin.
    pub(super) async fn send(
        self: &Arc<Self>,
        method: Method,
        headers: impl Fn() -> Result<HeaderMap, BadHeader> + Send + Sync,
        body: &Bytes,
    ) -> Result<Response<Incoming>, CallError> {
        let build = |target: &Uri| -> Result<_, CallError> {
            let mut request = Request::new(Full::new(body.clone()));
            *request.method_mut() = method.clone();
            *request.uri_mut() = target.clone();
            *request.headers_mut() = headers().map_err(|bad| self.unavailable(&bad.to_string()))?;
            Ok(request)
        };
        let response = self.hand_over(build(self.client.target())?).await?;
        match self.client.redirection(&response) {
            None => Ok(response),
            Some(elsewhere) => self.hand_over(build(&elsewhere)?).await,
        }
    }

    async fn hand_over(
        self: &Arc<Self>,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, CallError> {
        let response = self.client.send(request).await.map_err(|failure| match failure {
            Failure::Unreachable(reason) => {
                self.check_reach();
                self.unavailable(reason)
            }
            Failure::Broken => self.lost("the connection ended before the answer"),
        })?;
        // Whatever it was that was sent, the other gateway has taken it.
        self.instances.note(&self.server, response.headers()).map_err(|ring| self.lost(&ring.to_string()))?;
        Ok(response)
    }

    /// Makes the reply out of a response; a refusal is one too if it is a JSON-RPC error.
    async fn reply(
        self: &Arc<Self>,
        scope: Scope,
        response: Result<Response<Incoming>, CallError>,
        guard: CancelGuard,
    ) -> Result<(HttpReply, SessionState), CallError> {
        let response = response?;
        if response.status().is_success() {
            let reply = HttpReply::begin(self, scope, response, guard)?;
            return Ok((reply, SessionState::Alive));
        }
        let has_session = scope.has_named_session();
        let refusal = self.refusal(response).await;
        if refusal.leaves_open(scope.id_text()) {
            guard.call_off();
        } else {
            guard.disarm();
        }
        let session = if has_session { refusal.session_state(scope.id_text()) } else { SessionState::Alive };
        match refusal.error {
            Some((_, error)) if refusal.status != StatusCode::UNAUTHORIZED => {
                Ok((HttpReply::refused(self, scope, Ok(error)), session))
            }
            Some(_) | None => {
                let status = self.status(refusal.status);
                if session != SessionState::Alive {
                    Ok((HttpReply::refused(self, scope, Err(status)), session))
                } else {
                    Err(status)
                }
            }
        }
    }

    /// Reads the body of a refusal as far as it is a bearable JSON-RPC error.
    async fn refusal(&self, response: Response<Incoming>) -> Refusal {
        let status = response.status();
        let mut body = Collecting::new(response.into_body());
        let is_bearable = body.announced().is_none_or(|bytes| bytes <= MAX_ERROR_BYTES as u64);
        let whole = is_bearable && body.fill(MAX_ERROR_BYTES).await == Ok(Filled::Whole);
        let error = match Message::parse(&body.take()) {
            Ok(Message::Response(Answer { id, body: ResponseBody::Error(error) })) if whole => {
                Some((id, error))
            }
            Ok(_) | Err(_) => None,
        };
        Refusal { status, error }
    }

    /// Reads the code of the JSON-RPC error that a refusal may hold. The caller bounds the time.
    pub(super) async fn refusal_code(&self, response: Response<Incoming>) -> Option<i64> {
        let (_, error) = self.refusal(response).await.error?;
        code_of(&error)
    }

    pub(super) fn status(&self, status: StatusCode) -> CallError {
        CallError::Status { server: self.server.clone(), status: status.as_u16() }
    }

    /// Returns the session of `owner` with what authorizes its use.
    pub(super) async fn home(
        self: &Arc<Self>,
        owner: Option<&Owner>,
        credential: Option<&Credential>,
    ) -> Result<Home, CallError> {
        let session = self.session(owner, credential, None).await?;
        Ok(Home { session, credential: credential.cloned() })
    }

    /// Returns the session of `owner` for a request of `caller`, who is noted as a user of it.
    async fn home_for(
        self: &Arc<Self>,
        owner: Option<&Owner>,
        credential: Option<&Credential>,
        caller: Option<Caller<'_>>,
    ) -> Result<Home, CallError> {
        let session = self.session(owner, credential, caller).await?;
        let home = Home { session, credential: credential.cloned() };
        if caller.is_some_and(|caller| caller.client.is_some()) {
            self.attend(&home).await;
        }
        Ok(home)
    }
}

/// Longest session id that is sent back.
const MAX_SESSION_ID_BYTES: usize = 1024;

/// Whether the server still knows the session of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionState {
    Alive,
    /// The server says so as the specification has it.
    Gone,
    /// The server has refused the request in a way that usually means that.
    ProbablyGone,
}

/// How often the session of one request was opened anew.
#[derive(Debug, Default)]
struct Reopenings {
    all: u32,
    on_suspicion: u32,
}

impl Reopenings {
    /// Tells whether the session is to be opened anew, and counts that.
    const fn admit(&mut self, session: SessionState) -> bool {
        match session {
            SessionState::Alive => return false,
            SessionState::Gone => {}
            SessionState::ProbablyGone if self.on_suspicion == MAX_REOPENINGS_ON_SUSPICION => return false,
            SessionState::ProbablyGone => self.on_suspicion += 1,
        }
        self.all += 1;
        self.all <= MAX_REOPENINGS
    }
}

impl Refusal {
    /// Tells whether the request may still be worked on: a server that fails, or somebody before it who says so, has not
    /// answered it, unless the error names it.
    fn leaves_open(&self, id: &[u8]) -> bool {
        self.status.is_server_error() && !self.names(id)
    }

    /// Tells whether there is an error that names the request.
    fn names(&self, id: &[u8]) -> bool {
        self.error
            .as_ref()
            .is_some_and(|(named, _)| named.as_ref().is_some_and(|named| named.as_json() == id))
    }

    /// Tells what a refusal of a request in a session says about the session: status 404 says that it is gone, and what
    /// servers built after a widespread example answer, 400 with a code of their own, that it probably is. An error that
    /// names the request was made by somebody who has read it, and is no such refusal.
    fn session_state(&self, id: &[u8]) -> SessionState {
        match (self.status, &self.error) {
            (StatusCode::NOT_FOUND, _) if !self.names(id) => SessionState::Gone,
            (StatusCode::BAD_REQUEST, Some((None, error))) if code_of(error) == Some(LEGACY_REFUSAL) => {
                SessionState::ProbablyGone
            }
            _ => SessionState::Alive,
        }
    }
}

fn code_of(error: &[u8]) -> Option<i64> {
    protocol::Object::parse(error, &["code"]).ok()?.get("code")?.parse().ok()
}

/// Whether other requests share the ways of this one, so that its progress token must be unique among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    Session,
}

/// Returns the progress token of the request `id`, which serves as the token itself where sessions are shared.
fn token(id: u64, exchange: &Exchange<'_>, sharing: Sharing) -> ProgressToken {
    match (exchange.params.progress_token(), sharing) {
        (None, _) => ProgressToken::None,
        (Some(token), Sharing::Alone) => ProgressToken::Kept(token.into()),
        (Some(token), Sharing::Session) => {
            ProgressToken::Replaced { ours: id.to_string().into(), theirs: token.into() }
        }
    }
}

/// Builds the JSON-RPC message of a request.
pub(super) fn message(id: u64, exchange: &Exchange<'_>, token: Option<u64>) -> Result<Bytes, CallError> {
    let (method, params) = (exchange.method, exchange.params);
    let mut body = Vec::with_capacity(ENVELOPE_BYTES + method.len() + params.size_hint());
    write!(body, r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":"#)
        .expect("a Vec takes everything");
    params.write(&mut body, token)?;
    body.push(b'}');
    Ok(body.into())
}
