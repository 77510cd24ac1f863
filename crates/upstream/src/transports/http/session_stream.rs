//! Reads the stream that a legacy server has for each session (`GET`) for the session's clients, as long as one of them
//! lives. A stream that ends is taken up again behind its last event; a session that the server forgot is opened anew
//! and read on.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use domain::Credential;
use http::{HeaderValue, Response, StatusCode};
use hyper::body::Incoming as Body;
use protocol::{Message, Request};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{sleep, timeout},
};

use super::{
    HttpConnection,
    asking::answer_ourselves,
    envelope,
    events::{End, EventStream, MAX_RETRY, Next},
    exchange::SessionState,
    reply::{ContentKind, content_kind},
    scope,
    session::{Audience, Following, Home, Session},
};
use crate::{CallError, Said, backoff::Backoff};

/// Streams of sessions that are read from one server at once; each is a connection. Sessions beyond hear nothing
/// outside calls.
pub(super) const MAX_STREAMS: usize = 1_000;
/// Largest message outside calls: questions may hold a conversation.
const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// A stream that lived so long was no failure, whatever ended it.
const LIVED: Duration = Duration::from_secs(5);
/// How long the server may take to say whether it knows a session.
const PING_TIME: Duration = Duration::from_secs(5);

/// Reads the streams of one audience, one after the other. Dropped, it lets another one begin.
struct Follower {
    connection: Arc<HttpConnection>,
    audience: Arc<Audience>,
    credential: Option<Credential>,
    /// Where the last stream broke off, if it can be taken up there, and in which session that was.
    behind: Option<(Home, HeaderValue)>,
    /// The session in which the server gave the last stream.
    gave: Weak<Session>,
    /// Whether the server has refused a stream since it gave one.
    has_gap: bool,
    /// How long the server wants us to wait before the session's next stream.
    retry: Duration,
    _room: OwnedSemaphorePermit,
}

/// How opening a stream went.
enum Opened {
    Stream(Box<(Home, EventStream)>),
    /// It may work another time.
    NotNow,
    /// The server does not do this.
    Never,
}

impl HttpConnection {
    /// Begins to read the session's stream, unless that is being done, or as many as may be are read.
    pub(super) fn follow(self: &Arc<Self>, home: &Home) {
        let audience = &home.session.audience;
        if audience.owner().is_none() || !audience.begin_following() {
            return;
        }
        let Ok(room) = Arc::clone(&self.streams).try_acquire_owned() else {
            audience.note_following(Following::Not);
            return;
        };
        let (connection, audience) = (Arc::clone(self), Arc::clone(audience));
        let credential = home.credential.clone();
        let (behind, gave, has_gap) = (None, Weak::new(), false);
        let retry = Duration::ZERO;
        let follower =
            Follower { connection, audience, credential, behind, gave, has_gap, retry, _room: room };
        let closing = self.closing.clone();
        // If this task died, the next call of a client would begin again.
        self.tasks.spawn(async move { closing.run_until_cancelled_owned(follower.run()).await });
    }
}

impl Follower {
    async fn run(mut self) {
        let (mut backoff, audience) = (Backoff::default(), Arc::clone(&self.audience));
        while audience.is_attended() {
            let opened = tokio::select! {
                opened = self.open() => opened,
                () = audience.deserted() => continue,
            };
            let pause = match opened {
                Opened::Never => {
                    self.connection.has_no_streams.store(true, Ordering::Relaxed);
                    return;
                }
                Opened::NotNow => {
                    audience.note_following(Following::Begun);
                    backoff.next()
                }
                Opened::Stream(opened) => {
                    let (home, stream) = *opened;
                    audience.note_following(Following::Begun);
                    self.connection.attend_level(&home);
                    self.listen(home, stream, &mut backoff).await
                }
            };
            tokio::select! {
                () = self.rest(pause) => {}
                () = audience.deserted() => {}
            }
        }
    }

    /// Waits so long, and as long as the server wants, unless the session ends meanwhile.
    async fn rest(&self, pause: Duration) {
        sleep(pause).await;
        if let Some(session) = self.gave.upgrade() {
            let rest = sleep(self.retry.saturating_sub(pause));
            session.over().run_until_cancelled(rest).await;
        }
    }

    /// Reads one stream to its end; returns how long to wait before the next at least.
    async fn listen(&mut self, home: Home, stream: EventStream, backoff: &mut Backoff) -> Duration {
        let over = home.session.over().clone();
        let end = tokio::select! {
            end = self.read(&home, stream) => end,
            () = over.cancelled() => return Duration::ZERO,
            () = self.audience.deserted() => return Duration::ZERO,
        };
        if end.lived >= LIVED {
            backoff.reset();
        }
        self.retry = end.retry.map_or(self.retry, |retry| retry.min(MAX_RETRY));
        self.behind = end.last_id.map(|id| (home, id));
        backoff.next()
    }

    async fn open(&mut self) -> Opened {
        self.try_open().await.unwrap_or(Opened::NotNow)
    }

    async fn try_open(&mut self) -> Result<Opened, CallError> {
        let home = self.connection.home(self.audience.owner(), self.credential.as_ref()).await?;
        if !Arc::ptr_eq(&home.session.audience, &self.audience) {
            // The session was given up, and this is another one: its own follower reads it.
            return Ok(Opened::NotNow);
        }
        self.behind.take_if(|(old, _)| !Arc::ptr_eq(&old.session, &home.session));
        let behind = self.behind.as_ref().map(|(_, id)| id.clone());
        let response = tokio::select! {
            response = self.connection.open_stream(&home, behind.as_ref()) => response?,
            () = home.session.over().cancelled() => return Ok(Opened::NotNow),
        };
        let verdict = verdict(&response);
        if verdict != Verdict::Stream {
            return self.refused(&home, verdict).await;
        }
        if !std::ptr::eq(self.gave.as_ptr(), Arc::as_ptr(&home.session)) {
            self.retry = Duration::ZERO;
        }
        (self.gave, self.has_gap, self.behind) = (Arc::downgrade(&home.session), false, None);
        let stream = EventStream::new(response.into_body(), MAX_MESSAGE_BYTES);
        let stream = if let Some(id) = behind { stream.continuing(id) } else { stream };
        Ok(Opened::Stream(Box::new((home, stream))))
    }

    /// Finds out what the refusal of a stream means. Where the session had one before, it is not that the server has
    /// none: it may have forgotten the session, or the event behind which we asked, and is asked for a stream from now
    /// on.
    async fn refused(&mut self, home: &Home, verdict: Verdict) -> Result<Opened, CallError> {
        let gave_before = std::ptr::eq(self.gave.as_ptr(), Arc::as_ptr(&home.session));
        let may_be_forgotten = match verdict {
            Verdict::Stream | Verdict::NotNow => return Ok(Opened::NotNow),
            Verdict::PerhapsForgotten => true,
            Verdict::Without | Verdict::Refused => gave_before,
        };
        self.behind = None;
        if may_be_forgotten && !self.is_known(home).await? {
            self.connection.sessions.forget(self.audience.owner(), &home.session);
            self.connection.suspect_changes();
            return Ok(Opened::NotNow);
        }
        if !gave_before {
            return Ok(Opened::Never);
        }
        if verdict == Verdict::Without {
            // If it says so again, it is believed.
            self.gave = Weak::new();
        }
        if !std::mem::replace(&mut self.has_gap, true) {
            self.connection.suspect_changes();
        }
        Ok(Opened::NotNow)
    }

    /// Asks the server whether it knows the session: what it says to `GET` may as well mean that it has no streams.
    async fn is_known(&self, home: &Home) -> Result<bool, CallError> {
        if home.session.id.is_none() {
            return Ok(true);
        }
        match timeout(PING_TIME, self.connection.ask(home, "ping", b"{}")).await {
            Ok(Ok(SessionState::Gone | SessionState::ProbablyGone)) => Ok(false),
            Ok(Ok(SessionState::Alive) | Err(CallError::Status { .. })) => Ok(true),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(self.connection.unavailable("it does not answer")),
        }
    }

    async fn read(&self, home: &Home, mut stream: EventStream) -> End {
        loop {
            match stream.next().await {
                Next::Ended(end) => return end,
                Next::TooLarge => {
                    self.connection.counters.garbage.add_one();
                    return stream.give_up();
                }
                Next::Data(data) if data.first() == Some(&b'[') => {
                    scope::messages(&data).into_iter().for_each(|message| self.take(home, message));
                }
                Next::Data(data) => match envelope::parse(&data) {
                    Ok(message) => self.take(home, message),
                    Err(_) => self.connection.counters.garbage.add_one(),
                },
            }
        }
    }

    fn take(&self, home: &Home, message: Message) {
        match message {
            Message::Response(_) => self.connection.counters.stray_answers.add_one(),
            Message::Request(request) => self.ask(home, request),
            Message::Notification(told) if &*told.method == "notifications/message" => {
                self.connection.spread_among_clients(&home.session, &told.method, told.params.as_ref());
            }
            Message::Notification(told) => self.connection.spread(&home.session, told.method, told.params),
        }
    }

    fn ask(&self, home: &Home, mut request: Request) {
        let bytes = request.method.len() + request.params.as_ref().map_or(0, Bytes::len);
        match self.audience.respondent(&request.method) {
            None => answer_ourselves(&self.connection, home, &request),
            Some(client) => {
                // It may wait long, and is not to keep alive all that arrived with it.
                request.params = request.params.map(|params| Bytes::copy_from_slice(&params));
                if let Some(question) = self.connection.question(home, request, None) {
                    let asked = guardrails::Untrusted::new(Said::Request(question));
                    client.hear(&self.connection.server, asked, bytes);
                }
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.audience.note_following(Following::Not);
    }
}

/// What a response to the opening of a stream means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Stream,
    NotNow,
    /// The server says that it has no streams.
    Without,
    /// The server has forgotten the session or the event, or has no streams.
    PerhapsForgotten,
    /// Whatever it is, it is no stream.
    Refused,
}

fn verdict(response: &Response<Body>) -> Verdict {
    match response.status() {
        StatusCode::OK if content_kind(response.headers()) == ContentKind::Events => Verdict::Stream,
        StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => Verdict::PerhapsForgotten,
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => Verdict::Without,
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::REQUEST_TIMEOUT
        | StatusCode::CONFLICT
        | StatusCode::TOO_EARLY
        | StatusCode::TOO_MANY_REQUESTS => Verdict::NotNow,
        status if status.is_server_error() || status.is_redirection() => Verdict::NotNow,
        _ => Verdict::Refused,
    }
}
