//! Every request has one answer, every answer its request, and the books agree: audit, metrics, clients.

use std::time::Duration;

use protocol::Era;
use serde_json::{Value, json};
use testkit::{FakeServer, Script, Speaks};

use crate::client::{Client, failure, text};
use crate::gateway::{Gateway, Place, child, http};
use crate::limit::{eventually, scaled, within};

/// Scaled down from a million.
const CALLS: usize = 20_000;
/// Scaled down from 200; each keeps several requests in flight.
const CLIENTS: usize = 20;
/// Scaled down from 50.
const CHILDREN: usize = 6;

/// What came of a client's calls.
#[derive(Debug, Default)]
struct Tally {
    results: usize,
    tool_errors: usize,
    server_errors: usize,
    unknown_tools: usize,
    lost: usize,
}

impl Tally {
    /// Judges the answer to a call of `tool` that carried `mark`, and counts it.
    fn take(&mut self, tool: &str, mark: &str, answer: &Value) {
        match tool {
            "error" => {
                assert_eq!(
                    (&answer["error"]["code"], &answer["error"]["message"]),
                    (&json!(-32050), &json!(mark))
                );
                self.server_errors += 1;
            }
            "no_such_tool" => {
                assert_eq!(answer["error"]["code"], -32602, "{answer}");
                self.unknown_tools += 1;
            }
            _ if !failure(answer).is_empty() => self.lost += 1,
            "fail" => {
                assert_eq!((text(answer), &answer["result"]["isError"]), (mark, &json!(true)));
                self.tool_errors += 1;
            }
            _ => {
                assert_eq!(text(answer), mark);
                self.results += 1;
            }
        }
    }

    fn add(&mut self, other: &Self) {
        self.results += other.results;
        self.tool_errors += other.tool_errors;
        self.server_errors += other.server_errors;
        self.unknown_tools += other.unknown_tools;
        self.lost += other.lost;
    }

    /// How many calls have which outcome in the books.
    fn outcomes(&self) -> [(&'static str, usize); 3] {
        [
            ("ok", self.results),
            ("tool_error", self.tool_errors),
            ("error", self.server_errors + self.unknown_tools),
        ]
    }
}

/// Two servers over HTTP and the children, half of each era.
fn servers(web: &[FakeServer; 2]) -> Value {
    let mut servers = json!({"web0": http(&web[0]), "web1": http(&web[1])});
    for number in 0..CHILDREN {
        let era = if number % 2 == 0 { "legacy" } else { "modern" };
        servers[format!("child{number}")] = child(&["--speaks", era]);
    }
    servers
}

/// The tool of a client's call, and its arguments.
fn task(call: usize, mark: &str) -> (&'static str, Value) {
    match call % 20 {
        3 => ("error", json!({"code": -32050, "message": mark})),
        7 => ("fail", json!({"text": mark})),
        11 => ("twice", json!({"text": mark})),
        13 => ("no_such_tool", json!({"text": mark})),
        17 => ("echo", json!({"text": mark, "delay_ms": call % 7})),
        _ => ("echo", json!({"text": mark})),
    }
}

/// Makes the calls of the client with this number, one after the other.
async fn converse(mut client: Client, number: usize, calls: usize) -> Tally {
    let mut tally = Tally::default();
    for call in 0..calls {
        let server = match (call + number) % (CHILDREN + 2) {
            web if web < 2 => format!("web{web}"),
            child => format!("child{}", child - 2),
        };
        // Ids collide between clients, and between the number and the text that looks like it.
        let id = if call % 2 == 0 { (call / 2).to_string() } else { format!("\"{}\"", call / 2) };
        let mark = format!("{number}/{call}");
        let (tool, arguments) = task(call, &mark);
        let request = client.call_request(&id, &format!("{server}__{tool}"), arguments);
        let messages = client.send(&request).await.messages();
        assert_eq!(messages.len(), 1, "{messages:?}");
        let answer = &messages[0];
        assert_eq!(answer["id"].to_string(), id, "{answer}");
        tally.take(tool, &mark, answer);
    }
    tally
}

/// Has all clients make their calls at once.
async fn converse_all(gateway: &Gateway, each: usize) -> Tally {
    let mut tasks = Vec::new();
    for number in 0..CLIENTS {
        let era = if number % 2 == 0 { Era::Legacy } else { Era::Modern };
        let client = gateway.client(era).await;
        tasks.push(tokio::spawn(converse(client, number, each)));
    }
    let mut total = Tally::default();
    for task in tasks {
        total.add(&task.await.expect("no answer went astray"));
    }
    total
}

#[test]
fn r56_requests_and_answers_are_one_to_one_and_the_books_agree() {
    within(Duration::from_secs(170), async {
        let web = [
            FakeServer::start(Script::new(Speaks::Legacy)).await,
            FakeServer::start(Script::new(Speaks::Modern)).await,
        ];
        let place = Place::new(servers(&web));
        let gateway = place.serve().await;
        gateway.ready().await;
        let each = scaled(CALLS).div_ceil(CLIENTS);
        let total = converse_all(&gateway, each).await;
        let calls = each * CLIENTS;
        assert_eq!(total.lost, 0, "{total:?}");
        // A call is counted when it is over, which may be a moment after its answer.
        let running = async || gateway.metric("toolgate_calls_running", "").await as usize;
        eventually(async || (running().await == 0).then_some(())).await;
        for (outcome, count) in total.outcomes() {
            let counted = gateway.metric("toolgate_calls_total", &format!("\"{outcome}\"")).await;
            assert_eq!(counted as usize, count, "{outcome}: {total:?}");
        }
        assert_eq!(gateway.metric("toolgate_call_seconds_count", "").await as usize, calls);
        assert_eq!(running().await, 0);
        let trail = gateway.trail.clone();
        gateway.stop().await;
        let recorded = trail.calls();
        assert_eq!(recorded.len(), calls);
        assert!(recorded.values().all(|call| call.begin.is_some() && call.end.is_some()));
        for (outcome, count) in total.outcomes() {
            let counted = trail.ends().iter().filter(|end| end["outcome"] == outcome).count();
            assert_eq!(counted, count, "{outcome}");
        }
        assert_eq!(trail.verify().await["open_calls"], 0);
    });
}
