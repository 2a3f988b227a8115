//! The keys that sign packs, and the files that hold them.
//!
//! In: the bytes of a key file, or 32 bytes of chance. Out: a [`PrivateKey`] or a [`PublicKey`]. A file holds one key, on
//! one line; empty lines and lines that begin with `#` are passed over:
//!
//! ```text
//! kestrel-private-key-v1 <key id> <the seed of 32 bytes, hexadecimal> [comment]
//! kestrel-public-key-v1  <key id> <the key of 32 bytes, hexadecimal>  [comment]
//! ```
//!
//! The key id is the start of the public key's SHA-256. In a file it also finds a slip of the hand: a key whose id is another
//! one is refused. What was secret is overwritten before its memory is given back; nothing here prints it but
//! [`PrivateKey::write`].

use std::fmt;
use std::io::{self, Read, Write};

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

/// The largest key file in bytes.
pub const MAX_KEY_FILE: usize = 4096;
/// The longest comment of a key in bytes.
pub const MAX_COMMENT: usize = 200;

const PRIVATE: &str = "kestrel-private-key-v1";
const PUBLIC: &str = "kestrel-public-key-v1";
const KEY_SIZE: usize = 32;

/// Names a key: the first 8 bytes of the SHA-256 of the public key. Shown as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 8]);

impl KeyId {
    fn of(key: &VerifyingKey) -> KeyId {
        let hash: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        let mut id = [0; 8];
        id.copy_from_slice(&hash[..8]);
        KeyId(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// The half of a key that tells whether a signature was made with the other half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    id: KeyId,
    comment: String,
}

/// The half of a key that signs. Overwritten when it is dropped, and shown by its id alone.
pub struct PrivateKey {
    key: SigningKey,
    comment: String,
}

/// Why a key file is refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It cannot be read.
    #[error("the key cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is far larger than any key.
    #[error("this is no key file: it has more than {MAX_KEY_FILE} bytes")]
    TooLarge,
    /// It is not text.
    #[error("this is no key file: it is not UTF-8")]
    NotText,
    /// There is no key in it.
    #[error("there is no key in the file: expected a line that begins with `{expected}`")]
    NoKey {
        /// How the line begins.
        expected: &'static str,
    },
    /// There is more than one key in it.
    #[error("there are several keys in the file; give each a file of its own")]
    SeveralKeys,
    /// It holds the other half.
    #[error("{}", if *private {
        "this is a private key, expected the public one (its file ends with `.pub`)"
    } else {
        "this is a public key, expected the private one (its file ends with `.key`)"
    })]
    OtherHalf {
        /// Whether the private half was found.
        private: bool,
    },
    /// A part of the line is not what it should be.
    #[error("the key file's line is malformed: expected {expected}")]
    Malformed {
        /// What should be there.
        expected: &'static str,
    },
    /// The id is that of another key.
    #[error("the key is damaged: its id should be {id}, the file says {found}")]
    Id {
        /// The id of the key in the file.
        id: KeyId,
        /// What the file says.
        found: KeyId,
    },
    /// The bytes are no public key, or one for which anybody can sign.
    #[error("the key is none that Ed25519 can use")]
    Unusable,
    /// The comment is too long, or has control characters.
    #[error("a comment has at most {MAX_COMMENT} bytes and no control characters")]
    Comment,
}

impl PublicKey {
    /// Reads a key file.
    ///
    /// # Errors
    /// When it is no file of one public key.
    pub fn read(reader: impl Read) -> Result<PublicKey, KeyError> {
        let mut buffer = Zeroizing::new([0; MAX_KEY_FILE + 1]);
        let line = KeyLine::find(fill(reader, &mut buffer)?, PUBLIC, PRIVATE)?;
        let key = VerifyingKey::from_bytes(&line.bytes).map_err(|_| KeyError::Unusable)?;
        if key.is_weak() {
            return Err(KeyError::Unusable);
        }
        let id = line.checked_id(&key)?;
        Ok(PublicKey { key, id, comment: line.comment.to_owned() })
    }

    /// Writes the key file.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(&self, writer: impl Write) -> io::Result<()> {
        write_line(writer, PUBLIC, self.id, self.key.as_bytes(), &self.comment)
    }

    /// The key's id.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What people said about the key; often empty.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// Whether the signature of a message was made with this key's other half, by the strict rules: weak keys and
    /// signatures that could be written in another way are refused.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl PrivateKey {
    /// A new key from 32 bytes that `fill` has to take from a source of chance that nobody can foresee.
    ///
    /// # Errors
    /// What `fill` says.
    pub fn generate<E>(fill: impl FnOnce(&mut [u8; 32]) -> Result<(), E>) -> Result<PrivateKey, E> {
        let mut seed = Zeroizing::new([0; KEY_SIZE]);
        fill(&mut seed)?;
        Ok(PrivateKey { key: SigningKey::from_bytes(&seed), comment: String::new() })
    }

    /// The same key with a comment, which its public half carries too.
    ///
    /// # Errors
    /// When the comment is too long or has control characters.
    pub fn with_comment(mut self, comment: &str) -> Result<PrivateKey, KeyError> {
        self.comment = checked_comment(comment.trim())?.to_owned();
        Ok(self)
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// When it is no file of one private key.
    pub fn read(reader: impl Read) -> Result<PrivateKey, KeyError> {
        let mut buffer = Zeroizing::new([0; MAX_KEY_FILE + 1]);
        let line = KeyLine::find(fill(reader, &mut buffer)?, PRIVATE, PUBLIC)?;
        let key = SigningKey::from_bytes(&line.bytes);
        line.checked_id(&key.verifying_key())?;
        Ok(PrivateKey { key, comment: line.comment.to_owned() })
    }

    /// Writes the key file, secret included. Whoever calls this sees to it that nobody else can read it.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(&self, writer: impl Write) -> io::Result<()> {
        write_line(writer, PRIVATE, self.id(), self.key.as_bytes(), &self.comment)
    }

    /// The half that may be given away.
    pub fn public(&self) -> PublicKey {
        let key = self.key.verifying_key();
        PublicKey { key, id: KeyId::of(&key), comment: self.comment.clone() }
    }

    /// The key's id, that of its public half.
    pub fn id(&self) -> KeyId {
        KeyId::of(&self.key.verifying_key())
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PrivateKey").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// The one line of a key file that says something.
struct KeyLine<'t> {
    id: KeyId,
    bytes: Zeroizing<[u8; KEY_SIZE]>,
    comment: &'t str,
}

impl<'t> KeyLine<'t> {
    fn find(bytes: &'t [u8], expected: &'static str, other: &'static str) -> Result<KeyLine<'t>, KeyError> {
        let text = std::str::from_utf8(bytes).map_err(|_| KeyError::NotText)?;
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let line = lines.next().ok_or(KeyError::NoKey { expected })?;
        let (word, rest) = next_word(line);
        if word == other {
            return Err(KeyError::OtherHalf { private: other == PRIVATE });
        }
        if word != expected {
            return Err(KeyError::NoKey { expected });
        }
        if lines.next().is_some() {
            return Err(KeyError::SeveralKeys);
        }
        let (id, rest) = next_word(rest);
        let (key, comment) = next_word(rest);
        let mut line = KeyLine { id: KeyId([0; 8]), bytes: Zeroizing::new([0; KEY_SIZE]), comment };
        let expected = "the key's id, 16 hexadecimal digits";
        read_hex(id, &mut line.id.0).ok_or(KeyError::Malformed { expected })?;
        let expected = "the key, 64 hexadecimal digits";
        read_hex(key, &mut *line.bytes).ok_or(KeyError::Malformed { expected })?;
        checked_comment(comment)?;
        Ok(line)
    }

    fn checked_id(&self, key: &VerifyingKey) -> Result<KeyId, KeyError> {
        let id = KeyId::of(key);
        if id == self.id { Ok(id) } else { Err(KeyError::Id { id, found: self.id }) }
    }
}

fn next_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

fn checked_comment(comment: &str) -> Result<&str, KeyError> {
    let fits = comment.len() <= MAX_COMMENT && !comment.chars().any(char::is_control);
    fits.then_some(comment).ok_or(KeyError::Comment)
}

/// Reads all of a key file; the part of the buffer that it takes.
fn fill(mut reader: impl Read, buffer: &mut [u8; MAX_KEY_FILE + 1]) -> Result<&[u8], KeyError> {
    let mut length = 0;
    loop {
        let room = buffer.get_mut(length..).filter(|room| !room.is_empty()).ok_or(KeyError::TooLarge)?;
        match reader.read(room) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(buffer.get(..length).unwrap_or_default())
}

/// Reads exactly as many lower-case or upper-case digits as the bytes have.
fn read_hex(text: &str, bytes: &mut [u8]) -> Option<()> {
    if text.len() != bytes.len() * 2 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |letter: &u8| (*letter as char).to_digit(16);
        *byte = pair.iter().try_fold(0, |number, letter| Some(number << 4 | digit(letter)? as u8))?;
    }
    Some(())
}

fn write_line(mut writer: impl Write, word: &str, id: KeyId, bytes: &[u8; KEY_SIZE], comment: &str) -> io::Result<()> {
    let mut digits = Zeroizing::new([0_u8; KEY_SIZE * 2]);
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).map_or(b'0', |digit| digit as u8);
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    write!(writer, "{word} {id} ")?;
    writer.write_all(&*digits)?;
    if !comment.is_empty() {
        write!(writer, " {comment}")?;
    }
    writer.write_all(b"\n")?;
    writer.flush()
}
