//! The configured servers as the discovery tools describe them: in the configuration's order, also those that cannot be
//! started. What they offer is the catalog's.

use domain::ServerId;

/// How a configured server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    /// A child process; the program's name without its arguments, which may hold secrets.
    Command(String),
    /// A URL without user information, query and fragment, which may hold secrets.
    Url(String),
    /// It is part of the gateway.
    Builtin,
}

/// One configured server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredServer {
    /// Its name.
    pub id: ServerId,
    /// What its configuration says it is for.
    pub description: Option<String>,
    /// How it is reached; `None` when its configuration is faulty.
    pub reached: Option<Reached>,
    /// Why it is not started, fit for agents to read; `None` when its configuration is sound.
    pub fault: Option<String>,
}

/// All configured servers but those that are switched off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    servers: Vec<ConfiguredServer>,
    ids: Vec<ServerId>,
}

impl Roster {
    /// Makes the roster; the order is kept.
    pub fn new(servers: Vec<ConfiguredServer>) -> Self {
        let ids = servers.iter().map(|server| server.id.clone()).collect();
        Self { servers, ids }
    }

    /// Returns the names in order.
    pub fn ids(&self) -> &[ServerId] {
        &self.ids
    }

    /// Returns the servers in order.
    pub fn servers(&self) -> &[ConfiguredServer] {
        &self.servers
    }

    /// Returns the server of this name.
    pub fn get(&self, name: &str) -> Option<&ConfiguredServer> {
        self.servers.iter().find(|server| server.id.as_str() == name)
    }
}

impl ConfiguredServer {
    /// Returns agent-mcp-gateway's word for the transport.
    pub fn transport(&self) -> Option<&'static str> {
        self.reached.as_ref().map(|reached| match reached {
            Reached::Command(_) => "stdio",
            Reached::Url(_) => "http",
            Reached::Builtin => "builtin",
        })
    }
}
