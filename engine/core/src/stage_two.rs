//! Stage two: what depends on the past. Rules of single events, sequences, samples, pipes; matches in their order.
//!
//! ```text
//!                  ┌─▶ rules of single events ─────────────┐
//! Batch ─▶ Front ──┤                                       ├─▶ Merge: order, pipes ─▶ Match
//!   in order       └─▶ work ─▶ shard 0 … 15, each alone ───┘   in order
//! ```
//!
//! In: batches of stage one, in the order of the events. Out: matches. [`Front`] and [`Merge`] see everything in order;
//! the shards between them know nothing of each other. [`StageTwo`] runs all of it in one thread; whoever has more
//! takes the parts and gives shards to threads: the matches are the same.

use std::sync::Arc;

use kestrel_ir::frame::Frame;
use kestrel_ir::interp::{Interpreter, Scratch};
use kestrel_ir::model::{Ir, PredicateId, ProgramId, RuleIndex};

use crate::batch::Batch;
use crate::evidence::{EventOrder, Evidence};
use crate::key::KeyPart;
use crate::matcher::{Match, MatcherCounters, MatcherOptions};
use crate::pipes::Stream;
use crate::plan::Plan;
use crate::program::{self, Decision, Programs};
use crate::progress::{Ending, KeyProgress};
use crate::ranked::{Moment, Rank, Ranked, sort};
use crate::router::{RoutedBatch, Router, SHARDS};
use crate::sequence::SequenceCounters;
use crate::shard::Shard;

/// What comes before the shards: takes events in order, tells the matches of rules of single events, makes work for shards.
pub struct Front {
    plan: Arc<Plan>,
    router: Router,
    programs_of: Vec<Option<ProgramId>>,
    now: i64,
    counters: MatcherCounters,
    hits: Vec<PredicateId>,
}

/// What comes behind the shards: brings all matches of a batch in order and lets those through that pass their rules' pipes.
pub struct Merge {
    streams: Vec<Stream>,
    told: u64,
}

/// All of stage two, in one thread.
pub struct StageTwo {
    front: Front,
    shards: Vec<Shard>,
    merge: Merge,
    routed: RoutedBatch,
    ranked: Vec<Ranked>,
    scratch: Scratch,
}

impl Front {
    /// Takes a batch of stage one. The matches of rules of single events go to `out`, the work of shards to `routed`, which
    /// is cleared before. `is_late` says of an event, by its number in the batch, whether it comes too late for anything
    /// but rules of single events.
    pub fn take(
        &mut self,
        batch: &Batch,
        is_late: impl Fn(usize) -> bool,
        mut programs: Option<&mut (dyn Programs + 'static)>,
        routed: &mut RoutedBatch,
        out: &mut Vec<Ranked>,
    ) {
        routed.clear();
        if self.router.has_work() {
            routed.reserve();
        }
        for number in 0..batch.len() {
            let Some((timestamp, ordinal)) = batch.time(number) else { continue };
            let late = is_late(number);
            self.count(timestamp, late);
            let candidates = batch.candidates(number);
            self.hits.clear();
            let held = candidates.iter().zip(batch.held(number)).filter(|(_, held)| **held);
            self.hits.extend(held.map(|(candidate, _)| *candidate));
            self.counters.dispatched += u64::from(!candidates.is_empty());
            self.counters.candidates += candidates.len() as u64;
            self.counters.hits += self.hits.len() as u64;
            let goes_on = !late && self.router.has_work();
            if goes_on {
                routed.begin((self.now, self.counters.events), ordinal);
            }
            let (false, Some(frame), Some(cache)) = (self.hits.is_empty(), batch.frame(number), batch.cache(number))
            else {
                continue;
            };
            self.match_event_rules(frame, programs.as_deref_mut(), out);
            if goes_on {
                self.router.route(frame, cache.lineage(), &self.hits, routed);
            }
        }
    }

    fn count(&mut self, timestamp: i64, late: bool) {
        self.counters.events += 1;
        self.counters.late += u64::from(timestamp < self.now);
        if late {
            self.counters.late_beyond_bound += 1;
        } else {
            self.now = self.now.max(timestamp);
        }
    }

    /// The matches of rules of single events, in the order of the rules.
    fn match_event_rules(
        &mut self,
        frame: Frame<'_>,
        mut programs: Option<&mut (dyn Programs + 'static)>,
        out: &mut Vec<Ranked>,
    ) {
        let start = out.len();
        let (last, told) = (EventOrder::of(frame), frame.ordinal());
        let mut evidence: Option<Evidence> = None;
        let rank =
            |rule| Rank { event: self.counters.events, moment: Moment::Completed, rule, last, term: 0, position: 0 };
        for &rule in self.hits.iter().flat_map(|hit| self.plan.event_rules(*hit)) {
            out.push(Ranked {
                rank: rank(rule),
                found: Match {
                    rule: RuleIndex(rule),
                    events: vec![Some(evidence.get_or_insert_with(|| Evidence::of(frame)).clone())],
                    key: Box::new([]),
                    last,
                    told,
                    findings: None,
                },
            });
        }
        let Some(found) = out.get_mut(start..) else { return };
        sort(found);
        let mut kept = start;
        for number in start..out.len() {
            let Some(Ranked { found, .. }) = out.get_mut(number) else { break };
            let program = self.programs_of.get(found.rule.index()).copied().flatten();
            match program::decide(programs.as_deref_mut(), program, frame) {
                Decision::Holds(findings) => {
                    found.findings = findings;
                    out.swap(kept, number);
                    kept += 1;
                }
                Decision::DoesNotHold => self.counters.turned_down += 1,
            }
        }
        out.truncate(kept);
    }

    /// What was counted, except matches and failures of the runtime.
    pub fn counters(&self) -> MatcherCounters {
        self.counters
    }

    /// How often keys of a rule's terms were left out because an event had too many.
    pub fn keys_cut(&self, rule: usize) -> u64 {
        self.plan.machine(rule).map_or(0, |machine| self.router.cut(machine as usize))
    }
}

impl Merge {
    /// Tells all matches of a batch: those of the front and of all shards.
    pub fn tell(&mut self, ranked: &mut Vec<Ranked>, interpreter: &Interpreter, out: &mut Vec<Match>) {
        sort(ranked);
        for Ranked { found, .. } in ranked.drain(..) {
            let stream = self.streams.get_mut(found.rule.index());
            if stream.is_some_and(|stream| stream.passes(interpreter, &found)) {
                self.told += 1;
                out.push(found);
            }
        }
    }

    /// How many matches were told.
    pub fn told(&self) -> u64 {
        self.told
    }
}

impl StageTwo {
    /// Stage two for a verified IR.
    pub fn new(ir: &Ir, options: &MatcherOptions) -> StageTwo {
        let plan = Arc::new(Plan::new(ir));
        let shards = if plan.machines.is_empty() { 0 } else { SHARDS };
        let stream = |pipes| if options.stream_pipes { Stream::new(pipes) } else { Stream::default() };
        StageTwo {
            front: Front {
                router: Router::new(&plan, &ir.layout),
                programs_of: ir.rules.iter().map(|rule| rule.program).collect(),
                now: i64::MIN,
                counters: MatcherCounters::default(),
                hits: Vec::new(),
                plan: Arc::clone(&plan),
            },
            shards: (0..shards).map(|number| Shard::new(number, &plan, options)).collect(),
            merge: Merge { streams: ir.rules.iter().map(|rule| stream(&rule.pipes)).collect(), told: 0 },
            routed: RoutedBatch::default(),
            ranked: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// The parts, for whoever runs shards in threads: each batch goes through the front, then through every shard, then
    /// with all that was found to the merge. A pack without sequences and samples has no shards.
    pub fn into_parts(self) -> (Front, Vec<Shard>, Merge) {
        (self.front, self.shards, self.merge)
    }

    /// Takes a batch of stage one and appends the matches that its events complete or whose time they end, in the order
    /// of the events. `is_late` is that of [`Front::take`].
    pub fn take(
        &mut self,
        batch: &Batch,
        is_late: impl Fn(usize) -> bool,
        programs: Option<&mut (dyn Programs + 'static)>,
        interpreter: &Interpreter,
        out: &mut Vec<Match>,
    ) {
        let StageTwo { front, shards, merge, routed, ranked, scratch } = self;
        front.take(batch, is_late, programs, routed, ranked);
        shards.iter_mut().for_each(|shard| shard.run(routed, interpreter, scratch, ranked));
        merge.tell(ranked, interpreter, out);
    }

    /// The end of the events: appends what still waits for time to pass.
    pub fn finish(&mut self, interpreter: &Interpreter, out: &mut Vec<Match>) {
        self.shards.iter_mut().for_each(|shard| shard.finish(&mut self.ranked));
        self.merge.tell(&mut self.ranked, interpreter, out);
    }

    /// What was counted, except failures of the runtime.
    pub fn counters(&self) -> MatcherCounters {
        MatcherCounters { matches: self.merge.told(), ..self.front.counters() }
    }

    /// What became of the partial matches of one rule.
    pub fn rule_counters(&self, rule: usize) -> SequenceCounters {
        let mut sum = SequenceCounters { keys_cut: self.front.keys_cut(rule), ..SequenceCounters::default() };
        self.shards.iter().for_each(|shard| sum += shard.counters(rule));
        sum
    }

    /// The same of all rules together.
    pub fn sequence_counters(&self) -> SequenceCounters {
        let mut sum = SequenceCounters::default();
        for rule in 0..self.front.plan.machine_of.len() {
            if self.front.plan.machine(rule).is_some() {
                sum += self.rule_counters(rule);
            }
        }
        sum
    }

    /// How much is remembered.
    pub fn state(&self) -> StateSize {
        let sum = |of: fn(&Shard) -> usize| self.shards.iter().map(of).sum();
        StateSize {
            keys: sum(Shard::live_keys),
            partial_matches: sum(Shard::partial_matches),
            bytes: sum(Shard::bytes),
            reserved_bytes: sum(Shard::reserved_bytes),
        }
    }

    /// How far a rule's keys came, or one of them: those with most partial matches first, at most `limit`.
    pub fn explain(&self, rule: usize, key: Option<&[KeyPart]>, limit: usize) -> Vec<KeyProgress> {
        let mut found: Vec<KeyProgress> =
            self.shards.iter().flat_map(|shard| shard.explain(rule, key, limit)).collect();
        found.sort_by(|left, right| {
            let far = |progress: &KeyProgress| (progress.waiting, progress.partials.iter().map(|p| p.term).max());
            far(right).cmp(&far(left)).then_with(|| left.cmp(right))
        });
        found.truncate(limit);
        found
    }

    /// How partial matches of a rule ended last, by time; empty unless the options ask for it.
    pub fn endings(&self, rule: usize, limit: usize) -> Vec<Ending> {
        let mut found: Vec<Ending> = self.shards.iter().flat_map(|shard| shard.endings(rule)).cloned().collect();
        found.sort();
        found.split_off(found.len().saturating_sub(limit))
    }
}

/// How much stage two remembers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StateSize {
    /// Join keys that have state.
    pub keys: usize,
    /// Partial matches, candidates that wait for a missing event included.
    pub partial_matches: usize,
    /// The bytes that this takes, as the limit counts them.
    pub bytes: usize,
    /// The bytes of all memory that is held for state, in use or to be used again.
    pub reserved_bytes: usize,
}
