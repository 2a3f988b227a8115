//! A witness of allocations for tests and benchmarks: an allocator that counts, thread by thread.
//!
//! Whoever wants it says `#[global_allocator] static ALLOCATOR: Counting = Counting;` and asks [`count`].

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counted.
#[derive(Debug)]
pub struct Counting;

/// How often the current thread has allocated so far.
pub fn count() -> u64 {
    COUNT.get()
}

#[expect(unsafe_code, reason = "an allocator that counts is the only witness of allocations")]
// SAFETY: every call goes to the system's allocator unchanged; the counter allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
