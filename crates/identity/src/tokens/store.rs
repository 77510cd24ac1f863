//! Creates and revokes tokens in the state directory, for the command line. Several may do so at once: a lock file
//! lets one after the other. The token itself is shown once and kept nowhere.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{Secret, TokenId};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{TokenHash, TokenRecord, file, file::TokensFile};
use crate::{StoreError, config::TokenConfig};

/// Random bytes of a token: as many as its hash, beyond any guessing.
const TOKEN_BYTES: usize = 32;
/// Random bytes of the public handle: enough to tell ten thousand tokens apart, short enough to type.
const ID_BYTES: usize = 4;
/// The lock's file; it stays, empty.
const LOCK: &str = "tokens.lock";

/// The tokens of one state directory, to be changed.
#[derive(Debug)]
pub struct TokenStore {
    state_dir: PathBuf,
}

/// What a new token is bound to.
#[derive(Debug, Clone, Default)]
pub struct NewToken {
    /// The agent.
    pub agent: String,
    /// The person behind it.
    pub user: Option<String>,
    /// Roles for policy.
    pub roles: Vec<String>,
    /// The only servers it reaches; none: all.
    pub servers: Option<Vec<String>>,
    /// From when on it is not valid.
    pub expires: Option<SystemTime>,
}

/// A token that was just created.
#[derive(Debug)]
pub struct CreatedToken {
    /// What is kept of it.
    pub record: TokenRecord,
    /// The token. This is the only time anybody sees it.
    pub token: Secret<String>,
}

impl TokenStore {
    /// Names the state directory; nothing is opened yet.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self { state_dir: state_dir.into() }
    }

    /// Returns the file that holds the tokens.
    pub fn path(&self) -> PathBuf {
        file::path_in(&self.state_dir)
    }

    /// Creates a token at `now`, and the directory (0700) and file (0600) where they are missing.
    /// Waits while another process changes the file.
    ///
    /// # Errors
    /// [`StoreError`]; the file is unchanged then.
    pub fn create(&self, new: NewToken, now: SystemTime) -> Result<CreatedToken, StoreError> {
        let _lock = self.lock()?;
        let mut content = self.read()?;
        if content.tokens.len() >= file::MAX_TOKENS {
            return Err(StoreError::Full(content.tokens.len()));
        }
        let id = loop {
            let id = hex(&random::<ID_BYTES>()?);
            if content.tokens.iter().all(|token| token.id != id) {
                break id;
            }
        };
        let token = format!("tg_{id}_{}", URL_SAFE_NO_PAD.encode(random::<TOKEN_BYTES>()?));
        let config = TokenConfig {
            id,
            hash: TokenHash::of(&token).to_string(),
            agent: new.agent,
            user: new.user,
            roles: new.roles,
            servers: new.servers,
            expires: new.expires.map(written_time).transpose()?,
            created: Some(written_time(now)?),
        };
        let record = config.build().map_err(|faults| {
            let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
            StoreError::Refused(lines.join(", "))
        })?;
        content.tokens.push(config);
        content.replace(&self.path())?;
        Ok(CreatedToken { record, token: Secret::new(token) })
    }

    /// Returns the tokens in the order of their creation; none when there is no file.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read or is damaged.
    pub fn list(&self) -> Result<Vec<TokenRecord>, StoreError> {
        self.read()?.records(&self.path())
    }

    /// Deletes the token `id`, and tells whether there was one. Running gateways refuse it on its next request.
    /// The file stays, even empty: callers over HTTP still need a token.
    ///
    /// # Errors
    /// [`StoreError`]; the file is unchanged then.
    pub fn revoke(&self, id: &TokenId) -> Result<bool, StoreError> {
        if !self.state_dir.exists() {
            return Ok(false);
        }
        let _lock = self.lock()?;
        let mut content = self.read()?;
        let before = content.tokens.len();
        content.tokens.retain(|token| token.id != id.as_str());
        if content.tokens.len() == before {
            return Ok(false);
        }
        content.replace(&self.path())?;
        Ok(true)
    }

    fn read(&self) -> Result<TokensFile, StoreError> {
        let path = self.path();
        match File::open(&path) {
            Ok(file) => {
                let content = TokensFile::read(&file, &path)?;
                content.records(&path)?;
                Ok(content)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(TokensFile::empty()),
            Err(error) => Err(StoreError::io("read", path)(error)),
        }
    }

    /// Takes the lock; it is let go when the file is closed, also by a crash.
    fn lock(&self) -> Result<File, StoreError> {
        create_private_folder(&self.state_dir)?;
        let path = self.state_dir.join(LOCK);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(StoreError::io("open", &path))?;
        file.lock().map_err(StoreError::io("lock", &path))?;
        Ok(file)
    }
}

fn create_private_folder(folder: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(StoreError::io("create", folder))
}

fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| StoreError::NoRandomness)?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn written_time(time: SystemTime) -> Result<String, StoreError> {
    let whole_seconds =
        OffsetDateTime::from(time).replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    whole_seconds.format(&Rfc3339).map_err(|_| StoreError::Refused("a time beyond the year 9999".to_owned()))
}
