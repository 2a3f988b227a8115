//! Exec events from the kernel's audit subsystem, where there is no eBPF.
//!
//! Goes in: what the kernel sends to the multicast group of audit's readers. Comes out: the execs among it. This only
//! listens: a daemon such as auditd goes on undisturbed, and nothing is left behind whatever happens. So somebody else must
//! have told the kernel to audit execs; when nobody has, the error says how.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::net::netlink::{AUDIT, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto, socket_with, sockopt,
};

use super::LiveError;

mod text;

pub(super) use text::{AuditExec, Events};

/// `AUDIT_NLGRP_READLOG`, as a bit.
const READERS: u32 = 1;
/// Requests and their answers (include/uapi/linux/audit.h).
const GET_STATUS: u16 = 1000;
const LIST_RULES: u16 = 1013;
const HEAD: usize = 16;
/// No message of audit is longer.
const MESSAGE_LIMIT: usize = 16 << 10;
/// Answers of one request that are read.
const ANSWERS: usize = 4_096;
/// How long the kernel may take to answer; it answers at once.
const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// Room for messages on their way.
const RECEIVE_BUFFER: usize = 8 << 20;
/// Messages that one look takes at most.
const BATCH: usize = 4_096;

const HOW: &str = "auditing of execs must be on: `auditctl -e 1`, and `auditctl -a always,exit -F arch=b64 -S execve,execveat`; \
     this process needs cap_audit_read";

/// A listener.
pub(super) struct Audit {
    socket: OwnedFd,
    pub(super) events: Events,
    buffer: Vec<u8>,
    /// Times the kernel had to throw messages away.
    pub(super) overflows: u64,
}

impl Audit {
    /// Begins to listen, if there is something to be heard.
    pub(super) fn open() -> Result<Self, LiveError> {
        let refused =
            |what: &str, error: io::Error| LiveError::fallback("audit", &format!("{what}; {HOW}"), error.into());
        let group = netlink(READERS).map_err(|error| refused("its messages cannot be read", error))?;
        // Without privilege this cannot be asked; then what comes, comes.
        if let Ok(answers) = request(GET_STATUS, &[]) {
            let enabled = answers.first().and_then(|answer| u32_at(answer, 4)).unwrap_or(0);
            if enabled == 0 {
                return Err(refused("it is switched off", io::ErrorKind::NotConnected.into()));
            }
            let rules = request(LIST_RULES, &[]).unwrap_or_default();
            if !rules.iter().any(|rule| audits_exec(rule)) {
                return Err(refused("no rule says that execs are to be audited", io::ErrorKind::NotFound.into()));
            }
        }
        // A larger buffer is a wish; the kernel's limit holds.
        let _ = sockopt::set_socket_recv_buffer_size_force(&group, RECEIVE_BUFFER);
        Ok(Audit { socket: group, events: Events::default(), buffer: vec![0; MESSAGE_LIMIT], overflows: 0 })
    }

    /// Gives the execs that have come; how many messages were read.
    pub(super) fn read(&mut self, each: &mut dyn FnMut(AuditExec)) -> io::Result<usize> {
        let mut count = 0;
        while count < BATCH {
            let length = match recv(&self.socket, &mut *self.buffer, RecvFlags::DONTWAIT) {
                Ok((length, _)) => length,
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::NOBUFS) => {
                    self.overflows += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            count += 1;
            // One message a datagram.
            let message = self.buffer.get(..length).unwrap_or_default();
            let Some((kind, text)) = u16_at(message, 4).zip(message.get(HEAD..)) else { continue };
            if let Some(exec) = self.events.record(kind, text) {
                each(exec);
            }
        }
        Ok(count)
    }
}

impl AsFd for Audit {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn netlink(groups: u32) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(AUDIT))?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

/// Asks the kernel something, and gives the payloads of its answers.
pub(super) fn request(kind: u16, payload: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    /// `NLM_F_REQUEST | NLM_F_ACK`.
    const FLAGS: u16 = 1 | 4;
    const ERROR: u16 = 2;
    const DONE: u16 = 3;
    let socket = netlink(0)?;
    let mut message = ((HEAD + payload.len()) as u32).to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(FLAGS.to_ne_bytes());
    message.extend(1_u32.to_ne_bytes());
    message.extend(0_u32.to_ne_bytes());
    message.extend_from_slice(payload);
    sendto(&socket, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(ANSWER_WAIT))?;
    let (mut answers, begun) = (Vec::new(), Instant::now());
    let mut acknowledged = false;
    let mut buffer = vec![0; MESSAGE_LIMIT];
    while answers.len() < ANSWERS && begun.elapsed() < ANSWER_WAIT {
        let (length, _) = recv(&socket, &mut *buffer, RecvFlags::empty())?;
        let answer = buffer.get(..length).unwrap_or_default();
        match u16_at(answer, 4) {
            Some(ERROR) => match u32_at(answer, HEAD) {
                Some(0) => acknowledged = true,
                error => return Err(io::Error::from_raw_os_error((error.unwrap_or(0) as i32).saturating_neg())),
            },
            Some(DONE) => break,
            Some(answered) if answered == kind => {
                answers.push(answer.get(HEAD..).unwrap_or_default().to_vec());
            }
            _ => {}
        }
        // A list ends with DONE; of a status there is one, and whatever changes something has none.
        let complete = match kind {
            LIST_RULES => false,
            GET_STATUS => !answers.is_empty(),
            _ => acknowledged,
        };
        if complete {
            break;
        }
    }
    Ok(answers)
}

/// Whether a rule (`struct audit_rule_data`) is for the ends of calls, asks for records, and is about exec.
fn audits_exec(rule: &[u8]) -> bool {
    const FILTER_EXIT: u32 = 4;
    const ALWAYS: u32 = 2;
    #[cfg(target_arch = "x86_64")]
    const CALLS: [usize; 2] = [59, 322];
    #[cfg(not(target_arch = "x86_64"))]
    const CALLS: [usize; 2] = [221, 281];
    let has = |call: usize| u32_at(rule, 12 + call / 32 * 4).is_some_and(|word| word >> (call % 32) & 1 == 1);
    u32_at(rule, 0).map(|flags| flags & 0x7) == Some(FILTER_EXIT)
        && u32_at(rule, 4) == Some(ALWAYS)
        && CALLS.into_iter().any(has)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}
