//! A small MCP server on standard input and output, with every bad habit a test needs. It runs in its own process:
//! this test binary, started with the word `stub` and its manners as further arguments. Its tools are in `stub/tools.rs`.

use std::{
    ffi::OsString,
    io::{BufRead as _, Write as _, stdin, stdout},
    process::ExitCode,
};

use serde_json::{Value, json};

#[path = "stub/tools.rs"]
mod tools;

/// First argument of the binary when it is to be a server.
pub(crate) const ROLE: &str = "stub";

/// Plays the server if `args` ask for it.
pub(crate) fn play(args: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let args: Vec<String> = args.skip(1).filter_map(|arg| arg.into_string().ok()).collect();
    (args.first().map(String::as_str) == Some(ROLE)).then(|| serve(&args[1..]))
}

struct Stub {
    manners: Vec<String>,
    /// Every line that was received.
    seen: Vec<String>,
    /// Ids of calls that are never answered by themselves.
    hanging: Vec<Value>,
    extra_tool: bool,
    /// A modern client has asked to hear of changes.
    listening: bool,
    /// The resources that are subscribed to, by the request that did it; legacy ones by none.
    subscribed: Vec<(Value, String)>,
}

fn serve(manners: &[String]) -> ExitCode {
    let mut stub = Stub {
        manners: manners.to_vec(),
        seen: Vec::new(),
        hanging: Vec::new(),
        extra_tool: false,
        listening: false,
        subscribed: Vec::new(),
    };
    if stub.is("crash") {
        eprintln!("cannot find my configuration");
        return ExitCode::from(3);
    }
    for line in stdin().lock().lines() {
        let Ok(line) = line else { break };
        let message: Value = serde_json::from_str(&line).expect("the gateway sends one JSON message a line");
        stub.seen.push(line);
        stub.take(&message);
    }
    ExitCode::SUCCESS
}

impl Stub {
    fn is(&self, manner: &str) -> bool {
        self.manners.iter().any(|own| own == manner)
    }

    /// Tells whether it says nothing, for ever or until the file that its manners name is there.
    fn is_mute(&self) -> bool {
        let mut files = self.manners.iter().filter_map(|manner| manner.strip_prefix("mute-until="));
        self.is("mute") || files.any(|file| !std::path::Path::new(file).exists())
    }

    fn take(&mut self, message: &Value) {
        let id = message["id"].clone();
        match message["method"].as_str() {
            _ if self.is_mute() => {}
            Some("server/discover") if self.is("silent") => {}
            Some("server/discover") if self.is("modern") => self.discover(&id),
            Some("subscriptions/listen") if self.is("modern") => self.listen(&id, &message["params"]),
            Some("resources/subscribe") if self.is("resources") => self.subscribe(&id, &message["params"]),
            Some("resources/unsubscribe") if self.is("resources") => {
                self.subscribed.retain(|(_, uri)| *uri != message["params"]["uri"]);
                result(&id, &json!({}));
            }
            Some("resources/list") if self.is("resources") => result(&id, &json!({"resources": []})),
            Some("initialize") if !self.is("modern") => result(
                &id,
                &json!({"protocolVersion": "2025-06-18",
                "capabilities": self.capabilities(),
                "instructions": "legacy", "serverInfo": {"name": "stub", "version": "1"}}),
            ),
            Some("tools/list") => self.list(&id, &message["params"]),
            Some("tools/call") => self.call(&id, &message["params"]),
            Some("notifications/cancelled") => self.cancelled(&message["params"]["requestId"]),
            Some("prompts/list") if self.is("clumsy") => say(&json!({"jsonrpc": "2.0", "id": id,
                "error": {"code": -32603, "message": "broken"}})),
            Some(_) if !id.is_null() => say(&json!({"jsonrpc": "2.0", "id": id,
                "error": {"code": -32601, "message": "no such method"}})),
            _ => {}
        }
    }

    fn discover(&self, id: &Value) {
        if self.is("slow") {
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
        result(
            id,
            &json!({"resultType": "complete", "supportedVersions": ["2026-07-28"],
            "capabilities": self.capabilities(), "instructions": "modern", "ttlMs": 0, "cacheScope": "public"}),
        );
    }

    /// Agrees to a legacy subscription, except to resources whose URIs say that they are refused.
    fn subscribe(&mut self, id: &Value, params: &Value) {
        let uri = params["uri"].as_str().expect("a URI").to_owned();
        if uri.contains("refused") {
            say(&json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32002, "message": "no"}}));
        } else {
            self.subscribed.push((Value::Null, uri));
            result(id, &json!({}));
        }
    }

    fn list(&self, id: &Value, params: &Value) {
        let tool = |name: &str| json!({"name": name, "inputSchema": {"type": "object"}});
        let page = match params["cursor"].as_str() {
            None => json!({"tools": [tool("echo"), tool("hang")], "nextCursor": "two"}),
            Some("two") if self.is("circle") => json!({"tools": [tool("again")], "nextCursor": "two"}),
            Some(_) if self.extra_tool => json!({"tools": [tool("last"), tool("extra")]}),
            Some(_) => json!({"tools": [tool("last")]}),
        };
        result(id, &page);
    }

    fn capabilities(&self) -> Value {
        let mut capabilities = json!({"tools": {"listChanged": true}, "prompts": {}, "logging": {}});
        if self.is("resources") {
            capabilities["resources"] = json!({"subscribe": true});
        }
        capabilities
    }

    /// Agrees to a subscription, except to resources whose URIs say that they are refused.
    fn listen(&mut self, id: &Value, params: &Value) {
        let named = params["notifications"]["resourceSubscriptions"].as_array().cloned().unwrap_or_default();
        let granted = named.iter().filter_map(Value::as_str).filter(|uri| !uri.contains("refused"));
        let granted: Vec<String> = granted.map(str::to_owned).collect();
        say(&json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {
            "_meta": {"io.modelcontextprotocol/subscriptionId": id},
            "notifications": {"toolsListChanged": true, "resourceSubscriptions": granted}}}));
        self.subscribed.extend(granted.into_iter().map(|uri| (id.clone(), uri)));
        self.listening = true;
    }

    /// Answers late what nobody waits for any more.
    fn cancelled(&mut self, id: &Value) {
        self.subscribed.retain(|(listening, _)| listening != id);
        let before = self.hanging.len();
        self.hanging.retain(|hanging| hanging != id);
        if self.hanging.len() < before {
            result(id, &json!({"late": true}));
        }
    }
}

fn result(id: &Value, result: &Value) {
    say(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
}

fn say(message: &Value) {
    raw(format!("{message}\n").as_bytes());
}

fn raw(bytes: &[u8]) {
    // The gateway may be gone; then the next line is not there either.
    let _ = stdout().lock().write_all(bytes).and_then(|()| stdout().flush());
}
