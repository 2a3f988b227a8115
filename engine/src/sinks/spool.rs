//! Alerts on the disk that wait to be sent: a folder of segments, bounded, and safe against a crash.
//!
//! ```text
//! FOLDER/lock                  held while a run uses the spool
//! FOLDER/0000000000000001.seg  "KSPOOL1\n", then records: u32 length | u64 XXH3 of the line | the line
//! FOLDER/position              segment and byte of the first alert that is not delivered
//! ```
//!
//! Numbers are little endian. A run writes into segments of its own, so a record that a crash cut short is the last of its
//! segment and is passed over. A segment whose alerts are delivered is removed. When there is no room, the oldest segment is
//! given up, and its alerts are counted as lost. Written to the operating system with each flush, to the disk when a segment is
//! full and at the end: what is written survives the end of the process, not every failure of the machine.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8; 8] = b"KSPOOL1\n";
/// Length and checksum before each line.
const RECORD_HEAD: usize = 12;
/// The longest line; alerts are far shorter.
const MAX_LINE: usize = 64 << 20;
/// Segments in a full spool: giving one up loses at most this part.
const SEGMENTS: u64 = 16;

/// How much a spool may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolLimits {
    /// The most bytes of all segments.
    pub max_bytes: u64,
}

impl Default for SpoolLimits {
    /// 64 MiB.
    fn default() -> Self {
        SpoolLimits { max_bytes: 64 << 20 }
    }
}

/// Why a spool cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The folder cannot be made, read or written.
    #[error("the spool {folder} cannot be used: {cause}")]
    Io {
        /// The folder.
        folder: String,
        /// The operating system's answer.
        cause: io::Error,
    },
    /// Another run uses it.
    #[error("the spool {folder} is used by another run")]
    Busy {
        /// The folder.
        folder: String,
    },
    /// There is no usual place, and none was named.
    #[error("there is no folder for its spool; name one with `spool` in the configuration")]
    NoFolder,
}

/// A place in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    segment: u64,
    offset: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Segment {
    bytes: u64,
    records: u64,
}

/// An alert of a spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spooled {
    /// The alert.
    pub line: String,
    segment: u64,
    begin: u64,
}

/// Alerts that wait. One run at a time uses a folder.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    limits: SpoolLimits,
    segments: BTreeMap<u64, Segment>,
    writer: Option<(u64, File)>,
    position: Position,
    in_flight: Option<u64>,
    pending: Vec<u8>,
    pending_records: u64,
    waiting: u64,
    lost: u64,
    _lock: File,
}

impl Spool {
    /// Opens the spool in `folder`, which is made when it is not there.
    ///
    /// # Errors
    /// When the folder cannot be used, or another run uses it.
    pub fn open(folder: &Path, limits: SpoolLimits) -> Result<Spool, SpoolError> {
        let failed = |cause| SpoolError::Io { folder: folder.display().to_string(), cause };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let lock = private(File::options().write(true).create(true).truncate(false), &folder.join("lock"));
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(SpoolError::Busy { folder: folder.display().to_string() });
            }
            Err(std::fs::TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        let mut spool = Spool {
            folder: folder.to_owned(),
            limits,
            segments: BTreeMap::new(),
            writer: None,
            position: Position { segment: 0, offset: 0 },
            in_flight: None,
            pending: Vec::new(),
            pending_records: 0,
            waiting: 0,
            lost: 0,
            _lock: lock,
        };
        spool.find().map_err(failed)?;
        Ok(spool)
    }

    /// Finds what an earlier run left.
    fn find(&mut self) -> io::Result<()> {
        self.position = read_position(&self.folder)?;
        for entry in std::fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".seg"));
            if let Some(number) = stem.and_then(|stem| u64::from_str_radix(stem, 16).ok()) {
                self.segments.insert(number, Segment::default());
            }
        }
        if self.segments.keys().next_back().is_some_and(|last| self.position.segment > last.saturating_add(1)) {
            // Nothing writes such a place: sent again is better than thrown away.
            self.position = Position { segment: 0, offset: 0 };
        }
        for number in self.segments.keys().copied().collect::<Vec<u64>>() {
            if number < self.position.segment {
                self.remove(number)?;
                continue;
            }
            let mut reader = SegmentReader::open(&self.path(number), 0)?;
            let mut records = 0;
            while let Some((begin, _)) = reader.next_line()? {
                records += u64::from(self.position <= Position { segment: number, offset: begin });
            }
            self.lost += u64::from(reader.damaged);
            self.waiting += records;
            let bytes = std::fs::metadata(self.path(number))?.len();
            self.segments.insert(number, Segment { bytes, records });
        }
        Ok(())
    }

    /// Takes an alert, which is on its way to the disk with the next [`Spool::flush`].
    pub fn append(&mut self, line: &str) {
        let Some(length) = u32::try_from(line.len()).ok().filter(|length| *length as usize <= MAX_LINE) else {
            self.lost += 1;
            return;
        };
        self.pending.extend_from_slice(&length.to_le_bytes());
        self.pending.extend_from_slice(&xxh3_64(line.as_bytes()).to_le_bytes());
        self.pending.extend_from_slice(line.as_bytes());
        self.pending_records += 1;
    }

    /// How many bytes wait for the next flush.
    pub fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    /// Whether what waits for the next flush has room without giving older alerts up.
    pub fn has_room(&self) -> bool {
        self.bytes() + self.pending.len() as u64 + MAGIC.len() as u64 <= self.limits.max_bytes
            || self.segments.is_empty()
    }

    /// Writes what was taken, and gives older alerts up where there is no room for it. On a full disk as well.
    ///
    /// # Errors
    /// When it cannot be written although nothing is left to give up. It can be tried again.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        while !self.has_room() && self.give_up_oldest()? {}
        loop {
            match self.write_pending() {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::StorageFull => {
                    if !self.give_up_oldest()? {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn write_pending(&mut self) -> io::Result<()> {
        let full = self.limits.max_bytes / SEGMENTS;
        if let Some((number, file)) = self.writer.take() {
            let bytes = self.segments.get(&number).map_or(0, |segment| segment.bytes);
            if bytes < full { self.writer = Some((number, file)) } else { file.sync_data()? }
        }
        if self.writer.is_none() {
            let last = self.segments.keys().next_back().copied().unwrap_or(0);
            let number = last.max(self.position.segment).saturating_add(1);
            let mut file = private(File::options().write(true).create_new(true), &self.path(number))?;
            if let Err(error) = file.write_all(MAGIC) {
                std::fs::remove_file(self.path(number))?;
                return Err(error);
            }
            self.segments.insert(number, Segment { bytes: MAGIC.len() as u64, records: 0 });
            self.writer = Some((number, file));
        }
        let Some((number, file)) = &mut self.writer else { return Ok(()) };
        let Some(segment) = self.segments.get_mut(number) else { return Ok(()) };
        if let Err(error) = file.write_all(&self.pending) {
            // A part of a record is none: the next attempt begins where this one did.
            file.set_len(segment.bytes)?;
            file.seek(SeekFrom::Start(segment.bytes))?;
            return Err(error);
        }
        segment.bytes += self.pending.len() as u64;
        segment.records += self.pending_records;
        self.waiting += std::mem::take(&mut self.pending_records);
        self.pending.clear();
        Ok(())
    }

    /// Removes the oldest segment that nobody sends or writes; `false` when there is none.
    fn give_up_oldest(&mut self) -> io::Result<bool> {
        let written = self.writer.as_ref().map(|(number, _)| *number);
        let oldest =
            self.segments.iter().find(|(number, _)| Some(**number) != self.in_flight && Some(**number) != written);
        let Some((&number, &segment)) = oldest else { return Ok(false) };
        self.remove(number)?;
        self.waiting = self.waiting.saturating_sub(segment.records);
        self.lost += segment.records;
        Ok(true)
    }

    /// The oldest alerts that are not delivered, at most so many and about so many bytes; none when none waits. They stay in
    /// the spool until [`Spool::delivered`].
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn oldest(&mut self, most: usize, bytes: usize) -> io::Result<Vec<Spooled>> {
        loop {
            let position = self.position;
            let Some(number) = self.segments.range(position.segment..).next().map(|(number, _)| *number) else {
                self.in_flight = None;
                return Ok(Vec::new());
            };
            let offset = if number == position.segment { position.offset } else { 0 };
            let mut reader = SegmentReader::open(&self.path(number), offset)?;
            let (mut batch, mut size) = (Vec::new(), 0);
            while batch.len() < most && size < bytes {
                let Some((begin, line)) = reader.next_line()? else { break };
                size += line.len();
                batch.push(Spooled { line, segment: number, begin });
            }
            if !batch.is_empty() {
                self.in_flight = Some(number);
                return Ok(batch);
            }
            self.in_flight = None;
            if self.writer.as_ref().is_some_and(|(written, _)| *written == number) {
                return Ok(Vec::new());
            }
            // Nothing more is in it, and nothing will be.
            let records = self.segments.get(&number).map_or(0, |segment| segment.records);
            self.waiting = self.waiting.saturating_sub(records);
            self.lost += records;
            self.remove(number)?;
            self.set_position(Position { segment: number.saturating_add(1), offset: 0 })?;
        }
    }

    /// Forgets the first `count` of the alerts that [`Spool::oldest`] gave: they are where they should be. May be called
    /// again with more of them.
    ///
    /// # Errors
    /// When that cannot be noted; the alerts may be sent again by the next run.
    pub fn delivered(&mut self, batch: &[Spooled], count: usize) -> io::Result<()> {
        let Some(last) = count.checked_sub(1).and_then(|last| batch.get(last)) else { return Ok(()) };
        let end = last.begin + (RECORD_HEAD + last.line.len()) as u64;
        let place = |alert: &&Spooled| Position { segment: alert.segment, offset: alert.begin } >= self.position;
        let count = batch.iter().take(count).filter(place).count();
        let Some(segment) = self.segments.get_mut(&last.segment) else { return Ok(()) };
        segment.records = segment.records.saturating_sub(count as u64);
        self.waiting = self.waiting.saturating_sub(count as u64);
        self.set_position(Position { segment: last.segment, offset: end })
    }

    /// How many alerts wait, those of the next flush included.
    pub fn waiting(&self) -> u64 {
        self.waiting + self.pending_records
    }

    /// How many alerts were given up since the spool was opened, and how many damaged parts were found in it.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Gives up what waits for the next flush: it cannot be written.
    pub fn give_up_pending(&mut self) {
        self.lost += std::mem::take(&mut self.pending_records);
        self.pending.clear();
    }

    /// Has what was written reach the disk.
    ///
    /// # Errors
    /// When the operating system says that it did not.
    pub fn sync(&mut self) -> io::Result<()> {
        self.writer.as_ref().map_or(Ok(()), |(_, file)| file.sync_data())
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.bytes).sum()
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:016x}.seg"))
    }

    fn remove(&mut self, number: u64) -> io::Result<()> {
        match std::fs::remove_file(self.path(number)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => self.segments.remove(&number),
        };
        Ok(())
    }

    fn set_position(&mut self, position: Position) -> io::Result<()> {
        self.position = position;
        let unfinished = self.folder.join("position.new");
        let mut file = private(File::options().write(true).create(true).truncate(true), &unfinished)?;
        writeln!(file, "{} {}", position.segment, position.offset)?;
        std::fs::rename(unfinished, self.folder.join("position"))
    }
}

/// Opens a file that others than its owner cannot read: alerts show command lines.
fn private(options: &mut std::fs::OpenOptions, path: &Path) -> io::Result<File> {
    options.mode(0o600).open(path)
}

/// The first alert that is not delivered; the very first when nothing can be read, which is sent again then.
fn read_position(folder: &Path) -> io::Result<Position> {
    let mut text = String::new();
    match File::open(folder.join("position")) {
        Ok(file) => file.take(64).read_to_string(&mut text).map(|_| ())?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut numbers = text.split_whitespace().map(|word| word.parse().ok());
    let (segment, offset) = (numbers.next().flatten(), numbers.next().flatten());
    Ok(Position { segment: segment.unwrap_or(0), offset: offset.unwrap_or(0) })
}

/// Reads the records of a segment.
struct SegmentReader {
    file: io::BufReader<File>,
    length: u64,
    offset: u64,
    /// Whether it ended at something that is no record.
    damaged: bool,
}

impl SegmentReader {
    fn open(path: &Path, offset: u64) -> io::Result<SegmentReader> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut reader = SegmentReader { file: io::BufReader::new(file), length, offset: 0, damaged: false };
        let mut magic = [0; MAGIC.len()];
        if length >= MAGIC.len() as u64 {
            reader.file.read_exact(&mut magic)?;
        }
        reader.damaged = magic != *MAGIC;
        reader.offset = offset.max(MAGIC.len() as u64).min(length);
        reader.file.seek(SeekFrom::Start(reader.offset))?;
        Ok(reader)
    }

    /// The next line and where its record begins; `None` at the end, and at what is no record.
    fn next_line(&mut self) -> io::Result<Option<(u64, String)>> {
        let left = self.length.saturating_sub(self.offset);
        if self.damaged || left == 0 {
            return Ok(None);
        }
        let record = self.record(left)?;
        self.damaged = record.is_none();
        Ok(record)
    }

    fn record(&mut self, left: u64) -> io::Result<Option<(u64, String)>> {
        if left < RECORD_HEAD as u64 {
            return Ok(None);
        }
        let (mut length, mut sum) = ([0; 4], [0; 8]);
        self.file.read_exact(&mut length)?;
        self.file.read_exact(&mut sum)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_LINE || length as u64 > left - RECORD_HEAD as u64 {
            return Ok(None);
        }
        let mut line = vec![0; length];
        self.file.read_exact(&mut line)?;
        if xxh3_64(&line) != u64::from_le_bytes(sum) {
            return Ok(None);
        }
        let Ok(line) = String::from_utf8(line) else { return Ok(None) };
        let begin = self.offset;
        self.offset += (RECORD_HEAD + length) as u64;
        Ok(Some((begin, line)))
    }
}
