//! More requests at once than may be in progress: refused at once, in a way that clients and proxies understand.

use protocol::Era;
use serde_json::json;

use crate::client::{failure, text};
use crate::gateway::{Gateway, Place, child};
use crate::limit::{USUAL, eventually, within};

const IN_FLIGHT: usize = 2;

/// Waits until so many calls are in progress.
async fn until_running(gateway: &Gateway, count: usize) {
    eventually(|| async {
        let running = gateway.metric("toolgate_calls_running", "").await;
        (running == count as f64).then_some(())
    })
    .await;
}

#[test]
fn r41_what_is_too_much_is_refused_at_once_and_told_when_to_come_back() {
    within(USUAL, async {
        let config = json!({"servers": {"one": child(&[])}, "limits": {"in_flight": IN_FLIGHT}});
        let gateway = Place::configured(config).serve().await;
        gateway.ready().await;
        let mut clients = [gateway.client(Era::Modern).await, gateway.client(Era::Legacy).await];
        let mut busy = Vec::new();
        for count in 1..=IN_FLIGHT {
            let mut client = gateway.client(Era::Modern).await;
            let hang = client.call_request("1", "one__hang", json!({})).bytes(gateway.address);
            client.wire().send(&hang).await.expect("sent");
            busy.push(client);
            until_running(&gateway, count).await;
        }

        // A legacy client could take 503 for the end of its session, and of every other call on it.
        for (client, status) in clients.iter_mut().zip([503, 200]) {
            let echo = client.call_request("7", "one__echo", json!({"text": "x"}));
            let response = client.send(&echo).await;
            assert_eq!(response.head.status, status, "{response:?}");
            assert_eq!(response.head.header("retry-after"), Some("1"));
            let answer = response.message();
            assert_eq!((&answer["id"], failure(&answer)), (&json!(7), "OVERLOADED"), "{answer}");
        }
        // Whoever is refused costs the others nothing, and finds a place when they have gone.
        drop(busy);
        until_running(&gateway, 0).await;
        for client in &mut clients {
            client.until_answered("one").await;
        }
        assert_eq!(text(&clients[0].call("one__echo", json!({"text": "x"})).await), "x");
    });
}
