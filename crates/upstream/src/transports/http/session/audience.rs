//! The clients for which a session is kept: who hears what the server says outside calls, and how much of it is wanted.
//! It outlives the session when the server forgets that one, and is gone when the last client is.

use std::sync::{
    Weak,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
};

use bytes::Bytes;
use domain::ServerId;
use guardrails::Untrusted;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    level::{self, LogLevel},
    owner::Owner,
    users::{Caller, Users},
};
use crate::{Said, SharedSession, client_session::WeakSession};

/// Clients that hear one session. With more of them, the one that was attached first is told no more, until it calls
/// again.
const MAX_MEMBERS: usize = 1024;
/// What a message costs beside its text.
const MESSAGE_BYTES: usize = 64;

/// The clients of one session.
pub(in super::super) struct Audience {
    owner: Option<Owner>,
    members: Mutex<Members>,
    /// The most talkative level that a member wants.
    level: level::Cell,
    /// How often that was looked for.
    judgements: AtomicU64,
    following: AtomicU8,
    followed: Notify,
    /// Signalled when the last member is gone.
    deserted: Notify,
    is_dismissed: AtomicBool,
}

/// The clients that are attached.
#[derive(Default)]
struct Members {
    /// Those attached last come last.
    list: Vec<(u64, WeakSession)>,
    /// Who has used the session; only noted where everybody shares it.
    users: Users,
}

/// Whether the session's own stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in super::super) enum Following {
    /// Nobody reads it.
    Not = 0,
    /// It is about to be opened for the first time.
    Beginning = 1,
    /// It was opened, or is tried again and again.
    Begun = 2,
}

impl Audience {
    pub(in super::super) fn new(owner: Option<Owner>) -> Self {
        Self {
            owner,
            members: Mutex::default(),
            level: level::Cell::default(),
            judgements: AtomicU64::new(0),
            following: AtomicU8::new(Following::Not as u8),
            followed: Notify::new(),
            deserted: Notify::new(),
            is_dismissed: AtomicBool::new(false),
        }
    }

    /// Returns whose the session is; none for our own.
    pub(in super::super) const fn owner(&self) -> Option<&Owner> {
        self.owner.as_ref()
    }

    /// Tells whether everybody shares the session.
    fn is_everybody(&self) -> bool {
        self.owner == Some(Owner::Everybody)
    }

    /// Notes who is about to use the session, before the server hears of it; a client is attached, if it is not.
    pub(in super::super) fn welcome(&self, caller: Caller<'_>) {
        if caller.client.is_none() && !self.is_everybody() {
            return;
        }
        let is_new = {
            let mut members = self.members.lock();
            if self.is_everybody() {
                members.users.note(caller);
            }
            caller.client.is_some_and(|client| members.admit(client))
        };
        if is_new {
            self.judge_levels();
        }
    }

    /// Tells whether `client` is attached.
    pub(super) fn includes(&self, client: &SharedSession) -> bool {
        let number = client.number();
        self.members.lock().list.iter().any(|(known, _)| *known == number)
    }

    /// Tells whether a member still lives.
    pub(in super::super) fn is_alive(&self) -> bool {
        self.members.lock().list.iter().rev().any(|(_, member)| member.strong_count() > 0)
    }

    /// Finds out anew which log level is wanted. If somebody else does so meanwhile, either may have seen what is old by
    /// now, and the one that ends last looks again.
    pub(in super::super) fn judge_levels(&self) {
        loop {
            let judgement = self.judgements.fetch_add(1, Ordering::AcqRel) + 1;
            let (living, _) = self.living();
            let wanted = living.iter().filter_map(|client| LogLevel::named(client.log_level()?)).min();
            self.level.replace(wanted);
            if self.judgements.load(Ordering::Acquire) == judgement {
                return;
            }
        }
    }

    /// Returns the most talkative level that a member wants.
    pub(in super::super) fn level(&self) -> Option<LogLevel> {
        self.level.get()
    }

    /// Says something to all members that can be meant; tells whether there are any. What they hear may wait long, and
    /// keeps nothing alive of what arrived with it.
    pub(in super::super) fn hear(&self, server: &ServerId, method: &str, params: Option<&Bytes>) -> bool {
        let members = self.meant();
        if members.is_empty() {
            return false;
        }
        let params = params.map(|params| Bytes::copy_from_slice(params));
        let bytes = MESSAGE_BYTES + method.len() + params.as_ref().map_or(0, Bytes::len);
        for member in &members {
            let said = Said::Notification { method: method.into(), params: params.clone() };
            member.hear(server, Untrusted::new(said), bytes);
        }
        true
    }

    /// Returns the one to be asked `method` outside calls: the member that was attached last of those that allow it.
    pub(in super::super) fn respondent(&self, method: &str) -> Option<SharedSession> {
        self.meant().into_iter().rev().find(|member| member.capabilities().allow(method))
    }

    /// Tells whether the server may take `client` for the one it speaks with, outside calls.
    pub(in super::super) fn may_mean(&self, client: &SharedSession) -> bool {
        self.meant().iter().any(|member| member.number() == client.number())
    }

    /// Returns the members that the server can mean with what it says outside calls: all of them where they are of one
    /// principal by the session's nature. Where everybody shares it, the one that is alone, if that is certain.
    fn meant(&self) -> Vec<SharedSession> {
        let (living, are_one_principal) = self.living();
        if self.is_everybody() && (living.len() > 1 || !are_one_principal) { Vec::new() } else { living }
    }

    /// Returns the members, those attached last at the end, and whether one principal is known to be the only user.
    /// Never called with a lock held: with the handles that it returns, whole sessions may end.
    fn living(&self) -> (Vec<SharedSession>, bool) {
        let members = self.members.lock();
        let living = members.list.iter().filter_map(|(_, member)| Weak::upgrade(member)).collect();
        (living, members.users.are_one_principal())
    }
}

impl Members {
    /// Attaches a client; tells whether it was not.
    fn admit(&mut self, client: &SharedSession) -> bool {
        let number = client.number();
        if self.list.iter().rev().any(|(known, _)| *known == number) {
            return false;
        }
        self.list.retain(|(_, member)| member.strong_count() > 0);
        if self.list.len() >= MAX_MEMBERS {
            self.list.remove(0);
            self.users.lose_count();
        }
        self.list.push((number, std::sync::Arc::downgrade(client)));
        true
    }
}

/// The session's own stream.
impl Audience {
    /// Tells how far the reading of the stream is.
    pub(in super::super) fn following(&self) -> Following {
        match self.following.load(Ordering::Acquire) {
            0 => Following::Not,
            1 => Following::Beginning,
            _ => Following::Begun,
        }
    }

    /// Takes it on to read the stream; false if somebody does.
    pub(in super::super) fn begin_following(&self) -> bool {
        let (from, to) = (Following::Not as u8, Following::Beginning as u8);
        self.following.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Notes how far the reading of the stream is.
    pub(in super::super) fn note_following(&self, following: Following) {
        self.following.store(following as u8, Ordering::Release);
        self.followed.notify_waiters();
    }

    /// Has nobody wait any more for the stream's opening.
    pub(in super::super) fn wait_no_more(&self) {
        let (from, to) = (Following::Beginning as u8, Following::Begun as u8);
        // Otherwise the opening has come to its end meanwhile.
        let _ = self.following.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Waits until the stream is not just being opened for the first time. Cancel safe; the caller bounds the time.
    pub(in super::super) async fn followed(&self) {
        let mut followed = std::pin::pin!(self.followed.notified());
        followed.as_mut().enable();
        if self.following() == Following::Beginning {
            followed.await;
        }
    }

    /// Has the stream ended if it is read for nobody.
    pub(super) fn notice_desertion(&self) {
        if self.following() != Following::Not && !self.is_alive() {
            self.deserted.notify_one();
        }
    }

    /// Has the stream ended: the session is given up.
    pub(super) fn dismiss(&self) {
        self.is_dismissed.store(true, Ordering::Release);
        self.deserted.notify_one();
    }

    /// Waits until there may be nobody any more for whom to read. Cancel safe.
    pub(in super::super) async fn deserted(&self) {
        self.deserted.notified().await;
    }

    /// Tells whether the session is kept and somebody hears it.
    pub(in super::super) fn is_attended(&self) -> bool {
        !self.is_dismissed.load(Ordering::Acquire) && self.is_alive()
    }
}
