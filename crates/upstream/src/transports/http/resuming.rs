//! Takes up the stream of one answer behind its last event when it has ended before the answer (2025-11-25, transports:
//! resumability and polling). When that is tried, and how often, is settled here; that it is to be tried, by `scope`.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, StatusCode};

use super::{
    HttpConnection,
    events::{End, EventStream, MAX_RETRY},
    reply::{ContentKind, Resuming, content_kind},
    session::Home,
};
use crate::CallError;

/// How often one answer's stream is taken up again. A server may have a call polled for as long as it works on it, so
/// what ends that is the call's own time; with the pauses below, this many take hours.
const MAX_RESUMES: u32 = 10_000;
/// The first pause, if the server wants no longer one: a caller waits.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause, unless the server wants a longer one: what is polled for is had soon after it is there.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The pause after a stream that lived so long is the first one again.
const LIVED: Duration = Duration::from_secs(5);

/// How often a stream was taken up, and what is known of when the server wants that.
#[derive(Debug, Default)]
pub(super) struct Resumes {
    count: u32,
    /// How many of the last streams were short.
    short: u32,
    retry: Option<Duration>,
}

impl Resumes {
    /// Returns how long to wait before a stream that ended so is taken up again: longer each time, and never less than
    /// the server wants; `None` if that is too often, or longer than anybody would wait.
    pub(super) fn pause_after(&mut self, end: &End) -> Option<Duration> {
        // It holds until the server says something else (WHATWG HTML, section 9.2.6).
        self.retry = end.retry.or(self.retry);
        let wanted = self.retry.unwrap_or_default();
        if self.count == MAX_RESUMES || wanted > MAX_RETRY {
            return None;
        }
        if end.lived >= LIVED {
            self.short = 0;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.short.min(16)).min(LONGEST_PAUSE);
        (self.count, self.short) = (self.count + 1, self.short + 1);
        Some(pause.max(wanted))
    }
}

/// Opens the stream of an answer again, behind the event `last_id`, after a pause.
///
/// # Errors
/// [`CallError::Lost`] from the future if the server does not give it.
pub(super) fn take_up(
    connection: &Arc<HttpConnection>,
    home: Home,
    last_id: HeaderValue,
    pause: Duration,
) -> Resuming {
    let connection = Arc::clone(connection);
    Box::pin(async move {
        let lost = || connection.lost("its event stream could not be taken up again");
        tokio::time::sleep(pause).await;
        let opened = connection.open_stream(&home, Some(&last_id)).await;
        // What is lost already is counted.
        let response =
            opened.map_err(|error| if matches!(error, CallError::Lost { .. }) { error } else { lost() })?;
        let is_stream =
            response.status() == StatusCode::OK && content_kind(response.headers()) == ContentKind::Events;
        if !is_stream {
            return Err(lost());
        }
        let stream = EventStream::new(response.into_body(), connection.result_bytes);
        Ok(Box::new(stream.continuing(last_id)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(retry_ms: Option<u64>, lived: Duration) -> End {
        End { last_id: None, retry: retry_ms.map(Duration::from_millis), lived }
    }

    fn pauses<const N: usize>(ends: [End; N]) -> [Option<u128>; N] {
        let mut resumes = Resumes::default();
        ends.map(|end| resumes.pause_after(&end).map(|pause| pause.as_millis()))
    }

    #[test]
    fn pauses_grow_until_a_stream_lives() {
        let short = || ended(None, Duration::ZERO);
        let expected = [50, 100, 200, 400, 800, 1600, 2000, 2000].map(Some);
        assert_eq!(
            pauses([short(), short(), short(), short(), short(), short(), short(), short()]),
            expected
        );
        assert_eq!(pauses([short(), short(), ended(None, LIVED), short()]), [50, 100, 50, 100].map(Some));
    }

    #[test]
    fn the_server_is_never_asked_earlier_than_it_wants() {
        let short = |retry_ms| ended(retry_ms, Duration::ZERO);
        let ends = [short(Some(150)), short(None), short(None), short(Some(0)), short(Some(120_000))];
        assert_eq!(pauses(ends), [150, 150, 200, 400, 120_000].map(Some));
        let longest = u64::try_from(MAX_RETRY.as_millis()).unwrap();
        assert_eq!(pauses([short(Some(longest))]), [Some(u128::from(longest))]);
        assert_eq!(pauses([short(Some(longest + 1)), short(None), short(Some(1))]), [None, None, Some(50)]);
    }

    #[test]
    fn a_call_may_be_polled_for_but_not_for_ever() {
        let mut resumes = Resumes::default();
        let paused = std::iter::repeat_with(|| resumes.pause_after(&ended(None, Duration::ZERO)));
        let paused: Duration = paused.map_while(|pause| pause).sum();
        assert!(paused > Duration::from_secs(4 * 60 * 60), "{paused:?}");
    }
}
