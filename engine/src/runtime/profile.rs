//! How far a pack is trusted: the word of `--profile`, by which runtimes and programs choose their limits.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// How far the code of packs is trusted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Packs of one's own: limits that stop accidents.
    #[default]
    Trusted,
    /// Packs of others: small limits, all of them deterministic.
    Strict,
}

/// The word names no profile.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown profile `{word}`, expected `trusted` or `strict`")]
pub struct UnknownProfile {
    word: String,
}

impl Profile {
    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Trusted => "trusted",
            Profile::Strict => "strict",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    /// ```
    /// use kestrel_engine::runtime::profile::Profile;
    /// assert_eq!("strict".parse(), Ok(Profile::Strict));
    /// let error = "lax".parse::<Profile>().unwrap_err();
    /// assert_eq!(error.to_string(), "unknown profile `lax`, expected `trusted` or `strict`");
    /// ```
    fn from_str(word: &str) -> Result<Profile, UnknownProfile> {
        match word {
            "trusted" => Ok(Profile::Trusted),
            "strict" => Ok(Profile::Strict),
            _ => Err(UnknownProfile { word: word.to_owned() }),
        }
    }
}
