//! System calls that tests make as they are, by number (x86-64), past what the standard library would make of them.

#![expect(unsafe_code, reason = "syscall(2) is called directly, with arguments that each test answers for")]

use std::ffi::c_long;
use std::io;

pub(super) const MMAP: c_long = 9;
pub(super) const MPROTECT: c_long = 10;
pub(super) const MUNMAP: c_long = 11;
pub(super) const PTRACE: c_long = 101;
pub(super) const SETRESUID: c_long = 117;
pub(super) const SETRESGID: c_long = 119;
pub(super) const MEMFD_CREATE: c_long = 319;

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

/// Makes the call. Of memory, only what a test has mapped itself may be changed by it.
pub(super) fn call(number: c_long, arguments: [usize; 6]) -> io::Result<usize> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: pointers among the arguments are to NUL-terminated literals or to memory that the test mapped; nothing else
    // of this process's memory is touched by the calls above.
    let answer = unsafe { syscall(number, a, b, c, d, e, f) };
    usize::try_from(answer).map_err(|_| io::Error::last_os_error())
}
