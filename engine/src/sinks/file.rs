//! A file of alerts, and its rotation.
//!
//! `alerts.ndjson` is written to; `alerts.ndjson.1` is the youngest of the old files, the highest number the oldest, with
//! `.zst` or `.gz` behind it when old files are compressed. A file makes room only between two lines and by renaming, so that
//! no line is split or lost; a crash on the way leaves a file uncompressed or a number free, and the next rotation goes on
//! from there.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Compression, Existing, Rotation, Sink, SinkCounters, SinkError};

/// All endings that an old file may have.
const COMPRESSIONS: [Compression; 3] = [Compression::None, Compression::Zstd, Compression::Gzip];

/// Writes lines to a file.
pub(super) struct FileSink {
    path: PathBuf,
    out: BufWriter<File>,
    rotation: Option<Rotation>,
    length: u64,
    since: SystemTime,
    buffered: u64,
    written: u64,
    notes: Vec<String>,
}

impl FileSink {
    pub(super) fn open(path: &Path, existing: Existing, rotation: Option<Rotation>) -> io::Result<FileSink> {
        let file = open_file(path, existing)?;
        let metadata = file.metadata()?;
        // Devices and pipes are not renamed.
        let rotation = rotation.filter(|_| metadata.is_file());
        let since = if metadata.len() == 0 { SystemTime::now() } else { begun(&metadata) };
        Ok(FileSink {
            path: path.to_owned(),
            out: BufWriter::with_capacity(64 << 10, file),
            rotation,
            length: metadata.len(),
            since,
            buffered: 0,
            written: 0,
            notes: Vec::new(),
        })
    }

    fn failed(&self, cause: io::Error) -> SinkError {
        SinkError::Write { name: self.path.display().to_string(), cause }
    }

    /// Whether the file has to make room before a line of so many bytes.
    fn is_full(&self, rotation: &Rotation, line: u64) -> bool {
        let too_long = rotation.max_bytes.is_some_and(|most| self.length + line > most);
        let age = || self.since.elapsed().unwrap_or(Duration::ZERO);
        self.length > 0 && (too_long || rotation.max_age.is_some_and(|most| age() >= most))
    }

    fn rotate(&mut self, rotation: &Rotation) -> io::Result<()> {
        self.out.flush()?;
        self.written += std::mem::take(&mut self.buffered);
        self.out.get_ref().sync_data()?;
        make_room(&self.path, rotation.keep)?;
        let first = numbered(&self.path, 1, Compression::None);
        std::fs::rename(&self.path, &first)?;
        self.out = BufWriter::with_capacity(64 << 10, open_file(&self.path, Existing::Append)?);
        (self.length, self.since) = (0, SystemTime::now());
        if rotation.keep == 0 {
            std::fs::remove_file(&first)?;
        } else if let Err(error) = compress(&first, &self.path, rotation.compression) {
            // The lines are safe as they are, and the next alert matters more.
            self.notes.push(format!("warning: {} stays uncompressed: {error}", first.display()));
        }
        Ok(())
    }
}

impl Sink for FileSink {
    fn write(&mut self, line: &str) -> Result<(), SinkError> {
        let bytes = line.len() as u64 + 1;
        if let Some(rotation) = self.rotation.take() {
            let rotated = if self.is_full(&rotation, bytes) { self.rotate(&rotation) } else { Ok(()) };
            self.rotation = Some(rotation);
            rotated.map_err(|error| self.failed(error))?;
        }
        self.buffered += 1;
        self.length += bytes;
        let taken = self.out.write_all(line.as_bytes()).and_then(|()| self.out.write_all(b"\n"));
        taken.map_err(|error| self.failed(error))
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.out.flush().map_err(|error| self.failed(error))?;
        self.written += std::mem::take(&mut self.buffered);
        Ok(())
    }

    fn counters(&self) -> SinkCounters {
        SinkCounters { written: self.written, ..SinkCounters::default() }
    }

    fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }
}

fn open_file(path: &Path, existing: Existing) -> io::Result<File> {
    let mut options = File::options();
    match existing {
        Existing::Replace => options.write(true).truncate(true),
        Existing::Append | Existing::Resume => options.append(true),
    };
    // Alerts show command lines, and these hold secrets.
    options.create(true).mode(0o640).open(path)
}

/// When a file was begun, as far as the file system says.
fn begun(metadata: &std::fs::Metadata) -> SystemTime {
    metadata.created().or_else(|_| metadata.modified()).unwrap_or_else(|_| SystemTime::now())
}

fn numbered(path: &Path, number: u32, compression: Compression) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}{}", compression.ending()));
    PathBuf::from(name)
}

/// Moves every old file one number up, up to the first number that is free; the last one that is kept gives way.
fn make_room(path: &Path, keep: u32) -> io::Result<()> {
    let there = |number: u32| -> Vec<Compression> {
        COMPRESSIONS.into_iter().filter(|form| numbered(path, number, *form).exists()).collect()
    };
    let most = keep.max(1);
    let free = (1..=most).find(|number| there(*number).is_empty());
    for form in free.map_or_else(|| there(most), |_| Vec::new()) {
        remove(&numbered(path, most, form))?;
    }
    for number in (1..free.unwrap_or(most)).rev() {
        for form in there(number) {
            std::fs::rename(numbered(path, number, form), numbered(path, number + 1, form))?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Compresses an old file. It is there under one name or the other at any moment.
fn compress(first: &Path, path: &Path, compression: Compression) -> io::Result<()> {
    if compression == Compression::None {
        return Ok(());
    }
    let mut unfinished = OsString::from(path);
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let mut source = File::open(first)?;
    let out = File::options().write(true).create(true).truncate(true).mode(0o640).open(&unfinished)?;
    let out = match compression {
        Compression::Zstd => {
            let mut encoder = zstd::stream::Encoder::new(out, 1)?;
            io::copy(&mut source, &mut encoder)?;
            encoder.finish()?
        }
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
            io::copy(&mut source, &mut encoder)?;
            encoder.finish()?
        }
        Compression::None => out,
    };
    out.sync_data()?;
    std::fs::rename(&unfinished, numbered(path, 1, compression))?;
    remove(first)
}
