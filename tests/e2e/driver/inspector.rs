//! The MCP Inspector's command line: one process per step, one connection each.
//! It prints results only; progress and cancellation are not to be had from it.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{Era, LIMIT, Target};
use crate::environment;
use crate::plan::Plan;
use crate::process::run as run_to_end;

/// What the program exits with when a tool answered `isError`.
const TOOL_FAILED: i32 = 5;

/// Runs one process per step and puts their answers together.
#[track_caller]
pub(super) fn run(era: Era, target: &Target, folder: &Path, plan: &Plan) -> Value {
    // Its options take any number of words, so that a command line for the server must stand in a file.
    let config = folder.join("inspector.json");
    std::fs::write(&config, json!({ "mcpServers": { "gateway": entry(target) } }).to_string())
        .expect("a temp folder");
    let steps: Vec<Value> = plan.steps().iter().map(|step| walk(era, &config, folder, step)).collect();
    json!({ "steps": steps })
}

fn entry(target: &Target) -> Value {
    match target {
        Target::Url(url) => json!({ "type": "streamable-http", "url": url }),
        Target::Stdio(words) => json!({ "type": "stdio", "command": words[0], "args": words[1..] }),
    }
}

#[track_caller]
fn walk(era: Era, config: &Path, folder: &Path, step: &Value) -> Value {
    let package = "@modelcontextprotocol/inspector";
    let mut command = Command::new(environment::node());
    command.arg(environment::node_file(package, "clients/launcher/build/index.js"));
    command
        .arg("--cli")
        .arg("--config")
        .arg(config)
        .args(["--server", "gateway", "--format", "json", "--quiet"]);
    command.args(["--protocol-era", name(era)]).args(method(step));
    // It keeps files of its own in the home folder.
    command.env("HOME", folder).current_dir(folder);
    let ended = run_to_end(&mut command, LIMIT);
    let answered = ended.status.success() || ended.status.code() == Some(TOOL_FAILED);
    let answer: Option<Value> = serde_json::from_str(&ended.stdout).ok().filter(|_| answered);
    let answer = answer.unwrap_or_else(|| panic!("the Inspector failed at {step}: {ended}"));
    json!({ "do": step["do"], "result": answer["result"] })
}

fn name(era: Era) -> &'static str {
    match era {
        Era::Legacy => "legacy",
        Era::Auto => "auto",
        Era::Modern => "modern",
    }
}

fn method(step: &Value) -> Vec<String> {
    let text = |member: &str| step[member].as_str().unwrap_or_default().to_owned();
    let words = match step["do"].as_str() {
        Some("list") if step["what"] == "templates" => {
            vec!["--method".into(), "resources/templates/list".into()]
        }
        Some("list") => vec!["--method".into(), format!("{}/list", text("what"))],
        Some("call") => {
            let arguments = step["arguments"].to_string();
            vec![
                "--method".into(),
                "tools/call".into(),
                "--tool-name".into(),
                text("name"),
                "--tool-args-json".into(),
                arguments,
            ]
        }
        Some("read") => vec!["--method".into(), "resources/read".into(), "--uri".into(), text("uri")],
        Some("prompt") => vec!["--method".into(), "prompts/get".into(), "--prompt-name".into(), text("name")],
        _ => panic!("the Inspector cannot do {step}"),
    };
    words.into_iter().chain(prompt_arguments(step)).collect()
}

fn prompt_arguments(step: &Value) -> Vec<String> {
    let arguments =
        step["arguments"].as_object().filter(|arguments| step["do"] == "prompt" && !arguments.is_empty());
    let Some(arguments) = arguments else { return Vec::new() };
    let pairs =
        arguments.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()));
    ["--prompt-args".to_owned()].into_iter().chain(pairs).collect()
}
