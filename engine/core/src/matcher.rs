//! One pack's matcher: events in, matches out. The same code serves live runs, replays, tests, the editor and the C
//! library.
//!
//! ```text
//! Event ─▶ stage one: which predicates hold ─▶ stage two: rules, sequences, samples, pipes ─▶ Match
//! ```
//!
//! Time is event time: the latest timestamp seen drives the deadlines. Nothing here reads a clock, so the same events
//! give the same matches in the same order, whatever evaluates the predicates. [`Matcher`] is both stages in one thread.

use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::interp::Interpreter;
use kestrel_ir::layout::Layout;
use kestrel_ir::model::{Ir, RuleIndex};
use thiserror::Error;

use crate::atoms::AtomsError;
use crate::batch::Batch;
use crate::evidence::{EventOrder, Evidence};
use crate::key::{JoinKey, KeyPart};
use crate::program::{Findings, ProgramReport, Programs};
use crate::progress::{Ending, KeyProgress};
use crate::runtime::Runtime;
use crate::sequence::SequenceCounters;
use crate::stage_one::StageOne;
use crate::stage_two::{StageTwo, StateSize};

/// What a matcher may keep and how it treats pipes.
///
/// Limits of state are divided among the shards of stage two, each part rounded up: a limit of keys of which each shard
/// gets at least one allows as many keys as there are [shards](crate::router::SHARDS). When a limit is reached, the oldest
/// key that was not used lately leaves.
#[derive(Debug, Clone, Copy)]
pub struct MatcherOptions {
    /// The most keys with state, per rule.
    pub max_keys_per_rule: usize,
    /// The most keys with state, over all rules.
    pub max_keys: usize,
    /// The most bytes of state, over all rules: keys, partial matches, the events that they hold.
    pub max_state_bytes: usize,
    /// The most candidates of one key that wait until the time of a missing event at the end of a sequence has passed.
    /// When there are more, the one whose time is over first leaves.
    pub max_waiting_per_key: usize,
    /// Nanoseconds of event time after which a key of a sequence without `maxspan`, or of a sample, is forgotten when no
    /// event concerned it. Without it only the other limits end such keys.
    pub max_unused: Option<i64>,
    /// How many of each rule's last endings of partial matches are kept in each shard, for whoever asks why nothing
    /// matched; 0 for none.
    pub traced_endings: usize,
    /// Whether a rule's pipes apply to its matches as they come. A query over a file sorts its matches first.
    pub stream_pipes: bool,
    /// The most processes that are remembered for `child of`, `descendant of` and `event of`.
    pub max_processes: usize,
}

impl Default for MatcherOptions {
    fn default() -> Self {
        MatcherOptions {
            max_keys_per_rule: 65_536,
            max_keys: 1 << 20,
            max_state_bytes: 64 << 20,
            max_waiting_per_key: 1_024,
            max_unused: None,
            traced_endings: 0,
            stream_pipes: true,
            max_processes: 65_536,
        }
    }
}

impl MatcherOptions {
    /// The options of a query over a file: all state is kept, and pipes come behind the matcher.
    pub fn of_query() -> MatcherOptions {
        MatcherOptions {
            max_keys_per_rule: usize::MAX,
            max_keys: usize::MAX,
            max_state_bytes: usize::MAX,
            max_waiting_per_key: usize::MAX,
            max_unused: None,
            traced_endings: 0,
            stream_pipes: false,
            max_processes: usize::MAX,
        }
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
    /// Events that came too late for sequences and samples, so that only rules of single events were asked.
    pub late_beyond_bound: u64,
    /// Events that a rule's query selected and its hand-written predicate turned down.
    pub turned_down: u64,
    /// Events whose predicates the interpreter had to decide because the runtime failed.
    pub runtime_failures: u64,
}

/// Matches events against one pack.
pub struct Matcher {
    one: StageOne,
    two: StageTwo,
    programs: Option<Box<dyn Programs>>,
    /// The events of the batch that come too late for all but rules of single events, by number.
    late: Vec<usize>,
}

impl Matcher {
    /// A matcher for a verified IR over events whose fields `table` numbers. Have
    /// [`FrameBuilder::wanted`](kestrel_ir::frame::FrameBuilder::wanted) add the IR's fields to the table first.
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
        Ok(Matcher {
            one: StageOne::new(ir, table, runtime, options.max_processes)?,
            two: StageTwo::new(ir, &options),
            programs,
            late: Vec::new(),
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
        self.one.queue(event)
    }

    /// Takes an event that comes too late to stand in order, as [`Matcher::queue`] does: only rules of single events are
    /// asked, and time does not move.
    pub fn queue_late(&mut self, event: &Event) -> bool {
        self.late.push(self.one.len());
        self.one.queue(event)
    }

    /// Matches the events that are queued, appends the matches that they complete or whose time they end, in the order
    /// of the events.
    pub fn flush(&mut self, out: &mut Vec<Match>) {
        let Matcher { one, two, programs, late } = self;
        one.evaluate();
        let is_late = |number: usize| late.binary_search(&number).is_ok();
        two.take(one.batch(), is_late, programs.as_deref_mut(), one.interpreter(), out);
        one.clear();
        late.clear();
    }

    /// Matches events that another stage one of the same pack has queued and evaluated, after those that are queued here.
    /// Batches come in the order of their events.
    pub fn take(&mut self, batch: &Batch, out: &mut Vec<Match>) {
        self.flush(out);
        let Matcher { one, two, programs, .. } = self;
        two.take(batch, |_| false, programs.as_deref_mut(), one.interpreter(), out);
    }

    /// The end of the events: decides what still waits for time to pass.
    pub fn finish(&mut self, out: &mut Vec<Match>) {
        self.flush(out);
        self.two.finish(self.one.interpreter(), out);
    }

    /// Whether answers about an event depend on earlier ones already in stage one, so that one stage has to see all of them
    /// in order: the pack asks about lineage.
    pub fn needs_order(&self) -> bool {
        self.one.needs_order()
    }

    /// The two stages and whatever runs hand-written predicates, for whoever runs them in threads.
    pub fn into_parts(self) -> (StageOne, StageTwo, Option<Box<dyn Programs>>) {
        (self.one, self.two, self.programs)
    }

    /// What the matcher did so far.
    pub fn counters(&self) -> MatcherCounters {
        MatcherCounters { runtime_failures: self.one.runtime_failures(), ..self.two.counters() }
    }

    /// The counters of all sequence rules together, and how many keys have state.
    pub fn sequence_counters(&self) -> (SequenceCounters, usize) {
        (self.two.sequence_counters(), self.two.state().keys)
    }

    /// What became of the partial matches of one rule.
    pub fn rule_counters(&self, rule: RuleIndex) -> SequenceCounters {
        self.two.rule_counters(rule.index())
    }

    /// How much is remembered for sequences and samples.
    pub fn state(&self) -> StateSize {
        self.two.state()
    }

    /// How far the keys of a sequence or sample came, or one of them: at most `limit`.
    pub fn explain(&self, rule: RuleIndex, key: Option<&[KeyPart]>, limit: usize) -> Vec<KeyProgress> {
        self.two.explain(rule.index(), key, limit)
    }

    /// How partial matches of a rule ended last, by time; empty unless [`MatcherOptions::traced_endings`] asks for it.
    pub fn endings(&self, rule: RuleIndex, limit: usize) -> Vec<Ending> {
        self.two.endings(rule.index(), limit)
    }

    /// What the runtime said when it failed first, if it did.
    pub fn runtime_error(&self) -> Option<&str> {
        self.one.runtime_error()
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
        self.one.layout()
    }

    /// The interpreter of the pack.
    pub fn interpreter(&self) -> &Interpreter {
        self.one.interpreter()
    }
}
