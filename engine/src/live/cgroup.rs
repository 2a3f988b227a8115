//! The root of the cgroups of version 2, where programs see the sockets of all cgroups.
//!
//! It is usually mounted, alone or beside the older hierarchies. Where it is not, it is mounted for this process alone, at
//! no place, as `tracefs.rs` does it. In a cgroup namespace, as containers have, a mount shows only a part; what is not
//! the root of all is refused, since programs there would miss the rest of the host.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use super::LiveError;
use super::proc_files;

/// A host has some dozens of mounts, with a line each; one with very many containers thousands.
const MOUNTS_LIMIT: usize = 16 << 20;
/// The number of the root of all (kernfs numbers its nodes from 1).
const ROOT_NUMBER: u64 = 1;

/// A descriptor of the root.
pub(super) struct CgroupRoot {
    root: OwnedFd,
}

impl CgroupRoot {
    /// Opens or mounts it.
    pub(super) fn open() -> Result<Self, LiveError> {
        let mounts = proc_files::read_limited("/proc/self/mounts".as_ref(), MOUNTS_LIMIT).unwrap_or_default();
        let mounts = String::from_utf8_lossy(&mounts);
        let places = mounts.lines().filter_map(|line| {
            let mut columns = line.split(' ');
            let (_, place, kind) = (columns.next()?, columns.next()?, columns.next()?);
            (kind == "cgroup2").then_some(place)
        });
        for place in places {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            if let Some(root) = openat(CWD, place, flags, Mode::empty()).ok().and_then(checked) {
                return Ok(CgroupRoot { root });
            }
        }
        let mounted = || {
            let context = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
            fsconfig_create(&context)?;
            let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
                | MountAttrFlags::MOUNT_ATTR_NODEV
                | MountAttrFlags::MOUNT_ATTR_NOEXEC;
            let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
            openat(&mount, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        };
        match mounted() {
            Ok(mount) => match checked(mount) {
                Some(root) => Ok(CgroupRoot { root }),
                None => Err(LiveError::system(
                    "finding the root of all cgroups",
                    std::io::Error::other("this process is in a cgroup namespace, and sees only a part of them"),
                )),
            },
            Err(error) => Err(LiveError::system("finding or mounting the cgroups of version 2", error.into())),
        }
    }
}

impl AsFd for CgroupRoot {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

fn checked(folder: OwnedFd) -> Option<OwnedFd> {
    fstat(&folder).is_ok_and(|data| data.st_ino == ROOT_NUMBER).then_some(folder)
}
