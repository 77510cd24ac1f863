//! Batches: several JSON-RPC messages in one array, which revision 2025-03-26 has and later ones have not. What they
//! may be, and how their answers come together, is here; who takes them and how the answers travel is in `http/batch.rs`
//! and `duplex/batch.rs`.

use std::pin::Pin;

use bytes::Bytes;
use protocol::{
    Malformed, Message, Notification, Request, RequestId, Response, Unreadable, Version, code, encode,
};
use serde::{
    Deserializer,
    de::{self, SeqAccess, Visitor},
};
use serde_json::{error::Category, value::RawValue};
use tokio_util::task::TaskTracker;

use crate::session::Session;

/// Most messages in a batch. Clients that send any send a handful; each one is admitted and counted by itself.
const MAX_MESSAGES: usize = 100;

/// Tells whether a client of this session may send batches. Those of 2024-11-05 do not know the word, and some sent
/// arrays all the same, as JSON-RPC has them.
pub(crate) fn has_batches(session: &Session) -> bool {
    session.version() <= Version::V2025_03_26
}

/// Tells whether a body is an array.
pub(crate) fn is_batch(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'[')
}

/// Returns the texts in a batch, as slices of `body`. Whether they are messages is not looked at.
///
/// # Errors
/// [`Malformed`] when it is no JSON array of 1 to 100 values.
pub(crate) fn split(body: &Bytes) -> Result<Vec<Bytes>, Malformed> {
    let malformed = |reason| Malformed { reason, id: None };
    let mut reader = serde_json::Deserializer::from_slice(body);
    let texts = (&mut reader).deserialize_seq(Texts).map_err(|error| {
        malformed(match error.classify() {
            Category::Data => Unreadable::Invalid(format!("a batch of more than {MAX_MESSAGES} messages")),
            Category::Io | Category::Syntax | Category::Eof => Unreadable::NotJson,
        })
    })?;
    reader.end().map_err(|_| malformed(Unreadable::NotJson))?;
    if texts.is_empty() {
        return Err(malformed(Unreadable::Invalid("an empty batch".into())));
    }
    Ok(texts.into_iter().map(|text| body.slice_ref(text.get().as_bytes())).collect())
}

/// What a member of a batch is answered with.
pub(crate) struct Due {
    id: Option<RequestId>,
    answer: Answer,
}

enum Answer {
    Now(Bytes),
    Later(Pin<Box<dyn Future<Output = Answered> + Send>>),
}

/// The answer to a member, and what it holds until it is written: its place, and that it can be cancelled.
pub(crate) struct Answered {
    /// The JSON-RPC text; nothing, if the request needs no answer any more.
    pub(crate) message: Option<Bytes>,
    /// What is held.
    pub(crate) _held: Option<Box<dyn Send>>,
}

/// Whoever takes a batch: what it does with each of its messages.
pub(crate) trait Taking {
    /// Begins a request.
    fn request(&self, request: Request) -> Due;
    /// Takes a notification.
    fn notification(&self, note: &Notification);
    /// Takes the client's answer to what a server asked.
    fn response(&self, response: Response);
}

/// Takes the messages of a batch one by one; returns what is to be answered.
pub(crate) fn take(
    messages: impl IntoIterator<Item = Result<Message, Malformed>>,
    taking: &impl Taking,
) -> Vec<Due> {
    let due = messages.into_iter().filter_map(|message| match message {
        Ok(Message::Request(request)) => Some(taking.request(request)),
        Ok(Message::Notification(note)) => {
            taking.notification(&note);
            None
        }
        Ok(Message::Response(response)) => {
            taking.response(response);
            None
        }
        Err(malformed) => Some(Due::now(malformed.id.clone(), refuse_malformed(&malformed))),
    });
    due.collect()
}

impl Due {
    /// This answers it.
    pub(crate) const fn now(id: Option<RequestId>, answer: Bytes) -> Self {
        Self { id, answer: Answer::Now(answer) }
    }

    /// What this comes to answers it. It runs when it is waited for.
    pub(crate) fn later(id: RequestId, answer: impl Future<Output = Answered> + Send + 'static) -> Self {
        Self { id: Some(id), answer: Answer::Later(Box::pin(answer)) }
    }

    /// Waits for the answer.
    pub(crate) async fn answer(self) -> Answered {
        match self.answer {
            Answer::Now(answer) => Answered { message: Some(answer), _held: None },
            Answer::Later(answer) => answer.await,
        }
    }
}

/// Runs everything that is due at the same time, in tasks that go on when nobody waits for them any more; returns the
/// array of the answers in the order of the batch, as [`join`] makes it. Nothing, if there is no answer.
pub(crate) fn gather(
    tasks: &TaskTracker,
    due: Vec<Due>,
    limit: usize,
) -> impl Future<Output = Option<Bytes>> + Send + use<> {
    let running: Vec<_> = due.into_iter().map(|due| (due.id.clone(), tasks.spawn(due.answer()))).collect();
    async move {
        let mut answers = Vec::with_capacity(running.len());
        let mut held = Vec::new();
        for (id, task) in running {
            // A request's own panic is answered in its task.
            let Ok(answered) = task.await else { continue };
            answers.extend(answered.message.clone().map(|message| (id, message)));
            held.push(answered);
        }
        (!answers.is_empty()).then(|| join(&answers, limit))
    }
}

/// Returns the array of these answers, at most `limit` bytes. What does not fit is answered with an error; where not
/// even the errors fit, one error answers the whole batch.
fn join(answers: &[(Option<RequestId>, Bytes)], limit: usize) -> Bytes {
    let text = format!("the answers to the batch are larger than {limit} bytes");
    let refusal = |id: Option<&RequestId>| encode::error(id, code::INTERNAL_ERROR, &text, None);
    // What the rest of the batch needs at least, with a comma or bracket each.
    let least = |(id, answer): &(_, Bytes)| answer.len().min(refusal(Option::as_ref(id)).len()) + 1;
    let mut rest: usize = answers.iter().map(least).sum();
    if rest + 1 > limit {
        return refusal(None).into();
    }
    let mut out = vec![b'['];
    for entry @ (id, answer) in answers {
        rest -= least(entry);
        if out.len() > 1 {
            out.push(b',');
        }
        if out.len() + answer.len() + 1 + rest <= limit {
            out.extend_from_slice(answer);
        } else {
            out.extend_from_slice(&refusal(id.as_ref()));
        }
    }
    out.push(b']');
    out.into()
}

/// Answers what must not stand in a batch.
pub(crate) fn refuse(id: &RequestId, what: &str) -> Bytes {
    let text = format!("{what} must not be part of a batch");
    encode::error(Some(id), code::INVALID_REQUEST, &text, None).into()
}

/// Answers what is no message.
pub(crate) fn refuse_malformed(malformed: &Malformed) -> Bytes {
    let code = match malformed.reason {
        Unreadable::NotJson => code::PARSE_ERROR,
        Unreadable::Invalid(_) => code::INVALID_REQUEST,
    };
    encode::error(malformed.id.as_ref(), code, &malformed.to_string(), None).into()
}

/// Reads the values of an array without decoding them, and stops where there are too many.
struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = seq.next_element()? {
            if texts.len() == MAX_MESSAGES {
                return Err(de::Error::custom("too many"));
            }
            texts.push(text);
        }
        Ok(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(body: &str) -> Result<Vec<String>, Unreadable> {
        let split = split(&Bytes::copy_from_slice(body.as_bytes())).map_err(|malformed| malformed.reason)?;
        Ok(split.into_iter().map(|text| String::from_utf8(text.to_vec()).unwrap()).collect())
    }

    #[test]
    fn a_batch_is_split_into_the_texts_of_its_members() {
        assert_eq!(
            texts(r#" [ {"a": [1, 2]} , 7,"x",[] ] "#).unwrap(),
            [r#"{"a": [1, 2]}"#, "7", "\"x\"", "[]"]
        );
        assert_eq!(texts(&format!("[{}]", vec!["1"; MAX_MESSAGES].join(","))).unwrap().len(), MAX_MESSAGES);
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        for body in ["[", "[1", "[1,]", "[1] 2", "[{]", "[\"\u{1}\"]"] {
            assert_eq!(texts(body), Err(Unreadable::NotJson), "{body}");
        }
        let too_many = format!("[{}]", vec!["1"; MAX_MESSAGES + 1].join(","));
        for body in ["[]", "[ ]", &too_many, &format!("[{}", "1,".repeat(MAX_MESSAGES * 2))] {
            assert!(matches!(texts(body), Err(Unreadable::Invalid(_))), "{body}");
        }
    }

    #[test]
    fn answers_beyond_the_bound_become_errors() {
        let answers = |bytes: &[usize]| -> Vec<(Option<RequestId>, Bytes)> {
            let text = |bytes: usize| Bytes::from(format!("\"{}\"", "x".repeat(bytes)));
            bytes.iter().zip(0_u64..).map(|(bytes, id)| (Some(id.into()), text(*bytes))).collect()
        };
        for limit in 200..2_000 {
            let joined = join(&answers(&[1, 500, 300, 1, 1_000, 1]), limit);
            assert!(joined.len() <= limit, "{limit}: {joined:?}");
            let joined: serde_json::Value = serde_json::from_slice(&joined).unwrap();
            let Some(array) = joined.as_array() else {
                assert_eq!((&joined["id"], limit < 500), (&serde_json::Value::Null, true), "{joined}");
                continue;
            };
            assert_eq!(array.len(), 6);
            assert!(
                array.iter().zip(0..).all(|(answer, id)| answer.is_string() || answer["id"] == id),
                "{joined}"
            );
            assert!([0, 3, 5].iter().all(|small| array[*small].is_string()), "what fits is there: {joined}");
        }
        let all = join(&answers(&[1, 500]), 1_000);
        assert_eq!(all.len(), "[".len() + 3 + ",".len() + 502 + "]".len());
    }

    #[tokio::test]
    async fn answers_come_in_the_order_of_the_batch_and_hold_until_all_are_there() {
        let (held, released) = tokio::sync::oneshot::channel::<()>();
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let later =
            |message, held: Option<Box<dyn Send>>, wait: Option<tokio::sync::oneshot::Receiver<()>>| async {
                if let Some(wait) = wait {
                    wait.await.unwrap();
                }
                Answered { message, _held: held }
            };
        let due = vec![
            Due::later(1.into(), later(Some("1".into()), None, Some(gone))),
            Due::later(2.into(), later(Some("2".into()), Some(Box::new(held)), None)),
            Due::later(3.into(), later(None, None, None)),
            Due::now(None, "4".into()),
        ];
        let mut joined = Box::pin(gather(&TaskTracker::new(), due, 1_000));
        assert!(futures_util::poll!(joined.as_mut()).is_pending());
        go.send(()).unwrap();
        assert_eq!(joined.await.unwrap(), "[1,2,4]");
        released.await.unwrap_err();
    }
}
