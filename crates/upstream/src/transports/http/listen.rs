//! Listens to what a server says outside calls: the stream of our own session (legacy, `GET`), or
//! `subscriptions/listen` (modern). A stream that ends is opened again; nobody is told, but what may have changed
//! meanwhile is listed anew.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use domain::Credential;
use http::{HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming as Body;
use protocol::{Era, Message, Object, RequestId, encode, meta};
use tokio::time::{Instant, sleep};

use super::{
    HttpConnection, envelope,
    events::{End, EventStream, Next},
    reply::{ContentKind, content_kind},
    scope,
    session::Home,
};
use crate::{CallError, backoff::Backoff, transports::Incoming};

/// Largest message outside calls; they are notifications of a few hundred bytes.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
/// A stream that lived so long was no failure, whatever ended it.
const LIVED: Duration = Duration::from_secs(5);
/// A server that wants us to wait longer is not waited for.
const MAX_RETRY: Duration = Duration::from_secs(30);

/// What a modern server can tell us about, as members of its capabilities and of the filter.
const LIST_CHANGES: [(&str, &str); 3] =
    [("tools", "toolsListChanged"), ("prompts", "promptsListChanged"), ("resources", "resourcesListChanged")];

/// Listens to one server.
struct Listener {
    connection: Arc<HttpConnection>,
    credential: Option<Credential>,
    /// The parameters of `subscriptions/listen`; none for a legacy server.
    subscription: Option<String>,
    /// Where the last stream broke off, if it can be taken up there.
    behind: Option<HeaderValue>,
}

/// How opening a stream went.
enum Opened {
    Stream(Box<Followed>),
    /// It may work another time.
    NotNow,
    /// The server does not do this.
    Never,
}

/// A stream that is read.
struct Followed {
    stream: EventStream,
    /// The session of a legacy stream.
    home: Option<Home>,
    /// The request that a modern stream answers.
    id: Option<RequestId>,
}

impl HttpConnection {
    /// Begins to listen, until the connection is closed. What arrives goes to the inbox. `capabilities` is the JSON
    /// text of what the server declared.
    pub(crate) fn listen(self: &Arc<Self>, capabilities: &[u8], credential: &Credential) {
        let subscription = match self.version().era() {
            Era::Legacy => None,
            Era::Modern => match self.subscription(capabilities) {
                None => return,
                subscription => subscription,
            },
        };
        let (connection, credential) = (Arc::clone(self), Some(credential.clone()));
        let listener = Listener { connection, credential, subscription, behind: None };
        let closing = self.closing.clone();
        // If this task died, changes of listings would go unnoticed until the connection is replaced.
        self.tasks.spawn(async move { closing.run_until_cancelled_owned(listener.run()).await });
    }

    /// Returns the parameters with which to ask for what the server can tell; `None` if that is nothing.
    fn subscription(&self, capabilities: &[u8]) -> Option<String> {
        let capabilities: serde_json::Value = serde_json::from_slice(capabilities).ok()?;
        let declared = |kind: &str| capabilities[kind]["listChanged"] == true;
        let wanted: Vec<String> = LIST_CHANGES
            .into_iter()
            .filter(|(kind, _)| declared(kind))
            .map(|(_, change)| format!("\"{change}\":true"))
            .collect();
        let initialize = Object::parse(&self.initialize, &["clientInfo"]).ok()?;
        let info = initialize.get("clientInfo").unwrap_or("{}");
        let (version_key, capabilities_key, info_key) =
            (meta::PROTOCOL_VERSION, meta::CLIENT_CAPABILITIES, meta::CLIENT_INFO);
        let (version, wanted_list) = (self.version(), wanted.join(","));
        let meta =
            format!(r#"{{"{version_key}":"{version}","{capabilities_key}":{{}},"{info_key}":{info}}}"#);
        (!wanted.is_empty()).then(|| format!(r#"{{"_meta":{meta},"notifications":{{{wanted_list}}}}}"#))
    }
}

impl Listener {
    async fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut has_listened = false;
        loop {
            let pause = match self.open().await {
                Opened::Never => return,
                Opened::NotNow => backoff.next(),
                Opened::Stream(followed) => {
                    if has_listened && self.behind.is_none() {
                        self.connection.suspect_changes();
                    }
                    has_listened = true;
                    let began = Instant::now();
                    let end = self.follow(*followed).await;
                    if began.elapsed() >= LIVED {
                        backoff.reset();
                    }
                    self.behind = end.last_id;
                    backoff.next().max(end.retry.unwrap_or_default().min(MAX_RETRY))
                }
            };
            sleep(pause).await;
        }
    }

    async fn open(&mut self) -> Opened {
        let opened = match self.subscription.clone() {
            Some(subscription) => self.subscribe(&subscription).await,
            None => self.open_session_stream().await,
        };
        opened.unwrap_or(Opened::NotNow)
    }

    async fn open_session_stream(&mut self) -> Result<Opened, CallError> {
        let home = self.connection.home(None, self.credential.as_ref()).await?;
        let response = self.connection.open_stream(&home, self.behind.as_ref()).await?;
        let is_forgotten = response.status() == StatusCode::NOT_FOUND && home.session.id.is_some();
        if is_forgotten {
            self.connection.sessions.forget(None, &home.session);
            self.behind = None;
            self.connection.suspect_changes();
            return Ok(Opened::NotNow);
        }
        let behind = self.behind.clone();
        Ok(opened(response, |body| {
            let stream = EventStream::new(body, MAX_MESSAGE_BYTES);
            let stream = if let Some(last_id) = behind { stream.continuing(last_id) } else { stream };
            Followed { stream, home: Some(home), id: None }
        }))
    }

    async fn subscribe(&self, params: &str) -> Result<Opened, CallError> {
        let connection = &self.connection;
        let id = connection.next_id();
        let body: Bytes = encode::request(id, "subscriptions/listen", params.as_bytes()).into();
        let headers = || {
            connection.fixed.modern("subscriptions/listen", self.credential.as_ref(), connection.version())
        };
        let response = connection.send(Method::POST, headers, &body).await?;
        Ok(opened(response, |body| {
            let stream = EventStream::new(body, MAX_MESSAGE_BYTES);
            Followed { stream, home: None, id: Some(RequestId::from(id)) }
        }))
    }

    /// Reads a stream until it ends.
    async fn follow(&self, mut followed: Followed) -> End {
        loop {
            match followed.stream.next().await {
                Next::Ended(end) => return end,
                Next::TooLarge => {
                    self.connection.counters.garbage.add_one();
                    return End::GIVEN_UP;
                }
                Next::Data(data) => {
                    let message = envelope::parse(&data);
                    let ends = matches!(&message, Ok(Message::Response(answer)) if answer.id == followed.id);
                    if ends && followed.id.is_some() {
                        return End::GIVEN_UP;
                    }
                    match message {
                        Ok(message) => self.take(message, followed.home.as_ref()),
                        Err(_) => self.connection.counters.garbage.add_one(),
                    }
                }
            }
        }
    }

    fn take(&self, message: Message, home: Option<&Home>) {
        let counters = &self.connection.counters;
        match (message, home) {
            (Message::Response(_), _) => counters.stray_answers.add_one(),
            (Message::Request(request), Some(home)) => scope::answer(&self.connection, home, &request),
            (Message::Request(_), None) => counters.garbage.add_one(),
            (Message::Notification(notification), _) => match &*notification.method {
                "notifications/subscriptions/acknowledged" => {}
                "notifications/message" => {
                    let incoming = Incoming { method: notification.method, params: notification.params };
                    self.connection.inbox.deliver(incoming);
                }
                _ => scope::deliver(&self.connection, notification.method, notification.params),
            },
        }
    }
}

/// Judges a response to the opening of a stream.
fn opened(response: Response<Body>, follow: impl FnOnce(Body) -> Followed) -> Opened {
    let status = response.status();
    if status == StatusCode::OK && content_kind(response.headers()) == ContentKind::Events {
        return Opened::Stream(Box::new(follow(response.into_body())));
    }
    let may_change = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
    let may_be_let_in = matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::CONFLICT
            | StatusCode::TOO_MANY_REQUESTS
    );
    if may_change || may_be_let_in { Opened::NotNow } else { Opened::Never }
}
