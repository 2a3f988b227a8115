//! NDJSON: one document a line. Empty lines are passed over, line ends may be those of Windows.

use std::io::{self, BufRead, Read};

use super::{Progress, Source, Step};

pub(super) struct Lines {
    source: Source,
    /// The line that comes next.
    next: u64,
    limit: usize,
    buffer: Vec<u8>,
}

impl Lines {
    pub(super) fn new(source: Source, line: u64, limit: usize) -> Lines {
        Lines { source, next: line, limit, buffer: Vec::new() }
    }

    /// The line that is being read.
    pub(super) fn line(&self) -> u64 {
        self.next
    }

    /// The document of the last step.
    pub(super) fn document(&self) -> &[u8] {
        self.buffer.trim_ascii()
    }

    /// See [`Source::has_more_at_hand`].
    pub(super) fn has_more_at_hand(&self, progress: &Progress) -> bool {
        self.source.has_more_at_hand(progress)
    }

    pub(super) fn step(&mut self) -> io::Result<Step> {
        loop {
            self.buffer.clear();
            // One byte more than allowed, and the line end: then a line is too long when no end was found.
            let limit = self.limit as u64 + 1;
            let read = self.source.by_ref().take(limit).read_until(b'\n', &mut self.buffer)?;
            if read == 0 {
                return Ok(Step::End);
            }
            let line = self.next;
            if self.buffer.last() != Some(&b'\n') && read as u64 == limit {
                self.source.skip_until(b'\n')?;
                self.next += 1;
                return Ok(Step::Invalid(line, format!("longer than {} bytes", self.limit)));
            }
            self.next += 1;
            if !self.document().is_empty() {
                return Ok(Step::Document(line, None));
            }
        }
    }
}
