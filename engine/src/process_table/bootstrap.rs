//! Reads `/proc` once, at the start, so that the table knows who is there before the first event.
//!
//! Goes in: a folder that looks like `/proc`. Comes out: one [`Snapshot`] a process. A process that ends while it is read
//! is left out; a value that may not be read is empty. What `/proc` says is parsed with the same distrust as records: a
//! process chooses its own name and arguments.

use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::OnceLock;

use kestrel_bpf::layout::ARGUMENTS_LIMIT;
use kestrel_bpf::record::push_lossy;

use super::entity::ticks_to_nanoseconds;
use super::{EntityId, Facts, Image};

/// Processes beyond this number are not read; the kernel's own limit is the same (`PID_MAX_LIMIT`).
const PROCESS_LIMIT: usize = 4 << 20;
/// `PF_KTHREAD`, bit of the ninth field of `/proc/PID/stat`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// One process as `/proc` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Who it is.
    pub facts: Facts,
    /// What it runs.
    pub image: Image,
    /// Whether it has ended and waits for its parent.
    pub zombie: bool,
}

/// All processes below `proc` (usually `/proc`). An error only when the folder itself cannot be read.
pub fn read_proc(proc: &Path) -> std::io::Result<Vec<Snapshot>> {
    let offset = boot_offset_ticks(proc);
    let mut snapshots = Vec::new();
    for entry in std::fs::read_dir(proc)?.flatten().take(PROCESS_LIMIT) {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        if let Some(pid) = pid
            && let Some(snapshot) = read_process(&entry.path(), pid, offset)
        {
            snapshots.push(snapshot);
        }
    }
    let ids: std::collections::HashMap<u32, EntityId> =
        snapshots.iter().map(|snapshot| (snapshot.facts.id.pid, snapshot.facts.id)).collect();
    for snapshot in &mut snapshots {
        // The parent is a number so far; a number that began after its child is somebody else's by now.
        snapshot.facts.parent = snapshot.facts.parent.and_then(|parent| {
            ids.get(&parent.pid).copied().filter(|parent| parent.start_ticks <= snapshot.facts.id.start_ticks)
        });
    }
    Ok(snapshots)
}

/// One process as it is now, with its parent; `None` when it is gone or may not be seen.
pub fn read_one(proc: &Path, pid: u32) -> Option<Snapshot> {
    let mut snapshot = read_process(&proc.join(pid.to_string()), pid, boot_offset_ticks(proc))?;
    snapshot.facts.parent = snapshot.facts.parent.and_then(|parent| {
        entity_of(proc, parent.pid).filter(|parent| parent.start_ticks <= snapshot.facts.id.start_ticks)
    });
    Some(snapshot)
}

/// Which process has that number now.
pub fn entity_of(proc: &Path, pid: u32) -> Option<EntityId> {
    let stat = read_limited(&proc.join(pid.to_string()).join("stat"), 4096)?;
    let start_ticks = Stat::parse(&stat)?.start_ticks as i64;
    let start_ticks = u64::try_from(start_ticks.saturating_sub(boot_offset_ticks(proc))).ok()?;
    Some(EntityId::from_start_ticks(pid, start_ticks))
}

/// Ticks that this reader's time namespace adds to start times, which the kernel's records do not have. They cannot change
/// while this process runs, and are read once.
fn boot_offset_ticks(proc: &Path) -> i64 {
    static OWN: OnceLock<i64> = OnceLock::new();
    if proc == Path::new("/proc") {
        return *OWN.get_or_init(|| read_boot_offset_ticks(proc));
    }
    read_boot_offset_ticks(proc)
}

fn read_boot_offset_ticks(proc: &Path) -> i64 {
    let text = std::fs::read_to_string(proc.join("self/timens_offsets")).unwrap_or_default();
    let boottime = text.lines().find_map(|line| line.strip_prefix("boottime"));
    let seconds = boottime.and_then(|line| line.split_whitespace().next()?.parse::<i64>().ok());
    seconds.unwrap_or(0).saturating_mul(super::entity::TICKS_PER_SECOND as i64)
}

fn read_process(folder: &Path, pid: u32, offset: i64) -> Option<Snapshot> {
    let stat = read_limited(&folder.join("stat"), 4096)?;
    let stat = Stat::parse(&stat)?;
    let start_ticks = u64::try_from((stat.start_ticks as i64).saturating_sub(offset)).ok()?;
    let mut facts = Facts {
        id: EntityId::from_start_ticks(pid, start_ticks),
        // Only the number is known yet.
        parent: (stat.parent != 0).then_some(EntityId::from_start_ticks(stat.parent, 0)),
        session: stat.session,
        group: stat.group,
        namespace_pid: pid,
        start_time: ticks_to_nanoseconds(start_ticks),
        users: [0; 3],
        groups: [0; 3],
        tty: (stat.tty >> 8 & 0xfff, stat.tty & 0xff | stat.tty >> 12 & 0xf_ff00),
        interactive: false,
        kernel_thread: stat.flags & KERNEL_THREAD != 0,
    };
    facts.interactive = facts.tty.0 != 0 && [0, 2].iter().all(|number| is_terminal(folder, *number, facts.tty));
    let status = read_limited(&folder.join("status"), 65_536).unwrap_or_default();
    apply_status(&String::from_utf8_lossy(&status), &mut facts);

    let mut arguments = read_limited(&folder.join("cmdline"), ARGUMENTS_LIMIT + 1).unwrap_or_default();
    let truncated = arguments.len() > ARGUMENTS_LIMIT;
    arguments.truncate(ARGUMENTS_LIMIT);
    let mut image = Image { truncated, ..Image::default() };
    image.arguments = lossy(&arguments);
    image.argument_count = image.arguments().count() as u32;
    image.executable = read_path(&folder.join("exe"));
    image.working_directory = read_path(&folder.join("cwd"));
    image.name = match image.executable.rsplit_once('/') {
        Some((_, name)) if !name.is_empty() => name.strip_suffix(" (deleted)").unwrap_or(name).into(),
        _ => lossy(&stat.comm),
    };
    // The leader of a process whose other threads go on shows as a zombie too.
    let zombie = matches!(stat.state, b'Z' | b'X') && stat.threads <= 1;
    Some(Snapshot { facts, image, zombie })
}

/// What of `/proc/PID/stat` is of use (proc_pid_stat(5)).
struct Stat {
    comm: Vec<u8>,
    state: u8,
    parent: u32,
    group: u32,
    session: u32,
    tty: u32,
    flags: u64,
    threads: u64,
    start_ticks: u64,
}

impl Stat {
    fn parse(bytes: &[u8]) -> Option<Stat> {
        // The short name is in brackets and may hold brackets, spaces and newlines itself: the last bracket closes it.
        let open = bytes.iter().position(|&byte| byte == b'(')?;
        let close = bytes.iter().rposition(|&byte| byte == b')')?;
        let comm = bytes.get(open + 1..close)?.to_vec();
        let rest = std::str::from_utf8(bytes.get(close + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // The state is field 3 of the manual page's count.
        let field = |number: usize| fields.get(number - 3).copied();
        let number = |at: usize| field(at)?.parse::<u64>().ok();
        let pid = |at: usize| Some(u32::try_from(field(at)?.parse::<i64>().ok()?).unwrap_or(0));
        Some(Stat {
            comm,
            state: *field(3)?.as_bytes().first()?,
            parent: pid(4)?,
            group: pid(5)?,
            session: pid(6)?,
            tty: field(7)?.parse::<i32>().ok()? as u32,
            flags: number(9)?,
            threads: number(20)?,
            start_ticks: number(22)?,
        })
    }
}

fn apply_status(status: &str, facts: &mut Facts) {
    for line in status.lines() {
        let mut words = line.split_ascii_whitespace();
        let name = words.next().unwrap_or_default();
        let mut numbers = words.filter_map(|word| word.parse::<u32>().ok());
        match name {
            "Uid:" | "Gid:" => {
                if let (Some(real), Some(effective), Some(saved)) = (numbers.next(), numbers.next(), numbers.next()) {
                    let ids = if name == "Uid:" { &mut facts.users } else { &mut facts.groups };
                    *ids = [real, effective, saved];
                }
            }
            "NSpid:" => facts.namespace_pid = numbers.next_back().unwrap_or(facts.namespace_pid),
            _ => {}
        }
    }
}

fn read_limited(path: &Path, limit: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(limit as u64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Whether a process's descriptor is the terminal of that number, by its own name or as `/dev/tty` or `/dev/console`.
fn is_terminal(folder: &Path, descriptor: u32, tty: (u32, u32)) -> bool {
    let file = std::fs::metadata(folder.join(format!("fd/{descriptor}")));
    file.is_ok_and(|file| {
        let number = (rustix::fs::major(file.rdev()), rustix::fs::minor(file.rdev()));
        file.file_type().is_char_device() && [tty, (5, 0), (5, 1)].contains(&number)
    })
}

/// The target of a link of `/proc`. The kernel's remark that a file is gone is no part of the path: the file was there when
/// the process began. A file in memory never was, and says so as its exec event does.
fn read_path(link: &Path) -> Box<str> {
    let target = std::fs::read_link(link).map(|path| path.as_os_str().as_bytes().to_vec()).unwrap_or_default();
    let in_memory = target.starts_with(b"/memfd:");
    lossy(target.strip_suffix(b" (deleted)").filter(|_| !in_memory).unwrap_or(&target))
}

fn lossy(bytes: &[u8]) -> Box<str> {
    let mut text = String::with_capacity(bytes.len());
    push_lossy(&mut text, bytes);
    text.into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_newlines_does_not_shift_the_fields() {
        let stat = b"77 (a) R 1\n(b) S 42 7 8 34816 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 1234 0 0";
        let stat = Stat::parse(stat).expect("a well-formed line");
        assert_eq!(stat.comm, b"a) R 1\n(b");
        assert_eq!((stat.state, stat.parent, stat.group, stat.session), (b'S', 42, 7, 8));
        assert_eq!((stat.threads, stat.start_ticks), (1, 1234));
    }

    #[test]
    fn short_or_strange_lines_are_no_process() {
        for line in
            [&b""[..], b"1", b"1 (x", b"1 )x( S", b"1 (x) S 1 2", b"1 (x) S a b c d e f g h i j k l m n o p q r s t"]
        {
            assert!(Stat::parse(line).is_none());
        }
    }

    #[test]
    fn status_gives_users_and_the_innermost_number() {
        let mut facts = Facts::default();
        apply_status("Name:\tx\nUid:\t1000\t0\t5\t0\nGid:\t1\t2\t3\t4\nNSpid:\t77\t9\t1\n", &mut facts);
        assert_eq!((facts.users, facts.groups, facts.namespace_pid), ([1000, 0, 5], [1, 2, 3], 1));
    }

    #[test]
    fn this_process_is_there_and_its_parent_too() {
        let snapshots = read_proc(Path::new("/proc")).expect("/proc is mounted");
        let own = snapshots.iter().find(|snapshot| snapshot.facts.id.pid == std::process::id()).expect("own process");
        assert_eq!(own.image.executable.as_ref(), std::env::current_exe().expect("own path").to_str().expect("UTF-8"));
        let arguments: Vec<String> = own.image.arguments().map(str::to_owned).collect();
        assert_eq!(arguments, std::env::args().collect::<Vec<_>>());
        assert!(!own.zombie && !own.facts.kernel_thread);
    }
}
