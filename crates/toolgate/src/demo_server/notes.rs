//! The notes of the demo server: in memory, bounded, each caller's apart.

use std::collections::HashMap;

use domain::PrincipalKey;
use parking_lot::Mutex;

/// Notes of all callers together: enough to play with.
const MAX_NOTES: usize = 1_000;
/// Longest name and text of one note, in bytes.
const MAX_NAME_BYTES: usize = 100;
const MAX_TEXT_BYTES: usize = 16 * 1024;

/// The store.
#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<HashMap<Key, String>>);

/// Whose note, and its name.
type Key = (Option<PrincipalKey>, String);

impl Notes {
    /// Writes a note over an earlier one of that name.
    ///
    /// # Errors
    /// Which bound it would break.
    pub(super) fn write(
        &self,
        owner: Option<&PrincipalKey>,
        name: String,
        text: String,
    ) -> Result<(), String> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Err(format!("a note's name has 1 to {MAX_NAME_BYTES} bytes"));
        }
        if text.len() > MAX_TEXT_BYTES {
            return Err(format!("a note has at most {MAX_TEXT_BYTES} bytes"));
        }
        let mut notes = self.0.lock();
        let key = (owner.cloned(), name);
        if notes.len() >= MAX_NOTES && !notes.contains_key(&key) {
            return Err(format!("there are {MAX_NOTES} notes already"));
        }
        notes.insert(key, text);
        Ok(())
    }

    /// Reads a note.
    pub(super) fn read(&self, owner: Option<&PrincipalKey>, name: &str) -> Option<String> {
        self.0.lock().get(&(owner.cloned(), name.to_owned())).cloned()
    }
}
