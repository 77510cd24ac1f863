//! Every test ends: its own hard limit, the scale of its counts, and waiting for what has no event to wait for.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Builder;

/// Between two looks at something that cannot tell by itself that it has changed (processes, files, counters).
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// The usual limit of a test on a busy machine with two cores.
pub(crate) const USUAL: Duration = Duration::from_secs(60);

/// Runs a test within `limit`, after which it has failed.
#[track_caller]
pub(crate) fn within<T>(limit: Duration, test: impl Future<Output = T>) -> T {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let ended = runtime.block_on(async { tokio::time::timeout(limit, test).await });
    // Fake servers may still hold tasks; they are not waited for.
    runtime.shutdown_background();
    ended.unwrap_or_else(|_| panic!("the test took longer than {limit:?}"))
}

/// Multiplies a count by `TOOLGATE_TEST_SCALE` (default 1).
pub(crate) fn scaled(count: usize) -> usize {
    let scale =
        std::env::var("TOOLGATE_TEST_SCALE").ok().and_then(|scale| scale.parse::<f64>().ok()).unwrap_or(1.0);
    ((count as f64 * scale) as usize).max(1)
}

/// Looks until there is something to return; the test's limit bounds it.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(mut look: impl FnMut() -> F) -> T {
    loop {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Looks until `holds`, or panics with `what` after `limit`.
#[track_caller]
pub(crate) fn soon<'a>(
    what: &'a str,
    limit: Duration,
    mut holds: impl FnMut() -> bool + 'a,
) -> impl Future<Output = ()> + 'a {
    let place = std::panic::Location::caller();
    async move {
        let looking = eventually(|| std::future::ready(holds().then_some(())));
        if tokio::time::timeout(limit, looking).await.is_err() {
            panic!("{place}: not within {limit:?}: {what}");
        }
    }
}
