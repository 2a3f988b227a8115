//! Wasm predicates on wasmtime.
//!
//! In: a module as the contract (`docs/runtime-abi.md`) describes it, then events and candidates. Out: the candidates that
//! hold. The module is not trusted: it sees its own memory and one function, has a budget of time or fuel, memory and
//! stack, and every address it tells is checked against its memory each time. Where a module lies, only its own
//! predicates are wrong.
//!
//! ```text
//! batch: events, pairs, frames ─copy─▶ linear memory ─▶ one call ─▶ results ─read─▶ which pairs hold
//!                                                           │
//!                   kestrel.atom(event, id): the host tests ◀┘  its own copy of the frame, through the event's cache
//! ```
//!
//! A call that traps or overruns costs the event at which it stopped; the call goes on behind it.

mod group;
mod host;
mod module;
mod places;

use std::ops::Range;
use std::time::Duration;

use kestrel_core::atoms::{AtomCache, Atoms};
use kestrel_core::batch::Batch;
use kestrel_core::runtime::{Runtime, RuntimeError, check_candidates};
use kestrel_ir::frame::Frame;
use kestrel_ir::model::PredicateId;
use wasmtime::{Memory, Store, Trap, TypedFunc};

use super::fits;
use super::watchdog::{TICK, Watch};
use group::{Added, Group, SINGLE};
use host::Host;
use places::Places;

pub use module::WasmModule;

const RUNTIME: &str = "wasm";
/// After so many failures in one batch the rest of it is left to the interpreter: each may have taken all its time.
const MAX_FAILURES: usize = 4;

/// After so many overruns in all a module is not called any more: each took all the time or fuel that there is.
const MAX_OVERRUNS: usize = 8;

/// What a module may use.
#[derive(Debug, Clone, Copy)]
pub struct WasmLimits {
    /// Fuel for one call, about one per instruction; `None` for no limit. The same module overruns at the same
    /// instruction each time, and each instruction costs for it.
    pub fuel: Option<u64>,
    /// Time for one call, in whole ticks of the watchdog; `None` for no limit. It costs next to nothing.
    pub time: Option<Duration>,
    /// Linear memory, in bytes. A frame that does not fit is an error.
    pub memory: usize,
    /// Stack, in bytes.
    pub stack: usize,
}

impl WasmLimits {
    /// The limits for packs that whoever runs them trusts: time alone stops a runaway.
    pub fn trusted() -> WasmLimits {
        WasmLimits { fuel: None, time: Some(Duration::from_secs(1)), memory: 16 << 20, stack: 512 << 10 }
    }

    /// The limits for packs of strangers: fuel, so that an overrun happens at the same instruction each time.
    pub fn strict() -> WasmLimits {
        WasmLimits { fuel: Some(100_000_000), time: None, ..WasmLimits::trusted() }
    }

    /// The time limit in ticks of the watchdog. A tick may be over as soon as it begins, hence one more.
    fn ticks(&self) -> Option<u64> {
        self.time.map(|time| time.as_nanos().div_ceil(TICK.as_nanos()) as u64 + 1)
    }
}

impl Default for WasmLimits {
    fn default() -> WasmLimits {
        WasmLimits::trusted()
    }
}

/// An instance of a module, for one thread.
pub struct WasmRuntime {
    store: Store<Host>,
    memory: Memory,
    evaluate: TypedFunc<(u32, u32), ()>,
    places: Places,
    limits: WasmLimits,
    overruns: usize,
    /// With a time limit only, and then its ticks.
    watch: Option<Watch>,
    ticks: u64,
    /// Keeps the registration with the watchdog.
    _module: WasmModule,
}

impl std::fmt::Debug for WasmRuntime {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("WasmRuntime").field("places", &self.places).finish_non_exhaustive()
    }
}

fn load_error(reason: impl std::fmt::Display) -> RuntimeError {
    RuntimeError::Load { runtime: RUNTIME, reason: format!("{reason:#}") }
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
        let limits = module.limits();
        let (mut store, instance) = module.start()?;
        let memory = instance.get_memory(&mut store, "memory").ok_or_else(|| load_error("it exports no `memory`"))?;
        let evaluate = instance.get_typed_func(&mut store, "evaluate").map_err(load_error)?;
        let places = Places::read(&instance, &mut store)?;
        let reads = places.reads(memory.data(&store));
        store.data_mut().begin(memory, Group::new(places, reads));
        let (watch, ticks) = (module.watch(), limits.ticks().unwrap_or(0));
        Ok(WasmRuntime { overruns: 0, store, memory, evaluate, places, limits, watch, ticks, _module: module.clone() })
    }

    /// How many predicates the module says it has.
    pub fn predicates(&self) -> usize {
        self.places.predicates
    }

    /// How many top-level slots the module expects in a frame.
    pub fn slots(&self) -> usize {
        self.places.slots
    }

    fn check(&self, frame: Frame<'_>, candidates: &[PredicateId]) -> Result<(), RuntimeError> {
        check_candidates(candidates, self.places.predicates)?;
        if fits(frame, self.places.slots) { Ok(()) } else { Err(RuntimeError::ForeignFrame) }
    }

    /// Enters the module for the events of the group from `first` on.
    fn call(&mut self, first: usize) -> wasmtime::Result<()> {
        if let Some(fuel) = self.limits.fuel {
            self.store.set_fuel(fuel)?;
        }
        let range = (first as u32, self.store.data().group.len() as u32);
        let Some(watch) = &mut self.watch else { return self.evaluate.call(&mut self.store, range) };
        self.store.set_epoch_deadline(self.ticks);
        let _inside = watch.enter();
        self.evaluate.call(&mut self.store, range)
    }

    /// Evaluates the events of the group; gives those that failed. `budget` is how many calls may still fail.
    fn run(&mut self, budget: &mut usize) -> Vec<Failure> {
        let mut failures = Vec::new();
        let (memory, host) = self.memory.data_and_store_mut(&mut self.store);
        let count = host.group.len();
        if !host.group.clear_results(memory) {
            let reason = "its memory no longer holds the results".to_owned();
            return vec![Failure { rows: 0..count, reason }];
        }
        let mut first = 0;
        while first < count {
            if *budget == 0 || self.overruns >= MAX_OVERRUNS {
                let reason = match self.overruns >= MAX_OVERRUNS {
                    true => "it overran its limits too often and is not called any more".to_owned(),
                    false => "it failed too often in one batch".to_owned(),
                };
                failures.push(Failure { rows: first..count, reason });
                break;
            }
            // What an earlier call left there says nothing of this one.
            self.places.forget_progress(self.memory.data_mut(&mut self.store));
            let Err(error) = self.call(first) else { break };
            *budget -= 1;
            let overran = matches!(error.downcast_ref::<Trap>(), Some(Trap::Interrupt | Trap::OutOfFuel));
            self.overruns += usize::from(overran);
            // The event at which it stopped, as the module says. Where that cannot be true, none of the rest is.
            let progress = self.places.progress(self.memory.data(&self.store));
            let rows = match progress.filter(|row| (first..count).contains(row)) {
                Some(row) => row..row + 1,
                None => first..count,
            };
            first = rows.end;
            failures.push(Failure { rows, reason: error.root_cause().to_string() });
        }
        failures
    }

    /// Makes room behind the group's frames. `false` when the group is to be evaluated first.
    fn grow(&mut self, pages: u64, length: usize) -> Result<bool, RuntimeError> {
        match self.memory.grow(&mut self.store, pages) {
            Ok(_) => Ok(true),
            Err(_) if self.store.data().group.len() > 0 => Ok(false),
            Err(_) => Err(RuntimeError::FrameTooLarge { runtime: RUNTIME, length }),
        }
    }

    /// Adds the candidates of the host's one event from `from` on; gives how many.
    fn add_single(&mut self, frame: Frame<'_>, candidates: &[PredicateId], from: usize) -> Result<usize, RuntimeError> {
        loop {
            let (memory, host) = self.memory.data_and_store_mut(&mut self.store);
            match host.group.add(memory, SINGLE, from, frame.bytes(), candidates) {
                Added::Pairs(count) => return Ok(count),
                Added::Full => return Ok(0),
                Added::Grow(pages) => self.grow(pages, frame.bytes().len())?,
                Added::Outside => return Err(outside(candidates)),
            };
        }
    }

    /// Adds candidates of the host's batch from `next` on, which is moved behind them, until something is to be done
    /// first; `None` when all are in.
    fn add_events(&mut self, next: &mut Next) -> Option<Stop> {
        let (memory, Host { batch, group, .. }) = self.memory.data_and_store_mut(&mut self.store);
        while next.event < batch.len() {
            let candidates = batch.candidates(next.event);
            if next.candidate >= candidates.len() {
                next.skip_event();
                continue;
            }
            let Some(frame) = batch.frame(next.event).filter(|frame| fits(*frame, self.places.slots)) else {
                return Some(Stop::Refused(RuntimeError::ForeignFrame));
            };
            if let Err(error) = check_candidates(candidates, self.places.predicates) {
                return Some(Stop::Refused(error));
            }
            match group.add(memory, next.event, next.candidate, frame.bytes(), candidates) {
                Added::Pairs(count) => next.candidate += count,
                Added::Full => return Some(Stop::Full),
                Added::Grow(pages) => return Some(Stop::Grow { pages, length: frame.bytes().len() }),
                Added::Outside => return Some(Stop::Refused(outside(candidates))),
            }
        }
        None
    }

    /// Evaluates the group and tells the batch what came out.
    fn run_batch(&mut self, budget: &mut usize) {
        let failures = self.run(budget);
        let (memory, host) = self.memory.data_and_store_mut(&mut self.store);
        let Host { batch, group, .. } = host;
        for Failure { rows, reason } in failures {
            let mut last = None;
            for row in group.rows(rows) {
                // An event with many candidates can have more than one row.
                if last.replace(row.event) != Some(row.event) {
                    let error = RuntimeError::failed(RUNTIME, batch.candidates(row.event), reason.clone());
                    batch.fail(row.event, error);
                }
            }
        }
        for row in group.rows(0..group.len()) {
            let Some(held) = batch.held_mut(row.event).get_mut(row.candidates.clone()) else { continue };
            group.read(memory, row, |index| held[index] = true);
        }
        group.clear();
    }
}

/// Which candidate of which event of a batch is added next.
#[derive(Debug, Default)]
struct Next {
    event: usize,
    candidate: usize,
}

impl Next {
    fn skip_event(&mut self) {
        *self = Next { event: self.event + 1, candidate: 0 };
    }
}

/// What is to be done before a candidate can be added.
enum Stop {
    /// Evaluate what is there.
    Full,
    /// Let the memory grow, for a frame of so many bytes.
    Grow { pages: u64, length: usize },
    /// Leave the event out.
    Refused(RuntimeError),
}

/// Some events of a group that could not be evaluated.
struct Failure {
    rows: Range<usize>,
    reason: String,
}

fn outside(candidates: &[PredicateId]) -> RuntimeError {
    RuntimeError::failed(RUNTIME, candidates, "its memory no longer holds the events and candidates".to_owned())
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
        self.check(frame, candidates)?;
        let host = self.store.data_mut();
        host.use_atoms(atoms);
        std::mem::swap(&mut host.cache, cache);
        let before = hits.len();
        let outcome = self.evaluate_single(frame, candidates, hits);
        let host = self.store.data_mut();
        std::mem::swap(&mut host.cache, cache);
        host.group.clear();
        if outcome.is_err() {
            hits.truncate(before);
        }
        outcome
    }

    fn evaluate_batch(&mut self, atoms: &Atoms, batch: &mut Batch) {
        let host = self.store.data_mut();
        host.use_atoms(atoms);
        std::mem::swap(&mut host.batch, batch);
        let (mut next, mut budget) = (Next::default(), MAX_FAILURES);
        while let Some(stop) = self.add_events(&mut next) {
            let outcome = match stop {
                Stop::Full => Ok(false),
                Stop::Grow { pages, length } => self.grow(pages, length),
                Stop::Refused(error) => Err(error),
            };
            match outcome {
                Ok(true) => {}
                Ok(false) => self.run_batch(&mut budget),
                Err(error) => {
                    self.store.data_mut().batch.fail(next.event, error);
                    next.skip_event();
                }
            }
        }
        self.run_batch(&mut budget);
        std::mem::swap(&mut self.store.data_mut().batch, batch);
    }
}

impl WasmRuntime {
    fn evaluate_single(
        &mut self,
        frame: Frame<'_>,
        candidates: &[PredicateId],
        hits: &mut Vec<PredicateId>,
    ) -> Result<(), RuntimeError> {
        let mut from = 0;
        while from < candidates.len() {
            from += self.add_single(frame, candidates, from)?;
            if let Some(failure) = self.run(&mut 1).pop() {
                return Err(RuntimeError::failed(RUNTIME, candidates, failure.reason));
            }
            let (memory, host) = self.memory.data_and_store_mut(&mut self.store);
            for row in host.group.rows(0..host.group.len()) {
                let asked = candidates.get(row.candidates.clone()).unwrap_or(&[]);
                host.group.read(memory, row, |index| hits.extend(asked.get(index)));
            }
            host.group.clear();
        }
        Ok(())
    }
}
