//! The operations that are counted apart: the gateway's own tools, and the methods of MCP.

/// Something an agent can ask the gateway for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The gateway's tool `list_servers`.
    ListServers,
    /// The gateway's tool `get_server_tools`.
    GetServerTools,
    /// The gateway's tool `execute_tool`.
    ExecuteTool,
    /// The gateway's tool `search_tools`.
    SearchTools,
    /// The gateway's tool `get_gateway_status`.
    GetGatewayStatus,
    /// `tools/call` of a server's tool.
    CallTool,
    /// `tools/list`
    ListTools,
    /// `prompts/get`
    GetPrompt,
    /// `prompts/list`
    ListPrompts,
    /// `resources/read`
    ReadResource,
    /// `resources/list`
    ListResources,
    /// `resources/templates/list`
    ListResourceTemplates,
    /// `completion/complete`
    Complete,
    /// `initialize`
    Initialize,
    /// `ping`
    Ping,
    /// `logging/setLevel`
    SetLogLevel,
    /// `server/discover`
    Discover,
    /// `subscriptions/listen`
    Listen,
    /// A method that is none of these.
    Other,
}

impl Operation {
    /// All operations, in the order in which they are shown.
    pub const ALL: [Self; 19] = [
        Self::ListServers,
        Self::GetServerTools,
        Self::ExecuteTool,
        Self::SearchTools,
        Self::GetGatewayStatus,
        Self::CallTool,
        Self::ListTools,
        Self::GetPrompt,
        Self::ListPrompts,
        Self::ReadResource,
        Self::ListResources,
        Self::ListResourceTemplates,
        Self::Complete,
        Self::Initialize,
        Self::Ping,
        Self::SetLogLevel,
        Self::Discover,
        Self::Listen,
        Self::Other,
    ];

    /// Returns the name it is counted under: of a tool of the gateway the tool's, else the method's.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ListServers => "list_servers",
            Self::GetServerTools => "get_server_tools",
            Self::ExecuteTool => "execute_tool",
            Self::SearchTools => "search_tools",
            Self::GetGatewayStatus => "get_gateway_status",
            Self::CallTool => "tools/call",
            Self::ListTools => "tools/list",
            Self::GetPrompt => "prompts/get",
            Self::ListPrompts => "prompts/list",
            Self::ReadResource => "resources/read",
            Self::ListResources => "resources/list",
            Self::ListResourceTemplates => "resources/templates/list",
            Self::Complete => "completion/complete",
            Self::Initialize => "initialize",
            Self::Ping => "ping",
            Self::SetLogLevel => "logging/setLevel",
            Self::Discover => "server/discover",
            Self::Listen => "subscriptions/listen",
            Self::Other => "other",
        }
    }

    /// Returns the operation of this name: a method on the wire, or a tool of the gateway that was recognised as one.
    pub fn of_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|operation| operation.as_str() == name).unwrap_or(Self::Other)
    }

    /// Returns its place in [`Self::ALL`].
    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_stands_at_its_own_place() {
        for (index, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation.index(), index);
            assert_eq!(Operation::of_name(operation.as_str()), operation);
        }
        assert_eq!(Operation::of_name("tools/frobnicate"), Operation::Other);
    }

    #[test]
    fn methods_have_their_names_on_the_wire() {
        let methods = Operation::ALL.into_iter().filter(|operation| operation.as_str().contains('/'));
        for operation in methods.chain([Operation::Initialize, Operation::Ping]) {
            assert!(protocol::method(operation.as_str()).is_some(), "{operation:?}");
        }
    }
}
