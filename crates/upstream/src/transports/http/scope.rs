//! What belongs to one request: its id, its progress token, its session; and what a message means to it.

use std::{collections::VecDeque, fmt, sync::Arc};

use bytes::Bytes;
use protocol::{Message, Notification, Request, RequestId, Response, ResponseBody};
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

pub(super) use super::asking::answer_ourselves as answer;
use super::{
    HttpConnection, envelope,
    events::End,
    progress::ProgressToken,
    reply::Resuming,
    resuming::{Resumes, take_up},
    session::Home,
};
use crate::{CallError, ServerRequest, SharedSession, transports::Incoming};

/// Most messages that are looked at in one array.
const MAX_MESSAGES: usize = 1_000;

/// One request as far as its reply is concerned.
pub(super) struct Scope {
    id: u64,
    id_json: RequestId,
    token: ProgressToken,
    /// The session of a legacy request.
    home: Option<Home>,
    /// Who can be asked what the server wants to know.
    client: Option<SharedSession>,
    /// Whether the server has asked something.
    has_asked: bool,
    waiting: VecDeque<Message>,
    resumes: Resumes,
}

/// What a message means to the caller of this request.
pub(super) enum Meaning {
    /// Nothing; it was for others, or for nobody.
    Nothing,
    /// Something about the request.
    Notification { method: Box<str>, params: Option<Bytes> },
    /// Something that the caller is asked.
    Request(ServerRequest),
    /// The result.
    Result(Bytes),
    /// The error object.
    Error(Bytes),
}

impl Scope {
    pub(super) fn new(id: u64, token: ProgressToken, home: Option<Home>) -> Self {
        let (id_json, waiting) = (RequestId::from(id), VecDeque::new());
        Self {
            id,
            id_json,
            token,
            home,
            client: None,
            has_asked: false,
            waiting,
            resumes: Resumes::default(),
        }
    }

    /// Has questions of the server go to `client`; without one they are refused.
    pub(super) fn asking(mut self, client: Option<&SharedSession>) -> Self {
        self.client = client.cloned();
        self
    }

    /// Returns the request's id.
    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    /// Returns the JSON text of the request's id.
    pub(super) fn id_text(&self) -> &[u8] {
        self.id_json.as_json()
    }

    /// Tells whether the request was sent in a session that has a name.
    pub(super) fn has_named_session(&self) -> bool {
        self.home.as_ref().is_some_and(|home| home.session.id.is_some())
    }

    /// Takes the next message that was read and not looked at.
    pub(super) fn next_waiting(&mut self) -> Option<Message> {
        self.waiting.pop_front()
    }

    /// Reads a message, or an array of messages, which 2025-03-26 allows; those behind the first one wait.
    ///
    /// # Errors
    /// [`CallError::Protocol`] if it is no message, but names our request: nothing better will come.
    pub(super) fn read(
        &mut self,
        connection: &HttpConnection,
        data: &Bytes,
    ) -> Result<Option<Message>, CallError> {
        if data.first() == Some(&b'[') && self.home.is_some() {
            self.waiting.extend(messages(data));
            return Ok(self.waiting.pop_front());
        }
        match envelope::parse(data) {
            Ok(message) => Ok(Some(message)),
            Err(malformed) if malformed.id.as_ref() == Some(&self.id_json) => {
                Err(connection.protocol("its answer is no JSON-RPC message"))
            }
            Err(_) => {
                connection.counters.garbage.add_one();
                Ok(None)
            }
        }
    }

    /// Finds out what a message means. What is for others is handed on to them or answered.
    pub(super) fn meaning(&mut self, connection: &Arc<HttpConnection>, message: Message) -> Meaning {
        match message {
            Message::Response(response) => self.response(connection, response),
            Message::Notification(notification) => self.notification(connection, notification),
            Message::Request(request) => self.request(connection, request),
        }
    }

    fn request(&mut self, connection: &Arc<HttpConnection>, request: Request) -> Meaning {
        let Some(home) = &self.home else {
            // A modern server must not send requests.
            connection.counters.garbage.add_one();
            return Meaning::Nothing;
        };
        if !self.client.as_ref().is_some_and(|client| client.capabilities().allow(&request.method)) {
            answer(connection, home, &request);
            return Meaning::Nothing;
        }
        self.has_asked = true;
        connection.question(home, request, Some(self.id)).map_or(Meaning::Nothing, Meaning::Request)
    }

    /// Notes that the request was answered: the server waits for no answers of ours any more.
    pub(super) fn close(&mut self) {
        if let (true, Some(home)) = (std::mem::take(&mut self.has_asked), &self.home) {
            home.session.questions.settle_call(self.id);
        }
    }

    fn response(&self, connection: &HttpConnection, Response { id, body }: Response) -> Meaning {
        match body {
            // An error without id is about a message that could not be read, and this stream knows only ours.
            ResponseBody::Error(error) if id.is_none() || id.as_ref() == Some(&self.id_json) => {
                Meaning::Error(error)
            }
            ResponseBody::Result(result) if id.as_ref() == Some(&self.id_json) => Meaning::Result(result),
            ResponseBody::Error(_) | ResponseBody::Result(_) => {
                connection.counters.stray_answers.add_one();
                Meaning::Nothing
            }
        }
    }

    fn notification(&self, connection: &HttpConnection, notification: Notification) -> Meaning {
        let Notification { method, params } = notification;
        match &*method {
            "notifications/progress" => match params.as_ref().and_then(|params| self.token.restore(params)) {
                Some(params) => return Meaning::Notification { method, params: Some(params) },
                None => connection.counters.dropped_notifications.add_one(),
            },
            "notifications/message" => return Meaning::Notification { method, params },
            _ => match &self.home {
                Some(home) => connection.spread(&home.session, method, params),
                None => deliver(connection, method, params),
            },
        }
        Meaning::Nothing
    }

    /// Takes up a stream that ended before the answer, if the server can do that.
    ///
    /// # Errors
    /// [`CallError::Lost`] if not.
    pub(super) fn resume(
        &mut self,
        connection: &Arc<HttpConnection>,
        end: End,
    ) -> Result<Resuming, CallError> {
        let pause = self.resumes.pause_after(&end);
        match (self.home.clone(), end.last_id, pause) {
            (Some(home), Some(last_id), Some(pause)) => Ok(take_up(connection, home, last_id, pause)),
            (None, ..) | (_, None, _) | (.., None) => {
                Err(connection.lost("its event stream ended before the answer"))
            }
        }
    }
}

/// Hands on a notification that is for all callers, if it is of such a kind.
pub(super) fn deliver(connection: &HttpConnection, method: Box<str>, params: Option<Bytes>) {
    if method.ends_with("/list_changed") || &*method == "notifications/resources/updated" {
        connection.inbox.deliver(Incoming { method, params });
    } else {
        connection.counters.dropped_notifications.add_one();
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        if let (true, Some(home)) = (self.has_asked, &self.home) {
            home.session.questions.withdraw_call(self.id);
        }
    }
}

/// The first values of an array; the rest is read over.
#[derive(Default)]
struct First<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for First<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(FirstVisitor)
    }
}

struct FirstVisitor;

impl<'de> Visitor<'de> for FirstVisitor {
    type Value = First<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<First<'de>, A::Error> {
        let mut values = Vec::new();
        while values.len() < MAX_MESSAGES {
            match array.next_element()? {
                Some(value) => values.push(value),
                None => return Ok(First(values)),
            }
        }
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(First(values))
    }
}

/// Returns the messages in an array (2025-03-26).
pub(super) fn messages(array: &Bytes) -> Vec<Message> {
    let First(values) = serde_json::from_slice(array).unwrap_or_default();
    let texts = values.into_iter().map(|value| array.slice_ref(value.get().as_bytes()));
    texts.filter_map(|text| Message::parse(&text).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_messages_of_an_array_are_looked_at() {
        let check = |text: String, expected: usize| {
            let (length, begin) = (text.len(), text.chars().take(40).collect::<String>());
            assert_eq!(messages(&text.into()).len(), expected, "{begin}, {length} bytes");
        };
        let array = |count: usize| vec![r#"{"jsonrpc":"2.0","method":"a"}"#; count].join(",");
        check("[]".to_owned(), 0);
        check(format!("[{},1]", array(2)), 2);
        check(format!("[{}]", array(MAX_MESSAGES)), MAX_MESSAGES);
        check(format!("[{}]", array(2 * MAX_MESSAGES)), MAX_MESSAGES);
        check(format!("[{}", array(2 * MAX_MESSAGES)), 0);
        check("[".repeat(100_000), 0);
    }
}
