//! Clients with sessions as the tests want them: what they declare, and what they have heard.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use domain::{PrincipalKey, ServerId, Subject, Target};
use guardrails::{Guardrails, Untrusted};
use parking_lot::Mutex;
use protocol::ClientCapabilities;
use serde_json::Value;
use tokio::{sync::mpsc, time::timeout};

use super::stage::{PATIENCE, Text, call, server_id};
use crate::{ClientSession, Said, ServerRequest, SharedSession, transports::Exchange};

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

/// A client with a session.
#[derive(Debug)]
pub(in crate::transports) struct Client {
    number: u64,
    declared: ClientCapabilities,
    level: Mutex<Option<&'static str>>,
    heard: mpsc::UnboundedSender<Said>,
}

/// What a client hears.
pub(in crate::transports) struct Ears(mpsc::UnboundedReceiver<Said>);

/// Makes a client that declares this.
pub(in crate::transports) fn client(declared: &str) -> (Arc<Client>, Ears) {
    let (heard, ears) = mpsc::unbounded_channel();
    let client = Client {
        number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
        declared: ClientCapabilities::parse(declared.as_bytes()).unwrap(),
        level: Mutex::default(),
        heard,
    };
    (Arc::new(client), Ears(ears))
}

impl Client {
    pub(in crate::transports) fn set_level(&self, level: &'static str) {
        *self.level.lock() = Some(level);
    }
}

impl ClientSession for Client {
    fn number(&self) -> u64 {
        self.number
    }

    fn capabilities(&self) -> &ClientCapabilities {
        &self.declared
    }

    fn log_level(&self) -> Option<&'static str> {
        *self.level.lock()
    }

    fn hear(&self, server: &ServerId, said: Untrusted<Said>, bytes: usize) {
        assert!(*server == server_id() && bytes > 0);
        let subject = Subject { server: server.clone(), target: Target::Server };
        let said = Guardrails::none().screen_result(&subject, said).unwrap().into_inner();
        // The test has seen enough.
        let _ = self.heard.send(said);
    }
}

impl Ears {
    /// Waits for what is said next.
    pub(in crate::transports) async fn next(&mut self) -> Said {
        timeout(PATIENCE, self.0.recv()).await.expect("something is said").expect("the client lives")
    }

    /// Waits for a notification.
    pub(in crate::transports) async fn notification(&mut self) -> (String, Option<Bytes>) {
        match self.next().await {
            Said::Notification { method, params } => (method.into(), params),
            Said::Request(request) => panic!("a notification, and not {request:?}"),
        }
    }

    /// Waits for a request.
    pub(in crate::transports) async fn request(&mut self) -> ServerRequest {
        match self.next().await {
            Said::Request(request) => request,
            Said::Notification { method, .. } => panic!("a request, and not {method}"),
        }
    }

    /// Takes the request that was said.
    pub(in crate::transports) fn request_now(&mut self) -> ServerRequest {
        match self.0.try_recv() {
            Ok(Said::Request(request)) => request,
            other => panic!("a request, and not {other:?}"),
        }
    }

    /// Takes the notification that was said, if there is one, and returns its method.
    pub(in crate::transports) fn notification_now(&mut self) -> Option<String> {
        match self.0.try_recv().ok()? {
            Said::Notification { method, .. } => Some(method.into()),
            Said::Request(request) => panic!("a notification, and not {request:?}"),
        }
    }

    /// Tells whether nothing was said.
    pub(in crate::transports) fn is_idle(&mut self) -> bool {
        self.0.try_recv().is_err()
    }
}

/// Returns the client as upstreams know it.
pub(in crate::transports) fn shared(client: &Arc<Client>) -> SharedSession {
    Arc::clone(client) as SharedSession
}

/// A call of the tool `echo` by a client.
pub(in crate::transports) fn call_of<'a>(
    params: &'a Text<'a>,
    principal: &'a PrincipalKey,
    session: &'a SharedSession,
) -> Exchange<'a> {
    Exchange { session: Some(session), ..call(params, Some(principal)) }
}

/// The capabilities in an `initialize` that the server saw.
pub(in crate::transports) fn declared(initialize: &Value) -> String {
    initialize["params"]["capabilities"].to_string()
}
