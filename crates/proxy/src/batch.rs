//! Batches: several JSON-RPC messages in one array, which revision 2025-03-26 has and later ones have not. What they
//! may be is here; how their answers travel is in `http/batch.rs` and `duplex/batch.rs`.

use bytes::Bytes;
use protocol::{Malformed, RequestId, Unreadable, Version, code, encode};
use serde::{
    Deserializer,
    de::{self, SeqAccess, Visitor},
};
use serde_json::{error::Category, value::RawValue};

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

/// Returns the array of these answers; at most `limit` bytes of them, the rest is answered with an error.
pub(crate) fn join(answers: impl IntoIterator<Item = (Option<RequestId>, Bytes)>, limit: usize) -> Bytes {
    let mut out = vec![b'['];
    for (id, answer) in answers {
        if out.len() > 1 {
            out.push(b',');
        }
        if out.len() + answer.len() < limit {
            out.extend_from_slice(&answer);
        } else {
            let text = format!("the answers to the batch are larger than {limit} bytes");
            out.extend_from_slice(&encode::error(id.as_ref(), code::INTERNAL_ERROR, &text, None));
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
        let small = Bytes::from_static(b"1");
        let large = Bytes::from(vec![b'2'; 100]);
        let joined = join([(None, small.clone()), (Some(7.into()), large), (None, small)], 100);
        let joined: serde_json::Value = serde_json::from_slice(&joined).unwrap();
        assert_eq!(
            (&joined[0], &joined[1]["id"], joined.as_array().unwrap().len()),
            (&1.into(), &7.into(), 3)
        );
    }
}
