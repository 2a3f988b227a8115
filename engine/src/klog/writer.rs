//! Writing an event log: records gather in a block, a full block goes out in one write.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;
use zstd::bulk::Compressor;

use super::error::LogError;
use super::format::{BlockHead, LogHeader, MAGIC, MAX_DOCUMENT, MAX_RECORDS, RecordHead, encode_header, encode_record};

/// A block is written when its records have grown to this many bytes, before compression.
pub const BLOCK_TARGET: usize = 256 << 10;
/// The compression level of blocks.
const LEVEL: i32 = 3;

/// Writes one segment of an event log.
///
/// At most [`BLOCK_TARGET`] bytes and one document wait in memory. [`LogWriter::flush`] writes them early;
/// [`LogWriter::finish`] at the end says whether all is written, and dropping the writer only tries to.
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
    head: BlockHead,
    records: u64,
}

impl LogWriter<File> {
    /// Opens the log at `path` for appending, with a segment and a header of its own, and makes it when it is not there,
    /// for its owner alone: events show command lines, and these hold secrets.
    ///
    /// # Errors
    /// When the file exists and is something else, when another process holds it, or when it cannot be written.
    pub fn append_to(path: &Path, header: &LogHeader) -> Result<LogWriter<File>, LogError> {
        let mut file = File::options().read(true).append(true).create(true).mode(0o600).open(path)?;
        let about = file.metadata()?;
        if about.is_file() {
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(LogError::Locked),
                // Some file systems have no locks; that is no reason not to record there.
                Err(TryLockError::Error(_)) => {}
            }
            if about.len() > 0 {
                let mut magic = Vec::new();
                (&file).take(MAGIC.len() as u64).read_to_end(&mut magic)?;
                if !MAGIC.starts_with(&magic) {
                    return Err(LogError::Magic);
                }
                file.rewind()?;
            }
        }
        LogWriter::new(file, header)
    }
}

impl<W: Write> LogWriter<W> {
    /// A writer that begins a log with this header.
    ///
    /// # Errors
    /// When `out` does not take the header.
    pub fn new(mut out: W, header: &LogHeader) -> Result<LogWriter<W>, LogError> {
        out.write_all(&encode_header(header))?;
        out.flush()?;
        let compressor = Compressor::new(LEVEL)?;
        Ok(LogWriter { out: Some(out), compressor, raw: Vec::new(), head: BlockHead::default(), records: 0 })
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
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what waits as a block of its own, however small.
    ///
    /// # Errors
    /// When the block cannot be written: then its records are lost and every later call fails.
    pub fn flush(&mut self) -> Result<(), LogError> {
        let Some(out) = self.out.as_mut() else { return Err(LogError::Closed) };
        if self.head.records == 0 {
            return Ok(());
        }
        let written = write_block(out, &mut self.compressor, &mut self.head, &self.raw);
        match &written {
            Ok(()) => self.records += u64::from(self.head.records),
            Err(_) => self.out = None,
        }
        self.raw.clear();
        self.head = BlockHead::default();
        written
    }

    /// Writes what waits and closes the log; how many records were written.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn finish(mut self) -> Result<u64, LogError> {
        self.flush()?;
        self.out = None;
        Ok(self.records)
    }

    /// How many records are in blocks that were written.
    pub fn written(&self) -> u64 {
        self.records
    }
}

impl<W: Write> Drop for LogWriter<W> {
    fn drop(&mut self) {
        // Nobody is left to be told; whoever wants to know calls `finish`.
        let _ = self.flush();
    }
}

fn write_block(
    out: &mut impl Write,
    compressor: &mut Compressor<'static>,
    head: &mut BlockHead,
    raw: &[u8],
) -> Result<(), LogError> {
    let payload = compressor.compress(raw)?;
    head.raw = u32::try_from(raw.len()).unwrap_or(u32::MAX);
    head.stored = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    head.payload_hash = xxh3_64(&payload);
    // One write, so that a crash seldom leaves half a block.
    let mut block = head.encode().to_vec();
    block.extend_from_slice(&payload);
    out.write_all(&block)?;
    out.flush()?;
    Ok(())
}
