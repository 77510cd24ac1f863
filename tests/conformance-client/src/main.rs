//! The client that the conformance suite starts for its client scenarios, with the server's URL as the last argument.
//! When `TOOLGATE_BIN` names the gateway's binary, it puts a gateway of its own between itself and that server.
//! What it does there is in `walk`, what it answers when it is asked something, in `answers`.

use std::env;
use std::time::Duration;

use anyhow::{Context, Result};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientLifecycleMode, ClientServiceExt};

mod answers;
mod arguments;
mod gateway;
mod scenario;
mod walk;

use answers::Answers;
use gateway::Gateway;
use scenario::Scenario;

/// For the scenario: together with the gateway's start and end less than what the suite gives a client (30 s), so that
/// nothing is left behind when the suite ends this process.
const LIMIT: Duration = Duration::from_secs(14);

/// Names the gateway's binary; without it the client talks to the suite's server itself.
const GATEWAY: &str = "TOOLGATE_BIN";

#[tokio::main]
async fn main() -> Result<()> {
    let scenario = Scenario::from_environment()?;
    let server = env::args().next_back().context("the server's URL is missing")?;
    let Some(binary) = env::var_os(GATEWAY) else {
        return within_limit(&server, &scenario).await;
    };
    let gateway = Gateway::start(&binary, &server).await?;
    let outcome = within_limit(gateway.endpoint(), &scenario).await;
    gateway.stop().await?;
    outcome
}

async fn within_limit(endpoint: &str, scenario: &Scenario) -> Result<()> {
    let done = tokio::time::timeout(LIMIT, perform(endpoint, scenario)).await;
    done.with_context(|| format!("the scenario took longer than {} s", LIMIT.as_secs()))?
}

async fn perform(endpoint: &str, scenario: &Scenario) -> Result<()> {
    let lifecycle = if scenario.is_modern() {
        ClientLifecycleMode::Discover { preferred_versions: vec![scenario.version.clone()] }
    } else {
        ClientLifecycleMode::Initialize
    };
    let transport = StreamableHttpClientTransport::from_uri(endpoint);
    let answers = Answers::new(scenario.version.clone())?;
    let client = answers.serve_with_lifecycle(transport, lifecycle).await.context("cannot connect")?;
    let outcome = walk::everything(&client, scenario).await;
    client.cancel().await.context("the connection broke")?;
    outcome
}
