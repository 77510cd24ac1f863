//! The stdio door: what a client launches. One message per line, both eras on the same pipe; what the messages mean
//! is `duplex`'s. How long requests may take once the gateway stops is `drain`'s: reader, writer and requests are all
//! tracked there.

use std::{io, sync::Arc};

use bytes::Bytes;
use catalog::View;
use identity::{Peer, Presented};
use protocol::{Malformed, Message, code, encode};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter},
    sync::mpsc,
    task::JoinHandle,
};
use upstream::child::{Line, LineReader};

use crate::{
    Proxy,
    admission::{self, Door, Viewpoint},
    answer, batch,
    duplex::{Arrival, Duplex},
};

/// What the program that launched us shows.
const LAUNCHER: Presented<'static> = Presented { bearer: None, peer: Peer::Stdio };

/// How the stdio door behaves.
#[derive(Debug, Clone)]
pub struct StdioSettings {
    /// What the client is shown.
    pub view: View,
}

/// The client on the other end of the pipe. Dropping it ends its session.
struct Connection {
    proxy: Arc<Proxy>,
    duplex: Arc<Duplex>,
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
    let viewpoint = Viewpoint { caller, door: Door::Stdio, view: settings.view };
    let (duplex, messages) = Duplex::new(proxy.clone(), viewpoint);
    proxy.drain.tasks().spawn(async move {
        if let Err(error) = write_messages(messages, output).await {
            tracing::debug!(%error, "the stdio client does not read any more");
        }
    });
    Connection { proxy, duplex }.read(input).await
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
    async fn read(&self, input: impl AsyncRead + Unpin) -> io::Result<()> {
        let mut lines = LineReader::new(input, self.proxy.limits.line_bytes());
        loop {
            let line = tokio::select! {
                biased;
                () = self.proxy.drain.stopping().cancelled() => return Ok(()),
                () = self.duplex.unread() => return Ok(()),
                line = lines.next() => line?,
            };
            match line {
                Some(Line::Message(line)) => self.take(&line).await,
                Some(Line::TooLong) => {
                    let text = format!("the message is longer than {} bytes", self.proxy.limits.line_bytes());
                    self.duplex.send(encode::error(None, code::INVALID_REQUEST, &text, None).into()).await;
                }
                None => return Ok(()),
            }
        }
    }

    async fn take(&self, line: &Bytes) {
        let taken = if batch::is_batch(line) && self.duplex.has_batches() {
            self.take_batch(line)
        } else {
            self.take_message(line).await
        };
        if let Err(malformed) = taken {
            self.duplex.send(batch::refuse_malformed(&malformed)).await;
        }
    }

    async fn take_message(&self, line: &Bytes) -> Result<(), Malformed> {
        self.duplex.take(Message::parse(line)?, self.arrival()).await;
        Ok(())
    }

    fn take_batch(&self, line: &Bytes) -> Result<(), Malformed> {
        let texts = batch::split(line)?;
        self.duplex.take_batch(texts.iter().map(Message::parse).collect(), &self.arrival());
        Ok(())
    }

    /// The launcher is vouched for anew with each message: the configuration may since have named another agent.
    fn arrival(&self) -> Arrival {
        Arrival { caller: admission::authenticate(&self.proxy, LAUNCHER).ok(), passed: 0 }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.duplex.close();
    }
}
