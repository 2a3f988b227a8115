//! Whose packs an engine runs: the keys of which one must have signed each pack.
//!
//! In: files of public keys, then packs. Out: nothing, or why a pack is refused. Without keys every pack is welcome.

use std::fs::File;
use std::path::{Path, PathBuf};

use kestrel_ir::pack::{KeyError, PublicKey, SignatureError};
use thiserror::Error;

use super::NamedPack;

/// The keys that may vouch for packs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedKeys {
    keys: Vec<PublicKey>,
}

/// Why a pack is not run, or a key is not used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrustError {
    /// A key file cannot be read, or holds no public key.
    #[error("key {name} is refused: {cause}")]
    Key {
        /// The file's path.
        name: String,
        /// What is wrong with it.
        cause: KeyError,
    },
    /// A pack has no valid signature by one of the keys.
    #[error("pack {name} is refused: a signature is required, and {cause}")]
    Pack {
        /// The pack's name.
        name: String,
        /// What there is instead.
        cause: SignatureError,
    },
}

impl TrustedKeys {
    /// Reads the files of public keys.
    ///
    /// # Errors
    /// When a file cannot be read or holds no public key. A key that cannot be used must not look as if it were.
    pub fn open(paths: &[PathBuf]) -> Result<TrustedKeys, TrustError> {
        let read = |path: &PathBuf| {
            let failed = |cause| TrustError::Key { name: path.display().to_string(), cause };
            let file = open(path).map_err(failed)?;
            PublicKey::read(file).map_err(failed)
        };
        Ok(TrustedKeys { keys: paths.iter().map(read).collect::<Result<_, _>>()? })
    }

    /// Whether this pack may run: always, when there are no keys, else when one of them has signed it.
    ///
    /// # Errors
    /// When none has, with the keys that have.
    pub fn check(&self, pack: &NamedPack) -> Result<(), TrustError> {
        if self.keys.is_empty() {
            return Ok(());
        }
        match pack.pack.verify_signature(&self.keys) {
            Ok(_) => Ok(()),
            Err(cause) => Err(TrustError::Pack { name: pack.name.clone(), cause }),
        }
    }
}

fn open(path: &Path) -> Result<File, KeyError> {
    Ok(File::open(path)?)
}
