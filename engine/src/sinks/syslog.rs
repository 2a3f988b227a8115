//! Syslog: a message of RFC 5424 for each alert, the alert as its text.
//!
//! ```text
//! <133>1 2026-11-21T08:00:00.000Z web-1 kestrel-engine 4711 ALERT [kestrel@32473 rule="…" id="…"] {"@timestamp":…}
//! ```
//!
//! The time is that of the alert; facility `local0`, the severity is the rule's: critical 2, high 3, medium 4, low 5, none 6.
//! Over UDP a message is cut at 8,192 bytes, on a socket of datagrams at what the kernel takes; both are counted. Streams
//! carry whole messages: octet-counted over TCP (RFC 6587), a line each on a unix socket.

use std::io::{self, ErrorKind, Write};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::time::Duration;

use super::head::AlertHead;
use super::{AlertTarget, Sink, SinkCounters, SinkError, SyslogTarget};

/// `local0`.
const FACILITY: u8 = 16;
/// The longest message over UDP: what receivers are asked to take at least is 2,048 bytes, most take this.
const MAX_DATAGRAM: usize = 8192;
/// The least that is left of a message that a socket finds too long.
const MIN_DATAGRAM: usize = 480;
/// How long a receiver may take none of what is written to it.
const PATIENCE: Duration = Duration::from_secs(10);

enum Transport {
    Datagram(UnixDatagram),
    Stream(UnixStream),
    Udp(UdpSocket),
    Tcp(TcpStream),
}

/// Sends alerts to a syslog.
pub(super) struct SyslogSink {
    target: SyslogTarget,
    transport: Transport,
    host: String,
    message: String,
    counters: SinkCounters,
}

impl SyslogSink {
    pub(super) fn open(target: &SyslogTarget) -> io::Result<SyslogSink> {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host: String = host.trim().chars().filter(char::is_ascii_graphic).take(255).collect();
        Ok(SyslogSink {
            target: target.clone(),
            transport: Transport::open(target)?,
            host: if host.is_empty() { "-".to_owned() } else { host },
            message: String::new(),
            counters: SinkCounters::default(),
        })
    }

    fn compose(&mut self, line: &str) {
        let head = AlertHead::read(line);
        let stamp = if head.timestamp.is_empty() { "-".to_owned() } else { micros(&head.timestamp) };
        let (priority, host, process) = (FACILITY * 8 + head.priority(), &self.host, std::process::id());
        let (rule, id) = (parameter(&head.rule.id), parameter(&head.event.id));
        self.message = format!(
            "<{priority}>1 {stamp} {host} kestrel-engine {process} ALERT [kestrel@32473 rule=\"{rule}\" id=\"{id}\"] {line}"
        );
    }

    /// Sends the message; over a connection that broke, once more over a new one.
    fn send(&mut self) -> io::Result<()> {
        match self.transport.send(&self.message) {
            Ok(truncated) => {
                self.counters.truncated += u64::from(truncated);
                return Ok(());
            }
            Err(error) if is_gone(&error) => self.transport = Transport::open(&self.target)?,
            Err(error) => return Err(error),
        }
        self.counters.truncated += u64::from(self.transport.send(&self.message)?);
        Ok(())
    }
}

impl Sink for SyslogSink {
    fn write(&mut self, line: &str) -> Result<(), SinkError> {
        self.compose(line);
        match self.send() {
            Ok(()) => self.counters.written += 1,
            Err(cause) => {
                let name = AlertTarget::Syslog(self.target.clone()).to_string();
                return Err(SinkError::Write { name, cause });
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn counters(&self) -> SinkCounters {
        self.counters
    }
}

impl Transport {
    fn open(target: &SyslogTarget) -> io::Result<Transport> {
        match target {
            SyslogTarget::Unix(path) => unix(path),
            SyslogTarget::Udp(address) => {
                let address = resolve(address)?;
                let own = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(own)?;
                socket.connect(address)?;
                Ok(Transport::Udp(socket))
            }
            SyslogTarget::Tcp(address) => {
                let stream = TcpStream::connect_timeout(&resolve(address)?, PATIENCE)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(Transport::Tcp(stream))
            }
        }
    }

    /// Sends a message; tells whether it was cut.
    fn send(&mut self, message: &str) -> io::Result<bool> {
        match self {
            Transport::Datagram(socket) => datagram(message, usize::MAX, |bytes| socket.send(bytes)),
            Transport::Udp(socket) => datagram(message, MAX_DATAGRAM, |bytes| socket.send(bytes)),
            Transport::Stream(stream) => stream.write_all(format!("{message}\n").as_bytes()).map(|()| false),
            Transport::Tcp(stream) => {
                stream.write_all(format!("{} {message}", message.len()).as_bytes()).map(|()| false)
            }
        }
    }
}

fn unix(path: &Path) -> io::Result<Transport> {
    let socket = UnixDatagram::unbound()?;
    match socket.connect(path) {
        Ok(()) => {
            socket.set_write_timeout(Some(PATIENCE))?;
            Ok(Transport::Datagram(socket))
        }
        // The socket is one of streams.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PROTOTYPE.raw_os_error()) => {
            let stream = UnixStream::connect(path)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(Transport::Stream(stream))
        }
        Err(error) => Err(error),
    }
}

fn resolve(address: &str) -> io::Result<std::net::SocketAddr> {
    let first = address.to_socket_addrs()?.next();
    first.ok_or_else(|| io::Error::new(ErrorKind::NotFound, "the host has no address"))
}

/// Sends as much of a message as fits into `most` bytes and into what the kernel takes; tells whether it was cut.
fn datagram(message: &str, most: usize, send: impl Fn(&[u8]) -> io::Result<usize>) -> io::Result<bool> {
    let mut length = message.floor_char_boundary(most);
    loop {
        let too_long = match send(message.get(..length).unwrap_or(message).as_bytes()) {
            Ok(_) => return Ok(length < message.len()),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error()) => error,
            Err(error) => return Err(error),
        };
        length = message.floor_char_boundary(length / 2);
        if length < MIN_DATAGRAM {
            return Err(too_long);
        }
    }
}

/// Whether the other side may be there again on a new connection: a syslog that was restarted.
fn is_gone(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionRefused | ConnectionReset | NotConnected)
}

/// A time with at most six decimals, which is what the RFC allows.
fn micros(stamp: &str) -> String {
    match stamp.split_once('.') {
        Some((whole, rest)) if rest.len() > 7 => {
            let decimals: String = rest.chars().take_while(char::is_ascii_digit).take(6).collect();
            format!("{whole}.{decimals}Z")
        }
        _ => stamp.to_owned(),
    }
}

/// The value of a parameter: what would end it is escaped, control characters are left out.
fn parameter(value: &str) -> String {
    let mut escaped = String::new();
    for character in value.chars().filter(|character| !character.is_control()) {
        if matches!(character, '"' | '\\' | ']') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_times_keep_to_the_rfc() {
        assert_eq!(parameter("a]\"\\\n"), "a\\]\\\"\\\\");
        assert_eq!(micros("2026-11-21T08:00:00.123456789Z"), "2026-11-21T08:00:00.123456Z");
        assert_eq!(micros("2026-11-21T08:00:00.000Z"), "2026-11-21T08:00:00.000Z");
    }

    #[test]
    fn a_message_is_cut_between_characters_until_it_fits() {
        let message = "é".repeat(1000);
        let sent = std::cell::Cell::new(0);
        let send = |bytes: &[u8]| {
            let too_long = Err(rustix::io::Errno::MSGSIZE.into());
            sent.set(bytes.len());
            if bytes.len() > 701 { too_long } else { Ok(bytes.len()) }
        };
        assert!(datagram(&message, 1999, send).expect("it is sent"));
        assert!(std::str::from_utf8(&message.as_bytes()[..sent.get()]).is_ok() && sent.get() <= 701);
    }
}
