//! What the fake servers say without faults: greetings, listings, the answers of the plain tools.

use bytes::Bytes;
use protocol::{Era, TASKS_EXTENSION, Version, meta};
use serde_json::{Value, json};

use crate::asked::{Asked, Speaks};
use crate::http::tasks;

/// The tools that every fake server has; each kind adds its own.
pub const TOOLS: &[&str] = &[
    "echo", "write", "bytes", "raw", "error", "fail", "hang", "progress", "garbage", "twice", "relist",
    "seen",
];

/// What a fake server is.
#[derive(Debug, Clone)]
pub struct Script {
    /// The eras it answers.
    pub speaks: Speaks,
    /// Tools that it lists beside its own, as they stand in the listing.
    pub tools: Vec<Value>,
    /// The JSON text with which the `raw` tool answers.
    pub raw: Bytes,
    /// The resources that it lists and tells of.
    pub resources: Vec<String>,
    /// The templates that it lists.
    pub templates: Vec<String>,
    /// Whether it has tasks, which only a server over HTTP has.
    pub has_tasks: bool,
    /// What it calls itself in the texts of its resources.
    pub name: String,
}

impl Script {
    /// Makes a server of these eras with the usual tools.
    pub fn new(speaks: Speaks) -> Self {
        Self {
            speaks,
            tools: Vec::new(),
            raw: Bytes::from_static(b"{\"content\":[]}"),
            resources: Vec::new(),
            templates: Vec::new(),
            has_tasks: false,
            name: "fake".to_owned(),
        }
    }

    /// The same under this name.
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The same with these templates.
    pub fn with_templates(mut self, templates: impl IntoIterator<Item = String>) -> Self {
        self.templates.extend(templates);
        self
    }

    /// The same with these resources, and the `update` tool, which says `count` times that `uri` has changed.
    pub fn with_resources(mut self, uris: impl IntoIterator<Item = String>) -> Self {
        self.resources.extend(uris);
        self.tools.push(json!({"name": "update", "inputSchema": {"type": "object"}}));
        self
    }

    /// The same with tasks: the `work` tool begins one, `report` and `finish` move it on.
    pub fn with_tasks(mut self) -> Self {
        self.has_tasks = true;
        let tools = tasks::TOOLS.map(|name| json!({"name": name, "inputSchema": {"type": "object"}}));
        self.tools.extend(tools);
        self
    }

    fn capabilities(&self) -> Value {
        let mut capabilities = json!({"tools": {"listChanged": true}});
        if !self.resources.is_empty() {
            capabilities["resources"] = json!({"subscribe": true});
        }
        if self.has_tasks {
            capabilities["tasks"] = json!({"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}});
            capabilities["extensions"] = json!({TASKS_EXTENSION: {}});
        }
        capabilities
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// The JSON text of a result.
    Result(Bytes),
    /// A JSON-RPC error.
    Error {
        /// Its code.
        code: i64,
        /// Its text.
        message: String,
    },
}

/// Where a response has its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdPlace {
    /// Before the result.
    First,
    /// After the result, as the letter of JSON-RPC allows.
    Last,
}

impl IdPlace {
    /// Reads the `id` argument of a call.
    pub fn of(asked: &Asked) -> Self {
        if asked.text("id") == "last" { Self::Last } else { Self::First }
    }
}

impl Said {
    /// Makes a result of a value.
    pub fn result(value: &Value) -> Self {
        Self::Result(value.to_string().into())
    }

    /// Writes the answer to `id` as one JSON-RPC message.
    pub fn message(&self, id: &Value, place: IdPlace) -> Vec<u8> {
        match (self, place) {
            (Self::Result(result), IdPlace::First) => {
                [format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"#).as_bytes(), result, b"}"].concat()
            }
            (Self::Result(result), IdPlace::Last) => {
                [&br#"{"result":"#[..], result, format!(r#","jsonrpc":"2.0","id":{id}}}"#).as_bytes()]
                    .concat()
            }
            (Self::Error { code, message }, _) => {
                json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
                    .to_string()
                    .into()
            }
        }
    }
}

/// Answers everything but tool calls; `names` are the tools of this kind of server.
pub fn greeting(script: &Script, names: &[&str], asked: &Asked) -> Option<Said> {
    if !script.speaks.includes(asked.era) {
        return Some(unknown_method());
    }
    let info = json!({"name": "fake", "version": "1"});
    let capabilities = script.capabilities();
    let resources =
        || -> Vec<Value> { script.resources.iter().map(|uri| json!({"uri": uri, "name": uri})).collect() };
    let templates = || -> Vec<Value> {
        script.templates.iter().map(|template| json!({"uriTemplate": template, "name": template})).collect()
    };
    Some(match (asked.method.as_str(), asked.era) {
        ("tools/call", _) => return None,
        ("tools/list", era) => Said::result(&complete(era, json!({"tools": listing(script, names)}))),
        ("resources/list", era) => Said::result(&complete(era, json!({"resources": resources()}))),
        ("resources/templates/list", era) => {
            Said::result(&complete(era, json!({"resourceTemplates": templates()})))
        }
        ("resources/read", era) => read(script, era, asked.params["uri"].as_str().unwrap_or_default()),
        ("completion/complete", era) if asked.params["ref"]["type"] == "ref/resource" => {
            let values = json!([script.name, asked.params["ref"]["uri"]]);
            Said::result(&complete(era, json!({"completion": {"values": values}})))
        }
        ("ping", Era::Legacy) => Said::result(&json!({})),
        ("initialize", Era::Legacy) => Said::result(&json!({
            "protocolVersion": Version::LATEST_LEGACY.as_str(),
            "capabilities": capabilities,
            "serverInfo": info,
        })),
        ("server/discover", Era::Modern) => Said::result(&complete(
            Era::Modern,
            json!({"supportedVersions": [Version::LATEST_MODERN.as_str()], "capabilities": capabilities}),
        )),
        _ => unknown_method(),
    })
}

/// Reads a resource: its text says whose it is. Templates have whatever begins as they do.
fn read(script: &Script, era: Era, uri: &str) -> Said {
    let begins = |template: &String| template.split_once('{').is_some_and(|(head, _)| uri.starts_with(head));
    if !script.resources.iter().any(|listed| listed == uri) && !script.templates.iter().any(begins) {
        return Said::Error { code: -32002, message: "no such resource".to_owned() };
    }
    let text = format!("{uri} of {}", script.name);
    Said::result(&complete(era, json!({"contents": [{"uri": uri, "text": text}]})))
}

fn listing(script: &Script, names: &[&str]) -> Vec<Value> {
    let plain =
        |name: &&str| json!({"name": name, "description": "a fake", "inputSchema": {"type": "object"}});
    names.iter().map(plain).chain(script.tools.iter().cloned()).collect()
}

/// Returns the resources that an acknowledgement grants: the known ones among those that are asked for.
pub fn granted(script: &Script, asked: &Asked) -> Vec<String> {
    let named = asked.params["notifications"]["resourceSubscriptions"].as_array();
    let named = named.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    named.filter(|uri| script.resources.contains(uri)).collect()
}

/// Writes the parameters of an acknowledgement of the request `id`.
pub fn acknowledgement(id: &Value, granted: &[String]) -> Value {
    let mut notifications = json!({"toolsListChanged": true});
    if !granted.is_empty() {
        notifications["resourceSubscriptions"] = json!(granted);
    }
    json!({"_meta": {meta::SUBSCRIPTION_ID: id}, "notifications": notifications})
}

/// Returns the answer to a method that does not exist.
pub fn unknown_method() -> Said {
    Said::Error { code: -32601, message: "method not found".to_owned() }
}

/// Answers the tools that have no faults and wait for nothing; `None` for others.
pub fn plain_tool(script: &Script, asked: &Asked) -> Option<Said> {
    Some(match asked.tool() {
        "echo" | "write" | "twice" => text(asked.era, asked.text("text")),
        "raw" => Said::Result(script.raw.clone()),
        "bytes" => bytes_result(asked.era, usize::try_from(asked.number("size")).unwrap_or(usize::MAX)),
        "error" => {
            let code = asked.argument("code").as_i64().unwrap_or(-32_000);
            Said::Error { code, message: asked.text("message").to_owned() }
        }
        "fail" => {
            let content = json!([{"type": "text", "text": asked.text("text")}]);
            Said::result(&complete(asked.era, json!({"content": content, "isError": true})))
        }
        _ => return None,
    })
}

/// Returns a result with one text.
pub fn text(era: Era, text: &str) -> Said {
    Said::result(&complete(era, json!({"content": [{"type": "text", "text": text}]})))
}

/// Returns a result with data.
pub fn data(era: Era, data: &Value) -> Said {
    let content = json!([{"type": "text", "text": data.to_string()}]);
    Said::result(&complete(era, json!({"content": content, "structuredContent": data})))
}

/// Returns a progress notification, or nothing when the caller wants none.
pub fn progress(asked: &Asked, count: u64) -> Option<Vec<u8>> {
    let params = json!({"progressToken": asked.progress_token()?, "progress": count});
    Some(notification("notifications/progress", &params))
}

/// Writes a notification.
pub fn notification(method: &str, params: &Value) -> Vec<u8> {
    json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string().into()
}

/// Adds what the modern era requires of every result.
pub fn complete(era: Era, mut result: Value) -> Value {
    if era == Era::Modern {
        result["resultType"] = json!("complete");
        result["_meta"] = json!({meta::SERVER_INFO: {"name": "fake", "version": "1"}});
    }
    result
}

/// Returns a result of about `size` bytes.
fn bytes_result(era: Era, size: usize) -> Said {
    let end: &[u8] = match era {
        Era::Legacy => b"\"}]}",
        Era::Modern => b"\"}],\"resultType\":\"complete\"}",
    };
    let mut result = br#"{"content":[{"type":"text","text":""#.to_vec();
    result.resize(result.len() + size.saturating_sub(result.len() + end.len()), b'x');
    result.extend_from_slice(end);
    Said::Result(result.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Asked {
        Asked::read(text.as_bytes()).expect("a message")
    }

    #[test]
    fn each_era_is_unknown_to_a_server_of_the_other() {
        let discover = asked(r#"{"jsonrpc":"2.0","id":1,"method":"server/discover"}"#);
        let initialize = asked(r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#);
        let answer = |speaks, asked| greeting(&Script::new(speaks), TOOLS, asked);
        assert_eq!(answer(Speaks::Legacy, &discover), Some(unknown_method()));
        assert_eq!(answer(Speaks::Modern, &initialize), Some(unknown_method()));
        assert_ne!(answer(Speaks::Both, &initialize), Some(unknown_method()));
        assert_ne!(answer(Speaks::Both, &discover), Some(unknown_method()));
    }

    #[test]
    fn the_id_stands_where_it_is_wanted() {
        let said = Said::Result("{}".into());
        assert_eq!(said.message(&json!(7), IdPlace::First), br#"{"jsonrpc":"2.0","id":7,"result":{}}"#);
        assert_eq!(said.message(&json!(7), IdPlace::Last), br#"{"result":{},"jsonrpc":"2.0","id":7}"#);
    }

    #[test]
    fn bytes_has_the_asked_size() {
        let call = asked(
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"bytes","arguments":{"size":5000}}}"#,
        );
        let Some(Said::Result(result)) = plain_tool(&Script::new(Speaks::Legacy), &call) else { panic!() };
        assert_eq!(result.len(), 5000);
        serde_json::from_slice::<Value>(&result).expect("it is JSON");
    }
}
