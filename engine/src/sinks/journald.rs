//! The journal of systemd, by its native protocol: a datagram of fields for each alert.
//!
//! `MESSAGE` (the alert's message), `PRIORITY` (the rule's severity as syslog numbers it), `SYSLOG_IDENTIFIER`,
//! `KESTREL_RULE_ID`, `KESTREL_ALERT_ID` and `KESTREL_ALERT`, the whole line. What is too long for a datagram goes through a
//! sealed memory file, as the protocol has it, so that nothing is cut.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::head::AlertHead;
use super::{AlertTarget, Sink, SinkCounters, SinkError};

/// How long the journal may take none of what is sent to it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends alerts to the journal.
pub(super) struct JournalSink {
    path: PathBuf,
    socket: UnixDatagram,
    entry: Vec<u8>,
    counters: SinkCounters,
}

impl JournalSink {
    pub(super) fn open(path: &Path) -> io::Result<JournalSink> {
        let socket = connect(path)?;
        Ok(JournalSink { path: path.to_owned(), socket, entry: Vec::new(), counters: SinkCounters::default() })
    }

    fn compose(&mut self, line: &str) {
        let head = AlertHead::read(line);
        let priority = head.priority().to_string();
        self.entry.clear();
        for (name, value) in [
            ("MESSAGE", head.message.as_ref()),
            ("PRIORITY", &priority),
            ("SYSLOG_IDENTIFIER", "kestrel-engine"),
            ("KESTREL_RULE_ID", &head.rule.id),
            ("KESTREL_ALERT_ID", &head.event.id),
            ("KESTREL_ALERT", line),
        ] {
            field(&mut self.entry, name, value);
        }
    }

    /// Sends the entry; when the journal was restarted, once more over a new socket.
    fn send(&mut self) -> io::Result<()> {
        match send(&self.socket, &self.entry) {
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionRefused | ErrorKind::NotConnected | ErrorKind::ConnectionReset
                ) =>
            {
                self.socket = connect(&self.path)?;
                send(&self.socket, &self.entry)
            }
            other => other,
        }
    }
}

impl Sink for JournalSink {
    fn write(&mut self, line: &str) -> Result<(), SinkError> {
        self.compose(line);
        let sent = self.send();
        sent.map_err(|cause| SinkError::Write { name: AlertTarget::Journald(self.path.clone()).to_string(), cause })?;
        self.counters.written += 1;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn counters(&self) -> SinkCounters {
        self.counters
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// A field: `NAME=value`, or its length in binary where the value has line ends.
fn field(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

fn send(socket: &UnixDatagram, entry: &[u8]) -> io::Result<()> {
    let too_long = [rustix::io::Errno::MSGSIZE, rustix::io::Errno::NOBUFS].map(rustix::io::Errno::raw_os_error);
    match socket.send(entry) {
        Ok(_) => Ok(()),
        Err(error) if error.raw_os_error().is_some_and(|code| too_long.contains(&code)) => send_file(socket, entry),
        Err(error) => Err(error),
    }
}

/// Hands the entry over in a memory file that nobody can change any more.
fn send_file(socket: &UnixDatagram, entry: &[u8]) -> io::Result<()> {
    let memory = memfd_create("kestrel-alert", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(memory);
    file.write_all(entry)?;
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [file.as_fd()];
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("there is no room to hand a file over"));
    }
    sendmsg(socket, &[IoSlice::new(&[])], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}
