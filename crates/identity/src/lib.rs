//! Answers one question: who calls? Two schemes: an access token in the request, or a local launch without one.
//! What the caller may do is decided in `policy`; what we show an upstream is in `credentials`, and no token of a
//! caller ever gets there. Start reading at [`Identity::authenticate`].
//!
//! Nobody else can build an [`Authenticated`]: its fields are private and it has no constructor.
//!
//! ```compile_fail,E0451
//! fn forge(principal: std::sync::Arc<domain::Principal>) -> identity::Authenticated {
//!     identity::Authenticated { principal, secret: None }
//! }
//! ```
//!
//! ```compile_fail,E0599
//! fn forge(principal: std::sync::Arc<domain::Principal>) -> identity::Authenticated {
//!     identity::Authenticated::new(principal)
//! }
//! ```

mod authenticate;
pub mod config;
mod error;
mod schemes;
mod tokens;

pub use authenticate::{Authenticated, ForeignAgent, Grants, Identity, IdentitySettings, Peer, Presented};
pub use error::{AuthError, StoreError};
pub use tokens::{CreatedToken, NewToken, TokenHash, TokenRecord, TokenStore};
