//! One pack's matcher: events in, matches out. The same code serves live runs, replays, tests, the editor and the C
//! library.
//!
//! ```text
//! Event ─▶ frame ─▶ dispatch ─▶ candidates ─▶ runtime ─▶ predicates that hold ─▶ event rules ───────▶ Match
//!                                                                            └─▶ sequence machines ─▶ Match
//! ```
//!
//! Time is event time: the latest timestamp seen drives the deadlines. Nothing here reads a clock, so the same events
//! give the same matches in the same order, whatever evaluates the predicates.

use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::frame::{Frame, FrameBuilder};
use kestrel_ir::interp::Interpreter;
use kestrel_ir::layout::Layout;
use kestrel_ir::model::{Ir, PredicateId, Rule, RuleIndex, RuleKind, Step};
use thiserror::Error;

use crate::atoms::{AtomCache, Atoms, AtomsError};
use crate::batch::Batch;
use crate::dispatch::Dispatch;
use crate::evidence::{CurrentEvent, EventOrder, Evidence};
use crate::key::JoinKey;
use crate::lineage::{Lineage, Question};
use crate::pipes::Stream;
use crate::program::{self, Decision, Findings, ProgramReport, Programs};
use crate::runtime::{Runtime, RuntimeError};
use crate::sample::SampleMachine;
use crate::sequence::{CompletedSequence, SequenceCounters, SequenceMachine};
use crate::timers::Timers;

/// What a matcher may keep and how it treats pipes.
#[derive(Debug, Clone, Copy)]
pub struct MatcherOptions {
    /// The most keys with state, per rule.
    pub max_keys_per_rule: usize,
    /// Whether a rule's pipes apply to its matches as they come. A query over a file sorts its matches first.
    pub stream_pipes: bool,
    /// The most processes that are remembered for `child of`, `descendant of` and `event of`.
    pub max_processes: usize,
}

impl Default for MatcherOptions {
    fn default() -> Self {
        MatcherOptions { max_keys_per_rule: 65_536, stream_pipes: true, max_processes: 65_536 }
    }
}

/// Why a matcher cannot be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MatcherError {
    /// The rules' patterns do not compile.
    #[error("the pack's rules cannot be matched: {0}")]
    Atoms(#[from] AtomsError),
    /// A rule has a hand-written predicate, and nobody runs it: the query alone would match too much.
    #[error("rule `{rule}` has a hand-written predicate, and nothing here runs those")]
    NoPrograms {
        /// The first such rule.
        rule: String,
    },
}

/// A rule's match.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// The rule, by its number in the pack.
    pub rule: RuleIndex,
    /// The events, one for each term; `None` for a missing event. One entry for a rule of single events.
    pub events: Vec<Option<Evidence>>,
    /// The join key; empty for a rule of single events.
    pub key: JoinKey,
    /// Where the last event stands.
    pub last: EventOrder,
    /// The ordinal of the event at which the match was told: that of its last event, or of the one that showed that its
    /// time was over; `u64::MAX` at the end of the events.
    pub told: u64,
    /// What the rule's hand-written predicate added.
    pub findings: Option<Box<Findings>>,
}

/// What a matcher did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MatcherCounters {
    /// Events taken.
    pub events: u64,
    /// Events for which some predicate was worth evaluating.
    pub dispatched: u64,
    /// Predicates that dispatch picked.
    pub candidates: u64,
    /// Predicates that held.
    pub hits: u64,
    /// Matches told.
    pub matches: u64,
    /// Events that came with a timestamp before an earlier one's.
    pub late: u64,
    /// Events that a rule's query selected and its hand-written predicate turned down.
    pub turned_down: u64,
    /// Events whose predicates the interpreter had to decide because the runtime failed.
    pub runtime_failures: u64,
}

#[derive(Debug)]
enum RuleState {
    Event,
    Sequence(Box<SequenceMachine>),
    Sample(SampleMachine),
}

/// Matches events against one pack.
pub struct Matcher {
    ir: Ir,
    atoms: Atoms,
    dispatch: Dispatch,
    builder: FrameBuilder,
    runtime: Box<dyn Runtime>,
    batch: Batch,
    programs: Option<Box<dyn Programs>>,
    rules: Vec<RuleState>,
    streams: Vec<Stream>,
    rules_of: Vec<Vec<usize>>,
    lineage: Option<Lineage>,
    timers: Timers,
    now: i64,
    counters: MatcherCounters,
    runtime_error: Option<String>,
    candidates: Vec<PredicateId>,
    hits: Vec<PredicateId>,
    held: Vec<bool>,
    visited: Vec<usize>,
    completed: Vec<CompletedSequence>,
}

impl Matcher {
    /// A matcher for a verified IR over events whose fields `table` numbers. Have [`FrameBuilder::wanted`] add the IR's
    /// fields to the table first.
    ///
    /// # Errors
    /// When the IR's patterns do not compile, which the verifier would have said, or a rule has a hand-written predicate.
    pub fn new(
        ir: &Ir,
        table: &FieldTable,
        runtime: Box<dyn Runtime>,
        options: MatcherOptions,
    ) -> Result<Matcher, MatcherError> {
        match ir.rules.iter().find(|rule| rule.program.is_some()) {
            Some(rule) => Err(MatcherError::NoPrograms { rule: rule.id.clone() }),
            None => Matcher::with_programs(ir, table, runtime, None, options),
        }
    }

    /// A matcher as [`Matcher::new`] makes it, with whatever runs the IR's hand-written predicates.
    ///
    /// # Errors
    /// When the IR's patterns do not compile.
    pub fn with_programs(
        ir: &Ir,
        table: &FieldTable,
        runtime: Box<dyn Runtime>,
        programs: Option<Box<dyn Programs>>,
        options: MatcherOptions,
    ) -> Result<Matcher, MatcherError> {
        let atoms = Atoms::new(ir)?;
        let rules = ir
            .rules
            .iter()
            .enumerate()
            .map(|(index, rule)| match &rule.kind {
                RuleKind::Event { .. } => RuleState::Event,
                RuleKind::Sequence(sequence) => {
                    RuleState::Sequence(Box::new(SequenceMachine::new(sequence, index, options.max_keys_per_rule)))
                }
                RuleKind::Sample { terms } => RuleState::Sample(SampleMachine::new(terms, options.max_keys_per_rule)),
            })
            .collect();
        let stream = |rule: &Rule| if options.stream_pipes { Stream::new(&rule.pipes) } else { Stream::default() };
        let streams = ir.rules.iter().map(stream).collect();
        let mut rules_of = vec![Vec::new(); ir.predicates.len()];
        for (index, rule) in ir.rules.iter().enumerate() {
            for predicate in rule.predicates() {
                let rules: &mut Vec<usize> = &mut rules_of[predicate.index()];
                if rules.last() != Some(&index) {
                    rules.push(index);
                }
            }
        }
        Ok(Matcher {
            atoms,
            dispatch: Dispatch::new(ir, table),
            builder: FrameBuilder::new(&ir.layout, table),
            runtime,
            batch: Batch::default(),
            programs,
            rules,
            streams,
            rules_of,
            lineage: Lineage::new(ir, options.max_processes),
            timers: Timers::default(),
            now: i64::MIN,
            counters: MatcherCounters::default(),
            runtime_error: None,
            candidates: Vec::new(),
            hits: Vec::new(),
            held: vec![false; ir.predicates.len()],
            visited: Vec::new(),
            completed: Vec::new(),
            ir: ir.clone(),
        })
    }

    /// Takes the next event, appends the matches that it completes or whose time it ends.
    pub fn process(&mut self, event: &Event, out: &mut Vec<Match>) {
        self.queue(event);
        self.flush(out);
    }

    /// Takes the next event, to be matched with others at the next [`Matcher::flush`], which gives the same matches as
    /// if each had been processed alone. Tells whether it is time for that.
    pub fn queue(&mut self, event: &Event) -> bool {
        self.candidates.clear();
        self.dispatch.candidates(event, &mut self.candidates);
        let observe = self.dispatch.wants_observation();
        if self.candidates.is_empty() && self.lineage.is_none() && !observe {
            self.batch.pass(event);
            return self.batch.is_full();
        }
        let frame = self.builder.build(event);
        let number = self.batch.push(frame, || self.atoms.cache());
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

    /// Finds which lineage atoms hold for an event, in the order of the events: each is an answer about the past.
    fn ask_lineage(&mut self, number: usize) {
        let (Some(lineage), Some(item)) = (&mut self.lineage, self.batch.item(number)) else { return };
        let mut evaluator = Evaluator {
            runtime: self.runtime.as_mut(),
            atoms: &self.atoms,
            counters: &mut self.counters,
            error: &mut self.runtime_error,
        };
        lineage.begin(&self.ir.layout, item.frame);
        for (number, Question { predicate, atoms }) in lineage.questions().clone().iter().enumerate() {
            if let Ok(position) = self.candidates.binary_search(predicate) {
                self.hits.clear();
                evaluator.evaluate(item.frame, item.cache, &[*predicate], &mut self.hits);
                if !self.hits.is_empty() {
                    lineage.mark(number);
                }
                if self.rules_of[predicate.index()].is_empty() {
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

    /// Matches the events that are queued, appends the matches that they complete or whose time they end, in the order
    /// of the events.
    pub fn flush(&mut self, out: &mut Vec<Match>) {
        let mut batch = std::mem::take(&mut self.batch);
        let mut evaluator = Evaluator {
            runtime: self.runtime.as_mut(),
            atoms: &self.atoms,
            counters: &mut self.counters,
            error: &mut self.runtime_error,
        };
        evaluator.evaluate_batch(&mut batch);
        for number in 0..batch.len() {
            self.take(&batch, number, out);
        }
        batch.clear();
        self.batch = batch;
    }

    /// What an event does to the rules, now that its predicates are known.
    fn take(&mut self, batch: &Batch, number: usize, out: &mut Vec<Match>) {
        let Some((timestamp, ordinal)) = batch.time(number) else { return };
        self.counters.events += 1;
        if timestamp < self.now {
            self.counters.late += 1;
        }
        self.now = self.now.max(timestamp);
        self.fire(ordinal, out);
        let candidates = batch.candidates(number);
        let (false, Some(frame), Some(cache)) = (candidates.is_empty(), batch.frame(number), batch.cache(number))
        else {
            return;
        };
        self.counters.dispatched += 1;
        self.counters.candidates += candidates.len() as u64;
        self.hits.clear();
        let held = candidates.iter().zip(batch.held(number)).filter(|(_, held)| **held);
        self.hits.extend(held.map(|(candidate, _)| *candidate));
        if self.hits.is_empty() {
            return;
        }
        self.counters.hits += self.hits.len() as u64;
        self.visited.clear();
        for hit in &self.hits {
            self.held[hit.index()] = true;
            self.visited.extend(&self.rules_of[hit.index()]);
        }
        self.visited.sort_unstable();
        self.visited.dedup();
        let mut current = CurrentEvent::new(frame, cache.lineage());
        for &index in &self.visited {
            let rule = &self.ir.rules[index];
            let steps = || rule.steps().map(|step: &Step| step.predicate);
            let matched = |term: usize| steps().nth(term).is_some_and(|id| self.held[id.index()]);
            match &mut self.rules[index] {
                RuleState::Event => match program::decide(self.programs.as_deref_mut(), rule.program, frame) {
                    Decision::Holds(findings) => self.completed.push(CompletedSequence {
                        events: vec![Some(current.evidence())],
                        key: Box::new([]),
                        last: current.order,
                        findings,
                    }),
                    Decision::DoesNotHold => self.counters.turned_down += 1,
                },
                RuleState::Sequence(machine) => machine.process(
                    &mut current,
                    &matched,
                    self.atoms.interpreter(),
                    &mut self.timers,
                    &mut self.completed,
                ),
                RuleState::Sample(machine) => {
                    machine.process(&mut current, &matched, &self.ir.layout, &mut self.completed);
                }
            }
            let teller = Teller { rule: index, told: ordinal, interpreter: self.atoms.interpreter() };
            teller.tell(&mut self.completed, &mut self.streams, &mut self.counters, out);
        }
        for hit in &self.hits {
            self.held[hit.index()] = false;
        }
    }

    /// The end of the events: decides what still waits for time to pass.
    pub fn finish(&mut self, out: &mut Vec<Match>) {
        self.flush(out);
        self.now = i64::MAX;
        self.fire(u64::MAX, out);
    }

    fn fire(&mut self, told: u64, out: &mut Vec<Match>) {
        while let Some(alarm) = self.timers.due(self.now) {
            if let Some(RuleState::Sequence(machine)) = self.rules.get_mut(alarm.rule) {
                machine.alarm(&alarm.key, self.now, &mut self.timers, &mut self.completed);
                let teller = Teller { rule: alarm.rule, told, interpreter: self.atoms.interpreter() };
                teller.tell(&mut self.completed, &mut self.streams, &mut self.counters, out);
            }
        }
    }

    /// What the matcher did so far.
    pub fn counters(&self) -> MatcherCounters {
        self.counters
    }

    /// The counters of all sequence rules together, and how many keys have state.
    pub fn sequence_counters(&self) -> (SequenceCounters, usize) {
        let mut sum = SequenceCounters::default();
        let mut live = 0;
        for rule in &self.rules {
            match rule {
                RuleState::Sequence(machine) => {
                    let counters = machine.counters();
                    sum.started += counters.started;
                    sum.completed += counters.completed;
                    sum.overwritten += counters.overwritten;
                    sum.expired += counters.expired;
                    sum.ended_by_until += counters.ended_by_until;
                    sum.discarded_by_missing += counters.discarded_by_missing;
                    sum.evicted += counters.evicted;
                    sum.keys_cut += counters.keys_cut;
                    live += machine.live_keys();
                }
                RuleState::Sample(machine) => {
                    sum.evicted += machine.evicted();
                    live += machine.live_keys();
                }
                RuleState::Event => {}
            }
        }
        (sum, live)
    }

    /// What the runtime said when it failed first, if it did.
    pub fn runtime_error(&self) -> Option<&str> {
        self.runtime_error.as_deref()
    }

    /// Whatever runs the hand-written predicates.
    pub fn programs(&mut self) -> Option<&mut dyn Programs> {
        match &mut self.programs {
            Some(programs) => Some(programs.as_mut()),
            None => None,
        }
    }

    /// What became of each hand-written predicate.
    pub fn program_reports(&self) -> Vec<ProgramReport> {
        self.programs.as_ref().map_or_else(Vec::new, |programs| programs.reports())
    }

    /// The layout of the frames in this matcher's evidence.
    pub fn layout(&self) -> &Layout {
        &self.ir.layout
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
    counters: &'m mut MatcherCounters,
    error: &'m mut Option<String>,
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
        self.counters.runtime_failures += 1;
        self.error.get_or_insert_with(|| error.to_string());
    }
}

/// Turns what a rule's machine completed into matches, as far as the rule's pipes let them through.
struct Teller<'m> {
    rule: usize,
    told: u64,
    interpreter: &'m Interpreter,
}

impl Teller<'_> {
    fn tell(
        &self,
        completed: &mut Vec<CompletedSequence>,
        streams: &mut [Stream],
        counters: &mut MatcherCounters,
        out: &mut Vec<Match>,
    ) {
        for CompletedSequence { events, key, last, findings } in completed.drain(..) {
            let found = Match { rule: RuleIndex(self.rule as u32), events, key, last, told: self.told, findings };
            if streams.get_mut(self.rule).is_some_and(|stream| stream.passes(self.interpreter, &found)) {
                counters.matches += 1;
                out.push(found);
            }
        }
    }
}
