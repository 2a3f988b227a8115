//! The memory that host and Lua share, at addresses that stay.
//!
//! ```text
//! groups   (predicate, first, last)    whose positions are evaluated together
//! events   i32 each                    at a position: the event, as the word of `frames` where its frame starts
//! results  u8 each                     at a position: 1 where Lua found that the predicate holds
//! frames   number | frame | number | frame | …    8-aligned; the event's number lies two words before its frame
//! ```
//!
//! In and out: copies. Nothing is borrowed from it while Lua runs, apart from a frame while an atom is tested, when Lua
//! waits. A round is a set of events. The memory comes zeroed from the system, which gives only the pages that are touched.

use std::ptr::NonNull;

use kestrel_core::batch::MAX_BATCH_EVENTS;

/// Events of a round.
pub(super) const EVENTS: usize = MAX_BATCH_EVENTS;
/// Positions of one call.
pub(super) const POSITIONS: usize = 8192;
/// Words before a frame, in bytes.
const FRAME_HEADER: usize = 8;
/// The room behind the longest frame, for the others of a batch.
const MORE_FRAMES: usize = 1 << 20;

const GROUPS: usize = 0;
// One group more than there are positions: for what is tried again alone.
const POSITION_EVENTS: usize = GROUPS + 12 * (POSITIONS + 1) + 4;
const RESULTS: usize = POSITION_EVENTS + 4 * POSITIONS;
const FRAMES: usize = RESULTS + POSITIONS;

/// A set of positions that share a predicate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) predicate: u32,
    pub(super) first: u32,
    /// Inclusive.
    pub(super) last: u32,
}

/// Where the parts lie, for the prelude.
#[derive(Debug)]
pub(super) struct Addresses {
    pub(super) groups: *mut u8,
    pub(super) events: *mut u8,
    pub(super) results: *mut u8,
    pub(super) frames: *mut u8,
}

/// Owned memory, reached through its address alone.
#[derive(Debug)]
pub(super) struct Memory {
    words: NonNull<[u64]>,
    frames_size: usize,
    /// Start and end of each placed frame, in bytes of `frames`.
    placed: Vec<(usize, usize)>,
}

#[expect(unsafe_code, reason = "an owner of plain memory, like a Box")]
// SAFETY: the memory is owned and reached only through this and the Lua state that moves with it.
unsafe impl Send for Memory {}

impl Memory {
    /// Room for frames of up to so many bytes each.
    pub(super) fn new(longest_frame: usize) -> Memory {
        let frames_size = (longest_frame + MORE_FRAMES).next_multiple_of(8);
        let size = FRAMES + frames_size;
        let words = vec![0u64; size.div_ceil(8)].into_boxed_slice();
        let words = NonNull::from(Box::leak(words));
        Memory { words, frames_size, placed: Vec::with_capacity(EVENTS) }
    }

    fn base(&self) -> *mut u8 {
        self.words.as_ptr().cast()
    }

    #[expect(unsafe_code, reason = "an address within one allocation")]
    fn at(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset < FRAMES + self.frames_size);
        // SAFETY: callers give offsets below the size of the allocation, which `new` made of the same constants.
        unsafe { self.base().add(offset) }
    }

    #[expect(unsafe_code, reason = "writes to memory whose address Lua holds")]
    fn write_word(&mut self, offset: usize, value: u32) {
        // SAFETY: callers give offsets of words within their part; all parts but answers begin at multiples of 4.
        unsafe { self.at(offset).cast::<u32>().write(value) };
    }

    #[expect(unsafe_code, reason = "writes to memory whose address Lua holds")]
    fn fill(&mut self, offset: usize, length: usize) {
        // SAFETY: callers give a range within one part.
        unsafe { self.at(offset).write_bytes(0, length) };
    }

    pub(super) fn addresses(&self) -> Addresses {
        Addresses {
            groups: self.at(GROUPS),
            events: self.at(POSITION_EVENTS),
            results: self.at(RESULTS),
            frames: self.at(FRAMES),
        }
    }

    /// The size of `frames`, in bytes.
    pub(super) fn frames_size(&self) -> usize {
        self.frames_size
    }

    /// Begins a round without frames.
    pub(super) fn begin(&mut self) {
        self.placed.clear();
    }

    /// Copies a frame here and gives its event; `None` when there is no room left in this round.
    #[expect(unsafe_code, reason = "writes to memory whose address Lua holds")]
    pub(super) fn place_frame(&mut self, frame: &[u8]) -> Option<u32> {
        let number = self.placed.len();
        let start = self.placed.last().map_or(0, |(_, end)| end.next_multiple_of(8)) + FRAME_HEADER;
        let end = start.checked_add(frame.len()).filter(|end| *end <= self.frames_size && number < EVENTS)?;
        self.write_word(FRAMES + start - 8, number as u32);
        // SAFETY: the range was checked against the size of `frames`, and `frame` is memory of its own.
        unsafe { std::ptr::copy_nonoverlapping(frame.as_ptr(), self.at(FRAMES + start), frame.len()) };
        self.placed.push((start, end));
        Some((start / 4) as u32)
    }

    /// The bytes of an event's frame.
    #[expect(unsafe_code, reason = "reads memory whose address Lua holds")]
    pub(super) fn frame(&self, number: usize) -> &[u8] {
        let Some(&(start, end)) = self.placed.get(number) else { return &[] };
        // SAFETY: so many bytes were placed there. Lua, which has a constant pointer there, waits while the slice lives:
        // it is borrowed only within a test of an atom.
        unsafe { std::slice::from_raw_parts(self.at(FRAMES + start), end - start) }
    }

    /// Writes a group, at most one more than there are positions.
    pub(super) fn place_group(&mut self, index: usize, group: Group) {
        if index <= POSITIONS {
            for (word, value) in [group.predicate, group.first, group.last].into_iter().enumerate() {
                self.write_word(GROUPS + 12 * index + 4 * word, value);
            }
        }
    }

    /// Writes the event of a position and takes its result back.
    pub(super) fn place_position(&mut self, position: usize, event: u32) {
        if position < POSITIONS {
            self.write_word(POSITION_EVENTS + 4 * position, event);
            self.fill(RESULTS + position, 1);
        }
    }

    /// Whether Lua found that the predicate holds at a position.
    #[expect(unsafe_code, reason = "reads memory that Lua has written")]
    pub(super) fn result(&self, position: usize) -> bool {
        // SAFETY: the position was checked, the byte is initialised, and no Lua runs.
        position < POSITIONS && unsafe { self.at(RESULTS + position).read() } != 0
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "takes back what `new` leaked")]
        // SAFETY: the address and length came from `Box::leak` in `new`, and this is the only owner.
        drop(unsafe { Box::from_raw(self.words.as_ptr()) });
    }
}
