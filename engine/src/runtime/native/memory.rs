//! Memory for machine code: written first, then executable, never both.
//!
//! In: how many bytes, and who writes them. Out: a mapping of its own that can be read and run, and no longer written,
//! until it is dropped. What the bytes do is not looked at.

use std::io;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

/// Readable and executable memory.
#[derive(Debug)]
pub(super) struct CodeMemory {
    start: NonNull<u8>,
    length: usize,
}

#[expect(unsafe_code, reason = "an owner of plain memory, like a Box")]
// SAFETY: nobody writes the memory once it is made, and only the owner unmaps it.
unsafe impl Send for CodeMemory {}
#[expect(unsafe_code, reason = "memory that nobody writes can be shared")]
// SAFETY: as above.
unsafe impl Sync for CodeMemory {}

impl CodeMemory {
    /// Maps `length` bytes, has them written, then takes the right to write away and gives that to execute.
    ///
    /// # Errors
    /// When the system has no memory, or does not let this process make memory executable.
    pub(super) fn new(length: usize, write: impl FnOnce(&mut [u8])) -> io::Result<CodeMemory> {
        // The system maps no empty memory.
        let length = length.max(1);
        #[expect(unsafe_code, reason = "asks the system for pages")]
        // SAFETY: without a wanted address and without MAP_FIXED the system picks pages that nobody uses.
        let start = unsafe {
            mmap_anonymous(std::ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
        }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let memory = CodeMemory { start, length };
        #[expect(unsafe_code, reason = "the new pages are plain bytes")]
        // SAFETY: the pages are readable, writable and zero, and nobody else knows their address yet.
        let bytes = unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), length) };
        write(bytes);
        #[expect(unsafe_code, reason = "changes what may be done with the pages")]
        // SAFETY: these are the whole pages of this mapping, and the slice above is no longer used.
        unsafe { mprotect(start.as_ptr().cast(), length, MprotectFlags::READ | MprotectFlags::EXEC) }?;
        Ok(memory)
    }

    /// The address of the byte at `offset`; `None` beyond the end.
    pub(super) fn address(&self, offset: usize) -> Option<*const u8> {
        (offset < self.length).then(|| self.start.as_ptr().cast_const().wrapping_add(offset))
    }
}

impl Drop for CodeMemory {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "gives the pages back")]
        // SAFETY: the mapping is this value's own and is unmapped once. Whoever handed out addresses of it keeps it alive
        // for as long as they are called. That the system refuses is not possible for a whole mapping, and a leak is no
        // danger.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rights of the mapping that holds `address`, as the system tells: `r-xp`.
    fn rights(address: usize) -> Option<String> {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("the system tells");
        maps.lines().find_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            let number = |text| usize::from_str_radix(text, 16).ok();
            (number(start)? <= address && address < number(end)?).then(|| rest.get(..4).map(str::to_owned))?
        })
    }

    #[test]
    fn memory_is_writable_or_executable_and_never_both() {
        let mut while_written = None;
        let memory = CodeMemory::new(10_000, |bytes| {
            bytes.fill(0xc3);
            while_written = rights(bytes.as_ptr() as usize);
        })
        .expect("memory");
        assert_eq!(while_written.as_deref(), Some("rw-p"));
        let address = memory.address(9_999).expect("inside") as usize;
        assert_eq!(rights(address).as_deref(), Some("r-xp"));
        assert!(memory.address(10_000).is_none());
        drop(memory);
        // Another thread may have mapped something there since, but nothing executable and writable.
        assert_ne!(rights(address).as_deref(), Some("rwxp"));
    }
}
