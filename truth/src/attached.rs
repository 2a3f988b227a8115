//! Kernel programs of the engine that nobody holds: what a killed engine would have left behind.
//!
//! The kernel lists all programs, `/proc/*/fdinfo` says who holds one, itself or by a link. A program that is in the first and in
//! none of the second would run for ever. Other engines on the host do not matter: theirs are held.

use std::collections::BTreeSet;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use crate::sys;

/// Numbers of bpf(2).
const PROG_GET_NEXT_ID: u64 = 11;
const PROG_GET_FD_BY_ID: u64 = 13;
const OBJ_GET_INFO_BY_FD: u64 = 15;
/// Where `name` stands in `struct bpf_prog_info`.
const NAME_AT: usize = 64;

/// The numbers of all programs whose names begin as ours do.
fn loaded() -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    // The number to begin behind, then the next one.
    let mut next = [0_u32; 4];
    while sys::call(libc::SYS_bpf, [PROG_GET_NEXT_ID, sys::place(&mut next), 16, 0, 0, 0]).is_ok() {
        let id = next[1];
        let request = [id, 0, 0, 0];
        if let Ok(descriptor) = sys::call(libc::SYS_bpf, [PROG_GET_FD_BY_ID, sys::address(&request), 16, 0, 0, 0]) {
            let program = sys::owned(descriptor);
            let mut info = [0_u8; 128];
            let [a, b, c, d, e, f, g, h] = sys::place(&mut info).to_ne_bytes();
            let mut request = [
                program.as_raw_fd() as u32,
                info.len() as u32,
                u32::from_ne_bytes([a, b, c, d]),
                u32::from_ne_bytes([e, f, g, h]),
            ];
            let asked = sys::call(libc::SYS_bpf, [OBJ_GET_INFO_BY_FD, sys::place(&mut request), 16, 0, 0, 0]);
            if asked.is_ok() && info[NAME_AT..].starts_with(b"kestrel") {
                found.insert(id);
            }
        }
        next = [id, 0, 0, 0];
    }
    found
}

/// Whether any program of ours is loaded: a check that [`left_behind`] sees anything at all.
pub fn any() -> bool {
    !loaded().is_empty()
}

/// The numbers of all programs that a process holds.
fn held() -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in
        processes.filter(|entry| entry.file_name().to_string_lossy().starts_with(|c: char| c.is_ascii_digit()))
    {
        // A process may end while it is looked at.
        let descriptors = std::fs::read_dir(process.path().join("fdinfo")).into_iter().flatten().flatten();
        for descriptor in descriptors {
            let text = std::fs::read_to_string(descriptor.path()).unwrap_or_default();
            let ids = text.lines().filter_map(|line| line.strip_prefix("prog_id:")?.trim().parse::<u32>().ok());
            found.extend(ids);
        }
    }
    found
}

/// Programs of ours that nobody holds for as long as `patience`: the kernel lets go some milliseconds after the last owner.
pub fn left_behind(patience: Duration) -> Vec<u32> {
    let begun = Instant::now();
    let mut suspects = loaded();
    loop {
        let held = held();
        let still = loaded();
        // Whoever was not there at the begin is of somebody who starts just now.
        suspects.retain(|id| still.contains(id) && !held.contains(id));
        if suspects.is_empty() || begun.elapsed() > patience {
            return suspects.into_iter().collect();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
