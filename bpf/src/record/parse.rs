//! Bytes to [`Record`], every one of them in doubt.

use super::{Arguments, Body, Exec, Exit, Flags, Fork, Header, Kind, Record, RecordError, ReversedPath, Task};
use crate::layout::{self, ARGUMENTS_LIMIT, PATH_LIMIT, RECORD_VERSION};

impl<'r> Record<'r> {
    /// Reads one record.
    ///
    /// ```
    /// use kestrel_bpf::record::{Record, RecordError};
    ///
    /// assert_eq!(Record::parse(b"hello"), Err(RecordError::TooShort { expected: 32, found: 5 }));
    /// ```
    pub fn parse(bytes: &'r [u8]) -> Result<Record<'r>, RecordError> {
        let reader = Reader { bytes };
        reader.expect(layout::header::SIZE)?;
        let version = reader.u16(layout::header::VERSION)?;
        if version != RECORD_VERSION {
            return Err(RecordError::Version { found: version });
        }
        let length = reader.u32(layout::header::LENGTH)?;
        if length as usize != bytes.len() {
            return Err(RecordError::Length { stated: length, found: bytes.len() });
        }
        let number = reader.u16(layout::header::KIND)?;
        let kind = Kind::from_number(number).ok_or(RecordError::Kind { found: number })?;
        let header = Header {
            kind,
            timestamp: reader.u64(layout::header::TIMESTAMP)?,
            sequence: reader.u64(layout::header::SEQUENCE)?,
            cpu: reader.u32(layout::header::CPU)?,
            flags: Flags(reader.u32(layout::header::FLAGS)?),
        };
        let body = match kind {
            Kind::Exec => Body::Exec(parse_exec(reader, header.flags)?),
            Kind::Fork => {
                reader.expect(layout::fork::SIZE)?;
                Body::Fork(Fork {
                    creator_start_time: reader.u64(layout::fork::CREATOR_START_TIME)?,
                    creator_pid: reader.u32(layout::fork::CREATOR_PID)?,
                })
            }
            Kind::Exit => {
                reader.expect(layout::exit::SIZE)?;
                Body::Exit(Exit { status: reader.u32(layout::exit::STATUS)? })
            }
        };
        Ok(Record { header, task: parse_task(reader)?, body })
    }
}

fn parse_task(reader: Reader<'_>) -> Result<Task, RecordError> {
    use layout::task::*;
    let u32 = |offset| reader.u32(layout::header::SIZE + offset);
    let u64 = |offset| reader.u64(layout::header::SIZE + offset);
    Ok(Task {
        start_time: u64(START_TIME)?,
        parent_start_time: u64(PARENT_START_TIME)?,
        cgroup_id: u64(CGROUP_ID)?,
        capabilities_permitted: u64(CAPABILITIES_PERMITTED)?,
        capabilities_effective: u64(CAPABILITIES_EFFECTIVE)?,
        pid: u32(PID)?,
        parent_pid: u32(PARENT_PID)?,
        session_id: u32(SESSION_ID)?,
        group_id: u32(GROUP_ID)?,
        namespace_pid: u32(NAMESPACE_PID)?,
        user_id: u32(USER_ID)?,
        user_group_id: u32(USER_GROUP_ID)?,
        effective_user_id: u32(EFFECTIVE_USER_ID)?,
        effective_group_id: u32(EFFECTIVE_GROUP_ID)?,
        saved_user_id: u32(SAVED_USER_ID)?,
        saved_group_id: u32(SAVED_GROUP_ID)?,
        tty_major: u32(TTY_MAJOR)?,
        tty_minor: u32(TTY_MINOR)?,
        mount_namespace: u32(MOUNT_NAMESPACE)?,
        pid_namespace: u32(PID_NAMESPACE)?,
        network_namespace: u32(NETWORK_NAMESPACE)?,
        kernel_thread: u32(FLAGS)? & 1 != 0,
        comm: reader.array(layout::header::SIZE + COMM)?,
    })
}

fn parse_exec(reader: Reader<'_>, flags: Flags) -> Result<Exec<'_>, RecordError> {
    use layout::exec::*;
    reader.expect(SIZE)?;
    let mut tail = reader.bytes.get(SIZE..).unwrap_or_default();
    let mut section = |name, length_at, limit| {
        let length = reader.u32(length_at)? as usize;
        match tail.split_at_checked(length) {
            Some((section, rest)) if length <= limit => {
                tail = rest;
                Ok(section)
            }
            _ => Err(RecordError::Section { section: name, length }),
        }
    };
    let filename = section("filename", FILENAME_LENGTH, PATH_LIMIT)?;
    let executable = section("executable", EXECUTABLE_LENGTH, PATH_LIMIT)?;
    let directory = section("directory", DIRECTORY_LENGTH, PATH_LIMIT)?;
    let arguments = section("arguments", ARGUMENTS_LENGTH, ARGUMENTS_LIMIT)?;
    if !tail.is_empty() {
        return Err(RecordError::Section { section: "tail", length: tail.len() });
    }
    let cut_or_unread = |cut, unread| flags.intersects(Flags::union(cut, unread));
    Ok(Exec {
        arguments_total: reader.u32(ARGUMENTS_TOTAL)?,
        argument_count: reader.u32(ARGUMENT_COUNT)?,
        filename: filename.strip_suffix(b"\0").unwrap_or(filename),
        executable: ReversedPath::new(
            executable,
            !cut_or_unread(Flags::EXECUTABLE_TRUNCATED, Flags::EXECUTABLE_UNREADABLE),
        ),
        directory: ReversedPath::new(
            directory,
            !cut_or_unread(Flags::DIRECTORY_TRUNCATED, Flags::DIRECTORY_UNREADABLE),
        ),
        arguments: Arguments::new(arguments),
    })
}

/// Bytes that are read only where they are.
#[derive(Clone, Copy)]
struct Reader<'r> {
    bytes: &'r [u8],
}

impl Reader<'_> {
    fn expect(self, expected: usize) -> Result<(), RecordError> {
        if self.bytes.len() < expected {
            return Err(RecordError::TooShort { expected, found: self.bytes.len() });
        }
        Ok(())
    }

    fn array<const N: usize>(self, offset: usize) -> Result<[u8; N], RecordError> {
        let short = RecordError::TooShort { expected: offset.saturating_add(N), found: self.bytes.len() };
        self.bytes.get(offset..).and_then(|rest| rest.first_chunk::<N>()).copied().ok_or(short)
    }

    fn u16(self, offset: usize) -> Result<u16, RecordError> {
        Ok(u16::from_le_bytes(self.array(offset)?))
    }

    fn u32(self, offset: usize) -> Result<u32, RecordError> {
        Ok(u32::from_le_bytes(self.array(offset)?))
    }

    fn u64(self, offset: usize) -> Result<u64, RecordError> {
        Ok(u64::from_le_bytes(self.array(offset)?))
    }
}
