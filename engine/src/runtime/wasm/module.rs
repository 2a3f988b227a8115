//! A module as machine code, shared by the threads that run it.
//!
//! In: a module's bytes and limits. Out: machine code, compiled now or taken from the cache, from which each thread starts
//! an instance. What a module may be made of is as little as compilers for Wasm need.

use std::hash::Hash;
use std::sync::Arc;

use kestrel_core::runtime::RuntimeError;
use wasmtime::{
    Config, Engine, Instance, InstancePre, Linker, Module, Store, StoreLimitsBuilder, WasmBacktraceDetails,
    WasmFeatures,
};

use super::host::{Host, answer_atom};
use super::{WasmLimits, load_error};
use crate::runtime::code_cache::{Cached, CodeCache, CodeKey, CodeOrigin};
use crate::runtime::watchdog::{self, Registration, Watch};

/// A compiled module. Clones share the machine code.
#[derive(Clone)]
pub struct WasmModule {
    instance: InstancePre<Host>,
    limits: WasmLimits,
    /// Advances the engine's epoch; with a time limit only.
    registration: Option<Arc<Registration>>,
}

impl std::fmt::Debug for WasmModule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("WasmModule").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl WasmModule {
    /// Validates a module and compiles it to machine code.
    ///
    /// # Errors
    /// When the bytes are no module, or it imports anything but `kestrel.atom`.
    pub fn compile(bytes: &[u8], limits: WasmLimits) -> Result<WasmModule, RuntimeError> {
        WasmModule::link(&compile(&engine(limits)?, bytes)?, limits)
    }

    /// As [`WasmModule::compile`], or from the cache, where the machine code is kept when it was not there.
    ///
    /// # Errors
    /// As [`WasmModule::compile`]. Whatever is wrong with the cache is told in the origin.
    pub fn load(
        bytes: &[u8],
        limits: WasmLimits,
        cache: Option<&CodeCache>,
    ) -> Result<(WasmModule, CodeOrigin), RuntimeError> {
        let engine = engine(limits)?;
        let mut origin = CodeOrigin::default();
        let Some(cache) = cache else { return Ok((WasmModule::link(&compile(&engine, bytes)?, limits)?, origin)) };
        let mut key = CodeKey::new("wasm");
        // What the compiler is and what it was told: version, options, features of the processor.
        engine.precompile_compatibility_hash().hash(&mut key);
        key.add(bytes);
        match cache.load(&key) {
            Cached::Nothing => {}
            Cached::Refused(reason) => origin.refused = Some(reason),
            Cached::Code(code) => match deserialize(&engine, &code) {
                Ok(module) => {
                    origin.cached = true;
                    return Ok((WasmModule::link(&module, limits)?, origin));
                }
                Err(error) => origin.refused = Some(format!("wasmtime does not take it: {error:#}")),
            },
        }
        let module = compile(&engine, bytes)?;
        let kept = module.serialize().map_err(|error| format!("it cannot be written down: {error:#}"));
        let kept = kept.and_then(|code| cache.store(&key, &code).map_err(|error| error.to_string()));
        origin.not_kept = kept.err();
        Ok((WasmModule::link(&module, limits)?, origin))
    }

    fn link(module: &Module, limits: WasmLimits) -> Result<WasmModule, RuntimeError> {
        let mut linker = Linker::new(module.engine());
        linker.func_wrap("kestrel", "atom", answer_atom).map_err(load_error)?;
        let instance = linker.instantiate_pre(module).map_err(load_error)?;
        let registration = match limits.time {
            None => None,
            Some(_) => {
                let engine = module.engine().clone();
                let registration = watchdog::register(move || engine.increment_epoch());
                let failed = |error| load_error(format!("the watchdog cannot be started: {error}"));
                Some(Arc::new(registration.map_err(failed)?))
            }
        };
        Ok(WasmModule { instance, limits, registration })
    }

    pub(super) fn limits(&self) -> WasmLimits {
        self.limits
    }

    /// The handle with which an instance tells its calls.
    pub(super) fn watch(&self) -> Option<Watch> {
        self.registration.as_deref().map(Registration::watch)
    }

    /// An instance in a store of its own.
    pub(super) fn start(&self) -> Result<(Store<Host>, Instance), RuntimeError> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(self.limits.memory)
            .table_elements(1 << 20)
            .instances(1)
            .memories(1)
            .tables(1)
            .build();
        let mut store = Store::new(self.instance.module().engine(), Host::new(limits));
        store.limiter(|host| &mut host.limits);
        if let Some(fuel) = self.limits.fuel {
            store.set_fuel(fuel).map_err(load_error)?;
        }
        // A module may have a function that runs now.
        let mut watch = self.watch();
        let _inside = watch.as_mut().map(Watch::enter);
        if let Some(ticks) = self.limits.ticks() {
            store.set_epoch_deadline(ticks);
        }
        let instance = self.instance.instantiate(&mut store).map_err(load_error)?;
        Ok((store, instance))
    }
}

/// Only binary modules: `Module::new` would take text too.
fn compile(engine: &Engine, bytes: &[u8]) -> Result<Module, RuntimeError> {
    Module::from_binary(engine, bytes).map_err(load_error)
}

#[expect(unsafe_code, reason = "machine code is taken as it is")]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Module> {
    // SAFETY: the bytes are what `Module::serialize` gave: the cache has checked that this user alone can have written
    // them, with the cache's secret, for a key with this very module, compiler and configuration. They are in memory, so
    // that nobody can change them now. wasmtime checks its version and configuration again.
    unsafe { Module::deserialize(engine, code) }
}

/// A compiler with these limits built into its code.
fn engine(limits: WasmLimits) -> Result<Engine, RuntimeError> {
    let mut config = Config::new();
    config.consume_fuel(limits.fuel.is_some()).epoch_interruption(limits.time.is_some()).max_wasm_stack(limits.stack);
    config.wasm_features(WasmFeatures::SIMD | WasmFeatures::RELAXED_SIMD | WasmFeatures::TAIL_CALL, false);
    config.wasm_features(WasmFeatures::MEMORY64 | WasmFeatures::MULTI_MEMORY | WasmFeatures::EXTENDED_CONST, false);
    // A trap is told by its reason and its event; addresses and symbols of a generated module help nobody.
    config
        .wasm_backtrace_max_frames(None)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .generate_address_map(false);
    // The table of predicates is filled when the instance starts, so that calls through it need not look whether it is.
    config.table_lazy_init(false);
    // PERF (2026-11): 1,026 real rules (10,775 atoms) take 1.09 s of processor time to compile; without optimisation
    // 0.84 s, with the faster register allocator too 0.78 s, with each look-up of an answer in a function 0.76 s. Code
    // is compiled once and then cached, so the default, which is faster by a fifth when it runs, stays. Cutting functions
    // at 24 or at 600 leaves makes no difference: real predicates are small.
    Engine::new(&config).map_err(load_error)
}
