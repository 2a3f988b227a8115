//! Lua predicates on LuaJIT.
//!
//! In: a source as `docs/runtime-abi.md` describes it, then batches of events with their candidates. Out: the candidates
//! that hold. The limits ([`LuaLimits`]) contain what a source does by accident, and with `strict` what it does on
//! purpose; a source that is trusted reads frames through pointers that nothing checks.
//!
//! ```text
//! pairs (event, predicate) ─sorted by predicate─▶ groups ─▶ memory ─▶ Lua: for each group a loop of its own ─▶ results
//!                                                                       └──▶ ask(call, event, atom), unless known
//! ```
//!
//! Frames are copied to a fixed place, so that pointers into them are constants for the compiler and no event makes a
//! pointer object: 13 ns against a visit of the garbage collector.
//!
//! A predicate that fails takes down its own event alone: the group where it happened is tried again event by event, and
//! evaluation goes on behind it. A predicate that overran its time, its instructions or its memory is not run again.

mod call;
mod limits;
mod memory;
mod state;
mod stop;
mod work;

use kestrel_core::atoms::{AtomCache, Atoms};
use kestrel_core::batch::Batch;
use kestrel_core::runtime::{Runtime, RuntimeError, check_candidates};
use kestrel_ir::frame::Frame;
use kestrel_ir::model::PredicateId;

use super::fits;
use call::OwnedCall;
pub use limits::LuaLimits;
use memory::{Memory, POSITIONS};
use state::{Failure, State};
use stop::Stopper;
pub use stop::interruptible;
use work::{Pair, Work};

const RUNTIME: &str = "lua";
/// After so many overruns in all a source is not run any more: each took all the time that there is.
const MAX_OVERRUNS: usize = 8;

/// A Lua state with a pack's predicates, for one thread.
#[derive(Debug)]
pub struct LuaRuntime {
    /// What happened when it was made anew, if that failed: then nothing is evaluated any more.
    state: Result<State, String>,
    /// Behind the state, which holds its address.
    call: OwnedCall,
    stopper: Stopper,
    work: Work,
    predicates: usize,
    overruns: usize,
    /// Why a predicate is not run again.
    quarantine: Vec<Option<String>>,
    source: String,
    slots: usize,
    limits: LuaLimits,
}

#[expect(
    unsafe_code,
    reason = "mlua's handles are not Send without its feature `send`, which would put a lock around each call"
)]
// SAFETY: the state and every handle to it are fields of `State`, are never cloned or handed out, and so move to another
// thread together; their reference counts are touched only through `&mut self` or on drop. LuaJIT binds a state to no
// thread. The watchdog's thread knows the state's address, and uses it only during a run. The rest is Send by itself.
unsafe impl Send for LuaRuntime {}

impl LuaRuntime {
    /// Loads a source that reads frames of so many top-level slots.
    ///
    /// # Errors
    /// When the source does not compile, fails or overruns a limit when it is run, or is made for another number of slots.
    pub fn new(source: &str, slots: usize, limits: LuaLimits) -> Result<LuaRuntime, RuntimeError> {
        let mut stopper = Stopper::new(limits.deadline)?;
        let call = OwnedCall::new(Memory::new(limits.frame));
        let state = State::load(source, slots, &limits, &call, &mut stopper)?;
        let predicates = state.predicates;
        Ok(LuaRuntime {
            state: Ok(state),
            call,
            stopper,
            work: Work::new(predicates),
            predicates,
            overruns: 0,
            quarantine: vec![None; predicates],
            source: source.to_owned(),
            slots,
            limits,
        })
    }

    /// How many predicates the source has, counted from 0 without a gap.
    pub fn predicates(&self) -> usize {
        self.predicates
    }

    /// Whether LuaJIT compiles here: the limits allow it, and this build can interrupt it.
    pub fn compiles(&self) -> bool {
        self.state.as_ref().is_ok_and(|state| state.compiles)
    }

    /// Bytes of Lua's heap.
    pub fn used_memory(&self) -> usize {
        self.state.as_ref().map_or(0, State::used_memory)
    }

    fn check(&self, frame: Frame<'_>, candidates: &[PredicateId]) -> Result<(), RuntimeError> {
        check_candidates(candidates, self.predicates)?;
        if !fits(frame, self.slots) {
            return Err(RuntimeError::ForeignFrame);
        }
        let length = frame.bytes().len();
        if length > self.limits.frame {
            return Err(RuntimeError::FrameTooLarge { runtime: RUNTIME, length });
        }
        if let Err(reason) = &self.state {
            return Err(RuntimeError::failed(RUNTIME, candidates, reason.clone()));
        }
        let quarantined = |candidate: &PredicateId| Some((*candidate, self.quarantine[candidate.index()].as_ref()?));
        match candidates.iter().find_map(quarantined) {
            None => Ok(()),
            Some((candidate, reason)) => {
                Err(RuntimeError::failed(RUNTIME, &[candidate], format!("it is not run any more: {reason}")))
            }
        }
    }

    /// Adds an event's questions to the work; `first` is the number of the first in the caller's order.
    fn gather(&mut self, event: usize, frame: Frame<'_>, candidates: &[PredicateId], first: usize) {
        if candidates.is_empty() {
            return;
        }
        if let Err(error) = self.check(frame, candidates) {
            self.work.fail(event, error);
            return;
        }
        let placed = self.call.with(|call| call.place(frame, event)).or_else(|| {
            // The round is full. A frame within the limit fits into an empty one.
            self.run();
            self.call.with(|call| {
                call.begin();
                call.place(frame, event)
            })
        });
        let Some(frame_word) = placed else {
            return self
                .work
                .fail(event, RuntimeError::FrameTooLarge { runtime: RUNTIME, length: frame.bytes().len() });
        };
        for (number, candidate) in (first..).zip(candidates) {
            if self.work.pairs.len() == POSITIONS {
                self.run();
            }
            self.work.pairs.push(Pair { predicate: candidate.0, frame_word, event, number });
        }
    }

    /// Evaluates what was gathered; the events stay placed.
    fn run(&mut self) {
        let groups = self.call.with(|call| self.work.place(&mut call.memory));
        let mut from = 0;
        while from < groups {
            let Err(failure) = self.evaluate(from, groups) else { break };
            let group = failure.group.clamp(from, groups - 1);
            self.isolate(group, groups, &failure);
            from = group + 1;
        }
        let panicked = self.call.with(|call| {
            self.work.collect(&call.memory);
            std::mem::take(&mut call.panicked)
        });
        if panicked {
            self.work.fail_all(|predicate| {
                RuntimeError::failed(RUNTIME, &[predicate], "the host failed while it tested an atom".to_owned())
            });
        }
        self.work.clear_pairs();
    }

    fn evaluate(&mut self, from: usize, end: usize) -> Result<(), Failure> {
        match &self.state {
            Ok(state) => state.evaluate(from, end, &self.limits, &self.call, &mut self.stopper),
            Err(reason) => Err(Failure { group: from, reason: reason.clone(), overran: false, out_of_memory: false }),
        }
    }

    /// Finds which events of a group fail, one by one, unless the predicate took so long that it is not run again.
    fn isolate(&mut self, group: usize, groups: usize, failure: &Failure) {
        let predicate = self.work.groups[group].predicate;
        if failure.overran || failure.out_of_memory {
            self.reload();
        }
        if failure.overran {
            self.set_quarantine(predicate, &failure.reason);
            return self.work.fail_group(group, |pair| failed(pair, &failure.reason));
        }
        for position in self.work.positions(group) {
            let alone = memory::Group { predicate, first: position, last: position };
            let pair = self.work.pair_at(position);
            self.call.with(|call| {
                call.memory.place_position(position as usize, pair.frame_word);
                call.memory.place_group(groups, alone);
            });
            let Err(again) = self.evaluate(groups, groups + 1) else { continue };
            self.work.fail(pair.event, failed(pair, &again.reason));
            if again.overran || again.out_of_memory {
                self.reload();
                self.set_quarantine(predicate, &again.reason);
                return self.work.fail_group(group, |pair| failed(pair, &again.reason));
            }
        }
    }

    fn set_quarantine(&mut self, predicate: u32, reason: &str) {
        self.overruns += 1;
        if self.overruns >= MAX_OVERRUNS {
            self.state = Err(format!("it overran its limits too often and is not run any more: {reason}"));
        }
        if let Some(entry) = self.quarantine.get_mut(predicate as usize) {
            *entry = Some(reason.to_owned());
        }
    }

    /// Makes the state anew. The old one is dropped first, so that there is never twice the memory.
    fn reload(&mut self) {
        self.state = Err("it is being loaded".to_owned());
        let loaded = State::load(&self.source, self.slots, &self.limits, &self.call, &mut self.stopper);
        self.state = match loaded {
            Ok(state) if state.predicates == self.predicates => Ok(state),
            Ok(_) => Err("loaded again, the source has other predicates".to_owned()),
            Err(error) => Err(error.to_string()),
        };
    }
}

fn failed(pair: Pair, reason: &str) -> RuntimeError {
    RuntimeError::failed(RUNTIME, &[PredicateId(pair.predicate)], reason.to_owned())
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
        let swap = |call: &OwnedCall, cache: &mut AtomCache| {
            call.with(|call| call.caches.first_mut().map(|first| std::mem::swap(first, cache)))
        };
        self.call.with(|call| {
            call.take_atoms(atoms);
            call.begin();
        });
        swap(&self.call, cache);
        self.gather(0, frame, candidates, 0);
        self.run();
        swap(&self.call, cache);
        let (held, failure) = self.work.take();
        if let Some((_, error)) = failure.into_iter().next() {
            self.work.give_back(held);
            return Err(error);
        }
        hits.extend(held.iter().filter_map(|&number| candidates.get(number)));
        self.work.give_back(held);
        Ok(())
    }

    fn evaluate_batch(&mut self, atoms: &Atoms, batch: &mut Batch) {
        self.call.with(|call| {
            call.take_atoms(atoms);
            call.begin();
            std::mem::swap(&mut call.caches, batch.caches_mut());
        });
        let mut number = 0;
        for event in 0..batch.len() {
            let candidates = batch.candidates(event);
            if let Some(frame) = batch.frame(event) {
                self.gather(event, frame, candidates, number);
            }
            number += candidates.len();
        }
        self.run();
        self.call.with(|call| std::mem::swap(&mut call.caches, batch.caches_mut()));
        let (held, failures) = self.work.take();
        let answers = batch.answers_mut();
        for &number in &held {
            if let Some(answer) = answers.get_mut(number) {
                *answer = true;
            }
        }
        self.work.give_back(held);
        for (event, error) in failures {
            batch.fail(event, error);
        }
    }
}
