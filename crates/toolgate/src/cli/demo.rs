//! `toolgate demo`: one call per outcome against the built-in server, over real HTTP with real tokens, and what the
//! audit trail says of each. Everything lives in a temporary folder and on loopback, and is gone afterwards.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use domain::Secret;
use identity::{NewToken, TokenStore};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use super::{CliError, output};
use crate::{
    config::{self, Choices, Surroundings},
    service::RunningGateway,
};

/// Two servers, so that a token can reach one and not the other; a short timeout, so that nobody waits long.
const CONFIG: &str = r#"{
  "version": 1,
  "servers": {
    "demo": {"builtin": "demo", "timeout_ms": 1000},
    "private": {"builtin": "demo"}
  },
  "listen": {"address": "127.0.0.1:0", "operations": "127.0.0.1:0"}
}"#;

/// One call and what it is to show.
struct Scene {
    title: &'static str,
    tool: &'static str,
    arguments: fn() -> Value,
}

const SCENES: [Scene; 4] = [
    Scene { title: "allowed: the tool answers", tool: "demo__add", arguments: || json!({"a": 2, "b": 3}) },
    Scene {
        title: "refused by the token: it reaches `demo` and not `private`",
        tool: "private__note_read",
        arguments: || json!({"name": "secrets"}),
    },
    Scene { title: "failed: the tool itself says so", tool: "demo__fail", arguments: || json!({}) },
    Scene {
        title: "timed out: the tool is slower than allowed",
        tool: "demo__slow",
        arguments: || json!({"ms": 5000}),
    },
];

pub(super) fn run() -> Result<ExitCode, CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::Gateway(error.to_string());
    let folder =
        tempfile::Builder::new().prefix("toolgate-demo-").tempdir().map_err(|error| failed(&error))?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| failed(&error))?;
    let shown = runtime.block_on(show(folder.path()));
    runtime.shutdown_timeout(Duration::from_secs(1));
    shown.map_err(|error| match error.downcast::<CliError>() {
        Ok(error) => *error,
        Err(error) => failed(&error),
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn show(folder: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let file = folder.join("toolgate.yaml");
    std::fs::write(&file, CONFIG)?;
    let around = Surroundings { folder, variable: &|_| None, program: None, state_dir: folder };
    let loaded = config::load(&Choices { file: Some(file), ..Choices::default() }, &around)?;
    let token = token(folder)?;
    let gateway = RunningGateway::start(&loaded, folder.to_owned()).await?;
    let start = format!("A gateway runs on {} with a token for the agent `visitor`.", gateway.address());
    output::print(&start).map_err(CliError::Output)?;
    for scene in SCENES {
        let (address, token) = (gateway.address(), token.clone());
        let (tool, arguments) = (scene.tool, (scene.arguments)());
        let call = format!("{tool} {arguments}");
        let answer =
            tokio::task::spawn_blocking(move || call_tool(address, &token, tool, &arguments)).await??;
        let audited = last_end_line(gateway.audit_file())?;
        let shown = format!("\n{}\n  call    {call}\n  answer  {answer}\n  audit   {audited}", scene.title);
        output::print(&shown).map_err(CliError::Output)?;
    }
    gateway.stop().await;
    Ok(())
}

fn token(folder: &Path) -> Result<Secret<String>, identity::StoreError> {
    let new = NewToken {
        agent: "visitor".to_owned(),
        user: None,
        roles: Vec::new(),
        servers: Some(vec!["demo".to_owned()]),
        expires: None,
    };
    Ok(TokenStore::new(folder).create(new, SystemTime::now())?.token)
}

/// Calls a tool with one stateless request. HTTP/1.0 has one answer on a connection and no chunks.
fn call_tool(
    address: SocketAddr,
    token: &Secret<String>,
    tool: &str,
    arguments: &Value,
) -> io::Result<String> {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    let mut connection = TcpStream::connect(address)?;
    write!(
        connection,
        "POST /mcp HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Accept: application/json\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: {tool}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        token.expose(),
        body.len()
    )?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer.split_once("\r\n\r\n").map_or(answer.as_str(), |(_, body)| body.trim()).to_owned())
}

/// Returns what the newest end line says, without the fields that are the same for every line.
fn last_end_line(file: &Path) -> io::Result<String> {
    let text = std::fs::read_to_string(file)?;
    let lines = text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let end = lines.into_iter().find(|line| line["phase"] == "end").unwrap_or_default();
    let fields = ["agent_id", "server", "target", "decision", "outcome", "code", "rule", "latency_ms"];
    let known = fields.into_iter().filter(|field| !end[*field].is_null());
    Ok(known.map(|field| format!("{field}={}", end[field])).collect::<Vec<_>>().join(" "))
}
