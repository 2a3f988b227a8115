//! The system calls of the workload, each behind a safe function. The one module with unsafe code.
//!
//! The workload wants the very call and not what a library makes of it, and calls that libraries do not offer.
#![expect(unsafe_code, reason = "system calls as they are; each function checks what it passes")]

use std::ffi::{CStr, CString};
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

fn checked(result: libc::c_long) -> Result<libc::c_long> {
    if result < 0 { Err(Error::last_os_error()) } else { Ok(result) }
}

/// Nanoseconds of a clock.
fn clock(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a clock that every Linux has, and a place for its answer.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Now, in nanoseconds since 1970.
pub fn now() -> i64 {
    clock(libc::CLOCK_REALTIME)
}

/// Now, in nanoseconds since the host started.
pub fn since_boot() -> i64 {
    clock(libc::CLOCK_BOOTTIME)
}

/// Makes a copy of this process; `child` runs in it and gives its exit code. This process has one thread, so the copy is whole.
pub fn fork(child: impl FnOnce() -> i32) -> Result<u32> {
    // SAFETY: the workload is single-threaded; the child leaves by `_exit` and never returns into this frame.
    match checked(unsafe { libc::fork() }.into())? {
        0 => {
            let code = child();
            // SAFETY: ends the child.
            unsafe { libc::_exit(code) }
        }
        pid => Ok(pid as u32),
    }
}

/// Waits for a child; its status as wait(2) gives it.
pub fn wait(pid: u32) -> Result<i32> {
    let mut status = 0;
    // SAFETY: a place for the status.
    checked(unsafe { libc::waitpid(pid as i32, &mut status, 0) }.into())?;
    Ok(status)
}

/// Replaces this process by the program of an open file.
pub fn execute_file(file: &impl AsRawFd, arguments: &[CString], environment: &[CString]) -> Error {
    let list = |strings: &[CString]| {
        strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>()
    };
    let (arguments, environment) = (list(arguments), list(environment));
    // SAFETY: both lists end with a null pointer and live until the call is over.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    Error::last_os_error()
}

/// Replaces this process by a program at a path.
pub fn execute(path: &CStr, arguments: &[CString], environment: &[CString]) -> Error {
    let list = |strings: &[CString]| {
        strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>()
    };
    let (arguments, environment) = (list(arguments), list(environment));
    // SAFETY: as above.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    Error::last_os_error()
}

/// A file that is only in memory.
pub fn memory_file(name: &CStr, flags: u32) -> Result<OwnedFd> {
    // SAFETY: a name that ends; the descriptor is new and ours.
    let number = checked(unsafe { libc::memfd_create(name.as_ptr(), flags) }.into())?;
    // SAFETY: as said.
    Ok(unsafe { OwnedFd::from_raw_fd(number as i32) })
}

/// A system call of numbers and of pointers to data that outlives it.
///
/// # Errors
/// The call's own.
pub fn call(number: libc::c_long, arguments: [u64; 6]) -> Result<i64> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: every caller passes numbers, or addresses of its own data with their true lengths.
    checked(unsafe { libc::syscall(number, a, b, c, d, e, f) })
}

/// The address of data, as an argument of [`call`].
pub fn address<T: ?Sized>(data: &T) -> u64 {
    std::ptr::from_ref(data).cast::<u8>() as u64
}

/// The address of data that the kernel writes, as an argument of [`call`].
pub fn place<T: ?Sized>(data: &mut T) -> u64 {
    std::ptr::from_mut(data).cast::<u8>() as u64
}

/// Sends a signal.
pub fn kill(pid: u32, signal: i32) -> Result<()> {
    // SAFETY: numbers.
    checked(unsafe { libc::kill(pid as i32, signal) }.into()).map(drop)
}

/// Sets real, effective and saved user.
pub fn set_users(real: u32, effective: u32, saved: u32) -> Result<()> {
    // SAFETY: numbers. The call is this thread's alone, and there is no other thread.
    checked(unsafe { libc::syscall(libc::SYS_setresuid, real, effective, saved) }).map(drop)
}

/// Sets real, effective and saved group.
pub fn set_groups(real: u32, effective: u32, saved: u32) -> Result<()> {
    // SAFETY: as above.
    checked(unsafe { libc::syscall(libc::SYS_setresgid, real, effective, saved) }).map(drop)
}

/// Starts a session.
pub fn new_session() -> Result<()> {
    // SAFETY: no argument.
    checked(unsafe { libc::setsid() }.into()).map(drop)
}

/// Leaves namespaces.
pub fn unshare(flags: i32) -> Result<()> {
    // SAFETY: numbers.
    checked(unsafe { libc::unshare(flags) }.into()).map(drop)
}

/// Waits until a traced child has stopped.
pub fn wait_stopped(pid: u32) -> Result<()> {
    let mut status = 0;
    // SAFETY: a place for the status.
    checked(unsafe { libc::waitpid(pid as i32, &mut status, libc::__WALL) }.into()).map(drop)
}

/// Closes a descriptor that a raw call gave.
pub fn close(descriptor: i64) {
    // SAFETY: a descriptor that nothing else owns.
    unsafe { libc::close(descriptor as i32) };
}

/// A descriptor that a raw call gave, to be closed in time.
pub fn owned(descriptor: i64) -> OwnedFd {
    // SAFETY: a descriptor that is new and that nothing else owns.
    unsafe { OwnedFd::from_raw_fd(descriptor as i32) }
}

/// Mounts a file system that has no device.
pub fn mount(kind: &CStr, path: &CStr) -> Result<()> {
    // SAFETY: three texts that end, and no data.
    let result = unsafe { libc::mount(kind.as_ptr(), path.as_ptr(), kind.as_ptr(), 0, std::ptr::null()) };
    checked(result.into()).map(drop)
}

/// Switches the loopback interface on.
pub fn loopback_up() -> Result<()> {
    // SAFETY: a socket, and a request of the size that the kernel reads, with the interface's name and the flag `up`.
    unsafe {
        let socket = OwnedFd::from_raw_fd(checked(libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0).into())? as i32);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
        checked(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request).into()).map(drop)
    }
}

/// Switches the machine off.
pub fn power_off() {
    // SAFETY: no memory is touched.
    unsafe {
        libc::sync();
        libc::reboot(libc::RB_POWER_OFF);
    }
}
