//! Where tools come from: a file, or the configured servers, which are started, asked for their tools and ended.

use std::{collections::BTreeMap, fs, io, path::Path, time::Duration};

use bytes::Bytes;
use catalog::Listing;
use domain::{ServerId, Subject, Target};
use guardrails::Guardrails;
use protocol::Version;
use serde_json::Value;
use tokio::{runtime, sync::mpsc, time::timeout};
use upstream::{UpstreamEvent, Upstreams};

use crate::{
    cli::{CliError, GatewayOptions, output},
    config::Loaded,
    gateway::upstream_settings,
};

/// How long all servers together may take to start and list. Those that are late are left out.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Reads tools from a file: rows with `server`, or tools by server.
pub(super) fn of_file(file: &Path) -> Result<BTreeMap<ServerId, Listing>, CliError> {
    let unreadable = |source: io::Error| CliError::Unreadable { file: file.display().to_string(), source };
    let text = fs::read_to_string(file).map_err(unreadable)?;
    parse(&text).map_err(|reason| unreadable(io::Error::new(io::ErrorKind::InvalidData, reason)))
}

fn parse(text: &str) -> Result<BTreeMap<ServerId, Listing>, String> {
    let value = match serde_json::from_str(text) {
        Ok(value) => value,
        // Several values: a row on each line.
        Err(_) if text.trim_start().starts_with('{') => rows_of_lines(text)?,
        Err(error) => return Err(error.to_string()),
    };
    match value {
        Value::Array(rows) => of_rows(rows),
        // A single row on a single line.
        Value::Object(row) if row.get("server").is_some_and(Value::is_string) => of_rows(vec![row.into()]),
        Value::Object(servers) => servers.into_iter().map(|(name, tools)| of_server(&name, tools)).collect(),
        _ => Err("neither a list of tools nor lists of tools by server".to_owned()),
    }
}

fn rows_of_lines(text: &str) -> Result<Value, String> {
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let row = |(line, number): (&str, usize)| {
        serde_json::from_str(line).map_err(|error| format!("line {number}: {error}"))
    };
    lines.map(row).collect::<Result<Vec<Value>, String>>().map(Value::Array)
}

fn of_rows(rows: Vec<Value>) -> Result<BTreeMap<ServerId, Listing>, String> {
    let mut listings = BTreeMap::new();
    for (mut row, number) in rows.into_iter().zip(1..) {
        let text = |key: &str| row.get(key).and_then(Value::as_str).map(str::to_owned);
        let server = text("server").and_then(|name| ServerId::new(name).ok());
        let name = text("tool").or_else(|| text("name"));
        let (Some(server), Some(name)) = (server, name) else {
            return Err(format!("entry {number} has no `server` and `tool`"));
        };
        row["name"] = name.into();
        push(&mut listings, server, &row);
    }
    Ok(listings)
}

fn of_server(name: &str, tools: Value) -> Result<(ServerId, Listing), String> {
    let server = ServerId::new(name).map_err(|error| error.to_string())?;
    let tools = match tools {
        Value::Object(mut result) => result.remove("tools").unwrap_or_default(),
        tools => tools,
    };
    let Value::Array(tools) = tools else { return Err(format!("`{name}` has no list of tools")) };
    let mut listings = BTreeMap::from([(server.clone(), empty())]);
    tools.iter().for_each(|tool| push(&mut listings, server.clone(), tool));
    listings.pop_first().ok_or_else(|| format!("`{name}` has no list of tools"))
}

fn push(listings: &mut BTreeMap<ServerId, Listing>, server: ServerId, tool: &Value) {
    listings.entry(server).or_insert_with(empty).tools.push(Bytes::from(tool.to_string()));
}

fn empty() -> Listing {
    Listing::empty(Version::LATEST_MODERN, Bytes::from_static(b"{}"))
}

/// Starts the configured servers, takes what they list and ends them. What is late or fails is said and left out.
pub(super) fn of_servers(options: &GatewayOptions) -> Result<BTreeMap<ServerId, Listing>, CliError> {
    let loaded = options.load()?;
    output::warn(&loaded);
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Gateway(error.to_string()))?;
    runtime.block_on(ask(loaded))
}

async fn ask(loaded: Loaded) -> Result<BTreeMap<ServerId, Listing>, CliError> {
    let settings = upstream_settings(&loaded.config);
    let settings = settings.map_err(|error| CliError::Gateway(error.to_string()))?;
    let (upstreams, mut events) = Upstreams::new(settings);
    let servers: BTreeMap<_, _> =
        loaded.servers.into_iter().filter_map(|(id, server)| Some((id, server.ok()?))).collect();
    eprintln!("Asking {} for tools ...", output::counted(servers.len(), "server"));
    upstreams.apply(servers);
    upstreams.wake_lazy();
    let mut listings = BTreeMap::new();
    if timeout(MAX_WAIT, gather(&upstreams, &mut events, &mut listings)).await.is_err() {
        eprintln!("Not every server has answered after {} s.", MAX_WAIT.as_secs());
    }
    for state in upstreams.states() {
        if !listings.contains_key(&state.server) {
            let reason = state.reason.as_deref().unwrap_or("it has not listed its tools");
            let name = output::printable(state.server.as_str());
            eprintln!("The server `{name}` is left out: {}", output::printable(reason));
        }
    }
    upstreams.shutdown().await;
    Ok(listings)
}

/// Takes events until every server has listed or failed once, and those that were reported by then.
async fn gather(
    upstreams: &Upstreams,
    events: &mut mpsc::Receiver<UpstreamEvent>,
    listings: &mut BTreeMap<ServerId, Listing>,
) {
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => take(event, listings),
                None => return,
            },
            () = upstreams.settled() => break,
        }
    }
    while let Ok(event) = events.try_recv() {
        take(event, listings);
    }
}

fn take(event: UpstreamEvent, listings: &mut BTreeMap<ServerId, Listing>) {
    match event {
        UpstreamEvent::Listed { server, listing } => {
            let subject = Subject { server: server.clone(), target: Target::Server };
            if let Ok(listing) = Guardrails::none().screen_result(&subject, *listing) {
                listings.insert(server, listing.into_inner());
            }
        }
        UpstreamEvent::Gone { server } => {
            listings.remove(&server);
        }
        UpstreamEvent::Notified { .. } | UpstreamEvent::StateChanged { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Result<Vec<String>, String> {
        let listings = parse(text)?;
        let count = |(server, listing): (&ServerId, &Listing)| format!("{server} {}", listing.tools.len());
        Ok(listings.iter().map(count).collect())
    }

    #[test]
    fn files_of_tools_are_read() {
        let rows =
            r#"[{"server": "a", "tool": "x"}, {"server": "b", "name": "y"}, {"server": "a", "tool": "z"}]"#;
        assert_eq!(names(rows).unwrap(), ["a 2", "b 1"]);
        let lines = "{\"server\": \"a\", \"tool\": \"x\"}\n\n{\"server\": \"a\", \"tool\": \"y\"}\n";
        assert_eq!(names(lines).unwrap(), ["a 2"]);
        assert_eq!(names(r#"{"a": [{"name": "x"}], "b": {"tools": []}}"#).unwrap(), ["a 1", "b 0"]);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_named() {
        let cases = [
            (r#"[{"tool": "x"}]"#, "entry 1"),
            ("{\"server\": \"a\", \"tool\": \"x\"}\n{oops\n", "line 2"),
            (r#"{"a": 7}"#, "`a`"),
            ("7", "neither"),
            ("oops", "expected"),
        ];
        for (text, expected) in cases {
            let reason = names(text).unwrap_err();
            assert!(reason.contains(expected), "{reason}");
        }
    }
}
