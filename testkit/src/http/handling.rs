//! Answers the requests of a fake HTTP server: greetings and sessions first, then tools with their faults.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use protocol::Era;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::body::FakeBody;
use super::changes::{Change, flood, next_change};
use super::tasks::Tasks;
use crate::asked::Asked;
use crate::said::{self, IdPlace, Said, TOOLS};
use crate::{Script, Seen, SeenRequest};

/// The tools that only this kind of server has.
const OWN_TOOLS: &[&str] = &["break", "status", "session", "flood"];
const SESSION: &str = "mcp-session-id";
const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
/// One piece of a body that is made while it is sent.
const PIECE_BYTES: usize = 64 * 1024;

/// The inside of a fake server.
pub(super) struct Handling {
    pub(super) seen: Seen,
    script: Script,
    tools: Vec<&'static str>,
    sessions: Mutex<BTreeSet<String>>,
    next_session: AtomicU64,
    lists: AtomicU64,
    /// Sessions with the resources that they subscribed to.
    subscribed: Mutex<BTreeSet<(String, String)>>,
    tasks: Tasks,
    changes: broadcast::Sender<Change>,
}

/// A call that was not answered yet. Dropped, it counts as abandoned.
struct Unanswered {
    handling: Arc<Handling>,
    is_answered: bool,
}

impl Handling {
    pub(super) fn new(script: Script, changes: broadcast::Sender<Change>) -> Self {
        let tools = TOOLS.iter().chain(OWN_TOOLS).copied().collect();
        let (sessions, seen) = (Mutex::default(), Seen::default());
        Self {
            seen,
            script,
            tools,
            sessions,
            next_session: AtomicU64::new(1),
            lists: AtomicU64::new(0),
            subscribed: Mutex::default(),
            tasks: Tasks::new(changes.clone()),
            changes,
        }
    }

    /// Forgets all sessions, as a restarted server does.
    pub(super) fn forget_sessions(&self) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.subscriptions().clear();
    }

    fn subscriptions(&self) -> std::sync::MutexGuard<'_, BTreeSet<(String, String)>> {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `resources/subscribe` and `resources/unsubscribe` of a session.
    fn subscribe(&self, asked: &Asked, session: String) -> Said {
        let uri = asked.params["uri"].as_str().unwrap_or_default().to_owned();
        if !self.script.resources.contains(&uri) {
            return Said::Error { code: -32002, message: "no such resource".to_owned() };
        }
        if asked.method == "resources/subscribe" {
            self.subscriptions().insert((session, uri));
        } else {
            self.subscriptions().remove(&(session, uri));
        }
        Said::result(&json!({}))
    }

    /// Answers one request; an error closes the connection without an answer.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> io::Result<Response<FakeBody>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let mut headers = BTreeMap::<String, String>::new();
        for (name, value) in &head.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            headers
                .entry(name.to_string())
                .and_modify(|all| *all = format!("{all}, {value}"))
                .or_insert(value.into());
        }
        let session = headers.get(SESSION).cloned();
        self.seen.request(SeenRequest { verb: head.method.to_string(), headers, body: body.clone() });
        match head.method {
            Method::POST => match Asked::read(&body) {
                Some(asked) => self.post(asked, session).await,
                None => Ok(status(StatusCode::BAD_REQUEST)),
            },
            Method::GET if self.knows(session.as_deref()) => Ok(self.stream(session.unwrap_or_default())),
            Method::DELETE if self.knows(session.as_deref()) => {
                self.sessions
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&session.unwrap_or_default());
                Ok(status(StatusCode::NO_CONTENT))
            }
            _ => Ok(status(StatusCode::METHOD_NOT_ALLOWED)),
        }
    }

    async fn post(self: Arc<Self>, asked: Asked, session: Option<String>) -> io::Result<Response<FakeBody>> {
        let needs_session = asked.era == Era::Legacy && asked.method != "initialize";
        if needs_session && self.script.speaks.includes(Era::Legacy) && !self.knows(session.as_deref()) {
            return Ok(status(if session.is_some() {
                StatusCode::NOT_FOUND
            } else {
                StatusCode::BAD_REQUEST
            }));
        }
        let Some(id) = asked.id.clone() else {
            if asked.method == "notifications/cancelled" {
                self.seen.cancellation(asked.params["requestId"].clone());
            }
            return Ok(status(StatusCode::ACCEPTED));
        };
        if asked.method == "subscriptions/listen" && self.script.speaks.includes(Era::Modern) {
            return Ok(self.listen(&asked, id));
        }
        let is_subscribing = matches!(&*asked.method, "resources/subscribe" | "resources/unsubscribe");
        if is_subscribing && asked.era == Era::Legacy {
            let said = self.subscribe(&asked, session.unwrap_or_default());
            return Ok(json_response(said.message(&id, IdPlace::First)));
        }
        if self.script.has_tasks
            && let Some(said) = self.tasks.answer(&asked).await
        {
            return Ok(json_response(said.message(&id, IdPlace::First)));
        }
        let script = self.script_now();
        match said::greeting(&script, &self.tools, &asked) {
            Some(said) => Ok(self.greeted(&asked, &said, &id)),
            None => self.call(asked, id, session).await,
        }
    }

    fn greeted(&self, asked: &Asked, said: &Said, id: &Value) -> Response<FakeBody> {
        let mut response = json_response(said.message(id, IdPlace::First));
        match said {
            Said::Error { .. } if asked.era == Era::Modern => *response.status_mut() = StatusCode::NOT_FOUND,
            Said::Result(_) if asked.method == "initialize" => {
                let session = format!("fake-session-{}", self.next_session.fetch_add(1, Ordering::Relaxed));
                self.sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(session.clone());
                let value = HeaderValue::from_str(&session).expect("digits and letters");
                response.headers_mut().insert(SESSION, value);
            }
            Said::Result(_) | Said::Error { .. } => {}
        }
        response
    }

    fn knows(&self, session: Option<&str>) -> bool {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        session.is_some_and(|session| sessions.contains(session))
    }

    /// Returns the script with the tool that `relist` adds.
    fn script_now(&self) -> Script {
        let mut script = self.script.clone();
        let version = self.lists.load(Ordering::Relaxed);
        if version > 0 {
            script
                .tools
                .push(json!({"name": format!("version_{version}"), "inputSchema": {"type": "object"}}));
        }
        script
    }

    async fn call(
        self: Arc<Self>,
        asked: Asked,
        id: Value,
        session: Option<String>,
    ) -> io::Result<Response<FakeBody>> {
        let mut unanswered = Unanswered { handling: Arc::clone(&self), is_answered: false };
        if asked.tool() == "write" {
            self.seen.mark(asked.text("mark"));
        }
        if matches!(asked.tool(), "hang" | "break") {
            return unanswered.fail(asked).await;
        }
        tokio::time::sleep(Duration::from_millis(asked.number("delay_ms"))).await;
        let script = self.script_now();
        let message = |said: Said| said.message(&id, IdPlace::of(&asked));
        let response = match asked.tool() {
            "bytes" if asked.text("framing") == "chunked" => return Ok(unanswered.pour(asked, id)),
            "progress" => return Ok(unanswered.report(asked, id)),
            "garbage" => garbage(&asked, &id),
            "status" => status(
                StatusCode::from_u16(u16::try_from(asked.number("code")).unwrap_or(500)).unwrap_or_default(),
            ),
            "session" => framed(&asked, &[message(said::text(asked.era, &session.unwrap_or_default()))]),
            "seen" => framed(&asked, &[message(self.account(&asked))]),
            "relist" => {
                for _ in 0..asked.number("count").max(1) {
                    self.lists.fetch_add(1, Ordering::Relaxed);
                    let _ = self.changes.send(Change::Tools);
                }
                framed(&asked, &[message(said::text(asked.era, "listed"))])
            }
            "update" => {
                for _ in 0..asked.number("count").max(1) {
                    let _ = self.changes.send(Change::Resource(asked.text("uri").to_owned()));
                }
                framed(&asked, &[message(said::text(asked.era, "updated"))])
            }
            "flood" => {
                flood(&self.changes, session, &asked).await;
                framed(&asked, &[message(said::text(asked.era, "flooded"))])
            }
            "twice" => {
                let answer = said::plain_tool(&script, &asked).expect("`twice` is plain");
                events_response(&[message(answer.clone()), message(answer)])
            }
            _ if self.script.has_tasks
                && let Some(said) = self.tasks.tool(&asked, session.as_deref()) =>
            {
                framed(&asked, &[message(said)])
            }
            _ => {
                let unknown = || Said::Error { code: -32602, message: "unknown tool".to_owned() };
                framed(&asked, &[message(said::plain_tool(&script, &asked).unwrap_or_else(unknown))])
            }
        };
        unanswered.answered();
        Ok(response)
    }

    fn account(&self, asked: &Asked) -> Said {
        let (cancelled, marks) = (self.seen.cancelled(), self.seen.marks());
        said::data(asked.era, &json!({"cancelled": cancelled, "marks": marks.len()}))
    }

    /// GET: what the server says of its own accord.
    fn stream(self: Arc<Self>, session: String) -> Response<FakeBody> {
        let (body, sink) = FakeBody::pieces();
        let mut changes = self.changes.subscribe();
        tokio::spawn(async move {
            while let Some(change) = next_change(&mut changes, &sink).await {
                let is_told = match &change {
                    Change::Tools => true,
                    Change::Resource(uri) => self.subscriptions().contains(&(session.clone(), uri.clone())),
                    Change::Task { session: starter, .. } | Change::Log { session: starter, .. } => {
                        starter.as_ref() == Some(&session)
                    }
                };
                if is_told && sink.event(&change.told(Era::Legacy, &json!({}))).await.is_err() {
                    break;
                }
            }
        });
        response(EVENTS, body)
    }

    /// `subscriptions/listen`: the same for the modern era.
    fn listen(&self, asked: &Asked, id: Value) -> Response<FakeBody> {
        let (body, sink) = FakeBody::pieces();
        let mut changes = self.changes.subscribe();
        let (granted, tasks) = (said::granted(&self.script, asked), self.tasks.known(asked));
        tokio::spawn(async move {
            let mut acknowledgement = said::acknowledgement(&id, &granted);
            acknowledgement["notifications"]["taskIds"] = json!(tasks);
            let params = json!({"_meta": {protocol::meta::SUBSCRIPTION_ID: id}});
            let acknowledged =
                said::notification("notifications/subscriptions/acknowledged", &acknowledgement);
            let mut told = sink.event(&acknowledged).await;
            while told.is_ok()
                && let Some(change) = next_change(&mut changes, &sink).await
            {
                match &change {
                    Change::Resource(uri) if !granted.contains(uri) => {}
                    Change::Task { id, .. } if !tasks.contains(id) => {}
                    Change::Log { .. } => {}
                    Change::Tools | Change::Resource(_) | Change::Task { .. } => {
                        told = sink.event(&change.told(Era::Modern, &params)).await;
                    }
                }
            }
        });
        response(EVENTS, body)
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if !self.is_answered {
            self.handling.seen.abandonment();
        }
    }
}

impl Unanswered {
    /// Notes that the answer was given. A method, so that tasks take the whole value with them.
    const fn answered(&mut self) {
        self.is_answered = true;
    }

    /// `hang` says nothing more `at` some place, `break` cuts the connection there after `delay_ms`.
    async fn fail(mut self, asked: Asked) -> io::Result<Response<FakeBody>> {
        let breaks = asked.tool() == "break";
        let pause = Duration::from_millis(asked.number("delay_ms"));
        let at = asked.text("at").to_owned();
        if at == "head" || at.is_empty() {
            if !breaks {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(pause).await;
            self.answered();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let (body, sink) = FakeBody::pieces();
        let is_event = at == "event";
        tokio::spawn(async move {
            let begun = if is_event {
                match said::progress(&asked, 1) {
                    Some(progress) => sink.event(&progress).await,
                    None => sink.send(": alive\n\n").await,
                }
            } else {
                sink.send("{\"jsonrpc\":").await
            };
            if begun.is_err() || !breaks {
                sink.gone().await;
                return drop(self);
            }
            tokio::time::sleep(pause).await;
            self.answered();
            sink.cut().await;
        });
        Ok(response(if is_event { EVENTS } else { JSON }, body))
    }

    /// `progress`: `count` notifications, then the answer.
    fn report(mut self, asked: Asked, id: Value) -> Response<FakeBody> {
        let (body, sink) = FakeBody::pieces();
        tokio::spawn(async move {
            for count in 1..=asked.number("count") {
                let Some(progress) = said::progress(&asked, count) else { break };
                if sink.event(&progress).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(asked.number("pause_ms"))).await;
            }
            let answer = said::text(asked.era, "done").message(&id, IdPlace::First);
            if sink.event(&answer).await.is_ok() {
                self.answered();
            }
        });
        response(EVENTS, body)
    }

    /// `bytes` without a length: made while it is sent; before its end it rests for `pause_ms`.
    fn pour(mut self, asked: Asked, id: Value) -> Response<FakeBody> {
        let (body, sink) = FakeBody::pieces();
        let piece = Bytes::from(vec![b'x'; PIECE_BYTES]);
        tokio::spawn(async move {
            let head =
                format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":""#);
            let mut sent = sink.send(head).await;
            let mut left = usize::try_from(asked.number("size")).unwrap_or(usize::MAX);
            while left > 0 && sent.is_ok() {
                let size = left.min(PIECE_BYTES);
                sent = sink.send(piece.slice(..size)).await;
                left -= size;
            }
            tokio::time::sleep(Duration::from_millis(asked.number("pause_ms"))).await;
            let end: &[u8] = match asked.era {
                Era::Legacy => b"\"}]}}",
                Era::Modern => b"\"}],\"resultType\":\"complete\"}}",
            };
            if sent.is_ok() && sink.send(end).await.is_ok() {
                self.answered();
            }
        });
        response(JSON, body)
    }
}

/// Bodies that are no answer.
fn garbage(asked: &Asked, id: &Value) -> Response<FakeBody> {
    match asked.text("kind") {
        "html" => response("text/html", FakeBody::Whole("<html>it works</html>".into())),
        "empty" => json_response(Vec::new()),
        "utf8" => json_response(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":\"\xff\xfe\"}}".to_vec()),
        "other_id" => {
            json_response(said::text(asked.era, "for somebody else").message(&json!(987_654), IdPlace::First))
        }
        "no_result" => json_response(format!(r#"{{"jsonrpc":"2.0","id":{id}}}"#).into()),
        "both" => {
            json_response(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}},"error":{{}}}}"#).into())
        }
        "doubled" => {
            json_response(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}},"result":{{}}}}"#).into())
        }
        "array" => json_response(b"[]".to_vec()),
        "silent_events" => events_response(&[]),
        "broken_event" => response(EVENTS, FakeBody::Whole("data: {\"jsonrpc\"\n\n".into())),
        _ => json_response(b"not json".to_vec()),
    }
}

fn framed(asked: &Asked, messages: &[Vec<u8>]) -> Response<FakeBody> {
    if asked.text("framing") == "sse" { events_response(messages) } else { json_response(messages.concat()) }
}

fn events_response(messages: &[Vec<u8>]) -> Response<FakeBody> {
    let events =
        messages.iter().flat_map(|message| [b"event: message\ndata: ", &message[..], b"\n\n"].concat());
    response(EVENTS, FakeBody::Whole(events.collect::<Vec<u8>>().into()))
}

fn json_response(message: Vec<u8>) -> Response<FakeBody> {
    response(JSON, FakeBody::Whole(message.into()))
}

fn response(media_type: &'static str, body: FakeBody) -> Response<FakeBody> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

fn status(status: StatusCode) -> Response<FakeBody> {
    let mut response = Response::new(FakeBody::Whole(Bytes::new()));
    *response.status_mut() = status;
    response
}
