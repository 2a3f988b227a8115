//! Reading an event log: whole blocks become records, everything else becomes a [`Damage`] in words.
//!
//! INVARIANT: whatever the bytes are, reading ends, never panics, and holds at most two blocks in memory. Behind damage
//! the reader looks for the next head whose own checksum is right, byte by byte, also inside what a block that was not
//! written to its end claims as its own. No byte is read more than three times for that.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::ops::Range;
use std::path::Path;

use xxhash_rust::xxh3::Xxh3;
use zstd::bulk::Decompressor;

use super::error::LogError;
use super::format::{FILE_HEAD, LogHeader, MAGIC, MAJOR, RecordHead, decode_record, u16_at};
use super::index::Index;

mod bytes;
mod plan;
mod walk;

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
