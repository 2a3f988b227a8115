//! Standard output and unix sockets: a line for each alert.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{Sink, SinkCounters, SinkError};

/// How long a unix socket may take none of what is written to it.
const SOCKET_PATIENCE: Duration = Duration::from_secs(10);

/// Writes lines to a stream.
pub(super) struct StreamSink {
    name: String,
    stdout: bool,
    out: BufWriter<Box<dyn Write + Send>>,
    buffered: u64,
    written: u64,
}

impl StreamSink {
    /// Standard output; not `io::stdout()` itself, which would write line by line.
    pub(super) fn stdout() -> io::Result<StreamSink> {
        let fd = io::stdout().as_fd().try_clone_to_owned()?;
        Ok(StreamSink { stdout: true, ..StreamSink::new("standard output", Box::new(File::from(fd))) })
    }

    /// A socket on which somebody listens.
    pub(super) fn unix(path: &Path) -> io::Result<StreamSink> {
        let stream = UnixStream::connect(path)?;
        stream.set_write_timeout(Some(SOCKET_PATIENCE))?;
        Ok(StreamSink::new(&format!("the socket {}", path.display()), Box::new(stream)))
    }

    /// A sink that writes to `out`; `name` is what messages call it.
    pub(super) fn new(name: &str, out: Box<dyn Write + Send>) -> StreamSink {
        let out = BufWriter::with_capacity(64 << 10, out);
        StreamSink { name: name.to_owned(), stdout: false, out, buffered: 0, written: 0 }
    }

    fn failed(&self, cause: io::Error) -> SinkError {
        match cause.kind() {
            ErrorKind::BrokenPipe if self.stdout => SinkError::ReaderGone,
            _ => SinkError::Write { name: self.name.clone(), cause },
        }
    }
}

impl Sink for StreamSink {
    fn write(&mut self, line: &str) -> Result<(), SinkError> {
        self.buffered += 1;
        let taken = self.out.write_all(line.as_bytes()).and_then(|()| self.out.write_all(b"\n"));
        taken.map_err(|error| self.failed(error))
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.out.flush().map_err(|error| self.failed(error))?;
        self.written += std::mem::take(&mut self.buffered);
        Ok(())
    }

    fn counters(&self) -> SinkCounters {
        SinkCounters { written: self.written, ..SinkCounters::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_that_is_full_says_so() {
        let full = File::options().write(true).open("/dev/full").expect("every Linux has /dev/full");
        let mut sink = StreamSink::new("/dev/full", Box::new(full));
        sink.write("{}").expect("the buffer takes it");
        let error = sink.flush().expect_err("nothing fits into /dev/full");
        assert!(error.to_string().starts_with("cannot write alerts to /dev/full: No space left"), "{error}");
        assert_eq!(sink.counters().written, 0);
    }
}
