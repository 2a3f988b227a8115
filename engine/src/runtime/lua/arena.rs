//! The memory that host and Lua share, at addresses that stay.
//!
//! ```text
//! candidates: u32, CAPACITY of them | results: a byte each | frame: bytes, zero behind it
//! ```
//!
//! In and out: copies. Nothing is borrowed from it while Lua runs, apart from the frame while an atom is tested, when Lua
//! waits.

use std::ptr::NonNull;

/// How many candidates one call takes.
pub(super) const CAPACITY: usize = 4096;
const RESULTS: usize = CAPACITY * 4;
const FRAME: usize = RESULTS + CAPACITY;

/// Owned memory, reached through its address alone.
#[derive(Debug)]
pub(super) struct Arena {
    words: NonNull<[u64]>,
    frame_capacity: usize,
}

#[expect(unsafe_code, reason = "an owner of plain memory, like a Box")]
// SAFETY: the memory is owned and reached only through the arena and the Lua state that moves with it.
unsafe impl Send for Arena {}

impl Arena {
    /// Room for frames of so many bytes.
    pub(super) fn new(frame_capacity: usize) -> Arena {
        let words = vec![0u64; (FRAME + frame_capacity).div_ceil(8)].into_boxed_slice();
        Arena { words: NonNull::from(Box::leak(words)), frame_capacity }
    }

    fn base(&self) -> *mut u8 {
        self.words.as_ptr().cast()
    }

    /// Where candidates, results and frame lie.
    #[expect(unsafe_code, reason = "addresses within one allocation")]
    pub(super) fn addresses(&self) -> (*mut u8, *mut u8, *mut u8) {
        // SAFETY: both offsets lie within the allocation, which has at least FRAME bytes.
        unsafe { (self.base(), self.base().add(RESULTS), self.base().add(FRAME)) }
    }

    /// Writes the candidates, at most [`CAPACITY`].
    #[expect(unsafe_code, reason = "writes to memory whose address Lua holds")]
    pub(super) fn place_candidates(&mut self, candidates: impl Iterator<Item = u32>) {
        for (index, candidate) in candidates.take(CAPACITY).enumerate() {
            // SAFETY: index is below CAPACITY, and the allocation begins, 8-aligned, with so many u32.
            unsafe { self.base().cast::<u32>().add(index).write(candidate) };
        }
    }

    /// The results in the candidates' order; as many as a call may have, of which the caller takes what it asked for.
    #[expect(unsafe_code, reason = "reads memory that Lua has written")]
    pub(super) fn results(&self) -> impl Iterator<Item = bool> {
        // SAFETY: CAPACITY bytes from RESULTS on belong to the allocation, hold initialised bytes, and no Lua runs.
        (0..CAPACITY).map(|index| unsafe { self.base().add(RESULTS + index).read() } != 0)
    }

    /// Writes a frame; refuses one that is too long.
    #[expect(unsafe_code, reason = "writes to memory whose address Lua holds")]
    pub(super) fn place_frame(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > self.frame_capacity {
            return false;
        }
        // SAFETY: the length was checked against the room behind FRAME, and `bytes` is memory of its own.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base().add(FRAME), bytes.len()) };
        true
    }

    /// The first `length` bytes of the frame.
    #[expect(unsafe_code, reason = "reads memory whose address Lua holds")]
    pub(super) fn frame(&self, length: usize) -> &[u8] {
        let length = length.min(self.frame_capacity);
        // SAFETY: so many initialised bytes lie behind FRAME. Lua, which has a constant pointer there, waits while the
        // slice lives: it is borrowed only within a test of an atom.
        unsafe { std::slice::from_raw_parts(self.base().add(FRAME), length) }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "takes back what `new` leaked")]
        // SAFETY: the address and length came from `Box::leak` in `new`, and this is the only owner.
        drop(unsafe { Box::from_raw(self.words.as_ptr()) });
    }
}
