//! The socket's file: made so that nobody but its owner can ever connect, and taken over only from nobody.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use thiserror::Error;

/// How many clients wait for their turn.
const BACKLOG: i32 = 8;

/// Why there is no control socket.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SocketError {
    /// Somebody answers there.
    #[error("cannot listen on {}: another process answers there", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// There is something else.
    #[error("cannot listen on {}: there is something that is no socket", path.display())]
    NoSocket {
        /// The path.
        path: PathBuf,
    },
    /// The operating system refuses.
    #[error("cannot listen on {}: {cause}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Its answer.
        cause: io::Error,
    },
}

/// A file that goes when the engine does.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode, so that nobody else's file is removed.
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    /// Listens on `path`. A socket that nobody answers on is left over from a run that was killed, and is replaced.
    pub(super) fn listen(path: &Path) -> Result<(UnixListener, SocketFile), SocketError> {
        let io = |cause| SocketError::Io { path: path.to_owned(), cause };
        remove_stale(path)?;
        let listener = open(path).map_err(|cause| io(cause.into()))?;
        let identity = fs::symlink_metadata(path).ok().map(|about| (about.dev(), about.ino()));
        Ok((UnixListener::from(listener), SocketFile { path: path.to_owned(), identity }))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let now = fs::symlink_metadata(&self.path).ok().map(|about| (about.dev(), about.ino()));
        if now.is_some() && now == self.identity {
            // It is gone or not; the run ends either way, and the next one replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn open(path: &Path) -> rustix::io::Result<rustix::fd::OwnedFd> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // Before the file is made: on Linux it is made with the socket's own mode, so that there is no moment at which others
    // could connect (net/unix/af_unix.c, unix_bind).
    rustix::fs::fchmod(socket.as_fd(), Mode::RUSR | Mode::WUSR)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let io = |cause| SocketError::Io { path: path.to_owned(), cause };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(io(cause)),
        Ok(about) if !about.file_type().is_socket() => {
            return Err(SocketError::NoSocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(io),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(io(cause)),
        Ok(_) => Err(SocketError::InUse { path: path.to_owned() }),
    }
}
