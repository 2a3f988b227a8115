//! From block to block: which comes next, what to do with one that is not as it should be, and where to go on behind it.

use std::io::Read;

use xxhash_rust::xxh3::xxh3_64;

use super::super::error::LogError;
use super::super::format::{
    BLOCK_HEAD, BLOCK_MAGIC, BlockHead, FILE_HEAD, LogHeader, MAGIC, MAJOR, MAX_HEADER, header_hash, u16_at, u32_at,
    u64_at,
};
use super::super::index::{Entry, INDEX_MAGIC, Index};
use super::plan::Plan;
use super::{Damage, LogReader, Planned, Stretch};

impl LogReader {
    /// Reads up to the next block that is wanted, or notes damage, or the end.
    pub(super) fn advance(&mut self) -> Result<(), LogError> {
        self.follow_plan()?;
        self.fill_window(BLOCK_HEAD)?;
        if self.window().is_empty() {
            self.ended = true;
            if self.following && self.bytes.length()?.is_some_and(|length| length < self.offset) {
                return Err(LogError::Shorter);
            }
            return Ok(());
        }
        if self.window().starts_with(&MAGIC) {
            if self.following && !self.header_is_there()? {
                return self.wait_at(self.offset);
            }
            if let Err(damage) = self.segment()? {
                self.pending = Some(damage);
            }
            return Ok(());
        }
        if let Some(head) = self.block_head() {
            return self.block(&head);
        }
        let begun = |magic: &[u8]| self.window().iter().zip(magic).all(|(byte, expected)| byte == expected);
        if self.following && self.window().len() < BLOCK_HEAD && (begun(&BLOCK_MAGIC) || begun(&MAGIC)) {
            return self.wait_at(self.offset);
        }
        self.pending = Some(self.search()?);
        Ok(())
    }

    /// Goes over blocks that an index says are not wanted. Where it leads to no block, the index is wrong and forgotten.
    fn follow_plan(&mut self) -> Result<(), LogError> {
        if matches!(self.plan, Planned::Unread) {
            self.plan = Planned::None;
            if let Some(length) = self.bytes.length()? {
                self.plan = Planned::There(Plan::read(&mut *self.bytes, length, self.range)?);
                self.go_to(self.offset)?;
            }
        }
        let Planned::There(plan) = &mut self.plan else { return Ok(()) };
        let Some(jump) = plan.jump(self.offset) else { return Ok(()) };
        let here = self.offset;
        self.go_to(jump.to)?;
        self.fill_window(BLOCK_HEAD)?;
        if jump.to_block && self.block_head().is_none() {
            self.plan = Planned::None;
            return self.go_to(here);
        }
        self.stretch.whole = false;
        self.counters.skipped_blocks += jump.blocks;
        self.numbered += jump.records;
        Ok(())
    }

    fn block_head(&self) -> Option<BlockHead> {
        let bytes: &[u8; BLOCK_HEAD] = self.window().get(..BLOCK_HEAD)?.try_into().ok()?;
        BlockHead::decode(bytes)
    }

    /// Whether all of the file header in the window was written, as far as its length can be believed.
    fn header_is_there(&mut self) -> Result<bool, LogError> {
        self.fill_window(FILE_HEAD)?;
        let Some(length) = u32_at(self.window(), 12) else { return Ok(false) };
        let end = FILE_HEAD + length.min(MAX_HEADER) as usize;
        self.fill_window(end)?;
        Ok(self.window().len() >= end)
    }

    /// Reads the file header that begins in the window. Behind a damaged one it goes on to the next block.
    pub(super) fn segment(&mut self) -> Result<Result<LogHeader, Damage>, LogError> {
        self.fill_window(FILE_HEAD)?;
        let (major, length) = (u16_at(self.window(), 8), u32_at(self.window(), 12).unwrap_or(u32::MAX));
        let why = if major.is_some_and(|major| major != MAJOR) {
            "a part of the log has another format version"
        } else if length > MAX_HEADER {
            "the log's header is damaged"
        } else {
            let end = FILE_HEAD + length as usize;
            self.fill_window(end)?;
            let sound = |json: &[u8]| Some(header_hash(self.window(), json)) == u64_at(self.window(), 16);
            let json = self.window().get(FILE_HEAD..end).filter(|json| sound(json));
            if let Some(header) = json.and_then(|json| serde_json::from_slice::<LogHeader>(json).ok()) {
                self.consume(end);
                self.counters.segments += 1;
                self.stretch = Stretch::new(end);
                return Ok(Ok(header));
            }
            "the log's header is damaged or cut short"
        };
        let damage = self.search()?;
        Ok(Err(Damage { message: format!("{why}: {}", damage.message), ..damage }))
    }

    /// Reads or passes over the block whose head is in the window.
    fn block(&mut self, head: &BlockHead) -> Result<(), LogError> {
        let begin = self.offset;
        let wanted = head.records == 0 || self.range.meets(head.first, head.last);
        if !wanted && self.pass_over(head)? {
            return Ok(());
        }
        self.consume(BLOCK_HEAD);
        let stored = head.stored as usize;
        let buffered = self.window().len().min(stored);
        self.payload.clear();
        self.payload.extend_from_slice(self.window.get(self.used..self.used + buffered).unwrap_or_default());
        self.consume(buffered);
        let rest = (stored - buffered) as u64;
        self.offset += self.bytes.by_ref().take(rest).read_to_end(&mut self.payload)? as u64;
        if self.payload.len() < stored || xxh3_64(&self.payload) != head.payload_hash {
            return self.broken_block(begin, head);
        }
        if !wanted {
            self.count_passed_over(head);
            return Ok(());
        }
        self.raw.clear();
        self.raw.reserve(head.raw as usize);
        let sound = self
            .decompressor
            .decompress_to_buffer(&self.payload, &mut self.raw)
            .is_ok_and(|length| length == head.raw as usize);
        if !sound {
            self.lose_block(begin, head, format!("a block of {} records is damaged and passed over", head.records));
            return Ok(());
        }
        if head.records == 0 {
            self.index(begin);
            return Ok(());
        }
        self.next = 0;
        self.left = head.records;
        self.stretch.entries.update(&Entry::of(head).encode());
        self.counters.blocks += 1;
        self.counters.raw_bytes += u64::from(head.raw);
        let (first, last) = self.counters.times.unwrap_or((head.first, head.last));
        self.counters.times = Some((first.min(head.first), last.max(head.last)));
        Ok(())
    }

    /// Goes over a block without reading it; `false` when that is not possible, or when what comes behind it is no
    /// beginning, so that the block may not have been written to its end.
    fn pass_over(&mut self, head: &BlockHead) -> Result<bool, LogError> {
        let begin = self.offset;
        let end = begin + Entry::of(head).size();
        if self.bytes.length()?.is_none_or(|length| length < end) {
            return Ok(false);
        }
        self.go_to(end)?;
        self.fill_window(BLOCK_HEAD)?;
        if self.window().is_empty() || self.window().starts_with(&MAGIC) || self.block_head().is_some() {
            self.count_passed_over(head);
            return Ok(true);
        }
        self.go_to(begin)?;
        self.fill_window(BLOCK_HEAD)?;
        Ok(false)
    }

    fn count_passed_over(&mut self, head: &BlockHead) {
        self.stretch.entries.update(&Entry::of(head).encode());
        self.counters.skipped_blocks += 1;
        self.numbered += u64::from(head.records);
    }

    /// Tells a block whose payload is not what its head says, and finds where to go on.
    fn broken_block(&mut self, begin: u64, head: &BlockHead) -> Result<(), LogError> {
        let read = self.payload.len() as u64;
        let torn = read < u64::from(head.stored);
        // A process that was killed in the middle of a block leaves a head that claims what another one wrote behind it.
        if self.put_back + read <= 2 * self.offset {
            self.put_back += read;
            self.payload.extend_from_slice(self.window.get(self.used..).unwrap_or_default());
            std::mem::swap(&mut self.payload, &mut self.window);
            (self.used, self.offset) = (0, self.offset - read);
            let end = if torn { u64::MAX } else { self.offset + read };
            if self.find(end)? {
                let message = format!(
                    "a block of {} records was not written to its end, and they are lost; reading goes on at byte {}",
                    head.records, self.offset
                );
                self.lose_block(begin, head, message);
                return Ok(());
            }
        }
        if !torn {
            let message = match head.records {
                0 => "the time index is damaged, which costs no record".to_owned(),
                records => format!("a block of {records} records is damaged and passed over"),
            };
            self.lose_block(begin, head, message);
        } else if self.following {
            self.put_back -= read.min(self.put_back);
            return self.wait_at(begin);
        } else {
            self.ended = true;
            let message = match head.records {
                0 => "the log ends inside its time index; all records were read".to_owned(),
                records => {
                    format!("the log ends inside a block of {records} records, which are lost; all before it was read")
                }
            };
            self.lose_block(begin, head, message);
        }
        Ok(())
    }

    fn lose_block(&mut self, begin: u64, head: &BlockHead, message: String) {
        self.stretch.whole = false;
        self.counters.lost_records += u64::from(head.records);
        self.pending = Some(Damage { offset: begin, message });
    }

    /// Compares the index that was read with the blocks before it. What else has no records is of a later version.
    fn index(&mut self, begin: u64) {
        if !self.raw.starts_with(&INDEX_MAGIC) {
            return;
        }
        self.counters.indexes += 1;
        let index = Index::decode(&self.raw);
        if index.is_none_or(|index| self.stretch.contradicts(&index)) {
            let message = "the time index names other blocks than those before it; no record is lost".to_owned();
            self.pending = Some(Damage { offset: begin, message });
        }
        self.stretch = Stretch::new(0);
    }

    /// Looks for the next block or file header, from a place where there is none.
    fn search(&mut self) -> Result<Damage, LogError> {
        let begin = self.offset;
        self.stretch.whole = false;
        self.consume(1);
        let found = self.find(u64::MAX)?;
        let length = self.offset - begin;
        let message = match found {
            true => format!("{length} bytes are no block and passed over"),
            false => format!("the log ends in {length} bytes that are no whole block; all before them was read"),
        };
        Ok(Damage { offset: begin, message })
    }

    /// Goes to the next block or file header before `end`, else to `end` or the end of the log; whether there is one.
    fn find(&mut self, end: u64) -> Result<bool, LogError> {
        loop {
            // What cannot be a beginning is left behind in one go.
            let next = self.window().iter().position(|byte| *byte == BLOCK_MAGIC[0] || *byte == MAGIC[0]);
            let left = usize::try_from(end - self.offset).unwrap_or(usize::MAX);
            self.consume(next.unwrap_or(self.window().len()).min(left));
            if self.offset >= end {
                return Ok(false);
            }
            self.fill_window(BLOCK_HEAD)?;
            if self.window().is_empty() {
                return Ok(false);
            }
            if self.block_head().is_some() || self.window().starts_with(&MAGIC) {
                return Ok(true);
            }
            self.consume(1);
        }
    }

    /// The end so far, because what begins at `begin` is not all there yet.
    fn wait_at(&mut self, begin: u64) -> Result<(), LogError> {
        self.ended = true;
        self.go_to(begin)
    }
}
