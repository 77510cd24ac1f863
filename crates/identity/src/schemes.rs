//! The ways to say who one is. Each answers [`Verdict`]; the door in `authenticate.rs` asks them in order.
//! A new way is one file here, one line there.

pub(crate) mod access_token;
pub(crate) mod local_launch;

use crate::{AuthError, Authenticated};

/// What a scheme says about a caller.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The caller did not use this scheme; ask the next one.
    NotRequested,
    /// The caller is who it says.
    Authenticated(Authenticated),
    /// The caller used this scheme and failed: no other scheme may let it in.
    Failed(AuthError),
}
