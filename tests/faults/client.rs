//! A client of either era on one connection: it knows how to ask and believes nothing.

use std::net::SocketAddr;

use protocol::{Era, Version, meta};
use serde_json::{Value, json};

use crate::limit::LOOK_AGAIN;
use crate::wire::{Event, Events, Request, Response, Wire};

/// A client.
pub(crate) struct Client {
    wire: Wire,
    address: SocketAddr,
    pub(crate) era: Era,
    /// The legacy session.
    pub(crate) session: Option<String>,
    token: Option<String>,
    target: String,
    next_id: u64,
    /// The last answer was the last on this connection.
    is_closed: bool,
}

/// Where a client calls, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) token: Option<String>,
    pub(crate) target: String,
}

// === impl Door ===

impl Door {
    /// The endpoint with all servers, for local callers.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, token: None, target: "/mcp".to_owned() }
    }

    /// The same, with a token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The endpoint of one server, under its own names.
    pub(crate) fn only(&self, server: &str) -> Self {
        Self { target: format!("/mcp/{server}"), ..self.clone() }
    }

    /// Connects; a legacy client has a session then.
    pub(crate) async fn open(&self, era: Era) -> Client {
        let mut client = Client {
            wire: Wire::connect(self.address).await,
            address: self.address,
            era,
            session: None,
            token: self.token.clone(),
            target: self.target.clone(),
            next_id: 1,
            is_closed: false,
        };
        if era == Era::Legacy {
            let response = client.wire.ask(&client.request("0", "initialize", initialize())).await;
            assert_eq!(response.head.status, 200, "{response:?}");
            client.session = response.head.header("mcp-session-id").map(str::to_owned);
            assert!(client.session.is_some(), "no session: {response:?}");
        }
        client
    }
}

// === impl Client ===

impl Client {
    /// Builds a request; `id` is JSON text.
    pub(crate) fn request(&self, id: &str, method: &str, params: Value) -> Request {
        let mut request = match self.era {
            Era::Modern => modern(id, method, params),
            Era::Legacy => legacy(id, method, &params),
        };
        if let Some(session) = &self.session {
            request = request.set("Mcp-Session-Id", session.as_str());
        }
        if let Some(token) = &self.token {
            request = request.bearer(token);
        }
        request.at(&self.target)
    }

    /// Builds a tool call; `id` is JSON text.
    pub(crate) fn call_request(&self, id: &str, tool: &str, arguments: Value) -> Request {
        self.request(id, "tools/call", json!({"name": tool, "arguments": arguments}))
    }

    /// Asks, and returns the answer to this very request.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.next_id();
        let request = self.request(&id, method, params);
        let message = self.send(&request).await.message();
        assert_eq!(message["id"].to_string(), id, "{message}");
        message
    }

    /// Calls a tool, and returns the answer to this very call.
    pub(crate) async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.ask("tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    /// Calls a server's `echo` until it is answered; the test's limit bounds it.
    pub(crate) async fn until_answered(&mut self, server: &str) {
        loop {
            let answer = self.call(&format!("{server}__echo"), json!({"text": "x"})).await;
            if failure(&answer).is_empty() {
                assert_eq!(text(&answer), "x");
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Returns the names of the tools, in the order of the listing.
    pub(crate) async fn tools(&mut self) -> Vec<String> {
        let answer = self.ask("tools/list", json!({})).await;
        let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("no listing: {answer}"));
        tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
    }

    /// Sends a request, and connects anew first if the gateway closed the last connection.
    pub(crate) async fn send(&mut self, request: &Request) -> Response {
        if std::mem::take(&mut self.is_closed) {
            self.wire = Wire::connect(self.address).await;
        }
        let response = self.wire.ask(request).await;
        self.is_closed = response.head.closes();
        response
    }

    /// Calls a tool and returns its events. The connection belongs to them.
    pub(crate) async fn listen(self, request: &Request) -> Events {
        self.wire.listen(request).await
    }

    /// Returns the connection itself.
    pub(crate) fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Opens the stream on which the gateway tells a client of changes, and waits until the gateway has begun it: whatever
    /// changes from now on is told.
    pub(crate) async fn changes(self) -> Events {
        let request = self.changes_request();
        let mut events = self.wire.listen(&request).await;
        let first = events.next_block().await.expect("a sound stream").expect("it begins");
        match self.era {
            Era::Legacy => assert_eq!(first, Event::Comment),
            Era::Modern => assert!(matches!(first, Event::Data(data) if data.contains("acknowledged"))),
        }
        events
    }

    /// Returns the request that opens it.
    pub(crate) fn changes_request(&self) -> Request {
        match self.era {
            Era::Modern => {
                let wanted = json!({"notifications": {"toolsListChanged": true}});
                self.request("\"listen\"", "subscriptions/listen", wanted)
            }
            Era::Legacy => {
                let mut request = Request::plain("GET", &self.target).with("Accept", "text/event-stream");
                request = request.with("Mcp-Session-Id", self.session.clone().unwrap_or_default());
                match &self.token {
                    Some(token) => request.bearer(token),
                    None => request,
                }
            }
        }
    }

    fn next_id(&mut self) -> String {
        self.next_id += 1;
        self.next_id.to_string()
    }
}

/// Builds a legacy request.
pub(crate) fn legacy(id: &str, method: &str, params: &Value) -> Request {
    Request::post(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#))
        .with("MCP-Protocol-Version", Version::LATEST_LEGACY.as_str())
}

/// Builds a modern request with the headers and members that it must have.
pub(crate) fn modern(id: &str, method: &str, mut params: Value) -> Request {
    let name =
        ["name", "uri", "taskId"].iter().find_map(|member| Some(params.get(member)?.as_str()?.to_owned()));
    let mut members = params["_meta"].take();
    members[meta::PROTOCOL_VERSION] = json!(Version::LATEST_MODERN.as_str());
    if members.get(meta::CLIENT_CAPABILITIES).is_none() {
        members[meta::CLIENT_CAPABILITIES] = json!({});
    }
    params["_meta"] = members;
    let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
    let request = Request::post(body)
        .with("MCP-Protocol-Version", Version::LATEST_MODERN.as_str())
        .with("Mcp-Method", method);
    match name {
        Some(name) => request.with("Mcp-Name", protocol::header::encode(&name).into_owned()),
        None => request,
    }
}

/// Builds a modern tool call.
pub(crate) fn modern_call(id: &str, tool: &str, arguments: Value) -> Request {
    modern(id, "tools/call", json!({"name": tool, "arguments": arguments}))
}

/// The parameters of `initialize`.
pub(crate) fn initialize() -> Value {
    json!({
        "protocolVersion": Version::LATEST_LEGACY.as_str(),
        "capabilities": {},
        "clientInfo": {"name": "faults", "version": "1"},
    })
}

/// Returns the first text of a tool's result.
pub(crate) fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {answer}"))
}

/// Returns the code of the gateway's own failure, in whichever form it came; empty when it is none.
pub(crate) fn failure(answer: &Value) -> &str {
    let details = if answer.get("error").is_some() {
        &answer["error"]["data"]
    } else {
        &answer["result"]["structuredContent"]
    };
    details["code"].as_str().unwrap_or_default()
}

/// Returns what the gateway says of a call's fate beside its failure.
pub(crate) fn outcome(answer: &Value) -> &str {
    answer["result"]["structuredContent"]["outcome"].as_str().unwrap_or_default()
}
