//! Properties of the reader of event streams: chunks make no difference, and it reads what a plain reader of whole
//! streams reads that is written here from the standard (WHATWG HTML, section 9.2.6).

use std::time::{Duration, Instant};

use proptest::{collection::vec, prelude::*, sample::Index};
use protocol::sse::{Decoder, Event, TooLarge, encode};

/// More than any stream here has.
const ROOMY: usize = 1 << 20;

/// What a stream came to: its events, and whether it had to be given up after them.
type Reading = (Vec<Event>, Result<(), TooLarge>);

/// Reads a stream as these chunks.
fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, max_event_bytes: usize) -> Reading {
    let mut decoder = Decoder::new(max_event_bytes);
    let mut events = Vec::new();
    for chunk in chunks {
        decoder.feed(chunk);
        loop {
            match decoder.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(too_large) => return (events, Err(too_large)),
            }
        }
    }
    (events, Ok(()))
}

/// The lines of a whole stream that have an end.
fn lines(stream: &[u8]) -> Vec<&[u8]> {
    let mut rest = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let mut lines = Vec::new();
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        lines.push(&rest[..end]);
        rest = if rest[end..].starts_with(b"\r\n") { &rest[end + 2..] } else { &rest[end + 1..] };
    }
    lines
}

/// Reads a whole stream. Beyond the standard, an event without data counts when it names an id or a time.
fn reference(stream: &[u8]) -> Vec<Event> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (mut events, mut event, mut data) = (Vec::new(), Event::default(), None::<Vec<u8>>);
    for line in lines(stream) {
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = if value.starts_with(b" ") { &value[1..] } else { value };
        match name {
            b"" if line.is_empty() => {
                let mut whole = std::mem::take(&mut event);
                if data.is_some() || whole.id.is_some() || whole.retry_ms.is_some() {
                    whole.data = data.take().unwrap_or_default().into();
                    events.push(whole);
                }
            }
            b"data" => match &mut data {
                Some(data) => data.extend([b"\n", value].concat()),
                None => data = Some(value.to_vec()),
            },
            b"event" => event.event = text(value),
            b"id" if !value.contains(&0) => event.id = Some(text(value)),
            b"retry" if value.iter().all(u8::is_ascii_digit) => {
                event.retry_ms = text(value).parse().ok().or(event.retry_ms);
            }
            _ => {}
        }
    }
    events
}

fn line_end() -> impl Strategy<Value = &'static [u8]> {
    prop_oneof![3 => Just(&b"\n"[..]), 2 => Just(&b"\r\n"[..]), 2 => Just(&b"\r"[..])]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[ :]{0,2}[a-zä€😀]{0,6}".prop_map(String::into_bytes),
        1 => Just(b"a\0b".to_vec()),
        1 => Just(b"\xff\xc3".to_vec()),
        1 => Just("\u{feff}".into()),
        1 => "[0-9]{0,3}|[+-][0-9]|[0-9]{25}| 7|7 ".prop_map(String::into_bytes),
    ]
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        4 => Just("data"),
        2 => Just("id"),
        2 => Just("event"),
        2 => Just("retry"),
        1 => Just(""),
        1 => prop::sample::select(&["Data", "dat", "data ", " data", "idx", "unknown"][..]),
    ];
    let colon = prop_oneof![4 => Just(": "), 4 => Just(":"), 1 => Just("")];
    let field = (name, colon, value())
        .prop_map(|(name, colon, value)| [name.as_bytes(), colon.as_bytes(), &value].concat());
    prop_oneof![6 => field, 1 => Just(b"data".to_vec()), 3 => Just(Vec::new())]
}

/// Streams with everything that may stand in one, an unfinished end and a byte order mark included.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let lines = vec((line(), line_end()), 0..24).prop_map(|lines| {
        lines.into_iter().flat_map(|(line, end)| [&line[..], end].concat()).collect::<Vec<u8>>()
    });
    let before = prop_oneof![
        4 => Just(""),
        1 => Just("\u{feff}"),
        1 => Just("\u{feff}\u{feff}"),
        1 => Just("\n\u{feff}"),
    ];
    let unfinished = prop_oneof![Just(Vec::new()), line()];
    (before, lines, unfinished)
        .prop_map(|(before, lines, unfinished)| [before.as_bytes(), &lines, &unfinished].concat())
}

/// Cuts a stream at these places; chunks may be empty.
fn cut<'a>(stream: &'a [u8], places: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(stream.len() + 1)).collect();
    places.sort_unstable();
    let starts = std::iter::once(0).chain(places.iter().copied());
    let ends = places.iter().copied().chain([stream.len()]);
    starts.zip(ends).map(|(start, end)| &stream[start..end]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn a_whole_stream_is_read_as_the_reference_reads_it(stream in stream()) {
        prop_assert_eq!(read([&stream[..]], ROOMY), (reference(&stream), Ok(())));
    }

    #[test]
    fn every_split_gives_the_same_events(stream in stream(), places in vec(any::<Index>(), 0..8)) {
        prop_assert_eq!(read(cut(&stream, &places), ROOMY), (reference(&stream), Ok(())));
        prop_assert_eq!(read(stream.chunks(1), ROOMY), (reference(&stream), Ok(())));
    }

    #[test]
    fn every_split_is_refused_at_the_same_event(
        stream in stream(),
        places in vec(any::<Index>(), 0..8),
        bound in 0usize..24,
    ) {
        let whole = read([&stream[..]], bound);
        prop_assert_eq!(&read(cut(&stream, &places), bound), &whole);
        prop_assert_eq!(&read(stream.chunks(1), bound), &whole);
        prop_assert!(whole.0.iter().all(|event| event.data.len() <= bound));
        prop_assert!(reference(&stream).starts_with(&whole.0));
    }

    #[test]
    fn no_bytes_make_it_panic(stream in vec(any::<u8>(), 0..200), places in vec(any::<Index>(), 0..4)) {
        prop_assert_eq!(read(cut(&stream, &places), ROOMY), (reference(&stream), Ok(())));
    }

    #[test]
    fn what_is_written_is_one_event_with_the_same_tokens(message in "[\\[\\]{}:,\"0-9a-zä \n\r]{0,40}") {
        let (events, end) = read([&encode(message.as_bytes())[..]], ROOMY);
        prop_assert_eq!(end, Ok(()));
        prop_assert_eq!(events.len(), 1);
        prop_assert_eq!(&events[0].event, "message");
        let data = std::str::from_utf8(&events[0].data).unwrap();
        prop_assert_eq!(data, message.replace("\r\n", "\n").replace('\r', "\n"));
    }
}

/// A million lines took minutes when each was joined to a copy of those before it.
#[test]
fn very_many_data_lines_take_no_longer_than_their_bytes() {
    let stream = "data:\n".repeat(200_000) + "\n";
    let (events, end) = read([stream.as_bytes()], ROOMY);
    assert_eq!((events.len(), end), (1, Ok(())));
    assert_eq!(events[0].data.len(), 200_000 - 1);
}

/// However small the pieces of a line, what has come is not looked at again with each of them: that would take minutes
/// here, and takes a fraction of a second.
#[test]
fn a_long_line_in_small_pieces_is_looked_at_once() {
    const LINE: usize = 16 << 20;
    const PIECE: [u8; 16] = [b'x'; 16];
    for beginning in ["data: ", "", "other: ", "data"] {
        let mut decoder = Decoder::new(2 * LINE);
        let began = Instant::now();
        decoder.feed(beginning.as_bytes());
        for _ in 0..LINE / PIECE.len() {
            decoder.feed(&PIECE);
            assert_eq!(decoder.next_event(), Ok(None));
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{beginning:?} {:?}", began.elapsed());
    }
}
