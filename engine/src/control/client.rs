//! The asking side: one request, one answer.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::protocol::{Request, Response};
use super::{CLIENT_TIME, MAX_RESPONSE};

/// Why there is no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Nobody listens there.
    #[error("no engine answers at {}: {cause}", path.display())]
    Connect {
        /// The path.
        path: PathBuf,
        /// The operating system's answer.
        cause: io::Error,
    },
    /// The connection broke.
    #[error("the engine at {} did not answer: {cause}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The operating system's answer.
        cause: io::Error,
    },
    /// Whoever answers is no engine of this version.
    #[error("the answer from {} is not understood: {reason}", path.display())]
    Answer {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The engine refuses.
    #[error("{0}")]
    Refused(String),
}

/// Asks the engine that listens on `path`.
///
/// # Errors
/// When none listens or answers, or it says no.
pub fn ask(path: &Path, request: &Request) -> Result<Response, ControlError> {
    let path_of = || path.to_owned();
    let broke = |cause| ControlError::Io { path: path_of(), cause };
    let wrong = |reason: String| ControlError::Answer { path: path_of(), reason };
    let mut stream = UnixStream::connect(path).map_err(|cause| ControlError::Connect { path: path_of(), cause })?;
    stream
        .set_read_timeout(Some(CLIENT_TIME.max(request.answer_time() + CLIENT_TIME / 2)))
        .and_then(|()| stream.set_write_timeout(Some(CLIENT_TIME)))
        .map_err(broke)?;
    let mut line = serde_json::to_vec(request).map_err(|error| broke(error.into()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(broke)?;
    let mut answer = Vec::new();
    BufReader::new(stream.take(MAX_RESPONSE)).read_until(b'\n', &mut answer).map_err(broke)?;
    if answer.is_empty() {
        return Err(broke(io::ErrorKind::UnexpectedEof.into()));
    }
    let response: Response = serde_json::from_slice(&answer).map_err(|error| wrong(error.to_string()))?;
    match (response.ok, response.error) {
        (true, None) => Ok(Response { error: None, ..response }),
        (_, Some(error)) => Err(ControlError::Refused(error)),
        (false, None) => Err(wrong("it says no and not why".to_owned())),
    }
}
