//! Line framing, whatever the pieces in which a stream arrives.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use proptest::prelude::*;
use tokio::io::{AsyncRead, ReadBuf};
use upstream::child::{Line, LineReader};

/// Gives out its bytes in the given pieces.
struct Pieces(Vec<Vec<u8>>);

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.0.retain(|piece| !piece.is_empty());
        if let Some(piece) = self.0.first_mut() {
            let rest = piece.split_off(piece.len().min(buf.remaining()));
            buf.put_slice(&std::mem::replace(piece, rest));
        }
        Poll::Ready(Ok(()))
    }
}

fn read(pieces: Vec<Vec<u8>>, max_line_bytes: usize) -> Vec<Option<Vec<u8>>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut reader = LineReader::new(Pieces(pieces), max_line_bytes);
        let mut lines = Vec::new();
        while let Some(line) = reader.next().await.expect("pieces never fail") {
            lines.push(match line {
                Line::Message(bytes) => Some(bytes.to_vec()),
                Line::TooLong => None,
            });
        }
        assert_eq!(reader.next().await.expect("pieces never fail"), None, "the end stays the end");
        lines
    })
}

/// What is to come out, said in the plainest way.
fn expected(stream: &[u8], max_line_bytes: usize) -> Vec<Option<Vec<u8>>> {
    let mut lines = Vec::new();
    for (index, line) in stream.split(|byte| *byte == b'\n').enumerate() {
        if line.len() > max_line_bytes {
            lines.push(None);
            continue;
        }
        let line = if index == 0 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.iter().all(u8::is_ascii_whitespace) {
            lines.push(Some(line.to_vec()));
        }
    }
    lines
}

const STREAMS: [&[u8]; 14] = [
    b"",
    b"\n",
    b"{}\n",
    b"{}",
    b"{}\r\n[]\r\n",
    b"\xef\xbb\xbf{}\n\xef\xbb\xbf{}\n",
    b"\xef\xbb\xbf\n{}\n",
    b"\xef\xbb\xbf\r",
    b"\n\r\n  \t\n{}\n\n",
    b"\xff\xfe\0garbage\n{\"a\":\"\xc3",
    b"{}{}\n",
    b"0123456789abcdef0123456789\n{}\n",
    b"0123456789abcdef\r\n0123456789abcde\r\n0123456789abcdef",
    b"0123456789abcdef0123456789abcdef",
];

#[test]
fn streams_are_cut_alike_at_every_split() {
    for stream in STREAMS {
        let whole = expected(stream, 16);
        for cut in 0..=stream.len() {
            let (head, tail) = stream.split_at(cut);
            assert_eq!(read(vec![head.to_vec(), tail.to_vec()], 16), whole, "{stream:?} cut at {cut}");
        }
        let bytewise = stream.iter().map(|byte| vec![*byte]).collect();
        assert_eq!(read(bytewise, 16), whole, "{stream:?} byte by byte");
    }
}

#[test]
fn a_line_of_some_megabytes_arrives_whole_and_the_next_one_too() {
    let large = vec![b'x'; 5 << 20];
    let mut stream = large.clone();
    stream.extend_from_slice(b"\nnext\n");
    let pieces = stream.chunks(4096).map(<[u8]>::to_vec).collect();
    assert_eq!(read(pieces, 16 << 20), [Some(large), Some(b"next".to_vec())]);
}

/// The reader of a stream without line ends holds no more than the bound (R06).
#[test]
fn r06_fifty_megabytes_without_a_line_end_are_reported_once() {
    let mut pieces = vec![vec![b'x'; 1 << 20]; 50];
    pieces.push(b"\n{}\n".to_vec());
    assert_eq!(read(pieces, 1 << 20), [None, Some(b"{}".to_vec())]);
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let bytes =
        prop_oneof![4 => Just(b'\n'), 2 => Just(b'\r'), 2 => Just(b' '), 1 => Just(0xef), 6 => any::<u8>()];
    prop::collection::vec(bytes, 0..12)
}

proptest! {
    #[test]
    fn any_stream_in_any_pieces(pieces in prop::collection::vec(piece(), 0..12), bound in 0_usize..20) {
        let stream = pieces.concat();
        prop_assert_eq!(read(pieces, bound), expected(&stream, bound));
    }
}
