//! Legacy streams that break and are taken up again: nothing is lost, nothing comes twice, and nobody gets what is
//! somebody else's.

use protocol::Era;
use serde_json::{Value, json};
use testkit::{FakeServer, Script, Speaks};

use crate::client::{Client, initialize, legacy, text};
use crate::gateway::{Gateway, Place, child, http};
use crate::limit::{USUAL, within};
use crate::wire::{Events, Request, Wire};

/// Progress that the call reports before it is answered.
const REPORTS: u64 = 5;

/// What servers' changes of their listings are told as.
const CHANGED: &str = "notifications/tools/list_changed";

/// What a client has of a stream.
#[derive(Debug, Default)]
struct Seen {
    last_id: String,
    /// The ids of all events with a message, in the order in which they came.
    ids: Vec<String>,
    messages: Vec<Value>,
}

impl Seen {
    /// Reads `count` more messages, or to the end of the stream if it comes before.
    async fn read(&mut self, events: &mut Events, count: usize) {
        for _ in 0..count {
            let Some((id, message)) = events.next_with_id().await else { return };
            if !id.is_empty() {
                self.last_id.clone_from(&id);
            }
            self.ids.push(id);
            self.messages.push(message);
        }
    }

    /// Checks that this is a whole call's stream: each report once, then the answer, under ids without a gap.
    fn check_whole(&self, place: &str) {
        let progress: Vec<u64> =
            self.messages.iter().filter_map(|message| message["params"]["progress"].as_u64()).collect();
        let expected: Vec<u64> = (1..=REPORTS).collect();
        assert_eq!(progress, expected, "{place}");
        assert_eq!(self.messages.len(), expected.len() + 1, "{place}: {self:?}");
        let answer = self.messages.last().expect("an answer");
        assert_eq!((text(answer), &answer["id"]), ("done", &json!("call")), "{place}");
        let ids: Vec<(&str, u64)> = self.ids.iter().map(|id| parts(id)).collect();
        let stream = ids[0].0;
        let expected: Vec<(&str, u64)> = (1..=REPORTS + 1).map(|number| (stream, number)).collect();
        assert_eq!(ids, expected, "{place}");
    }
}

/// Returns which stream an event's id names, and which of its events.
fn parts(id: &str) -> (&str, u64) {
    let (stream, number) = id.rsplit_once('-').unwrap_or_else(|| panic!("no event's id: {id:?}"));
    (stream, number.parse().expect("events are numbered"))
}

fn get(client: &Client) -> Request {
    Request::plain("GET", "/mcp")
        .with("Accept", "text/event-stream")
        .with("Mcp-Session-Id", client.session.clone().expect("a session"))
}

async fn resume(gateway: &Gateway, client: &Client, last_id: &str) -> Events {
    Wire::connect(gateway.address).await.listen(&get(client).with("Last-Event-ID", last_id)).await
}

fn reporting(client: &Client, tool: &str) -> Request {
    // Slow enough that no progress is left out.
    let arguments = json!({"count": REPORTS, "pause_ms": 40});
    let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": "p"}});
    client.request("\"call\"", "tools/call", params)
}

#[test]
fn a_call_cut_at_every_event_goes_on_without_loss_or_repetition() {
    within(USUAL, async {
        let upstream = FakeServer::start(Script::new(Speaks::Legacy)).await;
        let gateway = Place::new(json!({"one": http(&upstream), "two": child(&[])})).serve().await;
        gateway.ready().await;
        for tool in ["one__progress", "two__progress"] {
            let client = gateway.client(Era::Legacy).await;
            let mut whole = Seen::default();
            let request = reporting(&client, tool);
            whole.read(&mut client.listen(&request).await, usize::MAX).await;
            whole.check_whole(tool);
            for cut in 0..whole.messages.len() {
                let mut client = gateway.client(Era::Legacy).await;
                let request = reporting(&client, tool);
                let mut seen = Seen::default();
                let mut stream = Wire::connect(gateway.address).await.listen(&request).await;
                seen.last_id = stream.priming().await;
                seen.read(&mut stream, cut).await;
                drop(stream);
                while seen.messages.last().is_none_or(|message| message.get("result").is_none()) {
                    let mut stream = resume(&gateway, &client, &seen.last_id).await;
                    // Cut again after each event.
                    let before = seen.messages.len();
                    seen.read(&mut stream, 1).await;
                    assert!(seen.messages.len() > before, "{tool} {cut}: the stream ended: {seen:?}");
                }
                seen.check_whole(&format!("{tool}, cut after {cut}"));
                // Who has everything gets nothing more, and the session is as it was.
                let mut over = resume(&gateway, &client, &seen.last_id).await;
                assert_eq!(over.next().await, None);
                assert_eq!(client.ask("ping", json!({})).await["result"], json!({}));
            }
        }
        let (status, said) = gateway.stop().await;
        assert!(status.success(), "{said}");
    });
}

#[test]
fn a_call_goes_on_while_its_client_is_away_and_is_executed_once() {
    within(USUAL, async {
        let upstream = FakeServer::start(Script::new(Speaks::Legacy)).await;
        let place = Place::configured(json!({
            "servers": {"one": http(&upstream)},
            "limits": {"sse_keep_alive_ms": 100},
        }));
        let gateway = place.serve().await;
        gateway.ready().await;
        let mut client = gateway.client(Era::Legacy).await;
        let request =
            client.call_request("1", "one__write", json!({"mark": "x", "text": "x", "delay_ms": 600}));
        let mut stream = Wire::connect(gateway.address).await.listen(&request).await;
        let id = stream.priming().await;
        drop(stream);
        // The end of the call is heard of elsewhere.
        upstream.seen().until(|seen| seen.marks().len() == 1).await;
        gateway.until_server("one", |server| server["in_flight"] == 0).await;
        let answer = resume(&gateway, &client, &id).await.next().await.expect("the answer is kept");
        assert_eq!((text(&answer), &answer["id"]), ("x", &json!(1)));
        assert_eq!(upstream.seen().marks().len(), 1, "executed once");
        assert_eq!(client.ask("ping", json!({})).await["result"], json!({}));
    });
}

#[test]
fn two_standing_streams_get_no_message_twice() {
    within(USUAL, async {
        let gateway = Place::new(json!({"one": child(&[])})).serve().await;
        gateway.ready().await;
        let mut client = gateway.client(Era::Legacy).await;
        let mut older = Wire::connect(gateway.address).await.listen(&get(&client)).await;
        let older_id = older.priming().await;
        let mut newer = Wire::connect(gateway.address).await.listen(&get(&client)).await;
        assert_ne!(newer.priming().await, older_id);
        for _ in 0..2 {
            client.call("one__relist", json!({})).await;
            assert_eq!(newer.next().await.expect("the newest is told")["method"], CHANGED);
        }
        let mut delete = get(&client);
        delete.verb = "DELETE";
        assert_eq!(client.send(&delete).await.head.status, 204);
        assert_eq!((older.next().await, newer.next().await), (None, None), "both ended, and that was all");
    });
}

#[test]
fn a_standing_stream_that_is_cut_loses_nothing_and_the_older_one_steps_in() {
    within(USUAL, async {
        let gateway = Place::new(json!({"one": child(&[])})).serve().await;
        gateway.ready().await;
        let mut client = gateway.client(Era::Legacy).await;
        let mut stream = Wire::connect(gateway.address).await.listen(&get(&client)).await;
        let opened = stream.priming().await;
        client.call("one__relist", json!({})).await;
        let (told, message) = stream.next_with_id().await.expect("it is told");
        assert_eq!(message["method"], CHANGED);
        drop(stream);
        // Behind what its client has, it is the same again.
        let mut again = resume(&gateway, &client, &opened).await;
        assert_eq!(again.next_with_id().await.expect("it is kept"), (told.clone(), message));
        drop(again);
        // What changes while nobody listens is told to the one that comes back.
        client.call("one__relist", json!({})).await;
        let mut back = resume(&gateway, &client, &told).await;
        let (next, message) = back.next_with_id().await.expect("it hears what it missed");
        assert_eq!(message["method"], CHANGED);
        let (stream, number) = parts(&told);
        assert_eq!(parts(&next), (stream, number + 1), "it is the next, and none is left out");
        // A newer stream is told while it is there, the older one afterwards.
        let mut newer = Wire::connect(gateway.address).await.listen(&get(&client)).await;
        newer.priming().await;
        client.call("one__relist", json!({})).await;
        assert_eq!(newer.next().await.expect("the newest is told")["method"], CHANGED);
        drop(newer);
        client.call("one__relist", json!({})).await;
        assert_eq!(back.next().await.expect("it is the newest again")["method"], CHANGED);
    });
}

#[test]
fn ids_of_other_sessions_and_ids_that_mean_nothing_give_nothing() {
    within(USUAL, async {
        let upstream = FakeServer::start(Script::new(Speaks::Legacy)).await;
        let gateway = Place::new(json!({"one": http(&upstream)})).serve().await;
        gateway.ready().await;
        let (own, other) = (gateway.client(Era::Legacy).await, gateway.client(Era::Legacy).await);
        let mut stream = Wire::connect(gateway.address).await.listen(&reporting(&own, "one__progress")).await;
        let id = stream.priming().await;
        let mut seen = Seen::default();
        seen.read(&mut stream, usize::MAX).await;
        assert!(seen.messages.len() > 1);
        for foreign in [&*id, &*seen.last_id, "c99-1", "c1-99"] {
            let mut nothing = resume(&gateway, &other, foreign).await;
            assert_eq!(nothing.next().await, None, "{foreign}");
        }
        // In place of a standing stream that is not known a new one begins.
        for foreign in ["s99-1", "x", "", "c1", "%00"] {
            let mut fresh = resume(&gateway, &other, foreign).await;
            let first = fresh.priming().await;
            assert!(first.starts_with('s') && first.ends_with("-0"), "{foreign:?}: {first}");
        }
    });
}

#[test]
fn a_stream_ends_when_its_session_does() {
    within(USUAL, async {
        let gateway = Place::new(json!({"one": child(&[])})).serve().await;
        gateway.ready().await;
        let mut client = gateway.client(Era::Legacy).await;
        let mut stream = Wire::connect(gateway.address).await.listen(&get(&client)).await;
        stream.priming().await;
        let mut delete = get(&client);
        delete.verb = "DELETE";
        assert_eq!(client.send(&delete).await.head.status, 204);
        assert_eq!(stream.next().await, None);
        assert_eq!(client.send(&get(&client)).await.head.status, 404);
    });
}

#[test]
fn a_stream_ends_when_its_token_is_revoked() {
    within(USUAL, async {
        let place = Place::configured(json!({
            "servers": {"one": child(&[])},
            "limits": {"sse_keep_alive_ms": 100},
        }));
        let (token, id) = place.token(&["--agent", "ada"]).await;
        let gateway = place.serve().await;
        gateway.ready().await;
        let client = gateway.door().with_token(&token).open(Era::Legacy).await;
        let mut stream = client.changes().await;
        stream.next_block().await.expect("sound").expect("it stands");
        let revoked = place.command(&["token", "revoke", &id]).output().await.expect("the program starts");
        assert!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
        assert_eq!(stream.next().await, None);
    });
}

#[test]
fn older_revisions_have_ids_and_no_event_without_data() {
    within(USUAL, async {
        let upstream = FakeServer::start(Script::new(Speaks::Legacy)).await;
        let gateway = Place::new(json!({"one": http(&upstream)})).serve().await;
        gateway.ready().await;
        let mut streams = Vec::new();
        for version in ["2025-03-26", "2025-06-18"] {
            let mut client = gateway.client(Era::Legacy).await;
            let mut opening = initialize();
            opening["protocolVersion"] = json!(version);
            let opened = client.send(&legacy("0", "initialize", &opening)).await;
            assert_eq!(opened.message()["result"]["protocolVersion"], version);
            client.session = opened.head.header("mcp-session-id").map(str::to_owned);
            let mut stream =
                Wire::connect(gateway.address).await.listen(&reporting(&client, "one__progress")).await;
            let (first, _) = stream.next_with_id().await.expect("progress");
            let (name, number) = parts(&first);
            assert_eq!(number, 1);
            streams.push(name.to_owned());
            drop(stream);
            let mut seen = Seen::default();
            seen.read(&mut resume(&gateway, &client, &first).await, usize::MAX).await;
            assert_eq!(seen.messages.last().map(text), Some("done"), "{version}");
        }
        assert_ne!(streams[0], streams[1], "the first streams of two sessions");
    });
}

#[test]
fn who_takes_only_events_can_come_back_for_a_single_answer() {
    within(USUAL, async {
        let gateway = Place::new(json!({"one": child(&[])})).serve().await;
        gateway.ready().await;
        let client = gateway.client(Era::Legacy).await;
        let request =
            client.call_request("1", "one__echo", json!({"text": "x"})).set("Accept", "text/event-stream");
        let mut stream = Wire::connect(gateway.address).await.listen(&request).await;
        let before = stream.priming().await;
        let (id, answer) = stream.next_with_id().await.expect("an answer");
        assert_eq!(text(&answer), "x");
        let mut again = resume(&gateway, &client, &before).await;
        assert_eq!(again.next_with_id().await, Some((id, answer)));
        assert_eq!(again.next().await, None);
    });
}

#[test]
fn a_large_answer_that_broke_is_sent_again_while_it_fits_and_else_is_an_error() {
    within(USUAL, async {
        let upstream = FakeServer::start(Script::new(Speaks::Legacy)).await;
        let gateway = Place::new(json!({"one": http(&upstream)})).serve().await;
        gateway.ready().await;
        for (size, fits) in [(150_000, true), (2_000_000, false)] {
            let client = gateway.client(Era::Legacy).await;
            let request = client.call_request("1", "one__bytes", json!({"size": size, "framing": "chunked"}));
            let mut stream = Wire::connect(gateway.address)
                .await
                .listen(&request.set("Accept", "text/event-stream"))
                .await;
            let before = stream.priming().await;
            stream.next().await.expect("all of it");
            drop(stream);
            let answer = resume(&gateway, &client, &before).await.next().await.expect("an answer");
            assert_eq!(answer["id"], 1);
            if fits {
                assert!(text(&answer).len() > size - 200);
            } else {
                assert_eq!(answer["error"]["code"], -32603, "{answer}");
            }
        }
    });
}
