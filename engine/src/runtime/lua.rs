//! Lua predicates on LuaJIT.
//!
//! In: a source as `docs/host-api.md` describes it, then frames and candidates. Out: the candidates that hold. The source
//! is **trusted** code: it gets constant pointers and no library that does IO, but a pointer read at a wrong index reads
//! the process's memory, and nothing ends a loop that never ends. Packs from elsewhere belong on the Wasm runtime.
//!
//! ```text
//! evaluate: candidates, frame ─copy─▶ arena ─▶ Lua: for each candidate, its function ─▶ results in the arena ─▶ hits
//!                                                   └──▶ ask(call, atom), through LuaJIT's FFI
//! ```
//!
//! The frame is copied to a fixed place, so that pointers into it are constants for the compiler and no event makes a
//! pointer object: 13 ns against a visit of the garbage collector.

mod arena;

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use kestrel_core::atoms::{AtomCache, Atoms};
use kestrel_core::runtime::{Runtime, RuntimeError, check_candidates};
use kestrel_ir::frame::Frame;
use kestrel_ir::model::{AtomId, PredicateId};
use mlua::chunk::ChunkMode;
use mlua::{Function, LightUserData, Lua, LuaOptions, StdLib};

use super::fits;
use arena::{Arena, CAPACITY};

const RUNTIME: &str = "lua";
const PRELUDE: &str = include_str!("prelude.lua");

/// How Lua runs.
#[derive(Debug, Clone, Copy)]
pub struct LuaLimits {
    /// Whether LuaJIT compiles; without, it interprets.
    pub jit: bool,
    /// Memory for Lua's heap, in bytes; machine code is not part of it.
    pub memory: usize,
    /// The longest frame, in bytes.
    pub frame: usize,
}

impl Default for LuaLimits {
    fn default() -> LuaLimits {
        LuaLimits { jit: true, memory: 256 << 20, frame: 16 << 20 }
    }
}

/// A Lua state with a pack's predicates, for one thread.
#[derive(Debug)]
pub struct LuaRuntime {
    evaluate: Function,
    predicates: usize,
    _lua: Lua,
    /// Behind the state, which holds its address.
    call: OwnedCall,
    source: String,
    slots: usize,
    limits: LuaLimits,
}

/// What [`ask`] needs while Lua runs: the caller's cache, swapped in, the atoms, and the frame's copy.
#[derive(Debug)]
struct Call {
    atoms: Option<Atoms>,
    cache: AtomCache,
    arena: Arena,
    frame_length: usize,
    panicked: bool,
}

/// A [`Call`] on the heap that Lua holds the address of.
#[derive(Debug)]
struct OwnedCall(NonNull<Call>);

#[expect(
    unsafe_code,
    reason = "mlua's handles are not Send without its feature `send`, which would put a lock around each call"
)]
// SAFETY: the state and every handle to it (`_lua`, `evaluate`) are fields of this struct, are never cloned or handed out,
// and so move to another thread together; their reference counts are touched only through `&mut self` or on drop.
// LuaJIT binds a state to no thread. The rest (`Call`) is Send by itself and reached only through `&mut self`.
unsafe impl Send for LuaRuntime {}

fn load_error(error: mlua::Error) -> RuntimeError {
    RuntimeError::Load { runtime: RUNTIME, reason: first_line(&error) }
}

/// What went wrong and where; the lines behind are a traceback through the prelude.
fn first_line(error: &mlua::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

impl LuaRuntime {
    /// Loads a source that reads frames of so many top-level slots.
    ///
    /// # Errors
    /// When the source does not compile, fails when it is run, or is made for another number of slots.
    pub fn new(source: &str, slots: usize, limits: LuaLimits) -> Result<LuaRuntime, RuntimeError> {
        LuaRuntime::load(source, slots, limits, OwnedCall::new(Arena::new(64 << 10)))
    }

    fn load(source: &str, slots: usize, limits: LuaLimits, call: OwnedCall) -> Result<LuaRuntime, RuntimeError> {
        let libraries = StdLib::MATH | StdLib::STRING | StdLib::TABLE | StdLib::FFI | StdLib::JIT;
        #[expect(unsafe_code, reason = "the FFI library makes a Lua state unsafe by mlua's rules")]
        // SAFETY: only the prelude, which is ours, sees the FFI library; what a pack's source could do with the pointers
        // it gets is why Lua is documented as trusted code.
        let lua = unsafe { Lua::unsafe_new_with(libraries, LuaOptions::default()) };
        lua.set_memory_limit(limits.memory).map_err(load_error)?;
        let chunk = lua.load(source).set_name("=predicates.lua").set_mode(ChunkMode::Text);
        let (candidates, results, frame) = call.with(|call| call.arena.addresses());
        let settings = lua.create_table().map_err(load_error)?;
        let set = |name: &str, address: *mut c_void| settings.set(name, LightUserData(address)).map_err(load_error);
        set("candidates", candidates.cast())?;
        set("results", results.cast())?;
        set("frame", frame.cast())?;
        set("call", call.0.as_ptr().cast())?;
        set("ask", ask as *mut c_void)?;
        settings.set("slots", slots).map_err(load_error)?;
        settings.set("jit", limits.jit).map_err(load_error)?;
        settings.set("source", chunk.into_function().map_err(load_error)?).map_err(load_error)?;
        let prelude = lua.load(PRELUDE).set_name("=prelude.lua").set_mode(ChunkMode::Text);
        let (evaluate, predicates) = prelude.call(settings).map_err(load_error)?;
        Ok(LuaRuntime { evaluate, predicates, _lua: lua, call, source: source.to_owned(), slots, limits })
    }

    /// How many predicates the source has, counted from 0 without a gap.
    pub fn predicates(&self) -> usize {
        self.predicates
    }

    /// Makes room for a longer frame than ever before. Lua holds the frame's address as a constant, so that this loads
    /// the source anew; it happens a few times in the life of a pack.
    fn grow(&mut self, length: usize) -> Result<(), RuntimeError> {
        if length > self.limits.frame {
            return Err(RuntimeError::FrameTooLarge { runtime: RUNTIME, length });
        }
        let call = OwnedCall::new(Arena::new(length.next_power_of_two()));
        *self = LuaRuntime::load(&self.source, self.slots, self.limits, call)?;
        Ok(())
    }

    fn run_batch(&mut self, batch: &[PredicateId], hits: &mut Vec<PredicateId>) -> Result<(), RuntimeError> {
        self.call.with(|call| call.arena.place_candidates(batch.iter().map(|candidate| candidate.0)));
        let outcome = self.evaluate.call::<()>(batch.len());
        self.call.with(|call| {
            if std::mem::take(&mut call.panicked) {
                return Err(RuntimeError::failed(RUNTIME, batch, "the host failed while it tested an atom".to_owned()));
            }
            outcome.map_err(|error| RuntimeError::failed(RUNTIME, batch, first_line(&error)))?;
            hits.extend(
                batch.iter().zip(call.arena.results()).filter(|(_, hit)| *hit).map(|(candidate, _)| *candidate),
            );
            Ok(())
        })
    }
}

impl Runtime for LuaRuntime {
    fn name(&self) -> &'static str {
        RUNTIME
    }

    fn evaluate(
        &mut self,
        frame: Frame<'_>,
        atoms: &Atoms,
        cache: &mut AtomCache,
        candidates: &[PredicateId],
        hits: &mut Vec<PredicateId>,
    ) -> Result<(), RuntimeError> {
        if candidates.is_empty() {
            return Ok(());
        }
        check_candidates(candidates, self.predicates)?;
        if !fits(frame, self.slots) {
            return Err(RuntimeError::ForeignFrame);
        }
        if !self.call.with(|call| call.place_frame(frame)) {
            self.grow(frame.bytes().len())?;
            self.call.with(|call| call.place_frame(frame));
        }
        self.call.with(|call| {
            if !call.atoms.as_ref().is_some_and(|known| known.same(atoms)) {
                call.atoms = Some(atoms.clone());
            }
            std::mem::swap(&mut call.cache, cache);
        });
        let before = hits.len();
        let outcome = candidates.chunks(CAPACITY).try_for_each(|batch| self.run_batch(batch, hits));
        self.call.with(|call| std::mem::swap(&mut call.cache, cache));
        if outcome.is_err() {
            hits.truncate(before);
        }
        outcome
    }
}

impl Call {
    /// Copies a frame into the arena, if there is room.
    fn place_frame(&mut self, frame: Frame<'_>) -> bool {
        let placed = self.arena.place_frame(frame.bytes());
        if placed {
            self.frame_length = frame.bytes().len();
        }
        placed
    }

    fn test(&mut self, atom: AtomId) -> bool {
        let (Some(atoms), Some(frame)) = (&self.atoms, Frame::new(self.arena.frame(self.frame_length))) else {
            return false;
        };
        atoms.test(atom, frame, &mut self.cache)
    }
}

impl OwnedCall {
    fn new(arena: Arena) -> OwnedCall {
        let call = Call { atoms: None, cache: AtomCache::default(), arena, frame_length: 0, panicked: false };
        OwnedCall(NonNull::from(Box::leak(Box::new(call))))
    }

    /// Gives access between calls into Lua.
    fn with<R>(&self, access: impl FnOnce(&mut Call) -> R) -> R {
        #[expect(unsafe_code, reason = "Lua holds this address too, so that it cannot be a Box")]
        // SAFETY: the address came from a Box and lives until this is dropped. The reference is the only one: `access`
        // gets no way to this struct, `LuaRuntime` calls it one at a time and never while Lua, and so `ask`, runs.
        let call = unsafe { &mut *self.0.as_ptr() };
        access(call)
    }
}

impl Drop for OwnedCall {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "takes back what `new` leaked")]
        // SAFETY: the address came from `Box::leak` and is freed once. Lua, which holds it too, runs no code any more:
        // it runs only within `LuaRuntime::evaluate`, and has no finalizers that ask.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// What Lua calls for an atom: 1 or 0. It never unwinds into Lua: a panic is kept for [`LuaRuntime::run_batch`].
#[expect(unsafe_code, reason = "called by LuaJIT with the address that it was given")]
extern "C" fn ask(call: *mut Call, atom: u32) -> i32 {
    // SAFETY: the prelude passes the address that `load` set, of the `Call` which `LuaRuntime` owns and does not borrow
    // while Lua runs. The prelude keeps both the function and the address from the pack's source.
    let call = unsafe { &mut *call };
    if let Some(answer) = call.cache.known(AtomId(atom)) {
        return i32::from(answer);
    }
    let answer = catch_unwind(AssertUnwindSafe(|| call.test(AtomId(atom))));
    i32::from(answer.unwrap_or_else(|_| {
        call.panicked = true;
        false
    }))
}
