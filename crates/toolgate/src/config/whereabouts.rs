//! Where a gateway is that runs: what commands need to know that ask it, or read its trail. They must work when they are
//! needed most, so a file that was broken since the gateway read it still says what it can: each key by itself, and
//! the default where it says nothing. What a gateway is started with: `load.rs`.

use std::{fmt, net::SocketAddr, path::PathBuf};

use super::{
    build::Config,
    document::{Document, Node, NodeValue},
    error::LoadError,
    find::{self, Source},
    jsonc,
    load::{Choices, Surroundings, load},
    own::{self, folder_of},
    written::GatewayConfig,
    yaml,
};

/// The sections that say it, as they begin in a file.
const SECTIONS: [&str; 2] = ["listen:", "audit:"];

/// Where a gateway is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whereabouts {
    /// Where clients reach it.
    pub(crate) clients: SocketAddr,
    /// Where its state and its metrics are.
    pub(crate) operations: SocketAddr,
    /// Its audit trail; another gateway of the same user writes beside it.
    pub(crate) trail: PathBuf,
}

/// How far the configuration can be believed.
#[derive(Debug)]
pub(crate) enum Basis {
    /// It is sound.
    Sound,
    /// There is no file: all is by default.
    NoFile,
    /// It is refused; what could be read of it counts.
    Faulty {
        /// Why.
        fault: LoadError,
        /// What it says all the same; the rest is by default.
        said: Vec<Wanted>,
    },
}

/// What of it somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// [`Whereabouts::clients`].
    Clients,
    /// [`Whereabouts::operations`].
    Operations,
    /// [`Whereabouts::trail`].
    Trail,
}

/// Finds out where the gateway of a configuration is. Blocks for a few small files.
///
/// # Errors
/// [`LoadError`] when not even the defaults are sound, as with an impossible choice on the command line.
pub(super) fn whereabouts(
    choices: &Choices,
    around: &Surroundings<'_>,
) -> Result<(Whereabouts, Basis), LoadError> {
    let fault = match load(choices, around) {
        Ok(loaded) => {
            let basis = if loaded.source == Source::Builtin { Basis::NoFile } else { Basis::Sound };
            return Ok((Whereabouts::of(&loaded.config), basis));
        }
        Err(fault) => fault,
    };
    let Some(readable) = Readable::read(choices, around) else {
        let config = Config::without_file(choices, around)?;
        return Ok((Whereabouts::of(&config), Basis::Faulty { fault, said: Vec::new() }));
    };
    let (written, said) = readable.sound_keys(choices, around);
    let config = Config::of_keys(written, &readable.folder, choices, around)?;
    Ok((Whereabouts::of(&config), Basis::Faulty { fault, said }))
}

impl Whereabouts {
    fn of(config: &Config) -> Self {
        let (listen, audit) = (&config.listen, &config.audit);
        Self { clients: listen.address(), operations: listen.operations(), trail: audit.file().to_owned() }
    }
}

/// A file of ours that is a document, whatever it says.
struct Readable {
    root: Node,
    folder: PathBuf,
}

impl Readable {
    /// Reads the file; none when it is not there, no document, or not ours.
    fn read(choices: &Choices, around: &Surroundings<'_>) -> Option<Self> {
        let source = find::find(choices.file.as_deref(), around);
        let path = source.path()?;
        let text = find::read(path, around).ok()?;
        let name = path.display().to_string();
        let document: Document = match &source {
            Source::Own(_) => {
                let whole = yaml::read(&name, text.clone());
                whole.or_else(|_| yaml::read(&name, sound_sections(&name, &text))).ok()?
            }
            Source::Adopted(_) => {
                jsonc::read(&name, text).ok().filter(|document| own::is_own(document.root()))?
            }
            Source::Builtin => return None,
        };
        Some(Self { root: document.root().clone(), folder: folder_of(path, around) })
    }

    fn text(&self, section: &str, key: &str) -> Option<String> {
        match &self.root.entry(section)?.value.entry(key)?.value.value {
            NodeValue::Text(text) => Some(text.clone()),
            NodeValue::Null
            | NodeValue::Bool(_)
            | NodeValue::Integer(_)
            | NodeValue::Float(_)
            | NodeValue::List(_)
            | NodeValue::Map(_) => None,
        }
    }

    /// Returns the keys that are sound each by itself.
    fn sound_keys(&self, choices: &Choices, around: &Surroundings<'_>) -> (GatewayConfig, Vec<Wanted>) {
        let all = [Wanted::Clients, Wanted::Operations, Wanted::Trail];
        let is_sound =
            |tried: &GatewayConfig| Config::of_keys(tried.clone(), &self.folder, choices, around).is_ok();
        let mut whole = GatewayConfig::default();
        let said: Vec<Wanted> = all.into_iter().filter(|wanted| self.say(*wanted, &mut whole)).collect();
        if is_sound(&whole) {
            return (whole, said);
        }
        let (mut sound, mut kept) = (GatewayConfig::default(), Vec::new());
        for wanted in said {
            let mut tried = sound.clone();
            if self.say(wanted, &mut tried) && is_sound(&tried) {
                sound = tried;
                kept.push(wanted);
            }
        }
        (sound, kept)
    }

    /// Puts what the file says of a key into `written`, and tells whether it says anything.
    fn say(&self, wanted: Wanted, written: &mut GatewayConfig) -> bool {
        let said = match wanted {
            Wanted::Clients => self.text("listen", "address").map(|text| written.listen.address = text),
            Wanted::Operations => {
                self.text("listen", "operations").map(|text| written.listen.operations = text)
            }
            Wanted::Trail => self.text("audit", "file").map(|text| written.audit.file = Some(text.into())),
        };
        said.is_some()
    }
}

/// Returns those of our sections that are YAML when they stand alone: a slip in another one costs them nothing.
fn sound_sections(name: &str, text: &str) -> String {
    let mut sections: Vec<String> = Vec::new();
    for line in text.split_inclusive('\n') {
        let is_head =
            line.starts_with(|sign: char| !sign.is_whitespace() && !matches!(sign, '#' | '-' | '}' | ']'));
        match sections.last_mut() {
            Some(section) if !is_head => section.push_str(line),
            Some(_) | None => sections.push(line.to_owned()),
        }
    }
    let is_ours = |section: &String| SECTIONS.iter().any(|head| section.starts_with(head));
    let is_sound = |section: &String| yaml::read(name, section.clone()).is_ok();
    sections.into_iter().filter(|section| is_ours(section) && is_sound(section)).collect()
}

impl fmt::Display for Wanted {
    /// Names the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clients => "listen.address",
            Self::Operations => "listen.operations",
            Self::Trail => "audit.file",
        })
    }
}
