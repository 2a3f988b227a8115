//! What processes do to themselves and to each other: records of signals, tracing, memory, modules and BPF programs.

use super::bytes::{Reader, Writer};
use super::{Flags, RecordError, ReversedPath};
use crate::layout;

/// Whom an act is aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// When it began, nanoseconds since boot; 0 when only its number is known.
    pub start_time: u64,
    /// Its number.
    pub pid: u32,
}

/// A signal on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kill {
    /// Who gets it.
    pub target: Target,
    /// Its number.
    pub signal: u32,
}

/// A request to ptrace(2) that was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ptrace {
    /// Who is traced; after `PTRACE_TRACEME` the process itself.
    pub target: Target,
    /// The request's number.
    pub request: u64,
}

/// A file that exists only in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memfd<'r> {
    /// `MFD_*` of memfd_create(2).
    pub flags: u32,
    /// Its name, with the kernel's `memfd:` before it.
    pub name: &'r [u8],
}

/// A kernel module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Module<'r> {
    /// Its name.
    pub name: &'r [u8],
    /// Its parameters.
    pub arguments: &'r [u8],
    /// Its file, when it was loaded from one.
    pub path: Option<ReversedPath<'r>>,
}

/// Memory that can be executed from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory<'r> {
    /// Where it begins.
    pub address: u64,
    /// How long it is, in bytes.
    pub length: u64,
    /// `PROT_*`.
    pub protection: u32,
    /// `PROT_*` as they were, of the first mapping there; known only after mprotect, and not always.
    pub protection_old: Option<u32>,
    /// `MAP_*` of mmap(2).
    pub flags: u32,
    /// The file that is mapped there.
    pub path: Option<ReversedPath<'r>>,
}

/// A BPF program that was loaded, or attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bpf<'r> {
    /// The command of bpf(2).
    pub command: u32,
    /// `BPF_PROG_TYPE_*`.
    pub program_type: u32,
    /// The program's name, which may be empty.
    pub name: &'r [u8],
}

fn text(section: &[u8]) -> &[u8] {
    section.strip_suffix(b"\0").unwrap_or(section)
}

/// A path that need not be there: a section that is empty and not flagged is none.
fn path<'r>(reader: Reader<'r>, flags: Flags, index: usize) -> Result<Option<ReversedPath<'r>>, RecordError> {
    let (section, flags) = (reader.section(index)?, flags.section(index));
    let there = !section.is_empty() || flags.unreadable();
    Ok(there.then(|| ReversedPath::new(section, flags.complete())))
}

fn put_path(writer: &mut Writer, index: usize, path: Option<ReversedPath<'_>>) {
    writer.section(index, path.map(|path| path.as_bytes()).unwrap_or_default());
}

impl Target {
    fn parse(reader: Reader<'_>, at: usize) -> Result<Self, RecordError> {
        use layout::target::*;
        Ok(Target { start_time: reader.fixed_u64(at + START_TIME)?, pid: reader.fixed_u32(at + PID)? })
    }

    fn encode(&self, writer: &mut Writer, at: usize) {
        use layout::target::*;
        writer.fixed(at + START_TIME, &self.start_time.to_le_bytes());
        writer.fixed(at + PID, &self.pid.to_le_bytes());
    }
}

impl Kill {
    pub(super) fn parse(reader: Reader<'_>) -> Result<Self, RecordError> {
        use layout::kill::*;
        Ok(Kill { target: Target::parse(reader, TARGET)?, signal: reader.fixed_u32(SIGNAL)? })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        self.target.encode(writer, layout::kill::TARGET);
        writer.fixed(layout::kill::SIGNAL, &self.signal.to_le_bytes());
    }
}

impl Ptrace {
    pub(super) fn parse(reader: Reader<'_>) -> Result<Self, RecordError> {
        use layout::ptrace::*;
        Ok(Ptrace { target: Target::parse(reader, TARGET)?, request: reader.fixed_u64(REQUEST)? })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        self.target.encode(writer, layout::ptrace::TARGET);
        writer.fixed(layout::ptrace::REQUEST, &self.request.to_le_bytes());
    }
}

impl<'r> Memfd<'r> {
    pub(super) fn parse(reader: Reader<'r>) -> Result<Self, RecordError> {
        Ok(Memfd { flags: reader.fixed_u32(layout::memfd::FLAGS)?, name: text(reader.section(0)?) })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.fixed(layout::memfd::FLAGS, &self.flags.to_le_bytes());
        writer.section(0, &[self.name, b"\0"].concat());
    }
}

impl<'r> Module<'r> {
    pub(super) fn parse(reader: Reader<'r>, flags: Flags) -> Result<Self, RecordError> {
        Ok(Module {
            name: text(reader.section(0)?),
            arguments: text(reader.section(1)?),
            path: path(reader, flags, 2)?,
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.section(0, &[self.name, b"\0"].concat());
        writer.section(1, &[self.arguments, b"\0"].concat());
        put_path(writer, 2, self.path);
    }
}

impl<'r> Memory<'r> {
    pub(super) fn parse(reader: Reader<'r>, flags: Flags) -> Result<Self, RecordError> {
        use layout::memory::*;
        let known = reader.fixed_u32(KNOWN)? & 1 != 0;
        let protection_old = reader.fixed_u32(PROTECTION_OLD)?;
        Ok(Memory {
            address: reader.fixed_u64(ADDRESS)?,
            length: reader.fixed_u64(LENGTH)?,
            protection: reader.fixed_u32(PROTECTION)?,
            protection_old: known.then_some(protection_old),
            flags: reader.fixed_u32(FLAGS)?,
            path: path(reader, flags, 0)?,
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        use layout::memory::*;
        writer.fixed(ADDRESS, &self.address.to_le_bytes());
        writer.fixed(LENGTH, &self.length.to_le_bytes());
        writer.fixed(PROTECTION, &self.protection.to_le_bytes());
        writer.fixed(PROTECTION_OLD, &self.protection_old.unwrap_or(0).to_le_bytes());
        writer.fixed(FLAGS, &self.flags.to_le_bytes());
        writer.fixed(KNOWN, &u32::from(self.protection_old.is_some()).to_le_bytes());
        put_path(writer, 0, self.path);
    }
}

impl<'r> Bpf<'r> {
    pub(super) fn parse(reader: Reader<'r>) -> Result<Self, RecordError> {
        use layout::bpf::*;
        Ok(Bpf {
            command: reader.fixed_u32(COMMAND)?,
            program_type: reader.fixed_u32(PROGRAM_TYPE)?,
            name: text(reader.section(0)?),
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        use layout::bpf::*;
        writer.fixed(COMMAND, &self.command.to_le_bytes());
        writer.fixed(PROGRAM_TYPE, &self.program_type.to_le_bytes());
        writer.section(0, &[self.name, b"\0"].concat());
    }
}
