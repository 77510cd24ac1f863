//! `toolgate token create | list | revoke`: access tokens in the state directory.
//! How they are kept and checked is in `identity`.

use std::{process::ExitCode, time::SystemTime};

use clap::{Args, Subcommand};
use domain::{Clock as _, ServerScope, SystemClock, TokenId};
use identity::{CreatedToken, NewToken, TokenRecord, TokenStore};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    CliError,
    lifetime::{self, Lifetime},
    options::AnswerOptions,
    output::{self, Format},
};

/// Options of `token`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  toolgate token create --agent reviewer --server github --expires 30d
  toolgate token list
  toolgate token revoke 3f9a01c2")]
pub struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create a token and show it, once
    #[command(after_help = "\
Examples:
  toolgate token create --agent reviewer
  toolgate token create --agent ci --user ada@example.com --role developer --server github --expires 30d
  toolgate token create --agent ci -o json      (with the hash, for `tokens:` in toolgate.yaml)")]
    Create(Create),
    /// List the tokens of the state directory
    #[command(after_help = "\
Examples:
  toolgate token list
  toolgate token list -o json")]
    List {
        #[command(flatten)]
        answer: AnswerOptions,
    },
    /// Revoke a token: its next request is refused
    #[command(after_help = "\
Example:
  toolgate token revoke 3f9a01c2")]
    Revoke {
        /// The token's id, as `toolgate token list` shows it
        id: String,
        #[command(flatten)]
        answer: AnswerOptions,
    },
}

#[derive(Debug, Args)]
struct Create {
    /// The agent that holders of the token are
    #[arg(long, value_name = "NAME")]
    agent: String,
    /// The person on whose behalf the agent calls
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// A role, for policy; may be repeated
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// A server that the token reaches; may be repeated [default: every server]
    #[arg(long = "server", value_name = "NAME")]
    servers: Vec<String>,
    /// How long the token lives, for example 30d, or until when [default: no end]
    #[arg(long, value_name = "TIME", value_parser = lifetime::parse)]
    expires: Option<Lifetime>,
    #[command(flatten)]
    answer: AnswerOptions,
}

pub(super) fn run(options: Options) -> Result<ExitCode, CliError> {
    match options.action {
        Action::Create(create) => create_token(create, SystemClock.now())?,
        Action::List { answer } => list(&answer, SystemClock.now())?,
        Action::Revoke { id, answer } => revoke(id, &answer)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn create_token(create: Create, now: SystemTime) -> Result<(), CliError> {
    let expires = create.expires.map(|lifetime| lifetime.end(now));
    if let Some(end) = expires.filter(|end| *end <= now) {
        return Err(CliError::Gateway(format!(
            "no token was created: `--expires` names {}, which is past",
            shown_time(end)
        )));
    }
    let store = TokenStore::new(create.answer.state.folder()?);
    let is_first = store.list()?.is_empty();
    let new = NewToken {
        agent: create.agent,
        user: create.user,
        roles: create.roles,
        servers: (!create.servers.is_empty()).then_some(create.servers),
        expires,
    };
    let created = store.create(new, now)?;
    match create.answer.output {
        Format::Json => output::print_json(&created_json(&created))?,
        Format::Text => {
            output::print(created.token.expose())?;
            eprintln!(
                "Token `{}`. It is shown only now: keep it where secrets are kept.",
                created.record.id()
            );
            if is_first {
                eprintln!("From now on callers over HTTP need a token; `toolgate stdio` does not.");
            }
        }
    }
    Ok(())
}

fn list(answer: &AnswerOptions, now: SystemTime) -> Result<(), CliError> {
    let store = TokenStore::new(answer.state.folder()?);
    let records = store.list()?;
    match answer.output {
        Format::Json => output::print_json(&records.iter().map(record_json).collect::<Vec<_>>())?,
        Format::Text if records.is_empty() => eprintln!("No tokens in {}", store.path().display()),
        Format::Text => {
            let heads = ["id", "agent", "user", "roles", "servers", "created", "expires"];
            output::print(&output::table(&heads, records.iter().map(|record| row(record, now)).collect()))?;
        }
    }
    Ok(())
}

fn revoke(id: String, answer: &AnswerOptions) -> Result<(), CliError> {
    let store = TokenStore::new(answer.state.folder()?);
    let token = TokenId::new(id.as_str()).ok();
    let revoked = token.map(|token| store.revoke(&token)).transpose()?;
    if revoked != Some(true) {
        return Err(CliError::NoSuchToken(output::printable(&id)));
    }
    match answer.output {
        Format::Json => output::print_json(&json!({ "revoked": id }))?,
        Format::Text => output::print(&format!("Token `{id}` is revoked: its next request is refused."))?,
    }
    Ok(())
}

fn created_json(created: &CreatedToken) -> Value {
    let mut object = record_json(&created.record);
    object["hash"] = created.record.hash().to_string().into();
    object["token"] = created.token.expose().as_str().into();
    object
}

fn record_json(record: &TokenRecord) -> Value {
    let principal = record.principal();
    json!({
        "id": record.id(),
        "agent": principal.agent,
        "user": principal.user,
        "roles": principal.roles,
        "servers": servers(&principal.servers),
        "created": record.created().map(shown_time),
        "expires": record.expires().map(shown_time),
    })
}

fn row(record: &TokenRecord, now: SystemTime) -> Vec<String> {
    let principal = record.principal();
    let dash = || "-".to_owned();
    let list = |names: Vec<String>| if names.is_empty() { dash() } else { names.join(" ") };
    let expires = record.expires().map(|end| {
        let mark = if end <= now { " (expired)" } else { "" };
        format!("{}{mark}", shown_time(end))
    });
    vec![
        record.id().to_string(),
        principal.agent.to_string(),
        principal.user.as_ref().map_or_else(dash, ToString::to_string),
        list(principal.roles.iter().map(ToString::to_string).collect()),
        servers(&principal.servers).map_or_else(|| "all".to_owned(), list),
        record.created().map_or_else(dash, shown_time),
        expires.unwrap_or_else(|| "never".to_owned()),
    ]
}

fn servers(scope: &ServerScope) -> Option<Vec<String>> {
    match scope {
        ServerScope::All => None,
        ServerScope::Only(servers) => Some(servers.iter().map(ToString::to_string).collect()),
    }
}

fn shown_time(time: SystemTime) -> String {
    OffsetDateTime::from(time).format(&Rfc3339).unwrap_or_else(|_| "-".to_owned())
}
