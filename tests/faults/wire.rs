//! HTTP/1.1 by hand, so that a test can say it wrong: requests as bytes, answers read piece by piece.

use std::io;
use std::net::SocketAddr;

use serde_json::Value;
use socket2::SockRef;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

/// Bytes of a segment and of a buffer of a connection that is to hold little.
const SMALL_SEGMENT: u32 = 536;
const SMALL_BUFFER: u32 = 4 * 1024;

/// A request that may be wrong in every part.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) verb: &'static str,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// The status line and headers of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

/// One connection.
pub(crate) struct Wire {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
    /// What was read of a chunk that is not whole yet.
    chunk: Vec<u8>,
}

/// How much of a body is still to come.
#[derive(Debug)]
pub(crate) enum Framing {
    Length(usize),
    Chunked,
    UntilClosed,
    Over,
}

/// The events of an event stream, as they come. Whoever stops waiting for the next one loses nothing of it, if the stream
/// comes in chunks, as all do that stand.
pub(crate) struct Events {
    wire: Wire,
    framing: Framing,
    arrived: Vec<u8>,
}

/// One block of an event stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A comment, which keeps the stream alive.
    Comment,
    /// The data of an event.
    Data(String),
}

// === impl Request ===

impl Request {
    /// Makes a POST of JSON to the endpoint with all servers.
    pub(crate) fn post(body: impl Into<Vec<u8>>) -> Self {
        let headers = Vec::new();
        Self { verb: "POST", target: "/mcp".to_owned(), headers, body: body.into() }
            .with("Content-Type", "application/json")
            .with("Accept", "application/json, text/event-stream")
    }

    /// Makes a request without a body.
    pub(crate) fn plain(verb: &'static str, target: &str) -> Self {
        Self { verb, target: target.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Replaces a header.
    pub(crate) fn set(self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.without(name).with(name, value)
    }

    /// Leaves a header out.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self
    }

    /// Adds a token.
    pub(crate) fn bearer(self, token: &str) -> Self {
        self.set("Authorization", format!("Bearer {token}"))
    }

    /// Asks for another path.
    pub(crate) fn at(mut self, target: &str) -> Self {
        self.target = target.to_owned();
        self
    }

    /// Writes the request out; `Host` and `Content-Length` are added where the test says nothing else.
    pub(crate) fn bytes(&self, address: SocketAddr) -> Vec<u8> {
        let has = |name: &str| self.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        let mut out = format!("{} {} HTTP/1.1\r\n", self.verb, self.target).into_bytes();
        if !has("Host") {
            out.extend_from_slice(format!("Host: {address}\r\n").as_bytes());
        }
        if !has("Content-Length") && !has("Transfer-Encoding") && self.verb == "POST" {
            out.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        for (name, value) in &self.headers {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.body);
        out
    }
}

// === impl Head ===

impl Head {
    /// Returns a header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Tells whether the connection ends with this answer.
    pub(crate) fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    fn framing(&self) -> Framing {
        let chunked = self.header("transfer-encoding").is_some_and(|value| value.contains("chunked"));
        let length = self.header("content-length").and_then(|value| value.parse().ok());
        match (chunked, length) {
            (true, _) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) if matches!(self.status, 202 | 204) => Framing::Over,
            (false, None) => Framing::UntilClosed,
        }
    }
}

// === impl Response ===

impl Response {
    /// Returns the last JSON-RPC message of the answer; `null` when there is none.
    pub(crate) fn message(&self) -> Value {
        self.messages().pop().unwrap_or_default()
    }

    /// Returns all JSON-RPC messages of the answer, whether JSON or events.
    pub(crate) fn messages(&self) -> Vec<Value> {
        let is_stream =
            self.head.header("content-type").is_some_and(|value| value.starts_with("text/event-stream"));
        if !is_stream {
            return serde_json::from_slice(&self.body).into_iter().collect();
        }
        let text = String::from_utf8(self.body.clone()).expect("events are UTF-8");
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        data.map(|data| serde_json::from_str(data).expect("an event is one message")).collect()
    }
}

// === impl Wire ===

impl Wire {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).await.expect("the gateway takes connections")
    }

    /// Connects in a way that makes both sides hold as little as they can of what is not read: some 100 KiB, where they
    /// would hold megabytes. A system sizes its buffers by the segments that a connection may have.
    pub(crate) async fn connect_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        SockRef::from(&socket).set_tcp_mss(SMALL_SEGMENT).expect("the size of a segment can be chosen");
        socket.set_recv_buffer_size(SMALL_BUFFER).expect("the size of a buffer can be chosen");
        let stream = socket.connect(address).await.expect("the gateway takes connections");
        Self::over(stream, address)
    }

    /// Connects, if somebody listens.
    pub(crate) async fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream, address))
    }

    fn over(stream: TcpStream, address: SocketAddr) -> Self {
        Self { stream: BufReader::with_capacity(64 * 1024, stream), address, chunk: Vec::new() }
    }

    /// Sends a request and waits for the whole answer.
    pub(crate) async fn ask(&mut self, request: &Request) -> Response {
        self.try_ask(request).await.unwrap_or_else(|error| panic!("no answer to {}: {error}", request.verb))
    }

    /// Sends a request and waits for the whole answer; fails when the connection does.
    pub(crate) async fn try_ask(&mut self, request: &Request) -> io::Result<Response> {
        self.send(&request.bytes(self.address)).await?;
        self.response().await
    }

    /// Sends a request whose answer is an event stream.
    pub(crate) async fn listen(mut self, request: &Request) -> Events {
        self.send(&request.bytes(self.address)).await.expect("the request can be sent");
        let head = self.head().await.expect("an answer begins");
        let media_type = head.header("content-type").unwrap_or_default();
        assert!(media_type.starts_with("text/event-stream"), "no event stream: {head:?}");
        Events { framing: head.framing(), wire: self, arrived: Vec::new() }
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes).await
    }

    /// Reads an answer.
    pub(crate) async fn response(&mut self) -> io::Result<Response> {
        let head = self.head().await?;
        let mut framing = head.framing();
        let mut body = Vec::new();
        while let Some(piece) = self.piece(&mut framing).await? {
            body.extend_from_slice(&piece);
        }
        Ok(Response { head, body })
    }

    /// Reads the beginning of an answer.
    pub(crate) async fn head(&mut self) -> io::Result<Head> {
        let status_line = self.line().await?;
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status line: {status_line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else { return Ok(Head { status, headers }) };
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }

    /// Reads the next piece of a body; `None` at its end. Of a body in chunks nothing is lost when this is dropped.
    pub(crate) async fn piece(&mut self, framing: &mut Framing) -> io::Result<Option<Vec<u8>>> {
        let mut piece = Vec::new();
        match framing {
            Framing::Over | Framing::Length(0) => return Ok(None),
            Framing::Length(left) => {
                piece.resize(*left, 0);
                self.stream.read_exact(&mut piece).await?;
                *framing = Framing::Over;
            }
            Framing::UntilClosed => {
                self.stream.read_to_end(&mut piece).await?;
                *framing = Framing::Over;
            }
            Framing::Chunked => {
                piece = self.whole_chunk().await?;
                if piece.is_empty() {
                    *framing = Framing::Over;
                    return Ok(None);
                }
            }
        }
        Ok(Some(piece))
    }

    /// Reads on until a chunk is whole; returns what it holds. Dropped, it leaves in `chunk` what was read so far.
    async fn whole_chunk(&mut self) -> io::Result<Vec<u8>> {
        if !self.chunk.contains(&b'\n') {
            self.stream.read_until(b'\n', &mut self.chunk).await?;
        }
        let head = self.chunk.iter().position(|byte| *byte == b'\n').ok_or(io::ErrorKind::UnexpectedEof)? + 1;
        let line = String::from_utf8_lossy(&self.chunk[..head]);
        let length = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16);
        let end = head + length.map_err(io::Error::other)?;
        // The end of its line belongs to a chunk.
        let whole = end + 2;
        while self.chunk.len() < whole {
            let ready = self.stream.fill_buf().await?;
            if ready.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let taken = ready.len().min(whole - self.chunk.len());
            self.chunk.extend_from_slice(&ready[..taken]);
            self.stream.consume(taken);
        }
        let chunk = std::mem::take(&mut self.chunk);
        Ok(chunk[head..end].to_vec())
    }

    /// Waits until the other side says something or closes the connection; nothing of it is read.
    pub(crate) async fn answered(&mut self) {
        // An error is an end as well.
        let _ = self.stream.fill_buf().await;
    }

    /// Reads until the other side closes the connection and returns what still came.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end as well.
        let _ = self.stream.read_to_end(&mut rest).await;
        rest
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).await?;
        if !line.ends_with(b"\n") {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

// === impl Events ===

impl Events {
    /// Waits for the next block; `None` at the end of the stream. An event without data counts as a comment.
    pub(crate) async fn next_block(&mut self) -> io::Result<Option<Event>> {
        let block = self.block().await?;
        Ok(block.map(|text| data_of(&text).map_or(Event::Comment, Event::Data)))
    }

    /// Waits for the next message, and returns it with the id of its event; `None` at the end of the stream.
    pub(crate) async fn next_with_id(&mut self) -> Option<(String, Value)> {
        loop {
            let text = self.block().await.expect("the stream is sound")?;
            if let Some(data) = data_of(&text) {
                let message = serde_json::from_str(&data).expect("an event is one message");
                return Some((id_of(&text).unwrap_or_default().to_owned(), message));
            }
        }
    }

    /// Waits for the event without data with which a resumable stream begins, and returns its id.
    pub(crate) async fn priming(&mut self) -> String {
        loop {
            let text = self.block().await.expect("the stream is sound").expect("it begins with an id");
            assert_eq!(data_of(&text), None, "a message came first");
            if let Some(id) = id_of(&text) {
                return id.to_owned();
            }
        }
    }

    async fn block(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.arrived.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.arrived.drain(..end + 2).collect();
                return String::from_utf8(block).map(Some).map_err(io::Error::other);
            }
            match self.wire.piece(&mut self.framing).await? {
                Some(piece) => self.arrived.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
    }

    /// Waits for the next message; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            match self.next_block().await.expect("the stream is sound")? {
                Event::Comment => {}
                Event::Data(data) => {
                    return Some(serde_json::from_str(&data).expect("an event is one message"));
                }
            }
        }
    }
}

fn data_of(block: &str) -> Option<String> {
    let data: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    (!data.is_empty()).then(|| data.join("\n"))
}

fn id_of(block: &str) -> Option<&str> {
    block.lines().find_map(|line| line.strip_prefix("id: "))
}
