//! The numbers of the record ABI: offsets, sizes, limits and flags, as `include/kestrel_records.h` states them for C.
//!
//! Nothing is computed here. A test reads the C header's text and compares every number in both directions, and the
//! header's `_Static_assert`s hold the C structs to the same text; so the two sides cannot drift apart.

/// The record version this crate reads.
pub const RECORD_VERSION: u16 = 1;
/// Kinds are below this number, in the kernel's filter map and counters.
pub const KIND_LIMIT: u16 = 64;
/// The longest path section, in bytes; a longer path loses its beginning.
pub const PATH_LIMIT: usize = 4096;
/// The longest argument section, in bytes; a longer one loses its end.
pub const ARGUMENTS_LIMIT: usize = 65536;
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
        NETWORK_NAMESPACE = 100, FLAGS = 104, COMM = 112,
    }
);
offsets!(
    /// The fixed part of `struct kestrel_exec`, from the start of the record; the tail follows it.
    exec, 184, {
        ARGUMENTS_TOTAL = 160, ARGUMENT_COUNT = 164, FILENAME_LENGTH = 168, EXECUTABLE_LENGTH = 172,
        DIRECTORY_LENGTH = 176, ARGUMENTS_LENGTH = 180,
    }
);
offsets!(
    /// The fixed part of `struct kestrel_fork`, from the start of the record.
    fork, 176, { CREATOR_START_TIME = 160, CREATOR_PID = 168 }
);
offsets!(
    /// The fixed part of `struct kestrel_exit`, from the start of the record.
    exit, 168, { STATUS = 160 }
);

// Every kind's fixed part begins where the task ends.
const _: () = assert!(header::SIZE + task::SIZE == exec::ARGUMENTS_TOTAL);
const _: () = assert!(header::SIZE + task::SIZE == fork::CREATOR_START_TIME);
const _: () = assert!(header::SIZE + task::SIZE == exit::STATUS);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Flags, Kind};

    const HEADER: &str = include_str!("../include/kestrel_records.h");

    fn defined(name: &str) -> u64 {
        HEADER
            .lines()
            .find_map(|line| line.strip_prefix("#define ")?.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
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
            ("kestrel_exec", exec::TABLE, exec::SIZE),
            ("kestrel_fork", fork::TABLE, fork::SIZE),
            ("kestrel_exit", exit::TABLE, exit::SIZE),
        ] {
            let ours: Vec<_> = table.iter().map(|&(field, offset)| (field.to_owned(), offset)).collect();
            assert_eq!(ours, offsets_of(c_struct), "{c_struct}");
            assert_eq!(size, size_of(c_struct), "{c_struct}");
        }
    }

    #[test]
    fn constants_agree_with_the_c_header() {
        assert_eq!(u64::from(RECORD_VERSION), defined("KESTREL_RECORD_VERSION"));
        assert_eq!(u64::from(KIND_LIMIT), defined("KESTREL_KIND_LIMIT"));
        assert_eq!(PATH_LIMIT as u64, defined("KESTREL_PATH_LIMIT"));
        assert_eq!(ARGUMENTS_LIMIT as u64, defined("KESTREL_ARGUMENTS_LIMIT"));
        assert_eq!(COMM_LIMIT as u64, defined("KESTREL_COMM_LIMIT"));
        for kind in Kind::ALL {
            let of_the_schema = kestrel_schema::event_kind(kind.name()).expect("the schema knows every kind");
            assert_eq!(kind.number(), of_the_schema.id);
        }
        for kind in kestrel_schema::event_kinds() {
            assert!(kind.id < KIND_LIMIT, "the maps have no place for kind `{}`", kind.name);
        }
    }

    #[test]
    fn flags_agree_with_the_c_header_in_both_directions() {
        let in_c: Vec<(&str, u64)> = HEADER
            .lines()
            .filter_map(|line| line.strip_prefix("#define KESTREL_FLAG_")?.split_once(' '))
            .map(|(name, value)| (name, value.trim().parse().expect("a flag is a number")))
            .collect();
        let ours: Vec<(&str, u64)> = Flags::TABLE.iter().map(|&(name, flag)| (name, u64::from(flag.0))).collect();
        assert_eq!(ours, in_c);
    }
}
