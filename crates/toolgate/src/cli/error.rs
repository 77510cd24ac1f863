//! Why a command fails, and how a person is told.

use std::{io, process::ExitCode};

use identity::StoreError;

use crate::{clients::ClientError, config::LoadError};

/// Why a command fails.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] LoadError),
    /// The access tokens cannot be read or changed.
    #[error(transparent)]
    Tokens(#[from] StoreError),
    /// Nothing says where state is kept.
    #[error("there is no state directory: name one with `--state-dir`, or set HOME")]
    NoStateDirectory,
    /// The working directory is gone or closed to us.
    #[error("the working directory cannot be used: {0}")]
    NoWorkingDirectory(#[source] io::Error),
    /// What was asked for is not there.
    #[error("there is no access token `{0}` in the state directory (`toolgate token list` shows them)")]
    NoSuchToken(String),
    /// A file cannot be read.
    #[error("cannot read `{file}`: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// The reason.
        source: io::Error,
    },
    /// The audit trail was changed or damaged.
    #[error("`{file}` is not sound: {fault}")]
    UnsoundTrail {
        /// The file.
        file: String,
        /// The first fault.
        fault: audit::Fault,
    },
    /// The running gateway does not answer.
    #[error(
        "no gateway answers on {address}: {reason} (is it running? `--ops-listen` names another address)"
    )]
    NoGateway {
        /// The operations address.
        address: std::net::SocketAddr,
        /// What happened.
        reason: String,
    },
    /// A client's file cannot be read or changed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A question has nobody to answer it.
    #[error(
        "nothing was written: there is no terminal to ask on (`--yes` writes without asking, `--dry-run` only shows)"
    )]
    NobodyToAsk,
    /// The gateway itself failed.
    #[error("{0}")]
    Gateway(String),
    /// Standard output cannot be written.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

impl CliError {
    /// Tells the person and returns the exit code.
    pub(super) fn report(self) -> ExitCode {
        match self {
            // Whoever read our answer has read enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Config(LoadError::Refused { faults, warnings }) => {
                for diagnostic in warnings.iter().chain(&faults) {
                    eprintln!("{diagnostic}\n");
                }
                ExitCode::FAILURE
            }
            Self::Config(LoadError::Peer(refusal)) => {
                eprintln!("ERROR: {refusal}");
                ExitCode::FAILURE
            }
            Self::Config(error) => {
                eprintln!("error: {error}");
                if let Some(help) = error.help() {
                    eprintln!(" = help: {help}");
                }
                ExitCode::FAILURE
            }
            Self::Client(ClientError::Broken(diagnostic)) => {
                eprintln!("{diagnostic}");
                ExitCode::FAILURE
            }
            other => {
                eprintln!("error: {other}");
                ExitCode::FAILURE
            }
        }
    }
}
