//! `toolgate validate`: checks a configuration as `serve` would, and says everything that is wrong. Nothing is started,
//! unless `--connect` asks for it (`validate/connect.rs`). Who may use what is listed by `validate/rules.rs`.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;
use serde_json::{Value, json};

use super::{
    CliError, GatewayOptions,
    output::{self, Format},
};
use crate::config::{Diagnostic, LoadError, Loaded, Source};

mod connect;
mod rules;

use connect::Tried;
use rules::RulesInForce;

/// The file is good, and a server of it cannot be used.
const EXIT_PARTLY_USABLE: u8 = 3;

/// Options of `validate`.
#[derive(Debug, Args)]
pub struct Options {
    /// The file [default: as `serve` finds it]
    file: Option<PathBuf>,
    /// Start every server too, and say whether it answers and how many tools it has
    #[arg(long)]
    connect: bool,
    /// How long all servers together may take with --connect
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "connect",
        value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    gateway: GatewayOptions,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, CliError> {
    let config = options.file.clone().or_else(|| options.gateway.config.clone());
    let gateway = GatewayOptions { config, ..options.gateway.clone() };
    let found = match gateway.load() {
        Ok(loaded) if options.connect => {
            let tried = connect::run(&loaded, Duration::from_secs(options.timeout))?;
            Found { tried: Some(tried), ..Found::of(&loaded) }
        }
        Ok(loaded) => Found::of(&loaded),
        Err(CliError::Config(LoadError::Refused { faults, warnings })) => Found::refused(faults, warnings),
        Err(CliError::Config(error)) if options.output == Format::Json => {
            let fault = Diagnostic::error(error.to_string());
            let fault = error.help().into_iter().fold(fault, Diagnostic::with_help);
            Found::refused(vec![fault], Vec::new())
        }
        Err(error) => return Err(error),
    };
    match options.output {
        Format::Json => output::print_json(&found.json())?,
        Format::Text => output::print(&found.text())?,
    }
    Ok(found.exit_code())
}

/// What is to be said about a configuration.
struct Found {
    source: String,
    is_refused: bool,
    faults: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    usable: Vec<Usable>,
    left_out: Vec<(String, String)>,
    disabled: Vec<String>,
    /// What became of the usable servers, if they were tried.
    tried: Option<Vec<Tried>>,
    /// Who may use what; none when the configuration is refused.
    rules: Option<RulesInForce>,
}

/// A server that can be started.
struct Usable {
    name: String,
    transport: &'static str,
}

impl Found {
    fn of(loaded: &Loaded) -> Self {
        let source = match &loaded.source {
            Source::Own(path) | Source::Adopted(path) => path.display().to_string(),
            Source::Builtin => "no file, the built-in demo server".to_owned(),
        };
        let (mut usable, mut left_out, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        for (id, checked) in &loaded.servers {
            match checked {
                Ok(settings) => {
                    let transport = settings.transport().as_str();
                    usable.push(Usable { name: id.to_string(), transport });
                }
                Err(fault) => {
                    left_out.push((id.to_string(), fault.to_string()));
                    faults.extend_from_slice(fault.diagnostics());
                }
            }
        }
        let disabled = loaded.disabled.iter().map(ToString::to_string).collect();
        let (warnings, rules) = (loaded.warnings.clone(), Some(RulesInForce::of(loaded)));
        Self { source, is_refused: false, faults, warnings, usable, left_out, disabled, tried: None, rules }
    }

    fn refused(faults: Vec<Diagnostic>, warnings: Vec<Diagnostic>) -> Self {
        let (usable, left_out, disabled) = (Vec::new(), Vec::new(), Vec::new());
        let (source, tried, rules) = (String::new(), None, None);
        Self { source, is_refused: true, faults, warnings, usable, left_out, disabled, tried, rules }
    }

    fn exit_code(&self) -> ExitCode {
        let all_ready = self.tried.iter().flatten().all(Tried::is_ready);
        match (self.is_refused, self.left_out.is_empty() && all_ready) {
            (true, _) => ExitCode::FAILURE,
            (false, false) => ExitCode::from(EXIT_PARTLY_USABLE),
            (false, true) => ExitCode::SUCCESS,
        }
    }

    fn text(&self) -> String {
        let mut parts: Vec<String> =
            self.faults.iter().chain(&self.warnings).map(ToString::to_string).collect();
        parts.push(self.summary());
        parts.join("\n\n")
    }

    fn summary(&self) -> String {
        if self.is_refused {
            return format!("The configuration is refused: {}.", output::counted(self.faults.len(), "fault"));
        }
        let mut text = format!("{}: {} usable", self.source, output::counted(self.usable.len(), "server"));
        match &self.tried {
            Some(tried) => {
                let ready = tried.iter().filter(|server| server.is_ready()).count();
                text.push_str(&format!(", {ready} ready"));
                tried.iter().for_each(|server| text.push_str(&format!("\n{}", server.line())));
            }
            None => self.usable.iter().for_each(|Usable { name, transport }| {
                text.push_str(&format!("\n  usable: {} ({transport})", output::printable(name)));
            }),
        }
        for (name, reason) in &self.left_out {
            text.push_str(&format!("\n  left out: {} ({reason})", output::printable(name)));
        }
        for name in &self.disabled {
            text.push_str(&format!("\n  switched off: {}", output::printable(name)));
        }
        if let Some(rules) = &self.rules {
            text.push_str(&format!("\n{}", rules.text()));
        }
        text
    }

    fn json(&self) -> Value {
        let left_out = self.left_out.iter().map(|(name, reason)| json!({"name": name, "reason": reason}));
        let mut json = json!({
            "refused": self.is_refused,
            "faults": self.faults,
            "warnings": self.warnings,
            "usable": self.usable.iter().map(|server| &server.name).collect::<Vec<_>>(),
            "left_out": left_out.collect::<Vec<_>>(),
            "disabled": self.disabled,
        });
        json["servers"] = match &self.tried {
            Some(tried) => tried.iter().map(Tried::json).collect(),
            None => self
                .usable
                .iter()
                .map(|server| json!({"name": server.name, "transport": server.transport}))
                .collect(),
        };
        if let Some(rules) = &self.rules {
            json["rules"] = rules.json();
        }
        json
    }
}
