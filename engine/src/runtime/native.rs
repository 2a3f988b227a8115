//! Predicates as machine code of this processor, compiled by Cranelift when a pack is loaded.
//!
//! In: a verified IR, then frames and candidates. Out: the candidates that hold. There is no sandbox: the code is made
//! here, from tables that the verifier has passed, but a mistake in it would be a mistake of the engine. So this runtime
//! is for trusted packs; the strict profile refuses it.
//!
//! ```text
//! Ir ──cut, emit──▶ Cranelift ──▶ memory: written, then executable     once per pack, shared by its threads
//!
//! evaluate: for each candidate ──▶ its function(frame, context, generation) ──▶ 1 or 0
//!                                      │  numbers and truth values: read from the frame
//!                                      ├─ other atoms: the cache's answer, if it is known
//!                                      └─ else context.ask(atom): the host tests and remembers
//! ```
//!
//! What keeps the code inside its bounds:
//! - A frame is looked at once per event: it has all slots that the code reads. Arrays are read below its length only.
//! - Answers are looked up at `context.answers`, which the host renews whenever it has changed the cache, and which has
//!   room for every atom of the pack.
//! - A panic of the host does not pass through the code: it is caught where the code calls the host, the code goes on
//!   with false, and the evaluation is told as failed.
//! - The code has no loops but those over one array, and takes a bounded amount of stack ([`compile`]).

mod compile;
mod emit;
mod inline;
mod memory;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use kestrel_core::atoms::{AtomCache, Atoms};
use kestrel_core::batch::{Batch, BatchItem};
use kestrel_core::runtime::{Runtime, RuntimeError};
use kestrel_ir::frame::Frame;
use kestrel_ir::model::{AtomId, Ir, PredicateId};

use super::fits;
use compile::{Address, MachineCode};

const RUNTIME: &str = "native";

/// How code is made.
#[derive(Debug, Clone, Copy)]
pub struct NativeOptions {
    /// Whether Cranelift optimises.
    pub optimize: bool,
    /// The most threads that compile.
    pub threads: usize,
}

impl Default for NativeOptions {
    fn default() -> NativeOptions {
        let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get().min(4));
        NativeOptions { optimize: false, threads }
    }
}

/// A pack's predicates as machine code. Clones share it.
#[derive(Debug, Clone)]
pub struct NativeCode {
    machine: Arc<MachineCode>,
}

/// What evaluates with that code, for one thread.
#[derive(Debug)]
pub struct NativeRuntime {
    machine: Arc<MachineCode>,
    ask: Ask,
}

/// A compiled predicate, or a part of one: 1 or 0.
type Condition = for<'c> unsafe extern "C" fn(frame: *const u8, context: *mut Context<'c>, generation: u32) -> u32;

/// How compiled code asks the host for an atom: 1 or 0.
type Ask = for<'c> unsafe extern "C" fn(context: *mut Context<'c>, atom: u32) -> u32;

/// What compiled code finds at `context` while it evaluates one event. It reads the fields down to `length`.
#[repr(C)]
struct Context<'c> {
    /// The answers in `cache`. Renewed whenever the cache may have changed.
    answers: *const u8,
    ask: Ask,
    /// The table of the code's functions.
    functions: *const Address,
    /// The frame's length.
    length: u64,
    frame: Frame<'c>,
    atoms: &'c Atoms,
    cache: &'c mut AtomCache,
    /// The first panic.
    failure: Option<Box<dyn Any + Send>>,
}

fn load_error(reason: impl std::fmt::Display) -> RuntimeError {
    RuntimeError::Load { runtime: RUNTIME, reason: reason.to_string() }
}

impl NativeCode {
    /// Compiles the predicates of `ir`.
    ///
    /// # Errors
    /// When the IR's ids do not fit together or its conditions are too large; when this build writes no code for this
    /// processor, or the system gives no memory that can be run.
    pub fn compile(ir: &Ir, options: NativeOptions) -> Result<NativeCode, RuntimeError> {
        Ok(NativeCode { machine: Arc::new(MachineCode::new(ir, options)?) })
    }
}

impl NativeRuntime {
    /// A runtime over compiled code.
    pub fn new(code: &NativeCode) -> NativeRuntime {
        NativeRuntime { machine: Arc::clone(&code.machine), ask }
    }

    /// Tells the answer of each candidate, by its place among them.
    fn run(
        &self,
        frame: Frame<'_>,
        atoms: &Atoms,
        cache: &mut AtomCache,
        candidates: &[PredicateId],
        mut tell: impl FnMut(usize, bool),
    ) -> Result<(), RuntimeError> {
        if candidates.is_empty() {
            return Ok(());
        }
        if !fits(frame, self.machine.slots) {
            return Err(RuntimeError::ForeignFrame);
        }
        let (answers, generation) = cache.answers();
        let (room, generation) = (answers.len(), u32::from(generation));
        let mut context = Context {
            answers: answers.as_ptr(),
            ask: self.ask,
            functions: self.machine.functions().as_ptr(),
            length: frame.bytes().len() as u64,
            frame,
            atoms,
            cache,
            failure: None,
        };
        if room < self.machine.atoms {
            context.grow(self.machine.atoms);
        }
        // INVARIANT: a cache does not shrink; from here on it has room for every atom that the code looks up.
        if context.cache.answers().0.len() < self.machine.atoms && context.failure.is_none() {
            return Err(RuntimeError::failed(RUNTIME, candidates, "its atoms are those of another pack".to_owned()));
        }
        let context: *mut Context<'_> = &raw mut context;
        for (index, candidate) in candidates.iter().enumerate() {
            let Some(&function) = self.machine.predicates().get(candidate.index()) else {
                let predicates = self.machine.predicates().len();
                return Err(RuntimeError::UnknownPredicate { predicate: candidate.0, predicates });
            };
            #[expect(unsafe_code, reason = "calls code that was compiled for this very signature")]
            // SAFETY: a predicate's address is that of a function of this type, in memory that `machine` keeps. The frame
            // has every slot that the code reads (`fits`) and `length` bytes; the answers have room for every atom; the
            // context lives until after the loop, and nothing else uses it meanwhile. `ask` does not unwind.
            let held = unsafe {
                let function = std::mem::transmute::<*const u8, Condition>(function.0);
                (*context).failure.is_none() && function(frame.bytes().as_ptr(), context, generation) != 0
            };
            tell(index, held);
        }
        #[expect(unsafe_code, reason = "the context is read as compiled code has left it")]
        // SAFETY: the context is a local value that still lives, and no call that uses it is under way.
        match unsafe { (*context).failure.take() } {
            None => Ok(()),
            Some(panic) => Err(RuntimeError::failed(RUNTIME, candidates, reason(&*panic))),
        }
    }
}

impl Context<'_> {
    /// Runs a part of the host on behalf of compiled code; a panic ends here.
    fn guarded(&mut self, answer: impl FnOnce(&mut Self) -> bool) -> u32 {
        if self.failure.is_some() {
            return 0;
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| answer(self)));
        self.answers = self.cache.answers().0.as_ptr();
        match outcome {
            Ok(answer) => u32::from(answer),
            Err(panic) => {
                self.failure = Some(panic);
                0
            }
        }
    }

    /// Lets an empty cache grow to `atoms` answers: by asking for the last, whose answer is then there.
    fn grow(&mut self, atoms: usize) {
        let last = AtomId(atoms.saturating_sub(1) as u32);
        self.guarded(|context| context.atoms.test(last, context.frame, context.cache));
    }
}

/// Tests an atom for compiled code, which has not found its answer.
#[expect(unsafe_code, reason = "compiled code passes the context as an address")]
unsafe extern "C" fn ask(context: *mut Context<'_>, atom: u32) -> u32 {
    // SAFETY: compiled code passes on what `run` has given it: a context that lives, and that nobody else uses while the
    // code waits for this function.
    let context = unsafe { &mut *context };
    context.guarded(|context| context.atoms.test(AtomId(atom), context.frame, context.cache))
}

/// What a panic said.
fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("an atom panicked: {}", text.unwrap_or("without a word"))
}

impl Runtime for NativeRuntime {
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
        let before = hits.len();
        let outcome = self.run(frame, atoms, cache, candidates, |index, held| {
            if held && let Some(candidate) = candidates.get(index) {
                hits.push(*candidate);
            }
        });
        if outcome.is_err() {
            hits.truncate(before);
        }
        outcome
    }

    fn evaluate_batch(&mut self, atoms: &Atoms, batch: &mut Batch) {
        for event in 0..batch.len() {
            let Some(BatchItem { frame, cache, candidates, held }) = batch.item(event) else { continue };
            let outcome = self.run(frame, atoms, cache, candidates, |index, answer| {
                if let Some(held) = held.get_mut(index) {
                    *held = answer;
                }
            });
            if let Err(error) = outcome {
                batch.fail(event, error);
            }
        }
    }
}

#[cfg(test)]
mod tests;
