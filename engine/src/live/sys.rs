//! The calls that no dependency of the engine offers in safe form: bpf(2) with a raw attribute, for probes; a program's link
//! to a tracepoint that is known by its number; fanotify(7) and files by their handles; the clock that the kernel programs stamp records with; and giving memory
//! back.

#![expect(
    unsafe_code,
    reason = "bpf(2), perf_event_open(2), fanotify_init(2), fanotify_mark(2), open_by_handle_at(2), clock_gettime(2) and malloc_trim(3) are called directly, each in one small safe function"
)]

use std::ffi::{c_int, c_long};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

/// `BPF_MAP_CREATE` of bpf(2).
pub(super) const MAP_CREATE: c_long = 0;
/// `BPF_PROG_LOAD` of bpf(2).
pub(super) const PROG_LOAD: c_long = 5;
/// `BPF_OBJ_GET_INFO_BY_FD` of bpf(2).
const INFORMATION: c_long = 15;
/// `BPF_LINK_CREATE` of bpf(2).
const LINK_CREATE: c_long = 28;
/// `BPF_PERF_EVENT`, an attach type.
const PERF_EVENT: u32 = 41;
/// `PERF_TYPE_TRACEPOINT` of perf_event_open(2).
const TRACEPOINT: u32 = 2;
/// `PERF_FLAG_FD_CLOEXEC`.
const CLOSE_ON_EXEC: c_long = 8;

#[cfg(target_arch = "x86_64")]
const SYS_BPF: c_long = 321;
/// Every newer architecture has the generic number (include/uapi/asm-generic/unistd.h).
#[cfg(not(target_arch = "x86_64"))]
const SYS_BPF: c_long = 280;
#[cfg(target_arch = "x86_64")]
const SYS_PERF_EVENT_OPEN: c_long = 298;
#[cfg(not(target_arch = "x86_64"))]
const SYS_PERF_EVENT_OPEN: c_long = 241;

#[cfg(target_arch = "x86_64")]
const SYS_FANOTIFY: [c_long; 2] = [300, 301];
#[cfg(not(target_arch = "x86_64"))]
const SYS_FANOTIFY: [c_long; 2] = [262, 263];
#[cfg(target_arch = "x86_64")]
const SYS_OPEN_BY_HANDLE_AT: c_long = 304;
#[cfg(not(target_arch = "x86_64"))]
const SYS_OPEN_BY_HANDLE_AT: c_long = 265;
/// `AT_FDCWD`.
const CURRENT_FOLDER: c_long = -100;

const CLOCK_BOOTTIME: c_int = 7;

/// `struct timespec` of 64-bit Linux.
#[repr(C)]
struct CTimespec {
    seconds: i64,
    nanoseconds: i64,
}

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn clock_gettime(clock: c_int, time: *mut CTimespec) -> c_int;
    #[cfg(target_env = "gnu")]
    fn malloc_trim(keep: usize) -> c_int;
}

/// The head of `union bpf_attr`, zeroed; long enough for `PROG_LOAD` as of Linux 5.17. The kernel takes a shorter one
/// than its own for a longer one with zeros.
#[derive(Clone)]
#[repr(C, align(8))]
pub(super) struct BpfAttribute([u8; 128]);

impl BpfAttribute {
    pub(super) fn new() -> Self {
        BpfAttribute([0; 128])
    }

    /// Sets a 32-bit field.
    pub(super) fn set(&mut self, offset: usize, value: u32) {
        if let Some(place) = self.0.get_mut(offset..offset + 4) {
            place.copy_from_slice(&value.to_ne_bytes());
        }
    }

    fn set_pointer<T>(&mut self, offset: usize, target: *const T) {
        if let Some(place) = self.0.get_mut(offset..offset + 8) {
            place.copy_from_slice(&(target as u64).to_ne_bytes());
        }
    }
}

/// Creates a map from an attribute that holds no pointers.
pub(super) fn create_map(attribute: &BpfAttribute) -> io::Result<OwnedFd> {
    bpf(MAP_CREATE, attribute)
}

/// Loads a program of these instructions; `attribute` says the rest (type, attach type, BTF id) and holds no pointers.
pub(super) fn load_program(
    attribute: &BpfAttribute,
    instructions: &[u64],
    license: &std::ffi::CStr,
) -> io::Result<OwnedFd> {
    let mut attribute = attribute.clone();
    attribute.set(4, u32::try_from(instructions.len()).unwrap_or(0));
    attribute.set_pointer(8, instructions.as_ptr());
    attribute.set_pointer(16, license.as_ptr());
    bpf(PROG_LOAD, &attribute)
}

/// How often the kernel did not run a program because it was at work on the same CPU already.
pub(super) fn missed_runs(program: RawFd) -> io::Result<u64> {
    /// `struct bpf_prog_info` up to `recursion_misses`, which Linux 5.12 added.
    #[repr(C, align(8))]
    struct Information([u8; 216]);
    let mut information = Information([0; 216]);
    let mut attribute = BpfAttribute::new();
    attribute.set(0, program as u32);
    attribute.set(4, size_of::<Information>() as u32);
    attribute.set_pointer(8, &raw mut information);
    // SAFETY: the attribute is as long as the size says; the one pointer in it is to a live, writable buffer of the length
    // that stands beside it, which asks for no arrays. The answer is 0 or an error, never a descriptor.
    let answer =
        unsafe { syscall(SYS_BPF, INFORMATION, std::ptr::from_ref(&attribute), size_of::<BpfAttribute>() as c_long) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    let misses = information.0.get(208..).and_then(|rest| rest.first_chunk());
    Ok(misses.copied().map_or(0, u64::from_ne_bytes))
}

/// Attaches a loaded program to the tracepoint of this number, on all CPUs, until what is returned is closed.
pub(super) fn attach_to_tracepoint(program: RawFd, number: u64) -> io::Result<OwnedFd> {
    // struct perf_event_attr, its first published size: type, size, config, sample_period, ..., wakeup_events.
    let mut attribute = BpfAttribute::new();
    attribute.set(0, TRACEPOINT);
    attribute.set(4, 64);
    attribute.set(8, u32::try_from(number).map_err(io::Error::other)?);
    attribute.set(16, 1);
    attribute.set(48, 1);
    // SAFETY: the attribute is longer than the 64 bytes that it says, outlives the call, and holds no pointers. Then: any
    // process, CPU 0 (a program at a tracepoint runs on every CPU whatever this says), no group.
    let event = unsafe {
        syscall(
            SYS_PERF_EVENT_OPEN,
            std::ptr::from_ref(&attribute),
            -1 as c_long,
            0 as c_long,
            -1 as c_long,
            CLOSE_ON_EXEC,
        )
    };
    if event < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a non-negative answer of perf_event_open(2) is a new descriptor that nobody else owns.
    let event = unsafe { OwnedFd::from_raw_fd(event as c_int) };
    // The link holds on to the event.
    let mut attribute = BpfAttribute::new();
    attribute.set(0, program as u32);
    attribute.set(4, event.as_raw_fd() as u32);
    attribute.set(8, PERF_EVENT);
    bpf(LINK_CREATE, &attribute)
}

fn bpf(command: c_long, attribute: &BpfAttribute) -> io::Result<OwnedFd> {
    // SAFETY: the attribute is as long as the size says and outlives the call. The pointers that it may hold were put in
    // by `load_program` from borrowed slices that outlive it too, with the count of instructions; the kernel only reads.
    let answer =
        unsafe { syscall(SYS_BPF, command, std::ptr::from_ref(attribute), size_of::<BpfAttribute>() as c_long) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: for these three commands a non-negative answer is a new descriptor that nobody else owns (bpf(2)).
    Ok(unsafe { OwnedFd::from_raw_fd(answer as c_int) })
}

/// A new group of fanotify(7).
pub(super) fn fanotify_group(flags: u32, event_flags: u32) -> io::Result<OwnedFd> {
    let [init, _] = SYS_FANOTIFY;
    // SAFETY: the call takes two numbers.
    let answer = unsafe { syscall(init, c_long::from(flags), c_long::from(event_flags)) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a non-negative answer is a new descriptor that nobody else owns (fanotify_init(2)).
    Ok(unsafe { OwnedFd::from_raw_fd(answer as c_int) })
}

/// Adds what a group is told of at `path`.
pub(super) fn fanotify_mark(group: RawFd, flags: u32, mask: u64, path: &std::ffi::CStr) -> io::Result<()> {
    let [_, mark] = SYS_FANOTIFY;
    // SAFETY: the path is a NUL-terminated text that outlives the call; the kernel only reads it. On the 64-bit
    // architectures that this is built for the mask is one argument.
    let answer = unsafe {
        syscall(mark, c_long::from(group), c_long::from(flags), mask as c_long, CURRENT_FOLDER, path.as_ptr())
    };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Opens the file that a handle names, on the file system of `mount`. `handle` is `struct file_handle` as the kernel gave
/// it: its first four bytes say how many follow behind the first eight.
pub(super) fn open_by_handle(mount: RawFd, handle: &[u8], flags: u32) -> io::Result<OwnedFd> {
    // The kernel takes the length from the handle itself, so it must be true.
    let length = handle.first_chunk::<4>().map(|length| u32::from_ne_bytes(*length) as usize);
    if length.and_then(|length| length.checked_add(8)) != Some(handle.len()) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the handle's stated length is that of the slice, which outlives the call; the kernel only reads it, and
    // bytes need no alignment of copy_from_user.
    let answer = unsafe { syscall(SYS_OPEN_BY_HANDLE_AT, c_long::from(mount), handle.as_ptr(), c_long::from(flags)) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a non-negative answer is a new descriptor that nobody else owns (open_by_handle_at(2)).
    Ok(unsafe { OwnedFd::from_raw_fd(answer as c_int) })
}

/// `CLOCK_BOOTTIME` in nanoseconds.
pub(super) fn boot_clock() -> i64 {
    let mut time = CTimespec { seconds: 0, nanoseconds: 0 };
    // SAFETY: the pointer is to a live, writable `timespec` of this platform's layout. The clock exists since 2.6.39, so
    // the call cannot fail; if it did, the time would be 0.
    unsafe { clock_gettime(CLOCK_BOOTTIME, &raw mut time) };
    time.seconds.saturating_mul(1_000_000_000).saturating_add(time.nanoseconds)
}

/// Gives freed memory back to the kernel, where the allocator can: reading the kernel's types takes some 15 MB for a
/// moment, and without this the process stays that large.
pub(super) fn trim_memory() {
    // SAFETY: glibc's malloc_trim takes a number, touches only what is free, and may be called from any thread.
    #[cfg(target_env = "gnu")]
    unsafe {
        malloc_trim(0)
    };
}
