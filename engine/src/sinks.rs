//! Where alerts go: standard output, a file, a unix socket. One line of JSON each.
//!
//! A sink that fails ends the run: an engine that cannot tell anybody is not to look as if all were well. That is the
//! caller's part; here a failure is an error, and a reader of standard output that went away is told apart from it.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// How long a unix socket may take none of what is written to it.
const SOCKET_PATIENCE: Duration = Duration::from_secs(10);

/// Where alerts go, as `--alerts` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertTarget {
    /// `-`.
    Stdout,
    /// A path.
    File(PathBuf),
    /// `unix:PATH`: a socket on which somebody listens.
    Unix(PathBuf),
}

/// A word that names no target.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("alerts to `{word}` are not in this version, use `-`, a file or `unix:PATH`")]
pub struct UnknownTarget {
    /// The word.
    pub word: String,
}

impl FromStr for AlertTarget {
    type Err = UnknownTarget;

    fn from_str(word: &str) -> Result<AlertTarget, UnknownTarget> {
        let reserved = ["http:", "https:", "syslog:", "journald:", "tcp:", "udp:"];
        match word.strip_prefix("unix:") {
            Some(path) if !path.is_empty() => Ok(AlertTarget::Unix(path.into())),
            None if word == "-" => Ok(AlertTarget::Stdout),
            None if !word.is_empty() && !reserved.iter().any(|scheme| word.starts_with(scheme)) => {
                Ok(AlertTarget::File(word.into()))
            }
            _ => Err(UnknownTarget { word: word.to_owned() }),
        }
    }
}

/// What happens to a file that is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is replaced: a replay's result.
    Replace,
    /// It is added to: a live run's.
    Append,
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
}

/// Takes alerts, a line each.
pub struct AlertSink {
    name: String,
    stdout: bool,
    out: BufWriter<Box<dyn Write + Send>>,
    buffered: u64,
    written: u64,
}

impl AlertSink {
    /// Opens a target.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(target: &AlertTarget, existing: Existing) -> Result<AlertSink, SinkError> {
        let name = match target {
            AlertTarget::Stdout => "standard output".to_owned(),
            AlertTarget::File(path) => path.display().to_string(),
            AlertTarget::Unix(path) => format!("the socket {}", path.display()),
        };
        let opened: io::Result<Box<dyn Write + Send>> = match target {
            // Not `io::stdout()` itself, which would write line by line.
            AlertTarget::Stdout => io::stdout().as_fd().try_clone_to_owned().map(|fd| Box::new(File::from(fd)) as _),
            AlertTarget::File(path) => {
                let mut options = File::options();
                match existing {
                    Existing::Replace => options.write(true).truncate(true),
                    Existing::Append => options.append(true),
                };
                // Alerts show command lines, and these hold secrets.
                options.create(true).mode(0o640).open(path).map(|file| Box::new(file) as _)
            }
            AlertTarget::Unix(path) => UnixStream::connect(path)
                .and_then(|stream| stream.set_write_timeout(Some(SOCKET_PATIENCE)).map(|()| Box::new(stream) as _)),
        };
        match opened {
            Ok(out) => Ok(AlertSink { stdout: *target == AlertTarget::Stdout, ..AlertSink::new(&name, out) }),
            Err(cause) => Err(SinkError::Open { name, cause }),
        }
    }

    /// A sink that writes to `out`; `name` is what messages call it.
    pub fn new(name: &str, out: Box<dyn Write + Send>) -> AlertSink {
        let out = BufWriter::with_capacity(64 << 10, out);
        AlertSink { name: name.to_owned(), stdout: false, out, buffered: 0, written: 0 }
    }

    /// Takes an alert, which is written when the buffer is full or with the next [`AlertSink::flush`].
    ///
    /// # Errors
    /// When the buffer is full and cannot be written.
    pub fn write_line(&mut self, line: &str) -> Result<(), SinkError> {
        self.buffered += 1;
        let taken = self.out.write_all(line.as_bytes()).and_then(|()| self.out.write_all(b"\n"));
        taken.map_err(|error| self.failed(error))
    }

    /// Writes what was taken so far.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<(), SinkError> {
        self.out.flush().map_err(|error| self.failed(error))?;
        self.written += std::mem::take(&mut self.buffered);
        Ok(())
    }

    /// How many alerts are known to be written.
    pub fn written(&self) -> u64 {
        self.written
    }

    fn failed(&self, cause: io::Error) -> SinkError {
        match cause.kind() {
            ErrorKind::BrokenPipe if self.stdout => SinkError::ReaderGone,
            _ => SinkError::Write { name: self.name.clone(), cause },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_told_by_their_form() {
        for (word, expected) in [
            ("-", Some(AlertTarget::Stdout)),
            ("alerts.ndjson", Some(AlertTarget::File("alerts.ndjson".into()))),
            ("unix:/run/alerts.sock", Some(AlertTarget::Unix("/run/alerts.sock".into()))),
            ("unix:", None),
            ("https://siem.example/bulk", None),
            ("", None),
        ] {
            assert_eq!(word.parse().ok(), expected, "{word}");
        }
    }

    #[test]
    fn a_sink_that_is_full_says_so() {
        let full = File::options().write(true).open("/dev/full").expect("every Linux has /dev/full");
        let mut sink = AlertSink::new("/dev/full", Box::new(full));
        sink.write_line("{}").expect("the buffer takes it");
        let error = sink.flush().expect_err("nothing fits into /dev/full");
        assert!(error.to_string().starts_with("cannot write alerts to /dev/full: No space left"), "{error}");
        assert_eq!(sink.written(), 0);
    }
}
