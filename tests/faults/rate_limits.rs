//! Rate limits admit exactly what they say, however many ask at once, and say when there is room again.

use protocol::Era;
use serde_json::json;

use crate::client::{failure, text};
use crate::gateway::{Place, child};
use crate::limit::{USUAL, within};

#[test]
fn fifty_callers_at_once_get_exactly_the_limit() {
    within(USUAL, async {
        let place = Place::configured(json!({
            "servers": {"one": child(&[]), "free": child(&[])},
            "rate_limits": [{"servers": "one", "calls": 120, "per": "hour"}],
        }));
        let gateway = place.serve().await;
        gateway.ready().await;
        let mut callers = Vec::new();
        for number in 0..50 {
            let mut client = gateway.client(if number % 2 == 0 { Era::Modern } else { Era::Legacy }).await;
            callers.push(tokio::spawn(async move {
                let mut admitted = 0;
                for _ in 0..8 {
                    let answer = client.call("one__echo", json!({"text": "x"})).await;
                    match failure(&answer) {
                        "" => {
                            assert_eq!(text(&answer), "x");
                            admitted += 1;
                        }
                        code => {
                            assert_eq!(code, "RATE_LIMITED", "{answer}");
                            let details = &answer["result"]["structuredContent"];
                            assert_eq!(details["rule"], "rate_limits[0]");
                            assert_eq!(details["retryable"], true);
                            assert!(details["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0), "{answer}");
                        }
                    }
                }
                admitted
            }));
        }
        let mut admitted = 0;
        for caller in callers {
            admitted += caller.await.expect("every call is answered");
        }
        assert_eq!(admitted, 120);
        // Other servers are not counted, and what was refused is on record.
        let mut client = gateway.client(Era::Modern).await;
        assert_eq!(text(&client.call("free__echo", json!({"text": "x"})).await), "x");
        let refused = gateway.trail.ends().into_iter().filter(|end| end["code"] == "RATE_LIMITED").count();
        assert_eq!(refused, 50 * 8 - 120);
    });
}
