//! The numbers by which the kernel knows its system call tracepoints.
//!
//! They stand in tracefs. Where that is not mounted, as in many containers and small machines, it is mounted for this
//! process alone, at no place: the mount has only a descriptor, nobody sees it, and it is gone with the process.

use std::io::Read as _;
use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use super::LiveError;
use super::programs::Attach;

/// Where tracefs usually is; the second is its older place.
const USUAL: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// The root of a mounted tracefs.
pub(super) struct TraceFs {
    root: OwnedFd,
}

impl TraceFs {
    /// Opens or mounts it.
    pub(super) fn open() -> Result<Self, LiveError> {
        for place in USUAL {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            if let Ok(root) = openat(CWD, format!("{place}/events/syscalls"), flags, Mode::empty()) {
                return Ok(TraceFs { root });
            }
        }
        let mounted = || {
            let context = fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC)?;
            fsconfig_create(&context)?;
            let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
                | MountAttrFlags::MOUNT_ATTR_NODEV
                | MountAttrFlags::MOUNT_ATTR_NOEXEC
                | MountAttrFlags::MOUNT_ATTR_RDONLY;
            let root = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
            openat(&root, "events/syscalls", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        };
        match mounted() {
            Ok(root) => Ok(TraceFs { root }),
            Err(error) => {
                Err(LiveError::system("finding or mounting tracefs for system call tracepoints", error.into()))
            }
        }
    }

    /// The number of a system call's tracepoint.
    pub(super) fn number(&self, attach: Attach) -> Result<u64, LiveError> {
        let path = match attach {
            Attach::Enter(call) => format!("sys_enter_{call}/id"),
            Attach::Leave(call) => format!("sys_exit_{call}/id"),
            Attach::Tracepoint(_) | Attach::FunctionBegin(_) | Attach::FunctionEnd(_) | Attach::Cgroup(_) => {
                return Err(LiveError::attach(attach, std::io::ErrorKind::Unsupported.into()));
            }
        };
        let read = || -> std::io::Result<u64> {
            let file = openat(&self.root, path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            let mut text = String::new();
            std::fs::File::from(file).take(32).read_to_string(&mut text)?;
            text.trim().parse().map_err(std::io::Error::other)
        };
        read().map_err(|error| LiveError::attach(attach, error))
    }
}
