//! Keeps a server telling us what we want to hear outside calls. A modern server is asked by `subscriptions/listen`:
//! for changes of its lists, and of the resources and tasks that are watched. When others are watched, it is asked anew,
//! and the subscription before is ended when it has agreed: nothing falls between. A legacy server is asked for each
//! resource (`watching/subscribing`), and needs not be asked for the rest.

mod narrowing;
mod stream;

use std::{collections::HashSet, convert::Infallible, future::pending, pin::pin, time::Duration};

use protocol::{Era, Object, TASKS_EXTENSION, Version, code};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};

pub(crate) use self::stream::{Heard, LISTEN, NotOpen, granted};
use self::{
    narrowing::{Narrowing, Step},
    stream::{RESOURCES, Stream, TASKS},
};
use crate::{
    backoff::Backoff,
    handshake::Greeting,
    inbox::SubscriptionMail,
    own_request::Asker,
    transports::Connection,
    watching::{
        WatchError,
        interests::{Phase, Tenure},
        subscribing,
        topic::{Kind, Topic, names_of},
    },
};

/// A subscription that lived so long was no failure, whatever ended it.
const LIVED: Duration = Duration::from_secs(5);
/// How long a server may take to acknowledge. One that does not is heard all the same, but agreed to nothing.
const ACKNOWLEDGEMENT_LIMIT: Duration = Duration::from_secs(10);
/// Resources that are watched in quick succession are asked for together.
const GATHER: Duration = Duration::from_millis(10);

/// Which changes can be asked for: the capability that must be declared with `listChanged`, and the filter's member.
const LIST_CHANGES: [(&str, &str); 3] =
    [("tools", "toolsListChanged"), ("prompts", "promptsListChanged"), ("resources", "resourcesListChanged")];

/// Keeps the subscriptions; never returns. Dropped, it ends them. After a gap it signals `lists_changed`, because what
/// happened meanwhile was not heard; watchers are told by the tenure.
pub(crate) async fn keep(
    asker: Asker<'_>,
    greeting: &Greeting,
    lists_changed: &Notify,
    mail: SubscriptionMail,
    tenure: Tenure,
) -> Infallible {
    let offers = Offers::read(&greeting.capabilities);
    match (asker.connection, greeting.version.era()) {
        (Connection::Builtin(_), _) => subscribing::refuse(tenure).await,
        (Connection::Stdio(_) | Connection::Http(_) | Connection::Sse(_), Era::Legacy)
            if offers.resources =>
        {
            subscribing::keep(asker, tenure, &mail.session_renewed).await
        }
        (Connection::Stdio(_) | Connection::Http(_) | Connection::Sse(_), Era::Legacy) => {
            subscribing::refuse(tenure).await
        }
        (Connection::Stdio(_) | Connection::Http(_) | Connection::Sse(_), Era::Modern) => {
            let listening = Listening {
                asker,
                version: greeting.version,
                offers,
                lists_changed,
                mail,
                tenure,
                open: None,
                has_gap: false,
                ended: None,
                retry: Duration::ZERO,
                backoff: Backoff::default(),
            };
            listening.keep().await
        }
    }
}

/// What a server says it tells of.
#[derive(Debug, Default, PartialEq, Eq)]
struct Offers {
    /// Members of the filter for changes of lists.
    lists: Vec<&'static str>,
    /// Whether single resources can be subscribed to.
    resources: bool,
    /// Whether there are tasks.
    tasks: bool,
}

/// The subscriptions of one modern connection.
struct Listening<'a> {
    asker: Asker<'a>,
    version: Version,
    offers: Offers,
    lists_changed: &'a Notify,
    mail: SubscriptionMail,
    tenure: Tenure,
    open: Option<Open>,
    /// A subscription has ended, and none was opened since.
    has_gap: bool,
    /// A subscription was ended by the server, which wants at least so long a pause before the next.
    ended: Option<Duration>,
    /// The server wants at least so long a pause before it is asked again.
    retry: Duration,
    backoff: Backoff,
}

/// A subscription that is open.
struct Open {
    stream: Stream,
    topics: Vec<Topic>,
    since: Instant,
}

/// How asking anew went.
enum Renewed {
    Done,
    /// The server refuses this.
    Refused(WatchError),
    /// The server knows no subscriptions.
    Unsupported,
    /// It may work another time.
    NotNow,
}

/// How far it is found out what a server refuses.
enum Answered {
    /// All is settled, or to be asked anew.
    All,
    /// It may be found out another time.
    NotNow,
}

impl Offers {
    fn read(capabilities: &[u8]) -> Self {
        let Ok(declared) = Object::parse(capabilities, &[]) else { return Self::default() };
        let says = |capability: &str, member: &str| {
            let settings = declared.get(capability).and_then(|text| Object::parse(text.as_bytes(), &[]).ok());
            settings.is_some_and(|settings| settings.get(member) == Some("true"))
        };
        let lists = LIST_CHANGES.iter().filter(|(capability, _)| says(capability, "listChanged"));
        let extensions = declared.get("extensions").and_then(|text| Object::parse(text.as_bytes(), &[]).ok());
        Self {
            lists: lists.map(|(_, member)| *member).collect(),
            resources: says("resources", "subscribe"),
            tasks: extensions.is_some_and(|extensions| extensions.get(TASKS_EXTENSION).is_some()),
        }
    }

    const fn include(&self, kind: Kind) -> bool {
        match kind {
            Kind::Resource => self.resources,
            Kind::Task => self.tasks,
        }
    }
}

impl Listening<'_> {
    async fn keep(mut self) -> Infallible {
        loop {
            if let Some(retry) = self.ended.take() {
                let pause = self.backoff.next().max(retry);
                self.meanwhile(sleep(pause)).await;
            }
            let topics = self.tenure.claim();
            if self.refuse_foreign(&topics) {
                continue;
            }
            if self.offers.lists.is_empty() && topics.is_empty() {
                self.open = None;
                self.tenure.stirred().await;
                continue;
            }
            // What the open one was for may have been left or refused since, and be wanted again: that is asked for.
            let is_settled = self.tenure.asked_of(&topics).is_empty();
            let is_up_to_date = is_settled && self.open.as_ref().is_some_and(|open| open.topics == topics);
            if is_up_to_date || self.ask(&topics).await {
                self.follow().await;
            }
        }
    }

    /// Asks for `topics`; tells whether a subscription for all of them is open.
    async fn ask(&mut self, topics: &[Topic]) -> bool {
        match self.renew(topics).await {
            Renewed::Done => return true,
            Renewed::Refused(error) if !topics.is_empty() => {
                if let Answered::NotNow = self.refused(topics, error).await {
                    self.pause().await;
                }
            }
            Renewed::Unsupported if !topics.is_empty() => {
                self.drop_superfluous(topics);
                self.tenure.settle_asked(topics, &Phase::Refused(self.unsupported()));
            }
            // It does not offer this at all; its lists are read again when it is started again.
            Renewed::Unsupported | Renewed::Refused(WatchError::Unsupported(_)) => {
                self.offers = Offers::default();
            }
            Renewed::Refused(_) | Renewed::NotNow => self.pause().await,
        }
        false
    }

    /// Has those refused that the server does not tell of; tells whether there were any.
    fn refuse_foreign(&self, topics: &[Topic]) -> bool {
        let foreign: Vec<_> = topics.iter().filter(|topic| !self.offers.include(topic.kind)).collect();
        self.tenure.settle_asked(foreign.iter().copied(), &Phase::Refused(self.unsupported()));
        !foreign.is_empty()
    }

    /// Opens a subscription for `topics` beside the one that is open, which ends when the new one is agreed on.
    async fn renew(&mut self, topics: &[Topic]) -> Renewed {
        let opening = timeout(ACKNOWLEDGEMENT_LIMIT, Stream::open(self.asker, self.params(topics)));
        let mut stream = match self.meanwhile(opening).await {
            Ok(Ok(stream)) => stream,
            // It may be for something that was named.
            Ok(Err(NotOpen::Never)) => return Renewed::Refused(self.unsupported()),
            Ok(Err(NotOpen::NotNow)) | Err(_) => return Renewed::NotNow,
        };
        if std::mem::take(&mut self.has_gap) {
            self.lists_changed.notify_one();
        }
        match self.acknowledged(&mut stream).await {
            Heard::Acknowledged(granted) => self.agreed(topics, &granted),
            Heard::Refused { code: code::METHOD_NOT_FOUND } => return Renewed::Unsupported,
            Heard::Refused { code } => {
                let server = self.tenure.server().clone();
                return Renewed::Refused(WatchError::Refused { server, code });
            }
            Heard::Ended { retry } => {
                self.retry = retry;
                self.has_gap |= self.open.is_none();
                return Renewed::NotNow;
            }
        }
        // Replaced, the one before is ended.
        self.open = Some(Open { stream, topics: topics.to_vec(), since: Instant::now() });
        Renewed::Done
    }

    /// Waits for the first thing that is heard on a new subscription, or about it.
    async fn acknowledged(&mut self, stream: &mut Stream) -> Heard {
        let mut limit = pin!(sleep(ACKNOWLEDGEMENT_LIMIT));
        loop {
            tokio::select! {
                heard = stream.next() => return heard,
                Some(params) = self.mail.acknowledgements.recv() => {
                    if let Some(granted) = stream.acknowledges(&params) {
                        return Heard::Acknowledged(granted);
                    }
                }
                heard = next_of(&mut self.open) => self.note(&heard),
                // Heard all the same, it has agreed to nothing.
                () = &mut limit => return Heard::Acknowledged(HashSet::new()),
            }
        }
    }

    fn agreed(&self, topics: &[Topic], granted: &HashSet<Topic>) {
        for topic in topics {
            let phase = if granted.contains(topic) {
                Phase::Held
            } else {
                Phase::Refused(WatchError::LeftOut(self.tenure.server().clone()))
            };
            self.tenure.settle(self.tenure.term(), topic, phase);
        }
    }

    /// Finds out which of `topics` it is that the server refuses, has those refused, and opens a subscription for the
    /// others. What is open goes on.
    async fn refused(&mut self, topics: &[Topic], error: WatchError) -> Answered {
        let asked = self.tenure.asked_of(topics);
        let agreed: Vec<Topic> =
            topics.iter().filter(|topic| asked.binary_search(topic).is_err()).cloned().collect();
        if asked.is_empty() {
            self.drop_superfluous(topics);
            return Answered::All;
        }
        if !agreed.is_empty() {
            match self.renew(&agreed).await {
                Renewed::Done => {}
                // It agrees no more to what it agreed to, or to one subscription at a time: all begins anew.
                Renewed::Refused(_) | Renewed::Unsupported => {
                    self.lose();
                    return Answered::All;
                }
                Renewed::NotNow => return Answered::NotNow,
            }
        }
        self.narrow(agreed, Narrowing::of(asked, error)).await
    }

    /// Asks for suspects beside what is `agreed`, until all is found out or the server has forgotten what it was asked.
    async fn narrow(&mut self, mut agreed: Vec<Topic>, mut narrowing: Narrowing) -> Answered {
        let term = self.tenure.term();
        while self.tenure.term() == term
            && let Some(step) = narrowing.next()
        {
            match step {
                Step::Refuse(topics, error) => {
                    self.tenure.settle_asked(&topics, &Phase::Refused(error));
                }
                Step::Ask(topics) => {
                    let mut together = [agreed.as_slice(), &topics].concat();
                    together.sort_unstable();
                    match self.renew(&together).await {
                        Renewed::Done => agreed = together,
                        Renewed::Refused(error) => narrowing.refused(error),
                        Renewed::Unsupported => narrowing.refused(self.unsupported()),
                        Renewed::NotNow => return Answered::NotNow,
                    }
                }
            }
        }
        Answered::All
    }

    /// Takes what is open for what is wanted where the server does not agree to less: what comes too much is dropped.
    fn drop_superfluous(&mut self, wanted: &[Topic]) {
        if let Some(open) = &mut self.open
            && self.tenure.asked_of(wanted).is_empty()
        {
            open.topics = wanted.to_vec();
        }
    }

    fn unsupported(&self) -> WatchError {
        WatchError::Unsupported(self.tenure.server().clone())
    }

    /// Waits before the server is asked again.
    async fn pause(&mut self) {
        let pause = self.backoff.next().max(std::mem::take(&mut self.retry));
        self.meanwhile(sleep(pause)).await;
    }

    /// Hears what comes on the open subscription until it ends, or another one is to be opened.
    async fn follow(&mut self) {
        while let Some(open) = &mut self.open {
            tokio::select! {
                heard = open.stream.next() => self.note(&heard),
                // Acknowledged too late, or again.
                Some(_) = self.mail.acknowledgements.recv() => {}
                () = self.tenure.stirred() => return self.meanwhile(sleep(GATHER)).await,
            }
        }
    }

    /// Hears what comes on the open subscription while something else is waited for.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                heard = next_of(&mut self.open) => self.note(&heard),
            }
        }
    }

    /// Notes what is heard of the open subscription. Wherever its end is heard, it is not asked for anew without a pause.
    fn note(&mut self, heard: &Heard) {
        let retry = match heard {
            Heard::Acknowledged(_) => return,
            Heard::Refused { .. } => Duration::ZERO,
            Heard::Ended { retry } => *retry,
        };
        if self.open.as_ref().is_some_and(|open| open.since.elapsed() >= LIVED) {
            self.backoff.reset();
        }
        self.ended = Some(self.ended.unwrap_or_default().max(retry));
        self.lose();
    }

    /// Gives up the open subscription: what it was for is wanted anew.
    fn lose(&mut self) {
        self.open = None;
        self.has_gap = true;
        self.tenure.start_over();
    }

    /// Writes what to ask for. That tasks are understood is declared where any is named.
    fn params(&self, topics: &[Topic]) -> String {
        let mut filter: Vec<String> =
            self.offers.lists.iter().map(|member| format!(r#""{member}":true"#)).collect();
        for (member, kind) in [(RESOURCES, Kind::Resource), (TASKS, Kind::Task)] {
            let names = names_of(topics, kind);
            if !names.is_empty() {
                filter.push(format!(r#""{member}":{}"#, serde_json::json!(names)));
            }
        }
        let has_tasks = topics.iter().any(|topic| topic.kind == Kind::Task);
        let extensions = format!(r#"{{"extensions":{{"{TASKS_EXTENSION}":{{}}}}}}"#);
        let declared = if has_tasks { &*extensions } else { "{}" };
        let (meta, filter) = (self.asker.modern_meta_declaring(self.version, declared), filter.join(","));
        format!(r#"{{"_meta":{meta},"notifications":{{{filter}}}}}"#)
    }
}

/// Waits for what comes next on a subscription; for ever if there is none.
async fn next_of(open: &mut Option<Open>) -> Heard {
    match open {
        Some(open) => open.stream.next().await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_declared_changes_are_asked_for() {
        let check = |capabilities: &str, lists: &[&str], resources: bool| {
            let offers = Offers::read(capabilities.as_bytes());
            assert_eq!((&*offers.lists, offers.resources), (lists, resources), "{capabilities}");
            assert_eq!(offers.tasks, capabilities.contains("/tasks"), "{capabilities}");
        };
        check(r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#, &[], false);
        check(
            r#"{"tools":{"listChanged":true},"prompts":{"listChanged":false}}"#,
            &["toolsListChanged"],
            false,
        );
        check(
            r#"{"tools":{},"resources":{"subscribe":true,"listChanged":true}}"#,
            &["resourcesListChanged"],
            true,
        );
        check("{}", &[], false);
        check(r#"{"tools":true,"resources":{"subscribe":1}}"#, &[], false);
    }
}
