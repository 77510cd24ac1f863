//! Screening: what a caller sends and what a server answers passes here before it goes on.
//! The types carry the proof; detectors come as modules behind [`Guardrails`]. No IO, no async.
//!
//! Text from a server is [`Untrusted`] and cannot be opened outside this crate:
//!
//! ```compile_fail,E0616
//! let reply = guardrails::Untrusted::new("from a server");
//! let text: &str = reply.0; // private: only screening opens it
//! ```
//!
//! [`Cleared`] cannot be made without screening:
//!
//! ```compile_fail,E0451
//! let arguments = guardrails::Cleared { value: "unscreened" };
//! ```
//!
//! ```
//! # use domain::{ServerId, Subject, Target};
//! let subject = Subject { server: ServerId::new("notes").unwrap(), target: Target::Server };
//! let cleared = guardrails::Guardrails::none().screen_result(&subject, guardrails::Untrusted::new("text")).unwrap();
//! assert_eq!(cleared.into_inner(), "text");
//! ```

use domain::Subject;

/// A value that came from a server and was not screened.
pub struct Untrusted<T>(T);

impl<T> Untrusted<T> {
    /// Marks `value` as coming from a server.
    pub const fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T> std::fmt::Debug for Untrusted<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[untrusted]")
    }
}

/// A value that passed screening, or for which screening is switched off (audit records which).
#[derive(Debug)]
pub struct Cleared<T> {
    value: T,
}

impl<T> Cleared<T> {
    /// Returns the screened value.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// Derives a value from the screened one. What is derived from cleared text is cleared.
    pub fn map<U>(self, derive: impl FnOnce(T) -> U) -> Cleared<U> {
        Cleared { value: derive(self.value) }
    }

    /// Looks at the screened value.
    pub const fn get(&self) -> &T {
        &self.value
    }
}

/// A verdict against a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("blocked by guardrail `{detector}`")]
pub struct Block {
    /// The detector that blocked it.
    pub detector: &'static str,
}

/// The detectors in force.
#[derive(Debug, Clone)]
pub struct Guardrails(());

impl Guardrails {
    /// Screening switched off: everything is cleared unseen.
    pub const fn none() -> Self {
        Self(())
    }

    /// Returns the name that audit records for this set of detectors.
    pub const fn name(&self) -> &'static str {
        "none"
    }

    /// Screens what a caller sends to `subject`.
    ///
    /// # Errors
    /// [`Block`] when a detector refuses it.
    pub const fn screen_arguments<T>(&self, _subject: &Subject, arguments: T) -> Result<Cleared<T>, Block> {
        Ok(Cleared { value: arguments })
    }

    /// Screens what `subject` answers: results, progress, logs, listings.
    ///
    /// # Errors
    /// [`Block`] when a detector refuses it.
    pub fn screen_result<T>(&self, _subject: &Subject, answer: Untrusted<T>) -> Result<Cleared<T>, Block> {
        Ok(Cleared { value: answer.0 })
    }
}
