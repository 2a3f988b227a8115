//! Reads the records that the kernel programs send.
//!
//! Goes in: the bytes of one ring buffer entry, which are treated as hostile. Comes out: a [`Record`] that borrows them,
//! or a [`RecordError`]. Every read is checked against the bytes that are there and every section against its limit;
//! nothing is copied, nothing panics. What the fields *mean* for an event is the engine's business.
//!
//! ```text
//! 0        32           160                    184               256
//! | header | task (128) | section lengths (24) | fixed part (72) | tail: section 0 | 1 | … | 5
//! ```
//!
//! What only one kind has is read in one file for each area: [`exec`] for the life of processes, [`process`] for what they
//! do to themselves and to each other, [`file`] for files, [`network`] for connections, sockets and lookups.

use crate::layout::{COMM_LIMIT, RECORD_VERSION, SECTIONS};

mod bytes;
mod encode;
pub mod exec;
pub mod file;
mod kind;
pub mod network;
mod parse;
pub mod process;
mod sections;

pub use exec::{Exec, Exit, Fork};
pub use file::{File, FileName, Original};
pub use kind::Kind;
pub use network::{Network, Role};
pub use process::{Bpf, Kill, Memfd, Memory, Module, Ptrace, Target};
pub use sections::{Arguments, ReversedPath, push_lossy};

/// What a record says about its own quality, as a bit set: three bits for each section, and some for the whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(pub u32);

impl Flags {
    /// The process's number or start time could not be read.
    pub const TASK_UNREADABLE: Flags = Flags(1 << 18);
    /// Something in the fixed part could not be read.
    pub const VALUE_UNREADABLE: Flags = Flags(1 << 19);

    /// No rule wants it: it came for the process table alone.
    pub const UPKEEP: Flags = Flags(1 << 20);

    /// Whether it came for the process table alone.
    pub fn upkeep(self) -> bool {
        self.0 & Flags::UPKEEP.0 != 0
    }

    /// What is said of one section.
    pub fn section(self, section: usize) -> SectionFlags {
        SectionFlags(if section < SECTIONS { self.0 >> (3 * section) & 7 } else { 0 })
    }

    /// This set, with `flags` said of one section.
    pub fn with_section(self, section: usize, flags: u32) -> Flags {
        Flags(if section < SECTIONS { self.0 | (flags & 7) << (3 * section) } else { self.0 })
    }

    /// Whether some section was cut.
    pub fn truncated(self) -> bool {
        (0..SECTIONS).any(|section| self.section(section).truncated())
    }

    /// Whether some value could not be read.
    pub fn unreadable(self) -> bool {
        let whole = Flags::TASK_UNREADABLE.0 | Flags::VALUE_UNREADABLE.0;
        self.0 & whole != 0 || (0..SECTIONS).any(|section| self.section(section).unreadable())
    }
}

/// What a record says about one of its sections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SectionFlags(pub u32);

impl SectionFlags {
    /// It was longer than its limit: a text lost its end, a path its beginning.
    pub const TRUNCATED: u32 = 1;
    /// It could not be read, or of a path only the end.
    pub const UNREADABLE: u32 = 2;
    /// The file has no name in the file system any more, or never had one (memfd).
    pub const UNLINKED: u32 = 4;

    /// See [`SectionFlags::TRUNCATED`].
    pub fn truncated(self) -> bool {
        self.0 & SectionFlags::TRUNCATED != 0
    }

    /// See [`SectionFlags::UNREADABLE`].
    pub fn unreadable(self) -> bool {
        self.0 & SectionFlags::UNREADABLE != 0
    }

    /// See [`SectionFlags::UNLINKED`].
    pub fn unlinked(self) -> bool {
        self.0 & SectionFlags::UNLINKED != 0
    }

    /// Whether a path arrived at the root.
    pub fn complete(self) -> bool {
        self.0 & (SectionFlags::TRUNCATED | SectionFlags::UNREADABLE) == 0
    }
}

/// When, where and how well an event was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What happened.
    pub kind: Kind,
    /// Nanoseconds since boot, time asleep included (`CLOCK_BOOTTIME`).
    pub timestamp: u64,
    /// Counts the records of one CPU from 1, sent or dropped; a gap is a loss.
    pub sequence: u64,
    /// The CPU it happened on.
    pub cpu: u32,
    /// What to know about the values.
    pub flags: Flags,
}

/// Who an event is about: for fork the child, for exit the process that ends, for all others who acts. Numbers are those
/// of the initial PID and user namespaces unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Task {
    /// When the process began, nanoseconds since boot (`CLOCK_BOOTTIME`); the same for its whole life.
    pub start_time: u64,
    /// When its parent began.
    pub parent_start_time: u64,
    /// Its cgroup in the v2 hierarchy, 0 without one.
    pub cgroup_id: u64,
    /// Permitted capabilities, bit n for capability n.
    pub capabilities_permitted: u64,
    /// Effective capabilities.
    pub capabilities_effective: u64,
    /// Process number (the kernel's tgid).
    pub pid: u32,
    /// The parent's.
    pub parent_pid: u32,
    /// The session's.
    pub session_id: u32,
    /// The process group's.
    pub group_id: u32,
    /// The process number as the process itself sees it.
    pub namespace_pid: u32,
    /// Real user.
    pub user_id: u32,
    /// Real group.
    pub user_group_id: u32,
    /// Effective user.
    pub effective_user_id: u32,
    /// Effective group.
    pub effective_group_id: u32,
    /// Saved user.
    pub saved_user_id: u32,
    /// Saved group.
    pub saved_group_id: u32,
    /// Major number of the controlling terminal, 0 without one.
    pub tty_major: u32,
    /// Minor number of the controlling terminal.
    pub tty_minor: u32,
    /// Inode number of the mount namespace, as in `/proc/PID/ns/mnt`; 0 once the process gave it up at its end.
    pub mount_namespace: u32,
    /// Inode number of the PID namespace, as in `/proc/PID/ns/pid`.
    pub pid_namespace: u32,
    /// Inode number of the network namespace; 0 once the process gave it up at its end.
    pub network_namespace: u32,
    /// Whether this is a thread of the kernel.
    pub kernel_thread: bool,
    /// Whether its standard input and its standard error are its controlling terminal.
    pub interactive: bool,
    /// Whether who it is was remembered from an earlier call, all values with it.
    pub remembered: bool,
    /// The thread that acts.
    pub thread_id: u32,
    /// The short name, padded with NULs.
    pub comm: [u8; COMM_LIMIT],
}

impl Task {
    /// The short name without its padding.
    pub fn comm(&self) -> &[u8] {
        let length = self.comm.iter().position(|&byte| byte == 0).unwrap_or(COMM_LIMIT);
        self.comm.get(..length).unwrap_or_default()
    }
}

/// One event as the kernel saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'r> {
    /// When, where, how well.
    pub header: Header,
    /// Who.
    pub task: Task,
    /// What, in detail; of the same kind as the header says.
    pub body: Body<'r>,
}

/// What only one kind of event has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'r> {
    /// See [`Kind::Exec`].
    Exec(Exec<'r>),
    /// See [`Kind::Fork`].
    Fork(Fork<'r>),
    /// See [`Kind::Exit`].
    Exit(Exit),
    /// See [`Kind::SessionIdChange`]; the task says which session.
    SessionIdChange,
    /// A connection, a socket or a lookup: see [`Kind::ConnectionAttempted`] and those behind it.
    Network(Network<'r>),
    /// See [`Kind::UidChange`]; the task says which users.
    UidChange,
    /// See [`Kind::GidChange`]; the task says which groups.
    GidChange,
    /// See [`Kind::Kill`].
    Kill(Kill),
    /// See [`Kind::Ptrace`].
    Ptrace(Ptrace),
    /// See [`Kind::MemfdCreate`].
    MemfdCreate(Memfd<'r>),
    /// See [`Kind::LoadModule`].
    LoadModule(Module<'r>),
    /// See [`Kind::Mmap`].
    Mmap(Memory<'r>),
    /// See [`Kind::Mprotect`].
    Mprotect(Memory<'r>),
    /// See [`Kind::Bpf`].
    Bpf(Bpf<'r>),
    /// Any kind about files.
    File(File<'r>),
}

/// What the kernel counted for one kind on one CPU: `struct kestrel_counters`, as the eight words of the map's value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KernelCounters {
    /// Events at the hook.
    pub produced: u64,
    /// The engine's own, left out.
    pub ignored: u64,
    /// Switched off by the filter map.
    pub filtered: u64,
    /// Lost because the ring was full, or no buffer was free to put the record together.
    pub dropped: u64,
    /// Put into the ring.
    pub sent: u64,
    /// With some section cut, of those sent or dropped.
    pub truncated: u64,
    /// With some value that could not be read, of those sent or dropped.
    pub read_failed: u64,
    /// A map lookup that cannot fail did (then `dropped` counts it too).
    pub internal: u64,
}

impl KernelCounters {
    /// Adds one CPU's words.
    pub fn add(&mut self, words: [u64; 8]) {
        let [produced, ignored, filtered, dropped, sent, truncated, read_failed, internal] = words;
        self.produced += produced;
        self.ignored += ignored;
        self.filtered += filtered;
        self.dropped += dropped;
        self.sent += sent;
        self.truncated += truncated;
        self.read_failed += read_failed;
        self.internal += internal;
    }

    /// Whether every event is accounted for.
    pub fn balances(&self) -> bool {
        self.produced == self.ignored + self.filtered + self.dropped + self.sent
    }
}

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Fewer bytes than the fixed part needs.
    #[error("a record of {found} bytes, where at least {expected} were expected")]
    TooShort {
        /// Bytes needed.
        expected: usize,
        /// Bytes there.
        found: usize,
    },
    /// Another version of the ABI.
    #[error("record version {found}, where this engine reads version {RECORD_VERSION}")]
    Version {
        /// The version in the header.
        found: u16,
    },
    /// A kind that this crate does not know.
    #[error("unknown record kind {found}")]
    Kind {
        /// The kind in the header.
        found: u16,
    },
    /// The header's length is not the number of bytes.
    #[error("a record that says {stated} bytes and has {found}")]
    Length {
        /// The length in the header.
        stated: u32,
        /// Bytes there.
        found: usize,
    },
    /// A section that is past its limit, or sections that do not add up to the tail.
    #[error("section `{section}` of {length} bytes does not fit its record")]
    Section {
        /// Which.
        section: &'static str,
        /// Its stated length.
        length: usize,
    },
}

#[cfg(test)]
mod tests;
