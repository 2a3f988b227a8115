//! Where alerts go: standard output, files, unix sockets, syslog, the journal, HTTP.
//!
//! In: alerts as lines of JSON. Out: the same lines, in the same order, at every target, and what became of them as
//! counters. What a target needs beside the line (an id, a severity) is read from the line itself.
//!
//! ```text
//! alert ─▶ AlertSinks ─┬─▶ stream   standard output, unix:PATH
//!                      ├─▶ file     with rotation; or checked against what a killed replay left
//!                      ├─▶ syslog, journald
//!                      └─▶ http ─▶ spool on disk ─▶ a thread of its own ─▶ server
//! ```
//!
//! A sink that fails is told and counted; when none is left the run ends, because an engine that cannot tell anybody is
//! not to look as if all were well. That is the caller's part; here a failure is an error, and a reader of standard
//! output that went away is told apart from it.

mod fan_out;
mod file;
mod head;
mod http;
mod journald;
mod options;
mod resume;
mod spool;
mod stream;
mod syslog;
mod target;

use std::io;

use thiserror::Error;

pub use fan_out::{AlertSinks, SinkReport};
pub use options::{Compression, HttpOptions, Rotation, SinkOptions};
pub use spool::{Spool, SpoolError, SpoolLimits};
pub use target::{AlertTarget, HttpForm, HttpTarget, SyslogTarget, UnknownTarget};

/// What happens to a file that is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is replaced: a replay's result.
    Replace,
    /// It is added to: a live run's.
    Append,
    /// It holds the beginning of what comes, as a replay that was killed leaves it; only the rest is written.
    Resume,
}

/// Why alerts cannot be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SinkError {
    /// Whoever read standard output went away, as `head` does. No fault.
    #[error("the reader of standard output is gone")]
    ReaderGone,
    /// The sink cannot be opened.
    #[error("cannot open {name} for alerts: {cause}")]
    Open {
        /// The sink's name.
        name: String,
        /// The operating system's answer.
        cause: io::Error,
    },
    /// The sink does not take what is written to it.
    #[error("cannot write alerts to {name}: {cause}")]
    Write {
        /// The sink's name.
        name: String,
        /// The operating system's answer.
        cause: io::Error,
    },
    /// What a file holds is not the beginning of this run's alerts.
    #[error("cannot resume {name}: {what}; the file was left as it was")]
    Differs {
        /// The file's name.
        name: String,
        /// Where and how they differ.
        what: String,
    },
    /// The spool of an HTTP sink cannot be used.
    #[error("cannot open {name} for alerts: {cause}")]
    Spool {
        /// The sink's name.
        name: String,
        /// What is wrong with the spool.
        cause: SpoolError,
    },
}

/// What became of a sink's alerts. Written, waiting, refused and lost alerts are all that it was given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SinkCounters {
    /// Alerts that are known to be where they should go.
    pub written: u64,
    /// Alerts in the spool, to be sent by the next run.
    pub waiting: u64,
    /// Alerts that the receiver turned down for good.
    pub refused: u64,
    /// Alerts that nobody will get: given up for want of room, or damaged on the disk.
    pub lost: u64,
    /// Alerts that were cut because they were too long for the transport; counted as written too.
    pub truncated: u64,
}

/// One place where alerts go.
pub trait Sink: Send {
    /// Takes an alert, a line without its end. It may be written later, at the latest with [`Sink::flush`].
    ///
    /// # Errors
    /// When it cannot be written. The sink is not to be used again.
    fn write(&mut self, line: &str) -> Result<(), SinkError>;

    /// Writes what was taken so far.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn flush(&mut self) -> Result<(), SinkError>;

    /// The end: writes what was taken, and waits for what is under way as long as the sink's options say. `complete` when
    /// these were all alerts of the run, not those until an interruption.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn finish(&mut self, complete: bool) -> Result<(), SinkError> {
        let _ = complete;
        self.flush()
    }

    /// What became of the alerts so far.
    fn counters(&self) -> SinkCounters;

    /// What came up since this was asked last, for people.
    fn take_notes(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// Opens a target.
///
/// # Errors
/// When it cannot be opened.
pub fn open(target: &AlertTarget, options: &SinkOptions, existing: Existing) -> Result<Box<dyn Sink>, SinkError> {
    let failed = |cause| SinkError::Open { name: target.to_string(), cause };
    Ok(match target {
        AlertTarget::Stdout => Box::new(stream::StreamSink::stdout().map_err(failed)?),
        AlertTarget::Unix(path) => Box::new(stream::StreamSink::unix(path).map_err(failed)?),
        AlertTarget::File(path) if existing == Existing::Resume => {
            Box::new(resume::ResumedFile::open(path).map_err(failed)?)
        }
        AlertTarget::File(path) => {
            Box::new(file::FileSink::open(path, existing, options.rotation.clone()).map_err(failed)?)
        }
        AlertTarget::Syslog(target) => Box::new(syslog::SyslogSink::open(target).map_err(failed)?),
        AlertTarget::Journald(path) => Box::new(journald::JournalSink::open(path).map_err(failed)?),
        AlertTarget::Http(target) => Box::new(http::HttpSink::open(target, &options.http, existing)?),
    })
}
