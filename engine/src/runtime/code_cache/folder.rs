//! A folder that belongs to this user alone, and its files.
//!
//! In: a path, names, bytes. Out: bytes of files that only this user can have written. The folder is opened once and
//! everything else relative to it, so that no path is followed twice; links are never followed; a file is looked at after
//! it was opened, not before.

use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use super::{CacheError, CacheLimits, HASH};

/// The file with the secret.
const SECRET: &str = "secret";
/// What the names of files begin with that are being written.
const UNFINISHED: &str = ".new-";
/// The most files that are looked at when there is too much.
const MAX_FILES: usize = 4096;

#[derive(Debug)]
pub(super) struct Folder {
    directory: OwnedFd,
    path: String,
}

/// What reading a file gave.
#[derive(Debug)]
pub(super) enum Taken {
    Bytes(Vec<u8>),
    Nothing,
    Refused(String),
}

/// Size and time of change of the program that runs, which tell one build from another.
pub(super) fn program_identity() -> [u8; 24] {
    let mut identity = [0; 24];
    if let Ok(stat) = fs::stat("/proc/self/exe") {
        let numbers = [stat.st_size as u64, stat.st_mtime as u64, stat.st_mtime_nsec];
        identity.copy_from_slice(numbers.map(u64::to_le_bytes).as_flattened());
    }
    identity
}

impl Folder {
    /// The folder at `path`, which is made when it is not there.
    pub(super) fn open(path: &Path) -> Result<Folder, CacheError> {
        match Folder::existing(path) {
            Err(CacheError::Io { cause, .. }) if cause.kind() == ErrorKind::NotFound => {
                let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
                let failed = |cause| CacheError::Io { path: path.display().to_string(), what: "make it", cause };
                made.map_err(failed)?;
                Folder::existing(path)
            }
            opened => opened,
        }
    }

    /// The folder at `path`, if it is this user's alone.
    pub(super) fn existing(path: &Path) -> Result<Folder, CacheError> {
        let name = path.display().to_string();
        let io = |what, cause: Errno| CacheError::Io { path: name.clone(), what, cause: cause.into() };
        let refused = |reason| Err(CacheError::Unsafe { path: name.clone(), reason });
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = match fs::open(path, flags, Mode::empty()) {
            Ok(directory) => directory,
            Err(Errno::LOOP | Errno::NOTDIR) => return refused("it is a link or no folder".to_owned()),
            Err(cause) => return Err(io("open it", cause)),
        };
        let stat = fs::fstat(&directory).map_err(|cause| io("look at it", cause))?;
        match foreign(&stat, Mode::WGRP | Mode::WOTH) {
            Some(reason) => refused(reason),
            None => Ok(Folder { directory, path: name }),
        }
    }

    /// The folder's secret; a new one when there is none or others could know it.
    pub(super) fn secret(&self) -> Result<[u8; HASH], CacheError> {
        // More than once only if another process makes or removes one at the same time.
        for _ in 0..8 {
            match self.read(SECRET, HASH) {
                Taken::Bytes(bytes) if bytes.len() == HASH => {
                    let mut secret = [0; HASH];
                    secret.copy_from_slice(&bytes);
                    return Ok(secret);
                }
                Taken::Nothing => {}
                Taken::Bytes(_) | Taken::Refused(_) => self.remove(SECRET),
            }
            let mut secret = [0; HASH];
            let filled = getrandom(&mut secret, GetRandomFlags::empty());
            if filled.map_err(|cause| self.failed("make a secret", cause.into()))? != HASH {
                continue;
            }
            let unfinished = self.write_unfinished(&[&secret])?;
            // A link, not a renaming: whoever comes second keeps the first one's secret.
            let linked = fs::linkat(&self.directory, &unfinished, &self.directory, SECRET, AtFlags::empty());
            self.remove(unfinished.as_str());
            match linked {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(cause) => return Err(self.failed("keep a secret", cause.into())),
            }
        }
        Err(CacheError::Unsafe { path: self.path.clone(), reason: "its secret changes all the time".to_owned() })
    }

    /// The bytes of a file that only this user can have written, at most so many.
    pub(super) fn read(&self, name: &str, most: usize) -> Taken {
        // Opening a pipe that somebody put there must not wait.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match fs::openat(&self.directory, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Taken::Nothing,
            Err(Errno::LOOP) => return Taken::Refused("it is a link".to_owned()),
            Err(error) => return Taken::Refused(format!("it cannot be opened: {error}")),
        };
        let stat = match fs::fstat(&file) {
            Ok(stat) => stat,
            Err(error) => return Taken::Refused(format!("it cannot be looked at: {error}")),
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Taken::Refused("it is no regular file".to_owned());
        }
        if let Some(reason) = foreign(&stat, Mode::RWXG | Mode::RWXO) {
            return Taken::Refused(reason);
        }
        let length = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
        if length > most {
            return Taken::Refused(format!("it has {length} bytes"));
        }
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        // The time of the last use, for `shrink`; a read-only disk has none.
        let _ = fs::futimens(&file, &Timestamps { last_access: now, last_modification: now });
        let mut bytes = Vec::with_capacity(length + 1);
        match File::from(file).take(most as u64 + 1).read_to_end(&mut bytes) {
            Ok(_) if bytes.len() > most => Taken::Refused("it grows while it is read".to_owned()),
            Ok(_) => Taken::Bytes(bytes),
            Err(error) => Taken::Refused(format!("it cannot be read: {error}")),
        }
    }

    /// Writes a file as a whole or not at all.
    pub(super) fn write(&self, name: &str, parts: &[&[u8]]) -> Result<(), CacheError> {
        let unfinished = self.write_unfinished(parts)?;
        fs::renameat(&self.directory, &unfinished, &self.directory, name).map_err(|cause| {
            self.remove(unfinished.as_str());
            self.failed("keep code", cause.into())
        })
    }

    /// Removes what was used longest ago until no more is there than may be; `newest` stays.
    pub(super) fn shrink(&self, limits: CacheLimits, newest: &str) -> Result<(), CacheError> {
        let failed = |cause: Errno| self.failed("list it", cause.into());
        let mut files = Vec::new();
        for entry in Dir::read_from(&self.directory).map_err(failed)?.take(MAX_FILES) {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_owned();
            let ours = name.to_bytes().starts_with(UNFINISHED.as_bytes()) || name.to_bytes().len() == 2 * HASH;
            let stat = fs::statat(&self.directory, &name, AtFlags::SYMLINK_NOFOLLOW);
            if let (true, Ok(stat)) = (ours && name.to_bytes() != newest.as_bytes(), stat) {
                files.push(((stat.st_mtime, stat.st_mtime_nsec), stat.st_size as u64, name));
            } else if name.to_bytes() == newest.as_bytes() {
                files.push(((i64::MAX, 0), stat.map_or(0, |stat| stat.st_size as u64), name));
            }
        }
        files.sort();
        let (mut count, mut bytes) = (files.len(), files.iter().map(|(_, size, _)| size).sum::<u64>());
        for (_, size, name) in files {
            if (count <= limits.entries && bytes <= limits.bytes) || name.to_bytes() == newest.as_bytes() {
                break;
            }
            self.remove(name.as_c_str());
            count -= 1;
            bytes -= size;
        }
        Ok(())
    }

    /// Writes a file under a name of its own, which is given.
    fn write_unfinished(&self, parts: &[&[u8]]) -> Result<String, CacheError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{UNFINISHED}{}-{number}", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || fs::openat(&self.directory, &name, flags, Mode::RUSR | Mode::WUSR);
        let opened = open().or_else(|error| match error {
            // Left by an earlier process of this number.
            Errno::EXIST => {
                self.remove(name.as_str());
                open()
            }
            other => Err(other),
        });
        let mut file = File::from(opened.map_err(|cause| self.failed("write to it", cause.into()))?);
        match parts.iter().try_for_each(|part| file.write_all(part)) {
            Ok(()) => Ok(name),
            Err(cause) => {
                self.remove(name.as_str());
                Err(self.failed("write to it", cause))
            }
        }
    }

    /// Removes a file if it can; one that stays is refused again at the next look.
    fn remove(&self, name: impl rustix::path::Arg) {
        let _ = fs::unlinkat(&self.directory, name, AtFlags::empty());
    }

    fn failed(&self, what: &'static str, cause: std::io::Error) -> CacheError {
        CacheError::Io { path: self.path.clone(), what, cause }
    }
}

/// What is wrong with a file or folder that others could have written; `None` when nothing is.
fn foreign(stat: &Stat, forbidden: Mode) -> Option<String> {
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Some(format!("it belongs to user {}", stat.st_uid));
    }
    let mode = Mode::from_raw_mode(stat.st_mode);
    mode.intersects(forbidden).then(|| format!("others have access to it, its mode is {:o}", mode.as_raw_mode()))
}
