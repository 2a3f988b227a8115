//! The event log, `.klog`: what the engine saw, in a file that a crash cannot spoil.
//!
//! In: records, each a time, an order, doubts and an ECS document. Out: a file of compressed blocks with checksums, and
//! from such a file the records again, as far as it is whole. `docs/klog-format.md` describes every byte; nothing here
//! looks into a document.
//!
//! ```text
//! file header │ block │ block │ … │ time index │ file header │ block │ …      appending begins a new segment
//!             └ head: sizes, record count, time range, checksums │ zstd payload: records
//! ```
//!
//! A reader takes every whole block. Damage costs the block that it is in; a torn tail costs what was not yet written.
//! Both are told in words, with the offset. The time index lets a reader of a range go where the range is; it is a hint
//! that is checked where it leads, and a log without one gives the same records.

mod error;
mod format;
mod index;
mod reader;
mod writer;

pub use error::LogError;
pub use format::{LogHeader, MAGIC, MAJOR, MAX_DOCUMENT, MINOR, RecordHead};
pub use reader::{Damage, LogCounters, LogItem, LogReader, Record, TimeRange};
pub use writer::{BLOCK_TARGET, LogWriter, SyncPolicy};

pub(crate) use reader::{LogBytes, LogStep, Seekable, Streamed};
