//! How Lua is stopped: a hook that raises an error, set when its time or its instructions are used up.
//!
//! In: a Lua state and what it is to run. Out: whether it was stopped. LuaJIT looks for hooks between instructions when
//! it interprets, and in compiled code once a loop or call, if it was built to (`LUAJIT_ENABLE_CHECKHOOK`, which
//! `.cargo/config.toml` asks for). [`interruptible`] finds out; without it nothing is compiled.
//!
//! ```text
//! this thread:  Running ───────────── Lua ─────────────▶ over: hook away, stopped?
//! watchdog:        tick · tick · … limit ─▶ Stopping ─▶ hook set ─▶ Stopped
//! ```
//!
//! A hook that is set fires at every instruction, so that `pcall` in a pack's source catches one error and is stopped by
//! the next. A state that was stopped is thrown away by its owner.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kestrel_core::runtime::RuntimeError;
use mlua::ffi::{self, lua_Debug, lua_State};
use mlua::{Lua, LuaOptions, StdLib};

use super::RUNTIME;
use crate::runtime::watchdog::{self, Registration, TICK, Watch};

/// After so many instructions the counting hook looks at the budget.
const COUNT_STEP: c_int = 1000;

/// What the watchdog's thread and the evaluating one share. `word` is the run's number, shifted by two, and its phase.
#[derive(Debug)]
struct Shared {
    word: AtomicU64,
    /// The state that runs; valid while the phase is not [`IDLE`].
    state: AtomicPtr<lua_State>,
    /// The word that the watchdog saw last, and how often.
    seen: AtomicU64,
    ticks: AtomicU32,
    limit: u32,
}

const IDLE: u64 = 0;
const RUNNING: u64 = 1;
const STOPPING: u64 = 2;
const STOPPED: u64 = 3;
const PHASES: u64 = 4;

/// Runs Lua under a deadline.
#[derive(Debug)]
pub(super) struct Stopper {
    shared: Arc<Shared>,
    watch: Watch,
    _registration: Registration,
}

impl Stopper {
    /// Stops what runs longer than `deadline`, to the watchdog's tick.
    pub(super) fn new(deadline: Duration) -> Result<Stopper, RuntimeError> {
        let limit = deadline.as_nanos().div_ceil(TICK.as_nanos()).max(1);
        let shared = Arc::new(Shared {
            word: AtomicU64::new(IDLE),
            state: AtomicPtr::new(null_mut()),
            seen: AtomicU64::new(0),
            ticks: AtomicU32::new(0),
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
        });
        let ticked = Arc::clone(&shared);
        let registration = watchdog::register(move || ticked.tick()).map_err(|error| RuntimeError::Load {
            runtime: RUNTIME,
            reason: format!("the watchdog does not start: {error}"),
        })?;
        Ok(Stopper { shared, watch: registration.watch(), _registration: registration })
    }

    /// Has `body` run `state`; tells whether it was stopped. The state must live until this returns, which the caller
    /// shows by holding it, and `body` must run nothing else.
    pub(super) fn run<R>(&mut self, state: *mut lua_State, body: impl FnOnce() -> R) -> (R, bool) {
        let inside = self.watch.enter();
        let run = Run::begin(&self.shared, state);
        let outcome = body();
        let stopped = run.end();
        drop(inside);
        (outcome, stopped)
    }
}

/// One run; over when it is dropped, also by a panic.
struct Run<'s> {
    shared: &'s Shared,
    running: u64,
}

impl<'s> Run<'s> {
    fn begin(shared: &'s Shared, state: *mut lua_State) -> Run<'s> {
        shared.state.store(state, Ordering::Relaxed);
        let running = (shared.word.load(Ordering::Relaxed) / PHASES + 1) * PHASES + RUNNING;
        shared.word.store(running, Ordering::Release);
        Run { shared, running }
    }

    fn end(self) -> bool {
        self.over()
    }

    /// From here on the watchdog does not touch the state. Whether it has.
    fn over(&self) -> bool {
        let idle = self.running - RUNNING + IDLE;
        let change = |from| self.shared.word.compare_exchange(from, idle, Ordering::AcqRel, Ordering::Acquire);
        if change(self.running).is_ok() {
            return false;
        }
        // Stopped, or about to be: setting a hook takes nanoseconds.
        while let Err(now) = change(idle + STOPPED) {
            if now % PHASES == IDLE {
                return false;
            }
            std::hint::spin_loop();
        }
        set_hook(self.shared.state.load(Ordering::Relaxed), None, 0);
        true
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.over();
    }
}

impl Shared {
    /// On the watchdog's thread, at each tick during a run.
    fn tick(&self) {
        let word = self.word.load(Ordering::Acquire);
        let phase = word % PHASES;
        if self.seen.swap(word, Ordering::Relaxed) != word {
            self.ticks.store(0, Ordering::Relaxed);
        }
        if self.ticks.fetch_add(1, Ordering::Relaxed) < self.limit || phase == IDLE || phase == STOPPING {
            return;
        }
        let stopping = word - phase + STOPPING;
        if self.word.compare_exchange(word, stopping, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            // Set anew at later ticks, in case LuaJIT, which was about to change its dispatch table, did not see it.
            set_hook(self.state.load(Ordering::Relaxed), Some(out_of_time), 1);
            self.word.store(stopping - STOPPING + STOPPED, Ordering::Release);
        }
    }
}

/// Sets a hook for every `count` instructions, or takes it away.
fn set_hook(state: *mut lua_State, hook: Option<ffi::lua_Hook>, count: c_int) {
    let mask = if hook.is_some() { ffi::LUA_MASKCOUNT } else { 0 };
    if !state.is_null() {
        #[expect(unsafe_code, reason = "the one function of Lua that another thread may call")]
        // SAFETY: the state lives while a run is not over, and the owner calls this for no other; lua_sethook may be
        // called from any thread while the state runs.
        unsafe {
            ffi::lua_sethook(state, hook, mask, count)
        };
    }
}

#[expect(unsafe_code, reason = "called by LuaJIT as a hook")]
unsafe extern "C-unwind" fn out_of_time(state: *mut lua_State, _: *mut lua_Debug) {
    // SAFETY: LuaJIT calls a hook with its running state and room on its stack; no value with a destructor is alive
    // where the error leaves this function.
    unsafe {
        ffi::lua_pushstring(state, c"its time is used up".as_ptr());
        ffi::lua_error(state)
    }
}

/// A budget of instructions, at an address that its state's registry holds.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) left: i64,
    pub(super) used_up: bool,
}

/// The key of the budget in a registry: an address that nobody else has.
static BUDGET: u8 = 0;

fn budget_key() -> *mut c_void {
    (&raw const BUDGET).cast_mut().cast()
}

/// Has a state know its budget.
#[expect(unsafe_code, reason = "the registry is reached through Lua's C API")]
pub(super) fn give_budget(lua: &Lua, budget: *mut Budget) -> mlua::Result<()> {
    // SAFETY: the closure runs protected and leaves the stack as it was.
    unsafe {
        lua.exec_raw((), |state| {
            ffi::lua_pushlightuserdata(state, budget_key());
            ffi::lua_pushlightuserdata(state, budget.cast());
            ffi::lua_rawset(state, ffi::LUA_REGISTRYINDEX);
        })
    }
}

/// Begins to count the instructions of a state that has a budget.
pub(super) fn count_instructions(state: *mut lua_State) {
    set_hook(state, Some(count), COUNT_STEP);
}

/// Ends the count.
pub(super) fn count_no_more(state: *mut lua_State) {
    set_hook(state, None, 0);
}

#[expect(unsafe_code, reason = "called by LuaJIT as a hook")]
unsafe extern "C-unwind" fn count(state: *mut lua_State, _: *mut lua_Debug) {
    // SAFETY: LuaJIT calls a hook with its running state and room on its stack. The registry holds the address that
    // `give_budget` put there, of memory that outlives the state and that nobody borrows while Lua runs. No value with a
    // destructor is alive where the error leaves this function.
    unsafe {
        ffi::lua_pushlightuserdata(state, budget_key());
        ffi::lua_rawget(state, ffi::LUA_REGISTRYINDEX);
        let budget = ffi::lua_touserdata(state, -1).cast::<Budget>();
        ffi::lua_pop(state, 1);
        if budget.is_null() {
            return;
        }
        (*budget).left -= i64::from(COUNT_STEP);
        if (*budget).left <= 0 {
            (*budget).used_up = true;
            // From now on at every instruction: see above.
            ffi::lua_sethook(state, Some(count), ffi::LUA_MASKCOUNT, 1);
            ffi::lua_pushstring(state, c"its budget of instructions is used up".as_ptr());
            ffi::lua_error(state)
        }
    }
}

/// A loop that would end by itself. The function that it calls sets a hook at iteration 50,000, when the loop has long
/// been compiled, without leaving the compiled code.
const PROBE: &str = "
    local ffi, at, state = ffi, ...
    local arm = ffi.cast('int32_t (*)(void *, int32_t)', at)
    for number = 1, 100000 do arm(state, number) end
";

/// Whether LuaJIT was built so that compiled code looks for hooks. Found out once, by trying.
pub fn interruptible() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| probe().unwrap_or(false))
}

fn probe() -> mlua::Result<bool> {
    #[expect(unsafe_code, reason = "the FFI library makes a Lua state unsafe by mlua's rules")]
    // SAFETY: only the probe runs in this state.
    let lua = unsafe { Lua::unsafe_new_with(StdLib::FFI | StdLib::JIT, LuaOptions::default()) };
    let state = state_of(&lua)?;
    let probe = lua.load(PROBE).into_function()?;
    let outcome = probe.call::<()>((mlua::LightUserData(arm as *mut c_void), mlua::LightUserData(state.cast())));
    set_hook(state, None, 0);
    Ok(outcome.is_err())
}

/// What the probe calls.
extern "C" fn arm(state: *mut lua_State, number: i32) -> i32 {
    if number == 50_000 {
        set_hook(state, Some(out_of_time), 1);
    }
    number
}

/// The state behind the handle.
#[expect(unsafe_code, reason = "the address is told only to a closure")]
pub(super) fn state_of(lua: &Lua) -> mlua::Result<*mut lua_State> {
    let mut found = null_mut();
    // SAFETY: the closure only looks at the address. A state has one thread, the main one: there are no coroutines.
    unsafe { lua.exec_raw::<()>((), |state| found = state)? };
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_build_can_be_interrupted() {
        assert!(
            interruptible(),
            "build with the TARGET_FLAGS of .cargo/config.toml; `cargo clean -p mlua-sys` if they changed"
        );
    }
}
