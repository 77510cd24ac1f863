//! `list_servers`: the configured servers that the agent may see.

use bytes::Bytes;
use serde::Serialize;

use super::{arguments::ListServers, structured};
use crate::{ConfiguredServer, Reached, admission::Admission};

/// One server, with every member always there.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    name: &'a str,
    description: Option<&'a str>,
    transport: Option<&'a str>,
    command: Option<&'a str>,
    url: Option<&'a str>,
}

pub(super) fn answer(admission: &Admission, arguments: &ListServers) -> Bytes {
    let configured = &admission.world().configured;
    let seen = configured.policy.servers_in_order(admission.principal(), configured.roster.ids());
    let seen = seen.into_iter().filter(|id| admission.view().shows(id));
    let servers = seen.filter_map(|id| configured.roster.get(id.as_str()));
    let show = if arguments.include_metadata { technical } else { plain };
    structured::list(&servers.map(show).collect::<Vec<_>>(), admission.era())
}

fn plain(server: &ConfiguredServer) -> Entry<'_> {
    Entry {
        name: server.id.as_str(),
        description: server.description.as_deref(),
        transport: None,
        command: None,
        url: None,
    }
}

fn technical(server: &ConfiguredServer) -> Entry<'_> {
    let (command, url) = match &server.reached {
        Some(Reached::Command(command)) => (Some(command.as_str()), None),
        Some(Reached::Url(url)) => (None, Some(url.as_str())),
        Some(Reached::Builtin) | None => (None, None),
    };
    Entry { transport: server.transport(), command, url, ..plain(server) }
}
