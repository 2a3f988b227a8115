//! Writing an event log: records gather in a block, a full block goes out in one write.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;

use xxhash_rust::xxh3::xxh3_64;
use zstd::bulk::Compressor;

use super::error::LogError;
use super::format::{
    BLOCK_HEAD, BlockHead, FILE_HEAD, LogHeader, MAGIC, MAJOR, MAX_DOCUMENT, MAX_HEADER, MAX_RECORDS, RecordHead,
    encode_header, encode_record, u16_at, u32_at,
};
use super::index::{BLOCKS_PER_INDEX, Entry, Index, TRAILER, trailer};

/// A block is written when its records have grown to this many bytes, before compression.
pub const BLOCK_TARGET: usize = 256 << 10;
/// The compression level of blocks.
const LEVEL: i32 = 3;

/// When what was written is also put on the disk, so that it outlives the machine and not only the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SyncPolicy {
    /// When the operating system sees fit. A killed process loses the unfinished block; a machine that loses its power
    /// loses what the system had not yet written, usually the last half minute.
    #[default]
    Never,
    /// At each [`LogWriter::flush`] and at the end. In a live run that is about once a second.
    Flush,
    /// After each block.
    Block,
}

impl FromStr for SyncPolicy {
    type Err = String;

    fn from_str(word: &str) -> Result<SyncPolicy, String> {
        match word {
            "never" => Ok(SyncPolicy::Never),
            "flush" => Ok(SyncPolicy::Flush),
            "block" => Ok(SyncPolicy::Block),
            _ => Err("expected `never`, `flush` or `block`".to_owned()),
        }
    }
}

/// Writes one segment of an event log.
///
/// At most [`BLOCK_TARGET`] bytes and one document wait in memory. [`LogWriter::flush`] writes them early;
/// [`LogWriter::finish`] at the end adds the time index and says whether all is written, and dropping the writer only
/// tries to.
///
/// ```
/// use kestrel_engine::klog::{LogHeader, LogItem, LogReader, LogWriter, RecordHead};
///
/// let mut bytes = Vec::new();
/// let mut writer = LogWriter::new(&mut bytes, &LogHeader::default())?;
/// writer.append(&RecordHead { timestamp: 1, ..RecordHead::default() }, b"{}")?;
/// writer.finish()?;
/// let mut reader = LogReader::from_stream(std::io::Cursor::new(bytes))?;
/// assert!(matches!(reader.next_item()?, Some(LogItem::Record(record)) if record.document == b"{}"));
/// # Ok::<(), kestrel_engine::klog::LogError>(())
/// ```
pub struct LogWriter<W: Write> {
    /// `None` once it failed or was finished.
    out: Option<W>,
    compressor: Compressor<'static>,
    raw: Vec<u8>,
    payload: Vec<u8>,
    /// Head and payload together, so that they go out in one write.
    block: Vec<u8>,
    head: BlockHead,
    /// The blocks since the last index.
    index: Index,
    records: u64,
    policy: SyncPolicy,
    /// How what was written is put on the disk, where there is one.
    sync: fn(&W) -> io::Result<()>,
}

impl LogWriter<File> {
    /// Opens the log at `path` for appending, with a segment and a header of its own, and makes it when it is not there,
    /// for its owner alone: events show command lines, and these hold secrets. What a crash left at its end stays there;
    /// readers find the new segment behind it.
    ///
    /// # Errors
    /// When the file exists and is something else, when another process writes to it, or when it cannot be written.
    pub fn append_to(path: &Path, header: &LogHeader) -> Result<LogWriter<File>, LogError> {
        let (mut file, size) = open_alone(path, File::options().read(true).append(true))?;
        if let Some(size @ 1..) = size {
            let mut begin = Vec::new();
            (&file).take(FILE_HEAD as u64).read_to_end(&mut begin)?;
            file.rewind()?;
            match length_of_header(&begin)? {
                Some(length) if length <= size => {}
                // A crash left less than a header, so that no record is lost with it. With more behind it nobody would
                // know what it is.
                _ => file.set_len(0)?,
            }
        }
        LogWriter::new(file, header)
    }

    /// Makes a log at `path`, for its owner alone; a file that is there is replaced, whatever it is.
    ///
    /// # Errors
    /// When another process writes to a log there, or when it cannot be written.
    pub fn create(path: &Path, header: &LogHeader) -> Result<LogWriter<File>, LogError> {
        let (file, size) = open_alone(path, File::options().write(true))?;
        if size.is_some() {
            file.set_len(0)?;
        }
        LogWriter::new(file, header)
    }

    /// Puts what is written on the disk, as often as `policy` says.
    #[must_use]
    pub fn with_sync(mut self, policy: SyncPolicy) -> LogWriter<File> {
        self.policy = policy;
        self.sync = |file| match file.sync_data() {
            // Pipes and devices have nothing to be put on a disk.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            synced => synced,
        };
        self
    }
}

impl<W: Write> LogWriter<W> {
    /// A writer that begins a log with this header.
    ///
    /// # Errors
    /// When `out` does not take the header.
    pub fn new(mut out: W, header: &LogHeader) -> Result<LogWriter<W>, LogError> {
        let bytes = encode_header(header);
        out.write_all(&bytes)?;
        out.flush()?;
        let index = Index { header: u32::try_from(bytes.len()).unwrap_or(u32::MAX), entries: Vec::new() };
        Ok(LogWriter {
            out: Some(out),
            compressor: Compressor::new(LEVEL)?,
            raw: Vec::new(),
            payload: Vec::new(),
            block: Vec::new(),
            head: BlockHead::default(),
            index,
            records: 0,
            policy: SyncPolicy::Never,
            sync: |_| Ok(()),
        })
    }

    /// Adds a record; the bytes of `document` are kept as they are.
    ///
    /// # Errors
    /// When the document is too large, which leaves the log as it is, or when a full block cannot be written: then its
    /// records are lost and every later call fails.
    pub fn append(&mut self, record: &RecordHead, document: &[u8]) -> Result<(), LogError> {
        if self.out.is_none() {
            return Err(LogError::Closed);
        }
        if document.len() > MAX_DOCUMENT {
            return Err(LogError::DocumentTooLarge { length: document.len() });
        }
        if self.head.records == 0 {
            self.head.first = record.timestamp;
            self.head.last = record.timestamp;
            self.head.ordinal = record.ordinal;
        }
        self.head.first = self.head.first.min(record.timestamp);
        self.head.last = self.head.last.max(record.timestamp);
        self.head.records += 1;
        encode_record(record, document, &mut self.raw);
        if self.raw.len() >= BLOCK_TARGET || self.head.records >= MAX_RECORDS {
            self.write_records()?;
        }
        Ok(())
    }

    /// Writes what waits as a block of its own, however small.
    ///
    /// # Errors
    /// When the block cannot be written: then its records are lost and every later call fails.
    pub fn flush(&mut self) -> Result<(), LogError> {
        self.write_records()?;
        self.sync_at(SyncPolicy::Flush)
    }

    /// Writes what waits and the index of what has none yet, and closes the log; how many records were written.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn finish(mut self) -> Result<u64, LogError> {
        self.close()?;
        Ok(self.records)
    }

    /// How many records are in blocks that were written.
    pub fn written(&self) -> u64 {
        self.records
    }

    fn close(&mut self) -> Result<(), LogError> {
        self.write_records()?;
        self.write_index()?;
        self.sync_at(SyncPolicy::Flush)?;
        self.out = None;
        Ok(())
    }

    fn write_records(&mut self) -> Result<(), LogError> {
        if self.out.is_none() {
            return Err(LogError::Closed);
        }
        if self.head.records == 0 {
            return Ok(());
        }
        let head = std::mem::take(&mut self.head);
        let written = self.compress(head, false).and_then(|head| self.write_block().map(|()| head));
        self.raw.clear();
        let head = written.inspect_err(|_| self.out = None)?;
        self.records += u64::from(head.records);
        self.index.entries.push(Entry::of(&head));
        if self.index.entries.len() >= BLOCKS_PER_INDEX {
            self.write_index()?;
        }
        self.sync_at(SyncPolicy::Block)
    }

    fn write_index(&mut self) -> Result<(), LogError> {
        let index = std::mem::take(&mut self.index);
        let head = BlockHead {
            first: index.entries.iter().map(|entry| entry.first).min().unwrap_or_default(),
            last: index.entries.iter().map(|entry| entry.last).max().unwrap_or_default(),
            ..BlockHead::default()
        };
        self.raw = index.encode();
        let written = self.compress(head, true).and_then(|_| self.write_block());
        self.raw.clear();
        written
    }

    /// Makes a block of the raw bytes; its head with the sizes.
    fn compress(&mut self, mut head: BlockHead, is_index: bool) -> Result<BlockHead, LogError> {
        self.payload.clear();
        self.payload.reserve(zstd::zstd_safe::compress_bound(self.raw.len()) + TRAILER);
        self.compressor.compress_to_buffer(&self.raw, &mut self.payload)?;
        if is_index {
            let size = BLOCK_HEAD + self.payload.len() + TRAILER;
            self.payload.extend_from_slice(&trailer(u32::try_from(size).unwrap_or(u32::MAX)));
        }
        head.raw = u32::try_from(self.raw.len()).unwrap_or(u32::MAX);
        head.stored = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        head.payload_hash = xxh3_64(&self.payload);
        self.block.clear();
        self.block.extend_from_slice(&head.encode());
        self.block.extend_from_slice(&self.payload);
        Ok(head)
    }

    fn write_block(&mut self) -> Result<(), LogError> {
        let block = std::mem::take(&mut self.block);
        // One write, so that a crash seldom leaves half a block.
        let written = self.with_out(|out| {
            out.write_all(&block)?;
            out.flush()
        });
        self.block = block;
        written
    }

    fn sync_at(&mut self, policy: SyncPolicy) -> Result<(), LogError> {
        let wanted = match self.policy {
            SyncPolicy::Never => false,
            SyncPolicy::Flush => policy == SyncPolicy::Flush,
            SyncPolicy::Block => true,
        };
        let sync = self.sync;
        if wanted { self.with_out(|out| sync(out)) } else { Ok(()) }
    }

    /// Has `act` write. The log is closed when that fails: behind half a block nothing more is to come.
    fn with_out(&mut self, act: impl FnOnce(&mut W) -> io::Result<()>) -> Result<(), LogError> {
        let Some(out) = self.out.as_mut() else { return Err(LogError::Closed) };
        act(out).map_err(|error| {
            self.out = None;
            LogError::Io(error)
        })
    }
}

/// Opens a file that no other process writes a log to, and says how large it is; pipes and devices have no size.
fn open_alone(path: &Path, options: &mut OpenOptions) -> Result<(File, Option<u64>), LogError> {
    let file = options.create(true).mode(0o600).open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Ok((file, None));
    }
    match file.try_lock() {
        // Some file systems have no locks; that is no reason not to record there.
        Ok(()) | Err(TryLockError::Error(_)) => Ok((file, Some(about.len()))),
        Err(TryLockError::WouldBlock) => Err(LogError::Locked),
    }
}

/// How long the file header is that begins with these bytes; `None` when they are too few to tell.
fn length_of_header(begin: &[u8]) -> Result<Option<u64>, LogError> {
    if !MAGIC.starts_with(begin.get(..MAGIC.len()).unwrap_or(begin)) {
        return Err(LogError::Magic);
    }
    let (Some(major), Some(minor), Some(length)) = (u16_at(begin, 8), u16_at(begin, 10), u32_at(begin, 12)) else {
        return Ok(None);
    };
    if major != MAJOR {
        return Err(LogError::Version { major, minor });
    }
    // A length that cannot be is damage, which readers know to pass over.
    let json = if length > MAX_HEADER { 0 } else { length };
    Ok(Some(FILE_HEAD as u64 + u64::from(json)))
}

impl<W: Write> Drop for LogWriter<W> {
    fn drop(&mut self) {
        if self.out.is_some() {
            // Nobody is left to be told; whoever wants to know calls `finish`.
            let _ = self.close();
        }
    }
}
