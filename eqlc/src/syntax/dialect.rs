//! The dialects and what each of them has.
//!
//! `elastic` ⊂ `endpoint` ⊂ `classic`: each has all of the one before it.

use std::fmt;
use std::str::FromStr;

/// Which constructs are allowed; see the language reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Dialect {
    /// What Elasticsearch accepts.
    #[default]
    Elastic,
    /// What host behaviour rules use as well: aliases, lineage, variables, array functions, field against field.
    Endpoint,
    /// The old pipes and `join` as well.
    Classic,
}

impl Dialect {
    /// All of them, smallest first.
    pub const ALL: [Dialect; 3] = [Dialect::Elastic, Dialect::Endpoint, Dialect::Classic];

    /// The name that commands and front matter use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Elastic => "elastic",
            Self::Endpoint => "endpoint",
            Self::Classic => "classic",
        }
    }

    /// Whether it has all that `other` has.
    pub fn includes(self, other: Dialect) -> bool {
        self >= other
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The text is none of `elastic`, `endpoint` and `classic`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown dialect, expected `elastic`, `endpoint` or `classic`")]
pub struct UnknownDialect;

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == text).ok_or(UnknownDialect)
    }
}
