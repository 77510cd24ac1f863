//! HTTP/2 by hand (RFC 9113), so that a client can grant no window: requests as frames, answers as the frames that come.
//! What an honest client answers without being asked (settings, pings) is answered.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::wire::Request;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
/// The setting that says how much may come on a new stream unasked.
const INITIAL_WINDOW_SIZE: u16 = 4;
/// The stream of what concerns the whole connection.
const CONNECTION: u32 = 0;

/// A connection.
pub(crate) struct Http2 {
    stream: BufReader<TcpStream>,
    authority: String,
    next_stream: u32,
}

/// What came on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Came {
    /// The head of an answer, and whether it is all.
    Head { stream: u32, is_last: bool },
    /// A part of an answer's body, and whether it is the last.
    Data { stream: u32, bytes: Vec<u8>, is_last: bool },
    /// The answer on a stream broke.
    Reset { stream: u32 },
    /// The other side wants to close the connection.
    Goodbye,
}

impl Http2 {
    /// Connects as a client that takes `window` bytes of each answer unasked.
    pub(crate) async fn connect(address: SocketAddr, window: u32) -> Self {
        let stream = TcpStream::connect(address).await.expect("the gateway takes connections");
        let stream = BufReader::with_capacity(64 * 1024, stream);
        let mut connection = Self { stream, authority: address.to_string(), next_stream: 1 };
        let mut setting = INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
        setting.extend_from_slice(&window.to_be_bytes());
        let hello = [PREFACE, &frame(SETTINGS, 0, CONNECTION, &setting)].concat();
        connection.stream.get_mut().write_all(&hello).await.expect("sent");
        // All answers together may be as large as they like.
        connection.grant(CONNECTION, 1 << 30).await;
        connection
    }

    /// Sends a request; returns its stream.
    pub(crate) async fn ask(&mut self, request: &Request) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        let mut head = Vec::new();
        for (name, value) in [
            (":method", request.verb),
            (":scheme", "http"),
            (":path", &request.target),
            (":authority", &self.authority),
        ] {
            write_field(&mut head, name, value.as_bytes());
        }
        for (name, value) in &request.headers {
            write_field(&mut head, &name.to_ascii_lowercase(), value);
        }
        let frames =
            [frame(HEADERS, END_HEADERS, stream, &head), frame(DATA, END_STREAM, stream, &request.body)];
        self.stream.get_mut().write_all(&frames.concat()).await.expect("the request can be sent");
        stream
    }

    /// Takes so many bytes more on a stream.
    pub(crate) async fn grant(&mut self, stream: u32, bytes: u32) {
        let update = frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes());
        self.stream.get_mut().write_all(&update).await.expect("a window can be granted");
    }

    /// Waits for what comes next; `None` when the connection is closed. Not cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Came> {
        loop {
            // A reset is an end as well.
            let (kind, flags, stream, payload) = self.frame().await.ok()?;
            let is_last = flags & END_STREAM != 0;
            match kind {
                HEADERS => return Some(Came::Head { stream, is_last }),
                DATA => return Some(Came::Data { stream, bytes: payload, is_last }),
                RST_STREAM => return Some(Came::Reset { stream }),
                GOAWAY => return Some(Came::Goodbye),
                SETTINGS if flags & ACK == 0 => self.acknowledge(SETTINGS, &[]).await,
                PING if flags & ACK == 0 => self.acknowledge(PING, &payload).await,
                _ => {}
            }
        }
    }

    /// Reads until the connection is closed.
    pub(crate) async fn until_closed(&mut self) {
        while self.next().await.is_some() {}
    }

    async fn acknowledge(&mut self, kind: u8, payload: &[u8]) {
        // Whoever closes a connection does not wait for it.
        let _ = self.stream.get_mut().write_all(&frame(kind, ACK, CONNECTION, payload)).await;
    }

    async fn frame(&mut self) -> io::Result<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await?;
        let [l1, l2, l3, kind, flags, s1, s2, s3, s4] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, l1, l2, l3]) as usize];
        self.stream.read_exact(&mut payload).await?;
        Ok((kind, flags, u32::from_be_bytes([s1, s2, s3, s4]), payload))
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame is small").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Writes a header as a literal that nobody remembers (RFC 7541, section 6.2.2).
fn write_field(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    head.push(0);
    for text in [name.as_bytes(), value] {
        write_length(head, text.len());
        head.extend_from_slice(text);
    }
}

/// Writes an integer with a prefix of seven bits (RFC 7541, section 5.1).
fn write_length(head: &mut Vec<u8>, length: usize) {
    if length < 127 {
        return head.push(length as u8);
    }
    head.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        head.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    head.push(rest as u8);
}
