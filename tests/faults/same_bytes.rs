//! Results are passed on byte for byte, whatever is in them and however they came.

use protocol::Era;
use serde_json::json;
use testkit::{FakeServer, Script, Speaks};

use crate::client::Client;
use crate::gateway::{Place, child, http};
use crate::limit::{USUAL, within};

/// What the gateway adds to a legacy server's result for a modern client, and takes from a modern one's for a legacy client.
const ADDED: &str = "\"resultType\":\"complete\",";

/// Builds a result of about a megabyte with everything that a reader and writer would change.
fn odd_result(era: Era) -> String {
    let mut odd = String::from(
        r#"{ "zebra":1.0,"content" :[{"type":"text","text":"a\u0041\/\ud83d\ude00é","x-vendor":{"b":1,"a":2}}],"#,
    );
    odd.push_str(r#""numbers":[1.0,1e2,1E+2,-0.0,-0,0.10,12345678901234567890123,-99999999999999999999999,1.7976931348623157e309,5e-324,1e400],"#);
    odd.push_str(r#""_meta":{"com.example/v":{"z":null,"a":[ ],"m":{ }},"com.example/v2":"\u2028\u0000","twice":1,"twice":2},"Content":"case","#);
    if era == Era::Modern {
        odd.push_str(r#""resultType":"complete","#);
    }
    odd.push_str("\"structuredContent\":{\"rows\":[");
    let mut row = 0;
    while odd.len() < 1_000_000 {
        if row > 0 {
            odd.push(',');
        }
        odd.push_str(&format!(r#"{{"z":{row}.0,"a":"\t\"{row}\"","k":[1.50,{row}e1]}}"#));
        row += 1;
    }
    odd.push_str("]},\"isError\" : false\t}");
    odd
}

/// Takes the result out of a message by its text, not by reading it.
fn result_of(message: &[u8]) -> &str {
    let text = std::str::from_utf8(message).expect("UTF-8").trim_end();
    let at =
        text.find("\"result\":").unwrap_or_else(|| panic!("no result: {text:.300}")) + "\"result\":".len();
    text[at..].strip_suffix('}').expect("the end of the message")
}

/// Returns the message in the body of an answer.
async fn message_over_http(
    client: &mut Client,
    tool: &str,
    arguments: serde_json::Value,
    accept: &str,
) -> Vec<u8> {
    let request = client.call_request("1", tool, arguments).set("Accept", accept);
    let response = client.send(&request).await;
    assert_eq!(response.head.status, 200, "{:?}", response.head);
    if response.head.header("content-type") == Some("text/event-stream") {
        let text = String::from_utf8(response.body).expect("UTF-8");
        let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        assert_eq!(data.len(), 1, "one event");
        return data[0].as_bytes().to_vec();
    }
    response.body
}

fn expected(upstream: Era, client: Era, odd: &str) -> Vec<String> {
    match (upstream, client) {
        (Era::Legacy, Era::Modern) => vec![format!("{{{ADDED}{}", &odd[1..])],
        // Taken out of a whole result; one that is passed on while it arrives keeps it.
        (Era::Modern, Era::Legacy) => vec![odd.to_owned(), odd.replacen(ADDED, "", 1)],
        _ => vec![odd.to_owned()],
    }
}

#[track_caller]
fn check(seen: &str, expected: &[String], what: &str) {
    if expected.iter().any(|expected| expected == seen) {
        return;
    }
    let wanted = &expected[0];
    let at = seen.bytes().zip(wanted.bytes()).take_while(|(a, b)| a == b).count();
    let around = |text: &str| {
        String::from_utf8_lossy(&text.as_bytes()[at.saturating_sub(40)..(at + 40).min(text.len())])
            .into_owned()
    };
    panic!(
        "{what}: {} bytes and not {}; at {at}: {:?} and not {:?}",
        seen.len(),
        wanted.len(),
        around(seen),
        around(wanted)
    );
}

#[test]
fn a_megabyte_of_oddities_is_the_same_bytes_at_both_ends() {
    within(USUAL, async {
        for upstream_era in [Era::Legacy, Era::Modern] {
            let odd = odd_result(upstream_era);
            let speaks = if upstream_era == Era::Legacy { Speaks::Legacy } else { Speaks::Modern };
            let mut script = Script::new(speaks);
            script.raw = odd.clone().into();
            let upstream = FakeServer::start(script).await;
            let word = if upstream_era == Era::Legacy { "legacy" } else { "modern" };
            let place = Place::new(
                json!({"web": http(&upstream), "pipe": child(&["--speaks", word, "--raw", "raw"])}),
            );
            std::fs::write(place.file("raw"), &odd).expect("the raw result");
            let gateway = place.serve().await;
            gateway.ready().await;
            let mut launched = place.launch();
            launched.initialize().await;
            let ways = [
                ("pipe__raw", "json", "first"),
                ("pipe__raw", "json", "last"),
                ("web__raw", "json", "first"),
                ("web__raw", "json", "last"),
                ("web__raw", "sse", "first"),
                ("web__raw", "sse", "last"),
            ];
            for client_era in [Era::Legacy, Era::Modern] {
                let expected = expected(upstream_era, client_era, &odd);
                let mut client = gateway.client(client_era).await;
                for (tool, framing, id) in ways {
                    let arguments = json!({"framing": framing, "id": id});
                    let what = format!("{upstream_era:?} {tool} {framing} id {id} to {client_era:?}");
                    for accept in
                        ["application/json", "text/event-stream", "application/json, text/event-stream"]
                    {
                        let message = message_over_http(&mut client, tool, arguments.clone(), accept).await;
                        check(result_of(&message), &expected, &format!("{what} over HTTP as {accept}"));
                    }
                    let params = json!({"name": tool, "arguments": arguments});
                    launched.begin(client_era, "tools/call", params).await;
                    let mut line = launched.line().await.expect("an answer");
                    while line.starts_with(br#"{"jsonrpc":"2.0","method""#) {
                        line = launched.line().await.expect("an answer");
                    }
                    check(result_of(&line), &expected, &format!("{what} over stdio"));
                }
            }
            assert!(launched.end().await.0.success());
        }
    });
}

#[test]
fn what_a_client_sends_arrives_as_it_was_sent() {
    within(USUAL, async {
        let arguments = r#"{ "z":1.0,"a":[1e2,-0.0,12345678901234567890123],"text":"\u0041\/é","n":{ } }"#;
        for speaks in [Speaks::Legacy, Speaks::Modern] {
            let upstream = FakeServer::start(Script::new(speaks)).await;
            let gateway = Place::new(json!({"one": http(&upstream)})).serve().await;
            gateway.ready().await;
            for era in [Era::Legacy, Era::Modern] {
                let mut client = gateway.client(era).await;
                let mut request = client.request(
                    "1",
                    "tools/call",
                    json!({"name": "one__echo", "arguments": "PLACE", "vendor": 1.5,
                    "_meta": {"com.example/x": "kept", "progressToken": "mine"}}),
                );
                request.body =
                    String::from_utf8(request.body).expect("JSON").replace("\"PLACE\"", arguments).into();
                assert_eq!(client.send(&request).await.head.status, 200);
                let body = upstream.seen().requests().pop().expect("a request").body;
                let body = String::from_utf8(body.to_vec()).expect("JSON");
                assert!(body.contains(arguments), "{speaks:?} {era:?}: {body}");
                assert!(
                    body.contains("\"vendor\":1.5") && body.contains("\"com.example/x\":\"kept\""),
                    "{body}"
                );
                assert!(body.contains("\"name\":\"echo\"") && !body.contains("one__echo"), "{body}");
            }
        }
    });
}
