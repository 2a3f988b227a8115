//! The kinds of record, and what the tail of each is made of.

use crate::layout::{
    ARGUMENTS_LIMIT, CGROUP_LIMIT, ENVIRONMENT_LIMIT, MESSAGE_LIMIT, PATH_LIMIT, SECTIONS, TEXT_LIMIT,
};

/// Declares the kinds once: number, Rust name, name as people write it.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $number:literal $name:literal),* $(,)?) => {
        /// What happened. The numbers and names are those of the schema (`ir/schema/kinds.toml`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[$doc])* $kind = $number,)*
        }

        impl Kind {
            /// All kinds, in the order of their numbers.
            pub const ALL: [Kind; [$($number),*].len()] = [$(Kind::$kind),*];

            /// The lower-case name, as people write it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Kind::$kind => $name,)*
                }
            }
        }
    };
}

kinds!(
    /// A process replaced its program.
    Exec = 1 "exec",
    /// A process was created as a copy of its parent.
    Fork = 2 "fork",
    /// A process ended, by itself or by a signal.
    Exit = 3 "exit",
    /// A process changed its user.
    UidChange = 4 "uid_change",
    /// A process changed its group.
    GidChange = 5 "gid_change",
    /// A process became the leader of a new session.
    SessionIdChange = 6 "session_id_change",
    /// A process asked to trace another one.
    Ptrace = 7 "ptrace",
    /// A process sent a signal to another one.
    Kill = 8 "kill",
    /// A process created a file that exists only in memory.
    MemfdCreate = 9 "memfd_create",
    /// A process loaded a kernel module.
    LoadModule = 10 "load_module",
    /// A process mapped memory that can be executed.
    Mmap = 11 "mmap",
    /// A process made memory executable.
    Mprotect = 12 "mprotect",
    /// A process loaded or attached a BPF program.
    Bpf = 13 "bpf",
    /// A file was created.
    FileCreate = 14 "file_create",
    /// A file was opened.
    FileOpen = 15 "file_open",
    /// A file's content was changed.
    FileModify = 16 "file_modify",
    /// A file got another name or place.
    FileRename = 17 "file_rename",
    /// A file's name was removed.
    FileDelete = 18 "file_delete",
    /// A file's permissions were changed.
    FileChmod = 19 "file_chmod",
    /// A file got another owner or group.
    FileChown = 20 "file_chown",
    /// A file got one more name, by a hard or a symbolic link.
    FileLink = 21 "file_link",
    /// A process asked to connect.
    ConnectionAttempted = 22 "connection_attempted",
    /// A process accepted a connection.
    ConnectionAccepted = 23 "connection_accepted",
    /// A process gave a socket its own address.
    Bind = 24 "bind",
    /// A process began to wait for connections.
    Listen = 25 "listen",
    /// A connection ended.
    DisconnectReceived = 26 "disconnect_received",
    /// A process asked for a name.
    LookupRequested = 27 "lookup_requested",
    /// A name server answered.
    LookupResult = 28 "lookup_result",
);

/// A part of a tail: its name, and how many bytes it may have.
pub(super) type SectionLimit = (&'static str, usize);

const NONE: SectionLimit = ("none", 0);
const NO_SECTIONS: [SectionLimit; SECTIONS] = [NONE; SECTIONS];
const EXEC_SECTIONS: [SectionLimit; SECTIONS] = [
    ("filename", PATH_LIMIT),
    ("executable", PATH_LIMIT),
    ("directory", PATH_LIMIT),
    ("cgroup", CGROUP_LIMIT),
    ("arguments", ARGUMENTS_LIMIT),
    ("environment", ENVIRONMENT_LIMIT),
];
const FORK_SECTIONS: [SectionLimit; SECTIONS] = [("cgroup", CGROUP_LIMIT), NONE, NONE, NONE, NONE, NONE];
const NAME_SECTIONS: [SectionLimit; SECTIONS] = [("name", TEXT_LIMIT), NONE, NONE, NONE, NONE, NONE];
const MODULE_SECTIONS: [SectionLimit; SECTIONS] =
    [("name", TEXT_LIMIT), ("arguments", TEXT_LIMIT), ("path", PATH_LIMIT), NONE, NONE, NONE];
const PATH_SECTIONS: [SectionLimit; SECTIONS] = [("path", PATH_LIMIT), NONE, NONE, NONE, NONE, NONE];
const FILE_SECTIONS: [SectionLimit; SECTIONS] =
    [("path", PATH_LIMIT), ("name", PATH_LIMIT), ("other path", PATH_LIMIT), ("other name", PATH_LIMIT), NONE, NONE];

const LOOKUP_SECTIONS: [SectionLimit; SECTIONS] = [("message", MESSAGE_LIMIT), NONE, NONE, NONE, NONE, NONE];

impl Kind {
    /// The number that stands for this kind in records, filter map and counters.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// This kind's place in [`Kind::ALL`].
    pub fn index(self) -> usize {
        usize::from(self.number()) - 1
    }

    /// The kind of a number, if there is one.
    pub fn from_number(number: u16) -> Option<Kind> {
        Kind::ALL.get(usize::from(number).checked_sub(1)?).copied().filter(|kind| kind.number() == number)
    }

    /// What the tail of this kind's records is made of.
    pub(super) fn sections(self) -> &'static [SectionLimit; SECTIONS] {
        match self {
            Kind::Exec => &EXEC_SECTIONS,
            Kind::Fork => &FORK_SECTIONS,
            Kind::LookupRequested | Kind::LookupResult => &LOOKUP_SECTIONS,
            Kind::MemfdCreate | Kind::Bpf => &NAME_SECTIONS,
            Kind::LoadModule => &MODULE_SECTIONS,
            Kind::Mmap | Kind::Mprotect => &PATH_SECTIONS,
            Kind::FileCreate
            | Kind::FileOpen
            | Kind::FileModify
            | Kind::FileRename
            | Kind::FileDelete
            | Kind::FileChmod
            | Kind::FileChown
            | Kind::FileLink => &FILE_SECTIONS,
            _ => &NO_SECTIONS,
        }
    }
}
