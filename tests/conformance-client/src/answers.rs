//! The side of the client that servers ask: it accepts forms with their defaults, samples one sentence, has no roots.

use anyhow::{Context, Result};
use rmcp::model::{
    ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult, ElicitationAction, Implementation,
    ProtocolVersion,
};
use rmcp::service::RequestContext;
use rmcp::{ClientHandler, ErrorData, RoleClient};
use serde_json::{Value, json};

use crate::arguments::fitting;

/// The client's handler.
#[derive(Debug, Clone)]
pub(crate) struct Answers {
    config: ClientConfig,
}

// === impl Answers ===

impl Answers {
    /// Declares everything that a client can be asked for.
    pub(crate) fn new(version: ProtocolVersion) -> Result<Self> {
        let capabilities = json!({ "roots": {}, "sampling": {}, "elicitation": {} });
        let capabilities: ClientCapabilities =
            serde_json::from_value(capabilities).context("the capabilities do not fit their type")?;
        let client = Implementation::new("conformance-client", env!("CARGO_PKG_VERSION"));
        Ok(Self { config: ClientConfig::new(capabilities, client).with_protocol_version(version) })
    }
}

impl ClientHandler for Answers {
    fn get_info(&self) -> ClientConfig {
        self.config.clone()
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let accepted = ElicitResult::new(ElicitationAction::Accept);
        let ElicitRequestParams::FormElicitationParams { requested_schema, .. } = request else {
            return Ok(accepted);
        };
        let schema = serde_json::to_value(requested_schema)
            .map_err(|error| ErrorData::invalid_params(error.to_string(), None))?;
        let content = schema.as_object().map(fitting).unwrap_or_default();
        Ok(accepted.with_content(Value::Object(content)))
    }

    #[expect(deprecated, reason = "every revision still has sampling")]
    async fn create_message(
        &self,
        _request: rmcp::model::CreateMessageRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<rmcp::model::CreateMessageResult, ErrorData> {
        let message = rmcp::model::SamplingMessage::assistant_text("A sentence.");
        Ok(rmcp::model::CreateMessageResult::new(message, "none".to_owned()).with_stop_reason("endTurn"))
    }
}
