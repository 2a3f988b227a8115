//! Digests, first bytes and entropy of files, found out without holding up events for long.
//!
//! Goes in: where the file is, and what is wanted of it. Comes out: a [`Look`] at it, or why there is none. One thread
//! does the reading, since opening or reading a file may block for as long as a file system likes; an event waits for it
//! a limited time, and all events together wait for a limited share of time. What comes later than that is remembered
//! for the next event with the same file: a file is known by its device, inode, size and times, so one that was written to
//! is another one.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::live::containers::Remembered;
use crate::live::proc_files;
use crate::process_table::EntityId;

/// A larger file is not read.
const SIZE_LIMIT: u64 = 100 << 20;
/// How long the thread reads one file.
const READ_LIMIT: Duration = Duration::from_secs(5);
/// How long an event waits for a file.
const WAIT_LIMIT: Duration = Duration::from_millis(100);
/// How long events may wait in a row when none has waited for a while.
const CREDIT_LIMIT: Duration = Duration::from_millis(250);
/// Of all time, the share that events may wait: one part in so many.
const CREDIT_SHARE: u32 = 10;
/// Requests that wait for the thread.
const QUEUE: usize = 64;
/// Files that are remembered.
const REMEMBERED: usize = 4_096;
/// As many first bytes as Elastic Defend gives.
const HEADER_BYTES: usize = 16;
const CHUNK: usize = 64 << 10;

/// What is wanted of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(in crate::live) struct Wanted {
    pub(in crate::live) md5: bool,
    pub(in crate::live) sha1: bool,
    pub(in crate::live) sha256: bool,
    pub(in crate::live) header: bool,
    pub(in crate::live) entropy: bool,
}

impl Wanted {
    /// Whether anything is.
    pub(in crate::live) fn any(self) -> bool {
        self != Wanted::default()
    }
}

/// What was found; empty where it was not wanted.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::live) struct Look {
    pub(in crate::live) md5: String,
    pub(in crate::live) sha1: String,
    pub(in crate::live) sha256: String,
    /// In hexadecimal.
    pub(in crate::live) header: String,
    /// Of Shannon, in bits a byte; none for an empty file.
    pub(in crate::live) entropy: Option<f64>,
}

/// Why a file was not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::live) enum WhyNot {
    /// It, or the process through which it was to be found, is gone, or may not be read.
    Gone,
    /// It is something else than a file with content.
    NotRegular,
    /// It was changed after the event.
    Changed,
    /// It is larger than what is read.
    TooLarge,
    /// There was no time left.
    Late,
}

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::live) enum Place {
    /// What a process runs. If the process is gone, the path counts, as the host sees it, if it has not changed since that
    /// moment, in nanoseconds since 1970.
    Executable { process: EntityId, path: Option<PathBuf>, unchanged_since: i64 },
    /// A path as a process sees it; as the host sees it, if the process is gone and shared that view. What has another
    /// inode number by now is another file.
    Path { process: EntityId, path: PathBuf, inode: Option<u64>, shared: bool },
}

/// What makes a file that file: device, inode, size, and when content and everything else were changed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

type Answer = Result<Arc<Look>, WhyNot>;

struct Request {
    number: u64,
    place: Place,
    wanted: Wanted,
}

/// The asking side; see the head of this file. Dropping it ends the thread, as soon as its file system lets it.
pub(in crate::live) struct Files {
    requests: SyncSender<Request>,
    answers: Receiver<(u64, Answer)>,
    number: u64,
    credit: Duration,
    credited: Instant,
}

impl Files {
    /// Starts the thread. `proc` is `/proc`, but in tests.
    pub(in crate::live) fn start(proc: &Path) -> std::io::Result<Files> {
        let (requests, inbox) = sync_channel::<Request>(QUEUE);
        let (outbox, answers) = sync_channel(QUEUE * 2);
        let mut reader = Reader { proc: proc.to_owned(), known: Remembered::new(REMEMBERED), buffer: vec![0; CHUNK] };
        std::thread::Builder::new().name("kestrel-files".to_owned()).spawn(move || {
            while let Ok(request) = inbox.recv() {
                let answer = reader.look(&request.place, request.wanted);
                // Answers that nobody waited for are thrown away by the next who asks; it is enough to remember them.
                if let Err(TrySendError::Disconnected(_)) = outbox.try_send((request.number, answer)) {
                    break;
                }
            }
        })?;
        Ok(Files { requests, answers, number: 0, credit: CREDIT_LIMIT, credited: Instant::now() })
    }

    /// Looks at a file, and waits for it as long as may be.
    pub(in crate::live) fn look(&mut self, place: Place, wanted: Wanted) -> Answer {
        let now = Instant::now();
        let earned = now.duration_since(self.credited) / CREDIT_SHARE;
        self.credit = (self.credit + earned).min(CREDIT_LIMIT);
        self.credited = now;
        while self.answers.try_recv().is_ok() {}
        self.number += 1;
        // A full queue means that the thread is held up; it has enough to remember.
        self.requests.try_send(Request { number: self.number, place, wanted }).map_err(|_| WhyNot::Late)?;
        let deadline = now + WAIT_LIMIT.min(self.credit);
        let answer = loop {
            match self.answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((number, answer)) if number == self.number => break answer,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break Err(WhyNot::Late),
            }
        };
        self.credit = self.credit.saturating_sub(now.elapsed());
        answer
    }
}

/// The reading side.
struct Reader {
    proc: PathBuf,
    known: Remembered<(Identity, Wanted), Answer>,
    buffer: Vec<u8>,
}

impl Reader {
    fn look(&mut self, place: &Place, wanted: Wanted) -> Answer {
        let file = self.open(place)?;
        let before = identity(&file)?;
        if let Some(known) = self.known.get(&(before, wanted)) {
            return known.clone();
        }
        let answer = self.read(file.try_clone().map_err(|_| WhyNot::Gone)?, before, wanted);
        // What was written to meanwhile is neither the one nor the other.
        let answer = if identity(&file) == Ok(before) { answer } else { Err(WhyNot::Changed) };
        if answer != Err(WhyNot::Changed) {
            self.known.insert((before, wanted), answer.clone());
        }
        answer
    }

    fn open(&self, place: &Place) -> Result<File, WhyNot> {
        match place {
            Place::Executable { process, path, unchanged_since } => {
                let link = self.proc.join(process.pid.to_string()).join("exe");
                // Asked after the file was opened: so it was that process whose file it is.
                match File::open(link) {
                    Ok(file) if proc_files::is_alive(&self.proc, *process) => Ok(file),
                    _ => {
                        let file = open_plain(path.as_deref().ok_or(WhyNot::Gone)?)?;
                        let (seconds, nanoseconds) = identity(&file)?.changed;
                        let changed = seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds);
                        if changed <= *unchanged_since { Ok(file) } else { Err(WhyNot::Changed) }
                    }
                }
            }
            Place::Path { process, path, inode, shared } => {
                let below = path.strip_prefix("/").map_err(|_| WhyNot::Gone)?;
                let file = open_in_root(&self.proc.join(process.pid.to_string()).join("root"), below);
                let file = match file {
                    Ok(file) if proc_files::is_alive(&self.proc, *process) => file,
                    Err(WhyNot::NotRegular) => return Err(WhyNot::NotRegular),
                    _ if *shared => open_plain(path)?,
                    _ => return Err(WhyNot::Gone),
                };
                match inode {
                    Some(inode) if identity(&file)?.inode != *inode => Err(WhyNot::Changed),
                    _ => Ok(file),
                }
            }
        }
    }

    fn read(&mut self, mut file: File, identity: Identity, wanted: Wanted) -> Answer {
        if identity.size > SIZE_LIMIT {
            return Err(WhyNot::TooLarge);
        }
        let begun = Instant::now();
        let whole = wanted.md5 || wanted.sha1 || wanted.sha256 || wanted.entropy;
        let (mut md5, mut sha1, mut sha256) = (Md5::new(), Sha1::new(), Sha256::new());
        let mut counts = [0_u64; 256];
        let mut header = Vec::new();
        let mut length = 0_u64;
        loop {
            let read = match file.read(&mut self.buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Err(WhyNot::Gone),
            };
            let chunk = self.buffer.get(..read).unwrap_or_default();
            header.extend_from_slice(chunk.get(..(HEADER_BYTES - header.len()).min(read)).unwrap_or_default());
            length += read as u64;
            if read == 0 || !whole && header.len() == HEADER_BYTES {
                break;
            }
            if length > SIZE_LIMIT {
                return Err(WhyNot::TooLarge);
            }
            if begun.elapsed() > READ_LIMIT {
                return Err(WhyNot::Late);
            }
            if wanted.md5 {
                md5.update(chunk);
            }
            if wanted.sha1 {
                sha1.update(chunk);
            }
            if wanted.sha256 {
                sha256.update(chunk);
            }
            if wanted.entropy {
                chunk.iter().for_each(|&byte| {
                    if let Some(count) = counts.get_mut(usize::from(byte)) {
                        *count += 1;
                    }
                });
            }
        }
        let digest = |wanted: bool, bytes: &[u8]| if wanted { hexadecimal(bytes) } else { String::new() };
        Ok(Arc::new(Look {
            md5: digest(wanted.md5, &md5.finalize()),
            sha1: digest(wanted.sha1, &sha1.finalize()),
            sha256: digest(wanted.sha256, &sha256.finalize()),
            header: digest(wanted.header, &header),
            entropy: wanted.entropy.then(|| entropy(&counts, length)).flatten(),
        }))
    }
}

/// Opens a file that may be anything by now, without waiting for the other end of a pipe.
fn open_plain(path: &Path) -> Result<File, WhyNot> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    // Opening a device can do things; only what is a regular file is opened. That it may be replaced in between is why the
    // descriptor is looked at again.
    if !std::fs::metadata(path).map_err(|_| WhyNot::Gone)?.is_file() {
        return Err(WhyNot::NotRegular);
    }
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path);
    file.map_err(|_| WhyNot::Gone)
}

/// Opens a file below a process's root, links within it included: what they say is a path of that process, and never one of
/// the engine's.
fn open_in_root(root: &Path, below: &Path) -> Result<File, WhyNot> {
    use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
    let gone = |_| WhyNot::Gone;
    let root = openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(gone)?;
    let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let place = openat2(&root, below, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), within).map_err(gone)?;
    // Opening a device can do things; a descriptor of a path does none, and stays with the file that was looked at.
    if FileType::from_raw_mode(fstat(&place).map_err(gone)?.st_mode) != FileType::RegularFile {
        return Err(WhyNot::NotRegular);
    }
    File::open(format!("/proc/self/fd/{}", place.as_raw_fd())).map_err(|_| WhyNot::Gone)
}

fn identity(file: &File) -> Result<Identity, WhyNot> {
    let data = file.metadata().map_err(|_| WhyNot::Gone)?;
    if !data.is_file() {
        return Err(WhyNot::NotRegular);
    }
    Ok(Identity {
        device: data.dev(),
        inode: data.ino(),
        size: data.size(),
        modified: (data.mtime(), data.mtime_nsec()),
        changed: (data.ctime(), data.ctime_nsec()),
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn entropy(counts: &[u64; 256], length: u64) -> Option<f64> {
    let total = length as f64;
    let part = |count: u64| {
        let share = count as f64 / total;
        share * share.log2()
    };
    let sum: f64 = counts.iter().filter(|&&count| count > 0).map(|&count| part(count)).sum();
    // A single value has the sum -0.0.
    (length > 0).then_some(if sum < 0.0 { -sum } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process_table::bootstrap;

    const ALL: Wanted = Wanted { md5: true, sha1: true, sha256: true, header: true, entropy: true };

    fn reader() -> Reader {
        Reader { proc: PathBuf::from("/proc"), known: Remembered::new(REMEMBERED), buffer: vec![0; CHUNK] }
    }

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("kestrel-files-{name}-{}", std::process::id()))
    }

    fn own() -> EntityId {
        bootstrap::entity_of(Path::new("/proc"), std::process::id()).expect("own process")
    }

    fn path(path: &Path) -> Place {
        Place::Path { process: own(), path: path.to_owned(), inode: None, shared: true }
    }

    #[test]
    fn a_file_is_looked_at_whole() {
        let file = scratch("whole");
        std::fs::write(&file, b"abc").expect("a file of our own");
        let look = reader().look(&path(&file), ALL).expect("it is there");
        assert_eq!(look.md5, "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(look.sha1, "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(look.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!((look.header.as_str(), look.entropy), ("616263", Some(3_f64.log2())));
        let header = Wanted { header: true, ..Wanted::default() };
        let only = reader().look(&path(&file), header).expect("it is there");
        assert_eq!(*only, Look { header: "616263".to_owned(), ..Look::default() });
        std::fs::remove_file(&file).expect("a file of our own");
    }

    #[test]
    fn entropy_is_between_0_and_8() {
        assert_eq!(entropy(&[0; 256], 0), None);
        let mut one = [0; 256];
        one[7] = 1_000;
        assert_eq!(entropy(&one, 1_000), Some(0.0));
        assert_eq!(entropy(&[4; 256], 1_024), Some(8.0));
    }

    #[test]
    fn a_file_that_was_written_to_is_another_one() {
        let file = scratch("again");
        let mut reader = reader();
        std::fs::write(&file, b"first").expect("a file of our own");
        let first = reader.look(&path(&file), ALL).expect("it is there");
        assert!(Arc::ptr_eq(&first, &reader.look(&path(&file), ALL).expect("it is there")), "remembered");
        std::fs::write(&file, b"other").expect("a file of our own");
        let second = reader.look(&path(&file), ALL).expect("it is there");
        assert_ne!(first.sha256, second.sha256);
        std::fs::remove_file(&file).expect("a file of our own");
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        for (place, why) in [
            ("/dev/zero", WhyNot::NotRegular),
            ("/proc", WhyNot::NotRegular),
            ("/nowhere/at/all", WhyNot::Gone),
            ("relative", WhyNot::Gone),
        ] {
            assert_eq!(reader().look(&path(Path::new(place)), ALL), Err(why), "{place}");
        }
        let large = scratch("large");
        File::create(&large).and_then(|file| file.set_len(SIZE_LIMIT + 1)).expect("a file of our own");
        assert_eq!(reader().look(&path(&large), ALL), Err(WhyNot::TooLarge));
        std::fs::remove_file(&large).expect("a file of our own");
    }

    #[test]
    fn an_executable_is_that_of_the_process_and_else_that_of_the_path_if_unchanged() {
        let executable = |process, path: Option<&Path>, unchanged_since| Place::Executable {
            process,
            path: path.map(Path::to_owned),
            unchanged_since,
        };
        let of_file = reader().look(&path(&std::env::current_exe().expect("own path")), ALL);
        assert_eq!(reader().look(&executable(own(), None, 0), ALL), of_file);
        let gone = EntityId { start_ticks: 1, ..own() };
        assert_eq!(reader().look(&executable(gone, None, 0), ALL), Err(WhyNot::Gone));
        let file = scratch("run");
        std::fs::write(&file, b"abc").expect("a file of our own");
        assert_eq!(reader().look(&executable(gone, Some(&file), 0), ALL), Err(WhyNot::Changed));
        assert!(reader().look(&executable(gone, Some(&file), i64::MAX), ALL).is_ok());
        std::fs::remove_file(&file).expect("a file of our own");
    }

    #[test]
    fn waiting_is_limited_and_a_held_up_thread_holds_up_nobody() {
        let fifo = scratch("proc");
        let process = fifo.join("7");
        std::fs::create_dir_all(&process).expect("a folder of our own");
        // Opening this waits for a writer that never comes: a file system that does not answer.
        let made = std::process::Command::new("mkfifo").arg(process.join("exe")).status();
        if !made.is_ok_and(|status| status.success()) {
            eprintln!("skipped: no mkfifo");
            return;
        }
        let mut files = Files::start(&fifo).expect("a thread");
        let stuck = EntityId::from_start_ticks(7, 1);
        let begun = Instant::now();
        for _ in 0..200 {
            let place = Place::Executable { process: stuck, path: None, unchanged_since: 0 };
            assert_eq!(files.look(place, ALL), Err(WhyNot::Late));
        }
        assert!(begun.elapsed() < CREDIT_LIMIT * 4, "{:?}", begun.elapsed());
        drop(std::fs::OpenOptions::new().write(true).open(process.join("exe")));
        std::fs::remove_dir_all(&fifo).expect("a folder of our own");
    }
}
