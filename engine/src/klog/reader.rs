//! Reading an event log: whole blocks become records, everything else becomes a [`Damage`] in words.
//!
//! INVARIANT: whatever the bytes are, reading ends, never panics, and holds at most one block in memory. Behind damage
//! the reader looks for the next head whose own checksum is right, byte by byte.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;
use zstd::bulk::Decompressor;

use super::error::LogError;
use super::format::{
    BLOCK_HEAD, BLOCK_MAGIC, BlockHead, FILE_HEAD, LogHeader, MAGIC, MAJOR, MAX_HEADER, RecordHead, decode_record,
    header_hash, u16_at, u32_at, u64_at,
};

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
    /// Blocks that were whole.
    pub blocks: u64,
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
    range: TimeRange,
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
    /// Bytes of a head that was looked at, the first `used` of them done with.
    window: Vec<u8>,
    used: usize,
    pending: Option<Damage>,
    ended: bool,
    counters: LogCounters,
}

/// A stream of bytes in which one can go forward.
pub(crate) trait LogBytes: Read + Send {
    /// Goes `count` bytes forward without reading them; `false` when the stream ends before that.
    fn skip(&mut self, count: u64) -> io::Result<bool>;
}

impl LogBytes for BufReader<File> {
    fn skip(&mut self, count: u64) -> io::Result<bool> {
        let Some(before_last) = count.checked_sub(1) else { return Ok(true) };
        self.seek_relative(i64::try_from(before_last).unwrap_or(i64::MAX))?;
        // Seeking past the end succeeds; reading there tells.
        Ok(self.read(&mut [0])? == 1)
    }
}

/// A stream without seeking.
pub(crate) struct Streamed<R>(pub(crate) R);

impl<R: Read> Read for Streamed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read + Send> LogBytes for Streamed<R> {
    fn skip(&mut self, count: u64) -> io::Result<bool> {
        Ok(io::copy(&mut self.0.by_ref().take(count), &mut io::sink())? == count)
    }
}

impl LogReader {
    /// Opens the log at `path`.
    ///
    /// # Errors
    /// When it cannot be opened, is no event log, or has another major version.
    pub fn open(path: &Path) -> Result<LogReader, LogError> {
        let file = File::open(path)?;
        let seekable = file.metadata()?.is_file();
        let buffered = BufReader::with_capacity(128 << 10, file);
        LogReader::start(if seekable { Box::new(buffered) } else { Box::new(Streamed(buffered)) })
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
            range: TimeRange::default(),
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
            pending: None,
            ended: false,
            counters: LogCounters::default(),
        };
        reader.fill_window(FILE_HEAD)?;
        let begin = reader.window();
        if begin.is_empty() || !MAGIC.starts_with(begin.get(..MAGIC.len()).unwrap_or(begin)) {
            return Err(LogError::Magic);
        }
        if let (Some(major), Some(minor)) = (u16_at(begin, 8), u16_at(begin, 10))
            && major != MAJOR
        {
            return Err(LogError::Version { major, minor });
        }
        match reader.segment()? {
            Ok(header) => reader.header = header,
            Err(damage) => reader.pending = Some(damage),
        }
        Ok(reader)
    }

    /// Reads only records of these times. Blocks of other times are passed over unread.
    #[must_use]
    pub fn with_range(mut self, range: TimeRange) -> LogReader {
        self.range = range;
        self
    }

    /// The header of the log's first segment; empty when it is damaged.
    pub fn header(&self) -> &LogHeader {
        &self.header
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
                if (self.range.from..=self.range.to).contains(&head.timestamp) {
                    return Ok(Some(LogStep::Record(self.numbered, head)));
                }
                continue;
            }
            if self.ended {
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
        self.fill_window(BLOCK_HEAD)?;
        if self.window().is_empty() {
            self.ended = true;
            return Ok(());
        }
        if self.window().starts_with(&MAGIC) {
            if let Err(damage) = self.segment()? {
                self.pending = Some(damage);
            }
            return Ok(());
        }
        match self.block_head() {
            Some(head) => self.block(&head),
            None => {
                self.pending = Some(self.search()?);
                Ok(())
            }
        }
    }

    fn block_head(&self) -> Option<BlockHead> {
        let bytes: &[u8; BLOCK_HEAD] = self.window().get(..BLOCK_HEAD)?.try_into().ok()?;
        BlockHead::decode(bytes)
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
                return Ok(Ok(header));
            }
            "the log's header is damaged or cut short"
        };
        let damage = self.search()?;
        Ok(Err(Damage { message: format!("{why}: {}", damage.message), ..damage }))
    }

    /// Reads or skips the block whose head is in the window.
    fn block(&mut self, head: &BlockHead) -> Result<(), LogError> {
        let begin = self.offset;
        self.consume(BLOCK_HEAD);
        let stored = u64::from(head.stored);
        let torn = |reader: &mut LogReader| {
            reader.counters.lost_records += u64::from(head.records);
            reader.ended = true;
            let message = format!(
                "the log ends inside a block of {} records, which are lost; all before it was read",
                head.records
            );
            reader.pending = Some(Damage { offset: begin, message });
        };
        if head.last < self.range.from || head.first > self.range.to {
            let buffered = self.window().len().min(head.stored as usize);
            self.consume(buffered);
            let rest = stored - buffered as u64;
            if self.bytes.skip(rest)? {
                self.offset += rest;
                self.counters.skipped_blocks += 1;
                self.numbered += u64::from(head.records);
            } else {
                torn(self);
            }
            return Ok(());
        }
        self.payload.clear();
        let buffered = self.window().len().min(head.stored as usize);
        self.payload.extend_from_slice(self.window.get(self.used..self.used + buffered).unwrap_or_default());
        self.consume(buffered);
        let rest = stored - buffered as u64;
        self.offset += self.bytes.by_ref().take(rest).read_to_end(&mut self.payload)? as u64;
        if (self.payload.len() as u64) < stored {
            torn(self);
            return Ok(());
        }
        self.raw.clear();
        self.raw.reserve(head.raw as usize);
        let sound = xxh3_64(&self.payload) == head.payload_hash
            && self
                .decompressor
                .decompress_to_buffer(&self.payload, &mut self.raw)
                .is_ok_and(|length| length == head.raw as usize);
        if !sound {
            self.counters.lost_records += u64::from(head.records);
            let message = format!("a block of {} records is damaged and passed over", head.records);
            self.pending = Some(Damage { offset: begin, message });
            return Ok(());
        }
        self.next = 0;
        self.left = head.records;
        self.counters.blocks += 1;
        self.counters.raw_bytes += u64::from(head.raw);
        let (first, last) = self.counters.times.unwrap_or((head.first, head.last));
        self.counters.times = Some((first.min(head.first), last.max(head.last)));
        Ok(())
    }

    /// Looks for the next block or file header, from a place where there is none.
    fn search(&mut self) -> Result<Damage, LogError> {
        let begin = self.offset;
        loop {
            self.consume(1);
            // What cannot be a beginning is left behind in one go.
            let next = self.window().iter().position(|byte| *byte == BLOCK_MAGIC[0] || *byte == MAGIC[0]);
            self.consume(next.unwrap_or(self.window().len()));
            self.fill_window(BLOCK_HEAD)?;
            let found = self.block_head().is_some() || self.window().starts_with(&MAGIC);
            if !found && !self.window().is_empty() {
                continue;
            }
            let length = self.offset - begin;
            let message = match found {
                true => format!("{length} bytes are no block and passed over"),
                false => format!("the log ends in {length} bytes that are no whole block; all before them was read"),
            };
            return Ok(Damage { offset: begin, message });
        }
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
