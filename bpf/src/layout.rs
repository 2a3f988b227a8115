//! The numbers of the record ABI: offsets, sizes, limits and flags, as `include/kestrel_records.h` states them for C.
//!
//! Nothing is computed here. A test reads the C header's text and compares every number in both directions, and the
//! header's `_Static_assert`s hold the C structs to the same text; so the two sides cannot drift apart.

/// The record version this crate reads.
pub const RECORD_VERSION: u16 = 2;
/// Kinds are below this number, in the kernel's filter map and counters.
pub const KINDS: u16 = 64;
/// How many sections a tail has, most of them empty.
pub const SECTIONS: usize = 6;
/// Room for what only one kind has.
pub const FIXED_SIZE: usize = 72;
/// Where a record's tail begins, whatever its kind.
pub const TAIL: usize = record::SIZE;
/// The longest path section, in bytes; a longer path loses its beginning.
pub const PATH_LIMIT: usize = 4096;
/// The longest section that is a cgroup's path; a longer one loses its beginning.
pub const CGROUP_LIMIT: usize = 1024;
/// The longest argument section, in bytes; a longer one loses its end.
pub const ARGUMENTS_LIMIT: usize = 65536;
/// The longest environment section, in bytes; a longer one loses its end.
pub const ENVIRONMENT_LIMIT: usize = 32768;
/// The longest DNS message that a lookup's record carries; a longer one loses its end.
pub const MESSAGE_LIMIT: usize = 4096;
/// The longest section of short text, such as a module's parameters; a longer one loses its end.
pub const TEXT_LIMIT: usize = 1024;
/// The size of a task's short name, with its NUL.
pub const COMM_LIMIT: usize = 16;

/// Offsets of one C struct as `usize` constants, its size, and (for the test) all of them as a table.
macro_rules! offsets {
    ($(#[$doc:meta])* $module:ident, $size:literal, { $($field:ident = $offset:literal),* $(,)? }) => {
        $(#[$doc])*
        pub(crate) mod $module {
            pub(crate) const SIZE: usize = $size;
            $(pub(crate) const $field: usize = $offset;)*
            #[cfg(test)]
            pub(crate) const TABLE: &[(&str, usize)] = &[$((stringify!($field), $offset)),*];
        }
    };
}

offsets!(
    /// `struct kestrel_header`, at the start of every record.
    header, 32, {
        VERSION = 0, KIND = 2, LENGTH = 4, TIMESTAMP = 8, SEQUENCE = 16, CPU = 24, FLAGS = 28,
    }
);
offsets!(
    /// `struct kestrel_task`, relative to the end of the header.
    task, 128, {
        START_TIME = 0, PARENT_START_TIME = 8, CGROUP_ID = 16, CAPABILITIES_PERMITTED = 24,
        CAPABILITIES_EFFECTIVE = 32, PID = 40, PARENT_PID = 44, SESSION_ID = 48, GROUP_ID = 52, NAMESPACE_PID = 56,
        USER_ID = 60, USER_GROUP_ID = 64, EFFECTIVE_USER_ID = 68, EFFECTIVE_GROUP_ID = 72, SAVED_USER_ID = 76,
        SAVED_GROUP_ID = 80, TTY_MAJOR = 84, TTY_MINOR = 88, MOUNT_NAMESPACE = 92, PID_NAMESPACE = 96,
        NETWORK_NAMESPACE = 100, FLAGS = 104, THREAD_ID = 108, COMM = 112,
    }
);
offsets!(
    /// `struct kestrel_record`: where the parts of every record are.
    record, 256, { TASK = 32, SECTIONS = 160, FIXED = 184 }
);
offsets!(
    /// `struct kestrel_exec`, relative to the fixed part, as all that follow.
    exec, 12, { ARGUMENTS_TOTAL = 0, ARGUMENT_COUNT = 4, ENVIRONMENT_TOTAL = 8 }
);
offsets!(
    /// `struct kestrel_fork`.
    fork, 16, { CREATOR_START_TIME = 0, CREATOR_PID = 8 }
);
offsets!(
    /// `struct kestrel_exit`.
    exit, 4, { STATUS = 0 }
);
offsets!(
    /// `struct kestrel_network`.
    network, 64, {
        ROLE = 0, FAMILY = 4, PROTOCOL = 6, BYTES_SENT = 8, BYTES_RECEIVED = 16, LOCAL_ADDRESS = 24,
        REMOTE_ADDRESS = 40, LOCAL_PORT = 56, REMOTE_PORT = 58, MESSAGE_LENGTH = 60,
    }
);
offsets!(
    /// `struct kestrel_target`, at the start of what has one.
    target, 16, { START_TIME = 0, PID = 8 }
);
offsets!(
    /// `struct kestrel_kill`.
    kill, 24, { TARGET = 0, SIGNAL = 16 }
);
offsets!(
    /// `struct kestrel_ptrace`.
    ptrace, 24, { TARGET = 0, REQUEST = 16 }
);
offsets!(
    /// `struct kestrel_memfd`.
    memfd, 4, { FLAGS = 0 }
);
offsets!(
    /// `struct kestrel_memory`.
    memory, 32, { ADDRESS = 0, LENGTH = 8, PROTECTION = 16, PROTECTION_OLD = 20, FLAGS = 24, KNOWN = 28 }
);
offsets!(
    /// `struct kestrel_bpf`.
    bpf, 8, { COMMAND = 0, PROGRAM_TYPE = 4 }
);
offsets!(
    /// `struct kestrel_file`.
    file, 48, {
        INODE = 0, LENGTH = 8, MODE = 16, UID = 20, GID = 24, ORIGINAL_MODE = 28, ORIGINAL_UID = 32, ORIGINAL_GID = 36,
        FLAGS = 40, KNOWN = 44,
    }
);

const _: () = assert!(header::SIZE == record::TASK);
const _: () = assert!(record::TASK + task::SIZE == record::SECTIONS);
const _: () = assert!(record::SECTIONS + 4 * SECTIONS == record::FIXED);
const _: () = assert!(record::FIXED + FIXED_SIZE == record::SIZE);
const _: () = assert!(exec::SIZE <= FIXED_SIZE && fork::SIZE <= FIXED_SIZE && exit::SIZE <= FIXED_SIZE);
const _: () = assert!(network::SIZE <= FIXED_SIZE);
const _: () = assert!(kill::SIZE <= FIXED_SIZE && ptrace::SIZE <= FIXED_SIZE && memfd::SIZE <= FIXED_SIZE);
const _: () = assert!(target::SIZE <= kill::SIGNAL && memory::SIZE <= FIXED_SIZE && bpf::SIZE <= FIXED_SIZE);
const _: () = assert!(file::SIZE <= FIXED_SIZE);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Flags, Kind, SectionFlags};

    const HEADER: &str = concat!(
        include_str!("../include/kestrel_records.h"),
        include_str!("../include/kestrel_records_process.h"),
        include_str!("../include/kestrel_records_file.h"),
        include_str!("../include/kestrel_records_network.h"),
    );

    fn defined(name: &str) -> u64 {
        HEADER
            .lines()
            .find_map(|line| {
                line.strip_prefix("#define ")?
                    .strip_prefix(name)?
                    .strip_prefix(' ')?
                    .split_whitespace()
                    .next()?
                    .parse()
                    .ok()
            })
            .unwrap_or_else(|| panic!("`{name}` is not a number in kestrel_records.h"))
    }

    fn offsets_of(c_struct: &str) -> Vec<(String, usize)> {
        let prefix = format!("KESTREL_OFFSET({c_struct}, ");
        HEADER
            .lines()
            .filter_map(|line| line.strip_prefix(&prefix)?.strip_suffix(");")?.split_once(", "))
            .map(|(field, offset)| (field.to_uppercase(), offset.parse().expect("an offset is a number")))
            .collect()
    }

    fn size_of(c_struct: &str) -> usize {
        let prefix = format!("KESTREL_SIZE({c_struct}, ");
        HEADER
            .lines()
            .find_map(|line| line.strip_prefix(&prefix)?.strip_suffix(");")?.parse().ok())
            .expect("every struct has a size")
    }

    #[test]
    fn offsets_and_sizes_agree_with_the_c_header() {
        for (c_struct, table, size) in [
            ("kestrel_header", header::TABLE, header::SIZE),
            ("kestrel_task", task::TABLE, task::SIZE),
            ("kestrel_record", record::TABLE, record::SIZE),
            ("kestrel_exec", exec::TABLE, exec::SIZE),
            ("kestrel_fork", fork::TABLE, fork::SIZE),
            ("kestrel_exit", exit::TABLE, exit::SIZE),
            ("kestrel_network", network::TABLE, network::SIZE),
            ("kestrel_target", target::TABLE, target::SIZE),
            ("kestrel_kill", kill::TABLE, kill::SIZE),
            ("kestrel_ptrace", ptrace::TABLE, ptrace::SIZE),
            ("kestrel_memfd", memfd::TABLE, memfd::SIZE),
            ("kestrel_memory", memory::TABLE, memory::SIZE),
            ("kestrel_bpf", bpf::TABLE, bpf::SIZE),
            ("kestrel_file", file::TABLE, file::SIZE),
        ] {
            let ours: Vec<_> = table.iter().map(|&(field, offset)| (field.to_owned(), offset)).collect();
            assert_eq!(ours, offsets_of(c_struct), "{c_struct}");
            assert_eq!(size, size_of(c_struct), "{c_struct}");
        }
    }

    #[test]
    fn constants_agree_with_the_c_header() {
        assert_eq!(u64::from(RECORD_VERSION), defined("KESTREL_RECORD_VERSION"));
        assert_eq!(u64::from(KINDS), defined("KESTREL_KINDS"));
        assert_eq!(SECTIONS as u64, defined("KESTREL_SECTIONS"));
        assert_eq!(FIXED_SIZE as u64, defined("KESTREL_FIXED_SIZE"));
        assert_eq!(ENVIRONMENT_LIMIT as u64, defined("KESTREL_ENVIRONMENT_LIMIT"));
        assert_eq!(PATH_LIMIT as u64, defined("KESTREL_PATH_LIMIT"));
        assert_eq!(CGROUP_LIMIT as u64, defined("KESTREL_CGROUP_LIMIT"));
        assert_eq!(ARGUMENTS_LIMIT as u64, defined("KESTREL_ARGUMENTS_LIMIT"));
        assert_eq!(TEXT_LIMIT as u64, defined("KESTREL_TEXT_LIMIT"));
        assert_eq!(COMM_LIMIT as u64, defined("KESTREL_COMM_LIMIT"));
        assert_eq!(MESSAGE_LIMIT as u64, defined("KESTREL_MESSAGE_LIMIT"));
        for kind in Kind::ALL {
            let of_the_schema = kestrel_schema::event_kind(kind.name()).expect("the schema knows every kind");
            assert_eq!(kind.number(), of_the_schema.id);
        }
        for kind in kestrel_schema::event_kinds() {
            assert!(kind.id < KINDS, "the maps have no place for kind `{}`", kind.name);
        }
    }

    #[test]
    fn known_bits_agree_with_the_c_header() {
        for (name, bit) in crate::record::file::KNOWN_BITS {
            assert_eq!(u64::from(*bit), defined(&format!("KESTREL_KNOWN_{name}")), "{name}");
        }
    }

    #[test]
    fn every_kind_of_the_schema_is_a_kind_of_record() {
        let of_the_schema: Vec<(u16, &str)> =
            kestrel_schema::event_kinds().iter().map(|kind| (kind.id, kind.name)).collect();
        assert_eq!(Kind::ALL.map(|kind| (kind.number(), kind.name())).to_vec(), of_the_schema);
    }

    #[test]
    fn flags_agree_with_the_c_header() {
        assert_eq!(u64::from(SectionFlags::TRUNCATED), defined("KESTREL_SECTION_TRUNCATED"));
        assert_eq!(u64::from(SectionFlags::UNREADABLE), defined("KESTREL_SECTION_UNREADABLE"));
        assert_eq!(u64::from(SectionFlags::UNLINKED), defined("KESTREL_SECTION_UNLINKED"));
        assert_eq!(u64::from(Flags::TASK_UNREADABLE.0), defined("KESTREL_FLAG_TASK_UNREADABLE"));
        assert_eq!(u64::from(Flags::VALUE_UNREADABLE.0), defined("KESTREL_FLAG_VALUE_UNREADABLE"));
        assert_eq!(u64::from(Flags::UPKEEP.0), defined("KESTREL_FLAG_UPKEEP"));
        let of_all_sections = |bit: u32| (0..SECTIONS).map(|section| bit << (3 * section)).sum::<u32>();
        assert_eq!(u64::from(of_all_sections(SectionFlags::TRUNCATED)), defined("KESTREL_FLAGS_TRUNCATED"));
        assert_eq!(u64::from(of_all_sections(SectionFlags::UNREADABLE)), defined("KESTREL_FLAGS_UNREADABLE"));
    }
}
