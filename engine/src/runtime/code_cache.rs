//! Machine code on disk, so that a pack that ran before is ready at once.
//!
//! In: a key, which says all that the code depends on, and code. Out: the code of that key, if it is there and whole. What
//! the code is and when it fits is its runtime's business, which hashes it into the key.
//!
//! Code from the cache is run, so it is checked before anybody looks at it:
//!
//! ```text
//! the folder   ours, no link, nobody else may write it; everything is opened relative to it
//! a file       a regular file, ours, no link, nobody else may read or write it
//! its bytes    magic | key | code | HMAC-SHA-256 over all of it, with the folder's own secret
//! ```
//!
//! Whoever can act as this user can replace secret and code, and needs no cache to run code as this user: against them
//! nothing is promised (`docs/threat-model.md`). What does not pass is left out and written anew. Nothing that happens to
//! the folder stops the engine: without it code is compiled.

mod folder;

use std::hash::Hasher;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use thiserror::Error;

use folder::{Folder, Taken};

/// What a file begins with.
const MAGIC: &[u8; 16] = b"kestrel code v1\n";
/// The bytes of a key, of the secret and of a tag.
const HASH: usize = 32;
/// The largest code.
const MAX_CODE: usize = 256 << 20;

/// How much a cache may hold; beyond it, what was used longest ago is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLimits {
    /// How many entries.
    pub entries: usize,
    /// How many bytes in all.
    pub bytes: u64,
}

impl Default for CacheLimits {
    fn default() -> CacheLimits {
        CacheLimits { entries: 64, bytes: 512 << 20 }
    }
}

/// Why there is no cache, or why something could not be kept in it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The operating system refused.
    #[error("the code cache {path}: cannot {what}: {cause}")]
    Io {
        /// The folder.
        path: String,
        /// What was tried.
        what: &'static str,
        /// The answer.
        cause: std::io::Error,
    },
    /// The folder is not this user's alone.
    #[error("the code cache {path} is not used: {reason}")]
    Unsafe {
        /// The folder.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// What the cache has for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cached {
    /// The code, as it was stored.
    Code(Vec<u8>),
    /// Nothing.
    Nothing,
    /// Something that did not pass the checks, and why.
    Refused(String),
}

/// Where code came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodeOrigin {
    /// Whether it was in the cache.
    pub cached: bool,
    /// Why what was in the cache was not used.
    pub refused: Option<String>,
    /// Why it was not kept.
    pub not_kept: Option<String>,
}

/// All that code depends on, as one hash. The parts are told apart by their lengths.
#[derive(Clone)]
pub struct CodeKey(Sha256);

/// A folder with machine code.
#[derive(Debug)]
pub struct CodeCache {
    folder: Folder,
    secret: [u8; HASH],
    limits: CacheLimits,
}

impl CodeKey {
    /// A key of code for one purpose. It begins with this build of the engine: its version, and size and time of change
    /// of the program that runs.
    pub fn new(purpose: &str) -> CodeKey {
        let mut key = CodeKey(Sha256::new());
        key.add(purpose.as_bytes());
        key.add(env!("CARGO_PKG_VERSION").as_bytes());
        key.add(&folder::program_identity());
        key
    }

    /// Adds something that the code depends on.
    pub fn add(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    fn hash(&self) -> [u8; HASH] {
        self.0.clone().finalize().into()
    }
}

impl std::fmt::Debug for CodeKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&name_of(&self.hash()))
    }
}

/// Takes what tells its parts to a hasher.
impl Hasher for CodeKey {
    fn write(&mut self, bytes: &[u8]) {
        self.add(bytes);
    }

    fn finish(&self) -> u64 {
        self.hash().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

impl CodeCache {
    /// The folder that is used when none is named: `/var/cache/kestrel` for root, else `kestrel` in the user's folder for
    /// caches. `None` when the environment names none.
    pub fn usual_folder() -> Option<PathBuf> {
        if rustix::process::geteuid().is_root() {
            // Root may have another user's environment.
            return Some(PathBuf::from("/var/cache/kestrel"));
        }
        let named = |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        let folder = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")))?;
        Some(folder.join("kestrel"))
    }

    /// Opens the cache at `path`, which is made when it is not there.
    ///
    /// # Errors
    /// When it cannot be made, or others than this user may write to it.
    pub fn open(path: &Path, limits: CacheLimits) -> Result<CodeCache, CacheError> {
        let folder = Folder::open(path)?;
        let secret = folder.secret()?;
        Ok(CodeCache { folder, secret, limits })
    }

    /// Whether the folder at `path` can hold a cache; changes nothing.
    ///
    /// # Errors
    /// As [`CodeCache::open`], and when there is no such folder.
    pub fn check_folder(path: &Path) -> Result<(), CacheError> {
        Folder::existing(path).map(drop)
    }

    /// The code of `key`.
    pub fn load(&self, key: &CodeKey) -> Cached {
        let hash = key.hash();
        let most = MAX_CODE + MAGIC.len() + 2 * HASH;
        match self.folder.read(&name_of(&hash), most) {
            Taken::Nothing => Cached::Nothing,
            Taken::Refused(reason) => Cached::Refused(reason),
            Taken::Bytes(bytes) => match self.check(&hash, bytes) {
                Some(code) => Cached::Code(code),
                None => Cached::Refused("its bytes are not those that were written".to_owned()),
            },
        }
    }

    /// Keeps the code of `key`, in the place of what is there.
    ///
    /// # Errors
    /// When it cannot be written. What was there is then as it was.
    pub fn store(&self, key: &CodeKey, code: &[u8]) -> Result<(), CacheError> {
        if code.len() > MAX_CODE {
            return Ok(());
        }
        let hash = key.hash();
        let head = [MAGIC.as_slice(), &hash].concat();
        let tag = authenticate(&self.secret, &[&head, code]);
        let name = name_of(&hash);
        self.folder.write(&name, &[&head, code, &tag])?;
        self.folder.shrink(self.limits, &name)
    }

    /// The code in an entry, if the entry is of that key and as it was written.
    fn check(&self, hash: &[u8; HASH], mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        let head = MAGIC.len() + HASH;
        let (content, tag) = bytes.split_last_chunk::<HASH>()?;
        let code = content.get(head..)?;
        if !content.starts_with(MAGIC) || content.get(MAGIC.len()..head)? != hash {
            return None;
        }
        if authenticate(&self.secret, &[content]) != *tag {
            return None;
        }
        let length = code.len();
        bytes.copy_within(head..head + length, 0);
        bytes.truncate(length);
        Some(bytes)
    }
}

/// The name of an entry's file.
fn name_of(hash: &[u8; HASH]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// HMAC-SHA-256 (RFC 2104) with a key that is shorter than a block.
fn authenticate(key: &[u8; HASH], parts: &[&[u8]]) -> [u8; HASH] {
    const BLOCK: usize = 64;
    let keyed = |pad: u8| {
        let mut block = [pad; BLOCK];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        Sha256::new().chain_update(block)
    };
    let mut inner = keyed(0x36);
    parts.iter().for_each(|part| inner.update(part));
    keyed(0x5c).chain_update(inner.finalize()).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_those_of_rfc_4231() {
        // Its first case: the key is 20 bytes, which HMAC fills up with zeros.
        let mut key = [0; HASH];
        key[..20].fill(0x0b);
        let tag = authenticate(&key, &[b"Hi ", b"There"]);
        assert_eq!(name_of(&tag), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    }

    #[test]
    fn the_parts_of_a_key_are_told_apart() {
        let key = |parts: &[&str]| {
            let mut key = CodeKey::new("test");
            parts.iter().for_each(|part| key.add(part.as_bytes()));
            key.hash()
        };
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["a"]), key(&["a", ""]));
        assert_eq!(key(&["a", "b"]), key(&["a", "b"]));
    }
}
