//! What is watched of a server: a small real one on loopback, which refuses what a test says. Here are the modern
//! era's refusals; how often a server is asked again is in `again`.

mod again;

use std::{collections::BTreeSet, convert::Infallible, io, time::Duration};

use bytes::Bytes;
use domain::Credential;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use protocol::Version;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_util::task::TaskTracker;

use super::*;
use crate::{
    config::{ServerConfig, TransportSettings},
    handshake::Greeting,
    inbox,
    instances::Instances,
    metrics::Counters,
    own_request::Asker,
    subscription,
    transports::{Connection, Opening, http::HttpConnection},
    watching::ears::{Ears, Entered},
};

/// Long enough for a loaded machine, short enough to notice that a test hangs.
const PATIENCE: Duration = Duration::from_secs(20);
const CODE: i64 = -32602;

/// How the server refuses.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Refusing {
    /// On the stream.
    #[default]
    Event,
    /// Without a stream, as the specification has it for requests that are wrong.
    BadRequest,
}

/// What the server does.
#[derive(Debug, Default)]
struct Server {
    /// A request that names one of these is refused as a whole.
    refused: BTreeSet<String>,
    refusing: Refusing,
    /// These it does not grant.
    left_out: BTreeSet<String>,
    /// It ends each subscription that it has granted, and wants so many milliseconds' pause before the next.
    ending: Option<u64>,
    /// How many it was asked for, each time.
    asked: Vec<usize>,
    /// When it was asked, each time.
    asked_at: watch::Sender<Vec<Instant>>,
    /// Legacy sessions that were opened.
    sessions: usize,
    /// Its streams, kept open.
    streams: Vec<mpsc::UnboundedSender<Bytes>>,
}

impl Server {
    fn answer(&mut self, request: &Value) -> Response<BoxBody<Bytes, io::Error>> {
        if request["method"] != subscription::LISTEN {
            return self.answer_legacy(request);
        }
        let named = &request["params"]["notifications"]["resourceSubscriptions"];
        let named: BTreeSet<String> = serde_json::from_value(named.clone()).unwrap_or_default();
        self.asked.push(named.len());
        self.asked_at.send_modify(|asked_at| asked_at.push(Instant::now()));
        if !named.is_disjoint(&self.refused) {
            let error =
                json!({"jsonrpc": "2.0", "id": request["id"], "error": {"code": CODE, "message": "no"}});
            let (status, kind, text) = match self.refusing {
                Refusing::Event => (200, "text/event-stream", format!("data: {error}\n\n")),
                Refusing::BadRequest => (400, "application/json", error.to_string()),
            };
            return Response::builder().status(status).header("content-type", kind).body(full(text)).unwrap();
        }
        let granted: Vec<_> = named.difference(&self.left_out).collect();
        let acknowledged = json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
            "params": {"notifications": {"resourceSubscriptions": granted}}});
        let (sender, mut receiver) = mpsc::unbounded_channel();
        sender.send(format!("data: {acknowledged}\n\n").into()).unwrap();
        match self.ending {
            Some(retry) => sender.send(format!("retry: {retry}\n\n").into()).unwrap(),
            None => self.streams.push(sender),
        }
        let pieces = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
        let frames = futures_util::StreamExt::map(pieces, |piece: Bytes| Ok(Frame::data(piece)));
        let body = StreamBody::new(frames).boxed();
        Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
    }
}

fn full(text: String) -> BoxBody<Bytes, io::Error> {
    Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed()
}

/// A server that is listened to, and one who watches.
struct Stage {
    server: Arc<Mutex<Server>>,
    interests: Arc<Interests>,
    ears: Arc<Ears>,
    _tasks: JoinSet<()>,
}

impl Stage {
    async fn new(server: Server) -> Self {
        Self::speaking(Version::LATEST_MODERN, server).await
    }

    async fn speaking(version: Version, server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let server = Arc::new(Mutex::new(server));
        let interests = Arc::new(Interests::new(ServerId::new("s").unwrap()));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, Arc::clone(&server)));
        tasks.spawn(keep(url, version, Arc::clone(&interests)));
        Self { server, interests, ears: Arc::default(), _tasks: tasks }
    }

    fn enter(&self, uri: &str) -> Entered {
        Entered::enter(&self.ears, &self.interests, Topic::resource(uri)).unwrap()
    }

    /// Has all of these watched; returns what the server does not tell of.
    async fn watch(&self, uris: &[String]) -> Vec<(String, WatchError)> {
        let entered: Vec<Entered> = uris.iter().map(|uri| self.enter(uri)).collect();
        let mut refused = Vec::new();
        for (uri, entered) in uris.iter().zip(entered) {
            match settled(&entered).await {
                Ok(()) => entered.keep(),
                Err(error) => refused.push((uri.clone(), error)),
            }
        }
        refused
    }
}

/// Waits until the server has agreed or refused.
async fn settled(entered: &Entered) -> Result<(), WatchError> {
    let mut phase = entered.phase();
    let settled = phase.wait_for(|phase| matches!(phase, Phase::Held | Phase::Refused(_)));
    match &*timeout(PATIENCE, settled).await.expect("the server says so in time").unwrap() {
        Phase::Refused(error) => Err(error.clone()),
        Phase::Wanted | Phase::Asked | Phase::Held | Phase::Leaving => Ok(()),
    }
}

fn refusal() -> WatchError {
    WatchError::Refused { server: ServerId::new("s").unwrap(), code: CODE }
}

async fn serve(listener: TcpListener, server: Arc<Mutex<Server>>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let server = Arc::clone(&server);
        let service = service_fn(move |request: Request<Incoming>| {
            let server = Arc::clone(&server);
            async move {
                let body =
                    request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                let message = serde_json::from_slice(&body).unwrap_or_default();
                Ok::<_, Infallible>(server.lock().answer(&message))
            }
        });
        connections.spawn(async move {
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Keeps the subscriptions of the server, as its supervisor would.
async fn keep(url: String, version: Version, interests: Arc<Interests>) {
    let id = interests.server().clone();
    let config: ServerConfig = serde_json::from_value(json!({ "url": url })).unwrap();
    let settings = config.build(id.clone()).unwrap();
    let TransportSettings::Http(settings) = settings.transport() else { panic!("an HTTP server") };
    let counters = Arc::new(Counters::default());
    let (inbox, mail) = inbox::inbox(Arc::clone(&counters), Arc::clone(&interests));
    let opening = Opening {
        server: id.clone(),
        inbox,
        counters,
        tasks: TaskTracker::new(),
        initialize: Bytes::from_static(b"{}"),
        result_bytes: 1 << 20,
        line_bytes: 1 << 20,
        depth: 0,
        instances: Instances::new(),
    };
    let connection = HttpConnection::open(settings, opening).unwrap();
    connection.speak(version);
    let capabilities = Bytes::from_static(br#"{"resources":{"subscribe":true}}"#);
    let greeting = Greeting { version, capabilities, instructions: None };
    let (connection, credential) = (Connection::Http(connection), Credential::new(id, "", []));
    let asker = Asker { connection: &connection, credential: &credential, own_info: r#"{"name":"own"}"# };
    match subscription::keep(asker, &greeting, &mail.lists_changed, mail.subscriptions, interests.begin())
        .await {}
}

fn uris(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("note://{number:03}")).collect()
}

#[tokio::test]
async fn one_that_is_refused_costs_only_itself() {
    for refusing in [Refusing::Event, Refusing::BadRequest] {
        let refused = BTreeSet::from(["note://077".to_owned()]);
        let stage = Stage::new(Server { refused, refusing, ..Server::default() }).await;
        let found = stage.watch(&uris(0..100)).await;
        assert_eq!(found.iter().map(|(uri, _)| &**uri).collect::<Vec<_>>(), ["note://077"]);
        assert_eq!(found[0].1, refusal(), "{refusing:?}");
        // All, and twice for each time that they were halved.
        assert!(stage.server.lock().asked.len() <= 1 + 2 * 7, "{:?}", stage.server.lock().asked);
        stage.interests.updated("note://076");
        assert_eq!(stage.ears.next().await.what, crate::Update::Resource("note://076".into()));
    }
}

#[tokio::test]
async fn one_that_is_gone_costs_those_that_come_nothing() {
    let stage = Stage::new(Server::default()).await;
    assert_eq!(stage.watch(&uris(0..3)).await, []);
    stage.server.lock().refused.insert("note://001".to_owned());
    // It was told of, and is refused from now on; the others go on, and may have changed while it was found out.
    assert_eq!(stage.watch(&uris(3..6)).await, []);
    let gone = stage.interests.phase_of(&Topic::resource("note://001")).unwrap().borrow().clone();
    assert_eq!(gone, Phase::Refused(refusal()));
    let heard = [stage.ears.next().await.what, stage.ears.next().await.what];
    for uri in ["note://000", "note://002"] {
        assert!(heard.contains(&crate::Update::Resource(uri.into())), "{heard:?}");
    }
}

#[tokio::test]
async fn one_that_was_left_out_is_asked_for_again() {
    let bad = BTreeSet::from(["note://000".to_owned()]);
    let stage = Stage::new(Server { left_out: bad, ..Server::default() }).await;
    let first = stage.enter("note://000");
    assert!(matches!(settled(&first).await, Err(WatchError::LeftOut(_))));
    stage.server.lock().left_out.clear();
    // Before the subscription without it has taken the place of the one that was opened for it.
    let second = stage.enter("note://000");
    assert_eq!(settled(&second).await, Ok(()));
}
