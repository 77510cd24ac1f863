//! What the client does once it is connected: list everything, call every tool, get every prompt, read every resource.
//! Each scenario finds in it what it watches for, so that none needs a script of its own.

use anyhow::{Context, Result};
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ErrorCode, GetPromptRequestParams, JsonObject,
    ReadResourceRequestParams, ServerCapabilities, Tool,
};
use rmcp::service::RunningService;
use rmcp::{RoleClient, ServiceError};
use serde_json::Value;

use crate::answers::Answers;
use crate::arguments::fitting;
use crate::scenario::Scenario;

/// Gives a schema back as it was received; the schema of [`SCHEMA_SOURCE`] is wanted.
const ECHO: &str = "json_schema_echo";
const SCHEMA_SOURCE: &str = "json_schema_2020_12_tool";

type Client = RunningService<RoleClient, Answers>;

/// Uses everything the server offers, in a fixed order; the first failure ends it.
pub(crate) async fn everything(client: &Client, scenario: &Scenario) -> Result<()> {
    let has = client.peer_info().map(|server| server.capabilities.clone()).unwrap_or_default();
    tools(client, scenario, &has).await?;
    if has.prompts.is_some() {
        prompts(client).await?;
    }
    if has.resources.is_some() {
        resources(client).await?;
    }
    Ok(())
}

/// Lists the tools even when the server declares none: some scenarios watch only for that request.
async fn tools(client: &Client, scenario: &Scenario, has: &ServerCapabilities) -> Result<()> {
    let listed = client.list_all_tools().await;
    if has.tools.is_none() {
        return Ok(());
    }
    let listed = listed.context("tools/list")?;
    for tool in &listed {
        let arguments = match scenario.arguments_of(&tool.name) {
            Some(prescribed) => prescribed.clone(),
            None => arguments(tool, &listed),
        };
        let call = CallToolRequestParams::new(tool.name.clone()).with_arguments(arguments);
        let outcome = client.call_tool(call).await;
        unless_unknown(outcome).with_context(|| format!("tools/call of `{}`", tool.name))?;
    }
    Ok(())
}

/// Lets a server that lists tools and knows no calls pass: the suite has one.
fn unless_unknown(outcome: Result<CallToolResult, ServiceError>) -> Result<(), ServiceError> {
    match outcome {
        Err(ServiceError::McpError(error)) if error.code == ErrorCode::METHOD_NOT_FOUND => Ok(()),
        other => other.map(|_| ()),
    }
}

fn arguments(tool: &Tool, all: &[Tool]) -> JsonObject {
    let source = all.iter().find(|tool| tool.name == SCHEMA_SOURCE);
    match source {
        Some(source) if tool.name == ECHO => {
            let schema = Value::Object(source.input_schema.as_ref().clone());
            JsonObject::from_iter([("schema".to_owned(), schema)])
        }
        _ => fitting(&tool.input_schema),
    }
}

async fn prompts(client: &Client) -> Result<()> {
    for prompt in client.list_all_prompts().await.context("prompts/list")? {
        let what = format!("prompts/get of `{}`", prompt.name);
        client.get_prompt(GetPromptRequestParams::new(prompt.name)).await.context(what)?;
    }
    Ok(())
}

async fn resources(client: &Client) -> Result<()> {
    for resource in client.list_all_resources().await.context("resources/list")? {
        let what = format!("resources/read of {}", resource.uri);
        client.read_resource(ReadResourceRequestParams::new(resource.uri.clone())).await.context(what)?;
    }
    Ok(())
}
