//! What we show an upstream so that it lets a call in. In this step: the headers written in the configuration.
//! A caller's own token never gets here (see `identity`). Headers are put on the wire by `upstream`, and only towards
//! the server that the credential names.

mod error;

use std::collections::HashMap;

use domain::{Credential, ServerId, Subject};
use policy::Permit;

pub use error::CredentialError;

/// Issues the credential of a permitted call.
#[derive(Debug, Default)]
pub struct Credentials {
    by_server: HashMap<ServerId, Credential>,
}

impl Credentials {
    /// Builds the issuer from each server's configured credential. A server without headers belongs in here too, with
    /// none: a server that is missing is refused.
    pub fn new(servers: impl IntoIterator<Item = Credential>) -> Self {
        let named = |credential: Credential| (credential.server().clone(), credential);
        Self { by_server: servers.into_iter().map(named).collect() }
    }

    /// Returns the credential for the server that `permit` names. Costs a look-up and two shared pointers; never waits.
    ///
    /// # Errors
    /// [`CredentialError::UnknownServer`] when the server is not configured.
    pub fn issue(&self, permit: &Permit) -> Result<Credential, CredentialError> {
        self.issue_for(permit.subject())
    }

    fn issue_for(&self, subject: &Subject) -> Result<Credential, CredentialError> {
        let credential = self.by_server.get(&subject.server);
        credential.cloned().ok_or_else(|| CredentialError::UnknownServer(subject.server.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::{Secret, Target, ToolName};

    use super::*;

    fn name(text: &str) -> ServerId {
        ServerId::new(text).expect("a name")
    }

    fn subject(server: &str) -> Subject {
        Subject { server: name(server), target: Target::Tool(ToolName::new("t").expect("a name")) }
    }

    fn headers(value: &str) -> Arc<[(String, Secret<String>)]> {
        [("authorization".to_owned(), Secret::new(value.to_owned()))].into()
    }

    #[test]
    fn each_server_gets_its_own_headers_and_no_other() {
        let credentials = Credentials::new([
            Credential::new(name("a"), "", headers("for a")),
            Credential::new(name("b"), "", headers("for b")),
            Credential::new(name("c"), "", []),
        ]);
        let issued = credentials.issue_for(&subject("b")).expect("configured");
        assert_eq!(issued.server().as_str(), "b");
        assert_eq!(issued.headers()[0].1.expose(), "for b");
        assert!(credentials.issue_for(&subject("c")).expect("configured").headers().is_empty());
    }

    #[test]
    fn an_unknown_server_gets_nothing() {
        let error = Credentials::default().issue_for(&subject("a")).expect_err("not configured");
        assert_eq!(error.to_string(), "no credential is configured for upstream `a`");
    }

    #[test]
    fn issuing_copies_no_header() {
        let configured = headers("x");
        let credentials = Credentials::new([Credential::new(name("a"), "", Arc::clone(&configured))]);
        let issued = credentials.issue_for(&subject("a")).expect("configured");
        assert!(Arc::ptr_eq(issued.headers(), &configured));
    }
}
