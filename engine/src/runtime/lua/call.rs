//! What Lua asks while it runs, and the memory behind it.
//!
//! [`ask`] is called through LuaJIT's FFI with the address of a [`Call`]: it tests one atom of one event and notes the
//! answer where compiled code finds it. It never unwinds into Lua.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use kestrel_core::atoms::{AtomCache, Atoms};
use kestrel_ir::frame::Frame;
use kestrel_ir::model::AtomId;

use super::memory::Memory;
use super::stop::Budget;

/// What [`ask`] needs while Lua runs: the caches of the events, swapped in, the atoms, the frames' copies.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) atoms: Option<Atoms>,
    pub(super) caches: Vec<AtomCache>,
    /// Of each event of the round: which of the caches is its own.
    pub(super) cache_of: Vec<usize>,
    pub(super) memory: Memory,
    pub(super) budget: Budget,
    pub(super) panicked: bool,
}

/// A [`Call`] on the heap that Lua holds the address of.
#[derive(Debug)]
pub(super) struct OwnedCall(NonNull<Call>);

#[expect(unsafe_code, reason = "an owner, like a Box")]
// SAFETY: what it points to is Send by itself, owned, and reached only through this and the Lua state that moves with it.
unsafe impl Send for OwnedCall {}

impl Call {
    /// Uses these atoms from now on.
    pub(super) fn take_atoms(&mut self, atoms: &Atoms) {
        if !self.atoms.as_ref().is_some_and(|known| known.same(atoms)) {
            self.atoms = Some(atoms.clone());
        }
    }

    /// Begins a round without events.
    pub(super) fn begin(&mut self) {
        self.memory.begin(self.atoms.as_ref().map_or(0, Atoms::len));
        self.cache_of.clear();
    }

    /// Adds an event to the round, if there is room.
    pub(super) fn place(&mut self, frame: Frame<'_>, cache: usize) -> Option<u32> {
        let event = self.memory.place_frame(frame.bytes())?;
        self.cache_of.push(cache);
        Some(event)
    }

    fn test(&mut self, event: usize, atom: AtomId) -> bool {
        let (Some(atoms), Some(&cache)) = (&self.atoms, self.cache_of.get(event)) else { return false };
        let (Some(frame), Some(cache)) = (Frame::new(self.memory.frame(event)), self.caches.get_mut(cache)) else {
            return false;
        };
        let answer = atoms.test(atom, frame, cache);
        self.memory.answer(event, atom, answer);
        answer
    }
}

impl OwnedCall {
    pub(super) fn new(memory: Memory) -> OwnedCall {
        let budget = Budget { left: 0, used_up: false };
        let call = Call {
            atoms: None,
            caches: vec![AtomCache::default()],
            cache_of: Vec::new(),
            memory,
            budget,
            panicked: false,
        };
        OwnedCall(NonNull::from(Box::leak(Box::new(call))))
    }

    pub(super) fn address(&self) -> *mut Call {
        self.0.as_ptr()
    }

    /// Gives access between calls into Lua.
    pub(super) fn with<R>(&self, access: impl FnOnce(&mut Call) -> R) -> R {
        #[expect(unsafe_code, reason = "Lua holds this address too, so that it cannot be a Box")]
        // SAFETY: the address came from a Box and lives until this is dropped. The reference is the only one: `access`
        // gets no way to this struct, the runtime calls it one at a time and never while Lua, and so `ask`, runs.
        let call = unsafe { &mut *self.0.as_ptr() };
        access(call)
    }
}

impl Drop for OwnedCall {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "takes back what `new` leaked")]
        // SAFETY: the address came from `Box::leak` and is freed once. Lua, which holds it too, runs no code any more:
        // it runs only within the runtime's calls, and has no finalizers that ask.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// What Lua calls for an atom: 1 or 0.
#[expect(unsafe_code, reason = "called by LuaJIT with the address that it was given")]
pub(super) extern "C" fn ask(call: *mut Call, event: i32, atom: i32) -> i32 {
    // SAFETY: the prelude passes the address that it was given, of the `Call` which the runtime owns and does not borrow
    // while Lua runs. The prelude keeps both the function and the address from the pack's source.
    let call = unsafe { &mut *call };
    let (Ok(event), Ok(atom)) = (usize::try_from(event), u32::try_from(atom)) else { return 0 };
    let answer = catch_unwind(AssertUnwindSafe(|| call.test(event, AtomId(atom))));
    i32::from(answer.unwrap_or_else(|_| {
        call.panicked = true;
        false
    }))
}
