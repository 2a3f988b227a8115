//! What every runtime does: events' frames and candidates in, the predicates that hold out.
//!
//! The [`Runtime`] trait, its error, and the runtime that needs no compiled code: [`Interpreting`], the reference. Wasm,
//! Lua and native code implement the trait in the engine, because this crate has no unsafe code. Dispatch, which picks the
//! candidates, does not live here either.

use kestrel_ir::frame::Frame;
use kestrel_ir::interp::{Interpreter, InterpreterError};
use kestrel_ir::model::{Ir, PredicateId};
use thiserror::Error;

use crate::atoms::{AtomCache, Atoms};
use crate::batch::{Batch, BatchItem};

/// Evaluates predicates. One instance serves one thread.
pub trait Runtime: Send {
    /// The runtime's name on the command line and in metrics.
    fn name(&self) -> &'static str;

    /// Appends those of `candidates` that hold for `frame` to `hits`, in the candidates' order. A predicate holds when
    /// its category atom, if it has one, and its root do.
    ///
    /// `atoms` and `cache` belong to the same pack as the runtime, and the cache to this event. A runtime need not ask
    /// them for everything: numbers may be read from the frame.
    ///
    /// # Errors
    /// When the compiled code overran a limit or failed. `hits` is then what it was, and the runtime can be used again
    /// for the next event.
    fn evaluate(
        &mut self,
        frame: Frame<'_>,
        atoms: &Atoms,
        cache: &mut AtomCache,
        candidates: &[PredicateId],
        hits: &mut Vec<PredicateId>,
    ) -> Result<(), RuntimeError>;

    /// Answers all questions of a batch. An event that cannot be evaluated is told with [`Batch::fail`]; the others are
    /// answered. A runtime that gains from entering its code once for many events does it in its own way; here they
    /// are evaluated one after the other.
    fn evaluate_batch(&mut self, atoms: &Atoms, batch: &mut Batch) {
        let mut hits = std::mem::take(&mut batch.scratch);
        for event in 0..batch.len() {
            let Some(BatchItem { frame, cache, candidates, held }) = batch.item(event) else { continue };
            hits.clear();
            match self.evaluate(frame, atoms, cache, candidates, &mut hits) {
                Ok(()) => mark(candidates, &hits, held),
                Err(error) => batch.fail(event, error),
            }
        }
        batch.scratch = hits;
    }
}

/// Marks the candidates that are among `hits`, which are in the candidates' order.
fn mark(candidates: &[PredicateId], hits: &[PredicateId], held: &mut [bool]) {
    let mut hits = hits.iter().peekable();
    for (candidate, held) in candidates.iter().zip(held) {
        *held = hits.next_if(|hit| *hit == candidate).is_some();
    }
}

/// Why a runtime could not be made or did not answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The word names no runtime.
    #[error("unknown runtime `{word}`, expected `interp`, `wasm`, `lua` or `native`")]
    UnknownRuntime {
        /// The word.
        word: String,
    },
    /// The runtime exists, but not here.
    #[error("the {runtime} runtime is not part of this build")]
    NotBuilt {
        /// The runtime's name.
        runtime: &'static str,
    },
    /// Nothing contains the runtime's code, and the pack is not trusted.
    #[error("the {runtime} runtime is for trusted packs only: the strict profile refuses it")]
    NotTrusted {
        /// The runtime's name.
        runtime: &'static str,
    },
    /// The pack has no code for the runtime.
    #[error("the pack has no code for the {runtime} runtime")]
    NoCode {
        /// The runtime's name.
        runtime: &'static str,
    },
    /// The code was refused when it was loaded.
    #[error("the {runtime} runtime cannot load the pack's code: {reason}")]
    Load {
        /// The runtime's name.
        runtime: &'static str,
        /// What it said.
        reason: String,
    },
    /// The tables were refused.
    #[error("the rules cannot be interpreted: {0}")]
    Interpreter(#[from] InterpreterError),
    /// A candidate that the pack does not have.
    #[error("predicate {predicate} is not in the pack, which has {predicates}")]
    UnknownPredicate {
        /// The candidate.
        predicate: u32,
        /// How many predicates there are.
        predicates: usize,
    },
    /// A frame of another layout, or a broken one.
    #[error("the frame does not fit the pack's layout")]
    ForeignFrame,
    /// The frame is longer than the runtime's memory limit allows.
    #[error("a frame of {length} bytes does not fit into the {runtime} runtime's memory")]
    FrameTooLarge {
        /// The runtime's name.
        runtime: &'static str,
        /// The frame's length in bytes.
        length: usize,
    },
    /// The code failed or overran a limit while it evaluated a batch of predicates.
    #[error("the {runtime} runtime failed in a batch of {count} predicates from {first} to {last}: {reason}")]
    Failed {
        /// The runtime's name.
        runtime: &'static str,
        /// The lowest predicate of the batch.
        first: u32,
        /// The highest.
        last: u32,
        /// How many predicates the batch had. Evaluated alone they show which one failed.
        count: usize,
        /// What the runtime said.
        reason: String,
    },
}

impl RuntimeError {
    /// The failure of a batch, told by its predicates.
    pub fn failed(runtime: &'static str, batch: &[PredicateId], reason: String) -> RuntimeError {
        RuntimeError::Failed {
            runtime,
            first: batch.iter().map(|predicate| predicate.0).min().unwrap_or(0),
            last: batch.iter().map(|predicate| predicate.0).max().unwrap_or(0),
            count: batch.len(),
            reason,
        }
    }
}

/// Refuses candidates that a pack of so many predicates does not have.
///
/// # Errors
/// [`RuntimeError::UnknownPredicate`] with the first such candidate.
pub fn check_candidates(candidates: &[PredicateId], predicates: usize) -> Result<(), RuntimeError> {
    match candidates.iter().find(|candidate| candidate.index() >= predicates) {
        None => Ok(()),
        Some(candidate) => Err(RuntimeError::UnknownPredicate { predicate: candidate.0, predicates }),
    }
}

/// The reference runtime (`--runtime interp`): asks the interpreter for everything, atoms included, and remembers
/// nothing. What it answers is right by definition; the other runtimes are compared with it.
#[derive(Debug)]
pub struct Interpreting {
    interpreter: Interpreter,
    predicates: usize,
}

impl Interpreting {
    /// A runtime over the pack's tables.
    ///
    /// # Errors
    /// When the interpreter refuses the tables.
    pub fn new(ir: &Ir) -> Result<Interpreting, RuntimeError> {
        Ok(Interpreting { interpreter: Interpreter::new(ir)?, predicates: ir.predicates.len() })
    }
}

impl Runtime for Interpreting {
    fn name(&self) -> &'static str {
        "interp"
    }

    fn evaluate(
        &mut self,
        frame: Frame<'_>,
        _atoms: &Atoms,
        cache: &mut AtomCache,
        candidates: &[PredicateId],
        hits: &mut Vec<PredicateId>,
    ) -> Result<(), RuntimeError> {
        check_candidates(candidates, self.predicates)?;
        let context = cache.context();
        hits.extend(candidates.iter().filter(|&&id| self.interpreter.predicate_with(id, frame, context)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kestrel_ir::event::{Event, FieldTable};
    use kestrel_ir::frame::FrameBuilder;
    use kestrel_ir::model::{Node, NodeId, Predicate};

    use super::*;

    #[test]
    fn hits_keep_the_candidates_order_and_what_was_there() {
        let node = |value| Node::Constant(value);
        let predicate = |root| Predicate { category: None, root: NodeId(root) };
        let ir = Ir {
            nodes: vec![node(false), node(true)],
            predicates: vec![predicate(1), predicate(0), predicate(1)],
            ..Ir::default()
        };
        let mut builder = FrameBuilder::new(&ir.layout, &FieldTable::new());
        let frame = builder.build(&Event::new());
        let atoms = Atoms::new(&ir).expect("valid tables");
        let mut runtime = Interpreting::new(&ir).expect("valid tables");
        let mut hits = vec![PredicateId(9)];
        let candidates = [2, 1, 0].map(PredicateId);
        runtime.evaluate(frame, &atoms, &mut atoms.cache(), &candidates, &mut hits).expect("it runs");
        assert_eq!(hits, [9, 2, 0].map(PredicateId));
        let unknown = runtime.evaluate(frame, &atoms, &mut atoms.cache(), &[PredicateId(3)], &mut hits);
        assert!(matches!(unknown, Err(RuntimeError::UnknownPredicate { predicate: 3, predicates: 3 })));
        assert_eq!(hits.len(), 3);
    }
}
