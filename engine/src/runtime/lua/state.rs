//! A Lua state with a pack's source in it.
//!
//! In: a source as `docs/runtime-abi.md` describes it, and the memory that it reads. Out: the prelude's functions, run
//! within the limits. A state that was stopped, or has no memory left, is thrown away and made anew from the source.

use std::ffi::c_void;

use kestrel_core::runtime::RuntimeError;
use mlua::chunk::ChunkMode;
use mlua::ffi::lua_State;
use mlua::{Function, LightUserData, Lua, LuaOptions, StdLib};

use super::RUNTIME;
use super::call::{OwnedCall, ask, ask_all, ask_any};
use super::limits::LuaLimits;
use super::stop::{Stopper, count_instructions, count_no_more, give_budget, interruptible, state_of};

const PRELUDE: &str = include_str!("../prelude.lua");

/// The state, and the functions that the prelude gives.
#[derive(Debug)]
pub(super) struct State {
    evaluate: Function,
    reached: Function,
    pub(super) predicates: usize,
    pub(super) compiles: bool,
    address: *mut lua_State,
    lua: Lua,
}

/// Why a run did not come to its end.
#[derive(Debug)]
pub(super) struct Failure {
    /// The group that was evaluated.
    pub(super) group: usize,
    pub(super) reason: String,
    /// Whether it used up its time or its instructions.
    pub(super) overran: bool,
    /// Whether it used up its memory.
    pub(super) out_of_memory: bool,
}

/// What went wrong and where; the lines behind are a traceback through the prelude.
fn first_line(error: &mlua::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

fn load_error(error: mlua::Error) -> RuntimeError {
    RuntimeError::Load { runtime: RUNTIME, reason: first_line(&error) }
}

impl State {
    /// Loads a source that reads frames of so many top-level slots.
    pub(super) fn load(
        source: &str,
        slots: usize,
        limits: &LuaLimits,
        call: &OwnedCall,
        stopper: &mut Stopper,
    ) -> Result<State, RuntimeError> {
        let libraries = StdLib::MATH | StdLib::BIT | StdLib::STRING | StdLib::TABLE | StdLib::FFI | StdLib::JIT;
        #[expect(unsafe_code, reason = "the FFI library makes a Lua state unsafe by mlua's rules")]
        // SAFETY: only the prelude, which is ours, sees the FFI library; what a pack's source could do with the pointers
        // that it gets when its reads are not checked is why such a pack is to be trusted.
        let lua = unsafe { Lua::unsafe_new_with(libraries, LuaOptions::default()) };
        lua.set_memory_limit(limits.memory).map_err(load_error)?;
        let address = state_of(&lua).map_err(load_error)?;
        let chunk = lua.load(source).set_name("=predicates.lua").set_mode(ChunkMode::Text);
        let settings = lua.create_table().map_err(load_error)?;
        let set = |name: &str, address: *mut c_void| settings.set(name, LightUserData(address)).map_err(load_error);
        let (addresses, size) = call.with(|call| (call.memory.addresses(), call.memory.frames_size()));
        for (name, address) in [
            ("groups", addresses.groups),
            ("events", addresses.events),
            ("results", addresses.results),
            ("memory", addresses.frames),
        ] {
            set(name, address.cast())?;
        }
        set("call", call.address().cast())?;
        set("ask", ask as *mut c_void)?;
        set("ask_all", ask_all as *mut c_void)?;
        set("ask_any", ask_any as *mut c_void)?;
        let compiles = limits.jit && interruptible();
        settings.set("slots", slots).map_err(load_error)?;
        settings.set("memory_size", size).map_err(load_error)?;
        settings.set("jit", compiles).map_err(load_error)?;
        settings.set("checked", limits.checked).map_err(load_error)?;
        settings.set("source", chunk.into_function().map_err(load_error)?).map_err(load_error)?;
        let prelude = lua.load(PRELUDE).set_name("=prelude.lua").set_mode(ChunkMode::Text);
        let prelude = prelude.into_function().map_err(load_error)?;
        let loading = Limited { lua: &lua, address, limits, compiles };
        let loaded = loading.run(call, stopper, || prelude.call::<(Function, Function, usize)>(settings));
        let (evaluate, reached, predicates) =
            loaded.map_err(|failure| RuntimeError::Load { runtime: RUNTIME, reason: failure.reason })?;
        Ok(State { evaluate, reached, predicates, compiles, address, lua })
    }

    /// Evaluates groups that lie in memory, from one number up to another.
    pub(super) fn evaluate(
        &self,
        from: usize,
        end: usize,
        limits: &LuaLimits,
        call: &OwnedCall,
        stopper: &mut Stopper,
    ) -> Result<(), Failure> {
        let limited = Limited { lua: &self.lua, address: self.address, limits, compiles: self.compiles };
        limited.run(call, stopper, || self.evaluate.call::<()>((from, end))).map_err(|mut failure| {
            failure.group = self.reached.call(()).unwrap_or(from);
            failure
        })
    }

    /// Bytes of Lua's heap.
    pub(super) fn used_memory(&self) -> usize {
        self.lua.used_memory()
    }
}

/// A state with its limits.
struct Limited<'s> {
    lua: &'s Lua,
    address: *mut lua_State,
    limits: &'s LuaLimits,
    compiles: bool,
}

impl Limited<'_> {
    fn run<R>(
        &self,
        call: &OwnedCall,
        stopper: &mut Stopper,
        body: impl FnOnce() -> mlua::Result<R>,
    ) -> Result<R, Failure> {
        let counted = self.limits.instructions.filter(|_| !self.compiles);
        if let Some(instructions) = counted {
            let budget = call.with(|call| {
                call.budget.left = i64::try_from(instructions).unwrap_or(i64::MAX);
                call.budget.used_up = false;
                &raw mut call.budget
            });
            let failed = |error: mlua::Error| failure(&error, false);
            give_budget(self.lua, budget).map_err(failed)?;
            count_instructions(self.address);
        }
        let (outcome, stopped) = stopper.run(self.address, body);
        if counted.is_some() {
            count_no_more(self.address);
        }
        let used_up = counted.is_some() && call.with(|call| call.budget.used_up);
        match outcome {
            // A run that was stopped at its last instruction is as good as any other, but its state is not.
            Ok(value) if !stopped && !used_up => Ok(value),
            Ok(_) => Err(Failure { reason: "it was stopped".to_owned(), ..failure_of(stopped || used_up) }),
            Err(error) => Err(failure(&error, stopped || used_up)),
        }
    }
}

fn failure_of(overran: bool) -> Failure {
    Failure { group: 0, reason: String::new(), overran, out_of_memory: false }
}

fn failure(error: &mlua::Error, overran: bool) -> Failure {
    let out_of_memory = matches!(error, mlua::Error::MemoryError(_));
    Failure { reason: first_line(error), out_of_memory, ..failure_of(overran) }
}
