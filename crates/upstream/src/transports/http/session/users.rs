//! Who has used a session that everybody shares. A server does not say whom it means with what it says there outside
//! calls, so that only one who is alone can be meant. Whoever called without a session cannot be told apart from
//! others, nor be seen to leave; and what one principal has left in the session is not for another: with either there
//! is nobody alone in it any more.

use domain::PrincipalKey;

use crate::SharedSession;

/// Somebody for whom a request is sent.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Caller<'a> {
    pub(in super::super) principal: &'a PrincipalKey,
    /// The caller's own session with the gateway, if it has one.
    pub(in super::super) client: Option<&'a SharedSession>,
}

/// Who has used a session.
#[derive(Debug, Default)]
pub(super) enum Users {
    #[default]
    Nobody,
    /// One principal, with clients that are remembered and no other.
    Known(PrincipalKey),
    /// Several principals, or somebody without a session, or more clients than are remembered.
    Mixed,
}

impl Users {
    /// Notes who calls.
    pub(super) fn note(&mut self, caller: Caller<'_>) {
        let has_session = caller.client.is_some();
        match self {
            Self::Known(known) if has_session && known == caller.principal => {}
            Self::Nobody if has_session => *self = Self::Known(caller.principal.clone()),
            Self::Nobody | Self::Known(_) | Self::Mixed => *self = Self::Mixed,
        }
    }

    /// Notes that there is somebody who is not remembered.
    pub(super) fn lose_count(&mut self) {
        *self = Self::Mixed;
    }

    /// Tells whether all use was of one principal, by clients that are remembered.
    pub(super) const fn are_one_principal(&self) -> bool {
        matches!(self, Self::Known(_))
    }
}
