//! The state that a modern server has its caller bring back (`requestState`): where callers have tokens, and the server
//! sees one credential for all of them, each gets it sealed and can bring back no other.

use protocol::{Era, meta};
use serde_json::{Value, json};
use testkit::{FakeServer, Script, Speaks};

use crate::client::Client;
use crate::gateway::{Gateway, Place, http};
use crate::limit::{USUAL, within};

/// What the server gives.
const STATE: &str = "the server's own";

/// A server that asks back on every call, and a gateway before it.
async fn before(state: &Value) -> (FakeServer, Place, Gateway) {
    let question = json!({"method": "roots/list", "params": {}});
    let result =
        json!({"resultType": "input_required", "inputRequests": {"roots": question}, "requestState": state});
    let script = Script { raw: result.to_string().into(), ..Script::new(Speaks::Modern) };
    let upstream = FakeServer::start(script).await;
    let place = Place::new(json!({"one": http(&upstream)}));
    let gateway = place.serve().await;
    gateway.ready().await;
    (upstream, place, gateway)
}

/// Calls the tool, bringing back `state`; `null` brings none.
async fn call(client: &mut Client, state: &Value) -> Value {
    let capabilities = json!({meta::CLIENT_CAPABILITIES: {"roots": {}}});
    let mut params = json!({"name": "one__raw", "arguments": {}, "_meta": capabilities});
    if !state.is_null() {
        params["inputResponses"] = json!({"roots": {"roots": []}});
        params["requestState"] = state.clone();
    }
    client.ask("tools/call", params).await
}

/// Returns the states that the server was brought.
fn brought(upstream: &FakeServer) -> Vec<Value> {
    let requests = upstream.seen().requests();
    let calls = requests.iter().filter(|request| request.calls("raw"));
    calls.map(|call| call.json()["params"]["requestState"].clone()).collect()
}

#[test]
fn a_state_comes_back_from_the_caller_that_got_it_and_in_no_other_form() {
    within(USUAL, async {
        let (upstream, place, gateway) = before(&json!(STATE)).await;
        let mut callers = Vec::new();
        for agent in ["own", "other"] {
            let (token, _) = place.token(&["--agent", agent]).await;
            callers.push(gateway.door().with_token(&token).open(Era::Modern).await);
        }
        let [own, other] = &mut callers[..] else { panic!("two callers") };
        let asked = call(own, &Value::Null).await;
        let sealed = asked["result"]["requestState"].clone();
        assert!(sealed.is_string() && sealed != STATE, "it is sealed: {asked}");
        call(own, &sealed).await;
        assert_eq!(brought(&upstream), [Value::Null, json!(STATE)]);

        let stolen = call(other, &sealed).await;
        assert_eq!(stolen["error"]["code"], -32602, "{stolen}");
        for forged in [json!(STATE), json!([STATE]), json!({"0": STATE}), json!(7), json!("")] {
            let refused = call(other, &forged).await;
            assert_eq!(refused["error"]["code"], -32602, "{forged}: {refused}");
        }
        assert_eq!(brought(&upstream).len(), 2, "nothing of it came to the server");
    });
}

#[test]
fn a_state_that_is_no_string_is_a_fault_of_its_server() {
    within(USUAL, async {
        let (_upstream, place, gateway) = before(&json!([STATE])).await;
        let (token, _) = place.token(&["--agent", "own"]).await;
        let mut caller = gateway.door().with_token(&token).open(Era::Modern).await;
        let answer = call(&mut caller, &Value::Null).await;
        assert!(!answer.to_string().contains(STATE), "{answer}");
        assert!(answer.to_string().contains("requestState"), "{answer}");
    });
}
