//! Properties of the envelope's reader: it never panics, and it takes exactly what a slow and plain reader takes that
//! is written here from the rules alone. The event streams' are in `event_streams.rs`.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod reference;

use bytes::Bytes;
use proptest::{
    collection::vec, prelude::*, sample::Index, strategy::ValueTree as _, test_runner::TestRunner,
};
use protocol::{Malformed, Message, Object, Request, Response, ResponseBody};
use reference::{Envelope, Reading};

/// The members that the reader looks at.
const KNOWN: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

/// Names that are none of these but look like them to a lenient reader, and names that only decoding makes equal.
const DECEIVING: [&str; 10] = [
    "ID",
    "Method",
    "re\u{17f}ult",
    "param\u{17f}",
    "\u{131}d",
    "JSONRPC",
    r"\u0069d",
    r"meth\u006fd",
    r"\u0049d",
    r"\ud800",
];

/// Values of every kind, sound and not.
const VALUES: [&str; 27] = [
    r#""2.0""#,
    r#""2\u002e0""#,
    r#""1.0""#,
    "2.0",
    "1",
    "-0",
    "-7e2",
    "01",
    "1.",
    "+1",
    "NaN",
    "1E400",
    "null",
    "true",
    "{}",
    "{ }",
    r#"{"a":1,"a":2}"#,
    r#"{"id":{"id":[[[]]]}}"#,
    "[]",
    "[1,2",
    r#""""#,
    r#""tools/call""#,
    r#""\n""#,
    r#""\ud83d\ude00""#,
    r#""\udc00""#,
    "\"\t\"",
    r#""unended"#,
];

/// What the reader under test makes of a body, comparable with the reference's reading.
fn read(body: &Bytes) -> Reading {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let message = Message::parse(body).map_err(|Malformed { .. }| ())?;
    Ok(match message {
        Message::Request(Request { id, method, params }) => Envelope::Request {
            id: text(id.as_json()),
            method: method.into(),
            params: params.map(|params| text(&params)),
        },
        Message::Notification(note) => Envelope::Notification {
            method: note.method.into(),
            params: note.params.map(|params| text(&params)),
        },
        Message::Response(Response { id, body: ResponseBody::Result(result) }) => {
            Envelope::Result { id: text(id.unwrap().as_json()), result: text(&result) }
        }
        Message::Response(Response { id, body: ResponseBody::Error(error) }) => {
            Envelope::Error { id: id.map(|id| text(id.as_json())), error: text(&error) }
        }
    })
}

/// The members of a sound message, as names and JSON texts.
fn sound() -> impl Strategy<Value = Vec<(String, String)>> {
    let id = prop_oneof![
        any::<u64>().prop_map(|id| id.to_string()),
        "-?[1-9][0-9]{0,3}(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?",
        "\"[a-zä😀 ]{0,8}\"",
        Just(r#""\u0031\"""#.to_owned()),
        (500usize..520).prop_map(|length| format!("\"{}\"", "i".repeat(length))),
    ];
    let method = prop_oneof![
        "\"[a-z]{1,8}/[a-z]{1,8}\"",
        Just(r#""p\u0069ng""#.to_owned()),
        (250usize..262).prop_map(|length| format!("\"{}\"", "m".repeat(length))),
    ];
    let params =
        prop_oneof!["\\{(\"name\": ?\"[a-z]{0,5}\")?\\}", Just(r#"{"id":1,"Method":[{}]}"#.to_owned())];
    let parts = (id, method, params, prop::option::of(Just(())), 0usize..6);
    parts.prop_map(|(id, method, params, with_params, kind)| {
        let value = params.clone();
        let mut members = match kind {
            0 | 1 => vec![("id", id), ("method", method)],
            2 => vec![("method", method)],
            3 => vec![("id", id), ("result", value)],
            4 => vec![("id", id), ("error", value)],
            _ => vec![("id", "null".to_owned()), ("error", value)],
        };
        if kind <= 2 && with_params.is_some() {
            members.push(("params", params));
        }
        members.push(("jsonrpc", "\"2.0\"".to_owned()));
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    })
}

/// One step away from a sound message.
#[derive(Debug, Clone)]
enum Damage {
    Drop(Index),
    Double(Index),
    Name(Index, String),
    Value(Index, String),
    Add(String, String),
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(&KNOWN[..]).prop_map(str::to_owned),
        prop::sample::select(&DECEIVING[..]).prop_map(str::to_owned),
        "[a-zK\u{17f}]{0,3}",
    ]
}

fn damage() -> impl Strategy<Value = Damage> {
    let value = || prop::sample::select(&VALUES[..]).prop_map(str::to_owned);
    prop_oneof![
        any::<Index>().prop_map(Damage::Drop),
        any::<Index>().prop_map(Damage::Double),
        (any::<Index>(), name()).prop_map(|(at, name)| Damage::Name(at, name)),
        (any::<Index>(), value()).prop_map(|(at, value)| Damage::Value(at, value)),
        (name(), value()).prop_map(|(name, value)| Damage::Add(name, value)),
    ]
}

impl Damage {
    fn apply(self, members: &mut Vec<(String, String)>) {
        let count = members.len();
        match self {
            Self::Add(name, value) => members.push((name, value)),
            Self::Drop(_) | Self::Double(_) | Self::Name(..) | Self::Value(..) if count == 0 => {}
            Self::Drop(at) => drop(members.remove(at.index(count))),
            Self::Double(at) => members.push(members[at.index(count)].clone()),
            Self::Name(at, name) => members[at.index(count)].0 = name,
            Self::Value(at, value) => members[at.index(count)].1 = value,
        }
    }
}

/// Messages that are sound, nearly sound and unsound in their members, in any order and spacing.
fn corpus() -> impl Strategy<Value = String> {
    let space = prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\r\n\t"), 1 => Just("\u{b}")];
    let damages = prop_oneof![2 => Just(Vec::new()), 3 => vec(damage(), 1..4)];
    let members = (sound().prop_shuffle(), damages).prop_map(|(mut members, damages)| {
        damages.into_iter().for_each(|damage| damage.apply(&mut members));
        members
    });
    (members.prop_shuffle(), space).prop_map(|(members, space)| {
        let members: Vec<String> =
            members.iter().map(|(name, value)| format!("{space}\"{name}\"{space}:{space}{value}")).collect();
        format!("{space}{{{}{space}}}{space}", members.join(&format!("{space},")))
    })
}

/// One change to the bytes themselves.
#[derive(Debug, Clone)]
enum Slip {
    Replace(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Cut(Index),
}

fn slip() -> impl Strategy<Value = Slip> {
    let byte = || prop_oneof![3 => prop::sample::select(&b"{}[]\":,\\\n\r 0eu"[..]), 1 => any::<u8>()];
    prop_oneof![
        3 => (any::<Index>(), byte()).prop_map(|(at, byte)| Slip::Replace(at, byte)),
        3 => (any::<Index>(), byte()).prop_map(|(at, byte)| Slip::Insert(at, byte)),
        3 => any::<Index>().prop_map(Slip::Remove),
        1 => any::<Index>().prop_map(Slip::Cut),
    ]
}

fn slipped(text: String, slips: Vec<Slip>) -> Bytes {
    let mut bytes = text.into_bytes();
    for slip in slips {
        let count = bytes.len();
        match slip {
            Slip::Insert(at, byte) => bytes.insert(at.index(count + 1), byte),
            Slip::Replace(..) | Slip::Remove(_) | Slip::Cut(_) if count == 0 => {}
            Slip::Replace(at, byte) => bytes[at.index(count)] = byte,
            Slip::Remove(at) => drop(bytes.remove(at.index(count))),
            Slip::Cut(at) => bytes.truncate(at.index(count)),
        }
    }
    bytes.into()
}

/// Asks an object everything that can be asked.
fn look_at(object: &Object<'_>, source: &[u8]) {
    for (name, value) in object.iter() {
        assert_eq!(object.get(name), Some(value));
        assert_eq!(&source[object.span(name).unwrap()], value.as_bytes());
        let decoded = object.string(name);
        let plain: Option<String> = serde_json::from_str(value).ok();
        assert_eq!(decoded.as_deref(), plain.as_deref(), "{value}");
    }
    let mut out = Vec::new();
    object.write_without(&["id", "method"], &mut out);
    let rest = Object::parse(&out, &[]).unwrap();
    let kept: Vec<_> = object.iter().filter(|(name, _)| !matches!(*name, "id" | "method")).collect();
    assert_eq!(rest.iter().collect::<Vec<_>>(), kept);
}

#[test]
fn the_corpus_holds_enough_of_both() {
    let mut runner = TestRunner::deterministic();
    let taken = (0..500)
        .filter(|_| {
            let body = corpus().new_tree(&mut runner).unwrap().current();
            read(&body.into()).is_ok()
        })
        .count();
    assert!((150..400).contains(&taken), "{taken} of 500 are taken");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6_000))]

    #[test]
    fn members_are_read_as_the_reference_reads_them(body in corpus()) {
        let expected = reference::read(body.as_bytes());
        prop_assert_eq!(read(&body.into()), expected);
    }

    #[test]
    fn damaged_bytes_are_read_as_the_reference_reads_them(body in corpus(), slips in vec(slip(), 1..4)) {
        let body = slipped(body, slips);
        let expected = reference::read(&body);
        prop_assert_eq!(read(&body), expected);
    }

    #[test]
    fn an_object_is_found_in_place(body in corpus(), slips in vec(slip(), 0..2)) {
        let body = slipped(body, slips);
        if let Ok(object) = Object::parse(&body, &[]) {
            look_at(&object, &body);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200), known in any::<bool>()) {
        let bytes = Bytes::from(bytes);
        prop_assert_eq!(read(&bytes), reference::read(&bytes));
        let _ = Object::parse(&bytes, if known { &KNOWN } else { &[] });
    }
}
