//! What a caller may see of the catalog. The catalog asks; policy answers.

use domain::{ServerId, ServerScope, ToolName};

/// How much of one server a caller may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Nothing, not even that it exists.
    Nothing,
    /// The server, and those of its tools that [`Sight::sees_tool`] answers for.
    SomeTools,
    /// Everything it offers.
    Everything,
}

/// What a caller may see, as policy judges it. Prompts and resources follow the grant of their server.
pub trait Sight {
    /// Returns how much of the server the caller may see.
    fn of_server(&self, server: &ServerId) -> Seen;

    /// Tells whether the caller may see the tool. Asked only where [`Sight::of_server`] says [`Seen::SomeTools`].
    fn sees_tool(&self, server: &ServerId, tool: &ToolName) -> bool;

    /// Tells whether the caller may see that the server exists.
    fn sees_server(&self, server: &ServerId) -> bool {
        self.of_server(server) != Seen::Nothing
    }
}

/// A grant of whole servers.
impl Sight for ServerScope {
    fn of_server(&self, server: &ServerId) -> Seen {
        if self.reaches(server) { Seen::Everything } else { Seen::Nothing }
    }

    fn sees_tool(&self, server: &ServerId, _: &ToolName) -> bool {
        self.reaches(server)
    }
}
