//! The scanner against the strict reader: on sound messages they agree, and never does the scanner take more.

use proptest::prelude::*;

use super::*;

/// A message around `result`, with members before and after it.
fn around(result: &str) -> impl Strategy<Value = String> + use<> {
    let result = result.to_owned();
    let space = prop_oneof![Just(""), Just(" "), Just("\n\t\r ")];
    let others = Just(vec![
        r#""jsonrpc":"2.0""#.to_owned(),
        r#""id":7"#.to_owned(),
        r#""vendor":{"result":{"}":"]"},"n":[1.0e-0,"\\\""]}"#.to_owned(),
        r#""note":"a\"}{ result \\""#.to_owned(),
        r#""nothing":null"#.to_owned(),
    ]);
    (others.prop_shuffle(), 0usize..=5, 0usize..=5, space).prop_map(
        move |(mut members, at, dropped, space)| {
            members.insert(at, format!(r#""result"{space}:{space}{result}"#));
            if dropped >= 3 {
                members.retain(|member| !member.contains("note") && !member.contains("nothing"));
            }
            let members = members.join(&format!("{space},{space}"));
            format!("{space}{{{space}{members}{space}}}{space}")
        },
    )
}

fn object() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("1.10".to_owned()),
        Just("-0".to_owned()),
        Just("1E+400".to_owned()),
        Just("null".to_owned()),
        "[a-z{}\\[\\],:ä€😀]{0,12}".prop_map(|text| format!("\"{text}\"")),
        Just(r#""\\""#.to_owned()),
        Just(r#""\"}""#.to_owned()),
        Just(r#""\u007d\\\"""#.to_owned()),
    ];
    let value = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(" ,"))),
            proptest::collection::vec(inner, 0..4).prop_map(|items| members(&items)),
        ]
    });
    proptest::collection::vec(value, 0..5).prop_map(|items| members(&items))
}

fn members(items: &[String]) -> String {
    let members: Vec<String> =
        items.iter().enumerate().map(|(n, item)| format!("\"k{n}\": {item}")).collect();
    format!("{{{}}}", members.join(","))
}

/// What a reader makes of a body, comparable.
fn reading(read: Result<Message, Malformed>) -> Result<(Vec<u8>, Vec<u8>), ()> {
    match read {
        Ok(Message::Response(Response { id: Some(id), body: ResponseBody::Result(result) })) => {
            Ok((id.as_json().to_vec(), result.to_vec()))
        }
        Ok(_) | Err(_) => Err(()),
    }
}

/// The scanning reader, whatever the body's size.
fn scanned(body: &Bytes) -> Result<Message, Malformed> {
    let padded = [&body[..], " ".repeat(WORTH_SCANNING_BYTES).as_bytes()].concat();
    parse(&padded.into())
}

/// Messages of every kind, and what is none: members that stand twice, are missing, or look like others.
fn any_message() -> impl Strategy<Value = String> {
    let space = prop_oneof![Just(""), Just(" "), Just("\n\t\r ")];
    let member = (
        prop::sample::select(&NAMES[..]),
        prop_oneof![object(), prop::sample::select(&VALUES[..]).prop_map(str::to_owned)],
    );
    let others = proptest::collection::vec(member, 0..4);
    let sound = prop::sample::select(&SOUND[..]);
    (sound, others, object(), any::<proptest::sample::Index>(), space).prop_map(
        |(sound, others, object, at, space)| {
            let mut members: Vec<String> =
                others.iter().map(|(name, value)| format!("\"{name}\"{space}:{value}{space}")).collect();
            members.insert(at.index(members.len() + 1), sound.replace("OBJECT", &object));
            format!("{space}{{{}}}{space}", members.join(","))
        },
    )
}

/// Members that make up a message by themselves.
const SOUND: [&str; 6] = [
    r#""jsonrpc":"2.0","id":7,"result":OBJECT"#,
    r#""result":OBJECT,"jsonrpc":"2.0","id":"a""#,
    r#""jsonrpc":"2.0","id":7,"error":OBJECT"#,
    r#""jsonrpc":"2.0","id":7,"method":"x","params":OBJECT"#,
    r#""params":OBJECT,"method":"x","jsonrpc":"2.0""#,
    r#""id":7,"result":OBJECT"#,
];

const NAMES: [&str; 12] = [
    "jsonrpc",
    "id",
    "method",
    "params",
    "result",
    "error",
    "Result",
    r"re\u0073ult",
    "re\u{17f}ult",
    "vendor",
    "note",
    "",
];

const VALUES: [&str; 8] = [r#""2.0""#, "7", r#""x""#, "null", "[{}]", "1E400", r#""result""#, "{"];

/// Everything that a message says, comparable.
fn whole(read: Result<Message, Malformed>) -> Option<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match read.ok()? {
        Message::Request(request) => Some(format!("{request:?}")),
        Message::Notification(note) => Some(format!("{note:?}")),
        Message::Response(Response { id, body: ResponseBody::Result(result) }) => {
            Some(format!("{id:?} result {}", text(&result)))
        }
        Message::Response(Response { id, body: ResponseBody::Error(error) }) => {
            Some(format!("{id:?} error {}", text(&error)))
        }
    }
}

proptest! {
    #[test]
    fn messages_of_every_kind_are_read_alike(body in any_message()) {
        let body = Bytes::from(body);
        let strict = whole(Message::parse(&body));
        let scanned = scanned(&body);
        match (&scanned, strict) {
            // The scanner does not look into the result, so it may take one that is broken inside.
            (Ok(Message::Response(Response { body: ResponseBody::Result(result), .. })), None) => {
                prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(result).is_err());
            }
            (_, strict) => prop_assert_eq!(whole(scanned), strict),
        }
    }

    #[test]
    fn sound_messages_are_read_alike(body in object().prop_flat_map(|result| around(&result))) {
        let body = Bytes::from(body);
        let strict = reading(Message::parse(&body));
        prop_assert!(strict.is_ok());
        prop_assert_eq!(reading(scanned(&body)), strict);
    }

    #[test]
    fn damaged_messages_are_never_read_differently(
        body in object().prop_flat_map(|result| around(&result)),
        at in 0usize..400,
        byte in prop_oneof![Just(b'"'), Just(b'{'), Just(b'}'), Just(b'\\'), Just(b','), Just(b'7'), any::<u8>()],
    ) {
        let mut body = body.into_bytes();
        let at = at % body.len();
        body[at] = byte;
        let body = Bytes::from(body);
        match (reading(scanned(&body)), reading(Message::parse(&body))) {
            (scanned, Ok(strict)) => prop_assert_eq!(scanned, Ok(strict)),
            // The scanner does not look into the result, so it may take one that is broken inside.
            (Ok((_, result)), Err(())) => prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&result).is_err()),
            (Err(()), Err(())) => {}
        }
    }
}

#[test]
fn heads() {
    let check = |head: &str, expected: Head| assert_eq!(scan_head(head.as_bytes()), expected, "{head}");
    let result = |result, id| Head::Result { result, id };
    check(r#"{"result":{"#, result(10, None));
    check(r#"{"jsonrpc":"2.0","id":7,"result":{"#, result(33, Some(22..23)));
    check(r#"{"id":"a\"b" , "result" : {"#, result(26, Some(6..12)));
    check(r#"{"x":{"result":{}},"result":{"#, result(28, None));
    for partial in [
        "",
        " ",
        "{",
        r#"{"resu"#,
        r#"{"result""#,
        r#"{"result":"#,
        r#"{"id":7"#,
        r#"{"id":"a"#,
        r#"{"x":[{}"#,
    ] {
        check(partial, Head::Partial);
    }
    for other in [
        "[",
        "x",
        "{x",
        r#"{"result":1"#,
        r#"{"error":{"#,
        r#"{"method":""#,
        r#"{"id":7}"#,
        r#"{"\u0069d":1"#,
        r#"{"a" 1"#,
    ] {
        check(other, Head::Other);
    }
}

#[test]
fn deep_nesting_is_followed_without_recursion() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(Nesting::default().advance(deep.as_bytes()), Some(deep.len()));
}
