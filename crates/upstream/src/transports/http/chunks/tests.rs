//! A value in pieces against the strict reader of the whole.

use proptest::prelude::*;
use protocol::Response;

use super::{
    super::envelope::{Head, scan_head},
    *,
};

/// Feeds `body` in pieces; returns the value, or why it cannot be passed on.
fn passed_on(body: &[u8], cuts: &[usize]) -> Result<Vec<u8>, BadValue> {
    let Head::Result { result, .. } = scan_head(body) else { return Err(BadValue::Envelope) };
    let body = Bytes::copy_from_slice(body);
    let mut value = Value::new(7, body.slice(..result));
    let mut out = Vec::new();
    let mut ends: Vec<usize> = cuts.iter().map(|cut| result + cut % (body.len() - result + 1)).collect();
    ends.push(body.len());
    ends.sort_unstable();
    let mut start = result;
    for end in ends {
        out.extend_from_slice(&value.accept(body.slice(start..end))?);
        start = end;
    }
    value.finish()?;
    out.extend_from_slice(&value.take_last());
    Ok(out)
}

const RESULT: &str =
    r#"{"content":[{"type":"text","text":"}\"]\\"}],"n":[1.10,-0,1E400],"ключ":"значение 😀","_v":{"id":7}}"#;

fn answers() -> Vec<String> {
    vec![
        format!(r#"{{"jsonrpc":"2.0","id":7,"result":{RESULT}}}"#),
        format!(r#"{{"result":{RESULT},"jsonrpc":"2.0","id":7}}"#),
        format!(r#"{{"result":{RESULT} , "id" : 7 , "jsonrpc" : "2.0" }} "#),
        format!(r#"{{"id":7,"result":{RESULT},"jsonrpc":"2.0"}}"#),
        format!(r#"{{"jsonrpc":"2.0","result":{RESULT},"id":7,"vendor":[{{}}]}}"#),
    ]
}

proptest! {
    #[test]
    fn the_pieces_joined_are_the_value(answer in 0usize..5, cuts in proptest::collection::vec(0usize..400, 0..12)) {
        let body = answers()[answer].clone();
        prop_assert_eq!(passed_on(body.as_bytes(), &cuts).unwrap(), RESULT.as_bytes());
    }

    #[test]
    fn damage_is_never_passed_on_as_a_complete_value(
        answer in 0usize..5,
        cuts in proptest::collection::vec(0usize..400, 0..6),
        at in 0usize..400,
        byte in prop_oneof![Just(b'"'), Just(b'{'), Just(b'}'), Just(b'\\'), Just(b','), Just(b'8'), any::<u8>()],
    ) {
        let mut body = answers()[answer].clone().into_bytes();
        let at = at % body.len();
        body[at] = byte;
        let strict = match Message::parse(&Bytes::from(body.clone())) {
            Ok(Message::Response(Response { id, body: ResponseBody::Result(result) }))
                if id == Some(RequestId::from(7)) => Some(result),
            Ok(_) | Err(_) => None,
        };
        match (passed_on(&body, &cuts), strict) {
            (Ok(passed), Some(strict)) => prop_assert_eq!(passed, strict),
            // Broken inside: what is passed on is broken in the same way.
            (Ok(passed), None) => prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&passed).is_err()),
            // A head that cannot be scanned (an escape in a member's name) is refused; whole answers are read strictly.
            (Err(bad), Some(_)) => prop_assert_eq!(bad, BadValue::Envelope),
            (Err(_), None) => {}
        }
    }
}

#[test]
fn what_surrounds_the_value_must_be_our_answer() {
    let check = |body: &str, expected: BadValue| {
        for cuts in [&[][..], &[1, 3, 20]] {
            assert_eq!(passed_on(body.as_bytes(), cuts), Err(expected), "{body}");
        }
    };
    check(r#"{"jsonrpc":"2.0","id":7,"result":{},"id":7}"#, BadValue::Envelope);
    check(r#"{"jsonrpc":"2.0","id":7,"result":{},"ID":8}"#, BadValue::Envelope);
    check(r#"{"jsonrpc":"2.0","id":7,"result":{},"error":{}}"#, BadValue::Envelope);
    check(r#"{"result":{},"jsonrpc":"2.0","id":8}"#, BadValue::Envelope);
    check(r#"{"result":{},"jsonrpc":"2.0","id":"7"}"#, BadValue::Envelope);
    check(r#"{"result":{},"jsonrpc":"2.0"}"#, BadValue::Envelope);
    check(r#"{"result":{},"id":7}"#, BadValue::Envelope);
    check(r#"{"jsonrpc":"2.0","id":7,"result":{}}}"#, BadValue::Envelope);
    check(r#"{"jsonrpc":"2.0","id":7,"result":{}"#, BadValue::Envelope);
    check(r#"{"jsonrpc":"2.0","id":7,"result":{"a":1"#, BadValue::Unfinished);
    let padding = " ".repeat(MAX_TRAILER_BYTES);
    check(&format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{}}{padding}}}"#), BadValue::Envelope);
    assert_eq!(
        passed_on(b"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"a\":\"\xff\"}}", &[]),
        Err(BadValue::NotText)
    );
}
