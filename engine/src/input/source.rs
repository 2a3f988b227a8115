//! From a stream to the text in it: counts bytes, takes the compression off, looks at the first bytes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek};
use std::sync::{Arc, Mutex, PoisonError};

use crate::klog;

const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const GZIP: [u8; 2] = [0x1f, 0x8b];
const UTF8_BOM: [u8; 3] = [0xef, 0xbb, 0xbf];
const CAPACITY: usize = 128 << 10;

/// How far a stream was read and how that went, seen from outside.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    bytes: u64,
    failed: bool,
    error: Option<io::Error>,
}

impl Progress {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Bytes read from the file, before decompression.
    pub(super) fn bytes(&self) -> u64 {
        self.with(|state| state.bytes)
    }

    /// Whether the operating system failed, as opposed to the data.
    pub(super) fn failed(&self) -> bool {
        self.with(|state| state.failed)
    }

    /// The error that a forgiving source kept to itself.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        self.with(|state| state.error.take())
    }
}

/// What a stream turned out to be, and the line on which its text begins.
pub(super) enum Opened {
    Array(Source, u64),
    Lines(Source, u64),
    Log(Source),
    Utf16,
}

/// Text with a few bytes, or an error, put back in front of it.
pub(super) struct Source {
    front: Vec<u8>,
    used: usize,
    error: Option<io::Error>,
    rest: Box<dyn BufRead + Send>,
    /// How many bytes of `rest` were taken, and whether these are the bytes of the stream itself.
    taken: u64,
    plain: bool,
}

impl Source {
    fn new(rest: Box<dyn BufRead + Send>, plain: bool) -> Source {
        Source { front: Vec::new(), used: 0, error: None, rest, taken: 0, plain }
    }

    /// Whether bytes of the stream were read and not taken yet, or nobody can tell because they are compressed.
    pub(super) fn has_more_at_hand(&self, progress: &Progress) -> bool {
        !self.plain || self.error.is_some() || self.used < self.front.len() || self.taken < progress.bytes()
    }

    /// Reads the first bytes without taking them. Waits for no more than what `magic` may still become, so that a slow
    /// stream is not waited for in vain. An error is put back too.
    fn looks_like(&mut self, magic: &[u8]) -> bool {
        loop {
            let known = self.front.len().min(magic.len());
            if self.front.get(..known) != magic.get(..known) {
                return false;
            }
            if known == magic.len() {
                return true;
            }
            match self.rest.fill_buf() {
                Ok([]) => return false,
                Ok([first, ..]) => {
                    self.front.push(*first);
                    self.rest.consume(1);
                    self.taken += 1;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.error = Some(error);
                    return false;
                }
            }
        }
    }

    /// zstd files may begin with a frame that decoders skip (RFC 8878, 3.1.2).
    fn begins_with_skippable_frame(&mut self) -> bool {
        let first = self.front.first().copied();
        first.is_some_and(|first| (0x50..=0x5f).contains(&first) && self.looks_like(&[first, 0x2a, 0x4d, 0x18]))
    }

    /// A source whose decoding errors look like the end, and are left with `progress`.
    pub(super) fn forgiving(self, progress: &Progress) -> Forgiving {
        Forgiving { source: self, progress: progress.clone() }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), available.get(..count)) {
            to.copy_from_slice(from);
        }
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Source {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used < self.front.len() {
            return Ok(self.front.get(self.used..).unwrap_or_default());
        }
        match self.error.take() {
            Some(error) => Err(error),
            None => self.rest.fill_buf(),
        }
    }

    fn consume(&mut self, count: usize) {
        if self.used < self.front.len() {
            self.used += count;
        } else {
            self.rest.consume(count);
            self.taken += count as u64;
        }
    }
}

/// See [`Source::forgiving`].
pub(super) struct Forgiving {
    source: Source,
    progress: Progress,
}

impl Read for Forgiving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.source.read(buffer) {
            Err(error) if error.kind() != ErrorKind::Interrupted && !self.progress.failed() => {
                self.progress.with(|state| state.error = Some(error));
                Ok(0)
            }
            other => other,
        }
    }
}

/// Counts the bytes of a stream and remembers whether it failed itself.
struct Watched<R> {
    inner: R,
    progress: Progress,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer);
        self.progress.with(|state| match &read {
            Ok(count) => state.bytes += *count as u64,
            Err(error) => state.failed |= error.kind() != ErrorKind::Interrupted,
        });
        read
    }
}

/// Whether a file begins as event logs do, or as far as it goes: an empty one does not. Leaves it at its beginning.
pub(super) fn is_log(mut file: &File) -> io::Result<bool> {
    let mut begin = Vec::new();
    file.take(klog::MAGIC.len() as u64).read_to_end(&mut begin)?;
    file.rewind()?;
    Ok(!begin.is_empty() && klog::MAGIC.starts_with(&begin))
}

/// Finds out what a stream holds.
pub(super) fn open(reader: impl Read + Send + 'static, progress: &Progress) -> io::Result<Opened> {
    let watched = Watched { inner: reader, progress: progress.clone() };
    let mut source = Source::new(Box::new(BufReader::with_capacity(CAPACITY, watched)), true);
    if source.looks_like(&ZSTD) || source.begins_with_skippable_frame() {
        let decoder = zstd::stream::read::Decoder::with_buffer(source)?;
        source = Source::new(Box::new(BufReader::with_capacity(CAPACITY, decoder)), false);
    } else if source.looks_like(&GZIP) {
        let decoder = flate2::bufread::MultiGzDecoder::new(source);
        source = Source::new(Box::new(BufReader::with_capacity(CAPACITY, decoder)), false);
    }
    if source.looks_like(&klog::MAGIC) {
        return Ok(Opened::Log(source));
    }
    if source.looks_like(&[0xff, 0xfe]) || source.looks_like(&[0xfe, 0xff]) {
        return Ok(Opened::Utf16);
    }
    if source.looks_like(&UTF8_BOM) {
        source.consume(UTF8_BOM.len());
    }
    if progress.failed()
        && let Some(error) = source.error.take()
    {
        return Err(error);
    }
    let mut line = 1;
    loop {
        match source.fill_buf() {
            Ok([byte, ..]) if byte.is_ascii_whitespace() => {
                line += u64::from(*byte == b'\n');
                source.consume(1);
            }
            Ok([b'[', ..]) => return Ok(Opened::Array(source, line)),
            Ok(_) => return Ok(Opened::Lines(source, line)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if progress.failed() => return Err(error),
            Err(error) => {
                source.error = Some(error);
                return Ok(Opened::Lines(source, line));
            }
        }
    }
}
