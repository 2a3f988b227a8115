//! The life of processes: exec, fork and exit records.

use super::bytes::{Reader, Writer};
use super::{Arguments, Flags, RecordError, ReversedPath};
use crate::layout;

/// Sections of an exec record's tail, and of a fork record's, as in `kestrel_records_process.h`.
pub mod section {
    /// What exec was asked to run.
    pub const FILENAME: usize = 0;
    /// The file that runs.
    pub const EXECUTABLE: usize = 1;
    /// The working directory.
    pub const DIRECTORY: usize = 2;
    /// The cgroup.
    pub const CGROUP: usize = 3;
    /// The arguments.
    pub const ARGUMENTS: usize = 4;
    /// The environment.
    pub const ENVIRONMENT: usize = 5;
    /// The cgroup, of a fork record.
    pub const FORK_CGROUP: usize = 0;
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
    /// The cgroup in the hierarchy of version 2; empty and complete for its root, and also if it was not asked for.
    pub cgroup: ReversedPath<'r>,
    /// The arguments.
    pub arguments: Arguments<'r>,
    /// The environment, each variable as `NAME=value`; empty unless it was asked for.
    pub environment: Arguments<'r>,
    /// The true length of the environment in bytes, whether it came along or not.
    pub environment_total: u32,
}

/// A new process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fork<'r> {
    /// When the process that called fork began.
    pub creator_start_time: u64,
    /// The process that called fork: the parent, except after `CLONE_PARENT`.
    pub creator_pid: u32,
    /// As [`Exec::cgroup`].
    pub cgroup: ReversedPath<'r>,
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

impl<'r> Exec<'r> {
    pub(super) fn parse(reader: Reader<'r>, flags: Flags) -> Result<Self, RecordError> {
        use layout::exec::*;
        let path = |index| Ok(ReversedPath::new(reader.section(index)?, flags.section(index).complete()));
        let filename = reader.section(section::FILENAME)?;
        Ok(Exec {
            arguments_total: reader.fixed_u32(ARGUMENTS_TOTAL)?,
            argument_count: reader.fixed_u32(ARGUMENT_COUNT)?,
            filename: filename.strip_suffix(b"\0").unwrap_or(filename),
            executable: path(section::EXECUTABLE)?,
            directory: path(section::DIRECTORY)?,
            cgroup: path(section::CGROUP)?,
            arguments: Arguments::new(reader.section(section::ARGUMENTS)?),
            environment: Arguments::new(reader.section(section::ENVIRONMENT)?),
            environment_total: reader.fixed_u32(ENVIRONMENT_TOTAL)?,
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        use layout::exec::*;
        writer.fixed(ARGUMENTS_TOTAL, &self.arguments_total.to_le_bytes());
        writer.fixed(ARGUMENT_COUNT, &self.argument_count.to_le_bytes());
        writer.fixed(ENVIRONMENT_TOTAL, &self.environment_total.to_le_bytes());
        writer.section(section::FILENAME, &[self.filename, b"\0"].concat());
        writer.section(section::EXECUTABLE, self.executable.as_bytes());
        writer.section(section::DIRECTORY, self.directory.as_bytes());
        writer.section(section::CGROUP, self.cgroup.as_bytes());
        writer.section(section::ARGUMENTS, self.arguments.as_bytes());
        writer.section(section::ENVIRONMENT, self.environment.as_bytes());
    }
}

impl<'r> Fork<'r> {
    pub(super) fn parse(reader: Reader<'r>, flags: Flags) -> Result<Self, RecordError> {
        use layout::fork::*;
        Ok(Fork {
            creator_start_time: reader.fixed_u64(CREATOR_START_TIME)?,
            creator_pid: reader.fixed_u32(CREATOR_PID)?,
            cgroup: ReversedPath::new(
                reader.section(section::FORK_CGROUP)?,
                flags.section(section::FORK_CGROUP).complete(),
            ),
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        use layout::fork::*;
        writer.fixed(CREATOR_START_TIME, &self.creator_start_time.to_le_bytes());
        writer.fixed(CREATOR_PID, &self.creator_pid.to_le_bytes());
        writer.section(section::FORK_CGROUP, self.cgroup.as_bytes());
    }
}

impl Exit {
    pub(super) fn parse(reader: Reader<'_>) -> Result<Self, RecordError> {
        Ok(Exit { status: reader.fixed_u32(layout::exit::STATUS)? })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.fixed(layout::exit::STATUS, &self.status.to_le_bytes());
    }
}
