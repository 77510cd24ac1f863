//! One child process that serves many calls at once over its standard input and output.
//! Lines go out through `stdio/outbox` and come in through `stdio/reading`; which call they belong to is the work of
//! `pipe`. How the child is started and ended is `child`'s.

mod garbage;
mod outbox;
mod reading;

use std::sync::Arc;

use memchr::memchr2;
use parking_lot::Mutex;
use protocol::{Version, encode};

use self::{garbage::Garbage, outbox::Outbox};
use super::{
    Exchange, Opening,
    pipe::{Pipe, PipeReply, Way},
};
use crate::{
    CallError, News, SharedSession,
    child::{Child, Grace, Process},
};

/// A child and the calls in flight at it.
pub(crate) struct StdioConnection {
    outbox: Arc<Outbox>,
    pipe: Arc<Pipe>,
    process: Process,
    garbage: Mutex<Garbage>,
}

impl StdioConnection {
    /// Begins to speak with a started child.
    ///
    /// # Errors
    /// [`CallError::Unavailable`] when its pipes cannot be watched.
    pub(crate) fn open(child: Child, opening: Opening) -> Result<Arc<Self>, CallError> {
        let Child { stdin, stdout, process } = child;
        let outbox = Outbox::open(stdin, &opening.tasks).map_err(|error| CallError::Unavailable {
            server: opening.server.clone(),
            reason: format!("its standard input cannot be watched: {error}"),
        })?;
        let outbox = Arc::new(outbox);
        let pipe = Pipe::new(&opening, Arc::clone(&outbox) as Arc<dyn Way>);
        let connection = Arc::new(Self { outbox, pipe, process, garbage: Mutex::default() });
        // Its death would be the end of the child's output: it ends the connection on its way out.
        opening.tasks.spawn(reading::read(Arc::clone(&connection), stdout, opening.line_bytes));
        Ok(connection)
    }

    /// Writes a request: the line is written or queued when this returns. Waits only where interactive calls go one by
    /// one. Cancel safe.
    ///
    /// # Errors
    /// [`CallError::Unavailable`] when nothing was sent, [`CallError::Params`] when nothing could be.
    pub(crate) async fn request(&self, exchange: &Exchange<'_>) -> Result<PipeReply, CallError> {
        let (mut reply, message) = self.pipe.begin(exchange).await?;
        self.outbox.send(line(message)).map_err(|not_sent| {
            reply.forget_on_drop();
            self.pipe.unavailable(not_sent.reason())
        })?;
        Ok(reply)
    }

    /// Writes a notification without parameters.
    ///
    /// # Errors
    /// [`CallError::Unavailable`]: nothing was sent.
    pub(crate) fn notify(&self, method: &str) -> Result<(), CallError> {
        let sent = self.outbox.send(line(encode::notification(method, None)));
        sent.map_err(|not_sent| self.pipe.unavailable(not_sent.reason()))
    }

    /// See [`Connection::tell`](super::Connection::tell).
    pub(crate) fn tell_news(&self, client: &SharedSession, news: News) {
        self.pipe.tell_news(client, news);
    }

    /// Fixes the revision that is spoken.
    pub(crate) fn speak(&self, version: Version) {
        self.pipe.speak(version);
    }

    /// Waits for the end of the connection and returns why. Cancel safe.
    pub(crate) async fn closed(&self) -> String {
        self.pipe.closed().await
    }

    /// Tells whether nothing can be sent any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.outbox.is_closed()
    }

    /// Ends the child, giving it `grace`. Calls in flight are lost.
    pub(crate) async fn close(&self, grace: Grace) {
        self.end("the gateway stopped it");
        self.process.stop(grace).await;
    }

    /// Returns the child.
    pub(crate) const fn process(&self) -> &Process {
        &self.process
    }

    /// Returns the first things that the child wrote which are no messages, escaped and shortened.
    pub(crate) fn garbage(&self) -> Vec<String> {
        self.garbage.lock().samples()
    }

    /// Ends the connection: no more calls, and those in flight are lost. Only the first reason counts.
    fn end(&self, reason: &str) {
        self.outbox.close();
        self.pipe.end(reason);
    }
}

impl Way for Outbox {
    fn say(&self, message: Vec<u8>) {
        // When it cannot be sent, the server is gone or does not read, and would not act on it.
        let _ = self.send(line(message));
    }
}

/// Makes one line of JSON text: line ends can only stand between its tokens, where a space means the same.
fn line(mut message: Vec<u8>) -> Vec<u8> {
    let mut from = 0;
    while let Some(found) = memchr2(b'\n', b'\r', &message[from..]) {
        message[from + found] = b' ';
        from += found + 1;
    }
    message.push(b'\n');
    message
}
