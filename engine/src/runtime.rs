//! The runtimes that run a pack's compiled predicates, and the choice between them.
//!
//! In: the parts of a pack that hold code. Out: a [`Runtime`] for one thread. Which predicates are asked for which event
//! is the dispatch's business, what an atom means is that of [`kestrel_core::atoms`].
//!
//! ```text
//! interp ── kestrel_core::runtime::Interpreting     the reference
//! wasm ──── wasm::WasmRuntime                       module.wasm on wasmtime: sandboxed, limited
//! lua ───── lua::LuaRuntime                         predicates.lua on LuaJIT: limited; its pointers are trusted
//! native ── native::NativeRuntime                   the rules themselves, compiled on loading: trusted packs
//! ```

pub mod code_cache;
pub mod lua;
pub mod native;
pub mod profile;
pub mod wasm;
pub mod watchdog;

use std::fmt;
use std::str::FromStr;

use kestrel_core::runtime::Interpreting;
pub use kestrel_core::runtime::{Runtime, RuntimeError};
use kestrel_ir::frame::{Frame, slot_offset};
use kestrel_ir::model::Ir;

use code_cache::{CodeCache, CodeOrigin};
use lua::{LuaLimits, LuaRuntime};
use native::{NativeCode, NativeOptions, NativeRuntime};
use profile::Profile;
use wasm::{WasmLimits, WasmModule, WasmRuntime};

/// Which runtime evaluates predicates, as `--runtime` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuntimeKind {
    /// The reference interpreter.
    Interp,
    /// Wasm.
    Wasm,
    /// LuaJIT.
    Lua,
    /// Machine code, for trusted packs: nothing contains it, and so the strict profile refuses it.
    Native,
}

impl RuntimeKind {
    /// All runtimes of this build.
    pub const ALL: [RuntimeKind; 4] = [RuntimeKind::Interp, RuntimeKind::Wasm, RuntimeKind::Lua, RuntimeKind::Native];

    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            RuntimeKind::Interp => "interp",
            RuntimeKind::Wasm => "wasm",
            RuntimeKind::Lua => "lua",
            RuntimeKind::Native => "native",
        }
    }
}

impl fmt::Display for RuntimeKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for RuntimeKind {
    type Err = RuntimeError;

    /// ```
    /// use kestrel_engine::runtime::RuntimeKind;
    /// assert_eq!("wasm".parse::<RuntimeKind>()?, RuntimeKind::Wasm);
    /// let error = "tea".parse::<RuntimeKind>().unwrap_err();
    /// assert_eq!(error.to_string(), "unknown runtime `tea`, expected `interp`, `wasm`, `lua` or `native`");
    /// # Ok::<(), kestrel_engine::runtime::RuntimeError>(())
    /// ```
    fn from_str(word: &str) -> Result<RuntimeKind, RuntimeError> {
        let kind = RuntimeKind::ALL.into_iter().find(|kind| kind.name() == word);
        kind.ok_or_else(|| RuntimeError::UnknownRuntime { word: word.to_owned() })
    }
}

/// The parts of a pack that runtimes are made of.
#[derive(Debug, Clone, Copy)]
pub struct RuntimeParts<'p> {
    /// The tables.
    pub ir: &'p Ir,
    /// `module.wasm`.
    pub wasm: Option<&'p [u8]>,
    /// `predicates.lua`.
    pub lua: Option<&'p str>,
}

/// How a pack's code is made ready.
#[derive(Debug, Clone, Copy, Default)]
pub struct RuntimeOptions<'c> {
    /// The limits under which it runs.
    pub profile: Profile,
    /// Where machine code is kept from run to run.
    pub cache: Option<&'c CodeCache>,
}

/// A pack's code, checked and compiled once, from which each thread makes its runtime.
#[derive(Debug, Clone)]
pub struct PreparedRuntime {
    code: Code,
    /// Of machine code that is made when the pack is loaded.
    origin: Option<CodeOrigin>,
    predicates: usize,
    slots: usize,
}

#[derive(Debug, Clone)]
enum Code {
    Interp(Box<Ir>),
    Wasm(WasmModule),
    Lua(String, LuaLimits),
    Native(NativeCode),
}

impl PreparedRuntime {
    /// Compiles what can be shared between threads: the module, for Wasm; the rules themselves, for native code.
    ///
    /// # Errors
    /// When the pack has no code for the runtime or the code is refused.
    pub fn new(kind: RuntimeKind, parts: &RuntimeParts<'_>) -> Result<PreparedRuntime, RuntimeError> {
        PreparedRuntime::with(kind, parts, RuntimeOptions::default())
    }

    /// The same, under the limits of a profile, and with machine code from a cache where it is there.
    ///
    /// # Errors
    /// As [`PreparedRuntime::new`], and when the profile refuses the runtime; what is wrong with the cache is told in
    /// [`PreparedRuntime::origin`].
    pub fn with(
        kind: RuntimeKind,
        parts: &RuntimeParts<'_>,
        options: RuntimeOptions<'_>,
    ) -> Result<PreparedRuntime, RuntimeError> {
        let mut origin = None;
        let missing = RuntimeError::NoCode { runtime: kind.name() };
        let RuntimeOptions { profile, cache } = options;
        let code = match kind {
            RuntimeKind::Interp => Code::Interp(Box::new(parts.ir.clone())),
            RuntimeKind::Wasm => {
                let limits = match profile {
                    Profile::Trusted => WasmLimits::trusted(),
                    Profile::Strict => WasmLimits::strict(),
                };
                let (module, from) = WasmModule::load(parts.wasm.ok_or(missing)?, limits, cache)?;
                origin = Some(from);
                Code::Wasm(module)
            }
            RuntimeKind::Lua => {
                let limits = match profile {
                    Profile::Trusted => LuaLimits::trusted(),
                    Profile::Strict => LuaLimits::strict(),
                };
                Code::Lua(parts.lua.ok_or(missing)?.to_owned(), limits)
            }
            RuntimeKind::Native if profile == Profile::Strict => {
                return Err(RuntimeError::NotTrusted { runtime: kind.name() });
            }
            RuntimeKind::Native => Code::Native(NativeCode::compile(parts.ir, NativeOptions::default())?),
        };
        let (predicates, slots) = (parts.ir.predicates.len(), parts.ir.layout.top_level_slots());
        Ok(PreparedRuntime { code, origin, predicates, slots })
    }

    /// Where the machine code came from; `None` for a runtime that has none before it runs.
    pub fn origin(&self) -> Option<&CodeOrigin> {
        self.origin.as_ref()
    }

    /// A runtime for one thread.
    ///
    /// # Errors
    /// When the code does not start, or was compiled for other tables than the pack's.
    pub fn instantiate(&self) -> Result<Box<dyn Runtime>, RuntimeError> {
        Ok(match &self.code {
            Code::Interp(ir) => Box::new(Interpreting::new(ir)?),
            Code::Wasm(module) => {
                let runtime = WasmRuntime::instantiate(module)?;
                self.check("wasm", runtime.predicates(), runtime.slots())?;
                Box::new(runtime)
            }
            Code::Lua(source, limits) => {
                let runtime = LuaRuntime::new(source, self.slots, *limits)?;
                self.check("lua", runtime.predicates(), self.slots)?;
                Box::new(runtime)
            }
            Code::Native(code) => Box::new(NativeRuntime::new(code)),
        })
    }

    fn check(&self, runtime: &'static str, predicates: usize, slots: usize) -> Result<(), RuntimeError> {
        if (predicates, slots) == (self.predicates, self.slots) {
            return Ok(());
        }
        let reason = format!(
            "it has {predicates} predicates over {slots} fields, the rules have {} over {}",
            self.predicates, self.slots
        );
        Err(RuntimeError::Load { runtime, reason })
    }
}

/// One runtime over a pack's parts, with the usual limits.
///
/// # Errors
/// When the pack has no code for the runtime, or the code is refused.
pub fn create(kind: RuntimeKind, parts: &RuntimeParts<'_>) -> Result<Box<dyn Runtime>, RuntimeError> {
    PreparedRuntime::new(kind, parts)?.instantiate()
}

/// Whether a frame has exactly so many top-level slots and holds them all, so that compiled code may read slots without
/// a check of its own.
fn fits(frame: Frame<'_>, slots: usize) -> bool {
    let count = frame.bytes().get(36..40).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    count.is_some_and(|count| count as usize == slots) && frame.bytes().len() >= slot_offset(slots, slots)
}
