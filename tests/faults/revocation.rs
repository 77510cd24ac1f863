//! A caller loses its right while it has streams open and calls under way: all of it ends within seconds, however far
//! apart the signs of life are, and others notice nothing.

use protocol::Era;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::client::{Client, text};
use crate::gateway::{Gateway, Place, child};
use crate::limit::{USUAL, eventually, within};
use crate::wire::{Event, Events, Request, Wire};

/// Between signs of life: far beyond the length of a test, so that no stream ends by them.
const QUIET_MS: u64 = 600_000;
/// What a call that was cancelled is answered with, where it is.
const CANCELLED: i64 = -30_991;
/// The revision that has batches.
const WITH_BATCHES: &str = "2025-03-26";

/// A token that was created elsewhere, with its hash.
struct Created {
    token: String,
    hash: String,
}

impl Created {
    async fn new() -> Self {
        let elsewhere = Place::new(json!({}));
        let arguments = ["token", "create", "-o", "json", "--agent", "builder"];
        let output = elsewhere.command(&arguments).output().await.expect("the program");
        assert!(output.status.success(), "{output:?}");
        let created: Value = serde_json::from_slice(&output.stdout).expect("a token as JSON");
        let text = |name: &str| created[name].as_str().unwrap_or_else(|| panic!("no {name}")).to_owned();
        Self { token: text("token"), hash: text("hash") }
    }
}

fn place(tokens: Value) -> Place {
    let limits = json!({"sse_keep_alive_ms": QUIET_MS});
    Place::configured(json!({"servers": {"one": child(&[])}, "limits": limits, "tokens": tokens}))
}

async fn serve(place: &Place) -> Gateway {
    let gateway = place.serve().await;
    gateway.ready().await;
    gateway
}

/// Opens every kind of standing stream that there is.
async fn standing(gateway: &Gateway, token: &str) -> Vec<Events> {
    let door = gateway.door().with_token(token);
    let mut streams = Vec::new();
    for era in [Era::Legacy, Era::Modern] {
        streams.push(door.open(era).await.changes().await);
    }
    streams.push(old_stream(gateway, token).await.0);
    streams
}

/// Opens a stream of the older HTTP transport; returns it with the address of its messages.
async fn old_stream(gateway: &Gateway, token: &str) -> (Events, String) {
    let request = Request::plain("GET", "/sse").with("Accept", "text/event-stream").bearer(token);
    let mut events = Wire::connect(gateway.address).await.listen(&request).await;
    let Some(Event::Data(endpoint)) = events.next_block().await.expect("sound") else {
        panic!("the first event says where to post");
    };
    (events, endpoint)
}

/// Reads streams to their ends; nothing may come before.
async fn until_ended(streams: Vec<Events>) {
    for mut stream in streams {
        while let Some(block) = stream.next_block().await.expect("the stream is sound") {
            assert_eq!(block, Event::Comment);
        }
    }
}

/// Begins a call that its server does not answer; returns what becomes of it.
fn hang(mut client: Client) -> JoinHandle<Value> {
    let request = client.call_request("1", "one__hang", json!({}));
    tokio::spawn(async move { client.send(&request).await.messages().pop().expect("an answer") })
}

/// Opens a session of the revision that has batches; returns its client and a batch with such a call.
async fn hanging_batch(gateway: &Gateway, token: &str) -> (Client, Request) {
    let mut client = gateway.door().with_token(token).open(Era::Legacy).await;
    let opened = client.request("0", "initialize", opening()).without("Mcp-Session-Id");
    client.session = client.send(&opened).await.head.header("mcp-session-id").map(str::to_owned);
    let call = client.call_request("1", "one__hang", json!({})).set("MCP-Protocol-Version", WITH_BATCHES);
    let request = Request { body: [b"[", &*call.body, b"]"].concat(), ..call };
    (client, request)
}

fn opening() -> Value {
    let mut params = crate::client::initialize();
    params["protocolVersion"] = json!(WITH_BATCHES);
    params
}

/// Begins such a call in a batch.
async fn hang_in_batch(gateway: &Gateway, token: &str) -> JoinHandle<Value> {
    let (mut client, request) = hanging_batch(gateway, token).await;
    tokio::spawn(async move { client.send(&request).await.messages().pop().expect("an answer") })
}

/// Begins such a call on a stream of the older HTTP transport.
async fn hang_on_old_stream(gateway: &Gateway, token: &str) -> Events {
    let (events, endpoint) = old_stream(gateway, token).await;
    post_beside(gateway, token, &endpoint, &old_request("tools/call", hanging())).await;
    events
}

/// Begins such a call in a batch on such a stream.
async fn hang_in_batch_on_old_stream(gateway: &Gateway, token: &str) -> Events {
    let (mut events, endpoint) = old_stream(gateway, token).await;
    post_beside(gateway, token, &endpoint, &old_request("initialize", opening())).await;
    assert!(events.next().await.expect("an answer").get("result").is_some());
    post_beside(gateway, token, &endpoint, &json!([old_request("tools/call", hanging())])).await;
    events
}

fn hanging() -> Value {
    json!({"name": "one__hang", "arguments": {}})
}

fn old_request(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

/// Posts what the client of such a stream has to say.
async fn post_beside(gateway: &Gateway, token: &str, endpoint: &str, body: &Value) {
    let request = Request::post(body.to_string()).at(endpoint).bearer(token);
    assert_eq!(Wire::connect(gateway.address).await.ask(&request).await.head.status, 202);
}

/// Waits until so many calls are on record.
async fn until_begun(gateway: &Gateway, count: usize) {
    eventually(|| async { (gateway.trail.calls().len() >= count).then_some(()) }).await;
}

/// Waits until so many calls have ended; returns how.
async fn until_over(gateway: &Gateway, count: usize) -> Vec<Value> {
    eventually(|| async { Some(gateway.trail.ends()).filter(|ends| ends.len() >= count) }).await
}

/// Waits until nobody is connected: whatever still runs goes on without its client.
async fn until_alone(gateway: &Gateway) {
    eventually(|| async { (gateway.metric("toolgate_connections", "").await == 0.0).then_some(()) }).await;
}

async fn revoke(place: &Place, id: &str) {
    let revoked = place.command(&["token", "revoke", id]).output().await.expect("the program");
    assert!(revoked.status.success(), "{revoked:?}");
}

/// Replaces a text in the configuration, as an editor does: a new file is renamed over it.
fn replace(place: &Place, old: &str, new: &str) {
    let written = std::fs::read_to_string(place.file("toolgate.yaml")).expect("readable");
    let next = place.file("toolgate.yaml.next");
    std::fs::write(&next, written.replace(old, new)).expect("the folder can be written");
    std::fs::rename(next, place.file("toolgate.yaml")).expect("the file can be renamed");
}

#[test]
fn s27_streams_of_a_revoked_token_end_and_others_go_on() {
    within(USUAL, async {
        let place = place(json!([]));
        let (kept, _) = place.token(&["--agent", "kept"]).await;
        let (leaving, id) = place.token(&["--agent", "leaving"]).await;
        let gateway = serve(&place).await;
        let mut others = standing(&gateway, &kept).await;
        let streams = standing(&gateway, &leaving).await;
        revoke(&place, &id).await;
        until_ended(streams).await;
        // The last has no session, and so is told nothing.
        others.pop();
        let mut client = gateway.door().with_token(&kept).open(Era::Modern).await;
        client.call("one__relist", json!({"count": 1})).await;
        for mut stream in others {
            let told = stream.next().await.expect("it goes on");
            assert_eq!(told["method"], "notifications/tools/list_changed");
        }
    });
}

#[test]
fn streams_of_a_token_that_has_expired_end() {
    within(USUAL, async {
        let place = place(json!([]));
        // Long enough to open the streams on a busy machine.
        let (token, _) = place.token(&["--agent", "brief", "--expires", "15s"]).await;
        let gateway = serve(&place).await;
        until_ended(standing(&gateway, &token).await).await;
    });
}

#[test]
fn s27_calls_of_a_revoked_token_are_cancelled_and_others_go_on() {
    within(USUAL, async {
        let place = place(json!([]));
        let (kept, _) = place.token(&["--agent", "kept"]).await;
        let (leaving, id) = place.token(&["--agent", "leaving"]).await;
        let gateway = serve(&place).await;
        let door = gateway.door().with_token(&leaving);
        // The one has no response yet, the other is a stream already.
        let mut calls = vec![hang(door.open(Era::Modern).await), hang(door.open(Era::Legacy).await)];
        calls.push(hang_in_batch(&gateway, &leaving).await);
        let old = hang_on_old_stream(&gateway, &leaving).await;
        until_begun(&gateway, 4).await;
        let other = hang(gateway.door().with_token(&kept).open(Era::Legacy).await);
        until_begun(&gateway, 5).await;
        revoke(&place, &id).await;
        for call in calls {
            let answer = call.await.expect("it is answered");
            assert_eq!(answer["error"]["code"], CANCELLED, "{answer}");
        }
        until_ended(vec![old]).await;
        for end in until_over(&gateway, 4).await {
            assert_eq!((&end["agent_id"], &end["code"]), (&json!("leaving"), &json!("CANCELLED")), "{end}");
        }
        assert!(!other.is_finished(), "what others have running goes on");
        other.abort();
    });
}

#[test]
fn calls_of_a_revoked_token_whose_client_has_hung_up_are_cancelled() {
    within(USUAL, async {
        let place = place(json!([]));
        let (token, id) = place.token(&["--agent", "leaving"]).await;
        let gateway = serve(&place).await;
        let mut clients = Vec::new();
        for accepts in ["application/json", "application/json, text/event-stream"] {
            let (mut client, batch) = hanging_batch(&gateway, &token).await;
            let batch = batch.set("Accept", accepts).bytes(gateway.address);
            client.wire().send(&batch).await.expect("sent");
            clients.push(client);
        }
        let streams =
            [hang_on_old_stream(&gateway, &token).await, hang_in_batch_on_old_stream(&gateway, &token).await];
        until_begun(&gateway, 4).await;
        drop((clients, streams));
        until_alone(&gateway).await;
        assert!(gateway.trail.ends().is_empty(), "calls go on without their clients");
        revoke(&place, &id).await;
        for end in until_over(&gateway, 4).await {
            assert_eq!(end["code"], "CANCELLED", "{end}");
        }
    });
}

/// The operator keeps the token's name and gives it another secret.
#[test]
fn who_holds_the_old_secret_of_a_token_loses_its_streams() {
    within(USUAL, async {
        let (old, new) = (Created::new().await, Created::new().await);
        let place = place(json!([{"id": "ci", "hash": old.hash, "agent": "builder"}]));
        let gateway = serve(&place).await;
        let streams = standing(&gateway, &old.token).await;
        let call = hang(gateway.door().with_token(&old.token).open(Era::Legacy).await);
        until_begun(&gateway, 1).await;
        replace(&place, &old.hash, &new.hash);
        until_ended(streams).await;
        let answer = call.await.expect("it is answered");
        assert_eq!(answer["error"]["code"], CANCELLED, "{answer}");
        let mut client = gateway.door().with_token(&new.token).open(Era::Modern).await;
        assert_eq!(text(&client.call("one__echo", json!({"text": "new"})).await), "new");
        let (_, said) = gateway.stop().await;
        for Created { token, hash } in [old, new] {
            let digits = hash.trim_start_matches("sha256:");
            assert!(!said.contains(&token) && !said.contains(digits), "{said}");
        }
    });
}

#[test]
fn who_has_the_new_secret_of_a_token_goes_on_with_its_session() {
    within(USUAL, async {
        let (old, new) = (Created::new().await, Created::new().await);
        let place = place(json!([{"id": "ci", "hash": old.hash, "agent": "builder"}]));
        let gateway = serve(&place).await;
        let client = gateway.door().with_token(&old.token).open(Era::Legacy).await;
        let session = client.session.clone();
        let stream = client.changes().await;
        replace(&place, &old.hash, &new.hash);
        until_ended(vec![stream]).await;
        let mut caller = gateway.door().with_token(&new.token).open(Era::Modern).await;
        let mut client = gateway.door().with_token(&new.token).open(Era::Legacy).await;
        client.session = session;
        let mut stream = client.changes().await;
        caller.call("one__relist", json!({"count": 1})).await;
        let told = stream.next().await.expect("it goes on");
        assert_eq!(told["method"], "notifications/tools/list_changed");
    });
}

#[test]
fn a_stream_that_was_taken_up_again_ends_with_its_callers_right() {
    within(USUAL, async {
        let place = place(json!([]));
        let (token, id) = place.token(&["--agent", "leaving"]).await;
        let gateway = serve(&place).await;
        let client = gateway.door().with_token(&token).open(Era::Legacy).await;
        let get = client.changes_request();
        let call = client.call_request("1", "one__hang", json!({}));
        let mut stream = client.listen(&call).await;
        let last = stream.priming().await;
        drop(stream);
        let mut resumed = Wire::connect(gateway.address).await.listen(&get.with("Last-Event-ID", last)).await;
        assert_eq!(resumed.next_block().await.expect("sound"), Some(Event::Comment));
        revoke(&place, &id).await;
        while let Some(message) = resumed.next().await {
            assert_eq!(message["error"]["code"], CANCELLED, "{message}");
        }
        let ends = until_over(&gateway, 1).await;
        assert_eq!(ends[0]["code"], "CANCELLED", "the call went on without its client: {ends:?}");
    });
}
