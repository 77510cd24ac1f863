//! Listens to what a server says outside calls: the stream of our own session (legacy, `GET`), or
//! `subscriptions/listen` (modern). The stream of our session is opened again when it ends; nobody is told, but what
//! may have changed meanwhile is suspected to have. Which subscriptions there are is `subscription`'s matter.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use domain::Credential;
use http::{HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming as Body;
use protocol::{Era, Message, Notification, RequestId, Response as Answer, ResponseBody, encode};
use tokio::time::sleep;

use super::{
    HttpConnection, envelope,
    events::{End, EventStream, MAX_RETRY, Next},
    reply::{ContentKind, content_kind},
    scope,
    session::{Home, Session},
};
use crate::{
    CallError,
    backoff::Backoff,
    inbox::{ACKNOWLEDGED, TASK_CHANGED},
    subscription::{Heard, LISTEN, NotOpen, granted},
    transports::Incoming,
};

/// Largest message outside calls; they are notifications of a few hundred bytes.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
/// Largest message of a subscription: it repeats the resources that are watched, each a URI of up to 2 KiB.
const MAX_ACKNOWLEDGEMENT_BYTES: usize = 16 * 1024 * 1024;
/// A stream that lived so long was no failure, whatever ended it.
const LIVED: Duration = Duration::from_secs(5);

/// Listens to one legacy server.
struct Listener {
    connection: Arc<HttpConnection>,
    credential: Option<Credential>,
    /// Where the last stream broke off, if it can be taken up there.
    behind: Option<HeaderValue>,
    /// The session of the last stream.
    last: Option<Arc<Session>>,
    /// How long its server wants us to wait before the next stream.
    retry: Duration,
}

/// A `subscriptions/listen` of a modern server. Dropped, its stream is closed, which ends it.
pub(crate) struct Subscription {
    connection: Arc<HttpConnection>,
    answer: SubscriptionAnswer,
    id: RequestId,
}

/// What came to the request for a subscription.
enum SubscriptionAnswer {
    Stream(Box<EventStream>),
    /// A JSON-RPC error with this code.
    Refusal {
        code: i64,
    },
}

/// The stream of our own session.
struct Followed {
    stream: EventStream,
    home: Home,
}

impl HttpConnection {
    /// Begins to listen to a legacy server, until the connection is closed. What arrives goes to the inbox.
    pub(crate) fn listen(self: &Arc<Self>, credential: &Credential) {
        if self.version().era() == Era::Modern {
            return;
        }
        let (connection, credential) = (Arc::clone(self), Some(credential.clone()));
        let listener = Listener { connection, credential, behind: None, last: None, retry: Duration::ZERO };
        let closing = self.closing.clone();
        // If this task died, changes of listings would go unnoticed until the connection is replaced.
        self.tasks.spawn(async move { closing.run_until_cancelled_owned(listener.run()).await });
    }

    /// Asks a modern server to tell us what `params` names.
    pub(crate) async fn subscribe(
        self: &Arc<Self>,
        params: &str,
        credential: &Credential,
    ) -> Result<Subscription, NotOpen> {
        let id = self.next_id();
        let body: Bytes = encode::request(id, LISTEN, params.as_bytes()).into();
        let headers = || self.fixed.modern(LISTEN, Some(credential), self.version());
        let response = self.send(Method::POST, headers, &body).await.map_err(|_| NotOpen::NotNow)?;
        let answer = match judge(&response) {
            Ok(()) => {
                let stream = EventStream::new(response.into_body(), MAX_ACKNOWLEDGEMENT_BYTES);
                SubscriptionAnswer::Stream(Box::new(stream))
            }
            Err(NotOpen::NotNow) => return Err(NotOpen::NotNow),
            Err(NotOpen::Never) => {
                let code = self.refusal_code(response).await.ok_or(NotOpen::Never)?;
                SubscriptionAnswer::Refusal { code }
            }
        };
        Ok(Subscription { connection: Arc::clone(self), answer, id: RequestId::from(id) })
    }

    /// Hands on what a server said outside calls.
    fn heard(&self, Notification { method, params }: Notification) {
        match &*method {
            "notifications/message" | TASK_CHANGED => {
                // It may wait long, and is not to keep alive all that arrived with it.
                let params = params.map(|params| Bytes::copy_from_slice(&params));
                self.inbox.deliver(Incoming { method, params });
            }
            _ => scope::deliver(self, method, params),
        }
    }
}

impl Subscription {
    /// Waits for the next thing that is about the subscription itself; the rest goes to the inbox. Cancel safe.
    pub(crate) async fn next(&mut self) -> Heard {
        let stream = match &mut self.answer {
            SubscriptionAnswer::Refusal { code } => return Heard::Refused { code: *code },
            SubscriptionAnswer::Stream(stream) => stream,
        };
        loop {
            let data = match stream.next().await {
                Next::Data(data) => data,
                Next::Ended(end) => return Heard::Ended { retry: retry_of(&end).unwrap_or_default() },
                Next::TooLarge => {
                    self.connection.counters.garbage.add_one();
                    return Heard::Ended { retry: retry_of(&stream.give_up()).unwrap_or_default() };
                }
            };
            match envelope::parse(&data) {
                Ok(Message::Response(answer)) if answer.id.as_ref() == Some(&self.id) => {
                    return answered(&answer, retry_of(&stream.give_up()).unwrap_or_default());
                }
                Ok(Message::Response(_)) => self.connection.counters.stray_answers.add_one(),
                Ok(Message::Notification(note)) if &*note.method == ACKNOWLEDGED => {
                    let params = serde_json::from_slice(&note.params.unwrap_or_default());
                    return Heard::Acknowledged(granted(&params.unwrap_or_default()));
                }
                Ok(Message::Notification(note)) => self.connection.heard(note),
                // A modern server must not send requests.
                Ok(Message::Request(_)) | Err(_) => self.connection.counters.garbage.add_one(),
            }
        }
    }
}

impl Listener {
    async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            match self.open().await {
                Ok(followed) => {
                    self.note_session(&followed.home.session);
                    let end = self.follow(followed).await;
                    if end.lived >= LIVED {
                        backoff.reset();
                    }
                    self.retry = retry_of(&end).unwrap_or(self.retry);
                    self.behind = end.last_id;
                }
                Err(NotOpen::NotNow) => {}
                Err(NotOpen::Never) => return,
            }
            self.rest(backoff.next()).await;
        }
    }

    /// Waits so long, and as long as the server wants, unless the session ends meanwhile.
    async fn rest(&self, pause: Duration) {
        sleep(pause).await;
        if let Some(session) = &self.last {
            let rest = sleep(self.retry.saturating_sub(pause));
            session.over().run_until_cancelled(rest).await;
        }
    }

    /// Opens the stream of our own session, behind the last event if it can be taken up there.
    async fn open(&mut self) -> Result<Followed, NotOpen> {
        let not_now = |_: CallError| NotOpen::NotNow;
        let home = self.connection.home(None, self.credential.as_ref()).await.map_err(not_now)?;
        if self.last.as_ref().is_some_and(|last| !Arc::ptr_eq(last, &home.session)) {
            (self.behind, self.retry) = (None, Duration::ZERO);
        }
        let response = tokio::select! {
            response = self.connection.open_stream(&home, self.behind.as_ref()) => response.map_err(not_now)?,
            () = home.session.over().cancelled() => return Err(NotOpen::NotNow),
        };
        if home.session.id.is_some() && self.is_forgotten(&home.session, response.status()) {
            self.connection.sessions.forget(None, &home.session);
            self.connection.inbox.session_renewed();
            self.connection.suspect_changes();
            return Err(NotOpen::NotNow);
        }
        judge(&response)?;
        let stream = EventStream::new(response.into_body(), MAX_MESSAGE_BYTES);
        let stream = match self.behind.clone() {
            Some(last_id) => stream.continuing(last_id),
            None => stream,
        };
        Ok(Followed { stream, home })
    }

    /// Tells whether a refusal means that the server has forgotten the session. Besides what the specification has it
    /// say, that is any refusal of what it gave before: some say 400 or 405 then.
    fn is_forgotten(&self, session: &Arc<Session>, status: StatusCode) -> bool {
        let gave_before = self.last.as_ref().is_some_and(|last| Arc::ptr_eq(last, session));
        let is_other = matches!(status, StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED);
        status == StatusCode::NOT_FOUND || gave_before && is_other
    }

    /// Notes in which session we listen. What another one was told, this one was not; and what was said between two
    /// streams is lost, unless the second begins where the first broke off.
    fn note_session(&mut self, session: &Arc<Session>) {
        let Some(last) = self.last.replace(Arc::clone(session)) else { return };
        if !Arc::ptr_eq(&last, session) {
            self.connection.inbox.session_renewed();
        }
        if self.behind.is_none() {
            self.connection.suspect_changes();
        }
    }

    /// Reads a stream until it ends, or the session does: the next one is the one that is spoken to then.
    async fn follow(&self, mut followed: Followed) -> End {
        let over = followed.home.session.over().clone();
        let end = over.run_until_cancelled(self.read(&mut followed)).await;
        end.unwrap_or_else(|| followed.stream.give_up())
    }

    async fn read(&self, followed: &mut Followed) -> End {
        loop {
            match followed.stream.next().await {
                Next::Ended(end) => return end,
                Next::TooLarge => {
                    self.connection.counters.garbage.add_one();
                    return followed.stream.give_up();
                }
                Next::Data(data) if data.first() == Some(&b'[') => {
                    scope::messages(&data).into_iter().for_each(|message| self.take(message, &followed.home));
                }
                Next::Data(data) => match envelope::parse(&data) {
                    Ok(message) => self.take(message, &followed.home),
                    Err(_) => self.connection.counters.garbage.add_one(),
                },
            }
        }
    }

    fn take(&self, message: Message, home: &Home) {
        match message {
            Message::Response(_) => self.connection.counters.stray_answers.add_one(),
            Message::Request(request) => scope::answer(&self.connection, home, &request),
            Message::Notification(notification) => self.connection.heard(notification),
        }
    }
}

/// Reads the answer that ends a subscription.
fn answered(answer: &Answer, retry: Duration) -> Heard {
    match &answer.body {
        ResponseBody::Result(_) => Heard::Ended { retry },
        ResponseBody::Error(error) => {
            let error: serde_json::Value = serde_json::from_slice(error).unwrap_or_default();
            Heard::Refused { code: error["code"].as_i64().unwrap_or(0) }
        }
    }
}

/// Returns how long the server wants us to wait, as far as we do.
fn retry_of(end: &End) -> Option<Duration> {
    end.retry.map(|retry| retry.min(MAX_RETRY))
}

/// Judges a response to the opening of a stream.
fn judge(response: &Response<Body>) -> Result<(), NotOpen> {
    let status = response.status();
    if status == StatusCode::OK && content_kind(response.headers()) == ContentKind::Events {
        return Ok(());
    }
    let may_change = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
    let may_be_let_in = matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::CONFLICT
            | StatusCode::TOO_MANY_REQUESTS
    );
    Err(if may_change || may_be_let_in { NotOpen::NotNow } else { NotOpen::Never })
}
