//! The demo server inside the gateway: a few harmless tools, a resource and a prompt, to try a gateway with that has
//! no servers yet. Nothing leaves the process and nothing is kept on disk. What each tool does is in
//! `demo_server/tools.rs`.

mod notes;
mod tools;

use bytes::Bytes;
use catalog::Listing;
use protocol::{Version, code};
use serde::Deserialize;
use serde_json::{Value, json};
use upstream::{BuiltinError, BuiltinFuture, BuiltinRequest, BuiltinServer};

use self::notes::Notes;

/// What the resources' addresses begin with.
const NOTE_SCHEME: &str = "note://";
/// The note that is always there.
const WELCOME: (&str, &str) = (
    "welcome",
    "Toolgate is running. Write a note with `note_write`, then read it as `note://` and its name.\n",
);

/// The demo server. Notes live as long as it does, each caller's apart from the others'.
#[derive(Debug, Default)]
pub struct DemoServer {
    notes: Notes,
}

impl BuiltinServer for DemoServer {
    fn listing(&self) -> Listing {
        let capabilities = json!({"tools": {}, "resources": {}, "prompts": {}});
        let mut listing = Listing::empty(Version::LATEST_LEGACY, text(&capabilities));
        listing.instructions =
            Some("Tools to try the gateway with. Notes are forgotten when it ends.".to_owned());
        listing.tools = tools::descriptions().iter().map(text).collect();
        listing.resources = vec![text(&welcome_resource())];
        listing.templates = vec![text(&note_template())];
        listing.prompts = vec![text(&greet_prompt())];
        listing
    }

    fn call<'a>(&'a self, request: BuiltinRequest) -> BuiltinFuture<'a> {
        Box::pin(async move {
            match &*request.method {
                "tools/call" => tools::call(self, &request).await,
                "resources/read" => self.read(&request),
                "prompts/get" => greet(&request),
                other => {
                    Err(error(code::METHOD_NOT_FOUND, format!("the demo server has no method `{other}`")))
                }
            }
        })
    }
}

impl DemoServer {
    fn read(&self, request: &BuiltinRequest) -> Result<Bytes, BuiltinError> {
        #[derive(Deserialize)]
        struct Read {
            uri: String,
        }
        let Read { uri } = params(request)?;
        let found = uri.strip_prefix(NOTE_SCHEME).and_then(|name| self.note(request, name));
        let note = found.ok_or_else(|| error(code::RESOURCE_NOT_FOUND, "no such note".to_owned()))?;
        Ok(text(&json!({"contents": [{"uri": uri, "mimeType": "text/plain", "text": note}]})))
    }

    /// Finds a note of the caller, or the one that everybody has.
    fn note(&self, request: &BuiltinRequest, name: &str) -> Option<String> {
        let own = self.notes.read(request.principal.as_ref(), name);
        own.or_else(|| (name == WELCOME.0).then(|| WELCOME.1.to_owned()))
    }
}

fn welcome_resource() -> Value {
    json!({
        "uri": format!("{NOTE_SCHEME}{}", WELCOME.0),
        "name": WELCOME.0,
        "title": "Welcome",
        "description": "What to try first.",
        "mimeType": "text/plain",
    })
}

fn note_template() -> Value {
    json!({
        "uriTemplate": format!("{NOTE_SCHEME}{{name}}"),
        "name": "note",
        "title": "A note",
        "description": "The text of a note that was written with `note_write`.",
        "mimeType": "text/plain",
    })
}

fn greet_prompt() -> Value {
    json!({
        "name": "greet",
        "title": "Greet somebody",
        "description": "Asks the model to greet somebody by name.",
        "arguments": [{"name": "name", "description": "Who is greeted.", "required": true}],
    })
}

fn greet(request: &BuiltinRequest) -> Result<Bytes, BuiltinError> {
    #[derive(Deserialize)]
    struct Get {
        name: String,
        arguments: Option<Arguments>,
    }
    #[derive(Deserialize)]
    struct Arguments {
        name: String,
    }
    let Get { name, arguments } = params(request)?;
    if name != "greet" {
        return Err(error(code::INVALID_PARAMS, "unknown prompt".to_owned()));
    }
    let missing = || error(code::INVALID_PARAMS, "the argument `name` is missing".to_owned());
    let Arguments { name } = arguments.ok_or_else(missing)?;
    let words = format!("Please greet {name} in one friendly sentence.");
    Ok(text(&json!({
        "description": "A greeting",
        "messages": [{"role": "user", "content": {"type": "text", "text": words}}],
    })))
}

/// Reads a request's parameters.
fn params<'a, T: Deserialize<'a>>(request: &'a BuiltinRequest) -> Result<T, BuiltinError> {
    let read = serde_json::from_slice(&request.params);
    read.map_err(|fault| error(code::INVALID_PARAMS, format!("invalid params: {}", in_plain_words(&fault))))
}

/// Says what does not fit to whoever wrote it, without our names of types and without a place that nobody sees.
fn in_plain_words(fault: &serde_json::Error) -> String {
    let text = fault.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    let Some((before, expected)) = text.rsplit_once("expected ") else { return text.to_owned() };
    let words = match expected {
        "u64" => "a whole number, 0 or more",
        "i64" => "a whole number",
        "f64" => "a number",
        _ if expected.starts_with("struct ") => "an object",
        other => other,
    };
    format!("{before}expected {words}")
}

fn error(code: i64, message: String) -> BuiltinError {
    BuiltinError { code, message }
}

fn text(value: &Value) -> Bytes {
    value.to_string().into()
}

#[cfg(test)]
mod tests;
