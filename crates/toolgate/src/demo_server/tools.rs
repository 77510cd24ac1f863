//! The tools of the demo server: what they say of themselves, and what they do.
//! Arguments that do not fit are an answer of the tool, not a protocol error, so that a model can mend them.

use std::time::Duration;

use bytes::Bytes;
use protocol::code;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Number, Value, json, value::RawValue};
use tokio::time::sleep;
use upstream::{BuiltinError, BuiltinRequest};

use super::{DemoServer, error, params, text};

/// Longest countdown, in steps.
const MAX_STEPS: u64 = 100;
/// Longest pause between two steps.
const MAX_INTERVAL_MS: u64 = 10_000;
/// Longest sleep; no call lives longer.
const MAX_SLEEP_MS: u64 = 600_000;

/// What a tool answers: its result, or why it failed, in words.
type Outcome = Result<Value, String>;

/// Runs the tool that the request names.
pub(super) async fn call(server: &DemoServer, request: &BuiltinRequest) -> Result<Bytes, BuiltinError> {
    #[derive(Deserialize)]
    struct Call<'a> {
        name: String,
        #[serde(borrow)]
        arguments: Option<&'a RawValue>,
    }
    let Call { name, arguments } = params(request)?;
    let arguments = arguments.map_or("{}", RawValue::get);
    let outcome = match name.as_str() {
        "echo" => read(arguments).map(|Echo { text }| says(&text)),
        "add" => read(arguments).and_then(add),
        "note_write" => read(arguments).and_then(|note| note_write(server, request, note)),
        "note_read" => read(arguments).and_then(|note| note_read(server, request, &note)),
        "countdown" => countdown(request, arguments).await,
        "slow" => slow(arguments).await,
        "fail" => Err("This tool always fails, as it says.".to_owned()),
        _ => return Err(error(code::INVALID_PARAMS, "unknown tool".to_owned())),
    };
    let result = outcome
        .unwrap_or_else(|words| json!({"content": [{"type": "text", "text": words}], "isError": true}));
    Ok(text(&result))
}

#[derive(Deserialize)]
struct Echo {
    text: String,
}

#[derive(Deserialize)]
struct Add {
    a: Number,
    b: Number,
}

#[derive(Deserialize)]
struct Note {
    name: String,
    text: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Countdown {
    from: u64,
    #[serde(default)]
    interval_ms: u64,
}

#[derive(Deserialize)]
struct Slow {
    ms: u64,
}

fn read<T: DeserializeOwned>(arguments: &str) -> Result<T, String> {
    serde_json::from_str(arguments)
        .map_err(|fault| format!("The arguments do not fit: {}.", super::in_plain_words(&fault)))
}

fn says(words: &str) -> Value {
    json!({"content": [{"type": "text", "text": words}]})
}

/// Adds whole numbers exactly, others as floating point.
fn add(Add { a, b }: Add) -> Outcome {
    let exact = a.as_i64().zip(b.as_i64()).and_then(|(a, b)| a.checked_add(b)).map(Number::from);
    let floating = || Number::from_f64(a.as_f64()? + b.as_f64()?);
    let sum = exact.or_else(floating).ok_or("The sum is not a finite number.")?;
    let mut result = says(&sum.to_string());
    result["structuredContent"] = json!({"sum": sum});
    Ok(result)
}

fn note_write(server: &DemoServer, request: &BuiltinRequest, Note { name, text }: Note) -> Outcome {
    let written = format!("Wrote the note `{name}`.");
    server.notes.write(request.principal.as_ref(), name, text).map(|()| says(&written))
}

fn note_read(server: &DemoServer, request: &BuiltinRequest, Named { name }: &Named) -> Outcome {
    server.note(request, name).map(|note| says(&note)).ok_or_else(|| format!("There is no note `{name}`."))
}

/// Counts down and reports each step, if the caller wants to hear of it.
async fn countdown(request: &BuiltinRequest, arguments: &str) -> Outcome {
    let Countdown { from, interval_ms } = read(arguments)?;
    if from > MAX_STEPS || interval_ms > MAX_INTERVAL_MS {
        return Err(format!("`from` is at most {MAX_STEPS} and `interval_ms` at most {MAX_INTERVAL_MS}."));
    }
    for step in 1..=from {
        sleep(Duration::from_millis(interval_ms)).await;
        request.progress(step, Some(from), Some(&format!("{} left", from - step))).await;
    }
    Ok(says("Lift-off."))
}

async fn slow(arguments: &str) -> Outcome {
    let Slow { ms } = read(arguments)?;
    if ms > MAX_SLEEP_MS {
        return Err(format!("`ms` is at most {MAX_SLEEP_MS}."));
    }
    sleep(Duration::from_millis(ms)).await;
    Ok(says(&format!("Slept for {ms} ms.")))
}

/// Returns the tools as they are listed.
pub(super) fn descriptions() -> Vec<Value> {
    let string = |what: &str| json!({"type": "string", "description": what});
    let number = |what: &str| json!({"type": "number", "description": what});
    let whole = |what: &str, most: u64| json!({"type": "integer", "minimum": 0, "maximum": most, "description": what});
    let pure = json!({"readOnlyHint": true, "openWorldHint": false});
    let writes = json!({"readOnlyHint": false, "destructiveHint": true, "idempotentHint": true, "openWorldHint": false});

    let mut add = tool(
        ("add", "Add", "Returns the sum of two numbers."),
        &json!({"a": number("First number."), "b": number("Second number.")}),
        &["a", "b"],
        &pure,
    );
    add["outputSchema"] =
        json!({"type": "object", "properties": {"sum": {"type": "number"}}, "required": ["sum"]});
    vec![
        tool(
            ("echo", "Echo", "Returns the text it was given."),
            &json!({"text": string("The text to return.")}),
            &["text"],
            &pure,
        ),
        add,
        tool(
            (
                "note_write",
                "Write a note",
                "Keeps a text under a name until the gateway ends, in place of an earlier one.",
            ),
            &json!({"name": string("The note's name."), "text": string("Its text.")}),
            &["name", "text"],
            &writes,
        ),
        tool(
            ("note_read", "Read a note", "Returns the text of a note, or an error if there is none."),
            &json!({"name": string("The note's name.")}),
            &["name"],
            &pure,
        ),
        tool(
            ("countdown", "Count down", "Counts down to zero and reports progress at each step."),
            &json!({
                "from": whole("Where to start.", MAX_STEPS),
                "interval_ms": whole("Milliseconds between two steps; 0 if left out.", MAX_INTERVAL_MS),
            }),
            &["from"],
            &pure,
        ),
        tool(
            ("slow", "Take time", "Returns after the given time."),
            &json!({"ms": whole("How long to take, in milliseconds.", MAX_SLEEP_MS)}),
            &["ms"],
            &pure,
        ),
        tool(("fail", "Fail", "Always fails, to show what a failure looks like."), &json!({}), &[], &pure),
    ]
}

/// Describes one tool: name, title and description; properties; which of them are required; hints.
fn tool(names: (&str, &str, &str), properties: &Value, required: &[&str], annotations: &Value) -> Value {
    let (name, title, description) = names;
    json!({
        "name": name,
        "title": title,
        "description": description,
        "inputSchema": {"type": "object", "properties": properties, "required": required},
        "annotations": annotations,
    })
}
