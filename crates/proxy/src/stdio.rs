//! The stdio door: what a client launches. One message per line, both eras on the same pipe; requests run
//! concurrently, answers are written as they come. How long they may take once the gateway stops is `drain`'s: reader,
//! writer and requests are all tracked there.

use std::{io, panic::AssertUnwindSafe, sync::Arc};

use bytes::Bytes;
use catalog::View;
use futures_util::FutureExt;
use identity::{Peer, Presented};
use parking_lot::Mutex;
use protocol::{
    Era, Malformed, Message, Notification, Object, Request, RequestId, Unreadable, Version, code, encode,
    meta,
};
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use upstream::child::{Line, LineReader};

use crate::{
    Proxy,
    admission::{self, Admission, Client, Door, Viewpoint},
    answer::{self, Encoded},
    call::Running,
    error::{Failure, shown},
    methods::{self, Answer, Listening},
    session::{Cancellable, Opening, Session},
    standing::Standing,
};

/// Messages that wait for the client to read. When it does not read, calls wait; memory stays bounded.
const OUTBOX: usize = 64;

/// What the program that launched us shows.
const LAUNCHER: Presented<'static> = Presented { bearer: None, peer: Peer::Stdio };

/// How the stdio door behaves.
#[derive(Debug, Clone)]
pub struct StdioSettings {
    /// What the client is shown.
    pub view: View,
}

/// The client on the other end of the pipe.
struct Connection {
    proxy: Arc<Proxy>,
    viewpoint: Viewpoint,
    outbox: mpsc::Sender<Bytes>,
    session: Mutex<Option<Arc<Session>>>,
    cancellable: Cancellable,
    /// The reader has ended, so there is nobody to tell of changes.
    closed: CancellationToken,
}

/// Serves one client. The task ends when the client has closed its side or the gateway stops; requests that run then
/// go on, and their answers are written. [`Drain::stop`](crate::Drain::stop) waits for them, so whoever drops or aborts
/// the task loses none. Call it within a runtime.
///
/// # Errors
/// The task returns [`io::Error`] when the caller cannot be authenticated or the pipe breaks while reading.
pub fn serve_stdio(
    proxy: Arc<Proxy>,
    settings: StdioSettings,
    input: impl AsyncRead + Unpin + Send + 'static,
    output: impl AsyncWrite + Unpin + Send + 'static,
) -> JoinHandle<io::Result<()>> {
    let tasks = proxy.drain.tasks().clone();
    tasks.spawn(serve(proxy, settings, input, output))
}

async fn serve(
    proxy: Arc<Proxy>,
    settings: StdioSettings,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin + Send + 'static,
) -> io::Result<()> {
    let caller = admission::authenticate(&proxy, LAUNCHER).map_err(io::Error::other)?;
    let (outbox, messages) = mpsc::channel(OUTBOX);
    proxy.drain.tasks().spawn(async move {
        if let Err(error) = write_messages(messages, output).await {
            tracing::debug!(%error, "the stdio client does not read any more");
        }
    });
    let connection = Arc::new(Connection {
        viewpoint: Viewpoint { caller, door: Door::Stdio, view: settings.view },
        outbox,
        session: Mutex::new(None),
        cancellable: Cancellable::default(),
        closed: CancellationToken::new(),
        proxy,
    });
    let _closing = connection.closed.clone().drop_guard();
    connection.read(input).await
}

/// Writes messages until every sender is gone or the client does not read any more.
async fn write_messages(
    mut messages: mpsc::Receiver<Bytes>,
    output: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut output = BufWriter::new(output);
    while let Some(message) = messages.recv().await {
        output.write_all(&answer::on_one_line(message)).await?;
        output.write_all(b"\n").await?;
        if messages.is_empty() {
            output.flush().await?;
        }
    }
    output.flush().await
}

impl Connection {
    async fn read(self: &Arc<Self>, input: impl AsyncRead + Unpin) -> io::Result<()> {
        let mut lines = LineReader::new(input, self.proxy.limits.line_bytes());
        loop {
            let line = tokio::select! {
                biased;
                () = self.proxy.drain.stopping().cancelled() => return Ok(()),
                () = self.outbox.closed() => return Ok(()),
                line = lines.next() => line?,
            };
            match line {
                Some(Line::Message(line)) => self.take(line).await,
                Some(Line::TooLong) => {
                    let text = format!("the message is longer than {} bytes", self.proxy.limits.line_bytes());
                    self.send(encode::error(None, code::INVALID_REQUEST, &text, None).into()).await;
                }
                None => return Ok(()),
            }
        }
    }

    async fn take(self: &Arc<Self>, line: Bytes) {
        match Message::parse(&line) {
            Ok(Message::Request(request)) if &*request.method == "initialize" => {
                self.initialize(&request).await
            }
            Ok(Message::Request(request)) => self.start(request).await,
            Ok(Message::Notification(note)) => self.notified(&note),
            Ok(Message::Response(response)) => {
                let session = self.session.lock().clone();
                // Without a session nothing was asked.
                session.into_iter().for_each(|session| session.asked().answer(response.clone()));
            }
            Err(malformed) => self.send(refusal(&malformed)).await,
        }
    }

    /// Runs a request in a task of its own, so that a slow one holds up nobody. Beyond the bound the reader itself
    /// answers: a client that writes and does not read holds up its own reader and starts no more tasks.
    async fn start(self: &Arc<Self>, request: Request) {
        let Some(slot) = self.proxy.enter() else {
            self.proxy.metrics.refused("overloaded");
            let limit = self.proxy.limits.in_flight();
            return self.fail(&Failure::Overloaded { limit }, &request, self.era(&request)).await;
        };
        // Entered before the task runs: the next line may cancel it.
        let entry = self.cancellable.enter(&request.id);
        let connection = self.clone();
        self.proxy.drain.tasks().spawn(async move {
            let _slot = slot;
            // A panic fails this request and no other.
            let running = AssertUnwindSafe(connection.run(request.clone())).catch_unwind();
            tokio::select! {
                ended = running => if ended.is_err() {
                    connection.fail(&Failure::Internal, &request, connection.era(&request)).await;
                },
                // A cancelled request gets no answer (specification, cancellation).
                () = entry.cancelled() => {}
            }
        });
    }

    /// Returns the era to fail a request in, whether or not it can be read.
    fn era(&self, request: &Request) -> Era {
        self.client(request).map_or(Era::Legacy, |client| client.version.era())
    }

    async fn run(&self, request: Request) {
        let client = match self.client(&request) {
            Ok(client) => client,
            Err(error) => return self.send(error).await,
        };
        let era = client.version.era();
        // Anew for every request: the configuration may since have named another agent.
        let caller = match admission::authenticate(&self.proxy, LAUNCHER) {
            Ok(caller) => caller,
            Err(_) => return self.fail(&Failure::Internal, &request, client.version.era()).await,
        };
        let viewpoint = Viewpoint { caller, ..self.viewpoint.clone() };
        let admission = Admission::new(&self.proxy, viewpoint, client);
        match methods::answer(&self.proxy, admission, request.clone()).await {
            Ok(Answer::Result(result)) => self.send(encode::result(&request.id, &result).into()).await,
            Ok(Answer::Running(running)) => self.follow(running, &request, era).await,
            Ok(Answer::Listening(listening)) => self.listen(listening).await,
            Err(failure) => self.fail(&failure, &request, era).await,
        }
    }

    /// Tells which client asks: a modern request says so itself, any other belongs to the session, and one before
    /// `initialize` to the oldest revision.
    fn client(&self, request: &Request) -> Result<Client, Bytes> {
        let params = request.params.as_deref().and_then(|params| Object::parse(params, &["_meta"]).ok());
        let members = params.as_ref().and_then(|params| meta::parse(params.get("_meta")?).ok());
        let is_modern_method = matches!(&*request.method, "server/discover" | "subscriptions/listen");
        match members {
            Some(members) if is_modern_method || members.get(meta::PROTOCOL_VERSION).is_some() => {
                modern_client(&request.id, &members)
            }
            None if is_modern_method => Err(missing(&request.id, meta::PROTOCOL_VERSION)),
            Some(_) | None => match self.session.lock().clone() {
                Some(session) => Ok(Client::of_session(session, 0)),
                None => Ok(Client { version: Version::V2024_11_05, info: None, session: None, passed: 0 }),
            },
        }
    }

    async fn initialize(self: &Arc<Self>, request: &Request) {
        let opened = match methods::initialize(&self.proxy, &self.viewpoint, request.params.as_ref()) {
            Ok(opened) => opened,
            Err(failure) => return self.fail(&failure, request, Era::Legacy).await,
        };
        let opening = Opening {
            owner: self.viewpoint.caller.principal().key(),
            view: self.viewpoint.view.clone(),
            version: opened.version,
            client_info: opened.client_info,
            capabilities: opened.capabilities,
        };
        let Ok(session) = Session::open(opening) else {
            return self.fail(&Failure::Internal, request, Era::Legacy).await;
        };
        let session = Arc::new(session);
        let before = self.session.lock().replace(session.clone());
        self.send(encode::result(&request.id, &opened.result).into()).await;
        if let Some(before) = before {
            before.closed().cancel();
        }
        self.stand(session);
    }

    /// Tells a legacy client what it did not ask for, for as long as it is there.
    fn stand(self: &Arc<Self>, session: Arc<Session>) {
        let connection = self.clone();
        let over = session.closed().clone();
        let mut standing = Standing::new(&self.proxy, self.viewpoint.clone(), session);
        self.proxy.drain.tasks().spawn(async move {
            let announcing = over.run_until_cancelled(async {
                loop {
                    for message in standing.next(&connection.proxy).await {
                        connection.send(message).await;
                    }
                }
            });
            connection.closed.run_until_cancelled(announcing).await;
        });
    }

    fn notified(&self, note: &Notification) {
        if &*note.method != "notifications/cancelled" {
            return;
        }
        let params = note.params.as_deref().and_then(|params| Object::parse(params, &["requestId"]).ok());
        if let Some(id) = params.and_then(|params| RequestId::from_json(params.get("requestId")?)) {
            self.cancellable.cancel(&id);
        }
    }

    async fn follow(&self, mut running: Box<Running>, request: &Request, era: Era) {
        loop {
            let event = match running.next().await {
                Ok(event) => event,
                Err(failure) => return self.fail(&failure, request, era).await,
            };
            match answer::encode_event(event, &request.id, &running) {
                Encoded::Message(message) => self.notify(message).await,
                Encoded::Final(message) => return self.send(message).await,
                Encoded::Streamed(head, stream) => {
                    return match self.collect(&mut running, head, stream).await {
                        Ok(message) => self.send(message).await,
                        Err(failure) => self.fail(&failure, request, era).await,
                    };
                }
            }
        }
    }

    /// A line cannot be begun before its end is sure, or a broken one would swallow the next answer.
    async fn collect(
        &self,
        running: &mut Running,
        mut message: Vec<u8>,
        mut stream: upstream::ResultStream,
    ) -> Result<Bytes, Failure> {
        let first = running.next_chunk(&mut stream).await?.unwrap_or_default();
        let rest = answer::open_streamed(&mut message, &first, answer::additions(running));
        message.extend_from_slice(&rest);
        let mut bytes = first.len() as u64;
        while let Some(chunk) = running.next_chunk(&mut stream).await? {
            bytes += chunk.len() as u64;
            message.extend_from_slice(&chunk);
            if message.len() > self.proxy.limits.line_bytes() {
                let failure = running.too_large(self.proxy.limits.line_bytes());
                running.fail(&failure);
                return Err(failure);
            }
        }
        message.push(b'}');
        running.returned(bytes);
        Ok(message.into())
    }

    async fn listen(&self, mut listening: Box<Listening>) {
        loop {
            tokio::select! {
                // The reader ends when the gateway stops, so `closed` follows; the client is told all the same.
                biased;
                () = self.proxy.drain.stopping().cancelled() => return self.send(listening.end()).await,
                () = self.closed.cancelled() => return,
                messages = listening.next(&self.proxy) => {
                    for message in messages {
                        self.notify(message).await;
                    }
                }
            }
        }
    }

    async fn fail(&self, failure: &Failure, request: &Request, era: Era) {
        let is_tool_call = &*request.method == "tools/call";
        self.send(answer::encode_failure(failure, &request.id, is_tool_call, era)).await;
    }

    /// Sends what a call can do without. Once running calls are given up, one whose client does not read must not wait
    /// for it, or its own end would not be recorded.
    async fn notify(&self, message: Bytes) {
        self.proxy.drain.over().run_until_cancelled(self.send(message)).await;
    }

    /// A client that is gone hears nothing; the reader notices and ends the connection.
    async fn send(&self, message: Bytes) {
        let _ = self.outbox.send(message).await;
    }
}

fn refusal(malformed: &Malformed) -> Bytes {
    let code = match malformed.reason {
        Unreadable::NotJson => code::PARSE_ERROR,
        Unreadable::Invalid(_) => code::INVALID_REQUEST,
    };
    encode::error(malformed.id.as_ref(), code, &malformed.to_string(), None).into()
}

/// Reads what a modern request says of its client. The order of the checks is that of the HTTP door.
fn modern_client(id: &RequestId, members: &Object<'_>) -> Result<Client, Bytes> {
    let Some(version) = members.string(meta::PROTOCOL_VERSION) else {
        return Err(missing(id, meta::PROTOCOL_VERSION));
    };
    if !members.get(meta::CLIENT_CAPABILITIES).is_some_and(|text| text.starts_with('{')) {
        return Err(missing(id, meta::CLIENT_CAPABILITIES));
    }
    match version.parse::<Version>() {
        Ok(version) if version.era() == Era::Modern => Ok(Client::modern(version, 0)),
        Ok(_) | Err(_) => Err(unsupported(id, &version)),
    }
}

fn missing(id: &RequestId, member: &str) -> Bytes {
    let text = format!("invalid params: `_meta` must hold `{member}`");
    encode::error(Some(id), code::INVALID_PARAMS, &text, None).into()
}

fn unsupported(id: &RequestId, requested: &str) -> Bytes {
    let data = json!({"supported": Version::ALL.map(Version::as_str), "requested": shown(requested)});
    encode::error(Some(id), code::UNSUPPORTED_VERSION, "unsupported protocol version", Some(&data)).into()
}
