//! Edits of JSON: cases for every layout, and the property that taking out gives back what was before putting in.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{
    client::Client,
    file,
    file::ClientFile,
    places::{Place, Scope},
};

fn place() -> Place {
    Place { path: "settings.json".into(), scope: Scope::User, keys: vec!["mcpServers".to_owned()] }
}

fn read(text: &str) -> ClientFile {
    file::of_bytes(Client::Cursor, &place(), Some(text.as_bytes().to_vec())).expect("sound")
}

fn put(text: &str) -> String {
    read(text).with_entry("toolgate", &entry()).expect("it can be edited").text().to_owned()
}

fn entry() -> Value {
    json!({ "command": "tg", "args": ["stdio"] })
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let file = read(text);
    let made = file.missing_keys();
    let edited = put(text);
    assert_eq!(edited, expected);
    let back = read(&edited).without_entry("toolgate", made).expect("it can be edited");
    assert_eq!(back.text(), text);
}

const ENTRY: &str = "\"toolgate\": {\"command\": \"tg\", \"args\": [\"stdio\"]}";

#[test]
fn one_line_stays_one_line() {
    check(r#"{"mcpServers":{}}"#, &format!("{{\"mcpServers\":{{ {ENTRY}}}}}"));
    check(
        r#"{"mcpServers": {"a": {}}, "b": 1}"#,
        &format!("{{\"mcpServers\": {{\"a\": {{}}, {ENTRY}}}, \"b\": 1}}"),
    );
    check(r#"{ "mcpServers": { "a": 1 } }"#, &format!("{{ \"mcpServers\": {{ \"a\": 1, {ENTRY} }} }}"));
}

#[test]
fn indentation_and_line_ends_are_taken_from_the_file() {
    check(
        "{\r\n\t\"mcpServers\": {\r\n\t\t\"a\": {}\r\n\t}\r\n}\r\n",
        "{\r\n\t\"mcpServers\": {\r\n\t\t\"a\": {},\r\n\t\t\"toolgate\": {\r\n\t\t\t\"command\": \"tg\",\r\n\t\t\t\"args\": \
         [\"stdio\"]\r\n\t\t}\r\n\t}\r\n}\r\n",
    );
    check(
        "{\n   \"mcpServers\": {}\n}",
        "{\n   \"mcpServers\": {\n      \"toolgate\": {\n         \"command\": \"tg\",\n         \"args\": [\"stdio\"]\n      \
         }\n   }\n}",
    );
}

#[test]
fn commas_and_comments_stay() {
    check(
        "{\n  \"mcpServers\": {\n    \"a\": {}, // last\n    // more here\n  },\n}\n",
        "{\n  \"mcpServers\": {\n    \"a\": {}, // last\n    // more here\n    \"toolgate\": {\n      \"command\": \
         \"tg\",\n      \"args\": [\"stdio\"]\n    },\n  },\n}\n",
    );
    check(
        "{\n  \"mcpServers\": {\n    \"a\": {} // last\n  }\n}\n",
        "{\n  \"mcpServers\": {\n    \"a\": {}, // last\n    \"toolgate\": {\n      \"command\": \"tg\",\n      \"args\": \
         [\"stdio\"]\n    }\n  }\n}\n",
    );
}

#[test]
fn missing_maps_are_made_and_taken_away_again() {
    check(
        "{\n  \"theme\": \"dark\"\n}\n",
        "{\n  \"theme\": \"dark\",\n  \"mcpServers\": {\n    \"toolgate\": {\n      \"command\": \"tg\",\n      \"args\": \
         [\"stdio\"]\n    }\n  }\n}\n",
    );
    check(
        "{}",
        "{\n  \"mcpServers\": {\n    \"toolgate\": {\n      \"command\": \"tg\",\n      \"args\": [\"stdio\"]\n    }\n  }\n}",
    );
}

#[test]
fn a_file_without_a_value_gets_one() {
    let rendered = "{\n  \"mcpServers\": {\n    \"toolgate\": {\n      \"command\": \"tg\",\n      \"args\": [\"stdio\"]\n    }\n  }\n}";
    assert_eq!(put(""), format!("{rendered}\n"));
    assert_eq!(put("// mine\n"), format!("// mine\n{rendered}\n"));
    assert_eq!(put("// mine"), format!("// mine\n{rendered}"));
}

#[test]
fn replacing_touches_the_value_alone() {
    let text =
        "{\n  \"mcpServers\": {\n    /* a */ \"toolgate\" : {\"url\": 1} /* b */,\n    \"z\": 1\n  }\n}";
    assert_eq!(
        put(text),
        "{\n  \"mcpServers\": {\n    /* a */ \"toolgate\" : {\n      \"command\": \"tg\",\n      \"args\": [\"stdio\"]\n    } \
         /* b */,\n    \"z\": 1\n  }\n}"
    );
}

#[track_caller]
fn check_removal(text: &str, expected: &str) {
    assert_eq!(read(text).without_entry("toolgate", 0).expect("it can be edited").text(), expected);
}

#[test]
fn an_entry_is_taken_out_wherever_it_stands() {
    check_removal(r#"{"mcpServers": {"toolgate": {}, "b": 1}}"#, r#"{"mcpServers": { "b": 1}}"#);
    check_removal(
        r#"{"mcpServers": {"a": 1, "toolgate": {}, "b": 1}}"#,
        r#"{"mcpServers": {"a": 1, "b": 1}}"#,
    );
    check_removal(r#"{"mcpServers": {"a": 1, "toolgate": {}}}"#, r#"{"mcpServers": {"a": 1}}"#);
    check_removal(r#"{"mcpServers": {"a": 1, "toolgate": {},}}"#, r#"{"mcpServers": {"a": 1,}}"#);
    check_removal("{\"mcpServers\": {\n  \"toolgate\": {},\n}}", "{\"mcpServers\": {}}");
    // What follows must not slip into the comment before.
    check_removal(
        "{\"mcpServers\": {\"a\": 1, // c\n\"toolgate\": {}, \"b\": 1}}",
        "{\"mcpServers\": {\"a\": 1, // c\n \"b\": 1}}",
    );
    check_removal(
        "{\"mcpServers\": {\"a\": 1, // c\n\"toolgate\": {} }}",
        "{\"mcpServers\": {\"a\": 1 // c\n }}",
    );
}

/// Blanks and comments as they may stand between any two tokens.
fn gap() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "",
        " ",
        "\t",
        "\n",
        "\r\n",
        "\n    ",
        "/* c */",
        "// x\n",
        " // , } \"\r\n",
        "/* \n */",
    ]);
    prop::collection::vec(piece, 0..3).prop_map(|pieces| pieces.concat())
}

/// The inside of an empty map or list: nothing, or a comment. What is only blank is not given back.
fn emptiness() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), gap().prop_map(|gap| format!("{gap}/**/{gap}"))]
}

fn value() -> impl Strategy<Value = String> {
    let scalar =
        prop::sample::select(vec!["1", "-0.5e3", "true", "null", "\"a // \\\" {\"", "\"ü\\u00fc\"", "\"\""]);
    scalar
        .prop_map(str::to_owned)
        .prop_recursive(3, 16, 4, |inner| prop_oneof![map_of(inner.clone(), "k"), list_of(inner)])
}

fn list_of(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let item = (gap(), inner, gap()).prop_map(|(before, value, behind)| format!("{before}{value}{behind}"));
    let items = prop::collection::vec(item, 1..3).prop_map(|items| format!("[{}]", items.join(",")));
    prop_oneof![emptiness().prop_map(|inside| format!("[{inside}]")), items]
}

fn map_of(inner: impl Strategy<Value = String>, key: &'static str) -> impl Strategy<Value = String> {
    let member = (gap(), gap(), inner, gap(), gap())
        .prop_map(|(before, colon, value, behind, end)| (before, format!("{colon}:{end}{value}{behind}")));
    let members =
        (prop::collection::vec(member, 1..4), prop::option::of(gap())).prop_map(move |(members, last)| {
            let member =
                |(at, (before, rest)): (usize, &(String, String))| format!("{before}\"{key}{at}\"{rest}");
            let members = members.iter().enumerate().map(member).collect::<Vec<_>>().join(",");
            let comma = last.map_or_else(String::new, |gap| format!(",{gap}"));
            format!("{{{members}{comma}}}")
        });
    prop_oneof![emptiness().prop_map(|inside| format!("{{{inside}}}")), members]
}

/// A document with or without servers, among other keys.
fn document() -> impl Strategy<Value = String> {
    let servers = map_of(value(), "s");
    let whole = (gap(), prop::option::of(servers), map_of(value(), "k"), any::<bool>(), gap());
    whole.prop_map(|(before, servers, others, servers_first, behind)| {
        let Some(servers) = servers else { return format!("{before}{others}{behind}") };
        let inside = &others[1..others.len() - 1];
        let is_empty = !inside.contains("\"k0\"");
        let root = match (is_empty, servers_first) {
            (true, _) => format!("{{{inside}\"mcpServers\":{servers}}}"),
            (false, true) => format!("{{\"mcpServers\":{servers},{inside}}}"),
            (false, false) => format!("{{\"o\":{{{inside}}},\"mcpServers\": {servers}}}"),
        };
        format!("{before}{root}{behind}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn taking_out_gives_back_what_was_there(text in document()) {
        let file = read(&text);
        let edited = file.with_entry("toolgate", &entry()).expect("it can be edited");
        prop_assert_eq!(edited.entry("toolgate"), Some(entry()));
        let back = edited.without_entry("toolgate", file.missing_keys()).expect("it can be edited");
        prop_assert_eq!(back.text(), text);
    }

    #[test]
    fn every_server_can_be_taken_out(text in document()) {
        let mut file = read(&text);
        for name in ["s0", "s1", "s2"] {
            file = file.without_entry(name, 0).expect("it can be edited");
            prop_assert_eq!(file.entry(name), None);
        }
    }
}
