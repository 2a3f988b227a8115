//! A JSON array, element by element. Brackets, strings and escapes are followed just as far as it takes to find where
//! an element ends; whether it is JSON is the decoder's business.

use std::io::{self, BufRead, ErrorKind};

use super::{Source, Step};

pub(super) struct Elements {
    source: Source,
    line: u64,
    limit: usize,
    buffer: Vec<u8>,
    place: Place,
}

/// Where in the array the reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before its `[`.
    Before,
    /// Behind `[`: an element, or the end.
    First,
    /// Behind a comma: an element.
    Next,
    /// Behind its `]`.
    Behind,
    /// Where reading was given up.
    GivenUp,
}

/// What the bytes of an element have opened.
#[derive(Debug, Clone, Copy, Default)]
struct Nesting {
    depth: u64,
    bracket: bool,
    string: bool,
    escape: bool,
}

impl Nesting {
    /// Whether an element that began with a bracket has ended, as far as brackets tell.
    fn closed(self) -> bool {
        self.depth == 0 && self.bracket && !self.string
    }

    /// Takes a byte; whether the element ends before it.
    fn ends_before(&mut self, byte: u8) -> bool {
        if self.string {
            match byte {
                _ if self.escape => self.escape = false,
                b'\\' => self.escape = true,
                b'"' => self.string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b',' | b']' if self.depth == 0 => return true,
            b'"' => self.string = true,
            b'{' | b'[' => (self.depth, self.bracket) = (self.depth + 1, true),
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        false
    }
}

impl Elements {
    pub(super) fn new(source: Source, line: u64, limit: usize) -> Elements {
        Elements { source, line, limit, buffer: Vec::new(), place: Place::Before }
    }

    /// The line that is being read.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The document of the last step.
    pub(super) fn document(&self) -> &[u8] {
        self.buffer.trim_ascii()
    }

    pub(super) fn step(&mut self) -> io::Result<Step> {
        loop {
            match (self.place, self.next_visible()?) {
                (Place::Behind, None) => return Ok(Step::End),
                (Place::Behind, Some(_)) => {
                    self.place = Place::GivenUp;
                    return Ok(Step::Damaged(format!("line {}: what follows the array is not read", self.line)));
                }
                (Place::GivenUp, _) => return Ok(Step::End),
                (_, None) => {
                    self.place = Place::GivenUp;
                    return Ok(Step::Damaged(format!("line {}: the file ends inside the array", self.line)));
                }
                (Place::Before, Some(_)) => {
                    self.source.consume(1);
                    self.place = Place::First;
                }
                (Place::First, Some(b']')) => {
                    self.source.consume(1);
                    self.place = Place::Behind;
                }
                (Place::First | Place::Next, Some(_)) => return self.element(),
            }
        }
    }

    /// The next byte that is no white space, not yet taken.
    fn next_visible(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.source.fill_buf() {
                Ok([]) => return Ok(None),
                Ok([byte, ..]) if byte.is_ascii_whitespace() => {
                    self.line += u64::from(*byte == b'\n');
                    self.source.consume(1);
                }
                Ok([byte, ..]) => return Ok(Some(*byte)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn element(&mut self) -> io::Result<Step> {
        self.buffer.clear();
        let begin = self.line;
        let mut nesting = Nesting::default();
        let mut length = 0usize;
        let end = loop {
            let available = match self.source.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                if nesting.closed() && length <= self.limit && !self.document().is_empty() {
                    // The element is whole; the next step tells that the array is not.
                    self.place = Place::Next;
                    return Ok(Step::Document(begin, None));
                }
                self.place = Place::GivenUp;
                return Ok(Step::Damaged(format!(
                    "the file ends inside the array element that begins on line {begin}"
                )));
            }
            let end = available.iter().position(|byte| nesting.ends_before(*byte));
            let taken = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
            self.line += taken.iter().filter(|byte| **byte == b'\n').count() as u64;
            length = length.saturating_add(taken.len());
            if length <= self.limit {
                self.buffer.extend_from_slice(taken);
            }
            let (count, byte) = (taken.len(), end.and_then(|end| available.get(end)).copied());
            self.source.consume(count + usize::from(byte.is_some()));
            if let Some(byte) = byte {
                break byte;
            }
        };
        self.place = if end == b',' { Place::Next } else { Place::Behind };
        if length > self.limit {
            return Ok(Step::Invalid(begin, format!("longer than {} bytes", self.limit)));
        }
        if self.document().is_empty() {
            return Ok(Step::Invalid(begin, "expected an array element, found nothing".to_owned()));
        }
        Ok(Step::Document(begin, None))
    }
}
