//! The task that reads a child's standard output and brings each message to where it belongs.
//! What is no message is dropped and counted; only a line beyond all bounds ends the child.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{process::ChildStdout, time};

use super::StdioConnection;
use crate::child::{Line, LineReader};

/// How long output is still read after the child's end. Its last answers are there already.
const LAST_LINES: Duration = Duration::from_millis(100);
/// How long the end of the output waits for the end of the child, which says more.
const EXIT_WAIT: Duration = Duration::from_millis(300);

/// Reads until the output ends, the child ends, or it must be ended; then ends the connection.
pub(super) async fn read(connection: Arc<StdioConnection>, stdout: ChildStdout, line_bytes: usize) {
    let mut lines = LineReader::new(stdout, line_bytes);
    let mut over = pin!(input_or_child_over(&connection));
    let reason = loop {
        let line = tokio::select! {
            biased;
            line = lines.next() => line,
            () = &mut over => break None,
        };
        match line {
            Ok(Some(Line::Message(line))) => connection.take(&line),
            Ok(Some(Line::TooLong)) => {
                break Some(format!("it wrote a line of more than {line_bytes} bytes"));
            }
            Ok(None) | Err(_) => break None,
        }
    };
    let reason = match reason {
        Some(reason) => reason,
        None => connection.why_over().await,
    };
    connection.end(&reason);
}

/// Waits until the child is gone, or does not hear us any more, and a little longer for its last lines.
async fn input_or_child_over(connection: &StdioConnection) {
    tokio::select! {
        _ = connection.process.wait() => {}
        () = connection.outbox.closed() => {}
    }
    time::sleep(LAST_LINES).await;
}

impl StdioConnection {
    /// Says why there is no more output, best by how the child ended.
    async fn why_over(&self) -> String {
        match time::timeout(EXIT_WAIT, self.process.wait()).await {
            Ok(exit) => format!("it {exit}"),
            Err(_) => "it closed its standard input or output".to_owned(),
        }
    }

    /// Brings the message in one line to where it belongs.
    fn take(&self, line: &Bytes) {
        if self.pipe.take(line).is_err() {
            self.garbage.lock().note(&self.process, line);
        }
    }
}
