//! Documents from files and streams, whatever they are wrapped in.
//!
//! In: a path or a stream with NDJSON, a JSON array, either of them in zstd or gzip, or an event log. What it is, its
//! first bytes tell; names are not looked at. Out: one [`Document`] after the other, and word of everything that could not
//! be read. Whether a document is an event is not decided here.
//!
//! ```text
//! file ─▶ count bytes ─▶ [zstd | gzip] ─▶ first byte? ─┬─ `[`       Elements  one array element after the other
//!                                                      ├─ log magic LogReader one record after the other
//!                                                      └─ else      Lines     one line after the other
//! ```
//!
//! One document is in memory at a time; one that is longer than [`InputOptions::max_document`] is passed over and told.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use thiserror::Error;

use crate::klog::{LogBytes, LogError, LogReader, LogStep, RecordHead, Seekable, Streamed, TimeRange};

mod elements;
mod lines;
mod source;

use elements::Elements;
use lines::Lines;
use source::{Opened, Progress, Source};

/// How many warnings are told in full.
const NAMED_WARNINGS: usize = 10;

/// Limits of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputOptions {
    /// The longest document in bytes.
    pub max_document: usize,
}

impl Default for InputOptions {
    /// 16 MiB.
    fn default() -> Self {
        InputOptions { max_document: 16 << 20 }
    }
}

/// One document, as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Document<'d> {
    /// The line it begins on, from 1; in an event log the number of its record.
    pub line: u64,
    /// Its text.
    pub bytes: &'d [u8],
    /// What an event log says of it.
    pub record: Option<RecordHead>,
}

/// What comes next in an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item<'d> {
    /// A document.
    Document(Document<'d>),
    /// Something that can be no document and was passed over.
    Invalid {
        /// The line it begins on.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A part that could not be read: a torn end, a damaged block. What could be read is given all the same.
    Damaged {
        /// Where, and what it costs.
        message: String,
    },
}

/// Why there are no documents at all.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InputError {
    /// The file cannot be opened or read.
    #[error("cannot read {name}: {cause}")]
    Read {
        /// The input's name.
        name: String,
        /// The operating system's answer.
        cause: io::Error,
    },
    /// The path is a folder.
    #[error("cannot read {name}: it is a folder, name the files in it")]
    Folder {
        /// The input's name.
        name: String,
    },
    /// The file is text in an encoding that JSON must not have.
    #[error("{name} is UTF-16 text, but JSON is UTF-8: convert it first (`iconv -f UTF-16 -t UTF-8`)")]
    Utf16 {
        /// The input's name.
        name: String,
    },
    /// The event log cannot be read.
    #[error("cannot read {name}: {cause}")]
    Log {
        /// The input's name.
        name: String,
        /// What is wrong with it.
        cause: LogError,
    },
}

/// Reads the documents of one file or stream.
pub struct Input {
    name: String,
    progress: Progress,
    body: Body,
    ended: bool,
    warnings: Vec<String>,
    warned: usize,
}

enum Body {
    Lines(Lines),
    Elements(Elements),
    Log(Box<LogReader>),
}

/// An item without its document, which the body keeps until the next step.
enum Step {
    Document(u64, Option<RecordHead>),
    Invalid(u64, String),
    Damaged(String),
    End,
}

/// Opens a file with the usual limits; `-` is standard input.
///
/// # Errors
/// As [`Input::open`].
pub fn open(path: &Path) -> Result<Input, InputError> {
    Input::open(path, InputOptions::default())
}

impl Input {
    /// Opens a file; `-` is standard input.
    ///
    /// # Errors
    /// When the file cannot be opened, is a folder, or is nothing that could hold documents.
    pub fn open(path: &Path, options: InputOptions) -> Result<Input, InputError> {
        if path == Path::new("-") {
            return Input::from_reader("standard input", io::stdin(), options);
        }
        let name = path.display().to_string();
        let failed = |cause| InputError::Read { name: name.clone(), cause };
        let file = File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if about.is_dir() {
            return Err(InputError::Folder { name });
        }
        if about.is_file() && source::is_log(&file).map_err(failed)? {
            // Opened as such, because a log in a file can be skipped through.
            let log = Box::new(Seekable::new(file).map_err(failed)?);
            return Input::log(name, Progress::default(), log);
        }
        Input::from_reader(&name, file, options)
    }

    /// Reads a stream; `name` is what messages call it.
    ///
    /// # Errors
    /// When the stream is nothing that could hold documents.
    pub fn from_reader(
        name: &str,
        reader: impl Read + Send + 'static,
        options: InputOptions,
    ) -> Result<Input, InputError> {
        let name = name.to_owned();
        let progress = Progress::default();
        let limit = options.max_document;
        let body = match source::open(reader, &progress) {
            Ok(Opened::Array(source, line)) => Body::Elements(Elements::new(source, line, limit)),
            Ok(Opened::Lines(source, line)) => Body::Lines(Lines::new(source, line, limit)),
            Ok(Opened::Log(source)) => {
                return Input::log(name, progress.clone(), Box::new(Streamed(source.forgiving(&progress))));
            }
            Ok(Opened::Utf16) => return Err(InputError::Utf16 { name }),
            Err(cause) => return Err(InputError::Read { name, cause }),
        };
        Ok(Input::new(name, progress, body))
    }

    fn log(name: String, progress: Progress, bytes: Box<dyn LogBytes>) -> Result<Input, InputError> {
        match LogReader::start(bytes) {
            Ok(reader) => Ok(Input::new(name, progress, Body::Log(Box::new(reader)))),
            Err(cause) => Err(InputError::Log { name, cause }),
        }
    }

    fn new(name: String, progress: Progress, body: Body) -> Input {
        Input { name, progress, body, ended: false, warnings: Vec::new(), warned: 0 }
    }

    /// Gives only the records of these times when the input is an event log, in a file without reading the rest.
    ///
    /// Other inputs do not know the times of their documents: there, whoever decodes them has to choose.
    #[must_use]
    pub fn with_range(mut self, range: TimeRange) -> Input {
        self.body = match self.body {
            Body::Log(reader) => Body::Log(Box::new(reader.with_range(range))),
            other => other,
        };
        self
    }

    /// What messages call this input: its path as it was given, or `standard input`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a place in this input is called: `line`, or `record` in an event log.
    pub fn unit(&self) -> &'static str {
        match self.body {
            Body::Log(_) => "record",
            _ => "line",
        }
    }

    /// Whether the beginning of the next line is already here, so that whoever has other duties need not wait for the
    /// stream. Of inputs other than plain lines this cannot be told, and it is said of them.
    pub fn has_more_at_hand(&self) -> bool {
        match &self.body {
            Body::Lines(lines) if !self.ended => lines.has_more_at_hand(&self.progress),
            _ => true,
        }
    }

    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// When the operating system fails to read. A file that is cut short or damaged is no error but an [`Item`].
    pub fn next_item(&mut self) -> Result<Option<Item<'_>>, InputError> {
        Ok(match self.step()? {
            Step::Document(line, record) => Some(Item::Document(Document { line, bytes: self.document(), record })),
            Step::Invalid(line, reason) => Some(Item::Invalid { line, reason }),
            Step::Damaged(message) => Some(Item::Damaged { message }),
            Step::End => None,
        })
    }

    /// The next document; what is none goes to [`Input::warnings`]. `None` at the end.
    ///
    /// # Errors
    /// As [`Input::next_item`].
    pub fn next_document(&mut self) -> Result<Option<Document<'_>>, InputError> {
        loop {
            match self.step()? {
                Step::Document(line, record) => {
                    return Ok(Some(Document { line, bytes: self.document(), record }));
                }
                Step::Invalid(line, reason) => self.warn(format!("{} {line}: {reason}", self.unit())),
                Step::Damaged(message) => self.warn(message),
                Step::End => return Ok(None),
            }
        }
    }

    /// What [`Input::next_document`] passed over: the first ten in words, then how many more there are.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn warn(&mut self, warning: String) {
        self.warned += 1;
        if self.warned <= NAMED_WARNINGS {
            self.warnings.push(warning);
        } else {
            self.warnings.truncate(NAMED_WARNINGS);
            self.warnings.push(format!("{} more like these", self.warned - NAMED_WARNINGS));
        }
    }

    fn document(&self) -> &[u8] {
        match &self.body {
            Body::Lines(lines) => lines.document(),
            Body::Elements(elements) => elements.document(),
            Body::Log(reader) => reader.document(),
        }
    }

    fn step(&mut self) -> Result<Step, InputError> {
        if self.ended {
            return Ok(Step::End);
        }
        let found = match &mut self.body {
            Body::Lines(lines) => lines.step(),
            Body::Elements(elements) => elements.step(),
            Body::Log(reader) => match reader.step() {
                Ok(Some(LogStep::Record(number, head))) => Ok(Step::Document(number, Some(head))),
                Ok(Some(LogStep::Damaged(damage))) => {
                    Ok(Step::Damaged(format!("at byte {}: {}", damage.offset, damage.message)))
                }
                Ok(None) => self.progress.take_error().map_or(Ok(Step::End), Err),
                Err(cause) => return Err(InputError::Log { name: self.name.clone(), cause }),
            },
        };
        let line = match &self.body {
            Body::Lines(lines) => Some(lines.line()),
            Body::Elements(elements) => Some(elements.line()),
            Body::Log(_) => None,
        };
        match found {
            Ok(step) => {
                self.ended = matches!(step, Step::End);
                Ok(step)
            }
            Err(cause) if self.progress.failed() => Err(InputError::Read { name: self.name.clone(), cause }),
            Err(error) => {
                self.ended = true;
                Ok(Step::Damaged(damage_of(&error, &self.progress, line)))
            }
        }
    }
}

/// What became of a compressed stream that cannot be read to its end.
fn damage_of(error: &io::Error, progress: &Progress, line: Option<u64>) -> String {
    let what = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the compressed data is cut short".to_owned(),
        _ => format!("the compressed data is damaged ({error})"),
    };
    let line = line.map(|line| format!(" on line {line}")).unwrap_or_default();
    format!("{what}{line}, near byte {} of the file; what could be read before was used", progress.bytes())
}
