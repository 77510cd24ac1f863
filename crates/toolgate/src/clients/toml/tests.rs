//! Edits of TOML: cases for every way in which a table of servers is written.

use serde_json::{Value, json};

use super::super::{
    client::Client,
    error::ClientError,
    file,
    file::ClientFile,
    places::{Place, Scope},
};

fn read(text: &str) -> ClientFile {
    let place =
        Place { path: "config.toml".into(), scope: Scope::User, keys: vec!["mcp_servers".to_owned()] };
    file::of_bytes(Client::Codex, &place, Some(text.as_bytes().to_vec())).expect("sound")
}

fn entry() -> Value {
    json!({ "command": "tg", "args": ["stdio"] })
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let edited = read(text).with_entry("toolgate", &entry()).expect("it can be edited");
    assert_eq!(edited.text(), expected);
    let back = edited.without_entry("toolgate", 1).expect("it can be edited");
    assert_eq!(back.text(), text);
}

const TABLE: &str = "[mcp_servers.toolgate]\ncommand = \"tg\"\nargs = [\"stdio\"]";

#[test]
fn a_table_is_added_at_the_end() {
    check("", &format!("{TABLE}\n"));
    check("a = 1\n", &format!("a = 1\n\n{TABLE}\n"));
    check("a = 1", &format!("a = 1\n\n{TABLE}"));
    check("a = 1\n\n", &format!("a = 1\n\n\n{TABLE}\n"));
    check("# only a comment", &format!("# only a comment\n\n{TABLE}"));
    check(
        "[mcp_servers.a]\nurl = 'x' # c\n\n[z]\n",
        &format!("[mcp_servers.a]\nurl = 'x' # c\n\n[z]\n\n{TABLE}\n"),
    );
    check(
        "[mcp_servers]\na = { url = \"x\" }\n",
        &format!("[mcp_servers]\na = {{ url = \"x\" }}\n\n{TABLE}\n"),
    );
    let windows = TABLE.replace('\n', "\r\n");
    check("a = 1\r\n", &format!("a = 1\r\n\r\n{windows}\r\n"));
    check("a = 1\r\nb = 2", &format!("a = 1\r\nb = 2\r\n\r\n{windows}"));
}

#[track_caller]
fn check_removal(text: &str, expected: &str) {
    assert_eq!(read(text).without_entry("toolgate", 0).expect("it can be edited").text(), expected);
}

#[test]
fn an_entry_is_taken_out_wherever_it_stands() {
    check_removal(
        "a = 1\n\n[mcp_servers.toolgate]\ncommand = \"x\" # c\n\n[mcp_servers.toolgate.env]\nA = \"\"\"\n[x]\n\"\"\"\n\n[z]\nb = 1\n",
        "a = 1\n\n[z]\nb = 1\n",
    );
    check_removal(
        "[mcp_servers]\ntoolgate = { command = \"x\" }\nb = { command = \"y\" }\n",
        "[mcp_servers]\nb = { command = \"y\" }\n",
    );
    check_removal("[mcp_servers.toolgate]\ncommand = \"x\"\nenv.A = \"1\"\n# stays\n[z]\n", "# stays\n[z]\n");
}

#[test]
fn replacing_stays_in_place() {
    let text = "[mcp_servers.toolgate]\nurl = \"x\"\n[mcp_servers.toolgate.http_headers]\nA = \"1\"\n\n[z]\n";
    let edited = read(text).with_entry("toolgate", &entry()).expect("it can be edited");
    assert_eq!(edited.text(), format!("{TABLE}\n\n[z]\n"));
}

#[test]
fn what_only_a_person_can_edit_is_refused() {
    for text in ["mcp_servers = { toolgate = { url = \"x\" } }\n", "mcp_servers.toolgate.url = \"x\"\n"] {
        let refused = read(text).with_entry("toolgate", &entry());
        assert!(matches!(refused, Err(ClientError::ByHand { .. })), "{text}");
        assert!(matches!(read(text).without_entry("toolgate", 0), Err(ClientError::ByHand { .. })), "{text}");
    }
}

#[test]
fn odd_names_and_texts_are_quoted() {
    let odd = json!({ "command": "C:\\tg \"x\"\u{7f}\n", "env": { "A B": "1" } });
    let edited = read("").with_entry("to.ol", &odd).expect("it can be edited");
    assert!(
        edited.text().starts_with("[mcp_servers.\"to.ol\"]\ncommand = \"C:\\\\tg \\\"x\\\"\\u007F\\n\"\n")
    );
    assert_eq!(edited.entry("to.ol"), Some(odd));
}
