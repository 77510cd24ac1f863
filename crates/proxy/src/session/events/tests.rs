//! Streams that break and are taken up again, without a network.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::task::TaskTracker;

use super::{reader::Reader, *};

type Sender = UnboundedSender<std::io::Result<Piece>>;
type Source = Pin<Box<dyn futures_util::Stream<Item = std::io::Result<Piece>> + Send>>;

/// The number of the first stream; the one after the next begins anew.
const FIRST: u64 = u64::MAX - 1;

fn streams() -> EventStreams {
    let mut streams = EventStreams::starting_at(FIRST);
    streams.keep_within(Budget::new(ALL_BYTES));
    streams
}

fn source() -> (Sender, Source) {
    let (sender, receiver) = unbounded_channel();
    let next = |mut receiver: UnboundedReceiver<_>| async move { Some((receiver.recv().await?, receiver)) };
    (sender, Box::pin(futures_util::stream::unfold(receiver, next)))
}

fn message(number: usize) -> Piece {
    Piece::Messages(vec![number.to_string().into()])
}

fn last(text: &str) -> Piece {
    Piece::Last(Bytes::copy_from_slice(text.as_bytes()))
}

/// Waits for the next event; returns its number and data.
async fn next(reader: &mut Reader) -> Option<(u64, String)> {
    loop {
        let chunk = reader.next().await?.expect("a sound stream");
        let text = std::str::from_utf8(&chunk).unwrap();
        let line = |name| text.lines().find_map(|line: &str| line.strip_prefix(name));
        let Some(data) = line("data: ") else { continue };
        let id: Option<EventId> = line("id: ").map(|id| id.parse().unwrap());
        return Some((id.map_or(0, |id| id.number), data.to_owned()));
    }
}

async fn rest(mut reader: Reader) -> Vec<(u64, String)> {
    let mut events = Vec::new();
    while let Some(event) = next(&mut reader).await {
        events.push(event);
    }
    events
}

#[tokio::test]
async fn a_stream_cut_anywhere_goes_on_without_loss_or_repetition() {
    const COUNT: usize = 6;
    let streams = streams();
    for cut in 0..=COUNT {
        // What is sent while the client is there, while it is away, and after it came back.
        for back in cut..=COUNT {
            let tasks = TaskTracker::new();
            let (sender, source) = source();
            let stream = streams.open(StreamKind::Call, Some(1.into()));
            let mut reader = stream.begin(source, Greeting::Priming, Leaving::GoOn(tasks.clone()));
            let mut seen = Vec::new();
            for number in 1..=cut {
                sender.send(Ok(message(number))).unwrap();
                seen.push(next(&mut reader).await.unwrap());
            }
            drop(reader);
            for number in cut + 1..=back {
                sender.send(Ok(message(number))).unwrap();
            }
            if back == COUNT {
                sender.send(Ok(last("done"))).unwrap();
            }
            let event = stream.id().event(cut as u64);
            let found = streams.find(event).expect("it is known");
            let reader = found.resume(event.number, None, Leaving::GoOn(tasks));
            for number in back + 1..=COUNT {
                sender.send(Ok(message(number))).unwrap();
            }
            if back < COUNT {
                sender.send(Ok(last("done"))).unwrap();
            }
            drop(sender);
            seen.extend(rest(reader).await);
            let expected: Vec<_> = (1..=COUNT).map(|number| (number as u64, number.to_string())).collect();
            assert_eq!(seen[..COUNT], expected, "cut after {cut}, back after {back}");
            assert_eq!(seen[COUNT..], [(COUNT as u64 + 1, "done".to_owned())]);
        }
    }
}

#[tokio::test]
async fn a_newer_reader_takes_over() {
    let streams = streams();
    let tasks = TaskTracker::new();
    let (sender, source) = source();
    let stream = streams.open(StreamKind::Call, Some(1.into()));
    let mut first = stream.begin(source, Greeting::None, Leaving::GoOn(tasks.clone()));
    sender.send(Ok(message(1))).unwrap();
    sender.send(Ok(message(2))).unwrap();
    assert_eq!(next(&mut first).await.unwrap().1, "1");
    // It waits, and is told.
    let first = tokio::spawn(async move {
        let second = next(&mut first).await;
        (second, next(&mut first).await)
    });
    tokio::task::yield_now().await;
    let mut newer = stream.resume(1, None, Leaving::GoOn(tasks.clone()));
    assert_eq!(next(&mut newer).await.unwrap(), (2, "2".to_owned()));
    assert_eq!(first.await.unwrap(), (Some((2, "2".to_owned())), None), "the older one is over");
    sender.send(Ok(last("3"))).unwrap();
    drop(sender);
    assert_eq!(rest(newer).await, [(3, "3".to_owned())]);
    // Whoever comes back again gets the same again.
    let again = rest(stream.resume(0, None, Leaving::End)).await;
    assert_eq!(again.into_iter().map(|(number, _)| number).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test]
async fn a_large_answer_goes_on_in_its_middle_while_it_fits() {
    for (size, fits) in [(1_000, true), (300_000, false)] {
        let streams = streams();
        let tasks = TaskTracker::new();
        let (sender, source) = source();
        let stream = streams.open(StreamKind::Call, Some(1.into()));
        let mut reader = stream.begin(source, Greeting::None, Leaving::GoOn(tasks.clone()));
        let text = Bytes::from("x".repeat(size));
        sender.send(Ok(Piece::Begin(Bytes::from_static(b"[")))).unwrap();
        sender.send(Ok(Piece::More(text.clone()))).unwrap();
        reader.next().await.unwrap().unwrap();
        reader.next().await.unwrap().unwrap();
        drop(reader);
        let resumed = stream.resume(0, None, Leaving::GoOn(tasks));
        let _ = sender.send(Ok(Piece::End(Bytes::from_static(b"]"))));
        drop(sender);
        let chunks: Vec<Bytes> = resumed.map(|chunk| chunk.unwrap()).collect().await;
        let body = String::from_utf8(chunks.concat()).unwrap();
        if fits {
            assert!(body.ends_with(&format!("data: [{}]\n\n", "x".repeat(size))), "{body}");
        } else {
            assert!(body.contains(r#""id":1,"#) && body.contains("-32603"), "{body}");
        }
    }
}

#[tokio::test]
async fn without_room_a_stream_cannot_be_taken_up_and_says_so() {
    let streams = EventStreams::starting_at(FIRST);
    let (sender, source) = source();
    let stream = streams.open(StreamKind::Call, Some(7.into()));
    sender.send(Ok(message(1))).unwrap();
    sender.send(Ok(last("2"))).unwrap();
    drop(sender);
    assert_eq!(rest(stream.begin(source, Greeting::None, Leaving::End)).await.len(), 2);
    let [(0, error)] = &rest(stream.resume(1, None, Leaving::End)).await[..] else { panic!("one event") };
    assert!(error.contains(r#""id":7,"#) && error.contains("not kept"), "{error}");
    assert_eq!(rest(stream.resume(2, None, Leaving::End)).await, [], "it has everything");
}

#[tokio::test]
async fn a_standing_stream_ends_with_its_reader_and_begins_anew() {
    let streams = streams();
    let (sender, first) = source();
    let stream = streams.open(StreamKind::Standing, None);
    let mut reader = stream.begin(first, Greeting::Priming, Leaving::End);
    sender.send(Ok(message(1))).unwrap();
    assert_eq!(next(&mut reader).await.unwrap().0, 1);
    drop(reader);
    assert!(sender.is_closed() && stream.quiet_since().is_some());
    let (sender, second) = source();
    let mut reader = stream.resume(0, Some(second), Leaving::End);
    assert!(stream.quiet_since().is_none());
    sender.send(Ok(message(2))).unwrap();
    assert_eq!(next(&mut reader).await.unwrap(), (1, "1".to_owned()), "what it missed comes first");
    assert_eq!(next(&mut reader).await.unwrap(), (2, "2".to_owned()));
}

#[tokio::test]
async fn streams_are_bounded_and_forgotten() {
    let streams = streams();
    let (sender, source) = source();
    let living = streams.open(StreamKind::Call, Some(1.into()));
    let reader = living.begin(source, Greeting::None, Leaving::End);
    let mut over = Vec::new();
    for _ in 0..MAX_STREAMS + 5 {
        let stream = streams.open(StreamKind::Call, Some(1.into()));
        let answer = futures_util::stream::iter([Ok(last(&"x".repeat(60_000)))]);
        rest(stream.begin(Box::pin(answer), Greeting::None, Leaving::End)).await;
        over.push(stream.id());
    }
    let known = |id: &StreamId| streams.find(id.event(1)).is_some();
    assert!(!known(&over[0]) && known(over.last().unwrap()));
    assert!(streams.find(living.id().event(0)).is_some(), "one that lives stays");
    assert!(streams.find(living.id().event(1)).is_none(), "there was no such event");
    let taken = || streams.table.lock().as_ref().unwrap().budget.taken();
    assert!(taken() <= SESSION_BYTES, "{}", taken());
    streams.forget_old(Instant::now() + KEPT_FOR);
    assert_eq!((known(over.last().unwrap()), taken()), (false, 0));
    drop((sender, reader));
    assert!(streams.find(StreamId::new(StreamKind::Standing, 1).event(0)).is_none(), "of another kind");
}

#[tokio::test]
async fn a_waiting_message_gets_the_room_of_streams_that_are_over() {
    let streams = streams();
    let mut open = Vec::new();
    for _ in 0..4 {
        let (sender, source) = source();
        let stream = streams.open(StreamKind::Call, Some(1.into()));
        open.push((sender, stream.begin(source, Greeting::None, Leaving::End), stream));
    }
    for (sender, reader, _) in &mut open {
        sender.send(Ok(message(1))).unwrap();
        sender.send(Ok(last(&"x".repeat(240_000)))).unwrap();
        assert_eq!((next(reader).await.unwrap().0, next(reader).await.unwrap().0), (1, 2));
    }
    let taken = || streams.own().taken();
    let before = taken();
    assert!(before > 4 * 240_000 && streams.room(SESSION_BYTES - 4 * 240_000).is_err(), "{before}");
    assert_eq!(taken(), before, "those that live keep their own");
    for over in open.split_off(1) {
        drop(over);
    }
    assert!(streams.room(SESSION_BYTES / 2).is_ok());
    assert!((240_000..250_000).contains(&taken()), "{}", taken());
    assert!(streams.room(SESSION_BYTES).is_err());
    assert!(EventStreams::starting_at(FIRST).room(usize::MAX).is_ok(), "a session that shares nothing");
}
