//! Reading an event log: whole blocks become records, everything else becomes a [`Damage`] in words.
//!
//! INVARIANT: whatever the bytes are, reading ends, never panics, and holds at most two blocks in memory. Behind damage
//! the reader looks for the next head whose own checksum is right, byte by byte, also inside what a block that was not
//! written to its end claims as its own. No byte is read more than three times for that.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::ops::Range;
use std::path::Path;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};
use zstd::bulk::Decompressor;

use super::error::LogError;
use super::format::{
    BLOCK_HEAD, BLOCK_MAGIC, BlockHead, FILE_HEAD, LogHeader, MAGIC, MAJOR, MAX_HEADER, RecordHead, decode_record,
    header_hash, u16_at, u32_at, u64_at,
};
use super::index::{Entry, INDEX_MAGIC, Index};

mod bytes;
mod plan;

pub(crate) use bytes::{LogBytes, Seekable, Streamed};
use plan::Plan;

/// A record of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'r> {
    /// Its number in what was read, from 1.
    pub number: u64,
    /// Time, order and doubts.
    pub head: RecordHead,
    /// The ECS document, JSON.
    pub document: &'r [u8],
}

/// A part of a log that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where it begins, in bytes from the start of the log.
    pub offset: u64,
    /// What is wrong, and what that costs.
    pub message: String,
}

/// What comes next in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogItem<'r> {
    /// A record.
    Record(Record<'r>),
    /// A part that could not be read. Reading goes on behind it as far as there is anything.
    Damaged(Damage),
}

/// A [`LogItem`] without its document.
pub(crate) enum LogStep {
    Record(u64, RecordHead),
    Damaged(Damage),
}

/// The times to read, both inclusive; nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// The first.
    pub from: i64,
    /// The last.
    pub to: i64,
}

impl TimeRange {
    /// Whether a time is in it.
    pub fn contains(self, time: i64) -> bool {
        self.from <= time && time <= self.to
    }

    /// Whether any of the times from `first` to `last` may be in it.
    pub fn meets(self, first: i64, last: i64) -> bool {
        first <= self.to && self.from <= last
    }

    /// Whether it is all of time.
    pub fn is_all(self) -> bool {
        self == TimeRange::default()
    }
}

impl Default for TimeRange {
    /// All of time.
    fn default() -> Self {
        TimeRange { from: i64::MIN, to: i64::MAX }
    }
}

/// What was read so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogCounters {
    /// File headers, the first one included.
    pub segments: u64,
    /// Blocks of records that were whole.
    pub blocks: u64,
    /// Time indexes that were whole.
    pub indexes: u64,
    /// Blocks that lie outside the time range, so that nobody looked into them.
    pub skipped_blocks: u64,
    /// Records of the whole blocks.
    pub records: u64,
    /// Records of damaged blocks, where that is known.
    pub lost_records: u64,
    /// Damaged places.
    pub damages: u64,
    /// Bytes of documents and record heads, before compression.
    pub raw_bytes: u64,
    /// Bytes of the log.
    pub log_bytes: u64,
    /// The earliest and the latest time of the whole blocks.
    pub times: Option<(i64, i64)>,
}

/// Reads an event log from its beginning.
pub struct LogReader {
    bytes: Box<dyn LogBytes>,
    header: LogHeader,
    version: (u16, u16),
    range: TimeRange,
    plan: Planned,
    decompressor: Decompressor<'static>,
    payload: Vec<u8>,
    raw: Vec<u8>,
    /// Where in `raw` the next record begins, and how many are left.
    next: usize,
    left: u32,
    /// Where in `raw` the current record's document is.
    current: Range<usize>,
    numbered: u64,
    offset: u64,
    /// Bytes that were read and not used, the first `used` of them done with.
    window: Vec<u8>,
    used: usize,
    /// How many bytes were put back to be looked at again.
    put_back: u64,
    stretch: Stretch,
    following: bool,
    pending: Option<Damage>,
    ended: bool,
    counters: LogCounters,
}

/// What the time indexes said about the range.
enum Planned {
    /// Nobody asked yet.
    Unread,
    There(Plan),
    /// There is no range, no index, or one that is wrong.
    None,
}

/// The blocks since the last index or file header, for comparison with the next index.
struct Stretch {
    /// Whether all of them were seen.
    whole: bool,
    header: u32,
    entries: Xxh3,
}

impl Stretch {
    fn new(header: usize) -> Stretch {
        Stretch { whole: true, header: u32::try_from(header).unwrap_or(u32::MAX), entries: Xxh3::new() }
    }

    /// Whether the index names other blocks than were seen.
    fn contradicts(&self, index: &Index) -> bool {
        let mut entries = Xxh3::new();
        index.entries.iter().for_each(|entry| entries.update(&entry.encode()));
        self.whole && (self.header != index.header || self.entries.digest() != entries.digest())
    }
}

impl LogReader {
    /// Opens the log at `path`.
    ///
    /// # Errors
    /// When it cannot be opened, is no event log, or has another major version.
    pub fn open(path: &Path) -> Result<LogReader, LogError> {
        let file = File::open(path)?;
        if file.metadata()?.is_file() {
            return LogReader::from_seekable(file);
        }
        LogReader::from_stream(BufReader::with_capacity(128 << 10, file))
    }

    /// Reads a log from something like a file, where a range of times can be found without reading the rest.
    ///
    /// # Errors
    /// As [`LogReader::open`].
    pub fn from_seekable(file: impl Read + Seek + Send + 'static) -> Result<LogReader, LogError> {
        LogReader::start(Box::new(Seekable::new(file)?))
    }

    /// Reads a log from a stream.
    ///
    /// # Errors
    /// As [`LogReader::open`].
    pub fn from_stream(stream: impl BufRead + Send + 'static) -> Result<LogReader, LogError> {
        LogReader::start(Box::new(Streamed(stream)))
    }

    pub(crate) fn start(bytes: Box<dyn LogBytes>) -> Result<LogReader, LogError> {
        let mut reader = LogReader {
            bytes,
            header: LogHeader::default(),
            version: (MAJOR, 0),
            range: TimeRange::default(),
            plan: Planned::None,
            decompressor: Decompressor::new()?,
            payload: Vec::new(),
            raw: Vec::new(),
            next: 0,
            left: 0,
            current: 0..0,
            numbered: 0,
            offset: 0,
            window: Vec::new(),
            used: 0,
            put_back: 0,
            stretch: Stretch::new(0),
            following: false,
            pending: None,
            ended: false,
            counters: LogCounters::default(),
        };
        reader.fill_window(FILE_HEAD)?;
        let begin = reader.window();
        if begin.is_empty() || !MAGIC.starts_with(begin.get(..MAGIC.len()).unwrap_or(begin)) {
            return Err(LogError::Magic);
        }
        if let (Some(major), Some(minor)) = (u16_at(begin, 8), u16_at(begin, 10)) {
            if major != MAJOR {
                return Err(LogError::Version { major, minor });
            }
            reader.version = (major, minor);
        }
        match reader.segment()? {
            Ok(header) => reader.header = header,
            Err(damage) => reader.pending = Some(damage),
        }
        Ok(reader)
    }

    /// Reads only records of these times. In a file, blocks of other times are passed over unread.
    #[must_use]
    pub fn with_range(mut self, range: TimeRange) -> LogReader {
        self.range = range;
        self.plan = if range.is_all() { Planned::None } else { Planned::Unread };
        self
    }

    /// Takes the end of a file for the end so far: what is not whole there is not yet told as damage, and after the end
    /// one may ask for the next item again, which may have been written by then. A stream ends as ever.
    ///
    /// # Errors
    /// When the operating system fails to read.
    pub fn following(mut self) -> Result<LogReader, LogError> {
        self.following = self.bytes.length()?.is_some();
        Ok(self)
    }

    /// The header of the log's first segment; empty when it is damaged.
    pub fn header(&self) -> &LogHeader {
        &self.header
    }

    /// The format version of the log's first segment: major and minor.
    pub fn version(&self) -> (u16, u16) {
        self.version
    }

    /// What was read so far.
    pub fn counters(&self) -> LogCounters {
        LogCounters { log_bytes: self.offset, ..self.counters }
    }

    /// The next record or damage; `None` at the end.
    ///
    /// # Errors
    /// When the operating system fails to read.
    pub fn next_item(&mut self) -> Result<Option<LogItem<'_>>, LogError> {
        Ok(self.step()?.map(|step| match step {
            LogStep::Record(number, head) => LogItem::Record(Record { number, head, document: self.document() }),
            LogStep::Damaged(damage) => LogItem::Damaged(damage),
        }))
    }

    /// Goes on to the next record or damage; [`LogReader::document`] then has the record's document.
    pub(crate) fn step(&mut self) -> Result<Option<LogStep>, LogError> {
        loop {
            if let Some(damage) = self.pending.take() {
                self.counters.damages += 1;
                return Ok(Some(LogStep::Damaged(damage)));
            }
            if self.left > 0 {
                let Some((head, document, end)) = decode_record(&self.raw, self.next) else {
                    self.lose_rest_of_block();
                    continue;
                };
                self.current = end - document.len()..end;
                self.next = end;
                self.left -= 1;
                self.counters.records += 1;
                self.numbered += 1;
                if self.range.contains(head.timestamp) {
                    return Ok(Some(LogStep::Record(self.numbered, head)));
                }
                continue;
            }
            if self.ended {
                self.ended = !self.following;
                return Ok(None);
            }
            self.advance()?;
        }
    }

    /// The document of the record that the last step was.
    pub(crate) fn document(&self) -> &[u8] {
        self.raw.get(self.current.clone()).unwrap_or_default()
    }

    /// A block whose checksum is right and whose records are not: written by something else than this code.
    fn lose_rest_of_block(&mut self) {
        let left = std::mem::take(&mut self.left);
        self.counters.lost_records += u64::from(left);
        let message = format!("the last {left} records of the block before this place do not add up and are lost");
        self.pending = Some(Damage { offset: self.offset, message });
    }

    /// Reads up to the next block that is wanted, or notes damage, or the end.
    fn advance(&mut self) -> Result<(), LogError> {
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
    fn segment(&mut self) -> Result<Result<LogHeader, Damage>, LogError> {
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

    /// Goes to another place of a log that has places.
    fn go_to(&mut self, offset: u64) -> Result<(), LogError> {
        self.bytes.go_to(offset)?;
        self.window.clear();
        (self.used, self.offset) = (0, offset);
        Ok(())
    }

    /// The bytes that were read and not yet used.
    fn window(&self) -> &[u8] {
        self.window.get(self.used..).unwrap_or_default()
    }

    /// Reads until the window holds `length` bytes or the log ends.
    fn fill_window(&mut self, length: usize) -> Result<(), LogError> {
        let missing = length.saturating_sub(self.window().len()) as u64;
        if missing > 0 {
            self.bytes.by_ref().take(missing).read_to_end(&mut self.window)?;
        }
        Ok(())
    }

    fn consume(&mut self, count: usize) {
        let count = count.min(self.window().len());
        self.used += count;
        self.offset += count as u64;
        // Moving the rest to the front is paid for by the bytes that were used.
        if self.used * 2 >= self.window.len() {
            self.window.drain(..self.used);
            self.used = 0;
        }
    }
}
