//! Notices when a caller loses its right while something of it is still under way. Streams that tell it of what happens
//! end when it would not be let in any more as who it is: its token was revoked, replaced or changed, or has expired.
//! Calls finish with the right that they began with, unless the token was revoked or replaced; so do those whose client
//! is gone. One task looks at all grants for everybody who waits, and only while somebody does. Who is let in is decided
//! in `identity`; what ends with the right to it is the matter of whoever waits.

use std::{pin::Pin, sync::Arc, time::Duration};

use identity::{Authenticated, Identity};
use parking_lot::Mutex;
use tokio::{sync::watch, time::sleep};

/// How often the grants are looked at. An operator who revokes a token expects its streams to be closed within seconds;
/// one access of a file every two costs nothing.
pub(crate) const INTERVAL: Duration = Duration::from_secs(2);

/// Completes when the caller has lost its right.
pub(crate) type Lost = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tells whoever waits that the grants have changed.
#[derive(Debug)]
pub(crate) struct Vouching {
    identity: Arc<Identity>,
    /// Counts the changes.
    changes: watch::Sender<u64>,
    /// Whether there is a task that looks.
    is_watched: Mutex<bool>,
}

impl Vouching {
    pub(crate) fn new(identity: Arc<Identity>) -> Arc<Self> {
        Arc::new(Self { identity, changes: watch::Sender::new(0), is_watched: Mutex::new(false) })
    }

    /// Waits until a caller that came over HTTP would not be let in any more as who it is. Until it is polled it looks at
    /// nothing; then at the caller's own grant, once and again with each change of any. Needs a runtime with time.
    pub(crate) fn lost(self: &Arc<Self>, caller: &Authenticated) -> Lost {
        self.until_not(Identity::still_vouches, caller)
    }

    /// As [`Vouching::lost`], until what the caller has begun may not go on.
    pub(crate) fn revoked(self: &Arc<Self>, caller: &Authenticated) -> Lost {
        self.until_not(Identity::still_tolerates, caller)
    }

    /// As [`Vouching::revoked`], for what is usually over soon: it looks at nothing before [`INTERVAL`] has passed.
    pub(crate) async fn revoked_meanwhile(self: &Arc<Self>, caller: &Authenticated) {
        sleep(INTERVAL).await;
        self.revoked(caller).await;
    }

    fn until_not(
        self: &Arc<Self>,
        has_right: fn(&Identity, &Authenticated) -> bool,
        caller: &Authenticated,
    ) -> Lost {
        let (vouching, caller) = (Arc::clone(self), caller.clone());
        Box::pin(async move {
            // First, so that no change is missed after the look.
            let mut changes = vouching.subscribe();
            while has_right(&vouching.identity, &caller) && changes.changed().await.is_ok() {}
        })
    }

    fn subscribe(self: &Arc<Self>) -> watch::Receiver<u64> {
        let mut is_watched = self.is_watched.lock();
        let changes = self.changes.subscribe();
        if !std::mem::replace(&mut is_watched, true) {
            tokio::spawn(Arc::clone(self).watch());
        }
        changes
    }

    /// Looks until nobody waits.
    async fn watch(self: Arc<Self>) {
        let mut seen = None;
        loop {
            sleep(INTERVAL).await;
            if self.is_over() {
                return;
            }
            let now = Some(self.identity.grants());
            if seen != now {
                seen = now;
                self.changes.send_modify(|changes| *changes += 1);
            }
        }
    }

    /// Under the lock, so that whoever comes now finds the task or starts another one.
    fn is_over(&self) -> bool {
        let mut is_watched = self.is_watched.lock();
        *is_watched = self.changes.receiver_count() > 0;
        !*is_watched
    }
}

#[cfg(test)]
mod tests {
    use domain::{AgentId, AgentSource, SystemClock};
    use futures_util::FutureExt;
    use identity::{IdentitySettings, Peer, Presented, TokenHash, TokenRecord, config::TokenConfig};
    use serde_json::json;
    use tokio::time::timeout;

    use super::*;

    /// Far beyond what a busy machine needs.
    const LONG: Duration = Duration::from_secs(60);

    fn agent() -> (AgentId, AgentSource) {
        (AgentId::new("launched").unwrap(), AgentSource::Launch)
    }

    fn token(id: &str, secret: &str) -> TokenRecord {
        let hash = TokenHash::of(secret).to_string();
        let written = json!({"id": id, "hash": hash, "agent": id});
        serde_json::from_value::<TokenConfig>(written).unwrap().build().unwrap()
    }

    fn identity(configured: Vec<TokenRecord>) -> Arc<Identity> {
        let (agent, agent_source) = agent();
        let settings = IdentitySettings { agent, agent_source, configured, state_dir: None };
        Arc::new(Identity::new(settings, Arc::new(SystemClock)))
    }

    fn caller(identity: &Identity, secret: &str) -> Authenticated {
        identity.authenticate(Presented { bearer: Some(secret), peer: Peer::Network }).unwrap()
    }

    #[tokio::test]
    async fn who_lost_its_grant_is_told_and_others_wait_on() {
        let identity = identity(vec![token("ci", "leaked"), token("other", "kept")]);
        let vouching = Vouching::new(Arc::clone(&identity));
        let mut lost = vouching.lost(&caller(&identity, "leaked"));
        let mut kept = vouching.lost(&caller(&identity, "kept"));
        assert!(lost.as_mut().now_or_never().is_none() && kept.as_mut().now_or_never().is_none());
        // Only the secret is another.
        identity.reconfigure(agent().0, agent().1, vec![token("ci", "new"), token("other", "kept")]);
        timeout(LONG, lost).await.expect("it is told");
        assert!(kept.now_or_never().is_none());
    }

    #[tokio::test]
    async fn calls_of_a_changed_grant_finish_and_those_of_a_revoked_one_do_not() {
        let identity = identity(vec![token("ci", "secret")]);
        let vouching = Vouching::new(Arc::clone(&identity));
        let caller = caller(&identity, "secret");
        let mut revoked = vouching.revoked(&caller);
        let mut lost = vouching.lost(&caller);
        assert!(revoked.as_mut().now_or_never().is_none() && lost.as_mut().now_or_never().is_none());
        // The same secret is another agent's now.
        identity.reconfigure(agent().0, agent().1, vec![token("other", "secret")]);
        timeout(LONG, lost).await.expect("its streams end");
        assert!(revoked.as_mut().now_or_never().is_none(), "its calls go on");
        identity.reconfigure(agent().0, agent().1, Vec::new());
        timeout(LONG, revoked).await.expect("now they do not");
    }

    #[tokio::test]
    async fn what_is_over_soon_is_not_looked_after() {
        let identity = identity(vec![token("ci", "leaked")]);
        let vouching = Vouching::new(Arc::clone(&identity));
        let caller = caller(&identity, "leaked");
        let mut revoked = Box::pin(vouching.revoked_meanwhile(&caller));
        assert!(revoked.as_mut().now_or_never().is_none());
        assert!(!*vouching.is_watched.lock(), "nobody looks yet");
        identity.reconfigure(agent().0, agent().1, Vec::new());
        assert!(revoked.as_mut().now_or_never().is_none(), "it may be over any moment");
        timeout(LONG, revoked).await.expect("it was not over soon");
    }

    #[tokio::test]
    async fn who_lost_it_before_it_waits_is_told_at_once() {
        let identity = identity(vec![token("ci", "leaked")]);
        let vouching = Vouching::new(Arc::clone(&identity));
        let caller = caller(&identity, "leaked");
        identity.reconfigure(agent().0, agent().1, Vec::new());
        vouching.lost(&caller).now_or_never().expect("nothing is to be waited for");
    }

    #[tokio::test]
    async fn somebody_looks_only_while_somebody_waits() {
        let identity = identity(vec![token("ci", "secret")]);
        let vouching = Vouching::new(Arc::clone(&identity));
        let caller = caller(&identity, "secret");
        let waiting = || {
            let mut lost = vouching.lost(&caller);
            assert!(lost.as_mut().now_or_never().is_none());
            assert!(*vouching.is_watched.lock());
            lost
        };
        drop(waiting());
        let is_over = async {
            while *vouching.is_watched.lock() {
                sleep(INTERVAL / 20).await;
            }
        };
        timeout(LONG, is_over).await.expect("the task ends");
        let lost = waiting();
        identity.reconfigure(agent().0, agent().1, Vec::new());
        timeout(LONG, lost).await.expect("another one looks");
    }
}
