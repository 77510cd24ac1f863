//! A client's socket that waits for so long and not longer: one that takes nothing of what is sent to it is closed. The
//! bounds of an answer (`reply/watched.rs`) free what the answer holds, but do not reach the bytes that are written
//! already; these would stay, with their connection, for as long as the client likes.

use std::{
    future::Future as _,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

/// A socket whose other side has to read now and then.
pub(super) struct Patient {
    stream: TcpStream,
    stall: Duration,
    /// Runs while the other side has taken nothing; most connections never need it.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    /// Takes a socket that may be full for `stall`.
    pub(super) const fn new(stream: TcpStream, stall: Duration) -> Self {
        Self { stream, stall, waiting: None }
    }

    /// Returns what came of writing; an error when nothing could be written for too long.
    fn judge<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let stall = self.stall;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(stall)));
        ready!(waiting.as_mut().poll(cx));
        // Without this the system would keep what was not taken, and go on offering it.
        let _ = self.stream.set_zero_linger();
        tracing::info!("a connection was closed, because its client did not read");
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.judge(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket has nothing to flush.
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        time::Instant,
    };

    use super::*;

    const STALL: Duration = Duration::from_millis(200);
    static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];

    async fn pair() -> (Patient, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Patient::new(listener.accept().await.unwrap().0, STALL), client)
    }

    #[tokio::test]
    async fn who_takes_nothing_is_cut_off() {
        let (mut ours, mut theirs) = pair().await;
        let mut last = Instant::now();
        let error = loop {
            match ours.write(&PIECE).await {
                Ok(_) => last = Instant::now(),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(last.elapsed() >= STALL);
        drop(ours);
        let mut taken = Vec::new();
        let broken = theirs.read_to_end(&mut taken).await.unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::ConnectionReset, "nothing is kept for it");
    }

    #[tokio::test]
    async fn who_takes_a_little_now_and_then_is_not() {
        let (mut ours, mut theirs) = pair().await;
        let until = Instant::now() + 4 * STALL;
        let writing = async {
            while Instant::now() < until {
                ours.write_all(&PIECE).await.unwrap()
            }
        };
        let reading = async {
            let mut piece = vec![0; 4 * 1024 * 1024];
            while Instant::now() < until {
                tokio::time::sleep(STALL / 4).await;
                assert_ne!(theirs.read(&mut piece).await.unwrap(), 0, "it is open");
            }
            // The writer may wait for room once more.
            tokio::io::copy(&mut theirs, &mut tokio::io::sink()).await.unwrap();
        };
        tokio::select! { () = writing => {}, () = reading => {} }
        ours.flush().await.unwrap();
    }
}
