//! Bytes to [`Record`], every one of them in doubt.

use super::bytes::Reader;
use super::process::{Bpf, Kill, Memfd, Memory, Module, Ptrace};
use super::{Body, Exec, Exit, File, Flags, Fork, Header, Kind, Network, Record, RecordError, Task};
use crate::layout::{self, RECORD_VERSION};

impl<'r> Record<'r> {
    /// Reads one record.
    ///
    /// ```
    /// use kestrel_bpf::record::{Record, RecordError};
    ///
    /// assert_eq!(Record::parse(b"hello"), Err(RecordError::TooShort { expected: 32, found: 5 }));
    /// ```
    pub fn parse(bytes: &'r [u8]) -> Result<Record<'r>, RecordError> {
        let reader = Reader::new(bytes);
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
        let reader = reader.cut(kind.sections())?;
        let body = match kind {
            Kind::Exec => Body::Exec(Exec::parse(reader, header.flags)?),
            Kind::Fork => Body::Fork(Fork::parse(reader, header.flags)?),
            Kind::Exit => Body::Exit(Exit::parse(reader)?),
            Kind::SessionIdChange => Body::SessionIdChange,
            Kind::ConnectionAttempted
            | Kind::ConnectionAccepted
            | Kind::Bind
            | Kind::Listen
            | Kind::DisconnectReceived
            | Kind::LookupRequested
            | Kind::LookupResult => Body::Network(Network::parse(reader)?),
            Kind::UidChange => Body::UidChange,
            Kind::GidChange => Body::GidChange,
            Kind::Kill => Body::Kill(Kill::parse(reader)?),
            Kind::Ptrace => Body::Ptrace(Ptrace::parse(reader)?),
            Kind::MemfdCreate => Body::MemfdCreate(Memfd::parse(reader)?),
            Kind::LoadModule => Body::LoadModule(Module::parse(reader, header.flags)?),
            Kind::Mmap => Body::Mmap(Memory::parse(reader, header.flags)?),
            Kind::Mprotect => Body::Mprotect(Memory::parse(reader, header.flags)?),
            Kind::Bpf => Body::Bpf(Bpf::parse(reader)?),
            Kind::FileCreate
            | Kind::FileOpen
            | Kind::FileModify
            | Kind::FileRename
            | Kind::FileDelete
            | Kind::FileChmod
            | Kind::FileChown
            | Kind::FileLink => Body::File(File::parse(reader, header.flags)?),
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
        interactive: u32(FLAGS)? & 4 != 0,
        remembered: u32(FLAGS)? & 2 != 0,
        thread_id: u32(THREAD_ID)?,
        comm: reader.array(layout::header::SIZE + COMM)?,
    })
}
