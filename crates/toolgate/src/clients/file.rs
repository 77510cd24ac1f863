//! A client's file in memory: read, asked, edited. Each edit is proved by reading the result again: it must say what
//! was meant and nothing else.

use std::{fs::File, io, io::Read as _, path::Path};

use serde_json::{Map, Value};

use super::{
    client::{Client, Language},
    entry,
    error::ClientError,
    found::{self, FoundServer},
    json::{self, Json},
    places::Place,
    splice::{self, Splice},
    toml,
};
use crate::config::{Node, Span, read_jsonc, unreadable};

/// Largest file that is read. One client keeps its history of projects beside its servers, some megabytes of it.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// Some editors begin a file with it.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A client's file, with what stands in it.
#[derive(Clone)]
pub struct ClientFile {
    client: Client,
    place: Place,
    /// The bytes on disk; none when there is no file.
    original: Option<Vec<u8>>,
    has_mark: bool,
    text: String,
    root: Node,
}

/// Reads the file at `place`. A missing file is an empty one. Blocks.
///
/// # Errors
/// [`ClientError`] when it cannot be read, or when its form is broken.
pub fn read(client: Client, place: &Place) -> Result<ClientFile, ClientError> {
    of_bytes(client, place, bytes_of(&place.path)?)
}

/// Reads bytes as if they stood at `place`.
pub(super) fn of_bytes(
    client: Client,
    place: &Place,
    original: Option<Vec<u8>>,
) -> Result<ClientFile, ClientError> {
    let text = match &original {
        Some(bytes) => std::str::from_utf8(bytes)
            .map_err(|_| ClientError::NotText { path: place.path.clone() })?
            .to_owned(),
        None => String::new(),
    };
    let has_mark = text.starts_with(BYTE_ORDER_MARK);
    let text = text.strip_prefix(BYTE_ORDER_MARK).map_or(text.clone(), str::to_owned);
    let root = parse(client, place, &text)?;
    let file = ClientFile { client, place: place.clone(), original, has_mark, text, root };
    file.check_servers()?;
    Ok(file)
}

/// Reads a file's bytes; none when there is no file.
pub(super) fn bytes_of(path: &Path) -> Result<Option<Vec<u8>>, ClientError> {
    let unreadable = |source| ClientError::Unreadable { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mut bytes = Vec::new();
    let length = file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if length as u64 > MAX_FILE_BYTES {
        return Err(ClientError::TooLarge { path: path.to_owned(), limit: MAX_FILE_BYTES });
    }
    Ok(Some(bytes))
}

fn parse(client: Client, place: &Place, text: &str) -> Result<Node, ClientError> {
    let name = place.path.display().to_string();
    match client.language() {
        Language::Json => read_jsonc(&name, text.to_owned()).map(|document| document.root().clone()),
        Language::Toml => toml::read(&name, text),
    }
    .map_err(ClientError::Broken)
}

// === impl ClientFile ===

impl ClientFile {
    /// Returns whose file it is.
    pub const fn client(&self) -> Client {
        self.client
    }

    /// Returns where it is.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Tells whether the file exists.
    pub const fn exists(&self) -> bool {
        self.original.is_some()
    }

    /// Returns the servers in the order of the file. Entries that name neither a command nor an address, as those of
    /// extensions do, are left out.
    pub fn servers(&self) -> Vec<FoundServer> {
        let entries = self.entries().into_iter().flatten();
        let server = |(name, entry): (String, Value)| {
            Some(FoundServer { json: found::common(self.client, &entry)?, name })
        };
        entries.filter_map(server).collect()
    }

    /// Returns the names of entries that reach a gateway of ours, as far as they show it; `program` is this executable.
    pub fn ours(&self, program: Option<&Path>) -> Vec<String> {
        let entries = self.entries().into_iter().flatten();
        let ours = entries.filter(|(_, entry)| entry::is_ours(self.client, entry, program));
        ours.map(|(name, _)| name).collect()
    }

    /// Returns the bytes on disk; none when there is no file.
    pub(super) fn original(&self) -> Option<&[u8]> {
        self.original.as_deref()
    }

    /// Returns the text as it is now, without the byte order mark.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(crate) const fn root(&self) -> &Node {
        &self.root
    }

    /// Returns the bytes to write.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mark = if self.has_mark { BYTE_ORDER_MARK.to_string() } else { String::new() };
        [mark.as_bytes(), self.text.as_bytes()].concat()
    }

    /// Returns an entry as the client wrote it.
    pub(super) fn entry(&self, name: &str) -> Option<Value> {
        let (map, depth) = json::descend(&self.root, &self.place.keys).ok()?;
        (depth == self.place.keys.len()).then(|| map.entry(name))?.map(|entry| entry.value.to_json())
    }

    /// Returns the place of an entry's value in the text.
    pub(crate) fn entry_span(&self, name: &str) -> Option<Span> {
        let (map, _) = json::descend(&self.root, &self.place.keys).ok()?;
        map.entry(name).map(|entry| entry.value.span)
    }

    /// Returns how many of the keys down to the servers are missing.
    pub(super) fn missing_keys(&self) -> usize {
        json::descend(&self.root, &self.place.keys).map_or(0, |(_, depth)| self.place.keys.len() - depth)
    }

    /// Returns the file with `entry` put under `name`.
    ///
    /// # Errors
    /// [`ClientError`] when that cannot be done without touching something else.
    pub(super) fn with_entry(&self, name: &str, entry: &Value) -> Result<Self, ClientError> {
        let splices = match self.client.language() {
            Language::Json => self.json().put(&self.place.keys, name, entry).map_err(|at| self.no_map(at))?,
            Language::Toml => toml::put(&self.text, self.client.servers_key(), name, entry)
                .ok_or_else(|| self.by_hand(name))?,
        };
        let mut meant = self.root.to_json();
        put_at(&mut meant, &self.place.keys, name, entry);
        self.edited(splices, &meant, name)
    }

    /// Returns the file without `name`, and without the innermost `made` of the maps around it, if they are empty then.
    ///
    /// # Errors
    /// [`ClientError`] when that cannot be done without touching something else.
    pub(super) fn without_entry(&self, name: &str, made: usize) -> Result<Self, ClientError> {
        let mut file = self.without(&self.place.keys, name)?;
        let mut keys = self.place.keys.as_slice();
        for _ in 0..made.min(keys.len()) {
            let Some((key, above)) = keys.split_last() else { break };
            if !file.is_bare(keys) {
                break;
            }
            file = file.without(above, key)?;
            keys = above;
        }
        Ok(file)
    }

    fn without(&self, keys: &[String], name: &str) -> Result<Self, ClientError> {
        let splices = match self.client.language() {
            Language::Json => self.json().remove(keys, name),
            Language::Toml if keys.is_empty() => return Ok(self.clone()),
            Language::Toml => {
                toml::remove(&self.text, self.client.servers_key(), name).ok_or_else(|| self.by_hand(name))?
            }
        };
        let mut meant = self.root.to_json();
        if let Some(map) = map_at(&mut meant, keys) {
            map.shift_remove(name);
        }
        self.edited(splices, &meant, name)
    }

    /// Tells whether a map holds nothing at all, not even a comment.
    fn is_bare(&self, keys: &[String]) -> bool {
        let Ok((map, depth)) = json::descend(&self.root, keys) else { return false };
        let inside = self.text.get(map.span.start + 1..map.span.end.saturating_sub(1)).unwrap_or_default();
        depth == keys.len() && map.entries().is_empty() && inside.trim().is_empty()
    }

    fn edited(&self, splices: Vec<Splice>, meant: &Value, name: &str) -> Result<Self, ClientError> {
        let text = splice::apply(&self.text, splices);
        let root = parse(self.client, &self.place, &text).map_err(|_| self.by_hand(name))?;
        if without_empty(root.to_json(), &self.place.keys) != without_empty(meant.clone(), &self.place.keys) {
            return Err(self.by_hand(name));
        }
        Ok(Self { text, root, ..self.clone() })
    }

    fn json(&self) -> Json<'_> {
        Json { text: &self.text, root: &self.root }
    }

    fn entries(&self) -> Option<Vec<(String, Value)>> {
        let (map, depth) = json::descend(&self.root, &self.place.keys).ok()?;
        let entries = map.entries().iter().map(|entry| (entry.key.clone(), entry.value.to_json()));
        (depth == self.place.keys.len()).then(|| entries.collect())
    }

    fn check_servers(&self) -> Result<(), ClientError> {
        json::descend(&self.root, &self.place.keys).map(|_| ()).map_err(|at| self.no_map(at))
    }

    fn no_map(&self, at: Span) -> ClientError {
        let problem = format!("`{}` is no map of servers", self.place.key());
        let name = self.place.path.display().to_string();
        ClientError::Broken(Box::new(unreadable(&name, &self.text, at, problem)))
    }

    fn by_hand(&self, name: &str) -> ClientError {
        ClientError::ByHand { path: self.place.path.clone(), name: name.to_owned() }
    }
}

fn map_at<'a>(root: &'a mut Value, keys: &[String]) -> Option<&'a mut Map<String, Value>> {
    keys.iter().try_fold(root, |value, key| value.get_mut(key))?.as_object_mut()
}

fn put_at(root: &mut Value, keys: &[String], name: &str, entry: &Value) {
    let mut value = root;
    for key in keys {
        let Some(map) = value.as_object_mut() else { return };
        value = map.entry(key).or_insert_with(|| Value::Object(Map::new()));
    }
    if let Some(map) = value.as_object_mut() {
        map.insert(name.to_owned(), entry.clone());
    }
}

/// In TOML a table of servers vanishes with its last server: an empty one says as much as none.
fn without_empty(mut root: Value, keys: &[String]) -> Value {
    if let ([key], Some(map)) = (keys, root.as_object_mut())
        && map.get(key).and_then(Value::as_object).is_some_and(Map::is_empty)
    {
        map.shift_remove(key);
    }
    root
}
