//! Events of files by fanotify(7), where there is no eBPF.
//!
//! Goes in: the folders whose file systems are watched, and the kinds that are wanted. Comes out: what happened to which
//! file by whom. Creation, opening, closing after writing (as modification), renaming and deletion of names are told; what
//! changes modes and owners is not. A whole file system is watched at a time, so what happens elsewhere on it is told too.
//!
//! The group has a queue of limited length; when it overflows the kernel says that it did, and not how much was lost.
//! Closing the group takes all marks away, and so does the end of the process.

use std::ffi::CString;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use kestrel_bpf::record::Kind;
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::{KindSet, LiveError, sys};

pub(super) mod event;

use event::{FileEvent, Place, mask};

/// `FAN_CLOEXEC | FAN_NONBLOCK | FAN_CLASS_NOTIF | FAN_REPORT_DIR_FID | FAN_REPORT_NAME`.
const GROUP: u32 = 0x1 | 0x2 | 0x400 | 0x800;
/// `FAN_MARK_ADD | FAN_MARK_FILESYSTEM`.
const ADD: u32 = 0x1 | 0x100;
/// `FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM`.
const REMOVE: u32 = 0x2 | 0x100;
/// What one read takes: some hundreds of events.
const BUFFER: usize = 64 << 10;

/// What is asked for to get a kind.
const KINDS: [(Kind, u64); 5] = [
    (Kind::FileCreate, mask::CREATE),
    (Kind::FileOpen, mask::OPEN),
    (Kind::FileModify, mask::CLOSE_WRITE),
    (Kind::FileRename, mask::RENAME),
    (Kind::FileDelete, mask::DELETE),
];

/// The kinds that this gives.
pub(super) fn kinds() -> KindSet {
    KINDS.iter().fold(KindSet::NONE, |kinds, (kind, _)| kinds.with(*kind))
}

/// A group and the file systems that it watches.
pub(super) struct Fanotify {
    group: std::fs::File,
    /// A descriptor on each file system, by its number, for the handles of its folders.
    mounts: Vec<(u64, OwnedFd)>,
    wanted: KindSet,
    buffer: Vec<u8>,
    /// Times the queue overflowed.
    pub(super) overflows: u64,
    /// Reads that made no sense.
    pub(super) malformed: u64,
}

/// What happened, with paths.
pub(super) struct FileNews<'n> {
    /// The kind.
    pub(super) kind: Kind,
    /// Who; 0 when not known.
    pub(super) pid: u32,
    /// The folder's path, if it could be found, and the name in it.
    pub(super) place: (Option<PathBuf>, &'n [u8]),
    /// Of a rename, the same before.
    pub(super) old: Option<(Option<PathBuf>, &'n [u8])>,
}

impl Fanotify {
    /// Watches the file systems of `folders` for `wanted`. Folders that are not there are left out; that none can be
    /// watched is an error.
    pub(super) fn open(folders: &[PathBuf], wanted: KindSet) -> Result<Self, LiveError> {
        let group = sys::fanotify_group(GROUP, OFlags::CLOEXEC.bits()).map_err(|error| {
            LiveError::fallback(
                "fanotify",
                "it needs Linux 5.17 or newer with CONFIG_FANOTIFY, and cap_sys_admin",
                error.into(),
            )
        })?;
        let bits = KINDS.iter().filter(|(kind, _)| wanted.contains(*kind)).fold(0, |bits, (_, bit)| bits | bit);
        let mut mounts: Vec<(u64, OwnedFd)> = Vec::new();
        let mut refused = None;
        for folder in folders {
            let number = rustix::fs::statvfs(folder).map(|data| data.f_fsid);
            let Ok(number) = number else { continue };
            if mounts.iter().any(|(known, _)| *known == number) {
                continue;
            }
            match watch(group.as_raw_fd(), folder, bits) {
                Ok(mount) => mounts.push((number, mount)),
                Err(error) => refused = Some((folder.clone(), error)),
            }
        }
        if mounts.is_empty() {
            let (folder, error) = refused.unwrap_or((PathBuf::from("/"), io::ErrorKind::NotFound.into()));
            let what =
                format!("the file system of {} cannot be watched; `[live] watch` names others", folder.display());
            return Err(LiveError::fallback("fanotify", &what, error.into()));
        }
        let group = std::fs::File::from(group);
        Ok(Fanotify { group, mounts, wanted, buffer: vec![0; BUFFER], overflows: 0, malformed: 0 })
    }

    /// Watches for other kinds from now on; events that are there already are not lost. Gives the kinds that cannot be
    /// had, and why; all others come.
    pub(super) fn set_kinds(&mut self, kinds: KindSet) -> Vec<(Kind, io::Error)> {
        let mut refused = Vec::new();
        let mut had = kinds;
        for (kind, bit) in KINDS {
            match (kinds.contains(kind), self.wanted.contains(kind)) {
                (true, false) => {
                    if let Err(error) = self.mark(ADD, bit) {
                        had = had.without(kind);
                        refused.push((kind, error));
                    }
                }
                // What comes all the same is left out when it is read.
                (false, true) => drop(self.mark(REMOVE, bit)),
                _ => {}
            }
        }
        self.wanted = had;
        refused
    }

    /// Changes what is watched on all file systems.
    fn mark(&self, flags: u32, bit: u64) -> io::Result<()> {
        self.mounts.iter().try_for_each(|(_, mount)| {
            let path = CString::new(format!("/proc/self/fd/{}", mount.as_raw_fd()))?;
            sys::fanotify_mark(self.group.as_raw_fd(), flags, bit, &path)
        })
    }

    /// Has nothing more come; what is in the queue can still be read.
    pub(super) fn stop(&mut self) {
        let wanted = KINDS.iter().filter(|(kind, _)| self.wanted.contains(*kind));
        // If it cannot be had, more comes until the group is closed.
        wanted.for_each(|(_, bit)| drop(self.mark(REMOVE, *bit)));
    }

    /// Has every change of the watch fail: an eventfd has no file system that can be watched.
    #[cfg(test)]
    pub(super) fn break_marks(&mut self) {
        let unwatched = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).expect("an eventfd");
        self.mounts.push((u64::MAX, unwatched));
    }

    /// Undoes [`Fanotify::break_marks`].
    #[cfg(test)]
    pub(super) fn mend_marks(&mut self) {
        self.mounts.pop();
    }

    /// Gives what has happened since; whether there was anything to read.
    pub(super) fn read(&mut self, each: &mut dyn FnMut(FileNews<'_>)) -> io::Result<bool> {
        let length = match self.group.read(&mut self.buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        let (mounts, wanted) = (&self.mounts, self.wanted);
        let mut overflows = 0;
        event::events(self.buffer.get(..length).unwrap_or_default(), &mut self.malformed, |event| {
            if event.mask & mask::OVERFLOW != 0 {
                overflows += 1;
                return;
            }
            tell(&event, mounts, wanted, each);
        });
        self.overflows += overflows;
        Ok(length > 0)
    }
}

impl AsFd for Fanotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.group.as_fd()
    }
}

fn watch(group: i32, folder: &Path, bits: u64) -> io::Result<OwnedFd> {
    let path = CString::new(folder.as_os_str().as_bytes())?;
    let mount = openat(CWD, folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    sys::fanotify_mark(group, ADD, bits | mask::FOLDER, &path)?;
    Ok(mount)
}

/// One event may say that several things happened, when nobody read in between: they are told in the order in which they
/// can only have happened.
fn tell(event: &FileEvent<'_>, mounts: &[(u64, OwnedFd)], wanted: KindSet, each: &mut dyn FnMut(FileNews<'_>)) {
    let is_folder = event.mask & mask::FOLDER != 0;
    let Some(place) = event.place else { return };
    let located = |place: &Place<'_>| (folder_of(place, mounts), place.name.to_vec());
    let (folder, name) = located(&place);
    let old = event.old.as_ref().map(located);
    for (kind, bit) in KINDS {
        // Folders are opened by everybody who looks into them; that is no event of a file.
        if event.mask & bit == 0 || !wanted.contains(kind) || kind == Kind::FileOpen && is_folder {
            continue;
        }
        let old = old.as_ref().filter(|_| kind == Kind::FileRename);
        each(FileNews {
            kind,
            pid: event.pid,
            place: (folder.clone(), &name),
            old: old.map(|(folder, name)| (folder.clone(), name.as_slice())),
        });
    }
}

fn folder_of(place: &Place<'_>, mounts: &[(u64, OwnedFd)]) -> Option<PathBuf> {
    let (_, mount) = mounts.iter().find(|(number, _)| *number == place.file_system)?;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let folder = sys::open_by_handle(mount.as_raw_fd(), place.handle, flags.bits()).ok()?;
    let link = format!("/proc/self/fd/{}", folder.as_raw_fd());
    let path = std::fs::read_link(link).ok()?;
    // A folder that is gone has only its old path, with a remark.
    let bytes = path.as_os_str().as_bytes();
    match bytes.strip_suffix(b" (deleted)") {
        Some(old) => Some(PathBuf::from(std::ffi::OsStr::from_bytes(old))),
        None => Some(path),
    }
}
