//! Why an event log cannot be read or written at all. Damage inside one is no error: see [`Damage`](super::Damage).

use std::io;

use thiserror::Error;

use super::format::{MAJOR, MAX_DOCUMENT};

/// Why an event log cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// The file does not begin as event logs do.
    #[error("this is no event log: it does not begin with the log's magic bytes")]
    Magic,
    /// The log has another major version.
    #[error("the event log has format version {major}.{minor} and this build reads {MAJOR}.x: {}", advice(*major))]
    Version {
        /// The log's major version.
        major: u16,
        /// Its minor version.
        minor: u16,
    },
    /// A document is larger than a record may be.
    #[error("a document of {length} bytes is too large for the event log, at most {MAX_DOCUMENT} are allowed")]
    DocumentTooLarge {
        /// Its size in bytes.
        length: usize,
    },
    /// Another process writes to the same log.
    #[error("another process is writing to this event log")]
    Locked,
    /// The log was cut or replaced while it was followed.
    #[error("the event log became shorter while it was followed")]
    Shorter,
    /// An earlier write failed, so that this one was not tried.
    #[error("the event log could not be written before, and is closed")]
    Closed,
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn advice(major: u16) -> &'static str {
    if major > MAJOR { "use a newer engine" } else { "use the engine that wrote it to export NDJSON, and import that" }
}
