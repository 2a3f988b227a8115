//! Stage one: what can be said of an event alone. Which of the pack's predicates hold for it.
//!
//! ```text
//! Event ─▶ dispatch ─▶ candidates ─▶ frame, if there are any ─▶ runtime ─▶ predicates that hold
//! ```
//!
//! In: events. Out: a [`Batch`] of frames, candidates and answers. Events do not depend on each other, so that any number
//! of stages one may work side by side, with one exception: a pack that asks about lineage needs all events, in order, in
//! one place ([`StageOne::needs_order`]).

use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::frame::{Frame, FrameBuilder};
use kestrel_ir::interp::Interpreter;
use kestrel_ir::layout::Layout;
use kestrel_ir::model::{Ir, PredicateId};

use crate::atoms::{AtomCache, Atoms, AtomsError};
use crate::batch::Batch;
use crate::dispatch::Dispatch;
use crate::lineage::{Lineage, Question};
use crate::runtime::{Runtime, RuntimeError};

/// Finds the predicates that hold.
pub struct StageOne {
    layout: Layout,
    atoms: Atoms,
    dispatch: Dispatch,
    builder: FrameBuilder,
    runtime: Box<dyn Runtime>,
    lineage: Option<Lineage>,
    /// For each predicate whether a rule asks for it, and not only a question about lineage.
    asked: Vec<bool>,
    batch: Batch,
    candidates: Vec<PredicateId>,
    hits: Vec<PredicateId>,
    failures: Failures,
}

/// How often the runtime did not answer, and what it said first.
#[derive(Debug, Default)]
struct Failures {
    count: u64,
    first: Option<String>,
}

impl StageOne {
    /// Stage one for a verified IR over events whose fields `table` numbers. Have [`FrameBuilder::wanted`] add the IR's
    /// fields to the table first. Remembers at most `max_processes` processes for lineage.
    ///
    /// # Errors
    /// When the IR's patterns do not compile, which the verifier would have said.
    pub fn new(
        ir: &Ir,
        table: &FieldTable,
        runtime: Box<dyn Runtime>,
        max_processes: usize,
    ) -> Result<StageOne, AtomsError> {
        let mut asked = vec![false; ir.predicates.len()];
        for predicate in ir.rules.iter().flat_map(|rule| rule.predicates()) {
            if let Some(asked) = asked.get_mut(predicate.index()) {
                *asked = true;
            }
        }
        Ok(StageOne {
            layout: ir.layout.clone(),
            atoms: Atoms::new(ir)?,
            dispatch: Dispatch::new(ir, table),
            builder: FrameBuilder::new(&ir.layout, table),
            runtime,
            lineage: Lineage::new(ir, table, max_processes),
            asked,
            batch: Batch::default(),
            candidates: Vec::new(),
            hits: Vec::new(),
            failures: Failures::default(),
        })
    }

    /// Whether answers depend on earlier events, so that one stage has to see all of them in order.
    pub fn needs_order(&self) -> bool {
        self.lineage.is_some()
    }

    /// Adds an event to the batch. Tells whether it is time to evaluate it.
    pub fn queue(&mut self, event: &Event) -> bool {
        self.candidates.clear();
        self.dispatch.candidates(event, &mut self.candidates);
        let observe = self.dispatch.wants_observation();
        if let Some(lineage) = &mut self.lineage {
            lineage.begin(event);
        }
        if self.candidates.is_empty() && !observe {
            if let Some(lineage) = &mut self.lineage {
                lineage.end();
            }
            self.batch.pass(event);
            return self.batch.is_full();
        }
        let number = self.batch.lay_out(event, &mut self.builder, || self.atoms.cache());
        if observe && let Some(item) = self.batch.item(number) {
            self.dispatch.observe(event, item.frame, &self.atoms, item.cache);
            item.cache.reset();
        }
        if self.lineage.is_some() {
            self.ask_lineage(number);
        }
        self.batch.ask(&self.candidates);
        self.batch.is_full()
    }

    /// Answers all questions of the batch.
    pub fn evaluate(&mut self) {
        let StageOne { runtime, atoms, failures, batch, .. } = self;
        Evaluator { runtime: runtime.as_mut(), atoms, failures }.evaluate_batch(batch);
    }

    /// The events that were queued, with the answers once they are evaluated.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Gives the batch away, evaluated or not, and goes on with `other`, which is emptied: for whoever has another thread
    /// look at the answers. Batches that come back keep their memory.
    pub fn exchange(&mut self, other: &mut Batch) {
        std::mem::swap(&mut self.batch, other);
        self.batch.clear();
    }

    /// Forgets the events of the batch.
    pub fn clear(&mut self) {
        self.batch.clear();
    }

    /// How many events wait in the batch.
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Finds which lineage atoms hold for an event, in the order of the events: each is an answer about the past.
    fn ask_lineage(&mut self, number: usize) {
        let (Some(lineage), Some(item)) = (&mut self.lineage, self.batch.item(number)) else { return };
        let mut evaluator =
            Evaluator { runtime: self.runtime.as_mut(), atoms: &self.atoms, failures: &mut self.failures };
        for (number, Question { predicate, atoms }) in lineage.questions().clone().iter().enumerate() {
            if let Ok(position) = self.candidates.binary_search(predicate) {
                self.hits.clear();
                evaluator.evaluate(item.frame, item.cache, &[*predicate], &mut self.hits);
                if !self.hits.is_empty() {
                    lineage.mark(number);
                }
                if self.asked.get(predicate.index()) == Some(&false) {
                    self.candidates.remove(position);
                }
            }
            for &(atom, relation) in atoms {
                if lineage.holds(number, relation) {
                    item.cache.add_lineage(atom);
                }
            }
        }
        lineage.end();
    }

    /// How often the runtime did not answer, so that the interpreter had to.
    pub fn runtime_failures(&self) -> u64 {
        self.failures.count
    }

    /// What the runtime said when it failed first, if it did.
    pub fn runtime_error(&self) -> Option<&str> {
        self.failures.first.as_deref()
    }

    /// How often the runtime did not answer since this was asked last, and what it said first.
    pub fn take_failures(&mut self) -> (u64, Option<String>) {
        let Failures { count, first } = std::mem::take(&mut self.failures);
        (count, first)
    }

    /// The layout of the frames.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The interpreter of the pack.
    pub fn interpreter(&self) -> &Interpreter {
        self.atoms.interpreter()
    }
}

/// A runtime with the semantics of record behind it.
struct Evaluator<'m> {
    runtime: &'m mut dyn Runtime,
    atoms: &'m Atoms,
    failures: &'m mut Failures,
}

impl Evaluator<'_> {
    /// Appends the candidates that hold. Nothing may be lost because compiled code failed: then the interpreter decides
    /// this event.
    fn evaluate(
        &mut self,
        frame: Frame<'_>,
        cache: &mut AtomCache,
        candidates: &[PredicateId],
        hits: &mut Vec<PredicateId>,
    ) {
        let Err(error) = self.runtime.evaluate(frame, self.atoms, cache, candidates, hits) else { return };
        self.note(&error);
        hits.clear();
        let context = cache.context();
        let interpreter = self.atoms.interpreter();
        hits.extend(candidates.iter().filter(|&&id| interpreter.predicate_with(id, frame, context)));
    }

    /// Answers a batch; the interpreter decides the events that compiled code could not.
    fn evaluate_batch(&mut self, batch: &mut Batch) {
        if batch.pair_count() == 0 {
            return;
        }
        self.runtime.evaluate_batch(self.atoms, batch);
        for (number, error) in batch.take_failures() {
            self.note(&error);
            let Some(item) = batch.item(number) else { continue };
            let context = item.cache.context();
            for (candidate, held) in item.candidates.iter().zip(item.held) {
                *held = self.atoms.interpreter().predicate_with(*candidate, item.frame, context);
            }
        }
    }

    fn note(&mut self, error: &RuntimeError) {
        self.failures.count += 1;
        self.failures.first.get_or_insert_with(|| error.to_string());
    }
}
