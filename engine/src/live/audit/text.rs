//! Reads the text of audit records, as far as they tell of an exec.
//!
//! Goes in: the payloads of audit messages, hostile bytes of which processes choose some. Comes out: an [`AuditExec`] when
//! all records of an event are there. Records of one event have one serial number and come one after the other, with those
//! of other events in between:
//!
//! ```text
//! SYSCALL  audit(1700000000.123:456): arch=c000003e syscall=59 success=yes … ppid=1 pid=2 … euid=0 … exe="/bin/true"
//! EXECVE   audit(1700000000.123:456): argc=3 a0="true" a1=206120 a2_len=9000 a2[0]=41…
//! CWD      audit(1700000000.123:456): cwd="/root"
//! EOE      audit(1700000000.123:456):
//! ```
//!
//! A text stands in quotes, or in hexadecimal if it has quotes, blanks or odd bytes of its own.

use std::collections::BTreeMap;

use kestrel_bpf::layout::ARGUMENTS_LIMIT;

/// Types of audit messages (include/uapi/linux/audit.h).
pub(super) const SYSCALL: u16 = 1300;
const CWD: u16 = 1307;
const EXECVE: u16 = 1309;
const END: u16 = 1320;

/// Events that are not complete; the oldest give way.
const PENDING_LIMIT: usize = 1_024;
/// Arguments that are kept of one exec.
const ARGUMENT_COUNT: usize = 8_192;

/// An exec.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::live) struct AuditExec {
    /// Milliseconds since 1970.
    pub(in crate::live) time: u64,
    pub(in crate::live) pid: u32,
    pub(in crate::live) parent: u32,
    /// Real, effective, saved.
    pub(in crate::live) users: [u32; 3],
    pub(in crate::live) groups: [u32; 3],
    pub(in crate::live) comm: Vec<u8>,
    /// What runs now, with its path.
    pub(in crate::live) executable: Vec<u8>,
    pub(in crate::live) directory: Vec<u8>,
    /// In order, as far as they are kept.
    pub(in crate::live) arguments: Vec<Vec<u8>>,
    /// How many there were.
    pub(in crate::live) argument_count: u32,
    /// Whether some were cut.
    pub(in crate::live) cut: bool,
    bytes: usize,
    succeeded: bool,
    is_exec: bool,
}

/// Puts events together.
#[derive(Debug, Default)]
pub(in crate::live) struct Events {
    pending: BTreeMap<u64, AuditExec>,
    /// Events that gave way before they were complete, and records that could not be read.
    pub(in crate::live) lost: u64,
}

impl Events {
    /// Takes in one record; gives the exec that it completes.
    pub(in crate::live) fn record(&mut self, kind: u16, text: &[u8]) -> Option<AuditExec> {
        if !matches!(kind, SYSCALL | EXECVE | CWD | END) {
            return None;
        }
        let Some((time, serial, rest)) = head(text) else {
            self.lost += 1;
            return None;
        };
        if kind == END {
            return self.pending.remove(&serial).filter(|exec| exec.is_exec && exec.succeeded && exec.pid != 0);
        }
        // Most events of a host with rules of its own are no execs: those begin with the call.
        if kind == SYSCALL {
            if !is_exec_call(rest) {
                return None;
            }
            if self.pending.len() >= PENDING_LIMIT && self.pending.pop_first().is_some() {
                self.lost += 1;
            }
            self.pending.insert(serial, AuditExec { time, ..AuditExec::default() });
        }
        let exec = self.pending.get_mut(&serial)?;
        for (key, value) in pairs(rest) {
            match kind {
                SYSCALL => exec.call(key, value),
                EXECVE => exec.argument(key, value),
                _ if key == b"cwd" => exec.directory = decoded(value),
                _ => {}
            }
        }
        exec.is_exec |= kind == EXECVE;
        None
    }
}

/// execve and execveat of x86-64, and of the architectures with the generic numbers.
fn is_exec_call(text: &[u8]) -> bool {
    let value = |name: &[u8]| pairs(text).find(|(key, _)| *key == name).map(|(_, value)| value);
    match value(b"arch") {
        Some(b"c000003e") => matches!(value(b"syscall"), Some(b"59" | b"322")),
        Some(b"40000003") => matches!(value(b"syscall"), Some(b"11" | b"358")),
        _ => matches!(value(b"syscall"), Some(b"221" | b"281")),
    }
}

impl AuditExec {
    fn call(&mut self, key: &[u8], value: &[u8]) {
        let number = || std::str::from_utf8(value).ok().and_then(|text| text.parse::<u32>().ok()).unwrap_or(u32::MAX);
        match key {
            b"success" => self.succeeded = value == b"yes",
            b"pid" => self.pid = number(),
            b"ppid" => self.parent = number(),
            b"uid" => self.users[0] = number(),
            b"euid" => self.users[1] = number(),
            b"suid" => self.users[2] = number(),
            b"gid" => self.groups[0] = number(),
            b"egid" => self.groups[1] = number(),
            b"sgid" => self.groups[2] = number(),
            b"comm" => self.comm = decoded(value),
            b"exe" => self.executable = decoded(value),
            _ => {}
        }
    }

    /// `a3="text"`, or `a3[1]=…` for a part of a long one.
    fn argument(&mut self, key: &[u8], value: &[u8]) {
        let digits = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| text.parse::<usize>().ok());
        if key == b"argc" {
            self.argument_count = digits(value).and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
            return;
        }
        let Some(name) = key.strip_prefix(b"a") else { return };
        let name = name.split(|&byte| byte == b'[').next().unwrap_or(name);
        let Some(index) = digits(name) else { return };
        let text = decoded(value);
        if index >= ARGUMENT_COUNT || self.bytes + text.len() + 1 > ARGUMENTS_LIMIT {
            self.cut = true;
            return;
        }
        if self.arguments.len() <= index {
            self.arguments.resize(index + 1, Vec::new());
        }
        self.bytes += text.len() + 1;
        if let Some(argument) = self.arguments.get_mut(index) {
            argument.extend_from_slice(&text);
        }
    }
}

/// `audit(SECONDS.MILLISECONDS:SERIAL): ` in milliseconds, the number, and what follows.
fn head(text: &[u8]) -> Option<(u64, u64, &[u8])> {
    let text = text.strip_prefix(b"audit(")?;
    let close = text.iter().position(|&byte| byte == b')')?;
    let (inside, rest) = text.split_at_checked(close)?;
    let inside = std::str::from_utf8(inside).ok()?;
    let (time, serial) = inside.split_once(':')?;
    let (seconds, milliseconds) = time.split_once('.')?;
    let milliseconds = milliseconds.parse::<u64>().ok().filter(|&milliseconds| milliseconds < 1_000)?;
    let time = seconds.parse::<u64>().ok()?.checked_mul(1_000)?.checked_add(milliseconds)?;
    Some((time, serial.parse().ok()?, rest.strip_prefix(b"):").unwrap_or(rest)))
}

/// The pairs of a record. A value in quotes may have blanks; it has no quotes of its own.
fn pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let begin = rest.iter().position(|&byte| !byte.is_ascii_whitespace() && byte != 0)?;
            rest = rest.get(begin..)?;
            let end = rest.iter().position(|&byte| byte == b'=' || byte.is_ascii_whitespace() || byte == 0);
            let (key, behind) = rest.split_at_checked(end?)?;
            let Some(value) = behind.strip_prefix(b"=") else {
                rest = behind;
                continue;
            };
            let quoted = value.first() == Some(&b'"');
            let is_end = |&byte: &u8| if quoted { byte == b'"' } else { byte.is_ascii_whitespace() || byte == 0 };
            let from = usize::from(quoted);
            let length = value.get(from..)?.iter().position(is_end).map_or(value.len(), |at| at + from + from);
            let (value, behind) = value.split_at_checked(length.min(value.len()))?;
            rest = behind;
            return Some((key, value));
        }
    })
}

/// The bytes that a value stands for.
fn decoded(value: &[u8]) -> Vec<u8> {
    if let Some(quoted) = value.strip_prefix(b"\"") {
        return quoted.strip_suffix(b"\"").unwrap_or(quoted).to_vec();
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes: Option<Vec<u8>> = value
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => Some((digit(high)? << 4 | digit(low)?) as u8),
            _ => None,
        })
        .collect();
    // `(null)`, and what else is no hexadecimal.
    bytes.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: &[u8] = b"audit(1700000000.123:456): arch=c000003e syscall=59 success=yes exit=0 a0=55 items=2 ppid=11 pid=22 \
        auid=4294967295 uid=1000 gid=100 euid=0 suid=0 fsuid=0 egid=100 sgid=100 fsgid=100 tty=(none) ses=1 comm=\"my prog\" \
        exe=2F746D702F6120622F7472C3BC65 key=(null)";

    #[test]
    fn an_exec_is_put_together_from_its_records() {
        let mut events = Events::default();
        assert_eq!(events.record(SYSCALL, CALL), None);
        let arguments = b"audit(1700000000.123:456): argc=4 a0=\"true\" a1=206122 a2=\"\" a3_len=4 a3[0]=4142";
        assert_eq!(events.record(EXECVE, arguments), None);
        assert_eq!(events.record(EXECVE, b"audit(1700000000.123:456): a3[1]=4344\0"), None);
        assert_eq!(events.record(CWD, b"audit(1700000000.123:456): cwd=\"/home/a b\""), None);
        assert_eq!(events.record(1302, b"audit(1700000000.123:456): item=0 name=\"/x\""), None);
        let exec = events.record(END, b"audit(1700000000.123:456): ").expect("complete");
        assert_eq!((exec.time, exec.pid, exec.parent), (1_700_000_000_123, 22, 11));
        assert_eq!((exec.users, exec.groups), ([1000, 0, 0], [100, 100, 100]));
        assert_eq!((exec.comm.as_slice(), exec.executable.as_slice()), (&b"my prog"[..], "/tmp/a b/trüe".as_bytes()));
        assert_eq!(exec.arguments, [&b"true"[..], b" a\"", b"", b"ABCD"]);
        assert_eq!((exec.argument_count, exec.cut), (4, false));
        assert_eq!(exec.directory, b"/home/a b");
        assert!(events.pending.is_empty());
    }

    #[test]
    fn what_is_no_exec_or_failed_gives_nothing() {
        let mut events = Events::default();
        let text = |call: &str| String::from_utf8_lossy(CALL).replace("syscall=59", call).into_bytes();
        events.record(SYSCALL, &text("syscall=2"));
        assert!(events.pending.is_empty());
        let failed = String::from_utf8_lossy(CALL).replace("success=yes", "success=no").into_bytes();
        events.record(SYSCALL, &failed);
        events.record(EXECVE, b"audit(1700000000.123:456): argc=0");
        assert_eq!(events.record(END, b"audit(1700000000.123:456): "), None);
    }

    #[test]
    fn what_waits_and_what_is_kept_is_limited() {
        let mut events = Events::default();
        for serial in 0..3_000 {
            let text = String::from_utf8_lossy(CALL).replace(":456", &format!(":{serial}")).into_bytes();
            events.record(SYSCALL, &text);
        }
        assert_eq!((events.pending.len(), events.lost), (PENDING_LIMIT, 3_000 - PENDING_LIMIT as u64));
        let long =
            format!("audit(1700000000.123:2999): argc=3 a0=\"{}\" a999999999=\"x\"", "y".repeat(ARGUMENTS_LIMIT));
        events.record(EXECVE, long.as_bytes());
        let exec = events.record(END, b"audit(1700000000.123:2999): ").expect("complete");
        assert!(exec.cut && exec.arguments.is_empty());
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let sound = [CALL, b" a0=\"x\" a1[0]=41 argc=2"].concat();
        for at in 0..sound.len() {
            for value in [0, b'"', b'=', b' ', b'(', 0xff] {
                let mut bytes = sound.clone();
                bytes[at] = value;
                let mut events = Events::default();
                for kind in [SYSCALL, EXECVE, CWD, END] {
                    events.record(kind, &bytes);
                    events.record(kind, &bytes[..at]);
                }
            }
        }
    }
}
