//! How much each kind of evidence counts. Chosen on tasks of some servers and checked on tasks of others;
//! the result changes little within a factor of two around each, so these are round numbers and not a fit.

/// Where in a tool a word stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// The tool's name and title.
    Name,
    /// The first sentence of the description, which says what the tool is for.
    Summary,
    /// The rest of the description: arguments, examples, warnings.
    Detail,
    /// Names of parameters.
    Parameter,
    /// Descriptions of parameters and the values they allow.
    ParameterText,
    /// The server's name.
    Server,
}

/// How the words of a field count.
#[derive(Debug, Clone, Copy)]
pub(super) struct FieldWeight {
    /// What one word counts in a field of usual length.
    pub(super) weight: f32,
    /// How much a long field takes from each of its words: 0 nothing, 1 in full proportion.
    pub(super) length: f32,
    /// The usual length, in words. A constant and no average, so that a tool's terms do not depend on other tools.
    pub(super) usual: f32,
    /// How many words are read.
    pub(super) limit: usize,
}

impl Field {
    /// Returns how the field counts.
    pub(super) const fn weight(self) -> FieldWeight {
        let (weight, length, usual, limit) = match self {
            Self::Name => (4.0, 0.5, 3.0, 32),
            Self::Summary => (1.0, 0.75, 10.0, 30),
            Self::Detail => (0.3, 0.7, 40.0, 160),
            Self::Parameter => (0.5, 0.5, 6.0, 96),
            Self::ParameterText => (0.3, 0.5, 40.0, 160),
            Self::Server => (0.8, 0.0, 1.0, 12),
        };
        FieldWeight { weight, length, usual, limit }
    }
}

/// How quickly repeated words stop counting (k1 of BM25).
pub(super) const SATURATION: f32 = 1.2;
/// Rarity counts less than its logarithm: queries hold many rare words that name values and not purposes.
pub(super) const RARITY_POWER: f32 = 0.6;
/// A server's tools share its words, so many tools of one server count less than as many of different servers.
pub(super) const CROWD_POWER: f32 = 0.7;
/// What a server counts whose tools use the query's words, for each of its tools.
pub(super) const SERVER_SHARE: f32 = 0.2;
/// A word that means the same as the query's.
pub(super) const CONCEPT: f32 = 0.55;
/// A word that the query's is probably a misspelling of, less the share of letters that differ.
pub(super) const CORRECTION: f32 = 0.8;
/// A longer word that begins with the query's: `rabbit` and `rabbitmq`.
pub(super) const PREFIX: f32 = 0.6;
/// Two words of the query written as one, or one written as two.
pub(super) const COMPOUND: f32 = 0.8;
/// A word in quotation marks, a number, a path: likely a value for the tool and not its purpose.
pub(super) const LITERAL: f32 = 0.4;
/// A word inside an address, which says even less.
pub(super) const ADDRESS: f32 = 0.2;
/// What the shape of a value says: a path means files, an address means e-mail.
pub(super) const SHAPE: f32 = 0.7;
/// Tools that only read, when nothing in the query says that something is to change.
pub(super) const READING: f32 = 0.1;
