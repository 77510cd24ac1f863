//! A client's socket that waits for so long and not longer: one that takes nothing of what is sent to it is closed. The
//! bounds of an answer (`reply/watched.rs`) free what the answer holds, but do not reach the bytes that are written
//! already; these would stay, with their connection, for as long as the client likes.

use std::{
    future::Future as _,
    io::{self, IoSlice},
    os::fd::AsFd as _,
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

    /// Returns what came of writing `bytes`; an error when nothing could be written for too long.
    fn judge(
        &mut self,
        written: Poll<io::Result<usize>>,
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        if let Some(waiting) = &mut self.waiting {
            ready!(waiting.as_mut().poll(cx));
        }
        // Tried when the waiting begins, so that the socket is really full then, and when it ends: what goes in now was
        // taken out meanwhile.
        let written = write_anyway(&self.stream, bytes);
        if !written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            self.waiting = None;
            return Poll::Ready(written);
        }
        if self.waiting.is_none() {
            let waiting = self.waiting.insert(Box::pin(sleep(self.stall)));
            ready!(waiting.as_mut().poll(cx));
        }
        // Without this the system would keep what was not taken, and go on offering it.
        let _ = self.stream.set_zero_linger();
        tracing::info!("a connection was closed, because its client did not read");
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Writes as much as the socket takes, even when the system did not say that it takes something: it says so only when a
/// good part of a full socket, of megabytes, is free again, for which a slow reader may need longer than it may pause.
fn write_anyway(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut same = std::net::TcpStream::from(stream.as_fd().try_clone_to_owned()?);
    io::Write::write(&mut same, bytes)
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
        self.judge(written, bytes, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        let first = pieces.iter().find(|piece| !piece.is_empty());
        self.judge(written, first.map_or(&[], |piece| piece), cx)
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

    /// Fills the socket until nothing more goes in; returns how many bytes are in it.
    async fn fill(ours: &mut Patient) -> usize {
        let mut filled = 0;
        // Short of the stall: what was taken meanwhile belongs to the other side's own room.
        while let Ok(written) = tokio::time::timeout(STALL / 2, ours.write(&PIECE)).await {
            filled += written.unwrap();
        }
        filled
    }

    #[tokio::test]
    async fn who_takes_too_little_for_the_system_to_say_is_not() {
        let (mut ours, mut theirs) = pair().await;
        let filled = fill(&mut ours).await;
        // Enough that the sender may send again, and far from the third of its room that it would be woken for.
        let mut taken = vec![0; filled / 8];
        theirs.read_exact(&mut taken).await.unwrap();
        assert!(ours.write(&PIECE).await.unwrap() > 0);
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
