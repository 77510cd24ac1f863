//! Identifiers with their rules. A name that breaks them cannot be built.

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// Longest name accepted from a configuration or an upstream, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// A name that is empty, longer than 256 bytes, or holds a control character.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what}: it must have 1 to {MAX_NAME_BYTES} bytes and no control characters")]
pub struct InvalidName {
    what: &'static str,
}

fn check(what: &'static str, name: &str) -> Result<(), InvalidName> {
    let sound = !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control);
    if sound { Ok(()) } else { Err(InvalidName { what }) }
}

/// Defines a name type; a macro because five types share every line of their behaviour.
macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks and wraps `name`.
            ///
            /// # Errors
            /// [`InvalidName`] when it is empty, longer than 256 bytes, or holds a control character.
            pub fn new(name: impl Into<Arc<str>>) -> Result<Self, InvalidName> {
                let name = name.into();
                check($what, &name)?;
                Ok(Self(name))
            }

            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;
            fn try_from(name: String) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }
    };
}

name!(
    /// The configured name of an upstream. Never the name that the server gives itself.
    ServerId, "server name"
);
name!(
    /// A tool's or prompt's name as its own upstream knows it.
    ToolName, "tool name"
);
name!(
    /// A tool's or prompt's name as clients of the aggregated endpoint see it. Looked up, never parsed.
    QualifiedName, "qualified name"
);
name!(
    /// Who calls, as policy sees it.
    AgentId, "agent name"
);
name!(
    /// The person on whose behalf an agent calls.
    UserId, "user name"
);
name!(
    /// The public handle of an access token. It reveals nothing of the token.
    TokenId, "token id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_printable() {
        assert!(ServerId::new("github").is_ok());
        assert!(ServerId::new("my server @work").is_ok());
        for bad in ["", "a\nb", "a\u{1b}[0m", &"x".repeat(257)] {
            assert!(ServerId::new(bad).is_err(), "{bad:?}");
        }
    }
}
