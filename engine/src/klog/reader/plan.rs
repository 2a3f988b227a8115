//! Which parts of a log a range of times is in, as its time indexes tell.
//!
//! In: a file and a range. Out: the parts to read, in order, and how much lies between them. The way goes from the end to
//! the beginning, from index to index; what no index names, because a run was killed or an older build wrote it, is a part
//! to read, in which the reader goes from head to head.

use std::io::{self, Read};

use xxhash_rust::xxh3::xxh3_64;
use zstd::bulk::Decompressor;

use super::super::format::{BLOCK_HEAD, BlockHead};
use super::super::index::{Index, MAX_INDEX, TRAILER, trailer_size};
use super::TimeRange;
use super::bytes::LogBytes;

/// The most parts that are kept apart. Beyond that, what lies between two is read too.
const MAX_PARTS: usize = 1 << 16;

/// The parts of a log that are to be read.
#[derive(Debug)]
pub(super) struct Plan {
    /// The last part first.
    parts: Vec<Part>,
    /// What lies behind the last part.
    tail: Gap,
    /// Where the log ended when the plan was made; `None` once that was told.
    end: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    begin: u64,
    end: u64,
    /// What lies before it.
    gap: Gap,
}

#[derive(Debug, Clone, Copy, Default)]
struct Gap {
    blocks: u64,
    records: u64,
}

/// A way over blocks that are not wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Jump {
    /// Where it leads.
    pub(super) to: u64,
    /// Whether a block has to begin there; otherwise the log ends there.
    pub(super) to_block: bool,
    /// The blocks passed over.
    pub(super) blocks: u64,
    /// Their records.
    pub(super) records: u64,
}

impl Plan {
    /// Makes the plan for a log of this length.
    pub(super) fn read(bytes: &mut dyn LogBytes, length: u64, range: TimeRange) -> io::Result<Plan> {
        let mut plan = Plan { parts: Vec::new(), tail: Gap::default(), end: Some(length) };
        let mut decompressor = Decompressor::new()?;
        let mut end = length;
        while end > 0 {
            let Some((begin, index)) = index_before(bytes, &mut decompressor, end)? else {
                plan.want(0, end);
                break;
            };
            // `index_before` has seen that the index covers no more than there is.
            let mut place = begin;
            for entry in index.entries.iter().rev() {
                let end = place;
                place = place.saturating_sub(entry.size());
                if range.meets(entry.first, entry.last) {
                    plan.want(place, end);
                } else {
                    let gap = plan.parts.last_mut().map_or(&mut plan.tail, |part| &mut part.gap);
                    gap.blocks += 1;
                    gap.records += u64::from(entry.records);
                }
            }
            end = begin.saturating_sub(index.covers());
        }
        Ok(plan)
    }

    /// Adds a part before all others.
    fn want(&mut self, begin: u64, end: u64) {
        let full = self.parts.len() >= MAX_PARTS;
        match self.parts.last_mut() {
            Some(later) if full || later.gap.blocks == 0 => {
                later.begin = begin;
                later.gap = Gap::default();
            }
            _ => self.parts.push(Part { begin, end, gap: Gap::default() }),
        }
    }

    /// Where to go from `offset`, when the blocks there are not wanted.
    pub(super) fn jump(&mut self, offset: u64) -> Option<Jump> {
        while let Some(part) = self.parts.last().copied() {
            if offset < part.begin {
                let Gap { blocks, records } = part.gap;
                return (blocks > 0).then_some(Jump { to: part.begin, to_block: true, blocks, records });
            }
            if offset < part.end {
                return None;
            }
            self.parts.pop();
        }
        let end = self.end.take()?;
        let Gap { blocks, records } = self.tail;
        (offset < end && blocks > 0).then_some(Jump { to: end, to_block: false, blocks, records })
    }
}

/// The index that ends at `end`, and where it begins; `None` when there is none that can be believed.
fn index_before(
    bytes: &mut dyn LogBytes,
    decompressor: &mut Decompressor<'static>,
    end: u64,
) -> io::Result<Option<(u64, Index)>> {
    let Some(trailer) = end.checked_sub(TRAILER as u64) else { return Ok(None) };
    let begin = trailer_size(&read(bytes, trailer, TRAILER as u64)?).and_then(|size| end.checked_sub(size));
    let Some(begin) = begin else { return Ok(None) };
    let head = read(bytes, begin, BLOCK_HEAD as u64)?;
    let Some(head) = head.as_slice().try_into().ok().and_then(BlockHead::decode) else { return Ok(None) };
    let stored = u64::from(head.stored);
    if head.records != 0 || head.raw as usize > MAX_INDEX || begin + BLOCK_HEAD as u64 + stored != end {
        return Ok(None);
    }
    let payload = read(bytes, begin + BLOCK_HEAD as u64, stored)?;
    if xxh3_64(&payload) != head.payload_hash {
        return Ok(None);
    }
    let raw = decompressor.decompress(&payload, head.raw as usize).unwrap_or_default();
    Ok(Index::decode(&raw).filter(|index| index.covers() <= begin).map(|index| (begin, index)))
}

fn read(bytes: &mut dyn LogBytes, offset: u64, count: u64) -> io::Result<Vec<u8>> {
    let mut buffer = Vec::new();
    bytes.go_to(offset)?;
    bytes.take(count).read_to_end(&mut buffer)?;
    Ok(buffer)
}
