//! The container: header, section table, placement, content hash, encodings. It knows sections by id and size alone.
//!
//! INVARIANT: sections lie in the order of the table, 8-aligned, with zeros between and nothing behind. So the table's offsets
//! follow from its lengths, no byte of a file is free, and a file that reads has one meaning.

use std::fmt;
use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::error::{PackError, PackProblem};

/// The first bytes of a pack. Those beyond ASCII and the line ends show when a transfer took the file for text.
pub const MAGIC: [u8; 8] = *b"\x89KPKG\r\n\x1a";
/// The major version that this build writes, and the only one that it reads.
pub const PACK_MAJOR: u16 = 2;
/// The minor version that this build writes. A higher one only adds sections, and keys of the manifest.
pub const PACK_MINOR: u16 = 2;
/// Bytes before the section table.
pub const HEADER_SIZE: usize = 48;
/// The largest pack in bytes.
pub const MAX_PACK_SIZE: u64 = 256 << 20;
/// The most sections.
pub const MAX_SECTIONS: u32 = 64;
/// The flag of a section that the content hash leaves out.
pub const DETACHED: u32 = 1;

/// Bytes of one entry of the section table.
const ENTRY_SIZE: usize = 24;
/// Sections begin at multiples of this.
const ALIGNMENT: u64 = 8;

/// What a section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SectionId(pub u32);

impl SectionId {
    /// The manifest, JSON.
    pub const MANIFEST: SectionId = SectionId(1);
    /// The IR, postcard.
    pub const IR: SectionId = SectionId(2);
    /// `module.wasm`.
    pub const MODULE: SectionId = SectionId(3);
    /// `predicates.lua`.
    pub const PREDICATES: SectionId = SectionId(4);
    /// The filter maps, postcard.
    pub const FILTERS: SectionId = SectionId(5);
    /// The rules' source files, postcard.
    pub const SOURCES: SectionId = SectionId(6);
    /// The rules' tests, postcard.
    pub const TESTS: SectionId = SectionId(7);
    /// Ed25519 signatures over the content hash, outside the hash.
    pub const SIGNATURE: SectionId = SectionId(8);
    /// The code of hand-written predicates, postcard.
    pub const PROGRAMS: SectionId = SectionId(9);
    /// The keys of the kernel's filter for kinds that need no other tests than those of format 2.1, postcard.
    pub const FILTER_KEYS: SectionId = SectionId(10);
    /// The same predicate by predicate, postcard.
    pub const PREDICATE_KEYS: SectionId = SectionId(11);
    /// The keys of the other kinds, postcard.
    pub const MORE_FILTER_KEYS: SectionId = SectionId(12);

    /// The section's name; `None` for one that this build does not know.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            SectionId::MANIFEST => "manifest",
            SectionId::IR => "ir",
            SectionId::MODULE => "module.wasm",
            SectionId::PREDICATES => "predicates.lua",
            SectionId::FILTERS => "filters",
            SectionId::SOURCES => "sources",
            SectionId::TESTS => "tests",
            SectionId::SIGNATURE => "signature",
            SectionId::PROGRAMS => "programs",
            SectionId::FILTER_KEYS => "filter-keys",
            SectionId::PREDICATE_KEYS => "predicate-keys",
            SectionId::MORE_FILTER_KEYS => "more-filter-keys",
            _ => return None,
        })
    }

    /// The largest size in bytes. The IR's is smaller than the rest, because decoded it takes up to thirty times as much.
    fn limit(self) -> u64 {
        match self {
            SectionId::MANIFEST | SectionId::IR | SectionId::FILTERS => 16 << 20,
            SectionId::FILTER_KEYS | SectionId::PREDICATE_KEYS | SectionId::MORE_FILTER_KEYS => 16 << 20,
            SectionId::SIGNATURE => 64 << 10,
            SectionId::SOURCES | SectionId::TESTS | SectionId::PROGRAMS => 64 << 20,
            _ => 128 << 20,
        }
    }
}

impl fmt::Display for SectionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(formatter, "`{name}`"),
            None => write!(formatter, "{}", self.0),
        }
    }
}

/// An entry of the section table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectionInfo {
    /// What the section holds.
    pub id: SectionId,
    /// Flags; those that this build does not know mean nothing to it.
    pub flags: u32,
    /// Where it begins, in bytes from the start of the file.
    pub offset: u64,
    /// Its size in bytes.
    pub length: u64,
}

impl SectionInfo {
    /// The section's bytes in the file.
    pub fn range(&self) -> Range<usize> {
        // A table that was read ends within MAX_PACK_SIZE, so both fit.
        self.offset as usize..(self.offset + self.length) as usize
    }

    fn is_detached(&self) -> bool {
        self.flags & DETACHED != 0
    }
}

/// The file of these sections: id, flags, content. The content hash covers the version, so a file that is written again
/// keeps its own.
pub(super) fn write(minor: u16, sections: &[(SectionId, u32, &[u8])]) -> Result<Vec<u8>, PackError> {
    let count = u32::try_from(sections.len()).unwrap_or(u32::MAX);
    check_count(count)?;
    let mut table: Vec<SectionInfo> = Vec::new();
    let mut offset = (HEADER_SIZE + ENTRY_SIZE * sections.len()) as u64;
    for (id, flags, content) in sections {
        let info = SectionInfo { id: *id, flags: *flags, offset, length: content.len() as u64 };
        check_section(&info, &table)?;
        offset = (offset + info.length).next_multiple_of(ALIGNMENT);
        table.push(info);
    }
    let length = table.last().map_or(HEADER_SIZE as u64, |info| info.offset + info.length);
    if length > MAX_PACK_SIZE {
        return Err(PackProblem::TooLarge { length }.into());
    }
    let mut bytes = Vec::with_capacity(length as usize);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&PACK_MAJOR.to_le_bytes());
    bytes.extend_from_slice(&minor.to_le_bytes());
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&[0; 32]);
    for info in &table {
        bytes.extend_from_slice(&info.id.0.to_le_bytes());
        bytes.extend_from_slice(&info.flags.to_le_bytes());
        bytes.extend_from_slice(&info.offset.to_le_bytes());
        bytes.extend_from_slice(&info.length.to_le_bytes());
    }
    for (info, (_, _, content)) in table.iter().zip(sections) {
        bytes.resize(info.offset as usize, 0);
        bytes.extend_from_slice(content);
    }
    let hash = content_hash(&bytes, &table);
    bytes[16..HEADER_SIZE].copy_from_slice(&hash);
    Ok(bytes)
}

/// The sections of a file and the content hash that it names, once all else of the container is checked:
/// [`check_hash`] is to follow.
pub(super) fn read(bytes: &[u8]) -> Result<(Vec<SectionInfo>, [u8; 32]), PackError> {
    let length = bytes.len() as u64;
    if bytes.get(..MAGIC.len()).is_some_and(|magic| magic != MAGIC) || !MAGIC.starts_with(&bytes[..bytes.len().min(8)])
    {
        return Err(PackProblem::Magic.into());
    }
    let truncated = |needed: u64| PackError::from(PackProblem::Truncated { length, needed });
    let header: [u8; HEADER_SIZE] = array(bytes, 0).ok_or_else(|| truncated(HEADER_SIZE as u64))?;
    let (major, minor) = (u16::from_le_bytes([header[8], header[9]]), u16::from_le_bytes([header[10], header[11]]));
    if major != PACK_MAJOR {
        return Err(PackProblem::Version { major, minor }.into());
    }
    if length > MAX_PACK_SIZE {
        return Err(PackProblem::TooLarge { length }.into());
    }
    let count = u32::from_le_bytes([header[12], header[13], header[14], header[15]]);
    check_count(count)?;
    let mut end = (HEADER_SIZE + ENTRY_SIZE * count as usize) as u64;
    if length < end {
        return Err(truncated(end));
    }
    let mut table = Vec::new();
    for index in 0..count as usize {
        let start = HEADER_SIZE + ENTRY_SIZE * index;
        let entry: [u8; ENTRY_SIZE] = array(bytes, start).ok_or_else(|| truncated(end))?;
        let info = parse_entry(&entry);
        check_section(&info, &table)?;
        if info.offset < end {
            return Err(PackProblem::Overlap(info.id).into());
        }
        let Some(next) = info.offset.checked_add(info.length).filter(|next| *next <= length) else {
            return Err(truncated(info.offset.saturating_add(info.length)));
        };
        let gap = bytes.get(end as usize..info.offset as usize).unwrap_or_default();
        if info.offset != end.next_multiple_of(ALIGNMENT) || gap.iter().any(|byte| *byte != 0) {
            return Err(PackProblem::Stray { offset: end }.into());
        }
        end = next;
        table.push(info);
    }
    if length > end {
        return Err(PackProblem::Stray { offset: end }.into());
    }
    let hash: [u8; 32] = array(bytes, 16).ok_or_else(|| truncated(HEADER_SIZE as u64))?;
    Ok((table, hash))
}

/// Whether the content is that which its hash names.
pub(super) fn check_hash(bytes: &[u8], table: &[SectionInfo], hash: [u8; 32]) -> Result<(), PackError> {
    if content_hash(bytes, table) == hash { Ok(()) } else { Err(PackProblem::Hash.into()) }
}

/// The minor version that a file was written with.
pub(super) fn minor(bytes: &[u8]) -> u16 {
    array(bytes, 10).map_or(PACK_MINOR, u16::from_le_bytes)
}

fn parse_entry(entry: &[u8; ENTRY_SIZE]) -> SectionInfo {
    let word = |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
    let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
    SectionInfo { id: SectionId(word(0)), flags: word(4), offset: long(8), length: long(16) }
}

fn array<const N: usize>(bytes: &[u8], start: usize) -> Option<[u8; N]> {
    bytes.get(start..start.checked_add(N)?)?.try_into().ok()
}

fn check_count(count: u32) -> Result<(), PackError> {
    if count > MAX_SECTIONS {
        return Err(PackProblem::TooManySections { count, limit: MAX_SECTIONS }.into());
    }
    Ok(())
}

fn check_section(info: &SectionInfo, earlier: &[SectionInfo]) -> Result<(), PackError> {
    if earlier.iter().any(|other| other.id == info.id) {
        return Err(PackProblem::SectionTwice(info.id).into());
    }
    if info.length > info.id.limit() {
        let (section, length, limit) = (info.id, info.length, info.id.limit());
        return Err(PackProblem::SectionTooLarge { section, length, limit }.into());
    }
    if info.id == SectionId::SIGNATURE {
        // No hash covers its flags, so they have one value.
        if info.flags != DETACHED {
            return Err(PackProblem::SignatureFlags(info.flags).into());
        }
    } else if info.is_detached() && info.id.name().is_some() {
        return Err(PackProblem::Detached(info.id).into());
    }
    Ok(())
}

/// SHA-256 over magic and versions, then for each section inside the hash its id, flags, length and bytes. Offsets and
/// the number of sections are left out, so that a section outside the hash can be added without changing it.
fn content_hash(bytes: &[u8], table: &[SectionInfo]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(bytes.get(..12).unwrap_or_default());
    for info in table.iter().filter(|info| !info.is_detached()) {
        digest.update(info.id.0.to_le_bytes());
        digest.update(info.flags.to_le_bytes());
        digest.update(info.length.to_le_bytes());
        digest.update(bytes.get(info.range()).unwrap_or_default());
    }
    digest.finalize().into()
}

/// The bytes of a section that every pack has.
pub(super) fn section<'b>(bytes: &'b [u8], table: &[SectionInfo], id: SectionId) -> Result<&'b [u8], PackError> {
    let info = table.iter().find(|info| info.id == id);
    Ok(info.and_then(|info| bytes.get(info.range())).ok_or(PackProblem::Missing(id))?)
}

/// A section's bytes as text.
pub(super) fn text(section: SectionId, bytes: &[u8]) -> Result<&str, PackError> {
    let text = std::str::from_utf8(bytes);
    Ok(text.map_err(|error| PackProblem::Text { section, offset: error.valid_up_to() })?)
}

pub(super) fn encode_json<T: Serialize>(part: &T) -> Result<Vec<u8>, PackError> {
    let section = SectionId::MANIFEST;
    let bytes = serde_json::to_vec_pretty(part);
    Ok(bytes.map_err(|error| PackProblem::Encode { section, message: error.to_string() })?)
}

pub(super) fn decode_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, PackError> {
    let text = text(SectionId::MANIFEST, bytes)?;
    Ok(serde_json::from_str(text).map_err(|error| PackProblem::Manifest(error.to_string()))?)
}

pub(super) fn encode<T: Serialize>(section: SectionId, part: &T) -> Result<Vec<u8>, PackError> {
    let bytes = postcard::to_allocvec(part);
    Ok(bytes.map_err(|error| PackProblem::Encode { section, message: error.to_string() })?)
}

/// Decodes all of `bytes`; bytes that are left over are an error.
pub(super) fn decode<T: DeserializeOwned>(section: SectionId, bytes: &[u8]) -> Result<T, PackError> {
    let decoded = postcard::take_from_bytes(bytes);
    let (part, rest) = decoded.map_err(|error| PackProblem::Decode { section, message: error.to_string() })?;
    if !rest.is_empty() {
        let message = format!("{} bytes are left over", rest.len());
        return Err(PackProblem::Decode { section, message }.into());
    }
    Ok(part)
}
