//! How the gateway stops: in order when it is asked, at once when it is asked twice, and never with a torn trail.

use std::time::{Duration, Instant};

use protocol::Era;
use rustix::process::Signal;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::client::{Client, failure, outcome, text};
use crate::gateway::{Gateway, Place, child};
use crate::limit::{USUAL, eventually, scaled, soon, within};
use crate::pipe::Pipe;
use crate::process;
use crate::wire::{Request, Response, Wire};

/// Scaled down from 10 s with calls of 0 to 20 s.
const GRACE: Duration = Duration::from_secs(6);
/// A grace that nobody may wait out.
const LONG_GRACE: Duration = Duration::from_secs(30);
/// What takes no time may take this long on a busy machine; it is far less than `LONG_GRACE`.
const AT_ONCE: Duration = Duration::from_secs(10);
/// How much later than it would by itself a call may end on a busy machine.
const LATE: Duration = Duration::from_secs(2);

fn place(grace: Duration) -> Place {
    let servers = json!({"one": child(&["--pids", "pids"])});
    Place::configured(json!({"servers": servers, "shutdown_grace_ms": grace.as_millis()}))
}

async fn calls_running(gateway: &Gateway, count: usize) {
    eventually(|| async {
        (gateway.metric("toolgate_calls_running", "").await as usize == count).then_some(())
    })
    .await;
}

#[test]
fn r21_calls_that_end_within_the_grace_succeed_and_the_others_are_told() {
    within(USUAL, async {
        let place = place(GRACE);
        let mut gateway = place.serve().await;
        gateway.ready().await;
        // Scaled down from 200.
        let count = scaled(80);
        let calls = calls_of_different_lengths(&gateway, count).await;
        calls_running(&gateway, count).await;
        let term = Instant::now();
        gateway.signal(Signal::TERM);
        // Nothing new is taken: the port is closed, or says that it is stopping.
        soon("new connections are refused", GRACE / 2, || {
            std::net::TcpStream::connect(gateway.address).is_err()
        })
        .await;
        let over = term + GRACE;
        let (mut whole, mut told) = (0, 0);
        for (due, call) in calls {
            let (response, answered) = call.await.expect("the task ends");
            let answer = response.unwrap_or_else(|error| panic!("an answer is due, not {error}")).message();
            if failure(&answer).is_empty() {
                assert_eq!(text(&answer), "x");
                whole += 1;
            } else {
                assert_eq!((failure(&answer), outcome(&answer)), ("SHUTTING_DOWN", "unknown"), "{answer}");
                assert!(answered >= over, "it was told before the grace was over: {:?}", over - answered);
                assert!(due + LATE > over, "it would have ended in time: {:?}", over - due);
                told += 1;
            }
        }
        assert!(whole > count / 4 && told > count / 4, "{whole} ended, {told} were told");
        let status = gateway.ended().await;
        assert!(status.success(), "{status:?}");
        // The longest call would have ended later.
        assert!(term.elapsed() < GRACE * 5 / 3, "{:?}", term.elapsed());
        let trail = gateway.trail.clone();
        assert_eq!(trail.verify().await["open_calls"], 0);
        assert_eq!(trail.ends().len(), count);
        assert_eq!(trail.ends().iter().filter(|end| end["outcome"] == "unknown").count(), told);
    });
}

/// A call: when it is due, and its answer with the time at which it came.
type Answering = (Instant, JoinHandle<(std::io::Result<Response>, Instant)>);

/// Begins calls that take from half a grace, which is time for all of them to begin, to almost two.
async fn calls_of_different_lengths(gateway: &Gateway, count: usize) -> Vec<Answering> {
    let mut clients = Vec::new();
    for number in 0..count {
        clients.push(gateway.client(if number % 2 == 0 { Era::Legacy } else { Era::Modern }).await);
    }
    let begin = |(number, mut client): (usize, Client)| {
        let delay = GRACE / 2 + GRACE.mul_f64(4.0 / 3.0 * number as f64 / count as f64);
        let arguments = json!({"text": "x", "delay_ms": delay.as_millis() as u64});
        let request = client.call_request("1", "one__echo", arguments);
        let answering = async move {
            let response = client.wire().try_ask(&request).await;
            (response, Instant::now())
        };
        (Instant::now() + delay, tokio::spawn(answering))
    };
    clients.into_iter().enumerate().map(begin).collect()
}

#[test]
fn r21_a_connection_that_was_open_hears_that_the_gateway_stops() {
    within(USUAL, async {
        let place = place(LONG_GRACE);
        let gateway = place.serve().await;
        gateway.ready().await;
        let mut waiting = gateway.client(Era::Modern).await;
        let call = waiting.call_request("1", "one__echo", json!({"text": "x", "delay_ms": 4_000}));
        let stopping = async {
            calls_running(&gateway, 1).await;
            let ready = Request::plain("GET", "/ready");
            let mut open = Wire::connect(gateway.address).await;
            assert_eq!(open.ask(&ready).await.head.status, 200);
            gateway.signal(Signal::TERM);
            // An idle connection is closed, or answered with 503 until then; not with 200 for as long as a call runs.
            loop {
                match open.try_ask(&ready).await {
                    Ok(response) if response.head.status == 200 => {}
                    Ok(response) => break assert_eq!(response.head.status, 503),
                    Err(_) => break,
                }
            }
            Instant::now()
        };
        let waiting = async { (waiting.send(&call).await, Instant::now()) };
        let ((response, answered), heard) = tokio::join!(waiting, stopping);
        assert_eq!(text(&response.message()), "x");
        assert!(heard < answered, "it heard of it {:?} after the end of the call", heard - answered);
    });
}

#[test]
fn r21_open_streams_do_not_hold_up_the_end() {
    within(USUAL, async {
        let place = place(LONG_GRACE);
        let mut gateway = place.serve().await;
        gateway.ready().await;
        let mut streams = Vec::new();
        for era in [Era::Legacy, Era::Modern, Era::Legacy, Era::Modern] {
            streams.push(gateway.client(era).await.changes().await);
        }
        let started = Instant::now();
        gateway.signal(Signal::TERM);
        assert!(gateway.ended().await.success());
        assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
        for stream in &mut streams {
            // An orderly end of the stream, not a reset.
            while let Some(block) = stream.next_block().await.expect("no reset") {
                drop(block);
            }
        }
    });
}

#[test]
fn r23_a_second_signal_ends_the_gateway_at_once_and_leaves_nothing() {
    within(2 * USUAL, async {
        for (first, second) in
            [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::INT), (Signal::TERM, Signal::INT)]
        {
            let place = place(LONG_GRACE);
            let mut gateway = place.serve().await;
            gateway.ready().await;
            let mut client = gateway.client(Era::Legacy).await;
            let request = client.call_request("1", "one__hang", json!({}));
            client.wire().send(&request.bytes(gateway.address)).await.expect("sent");
            calls_running(&gateway, 1).await;
            let below = process::descendants(gateway.pid());
            gateway.signal(first);
            soon("it is stopping", AT_ONCE, || std::net::TcpStream::connect(gateway.address).is_err()).await;
            let started = Instant::now();
            gateway.signal(second);
            let status = gateway.ended().await;
            assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
            assert!(!status.success(), "an end without the grace is no success: {status:?}");
            soon("no child is left", AT_ONCE, || below.iter().all(|child| !process::runs(child.pid))).await;
            let report = gateway.trail.verify().await;
            assert_eq!(report["calls"], 1, "{report}");
        }
    });
}

#[test]
fn r23_a_hangup_ends_nothing_and_an_interrupt_stops_in_order() {
    within(USUAL, async {
        let place = place(GRACE);
        let mut gateway = place.serve().await;
        gateway.ready().await;
        let mut client = gateway.client(Era::Modern).await;
        for signal in [Signal::HUP, Signal::PIPE, Signal::HUP] {
            gateway.signal(signal);
            assert_eq!(text(&client.call("one__echo", json!({"text": "still"})).await), "still");
        }
        gateway.signal(Signal::INT);
        assert!(gateway.ended().await.success());
        assert_eq!(gateway.trail.verify().await["open_calls"], 0);
    });
}

#[test]
fn r23_a_quit_leaves_no_torn_trail_and_no_process() {
    within(USUAL, async {
        let place = place(GRACE);
        let mut gateway = place.serve().await;
        gateway.ready().await;
        let mut client = gateway.client(Era::Modern).await;
        client.call("one__echo", json!({"text": "x"})).await;
        let below = process::descendants(gateway.pid());
        gateway.signal(Signal::QUIT);
        gateway.ended().await;
        soon("no child is left", AT_ONCE, || below.iter().all(|child| !process::runs(child.pid))).await;
        assert_eq!(place.trail().verify().await["calls"], 1);
        let restarted = place.serve().await;
        assert!(restarted.stop().await.0.success());
    });
}

#[test]
fn r23_a_client_that_closes_its_pipes_ends_a_launched_gateway() {
    within(USUAL, async {
        // The input is closed: calls in flight are finished first.
        let place = place(GRACE);
        let mut pipe = place.launch();
        let id = pipe
            .begin(
                Era::Modern,
                "tools/call",
                json!({"name": "one__echo", "arguments": {"text": "last", "delay_ms": 300}}),
            )
            .await;
        pipe.close();
        assert_eq!(text(&pipe.answer(&id).await), "last");
        let (status, said) = pipe.end().await;
        assert!(status.success(), "{said}");
        // The output is closed: nobody hears, so it ends, without a panic.
        let mut pipe = place.launch();
        pipe.ask(Era::Modern, "tools/list", json!({})).await;
        pipe.close_output();
        for _ in 0..3 {
            if pipe
                .try_begin(
                    Era::Modern,
                    "tools/call",
                    json!({"name": "one__echo", "arguments": {"text": "x"}}),
                )
                .await
                .is_err()
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (_, said) = pipe.end().await;
        assert!(!said.contains("panicked"), "{said}");
        // SIGTERM while the client is there.
        let mut pipe = place.launch();
        pipe.ask(Era::Modern, "tools/list", json!({})).await;
        pipe.signal(Signal::TERM);
        let (status, said) = pipe.ended().await;
        assert!(status.success(), "{said}");
        let pids = std::fs::read_to_string(place.file("pids")).expect("pids");
        for pid in pids.lines().filter_map(|line| line.parse().ok()) {
            assert!(!process::runs(pid), "{pid} is left");
        }
        assert_eq!(place.trail().verify().await["open_calls"], 0);
    });
}

/// Launches a gateway and makes a call of each era, legacy first; returns their ids once both are in the trail.
async fn launched_with_calls(place: &Place, tool: &str, arguments: serde_json::Value) -> (Pipe, Vec<String>) {
    let mut pipe = place.launch();
    pipe.initialize().await;
    let mut ids = Vec::new();
    for era in [Era::Legacy, Era::Modern] {
        ids.push(pipe.begin(era, "tools/call", json!({"name": tool, "arguments": arguments})).await);
    }
    eventually(|| async {
        let begun = place.trail().calls().values().filter(|call| call.begin.is_some()).count();
        (begun == 2).then_some(())
    })
    .await;
    (pipe, ids)
}

/// Reads an answer for each id, in whichever order they come.
async fn answers(pipe: &mut Pipe, ids: &[String]) -> Vec<serde_json::Value> {
    let mut answers = Vec::new();
    while answers.len() < ids.len() {
        let message = pipe.message().await;
        if message.get("method").is_none() {
            assert!(ids.contains(&message["id"].to_string()), "{message}");
            answers.push(message);
        }
    }
    answers
}

#[test]
fn r21_a_launched_gateway_finishes_the_calls_that_end_within_the_grace() {
    within(USUAL, async {
        let place = place(LONG_GRACE);
        let delayed = json!({"text": "in time", "delay_ms": 1_500});
        let (mut pipe, ids) = launched_with_calls(&place, "one__echo", delayed).await;
        let term = Instant::now();
        pipe.signal(Signal::TERM);
        for answer in answers(&mut pipe, &ids).await {
            assert_eq!(text(&answer), "in time");
        }
        assert_eq!(pipe.line().await, None, "each is answered once");
        // The client's side is still open: a read that waits for it holds up nothing, and no call is left to wait for.
        let (status, said) = pipe.ended().await;
        assert!(status.success(), "{status:?}: {said}");
        assert!(term.elapsed() < AT_ONCE * 2, "{:?}", term.elapsed());
        let trail = place.trail();
        assert_eq!(trail.verify().await["open_calls"], 0);
        assert_eq!(trail.ends().iter().filter(|end| end["outcome"] == "ok").count(), 2, "{:?}", trail.ends());
    });
}

#[test]
fn r21_a_launched_gateway_tells_the_calls_that_do_not_end_within_the_grace() {
    within(USUAL, async {
        let place = place(Duration::from_millis(500));
        let (mut pipe, ids) = launched_with_calls(&place, "one__hang", json!({})).await;
        pipe.signal(Signal::TERM);
        for answer in answers(&mut pipe, &ids).await {
            assert_eq!((failure(&answer), outcome(&answer)), ("SHUTTING_DOWN", "unknown"), "{answer}");
        }
        assert_eq!(pipe.line().await, None, "each is answered once");
        let (status, said) = pipe.ended().await;
        assert!(status.success(), "{status:?}: {said}");
        let trail = place.trail();
        assert_eq!(trail.verify().await["open_calls"], 0);
        assert_eq!(trail.ends().iter().filter(|end| end["outcome"] == "unknown").count(), 2);
    });
}

#[test]
fn r21_a_launched_gateway_ends_its_subscriptions_when_it_stops() {
    within(USUAL, async {
        let place = place(LONG_GRACE);
        let mut pipe = place.launch();
        pipe.initialize().await;
        let wanted = json!({"notifications": {"toolsListChanged": true}});
        let id = pipe.begin(Era::Modern, "subscriptions/listen", wanted).await;
        while pipe.message().await["method"] != "notifications/subscriptions/acknowledged" {}
        let term = Instant::now();
        pipe.signal(Signal::TERM);
        assert_eq!(pipe.answer(&id).await["result"]["resultType"], "complete");
        let (status, said) = pipe.ended().await;
        assert!(status.success(), "{status:?}: {said}");
        assert!(term.elapsed() < AT_ONCE * 2, "{:?}", term.elapsed());
    });
}
