//! `toolgate tools`: lists and searches tools as agents with search exposure do, without a gateway that runs.
//! The tools come from a file or from the configured servers; see `tools/source.rs`. Nothing is called.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use catalog::{Hit, Listing, SearchIndex, signature};
use clap::{Args, Subcommand};
use domain::ServerId;
use serde_json::{Value, json};

use super::{
    CliError, GatewayOptions,
    output::{self, Format, printable},
};

mod batch;
mod source;

/// Tools that a search shows.
const DEFAULT_LIMIT: usize = 10;
/// Longest description in a table, in characters.
const SHOWN_DESCRIPTION: usize = 80;

/// Options of `tools`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  toolgate tools search 'open an issue'
  toolgate tools list --server github")]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find tools by what they are for
    #[command(after_help = "\
Examples:
  toolgate tools search 'open an issue'
  toolgate tools search 'rename a file' --server files --limit 3 -o json
  toolgate tools search --catalog tools.json 'send a message'
  toolgate tools search --catalog tools.json --batch tasks.jsonl > hits.jsonl

A batch has a task on each line, {\"id\": \"t1\", \"query\": \"open an issue\"}, and its answer a line for each:
  {\"id\": \"t1\", \"hits\": [{\"server\": \"github\", \"tool\": \"create_issue\", \"score\": 0.71}]}")]
    Search(SearchOptions),
    /// List all tools
    #[command(after_help = "\
Examples:
  toolgate tools list
  toolgate tools list -o json > tools.json      (for --catalog)
  toolgate tools list --catalog tools.json")]
    List(SourceOptions),
}

#[derive(Debug, Args)]
struct SearchOptions {
    /// What the tool is to do, in your own words
    #[arg(required_unless_present = "batch")]
    query: Option<String>,
    /// Answer a file of tasks, one JSON object with `id` and `query` a line
    #[arg(long, value_name = "FILE", conflicts_with = "query")]
    batch: Option<PathBuf>,
    /// How many tools to show at most
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LIMIT)]
    limit: usize,
    #[command(flatten)]
    source: SourceOptions,
}

/// Which tools there are.
#[derive(Debug, Args)]
struct SourceOptions {
    /// A file of tools instead of the configured servers: [{"server", "tool", "description", "inputSchema"}, ...], the
    /// same line by line, or {"SERVER": [TOOL, ...]} with tools as servers list them
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// Only tools of this server
    #[arg(long, value_name = "NAME")]
    server: Option<ServerName>,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    gateway: GatewayOptions,
}

/// A server's name as typed.
#[derive(Debug, Clone)]
struct ServerName(ServerId);

impl std::str::FromStr for ServerName {
    type Err = domain::InvalidName;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Ok(Self(ServerId::new(name)?))
    }
}

pub(super) fn run(options: &Options) -> Result<ExitCode, CliError> {
    match &options.command {
        Command::Search(options) => search(options),
        Command::List(options) => list(options),
    }
}

impl SourceOptions {
    /// Returns what the servers offer that are asked for.
    fn listings(&self) -> Result<BTreeMap<ServerId, Listing>, CliError> {
        let mut listings = match &self.catalog {
            Some(file) => source::of_file(file)?,
            None => source::of_servers(&self.gateway)?,
        };
        if let Some(ServerName(only)) = &self.server {
            listings.retain(|server, _| server == only);
        }
        Ok(listings)
    }
}

fn search(options: &SearchOptions) -> Result<ExitCode, CliError> {
    // A file of tasks that cannot be read is told before any server is started.
    let tasks = options.batch.as_deref().map(batch::read).transpose()?;
    let listings = options.source.listings()?;
    let mut index = SearchIndex::default();
    for (server, listing) in &listings {
        index.update(server, listing);
    }
    if let Some(tasks) = tasks {
        return batch::answer(&tasks, &index, options.limit);
    }
    let query = options.query.as_deref().unwrap_or_default();
    let hits = index.search(query, options.limit, |_, _| true);
    match options.source.output {
        Format::Json => output::print_json(&json_hits(query, &hits, &listings))?,
        Format::Text if hits.is_empty() => eprintln!("No tool fits, of {} tools.", index.tools()),
        Format::Text => output::print(&lines(&hits, &listings))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn json_hits(query: &str, hits: &[Hit], listings: &BTreeMap<ServerId, Listing>) -> Value {
    let hits = hits.iter().map(|hit| {
        json!({
            "server": hit.server.as_str(),
            "tool": hit.tool.as_str(),
            "score": hit.score,
            "signature": signature_of(hit, listings),
        })
    });
    json!({"query": query, "hits": hits.collect::<Vec<_>>()})
}

fn lines(hits: &[Hit], listings: &BTreeMap<ServerId, Listing>) -> String {
    let line = |hit: &Hit| {
        format!("{:.2}  {}  {}", hit.score, printable(hit.server.as_str()), signature_of(hit, listings))
    };
    hits.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Returns what the tool takes and does, in one line.
fn signature_of(hit: &Hit, listings: &BTreeMap<ServerId, Listing>) -> String {
    let tools = listings.get(&hit.server).into_iter().flat_map(|listing| &listing.tools);
    let named = |raw: &&bytes::Bytes| {
        serde_json::from_slice::<Value>(raw).is_ok_and(|tool| tool["name"] == hit.tool.as_str())
    };
    tools.into_iter().find(named).map_or_else(|| hit.tool.to_string(), |raw| signature(raw))
}

fn list(options: &SourceOptions) -> Result<ExitCode, CliError> {
    let listings = options.listings()?;
    let tools = listings.iter().flat_map(|(server, listing)| {
        let parsed = listing.tools.iter().filter_map(|raw| serde_json::from_slice::<Value>(raw).ok());
        parsed.map(move |tool| (server, tool))
    });
    let text = |tool: &Value, key: &str| tool[key].as_str().unwrap_or_default().to_owned();
    match options.output {
        Format::Json => {
            let rows = tools.map(|(server, tool)| {
                json!({
                    "server": server.as_str(),
                    "tool": tool["name"],
                    "description": tool["description"],
                    "inputSchema": tool["inputSchema"],
                })
            });
            output::print_json(&rows.collect::<Vec<_>>())?;
        }
        Format::Text => {
            let rows = tools.map(|(server, tool)| {
                let description = text(&tool, "description");
                let first = description.lines().next().unwrap_or_default();
                let shown = first.chars().take(SHOWN_DESCRIPTION).collect();
                vec![server.to_string(), text(&tool, "name"), shown]
            });
            output::print(&output::table(&["server", "tool", "description"], rows.collect()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
