//! The nouns that three or more crates agree on: ids, the principal, subjects, secrets, credentials, the clock.
//! No IO, no async, no rules of policy. What MCP looks like on the wire is in `protocol`.

mod clock;
mod credential;
mod fault;
mod id;
mod principal;
mod secret;
mod subject;

pub use clock::{Clock, SystemClock};
pub use credential::Credential;
pub use fault::ConfigFault;
pub use id::{AgentId, InvalidName, QualifiedName, ServerId, TokenId, ToolName, UserId};
pub use principal::{AgentSource, Principal, PrincipalKey, ServerScope};
pub use secret::Secret;
pub use subject::{Subject, Target};
