//! What Lua asks while it runs, and the memory behind it.
//!
//! [`ask`] and its like are called through LuaJIT's FFI with the address of a [`Call`]: they test atoms of one event, each
//! once. They never unwind into Lua: a panic is noted, and told by the runtime.

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
        self.memory.begin();
        self.cache_of.clear();
    }

    /// Adds an event to the round, if there is room.
    pub(super) fn place(&mut self, frame: Frame<'_>, cache: usize) -> Option<u32> {
        let event = self.memory.place_frame(frame.bytes())?;
        self.cache_of.push(cache);
        Some(event)
    }

    #[inline]
    fn holds(&mut self, event: usize, atom: AtomId) -> bool {
        let known = self.cache_of.get(event).and_then(|cache| self.caches.get(*cache)?.known(atom));
        known.unwrap_or_else(|| self.test(event, atom))
    }

    /// Tests an atom that nobody has asked for. It never unwinds.
    fn test(&mut self, event: usize, atom: AtomId) -> bool {
        let test = |call: &mut Call| {
            let (atoms, cache) = (call.atoms.as_ref()?, call.caches.get_mut(*call.cache_of.get(event)?)?);
            Some(atoms.test(atom, Frame::new(call.memory.frame(event))?, cache))
        };
        let answer = catch_unwind(AssertUnwindSafe(|| test(self)));
        answer
            .unwrap_or_else(|_| {
                self.panicked = true;
                None
            })
            .unwrap_or(false)
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

/// What Lua calls for an atom: 1 or 0. What is no event or no atom gives 0.
#[expect(unsafe_code, reason = "called by LuaJIT with the address that it was given")]
pub(super) extern "C" fn ask(call: *mut Call, event: i32, atom: i32) -> i32 {
    // SAFETY: the prelude passes the address that it was given, of the `Call` which the runtime owns and does not borrow
    // while Lua runs. The prelude keeps both the function and the address from the pack's source.
    let call = unsafe { &mut *call };
    let (Ok(event), Ok(atom)) = (usize::try_from(event), u32::try_from(atom)) else { return 0 };
    i32::from(call.holds(event, AtomId(atom)))
}

/// A list of atoms as C passes it, mostly in registers; it ends with the first negative number.
macro_rules! ask_many {
    ($name:ident, $meaning:literal, $until:literal) => {
        #[doc = $meaning]
        #[expect(unsafe_code, reason = "called by LuaJIT with the address that it was given")]
        pub(super) extern "C" fn $name(
            call: *mut Call,
            event: i32,
            a: i32,
            b: i32,
            c: i32,
            d: i32,
            e: i32,
            f: i32,
            g: i32,
            h: i32,
        ) -> i32 {
            // SAFETY: as in `ask`.
            let call = unsafe { &mut *call };
            let Ok(event) = usize::try_from(event) else { return 0 };
            let atoms = [a, b, c, d, e, f, g, h].into_iter().map_while(|atom| u32::try_from(atom).ok());
            for atom in atoms {
                if call.holds(event, AtomId(atom)) == $until {
                    return i32::from($until);
                }
            }
            i32::from(!$until)
        }
    };
}

ask_many!(ask_all, "What Lua calls for several atoms: whether all of them hold.", false);
ask_many!(ask_any, "What Lua calls for several atoms: whether one of them holds.", true);
