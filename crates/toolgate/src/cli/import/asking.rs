//! Questions on the terminal. Somebody who goes away in the middle of them has declined.

use inquire::{Confirm, InquireError};

use super::super::CliError;

/// Asks a question that is answered by yes or no; no is the default.
///
/// # Errors
/// [`CliError`] when the terminal fails.
pub(in crate::cli) fn confirm(question: &str) -> Result<bool, CliError> {
    Ok(answered(Confirm::new(question).with_default(false).prompt())?.unwrap_or(false))
}

/// Returns the answer; none when the person went away with Escape or Ctrl-C.
///
/// # Errors
/// [`CliError`] when the terminal fails.
pub(in crate::cli) fn answered<T>(answer: Result<T, InquireError>) -> Result<Option<T>, CliError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(InquireError::OperationCanceled | InquireError::OperationInterrupted) => Ok(None),
        Err(InquireError::NotTTY) => Err(CliError::NobodyToAsk),
        Err(error) => Err(CliError::Gateway(format!("the terminal fails: {error}"))),
    }
}
