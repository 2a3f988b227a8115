//! The time index: which blocks lie before it and what times they have. Pure functions over slices.
//!
//! An index is a block without records, so that readers that do not know it pass over it. It names the blocks between the
//! index or file header before it and itself, which lie back to back: sizes alone give their places, wherever the log is
//! moved to. Its payload ends with a zstd frame that decoders skip (RFC 8878, 3.1.2) and that says where the block begins.
//! So whoever stands behind an index finds it, what it names, and what lies before that.
//!
//! ```text
//! header │ block … block │ index │ block … block │ index │ header │ …
//!        └── named by ───────┘   └── named by ───────┘
//! payload   zstd frame of: "KIDX"   4 u32 entries   8 u32 size of the file header, 0 behind another index   12 u32 zero   16 entries
//!           skipped frame: 5E 2A 4D 18   u32 8   u32 size of head and payload   "KEND"
//! entry     0 u32 stored size   4 u32 records   8 i64 first time   16 i64 last time
//! ```
//!
//! INVARIANT: an index is a hint. What it promises is looked for where it says and checked there.

use super::format::{BLOCK_HEAD, BlockHead, FILE_HEAD, MAX_HEADER, MAX_RECORDS, MAX_STORED, i64_at, u32_at};

/// After how many blocks an index is written: so much memory, and so much to walk through when the last one is missing.
pub(super) const BLOCKS_PER_INDEX: usize = 4096;
/// The most blocks that a reader believes an index to name.
const MAX_ENTRIES: usize = 1 << 16;
/// The first bytes of an index, before compression.
pub(super) const INDEX_MAGIC: [u8; 4] = *b"KIDX";
/// Bytes of an index before its entries.
const INDEX_HEAD: usize = 16;
/// Bytes of an entry.
pub(super) const ENTRY: usize = 24;
/// Bytes of the frame that ends an index.
pub(super) const TRAILER: usize = 16;
/// What zstd decoders take for a frame that is not theirs.
const SKIPPABLE: [u8; 4] = [0x5e, 0x2a, 0x4d, 0x18];
/// The last bytes of an index.
const TRAILER_MAGIC: [u8; 4] = *b"KEND";
/// The largest index before compression.
pub(super) const MAX_INDEX: usize = INDEX_HEAD + MAX_ENTRIES * ENTRY;

/// What an index says of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) stored: u32,
    pub(super) records: u32,
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Entry {
    pub(super) fn of(head: &BlockHead) -> Entry {
        Entry { stored: head.stored, records: head.records, first: head.first, last: head.last }
    }

    /// How many bytes of the log the block takes.
    pub(super) fn size(&self) -> u64 {
        BLOCK_HEAD as u64 + u64::from(self.stored)
    }

    pub(super) fn encode(&self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[0..4].copy_from_slice(&self.stored.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.records.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.first.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.last.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Entry> {
        let entry = Entry {
            stored: u32_at(bytes, 0)?,
            records: u32_at(bytes, 4)?,
            first: i64_at(bytes, 8)?,
            last: i64_at(bytes, 16)?,
        };
        (entry.stored <= MAX_STORED && entry.records <= MAX_RECORDS).then_some(entry)
    }
}

/// An index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// The size of the file header before the first of its blocks; 0 when another index is there.
    pub(super) header: u32,
    /// The blocks, in the order of the log.
    pub(super) entries: Vec<Entry>,
}

impl Index {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut raw = Vec::with_capacity(INDEX_HEAD + self.entries.len() * ENTRY);
        raw.extend_from_slice(&INDEX_MAGIC);
        raw.extend_from_slice(&u32::try_from(self.entries.len()).unwrap_or(u32::MAX).to_le_bytes());
        raw.extend_from_slice(&self.header.to_le_bytes());
        raw.extend_from_slice(&[0; 4]);
        self.entries.iter().for_each(|entry| raw.extend_from_slice(&entry.encode()));
        raw
    }

    /// The index that these bytes are, if they are one and within the limits.
    pub(super) fn decode(raw: &[u8]) -> Option<Index> {
        let count = u32_at(raw, 4)? as usize;
        let header = u32_at(raw, 8)?;
        let fits = count <= MAX_ENTRIES && raw.len() == INDEX_HEAD + count * ENTRY;
        if !raw.starts_with(&INDEX_MAGIC) || !fits || header > MAX_HEADER + FILE_HEAD as u32 {
            return None;
        }
        let entries = raw.get(INDEX_HEAD..)?.chunks_exact(ENTRY).map(Entry::decode).collect::<Option<Vec<_>>>()?;
        Some(Index { header, entries })
    }

    /// How many bytes of the log lie between what the index names first and the index.
    pub(super) fn covers(&self) -> u64 {
        u64::from(self.header) + self.entries.iter().map(Entry::size).sum::<u64>()
    }
}

/// The frame that ends the payload of an index whose head and payload take `size` bytes.
pub(super) fn trailer(size: u32) -> [u8; TRAILER] {
    let mut bytes = [0; TRAILER];
    bytes[0..4].copy_from_slice(&SKIPPABLE);
    bytes[4..8].copy_from_slice(&8u32.to_le_bytes());
    bytes[8..12].copy_from_slice(&size.to_le_bytes());
    bytes[12..16].copy_from_slice(&TRAILER_MAGIC);
    bytes
}

/// How many bytes before the end of these an index begins, if they are the last ones of one.
pub(super) fn trailer_size(bytes: &[u8]) -> Option<u64> {
    let size = u32_at(bytes, 8)?;
    (bytes == trailer(size)).then_some(u64::from(size))
}
