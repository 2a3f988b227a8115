//! A file that a killed replay left, and the rest of its alerts.
//!
//! A replay gives the same bytes every time. So it runs again from the start, what it gives is compared with the lines that
//! are there, and writing begins where these end. A last line that was cut short must be the beginning of the line that
//! comes in its place. Until something is written the file is only read: a file that differs stays as it was.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Sink, SinkCounters, SinkError};

/// Compares lines with a file, then adds to it.
pub(super) struct ResumedFile {
    path: PathBuf,
    /// What is there and not yet compared; `None` once lines are added.
    there: Option<BufReader<File>>,
    out: BufWriter<File>,
    line: u64,
    buffered: u64,
    written: u64,
    expected: Vec<u8>,
}

impl ResumedFile {
    pub(super) fn open(path: &Path) -> io::Result<ResumedFile> {
        let out = File::options().read(true).write(true).create(true).truncate(false).mode(0o640).open(path)?;
        if !out.metadata()?.is_file() {
            return Err(io::Error::other("only a file can be resumed"));
        }
        let there = BufReader::with_capacity(64 << 10, File::open(path)?);
        Ok(ResumedFile {
            path: path.to_owned(),
            there: Some(there),
            out: BufWriter::with_capacity(64 << 10, out),
            line: 0,
            buffered: 0,
            written: 0,
            expected: Vec::new(),
        })
    }

    fn differs(&self, what: String) -> SinkError {
        SinkError::Differs { name: self.path.display().to_string(), what }
    }

    fn failed(&self, cause: io::Error) -> SinkError {
        SinkError::Write { name: self.path.display().to_string(), cause }
    }

    /// Compares a line with what is there; tells whether it was there whole.
    fn compare(&mut self, line: &str) -> Result<bool, SinkError> {
        let Some(there) = &mut self.there else { return Ok(false) };
        self.expected.clear();
        self.expected.resize(line.len() + 1, 0);
        let found = read_up_to(there, &mut self.expected).map_err(|error| self.failed(error))?;
        let expected = line.as_bytes().iter().chain(b"\n");
        let same = self.expected.iter().take(found).eq(expected.take(found));
        if !same {
            let number = self.line;
            return Err(self.differs(format!("its line {number} is not what these packs and events give")));
        }
        if found == self.expected.len() {
            return Ok(true);
        }
        // The end of the file, inside a line or behind the last one.
        self.there = None;
        let end = self.out.seek(SeekFrom::End(0)).map_err(|error| self.failed(error))?;
        let whole = end.saturating_sub(found as u64);
        self.out.get_ref().set_len(whole).map_err(|error| self.failed(error))?;
        self.out.seek(SeekFrom::Start(whole)).map_err(|error| self.failed(error))?;
        Ok(false)
    }
}

impl Sink for ResumedFile {
    fn write(&mut self, line: &str) -> Result<(), SinkError> {
        self.line += 1;
        if self.compare(line)? {
            self.written += 1;
            return Ok(());
        }
        self.buffered += 1;
        let taken = self.out.write_all(line.as_bytes()).and_then(|()| self.out.write_all(b"\n"));
        taken.map_err(|error| self.failed(error))
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.out.flush().map_err(|error| self.failed(error))?;
        self.written += std::mem::take(&mut self.buffered);
        Ok(())
    }

    fn finish(&mut self, complete: bool) -> Result<(), SinkError> {
        self.flush()?;
        let Some(there) = &mut self.there else { return Ok(()) };
        let more = there.read(&mut [0]).map_err(|error| self.failed(error))?;
        if complete && more > 0 {
            let lines = self.line;
            return Err(self.differs(format!("it has more than the {lines} lines that these packs and events give")));
        }
        Ok(())
    }

    fn counters(&self) -> SinkCounters {
        SinkCounters { written: self.written, ..SinkCounters::default() }
    }
}

/// Fills the buffer as far as there is something to read.
fn read_up_to(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
