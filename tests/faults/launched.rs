//! What the stdio door refuses before it is a call: more than may run at once, and modern requests that do not say who
//! asks. How it stops is in `shutdown`, what it cannot parse in `bad_input`.

use std::time::Duration;

use protocol::{Era, Version, code, meta};
use serde_json::{Value, json};
use testkit::{FakeServer, Script, Speaks};

use crate::client::{failure, text};
use crate::gateway::{Place, child, http};
use crate::limit::{USUAL, eventually, within};

/// Far more requests than two pipes and the queues between them hold.
const MORE_THAN_FITS: usize = 20_000;
/// A write that takes longer waits for the gateway to read.
const STUCK: Duration = Duration::from_secs(2);

#[test]
fn a_client_that_does_not_read_is_not_read_from_beyond_the_bound() {
    within(USUAL, async {
        let servers = json!({"one": child(&[])});
        let place = Place::configured(json!({"servers": servers, "limits": {"in_flight": 1}}));
        let mut pipe = place.launch();
        pipe.initialize().await;
        // From here on the only place is taken.
        pipe.begin(Era::Legacy, "tools/call", json!({"name": "one__hang", "arguments": {}})).await;
        eventually(|| async { (!place.trail().calls().is_empty()).then_some(()) }).await;
        let mut written = 0;
        while written < MORE_THAN_FITS {
            let era = if written % 2 == 0 { Era::Legacy } else { Era::Modern };
            let call = json!({"name": "one__echo", "arguments": {"text": "x"}});
            match tokio::time::timeout(STUCK, pipe.try_begin(era, "tools/call", call)).await {
                Ok(sent) => sent.expect("the gateway lives"),
                Err(_) => break,
            }
            written += 1;
        }
        assert!(written < MORE_THAN_FITS, "the gateway takes requests whose answers nobody reads");
        for at in 0..written {
            let mut answer = pipe.message().await;
            // The upstream's listing may have come in the meantime.
            while answer.get("method").is_some() {
                answer = pipe.message().await;
            }
            assert_eq!(failure(&answer), "OVERLOADED", "{answer}");
            let result_type = &answer["result"]["resultType"];
            assert_eq!(*result_type == "complete", at % 2 == 1, "the form of the client's era: {answer}");
        }
    });
}

#[test]
fn a_modern_request_on_the_pipe_says_who_asks() {
    within(USUAL, async {
        let mut pipe = Place::new(json!({"one": child(&[])})).launch();
        pipe.initialize().await;
        let version = json!(Version::LATEST_MODERN.as_str());
        let refused = [
            (json!({meta::PROTOCOL_VERSION: version}), meta::CLIENT_CAPABILITIES),
            (
                json!({meta::PROTOCOL_VERSION: version, meta::CLIENT_CAPABILITIES: []}),
                meta::CLIENT_CAPABILITIES,
            ),
            (
                json!({meta::PROTOCOL_VERSION: version, meta::CLIENT_CAPABILITIES: null}),
                meta::CLIENT_CAPABILITIES,
            ),
            (json!({meta::PROTOCOL_VERSION: 7, meta::CLIENT_CAPABILITIES: {}}), meta::PROTOCOL_VERSION),
        ];
        for (members, missing) in refused {
            let answer = pipe.ask(Era::Legacy, "tools/list", json!({"_meta": members})).await;
            assert_eq!(answer["error"]["code"], code::INVALID_PARAMS, "{answer}");
            assert!(
                answer["error"]["message"].as_str().is_some_and(|said| said.contains(missing)),
                "{answer}"
            );
        }
        let answer = pipe.ask(Era::Legacy, "server/discover", json!({})).await;
        assert_eq!(answer["error"]["code"], code::INVALID_PARAMS, "{answer}");
        let listed: Value = pipe.ask(Era::Modern, "tools/list", json!({})).await;
        assert_eq!(listed["result"]["resultType"], "complete", "{listed}");
    });
}

#[test]
fn a_result_that_was_arriving_when_the_client_stopped_speaking_is_not_lost() {
    within(USUAL, async {
        let upstream = FakeServer::start(Script::new(Speaks::Modern)).await;
        let mut pipe = Place::new(json!({"one": http(&upstream)})).launch();
        pipe.initialize().await;
        // Large enough to arrive in pieces, and small enough to be looked into as a whole.
        let (size, pause) = (150_000, Duration::from_millis(1_000));
        let arguments = json!({"size": size, "framing": "chunked", "pause_ms": pause.as_millis() as u64});
        let call = json!({"name": "one__bytes", "arguments": arguments});
        let id = pipe.begin(Era::Modern, "tools/call", call).await;
        eventually(|| async { (upstream.seen().calls("bytes") == 1).then_some(()) }).await;
        // Nothing tells when the pieces are here; too early, this shows less and fails nothing.
        tokio::time::sleep(pause / 3).await;
        pipe.close();
        let answer = pipe.answer(&id).await;
        assert_eq!(text(&answer).len(), size, "{:.300}", answer.to_string());
    });
}
