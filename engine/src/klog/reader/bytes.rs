//! Where a log's bytes come from: a stream that only goes forward, or a file in which one can go anywhere.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// Small, because whoever goes from one block head to the next throws the rest of it away.
const CAPACITY: usize = 16 << 10;

/// The bytes of a log.
pub(crate) trait LogBytes: Read + Send {
    /// How many there are now; `None` in a stream, where nobody knows and one cannot go anywhere.
    fn length(&mut self) -> io::Result<Option<u64>>;

    /// Goes to this place, counted from the log's beginning. Only where there is a length.
    fn go_to(&mut self, offset: u64) -> io::Result<()>;
}

/// A stream.
pub(crate) struct Streamed<R>(pub(crate) R);

impl<R: Read> Read for Streamed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read + Send> LogBytes for Streamed<R> {
    fn length(&mut self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    fn go_to(&mut self, _offset: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A file, or something like one, that holds a log from its first byte on.
pub(crate) struct Seekable<R> {
    inner: BufReader<R>,
    place: u64,
}

impl<R: Read + Seek> Seekable<R> {
    pub(crate) fn new(mut inner: R) -> io::Result<Seekable<R>> {
        inner.rewind()?;
        Ok(Seekable { inner: BufReader::with_capacity(CAPACITY, inner), place: 0 })
    }
}

impl<R: Read> Read for Seekable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.place += count as u64;
        Ok(count)
    }
}

impl<R: Read + Seek + Send> LogBytes for Seekable<R> {
    fn length(&mut self) -> io::Result<Option<u64>> {
        // Below the buffer, which therefore stays as it is.
        let inner = self.inner.get_mut();
        let here = inner.stream_position()?;
        let length = inner.seek(SeekFrom::End(0))?;
        inner.seek(SeekFrom::Start(here))?;
        Ok(Some(length))
    }

    fn go_to(&mut self, offset: u64) -> io::Result<()> {
        let way = i128::from(offset) - i128::from(self.place);
        match i64::try_from(way) {
            Ok(way) => self.inner.seek_relative(way)?,
            Err(_) => drop(self.inner.seek(SeekFrom::Start(offset))?),
        }
        self.place = offset;
        Ok(())
    }
}
