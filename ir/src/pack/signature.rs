//! Signatures: who vouches for a pack.
//!
//! In: a pack and keys. Out: the same pack with one signature more, or the key whose signature holds. What is signed is
//! [`DOMAIN`] and the content hash, so a signature covers every section that the hash covers, and is never good for
//! anything else. The signatures lie in a section outside the hash:
//!
//! ```text
//!  0  u16 version (1)    2  u16 number of signatures, n (1 to 16)
//!  4  n times 72 bytes: key id, 8 bytes | Ed25519 signature, 64 bytes      ascending by key id, each once
//! ```
//!
//! A signature by an unknown key says nothing, and a pack without signatures is as readable as one with them: whether one
//! is needed is for whoever loads packs to say.

use thiserror::Error;

use super::Pack;
use super::container::{SectionId, section};
use super::error::{PackError, PackProblem};
use super::key::{KeyId, PrivateKey, PublicKey};

/// The most signatures of a pack.
pub const MAX_SIGNATURES: usize = 16;
/// What precedes the content hash in the signed message: no other use of the keys can sign the same bytes.
pub const DOMAIN: &[u8; 26] = b"kestrel-pack-signature-v1\0";

const VERSION: u16 = 1;
const HEAD_SIZE: usize = 4;
const ENTRY_SIZE: usize = 8 + SIGNATURE_SIZE;
const SIGNATURE_SIZE: usize = 64;

/// One signature of a pack. Whether it holds shows only with its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackSignature {
    /// The key that is said to have made it.
    pub key: KeyId,
    /// The Ed25519 signature.
    pub signature: [u8; 64],
}

/// Why no signature of a pack counts.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// There is none.
    #[error("it is not signed")]
    Unsigned,
    /// All are by keys that were not asked for.
    #[error("it is signed by {}, and by none of the keys that are accepted: {}", ids(.found), ids(.accepted))]
    OtherKeys {
        /// Whose signatures there are.
        found: Vec<KeyId>,
        /// The keys that would have done.
        accepted: Vec<KeyId>,
    },
    /// There are some by the keys that were asked for, and none of them holds.
    #[error("its signature by {} is not valid: the pack or the signature was changed", ids(.found))]
    Invalid {
        /// The keys whose signatures do not hold.
        found: Vec<KeyId>,
    },
}

fn ids(keys: &[KeyId]) -> String {
    let ids: Vec<String> = keys.iter().map(|key| format!("key {key}")).collect();
    if ids.is_empty() { "none".to_owned() } else { ids.join(", ") }
}

impl Pack {
    /// The pack's signatures by key id, none of them verified.
    pub fn signatures(&self) -> &[PackSignature] {
        &self.signatures
    }

    /// The same pack with a signature by this key; one that the key made before is replaced. The content hash and all
    /// other sections stay. Signing again with the same key gives the same bytes.
    ///
    /// # Errors
    /// When the pack has [`MAX_SIGNATURES`] by other keys.
    pub fn sign(&self, key: &PrivateKey) -> Result<Pack, PackError> {
        let added = PackSignature { key: key.id(), signature: key.sign(&message(self.content_hash())) };
        if self.signatures.contains(&added) {
            return Ok(self.clone());
        }
        let mut signatures = self.signatures.clone();
        signatures.retain(|signature| signature.key != added.key);
        signatures.push(added);
        signatures.sort_unstable_by_key(|signature| signature.key);
        if signatures.len() > MAX_SIGNATURES {
            return malformed(format!("there are {MAX_SIGNATURES} signatures already, which is the limit"));
        }
        self.with_detached_section(SectionId::SIGNATURE, &encode(&signatures))
    }

    /// Looks for a valid signature by one of `keys`, and gives that key.
    ///
    /// # Errors
    /// When there is none, with what there is instead.
    pub fn verify_signature<'k>(&self, keys: &'k [PublicKey]) -> Result<&'k PublicKey, SignatureError> {
        if self.signatures.is_empty() {
            return Err(SignatureError::Unsigned);
        }
        let message = message(self.content_hash());
        let mut invalid = Vec::new();
        for PackSignature { key, signature } in &self.signatures {
            // Ids are short, so two keys may have the same one.
            for known in keys.iter().filter(|known| known.id() == *key) {
                if known.verifies(&message, signature) {
                    return Ok(known);
                }
                if !invalid.contains(key) {
                    invalid.push(*key);
                }
            }
        }
        if !invalid.is_empty() {
            return Err(SignatureError::Invalid { found: invalid });
        }
        let found = self.signatures.iter().map(|signature| signature.key).collect();
        Err(SignatureError::OtherKeys { found, accepted: keys.iter().map(PublicKey::id).collect() })
    }
}

/// What a key signs.
fn message(content_hash: [u8; 32]) -> [u8; 58] {
    let mut message = [0; 58];
    message[..DOMAIN.len()].copy_from_slice(DOMAIN);
    message[DOMAIN.len()..].copy_from_slice(&content_hash);
    message
}

fn encode(signatures: &[PackSignature]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_SIZE + ENTRY_SIZE * signatures.len());
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(signatures.len() as u16).to_le_bytes());
    for PackSignature { key, signature } in signatures {
        bytes.extend_from_slice(&key.0);
        bytes.extend_from_slice(signature);
    }
    bytes
}

/// The signatures of a file whose container is checked; none when it has no such section.
pub(super) fn read(bytes: &[u8], table: &[super::SectionInfo]) -> Result<Vec<PackSignature>, PackError> {
    if !table.iter().any(|info| info.id == SectionId::SIGNATURE) {
        return Ok(Vec::new());
    }
    decode(section(bytes, table, SectionId::SIGNATURE)?)
}

fn decode(bytes: &[u8]) -> Result<Vec<PackSignature>, PackError> {
    let Some((&[low, high, few, many], entries)) = bytes.split_first_chunk::<HEAD_SIZE>() else {
        return malformed("it is cut short".to_owned());
    };
    let (version, count) = (u16::from_le_bytes([low, high]), usize::from(u16::from_le_bytes([few, many])));
    if version != VERSION {
        return malformed(format!("it has version {version}, this build reads {VERSION}"));
    }
    if !(1..=MAX_SIGNATURES).contains(&count) || entries.len() != count * ENTRY_SIZE {
        return malformed(format!("{count} signatures in {} bytes, 1 to {MAX_SIGNATURES} fit", bytes.len()));
    }
    let mut signatures: Vec<PackSignature> = Vec::with_capacity(count);
    for entry in entries.chunks_exact(ENTRY_SIZE) {
        let Some((key, Ok(signature))) = entry.split_first_chunk::<8>().map(|(key, rest)| (key, rest.try_into()))
        else {
            return malformed("it is cut short".to_owned());
        };
        let key = KeyId(*key);
        if signatures.last().is_some_and(|last| last.key >= key) {
            return malformed("the keys are not in order, or one is there twice".to_owned());
        }
        signatures.push(PackSignature { key, signature });
    }
    Ok(signatures)
}

fn malformed<T>(message: String) -> Result<T, PackError> {
    Err(PackProblem::Signature(message).into())
}
