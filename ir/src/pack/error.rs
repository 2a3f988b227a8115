//! Why a pack is refused: one case for each check, each with its own message.

use thiserror::Error;

use super::container::{MAX_PACK_SIZE, PACK_MAJOR, SectionId};
use crate::verify::VerifyError;

/// Why a pack could not be read or built.
#[derive(Debug, Clone, PartialEq, Error)]
#[error(transparent)]
pub struct PackError(#[from] PackProblem);

impl PackError {
    /// Which check failed.
    pub fn problem(&self) -> &PackProblem {
        &self.0
    }
}

/// The checks of a pack, in about the order in which they are made.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum PackProblem {
    /// The file does not begin as packs do.
    #[error("this is no pack: it does not begin with the pack's magic bytes")]
    Magic,
    /// The file ends too early.
    #[error("the pack is cut short: it has {length} bytes and needs at least {needed}")]
    Truncated {
        /// Bytes that are there.
        length: u64,
        /// Bytes that are needed, as far as that is known.
        needed: u64,
    },
    /// Another major version.
    #[error(
        "the pack has format version {major}.{minor} and this build reads {PACK_MAJOR}.x: {}",
        if *major > PACK_MAJOR { "use a newer engine, or build the rules with an older compiler" } else { "build the rules again" }
    )]
    Version {
        /// The pack's major version.
        major: u16,
        /// Its minor version.
        minor: u16,
    },
    /// The whole file is too large.
    #[error("the pack has {length} bytes, at most {MAX_PACK_SIZE} are allowed")]
    TooLarge {
        /// Its size in bytes.
        length: u64,
    },
    /// There are too many sections.
    #[error("the pack has {count} sections, at most {limit} are allowed")]
    TooManySections {
        /// How many there are.
        count: u32,
        /// How many there may be.
        limit: u32,
    },
    /// A section is too large.
    #[error("section {section} has {length} bytes, at most {limit} are allowed")]
    SectionTooLarge {
        /// The section.
        section: SectionId,
        /// Its size in bytes.
        length: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Two sections have one id.
    #[error("section {0} is there twice")]
    SectionTwice(SectionId),
    /// Two sections, or a section and the table, share bytes.
    #[error("section {0} overlaps what is before it")]
    Overlap(SectionId),
    /// Between sections or behind the last there is something else than the zeros of the alignment.
    #[error("there are stray bytes at offset {offset}")]
    Stray {
        /// Where they begin.
        offset: u64,
    },
    /// A section of the content is marked as outside the hash.
    #[error("section {0} is marked as outside the content hash")]
    Detached(SectionId),
    /// The section of signatures has other flags than the one that it must have.
    #[error("the signatures' section has the flags {0:#x}; it must be outside the content hash, and nothing else")]
    SignatureFlags(u32),
    /// The content is not what its hash says.
    #[error("the pack is damaged: its content does not have the hash that its header gives")]
    Hash,
    /// A section that every pack has is not there.
    #[error("section {0} is missing")]
    Missing(SectionId),
    /// A section that is text is not UTF-8.
    #[error("section {section} is not UTF-8 from byte {offset} on")]
    Text {
        /// The section.
        section: SectionId,
        /// The first byte that is not.
        offset: usize,
    },
    /// The manifest is no JSON of the known form.
    #[error("the manifest can not be read: {0}")]
    Manifest(String),
    /// A section can not be decoded.
    #[error("section {section} can not be decoded: {message}")]
    Decode {
        /// The section.
        section: SectionId,
        /// What went wrong.
        message: String,
    },
    /// A part can not be encoded.
    #[error("section {section} can not be encoded: {message}")]
    Encode {
        /// The section.
        section: SectionId,
        /// What went wrong.
        message: String,
    },
    /// The section of signatures is malformed, or full.
    #[error("the pack's signatures: {0}")]
    Signature(String),
    /// The verifier refuses the IR.
    #[error("the pack's rules are not valid: {0}")]
    Ir(VerifyError),
    /// Two parts contradict each other.
    #[error("the pack contradicts itself: {0}")]
    Inconsistent(String),
    /// The fields mean something else under the engine's schema.
    #[error("the pack was built for schema `{schema}`, under which fields differ: {message}")]
    Schema {
        /// The name of the pack's schema.
        schema: String,
        /// Which fields, and how.
        message: String,
    },
}
