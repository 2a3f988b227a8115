//! The bytes of the event log: file header, block head, record. Pure functions over slices; all numbers little-endian. The
//! time index is in `index.rs`.
//!
//! ```text
//! file header   0 magic, 8 bytes   8 u16 major   10 u16 minor   12 u32 length of the JSON
//!              16 u64 xxh3 over bytes 0..16 and the JSON        24 the JSON of a LogHeader
//! block head    0 "KBLK"   4 u32 stored size   8 u32 raw size   12 u32 records   16 i64 first time   24 i64 last time
//!              32 u64 first ordinal   40 u64 xxh3 over the stored bytes   48 u64 xxh3 over bytes 0..48
//! record        0 u32 document size   4 u32 flags   8 i64 time   16 i64 tiebreaker   24 u64 ordinal   32 document
//! ```

use kestrel_ir::event::EventFlags;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// The first bytes of an event log. Those beyond ASCII and the line ends show when a transfer took the file for text.
pub const MAGIC: [u8; 8] = *b"\x89KLOG\r\n\x1a";
/// The major version that this build writes, and the only one that it reads.
pub const MAJOR: u16 = 1;
/// The minor version that this build writes: 1 brought the time index. A higher one only adds keys to the header, and
/// blocks without records, which whoever does not know them passes over.
pub const MINOR: u16 = 1;
/// The largest document of a record in bytes.
pub const MAX_DOCUMENT: usize = 32 << 20;

/// Bytes of the file header before its JSON.
pub(super) const FILE_HEAD: usize = 24;
/// Bytes of a block head.
pub(super) const BLOCK_HEAD: usize = 56;
/// Bytes of a record before its document.
pub(super) const RECORD_HEAD: usize = 32;
/// The first bytes of a block.
pub(super) const BLOCK_MAGIC: [u8; 4] = *b"KBLK";
/// The largest header JSON. Small, because whoever searches behind damage may have to check many.
pub(super) const MAX_HEADER: u32 = 64 << 10;
/// The largest block before compression: a full one and the largest document.
pub(super) const MAX_RAW: u32 = 64 << 20;
/// The largest block as it is stored: what zstd may need for incompressible bytes.
pub(super) const MAX_STORED: u32 = MAX_RAW + (1 << 20);
/// The most records of a block.
pub(super) const MAX_RECORDS: u32 = 1 << 20;

/// Where a log comes from. Every part may be empty: it informs people and decides nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHeader {
    /// The hash of the schema that the documents follow: 64 hexadecimal digits.
    #[serde(default)]
    pub schema_hash: String,
    /// The build that wrote the log.
    #[serde(default)]
    pub engine: String,
    /// The content hashes of the packs that ran.
    #[serde(default)]
    pub packs: Vec<String>,
    /// `host.name` of the host that wrote it.
    #[serde(default)]
    pub host_name: String,
    /// `host.id` of that host.
    #[serde(default)]
    pub host_id: String,
}

/// What a record says beside its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordHead {
    /// Nanoseconds since 1970.
    pub timestamp: i64,
    /// Breaks ties between equal timestamps.
    pub tiebreaker: i64,
    /// The event's arrival number in the run that wrote it.
    pub ordinal: u64,
    /// The source's doubts about the event, which no document shows.
    pub flags: EventFlags,
}

/// A block without its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct BlockHead {
    pub(super) stored: u32,
    pub(super) raw: u32,
    pub(super) records: u32,
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) ordinal: u64,
    pub(super) payload_hash: u64,
}

impl BlockHead {
    pub(super) fn encode(&self) -> [u8; BLOCK_HEAD] {
        let mut bytes = [0; BLOCK_HEAD];
        bytes[0..4].copy_from_slice(&BLOCK_MAGIC);
        bytes[4..8].copy_from_slice(&self.stored.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.raw.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.records.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.last.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.ordinal.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.payload_hash.to_le_bytes());
        let hash = xxh3_64(&bytes[..48]);
        bytes[48..56].copy_from_slice(&hash.to_le_bytes());
        bytes
    }

    /// The head that these bytes are, if they are one and within the limits.
    pub(super) fn decode(bytes: &[u8; BLOCK_HEAD]) -> Option<BlockHead> {
        if bytes[..4] != BLOCK_MAGIC || xxh3_64(&bytes[..48]) != u64_at(bytes, 48)? {
            return None;
        }
        let head = BlockHead {
            stored: u32_at(bytes, 4)?,
            raw: u32_at(bytes, 8)?,
            records: u32_at(bytes, 12)?,
            first: i64_at(bytes, 16)?,
            last: i64_at(bytes, 24)?,
            ordinal: u64_at(bytes, 32)?,
            payload_hash: u64_at(bytes, 40)?,
        };
        let within = head.stored <= MAX_STORED && head.raw <= MAX_RAW && head.records <= MAX_RECORDS;
        within.then_some(head)
    }
}

/// A file header with its JSON.
pub(super) fn encode_header(header: &LogHeader) -> Vec<u8> {
    // A struct of strings has no key that is not a string and no writer that fails.
    let json = serde_json::to_vec(header).unwrap_or_default();
    let mut bytes = Vec::with_capacity(FILE_HEAD + json.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&MAJOR.to_le_bytes());
    bytes.extend_from_slice(&MINOR.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(json.len()).unwrap_or(u32::MAX).to_le_bytes());
    let hash = header_hash(&bytes, &json);
    bytes.extend_from_slice(&hash.to_le_bytes());
    bytes.extend_from_slice(&json);
    bytes
}

/// The checksum of a file header: over its first 16 bytes and its JSON.
pub(super) fn header_hash(head: &[u8], json: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(head.get(..16).unwrap_or(head));
    hash.update(json);
    hash.digest()
}

/// Appends a record to a block's raw bytes.
pub(super) fn encode_record(head: &RecordHead, document: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(document.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&head.flags.0.to_le_bytes());
    out.extend_from_slice(&head.timestamp.to_le_bytes());
    out.extend_from_slice(&head.tiebreaker.to_le_bytes());
    out.extend_from_slice(&head.ordinal.to_le_bytes());
    out.extend_from_slice(document);
}

/// The record at `offset` of a block's raw bytes, its document, and where the next one begins.
pub(super) fn decode_record(raw: &[u8], offset: usize) -> Option<(RecordHead, &[u8], usize)> {
    let start = offset.checked_add(RECORD_HEAD)?;
    let end = start.checked_add(u32_at(raw, offset)? as usize)?;
    let document = raw.get(start..end)?;
    let head = RecordHead {
        flags: EventFlags(u32_at(raw, offset + 4)?),
        timestamp: i64_at(raw, offset + 8)?,
        tiebreaker: i64_at(raw, offset + 16)?,
        ordinal: u64_at(raw, offset + 24)?,
    };
    Some((head, document, end))
}

pub(super) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_le_bytes(array_at(bytes, offset)?))
}

pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(array_at(bytes, offset)?))
}

pub(super) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(array_at(bytes, offset)?))
}

pub(super) fn i64_at(bytes: &[u8], offset: usize) -> Option<i64> {
    Some(i64::from_le_bytes(array_at(bytes, offset)?))
}

fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset.checked_add(N)?)?.try_into().ok()
}
