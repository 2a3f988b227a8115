//! Events without eBPF: execs from audit, files from fanotify.
//!
//! Goes in: the same options as those of the kernel programs' source. Comes out: the same events with the same fields, as far
//! as these mechanisms tell. They tell what happened and a process's number; who that is, is read from `/proc` right then.
//! A process that is gone by then leaves its event with its number alone, flagged. Forks and exits are not seen, so that
//! lineage is what `/proc` shows: of a process whose parent has ended, a reaper.
//!
//! Whatever is read becomes a record like those of the kernel programs, and goes the same way from there.

use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kestrel_bpf::layout::COMM_LIMIT;
use kestrel_bpf::record::{Arguments, Body, Exec, File, FileName, Flags, Header, Kind, Record, ReversedPath, Task};
use kestrel_ir::event::{Event, FieldTable};
use rustix::event::{PollFd, PollFlags, Timespec};

use super::audit::{Audit, AuditExec};
use super::fanotify::{self, Fanotify, FileNews};
use super::source::Source;
use super::translate::Translator;
use super::{KindSet, Ledger, LiveError, LiveOptions, Tier, proc_files, sys};
use crate::process_table::ProcessTable;
use crate::process_table::bootstrap::{self, Snapshot};
use crate::process_table::entity::ticks_to_nanoseconds;

const PROC: &str = "/proc";
/// The most reads before what nobody wants any longer is closed: so many fill a queue of the kernel's usual length.
const LAST_READS: usize = 64;
/// How far up ancestors are looked for that the table does not know.
const ANCESTORS: usize = 32;

/// What audit and fanotify declare, and how they are tried.
pub(super) struct Fallback {
    tier: Tier,
}

impl Fallback {
    /// Both of them.
    pub(super) fn all() -> [Fallback; 2] {
        [Tier::Audit, Tier::Fanotify].map(|tier| Fallback { tier })
    }
}

impl Source for Fallback {
    fn tier(&self) -> Tier {
        self.tier
    }

    fn kinds(&self) -> KindSet {
        match self.tier {
            Tier::Audit => KindSet::NONE.with(Kind::Exec),
            _ => fanotify::kinds(),
        }
    }

    fn needs(&self, _kind: Kind) -> Vec<String> {
        match self.tier {
            Tier::Audit => vec!["netlink/audit readers".to_owned(), "an audit rule for execve".to_owned()],
            _ => vec!["fanotify with FAN_REPORT_DFID_NAME".to_owned()],
        }
    }

    fn probe(&mut self, kind: Kind) -> Result<(), String> {
        let tried = match self.tier {
            Tier::Audit => Audit::open().map(drop),
            _ => Fanotify::open(&[PathBuf::from("/")], KindSet::NONE.with(kind)).map(drop),
        };
        tried.map_err(|error| error.with_causes())
    }
}

/// Events of audit and fanotify; see the head of this file.
pub struct FallbackSource {
    audit: Option<Audit>,
    fanotify: Option<Fanotify>,
    translator: Translator,
    wanted: KindSet,
    watched: Vec<PathBuf>,
    tiers: Vec<Tier>,
    unavailable: Vec<(Kind, LiveError)>,
    sequence: u64,
    sent: Vec<u64>,
    /// What audit and fanotify lost before they were closed.
    lost: (u64, u64),
    /// How many losses were told of.
    told_lost: u64,
}

impl FallbackSource {
    /// Starts those of `tiers` that the host allows. That no kind at all can be had is an error that says why.
    pub fn open(options: LiveOptions, tiers: &[Tier]) -> Result<FallbackSource, LiveError> {
        let wanted = options.kinds;
        let mut source = FallbackSource {
            audit: None,
            fanotify: None,
            wanted,
            watched: options.watched.clone(),
            translator: Translator::new(options),
            tiers: tiers.to_vec(),
            unavailable: Vec::new(),
            sequence: 0,
            sent: vec![0; Kind::ALL.len()],
            lost: (0, 0),
            told_lost: 0,
        };
        source.set_kinds(wanted);
        let asked = Kind::ALL.iter().filter(|kind| wanted.contains(**kind)).count();
        // The first is the reason of a source that was tried, if one was.
        if asked > 0 && source.unavailable.len() == asked {
            return Err(source.unavailable.swap_remove(0).1);
        }
        let there = bootstrap::read_proc(Path::new(PROC)).map_err(|error| LiveError::system("reading /proc", error))?;
        source.translator.load(there);
        Ok(source)
    }

    /// As [`LiveSource::set_kinds`](super::LiveSource::set_kinds). What goes on is not opened again, because that would lose
    /// what is in its queue.
    pub fn set_kinds(&mut self, kinds: KindSet) {
        self.translator.set_kinds(kinds);
        self.wanted = kinds;
        self.unavailable.clear();
        let wanted =
            |all: KindSet| Kind::ALL.into_iter().filter(move |&kind| kinds.contains(kind) && all.contains(kind));
        let of_audit = KindSet::NONE.with(Kind::Exec);
        let wants_audit = self.tiers.contains(&Tier::Audit) && wanted(of_audit).next().is_some();
        let wants_files = self.tiers.contains(&Tier::Fanotify) && wanted(fanotify::kinds()).next().is_some();
        self.close(!wants_audit, !wants_files);
        if wants_audit && self.audit.is_none() {
            match Audit::open() {
                Ok(audit) => self.audit = Some(audit),
                Err(error) => self.unavailable.push((Kind::Exec, error)),
            }
        }
        if let Some(files) = &mut self.fanotify {
            let refused = files.set_kinds(kinds).into_iter();
            self.unavailable.extend(refused.map(|(kind, error)| {
                (kind, LiveError::fallback("fanotify", "a file system cannot be watched for more", error.into()))
            }));
        } else if wants_files {
            for kind in wanted(fanotify::kinds()) {
                // One group for all; opened again to have the reason once for each kind.
                match &self.fanotify {
                    Some(_) => break,
                    None => match Fanotify::open(&self.watched, kinds) {
                        Ok(fanotify) => self.fanotify = Some(fanotify),
                        Err(error) => self.unavailable.push((kind, error)),
                    },
                }
            }
        }
        let mut had = KindSet::NONE;
        if self.tiers.contains(&Tier::Audit) {
            had = had.union(of_audit);
        }
        if self.tiers.contains(&Tier::Fanotify) {
            had = had.union(fanotify::kinds());
        }
        let none = Kind::ALL.into_iter().filter(|&kind| kinds.contains(kind) && !had.contains(kind));
        self.unavailable.extend(none.map(|kind| {
            let what = format!("`{}` events need eBPF, or another of audit and fanotify", kind.name());
            (
                kind,
                LiveError::fallback("this source", &what, std::io::Error::from(std::io::ErrorKind::Unsupported).into()),
            )
        }));
    }

    /// Closes what nobody wants any longer. What is in its queue is taken in before, for the process table and the books.
    fn close(&mut self, audit: bool, files: bool) {
        let closes = audit && self.audit.is_some() || files && self.fanotify.is_some();
        if !closes {
            return;
        }
        if let Some(files) = self.fanotify.as_mut().filter(|_| files) {
            files.stop();
        }
        for _ in 0..LAST_READS {
            // Nobody is there to whom events could be given, and nobody wants them; an error comes again if it lasts.
            if !matches!(self.read(audit, files, &mut |_| {}), Ok((_, true))) {
                break;
            }
        }
        let before = self.losses();
        self.audit = self.audit.take().filter(|_| !audit);
        self.fanotify = self.fanotify.take().filter(|_| !files);
        let now = self.losses();
        self.lost = (self.lost.0 + before.0 - now.0, self.lost.1 + before.1 - now.1);
    }

    /// As [`LiveSource::poll`](super::LiveSource::poll).
    pub fn poll(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Event)) -> Result<usize, LiveError> {
        let events = self.drain(sink)?;
        if events > 0 {
            return Ok(events);
        }
        let mut places: Vec<PollFd<'_>> = Vec::new();
        places.extend(self.audit.as_ref().map(|audit| PollFd::from_borrowed_fd(audit.as_fd(), PollFlags::IN)));
        places.extend(self.fanotify.as_ref().map(|files| PollFd::from_borrowed_fd(files.as_fd(), PollFlags::IN)));
        let timeout =
            Timespec { tv_sec: timeout.as_secs().min(1 << 30) as i64, tv_nsec: timeout.subsec_nanos().into() };
        match rustix::event::poll(&mut places, Some(&timeout)) {
            Ok(_) => self.drain(sink),
            Err(rustix::io::Errno::INTR) => Ok(0),
            Err(error) => Err(LiveError::system("waiting for audit and fanotify", error.into())),
        }
    }

    fn drain(&mut self, sink: &mut dyn FnMut(&Event)) -> Result<usize, LiveError> {
        Ok(self.read(true, true, sink)?.0)
    }

    /// Reads once from audit, fanotify or both; how many events the sink got, and whether there was anything to read. A
    /// loss is somewhere among what was read: it is told of as one since the latest event before.
    fn read(
        &mut self,
        of_audit: bool,
        of_files: bool,
        sink: &mut dyn FnMut(&Event),
    ) -> Result<(usize, bool), LiveError> {
        self.translator.start_batch();
        let since = self.translator.latest();
        let (mut count, mut more) = (0, false);
        let mut writer = Writer {
            translator: &mut self.translator,
            sequence: &mut self.sequence,
            sent: &mut self.sent,
            sink,
            count: &mut count,
        };
        let mut failed = None;
        if let Some(audit) = self.audit.as_mut().filter(|_| of_audit) {
            match audit.read(&mut |exec| writer.exec(&exec)) {
                Ok(read) => more |= read > 0,
                Err(error) => failed = Some(LiveError::system("reading from audit", error)),
            }
        }
        if let Some(files) = self.fanotify.as_mut().filter(|_| of_files && failed.is_none()) {
            match files.read(&mut |news| writer.file(&news)) {
                Ok(read) => more |= read,
                Err(error) => failed = Some(LiveError::system("reading from fanotify", error)),
            }
        }
        let (audit, files) = self.losses();
        let lost = (audit + files).saturating_sub(self.told_lost);
        if lost > 0 {
            self.told_lost += lost;
            self.translator.note_lost(lost, since);
        }
        failed.map_or(Ok((count, more)), Err)
    }

    /// As [`LiveSource::losses`](super::LiveSource::losses); a loss is told of behind the events that were read with it, as
    /// one that began before them.
    pub fn loss_news(&self) -> super::LossNews {
        self.translator.losses()
    }

    /// The kinds that are wanted and cannot be had on this host, and why.
    pub fn unavailable(&self) -> impl Iterator<Item = (Kind, &LiveError)> {
        self.unavailable.iter().map(|(kind, error)| (*kind, error))
    }

    /// The kinds that are wanted and come.
    pub fn available(&self) -> impl Iterator<Item = Kind> {
        let missing = |kind: Kind| self.unavailable.iter().any(|(other, _)| *other == kind);
        Kind::ALL.into_iter().filter(move |&kind| self.wanted.contains(kind) && !missing(kind))
    }

    /// As [`LiveSource::set_allow`](super::LiveSource::set_allow).
    pub fn set_allow(&mut self, allow: super::Allow) {
        self.translator.set_allow(allow);
    }

    /// As [`LiveSource::set_lineage`](super::LiveSource::set_lineage); without eBPF no ends come.
    pub fn set_lineage(&mut self, lineage: bool) {
        self.translator.set_lineage(lineage);
    }

    /// As [`LiveSource::set_demand`](super::LiveSource::set_demand).
    pub fn set_demand(&mut self, demand: super::Demand) {
        self.translator.set_demand(demand);
    }

    /// The names and types behind the events' field numbers.
    pub fn fields(&self) -> &FieldTable {
        self.translator.fields()
    }

    /// The processes of the host, as far as they are known.
    pub fn processes(&self) -> &ProcessTable {
        self.translator.table()
    }

    /// The watch of files, for tests that break it.
    #[cfg(test)]
    pub(super) fn files(&mut self) -> Option<&mut Fanotify> {
        self.fanotify.as_mut()
    }

    /// What audit and fanotify lost, before they were closed and since.
    fn losses(&self) -> (u64, u64) {
        let audit = self.audit.as_ref().map_or(0, |audit| audit.overflows + audit.events.lost);
        let files = self.fanotify.as_ref().map_or(0, |files| files.overflows + files.malformed);
        (self.lost.0 + audit, self.lost.1 + files)
    }

    /// What became of every event. The kernel says that a queue overflowed and not by how much: each time counts as one
    /// event lost, of exec or of opened files.
    pub fn ledger(&self) -> Ledger {
        let mut ledger = self.translator.ledger();
        let (audit, files) = self.losses();
        for kind in Kind::ALL {
            let sent = self.sent.get(kind.index()).copied().unwrap_or(0);
            let dropped = match kind {
                Kind::Exec => audit,
                Kind::FileOpen => files,
                _ => 0,
            };
            ledger.count(kind, |part| {
                part.kernel.sent = sent;
                part.kernel.dropped = dropped;
                part.kernel.produced = sent + dropped;
            });
        }
        ledger
    }
}

/// Makes records of what was read.
struct Writer<'w> {
    translator: &'w mut Translator,
    sequence: &'w mut u64,
    sent: &'w mut Vec<u64>,
    sink: &'w mut dyn FnMut(&Event),
    count: &'w mut usize,
}

impl Writer<'_> {
    fn exec(&mut self, exec: &AuditExec) {
        if exec.pid == std::process::id() {
            return;
        }
        let timestamp = since_boot(exec.time);
        let found = self.announce(exec.pid);
        let mut flags = Flags::default();
        let mut task = match &found {
            Some(found) => task_of(found),
            None => {
                // It is gone: nothing else tells when it began.
                flags = Flags(flags.0 | Flags::TASK_UNREADABLE.0);
                let parent = bootstrap::entity_of(Path::new(PROC), exec.parent).unwrap_or_default();
                Task {
                    pid: exec.pid,
                    start_time: timestamp,
                    parent_pid: parent.pid,
                    parent_start_time: ticks_to_nanoseconds(parent.start_ticks),
                    namespace_pid: exec.pid,
                    ..Task::default()
                }
            }
        };
        [task.user_id, task.effective_user_id, task.saved_user_id] = exec.users;
        [task.user_group_id, task.effective_group_id, task.saved_group_id] = exec.groups;
        put_comm(&mut task, &exec.comm);
        let (executable, directory) = (reversed(&exec.executable), reversed(&exec.directory));
        let arguments = exec.arguments.iter().fold(Vec::new(), |mut area, argument| {
            area.extend_from_slice(argument);
            area.push(0);
            area
        });
        if exec.cut {
            let section = kestrel_bpf::record::exec::section::ARGUMENTS;
            flags = flags.with_section(section, kestrel_bpf::record::SectionFlags::TRUNCATED);
        }
        let body = Body::Exec(Exec {
            arguments_total: u32::try_from(arguments.len()).unwrap_or(u32::MAX),
            argument_count: exec.argument_count,
            filename: &exec.executable,
            executable: ReversedPath::new(&executable, true),
            directory: ReversedPath::new(&directory, true),
            cgroup: ReversedPath::new(b"", true),
            arguments: Arguments::new(&arguments),
            environment: Arguments::new(b""),
            environment_total: 0,
        });
        self.send(Kind::Exec, timestamp, flags, task, body);
    }

    fn file(&mut self, news: &FileNews<'_>) {
        if news.pid == std::process::id() {
            return;
        }
        let found = if news.pid == 0 { None } else { self.announce(news.pid) };
        let mut flags = Flags::default();
        let task = found.as_ref().map(task_of).unwrap_or_else(|| {
            flags = Flags(flags.0 | Flags::TASK_UNREADABLE.0);
            Task::default()
        });
        let path_of = |(folder, name): &(Option<PathBuf>, &[u8])| {
            let folder = folder.as_ref()?;
            let name = std::ffi::OsStr::from_bytes(name);
            Some(if name == "." { folder.clone() } else { folder.join(name) })
        };
        let path = path_of(&news.place);
        let old = news.old.as_ref().map(path_of);
        if path.is_none() || old == Some(None) {
            flags = Flags(flags.0 | Flags::VALUE_UNREADABLE.0);
        }
        let bytes = |path: &Option<PathBuf>| {
            path.as_ref().map(|path| reversed(path.as_os_str().as_bytes())).unwrap_or_default()
        };
        let (new, old) = (bytes(&path), old.as_ref().map(bytes));
        // What the name stands for now; it may have been replaced, or be gone.
        let data = path.as_ref().filter(|_| news.kind != Kind::FileDelete);
        let data = data.and_then(|path| std::fs::symlink_metadata(path).ok());
        let name = |reversed| FileName { folder: ReversedPath::new(reversed, true), name: b"" };
        let body = Body::File(File {
            name: name(&new),
            other: old.as_ref().map(|old| name(old)),
            inode: data.as_ref().map(|data| (data.ino(), data.size())),
            file_type: data.as_ref().map(|data| data.mode() & 0o170_000),
            permissions: data.as_ref().map(|data| data.mode() & 0o7777),
            uid: data.as_ref().map(|data| data.uid()),
            gid: data.as_ref().map(|data| data.gid()),
            original: None,
            flags: None,
        });
        let now = u64::try_from(sys::boot_clock()).unwrap_or(0);
        self.send(news.kind, now, flags, task, body);
    }

    fn send(&mut self, kind: Kind, timestamp: u64, flags: Flags, task: Task, body: Body<'_>) {
        *self.sequence += 1;
        let header = Header { kind, timestamp, sequence: *self.sequence, cpu: 0, flags };
        if let Some(sent) = self.sent.get_mut(kind.index()) {
            *sent += 1;
        }
        let bytes = Record { header, task, body }.encode();
        *self.count += usize::from(self.translator.record(&bytes, self.sink));
    }

    /// Has the table know a process as it is now, and its ancestors.
    fn announce(&mut self, pid: u32) -> Option<Snapshot> {
        let proc = Path::new(PROC);
        let found = bootstrap::read_one(proc, pid)?;
        let mut unknown = Vec::new();
        let mut parent = found.facts.parent;
        while let Some(id) = parent.filter(|id| self.translator.table().get(*id).is_none()) {
            let Some(above) = bootstrap::read_one(proc, id.pid).filter(|_| unknown.len() < ANCESTORS) else { break };
            parent = above.facts.parent;
            unknown.push(above);
        }
        self.translator.load(unknown);
        self.translator.renew(&found);
        Some(found)
    }
}

fn task_of(found: &Snapshot) -> Task {
    let facts = &found.facts;
    let folder = Path::new(PROC).join(facts.id.pid.to_string()).join("ns");
    let namespace = |name: &str| proc_files::namespace_number(&folder.join(name)).unwrap_or(0);
    let parent = facts.parent.unwrap_or_default();
    let mut task = Task {
        start_time: facts.start_time,
        parent_start_time: ticks_to_nanoseconds(parent.start_ticks),
        pid: facts.id.pid,
        parent_pid: parent.pid,
        session_id: facts.session,
        group_id: facts.group,
        namespace_pid: facts.namespace_pid,
        user_id: facts.users[0],
        effective_user_id: facts.users[1],
        saved_user_id: facts.users[2],
        user_group_id: facts.groups[0],
        effective_group_id: facts.groups[1],
        saved_group_id: facts.groups[2],
        tty_major: facts.tty.0,
        tty_minor: facts.tty.1,
        mount_namespace: namespace("mnt"),
        pid_namespace: namespace("pid"),
        network_namespace: namespace("net"),
        kernel_thread: facts.kernel_thread,
        interactive: facts.interactive,
        thread_id: facts.id.pid,
        ..Task::default()
    };
    put_comm(&mut task, found.image.name.as_bytes());
    task
}

fn put_comm(task: &mut Task, name: &[u8]) {
    let name = name.get(..COMM_LIMIT - 1).unwrap_or(name);
    task.comm = [0; COMM_LIMIT];
    task.comm.iter_mut().zip(name).for_each(|(place, byte)| *place = *byte);
}

/// A path with its last component first, as records have it.
fn reversed(path: &[u8]) -> Vec<u8> {
    let parts = path.rsplit(|&byte| byte == b'/').filter(|part| !part.is_empty());
    parts.fold(Vec::with_capacity(path.len() + 1), |mut out, part| {
        out.extend_from_slice(part);
        out.push(0);
        out
    })
}

/// Nanoseconds since boot of a time in milliseconds since 1970.
fn since_boot(time: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ago = now.saturating_sub(Duration::from_millis(time));
    let boot = u64::try_from(sys::boot_clock()).unwrap_or(0);
    boot.saturating_sub(u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX))
}
