//! How often a server is asked again that refuses, ends or forgets what it was asked.

use super::*;

/// Requests that one subscription may cost a server that answers as if it had forgotten the session: five each time
/// that it is asked for, which is seldom, as the pauses double.
const MOST_REQUESTS: usize = 5 * 8;

impl Server {
    /// Answers in the legacy era: a resource that is refused is one whose session is not known.
    pub(super) fn answer_legacy(&mut self, request: &Value) -> Response<BoxBody<Bytes, io::Error>> {
        let result = match request["method"].as_str() {
            Some("initialize") => {
                self.sessions += 1;
                Ok(json!({"protocolVersion": Version::V2025_11_25.as_str(),
                    "capabilities": {"resources": {"subscribe": true}},
                    "serverInfo": {"name": "s", "version": "1"}}))
            }
            Some("resources/subscribe") => {
                self.asked.push(1);
                let uri = request["params"]["uri"].as_str().unwrap();
                if self.refused.contains(uri) { Err(404) } else { Ok(json!({})) }
            }
            Some("resources/unsubscribe") => Ok(json!({})),
            Some(_) | None => Err(202),
        };
        let answer = |result| json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string();
        let (status, text) = result.map_or_else(|status| (status, String::new()), |it| (200, answer(it)));
        let response = Response::builder().status(status).header("content-type", "application/json");
        let session = format!("session-{}", self.sessions);
        response.header("mcp-session-id", session).body(full(text)).unwrap()
    }
}

/// Waits until the server was asked so often; returns when that was, each time.
async fn asked_times(stage: &Stage, times: usize) -> Vec<Instant> {
    let mut asked_at = stage.server.lock().asked_at.subscribe();
    let asked = timeout(PATIENCE, asked_at.wait_for(|asked_at| asked_at.len() >= times)).await;
    asked.expect("it is asked in time").expect("the server lives").clone()
}

#[tokio::test]
async fn one_that_is_refused_like_a_forgotten_session_is_refused_in_the_end() {
    let refused = BTreeSet::from(["note://bad".to_owned()]);
    let stage = Stage::speaking(Version::V2025_11_25, Server { refused, ..Server::default() }).await;
    let bad = stage.enter("note://bad");
    let outcome = settled(&bad).await;
    assert!(matches!(outcome, Err(WatchError::Call(_))), "{outcome:?}");
    // Another one is told of, although somebody still wants the first.
    assert_eq!(stage.watch(&["note://good".to_owned()]).await, []);
    let server = stage.server.lock();
    assert!(server.asked.len() <= MOST_REQUESTS, "{} subscriptions", server.asked.len());
    assert!(server.sessions <= MOST_REQUESTS, "{} sessions", server.sessions);
}

#[tokio::test]
async fn one_that_is_refused_so_after_it_was_told_of_is_let_be() {
    let stage = Stage::speaking(Version::V2025_11_25, Server::default()).await;
    assert_eq!(stage.watch(&["note://bad".to_owned(), "note://good".to_owned()]).await, []);
    // Another one that is refused has the session renewed, and the first asked for again.
    stage.server.lock().refused.extend(["note://bad".to_owned(), "note://worse".to_owned()]);
    assert!(settled(&stage.enter("note://worse")).await.is_err());
    let mut bad = stage.interests.phase_of(&Topic::resource("note://bad")).unwrap();
    let refused = bad.wait_for(|phase| matches!(phase, Phase::Refused(_)));
    timeout(PATIENCE, refused).await.expect("it is found out in time").unwrap();
    // The one that is not refused is told of again, behind all that.
    let mut good = stage.interests.phase_of(&Topic::resource("note://good")).unwrap();
    let held = good.wait_for(|phase| *phase == Phase::Held);
    timeout(PATIENCE, held).await.expect("it is agreed to in time").unwrap();
    assert!(stage.server.lock().asked.len() <= 2 * MOST_REQUESTS, "{}", stage.server.lock().asked.len());
}

#[tokio::test]
async fn a_subscription_that_always_ends_is_opened_anew_with_pauses() {
    const PAUSE: Duration = Duration::from_millis(400);
    let ending = Some(u64::try_from(PAUSE.as_millis()).unwrap());
    let stage = Stage::new(Server { ending, ..Server::default() }).await;
    let _wanted = stage.enter("note://a");
    for pair in asked_times(&stage, 3).await.windows(2) {
        assert!(pair[1] - pair[0] >= PAUSE, "{:?}", pair[1] - pair[0]);
    }
}

#[tokio::test]
async fn comers_do_not_put_off_what_is_asked_for_again() {
    let interests = Arc::new(Interests::new(ServerId::new("s").unwrap()));
    let ears = Arc::new(Ears::default());
    let enter = |uri: &str| Entered::enter(&ears, &interests, Topic::resource(uri)).unwrap();
    let mut tenure = Arc::clone(&interests).begin();
    let _deaf = enter("note://deaf");
    let deaf = tenure.claim();
    tenure.settle(tenure.term(), &deaf[0], Phase::Held);
    tenure.settle(tenure.term(), &deaf[0], Phase::Refused(refusal()));
    tenure.stirred().await;
    let due = tenure.retry_at.expect("it is to be asked for again");
    for number in 0..3 {
        let _comer = enter(&format!("note://{number}"));
        tenure.stirred().await;
        assert_eq!(tenure.retry_at, Some(due));
    }
    // Its time has come, and so has somebody else.
    tenure.retry_at = Some(Instant::now());
    let _comer = enter("note://last");
    tenure.stirred().await;
    assert!(tenure.claim().contains(&deaf[0]));
    assert_eq!(tenure.retry_at, None);
}
