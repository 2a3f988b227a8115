//! Wasm predicates on wasmtime.
//!
//! In: a module as `docs/host-api.md` describes it, then frames and candidates. Out: the candidates that hold. The module
//! is not trusted: it sees its own memory and one function, has a budget of fuel, memory and stack, and every address it
//! tells is checked against its memory each time. Where a module lies, only its own predicates are wrong.
//!
//! ```text
//! evaluate: candidates, frame ─copy─▶ linear memory ─▶ call ─▶ results ─read─▶ hits
//!                                         ▲               │
//!                       kestrel.atom(id): the host tests ◀┘  the copied frame, through the caller's cache
//! ```

use std::ops::Range;
use std::sync::Arc;

use kestrel_core::atoms::{AtomCache, Atoms};
use kestrel_core::runtime::{Runtime, RuntimeError, check_candidates};
use kestrel_ir::frame::Frame;
use kestrel_ir::model::{AtomId, PredicateId};
use wasmtime::{
    Caller, Config, Engine, Instance, Linker, Memory, Module, Store, StoreLimits, StoreLimitsBuilder, TypedFunc,
    WasmBacktraceDetails,
};

use super::fits;

const RUNTIME: &str = "wasm";
/// The version of the contract that this host speaks.
const ABI_VERSION: u32 = 1;
const PAGE: usize = 64 * 1024;

/// What a module may use.
#[derive(Debug, Clone, Copy)]
pub struct WasmLimits {
    /// Fuel for one batch of at most 4,096 candidates, about one per instruction; `None` for no limit. Fuel rather than
    /// wasmtime's epochs, because epochs need a thread that advances them.
    pub fuel: Option<u64>,
    /// Linear memory, in bytes. A frame that does not fit is an error.
    pub memory: usize,
    /// Stack, in bytes.
    pub stack: usize,
}

impl Default for WasmLimits {
    fn default() -> WasmLimits {
        WasmLimits { fuel: Some(100_000_000), memory: 16 << 20, stack: 512 << 10 }
    }
}

/// A compiled module. Clones share the machine code.
#[derive(Clone)]
pub struct WasmModule {
    module: Module,
    linker: Arc<Linker<Host>>,
    limits: WasmLimits,
}

/// An instance of a module, for one thread.
pub struct WasmRuntime {
    store: Store<Host>,
    memory: Memory,
    evaluate: TypedFunc<u32, ()>,
    places: Places,
    limits: WasmLimits,
}

/// What the imported function needs while the module runs. The caller's cache is swapped in for the call, and the atoms
/// are a clone of the caller's, which costs a comparison of pointers per event and no unsafe code.
struct Host {
    atoms: Option<Atoms>,
    cache: AtomCache,
    memory: Option<Memory>,
    frame: Range<usize>,
    limits: StoreLimits,
}

/// The addresses and counts that a module exports.
#[derive(Debug, Clone, Copy)]
struct Places {
    candidates: usize,
    capacity: usize,
    results: usize,
    frame: usize,
    predicates: usize,
    slots: usize,
}

impl std::fmt::Debug for WasmModule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("WasmModule").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for WasmRuntime {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("WasmRuntime").field("places", &self.places).finish_non_exhaustive()
    }
}

fn load_error(reason: impl std::fmt::Display) -> RuntimeError {
    RuntimeError::Load { runtime: RUNTIME, reason: format!("{reason:#}") }
}

impl WasmModule {
    /// Validates a module and compiles it to machine code.
    ///
    /// # Errors
    /// When the bytes are no module, or it imports anything but `kestrel.atom`.
    pub fn compile(bytes: &[u8], limits: WasmLimits) -> Result<WasmModule, RuntimeError> {
        let mut config = Config::new();
        config.consume_fuel(limits.fuel.is_some()).max_wasm_stack(limits.stack);
        // A trap is told by its reason and its batch; symbols of a generated module help nobody.
        config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
        let engine = Engine::new(&config).map_err(load_error)?;
        // Only binary modules: `Module::new` would take text too.
        let module = Module::from_binary(&engine, bytes).map_err(load_error)?;
        let mut linker = Linker::new(&engine);
        linker.func_wrap("kestrel", "atom", answer_atom).map_err(load_error)?;
        Ok(WasmModule { module, linker: Arc::new(linker), limits })
    }
}

impl WasmRuntime {
    /// Compiles and instantiates a module.
    ///
    /// # Errors
    /// As [`WasmModule::compile`] and [`WasmRuntime::instantiate`].
    pub fn new(bytes: &[u8], limits: WasmLimits) -> Result<WasmRuntime, RuntimeError> {
        WasmRuntime::instantiate(&WasmModule::compile(bytes, limits)?)
    }

    /// An instance of a compiled module.
    ///
    /// # Errors
    /// When the module needs more memory than it may have, or does not export what it must.
    pub fn instantiate(module: &WasmModule) -> Result<WasmRuntime, RuntimeError> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(module.limits.memory)
            .table_elements(1 << 20)
            .instances(1)
            .memories(1)
            .tables(1)
            .build();
        let host = Host { atoms: None, cache: AtomCache::default(), memory: None, frame: 0..0, limits };
        let mut store = Store::new(module.module.engine(), host);
        store.limiter(|host| &mut host.limits);
        if let Some(fuel) = module.limits.fuel {
            store.set_fuel(fuel).map_err(load_error)?;
        }
        let instance = module.linker.instantiate(&mut store, &module.module).map_err(load_error)?;
        let memory = instance.get_memory(&mut store, "memory").ok_or_else(|| load_error("it exports no `memory`"))?;
        let evaluate = instance.get_typed_func(&mut store, "evaluate").map_err(load_error)?;
        let places = Places::read(&instance, &mut store)?;
        store.data_mut().memory = Some(memory);
        Ok(WasmRuntime { store, memory, evaluate, places, limits: module.limits })
    }

    /// How many predicates the module says it has.
    pub fn predicates(&self) -> usize {
        self.places.predicates
    }

    /// How many top-level slots the module expects in a frame.
    pub fn slots(&self) -> usize {
        self.places.slots
    }

    /// Copies a frame into the module's memory, which grows when it must.
    fn place_frame(&mut self, frame: Frame<'_>) -> Result<(), RuntimeError> {
        let length = frame.bytes().len();
        let too_large = || RuntimeError::FrameTooLarge { runtime: RUNTIME, length };
        let end = self.places.frame.checked_add(length).ok_or_else(too_large)?;
        let size = self.memory.data_size(&self.store);
        if end > size {
            let pages = (end - size).div_ceil(PAGE) as u64;
            self.memory.grow(&mut self.store, pages).map_err(|_| too_large())?;
        }
        let place = self.places.frame..end;
        self.memory
            .data_mut(&mut self.store)
            .get_mut(place.clone())
            .ok_or_else(too_large)?
            .copy_from_slice(frame.bytes());
        self.store.data_mut().frame = place;
        Ok(())
    }

    fn run_batch(&mut self, batch: &[PredicateId], hits: &mut Vec<PredicateId>) -> Result<(), RuntimeError> {
        let failed = |reason: String| RuntimeError::failed(RUNTIME, batch, reason);
        let outside = || failed("its memory no longer holds the candidates or the results".to_owned());
        let memory = self.memory.data_mut(&mut self.store);
        let place = memory.get_mut(self.places.candidates..).ok_or_else(outside)?;
        let place = place.get_mut(..batch.len() * 4).ok_or_else(outside)?;
        for (bytes, candidate) in place.chunks_exact_mut(4).zip(batch) {
            bytes.copy_from_slice(&candidate.0.to_le_bytes());
        }
        if let Some(fuel) = self.limits.fuel {
            self.store.set_fuel(fuel).map_err(|error| failed(error.to_string()))?;
        }
        let count = batch.len() as u32;
        self.evaluate.call(&mut self.store, count).map_err(|error| failed(error.root_cause().to_string()))?;
        let results = self.memory.data(&self.store).get(self.places.results..).ok_or_else(outside)?;
        let results = results.get(..batch.len().div_ceil(8)).ok_or_else(outside)?;
        // Bit i % 32 of the little-endian word i / 32 is bit i % 8 of byte i / 8.
        for (byte, group) in results.iter().zip(batch.chunks(8)) {
            let set = group.iter().enumerate().filter(|(bit, _)| byte >> bit & 1 == 1);
            hits.extend(set.map(|(_, candidate)| *candidate));
        }
        Ok(())
    }
}

impl Runtime for WasmRuntime {
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
        check_candidates(candidates, self.places.predicates)?;
        if !fits(frame, self.places.slots) {
            return Err(RuntimeError::ForeignFrame);
        }
        self.place_frame(frame)?;
        let host = self.store.data_mut();
        if !host.atoms.as_ref().is_some_and(|known| known.same(atoms)) {
            host.atoms = Some(atoms.clone());
        }
        std::mem::swap(&mut host.cache, cache);
        let before = hits.len();
        let mut batches = candidates.chunks(self.places.capacity);
        let outcome = batches.try_for_each(|batch| self.run_batch(batch, hits));
        std::mem::swap(&mut self.store.data_mut().cache, cache);
        if outcome.is_err() {
            hits.truncate(before);
        }
        outcome
    }
}

/// `kestrel.atom(id) -> 1 or 0`. The frame is the module's copy: a module that changed it gets a trap or a wrong answer,
/// never a read outside its memory.
fn answer_atom(mut caller: Caller<'_, Host>, id: u32) -> wasmtime::Result<u32> {
    if let Some(answer) = caller.data().cache.known(AtomId(id)) {
        return Ok(u32::from(answer));
    }
    let Some(memory) = caller.data().memory else { wasmtime::bail!("an atom was asked for before any event") };
    let (bytes, host) = memory.data_and_store_mut(&mut caller);
    let frame = bytes.get(host.frame.clone()).and_then(Frame::new);
    let (Some(frame), Some(atoms)) = (frame, &host.atoms) else { wasmtime::bail!("the module overwrote the frame") };
    Ok(u32::from(atoms.test(AtomId(id), frame, &mut host.cache)))
}

impl Places {
    fn read(instance: &Instance, store: &mut Store<Host>) -> Result<Places, RuntimeError> {
        let mut global = |name: &str| {
            let value = instance.get_global(&mut *store, name).map(|global| global.get(&mut *store));
            let value = value.and_then(|value| value.i32()).map(|value| value as u32);
            value.ok_or_else(|| load_error(format!("it exports no i32 global `{name}`")))
        };
        let version = global("abi_version")?;
        if version != ABI_VERSION {
            return Err(load_error(format!("it speaks ABI version {version}, this engine version {ABI_VERSION}")));
        }
        let places = Places {
            candidates: global("candidates_address")? as usize,
            capacity: global("candidates_capacity")? as usize,
            results: global("results_address")? as usize,
            frame: global("frame_address")? as usize,
            predicates: global("predicates")? as usize,
            slots: global("slots")? as usize,
        };
        // Bounds are checked with each access. Here only: that areas which overlap are told at once.
        let in_order = places.capacity > 0
            && places.candidates.saturating_add(places.capacity.saturating_mul(4)) <= places.results
            && places.results.saturating_add(places.capacity.div_ceil(32) * 4) <= places.frame;
        if in_order { Ok(places) } else { Err(load_error(format!("its areas overlap: {places:?}"))) }
    }
}
