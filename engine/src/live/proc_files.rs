//! Small files of `/proc` and the like, read with limits, for what is found out in user space.

use std::io::Read as _;
use std::path::Path;

use crate::process_table::{EntityId, bootstrap};

/// The first `limit` bytes of a file; `None` if it cannot be read.
pub(super) fn read_limited(path: &Path, limit: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(limit as u64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Whether the process with that number is the one that is meant, so that what was just read was its own. An id made
/// from `proc` and one made from the kernel's records are the same in the initial time namespace.
pub(super) fn is_alive(proc: &Path, id: EntityId) -> bool {
    bootstrap::entity_of(proc, id.pid) == Some(id)
}

/// The number of a namespace, of a link such as `/proc/self/ns/mnt`, which leads to `mnt:[4026531841]`.
pub(super) fn namespace_number(link: &Path) -> Option<u32> {
    let target = std::fs::read_link(link).ok()?;
    target.to_str()?.split(['[', ']']).nth(1)?.parse().ok()
}
