//! Reads the records that the kernel programs send.
//!
//! Goes in: the bytes of one ring buffer entry, which are treated as hostile. Comes out: a [`Record`] that borrows them,
//! or a [`RecordError`]. Every read is checked against the bytes that are there and every section against its limit;
//! nothing is copied, nothing panics. What the fields *mean* for an event is the engine's business.
//!
//! ```text
//! 0        32            160                   184 (exec)
//! | header | task (128)  | fixed part of kind  | tail: filename | executable | directory | arguments
//! ```

use crate::layout::{COMM_LIMIT, RECORD_VERSION};

mod encode;
mod parse;
mod sections;

pub use sections::{Arguments, ReversedPath, push_lossy};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A process replaced its image.
    Exec,
    /// A process was created.
    Fork,
    /// A process ended.
    Exit,
}

impl Kind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Kind; 3] = [Kind::Exec, Kind::Fork, Kind::Exit];

    /// The number that stands for this kind in records, filter map and counters.
    pub fn number(self) -> u16 {
        match self {
            Kind::Exec => 1,
            Kind::Fork => 2,
            Kind::Exit => 3,
        }
    }

    /// The kind of a number, if there is one.
    pub fn from_number(number: u16) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The lower-case name, as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Exec => "exec",
            Kind::Fork => "fork",
            Kind::Exit => "exit",
        }
    }
}

/// What a record says about its own quality, as a bit set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(pub u32);

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $value:literal),* $(,)?) => {
        impl Flags {
            $($(#[$doc])* pub const $name: Flags = Flags($value);)*
            #[cfg(test)]
            pub(crate) const TABLE: &[(&str, Flags)] = &[$((stringify!($name), Flags($value))),*];
        }
    };
}

flags!(
    /// The arguments were longer than [`ARGUMENTS_LIMIT`](crate::layout::ARGUMENTS_LIMIT) and lost their end.
    ARGUMENTS_TRUNCATED = 1,
    /// The arguments could not be read.
    ARGUMENTS_UNREADABLE = 2,
    /// The file name given to exec was cut.
    FILENAME_TRUNCATED = 4,
    /// The file name given to exec could not be read.
    FILENAME_UNREADABLE = 8,
    /// The executable's path lost its beginning.
    EXECUTABLE_TRUNCATED = 16,
    /// The executable's path could not be read, or only its end.
    EXECUTABLE_UNREADABLE = 32,
    /// The executable has no name in the file system any more, or never had one (memfd).
    EXECUTABLE_UNLINKED = 64,
    /// The working directory's path lost its beginning.
    DIRECTORY_TRUNCATED = 128,
    /// The working directory's path could not be read, or only its end.
    DIRECTORY_UNREADABLE = 256,
    /// The working directory was removed.
    DIRECTORY_UNLINKED = 512,
    /// The process's number or start time could not be read.
    TASK_UNREADABLE = 1024,
);

impl Flags {
    /// Whether any bit of `other` is set.
    pub fn intersects(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    /// Both sets together.
    pub const fn union(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// Every flag that says a value was cut.
    pub const ANY_TRUNCATED: Flags = Flags::ARGUMENTS_TRUNCATED
        .union(Flags::FILENAME_TRUNCATED)
        .union(Flags::EXECUTABLE_TRUNCATED)
        .union(Flags::DIRECTORY_TRUNCATED);

    /// Every flag that says a value could not be read.
    pub const ANY_UNREADABLE: Flags = Flags::ARGUMENTS_UNREADABLE
        .union(Flags::FILENAME_UNREADABLE)
        .union(Flags::EXECUTABLE_UNREADABLE)
        .union(Flags::DIRECTORY_UNREADABLE)
        .union(Flags::TASK_UNREADABLE);
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

/// Who an event is about: for exec the process, for fork the child, for exit the process that ends. Numbers are those of
/// the initial PID and user namespaces unless said otherwise.
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
    Fork(Fork),
    /// See [`Kind::Exit`].
    Exit(Exit),
}

/// The new image of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exec<'r> {
    /// The true length of the argument area in bytes, whatever part of it came along.
    pub arguments_total: u32,
    /// How many arguments there were.
    pub argument_count: u32,
    /// What exec was asked to run: for a script its own path, perhaps relative; without the NUL.
    pub filename: &'r [u8],
    /// The file that runs (for a script the interpreter), as the process sees it.
    pub executable: ReversedPath<'r>,
    /// The working directory, as the process sees it.
    pub directory: ReversedPath<'r>,
    /// The arguments.
    pub arguments: Arguments<'r>,
}

/// A new process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fork {
    /// When the process that called fork began.
    pub creator_start_time: u64,
    /// The process that called fork: the parent, except after `CLONE_PARENT`.
    pub creator_pid: u32,
}

/// The end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// As wait(2) gives it: exit code << 8 | signal, 0x80 for a core.
    pub status: u32,
}

impl Exit {
    /// The exit code, for a process that ended by itself.
    pub fn code(self) -> Option<u8> {
        (self.signal().is_none()).then_some((self.status >> 8) as u8)
    }

    /// The signal that ended it.
    pub fn signal(self) -> Option<u8> {
        let signal = (self.status & 0x7f) as u8;
        (signal != 0).then_some(signal)
    }
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
    /// Lost because the ring was full.
    pub dropped: u64,
    /// Put into the ring.
    pub sent: u64,
    /// With cut arguments, of those sent or dropped.
    pub arguments_truncated: u64,
    /// With some value that could not be read, of those sent or dropped.
    pub read_failed: u64,
    /// A map lookup that cannot fail did (then `dropped` counts it too).
    pub internal: u64,
}

impl KernelCounters {
    /// Adds one CPU's words.
    pub fn add(&mut self, words: [u64; 8]) {
        let [produced, ignored, filtered, dropped, sent, arguments_truncated, read_failed, internal] = words;
        self.produced += produced;
        self.ignored += ignored;
        self.filtered += filtered;
        self.dropped += dropped;
        self.sent += sent;
        self.arguments_truncated += arguments_truncated;
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
