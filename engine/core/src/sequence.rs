//! The sequence machine: language guide, section "Sequences", for one rule over a stream in event order.
//!
//! In: events with the terms that they match. Out: matches, in the order of their last event, except that a sequence
//! that ends in a missing event is told when its time has passed. One slot per key and stage; newer overwrites older.
//!
//! INVARIANT: a partial match in slot i has matched the positive terms 0..=i. `until` clears a key's slots right behind
//! its event: every partial match of the key has its last event at or before it, which is what the language asks.

use kestrel_ir::frame::Frame;
use kestrel_ir::interp::{Context, Interpreter};
use kestrel_ir::layout::Layout;
use kestrel_ir::model::{Sequence, Step};

use crate::evidence::{CurrentEvent, EventOrder, Evidence};
use crate::key::{JoinKey, join_keys};
use crate::program::Findings;
use crate::store::Store;
use crate::timers::Timers;

/// What became of partial matches, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SequenceCounters {
    /// Partial matches begun.
    pub started: u64,
    /// Sequences completed and told.
    pub completed: u64,
    /// Partial matches overwritten by newer ones of their slot.
    pub overwritten: u64,
    /// Partial matches that ran out of their `maxspan`.
    pub expired: u64,
    /// Partial matches ended by `until`.
    pub ended_by_until: u64,
    /// Candidates discarded because of a missing event that came.
    pub discarded_by_missing: u64,
    /// Keys that had to leave because the rule's budget was full.
    pub evicted: u64,
    /// Events whose key fields held more values than are joined.
    pub keys_cut: u64,
}

/// A completed sequence: the events of its terms in order, `None` for a missing one, and its key.
#[derive(Debug, Clone, PartialEq)]
pub struct CompletedSequence {
    /// One entry a term, `runs` written out.
    pub events: Vec<Option<Evidence>>,
    /// The join key.
    pub key: JoinKey,
    /// Where the last event stands.
    pub last: EventOrder,
    /// What a hand-written predicate added; nothing for sequences and samples.
    pub findings: Option<Box<Findings>>,
}

/// The state of one sequence rule.
#[derive(Debug)]
pub struct SequenceMachine {
    sequence: Sequence,
    /// The numbers of the positive terms.
    positives: Vec<usize>,
    rule: usize,
    store: Store<KeyState>,
    keys: Vec<JoinKey>,
    counters: SequenceCounters,
}

#[derive(Debug, Default)]
struct KeyState {
    slots: Vec<Option<Partial>>,
    seen: Vec<Seen>,
    waiting: Vec<Waiting>,
    alarm: Option<i64>,
}

/// The latest two distinct times at which a missing term's event came.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    latest: Option<i64>,
    previous: Option<i64>,
}

#[derive(Debug)]
struct Partial {
    first: i64,
    last: EventOrder,
    leading: Option<i64>,
    broken: bool,
    events: Vec<Evidence>,
}

/// A candidate whose trailing missing term is not decided.
#[derive(Debug)]
struct Waiting {
    deadline: i64,
    partial: Partial,
}

/// Which terms an event matches: the machine asks by the number of the term, `until` being one past the last.
pub trait MatchedTerms {
    /// Whether the event matches the term.
    fn matches(&self, term: usize) -> bool;
}

impl<F: Fn(usize) -> bool> MatchedTerms for F {
    fn matches(&self, term: usize) -> bool {
        self(term)
    }
}

impl SequenceMachine {
    /// The machine of rule number `rule`, with state for at most `max_keys` keys.
    pub fn new(sequence: &Sequence, rule: usize, max_keys: usize) -> SequenceMachine {
        let positives =
            sequence.steps.iter().enumerate().filter(|(_, step)| !step.missing).map(|(index, _)| index).collect();
        SequenceMachine {
            sequence: sequence.clone(),
            positives,
            rule,
            store: Store::new(max_keys),
            keys: Vec::new(),
            counters: SequenceCounters::default(),
        }
    }

    /// What became of partial matches so far.
    pub fn counters(&self) -> SequenceCounters {
        self.counters
    }

    /// How many keys have state.
    pub fn live_keys(&self) -> usize {
        self.store.len()
    }

    /// Takes an event. `interpreter` decides terms that look at earlier events.
    pub fn process(
        &mut self,
        event: &mut CurrentEvent<'_>,
        matched: &impl MatchedTerms,
        interpreter: &Interpreter,
        timers: &mut Timers,
        out: &mut Vec<CompletedSequence>,
    ) {
        let layout = &interpreter.ir().layout;
        let mut keys = std::mem::take(&mut self.keys);
        for stage in (0..self.positives.len()).rev() {
            let term = self.positives[stage];
            if !matched.matches(term) || !self.keys_of(term, layout, event.frame, &mut keys) {
                continue;
            }
            for key in &keys {
                let partial = match stage {
                    0 => Some(self.start(key, event)),
                    _ => self.advance(stage, key, event, interpreter),
                };
                if let Some(partial) = partial {
                    self.settle(stage, key, partial, timers, out);
                }
            }
        }
        for term in 0..self.sequence.steps.len() {
            if self.sequence.steps[term].missing
                && matched.matches(term)
                && self.keys_of(term, layout, event.frame, &mut keys)
            {
                keys.iter().for_each(|key| self.see_missing(term, key, event.order.timestamp, timers));
            }
        }
        let until = self.sequence.steps.len();
        if self.sequence.until.is_some()
            && matched.matches(until)
            && self.keys_of(until, layout, event.frame, &mut keys)
        {
            keys.iter().for_each(|key| self.end(key, event, interpreter));
        }
        self.keys = keys;
    }

    fn step(&self, term: usize) -> Option<&Step> {
        self.sequence.steps.get(term).or(self.sequence.until.as_ref())
    }

    fn keys_of(&mut self, term: usize, layout: &Layout, frame: Frame<'_>, keys: &mut Vec<JoinKey>) -> bool {
        let Some(step) = self.step(term) else { return false };
        if join_keys(layout, &step.keys, frame, keys) {
            self.counters.keys_cut += 1;
        }
        !keys.is_empty()
    }

    /// A partial match that begins with this event.
    fn start(&mut self, key: &JoinKey, event: &mut CurrentEvent<'_>) -> Partial {
        self.counters.started += 1;
        let timestamp = event.order.timestamp;
        let first_positive = self.positives.first().copied().unwrap_or(0);
        let leading = self
            .store
            .get(key)
            .and_then(|state| (0..first_positive).filter_map(|term| state.seen.get(term)?.before(timestamp)).max());
        Partial { first: timestamp, last: event.order, leading, broken: false, events: vec![event.evidence()] }
    }

    /// Takes the partial match before `stage`, if this event continues it.
    fn advance(
        &mut self,
        stage: usize,
        key: &JoinKey,
        event: &mut CurrentEvent<'_>,
        interpreter: &Interpreter,
    ) -> Option<Partial> {
        let (previous_term, term) = (self.positives[stage - 1], self.positives[stage]);
        let state = self.store.get(key)?;
        let slot = state.slots.get_mut(stage - 1)?;
        let candidate = slot.as_ref()?;
        // A late event neither continues nor consumes what is newer than itself.
        if candidate.last >= event.order {
            return None;
        }
        if let Some(joined) = self.sequence.steps.get(term).and_then(|step| step.joined) {
            let frames = frames_by_term(&candidate.events, &self.positives, self.sequence.steps.len());
            let context = Context { steps: &frames, lineage: event.lineage, scratch: None };
            if !interpreter.node_with(joined, event.frame, context) {
                return None;
            }
        }
        let mut partial = slot.take()?;
        if self.sequence.maxspan.is_some_and(|maxspan| event.order.timestamp.saturating_sub(partial.first) > maxspan) {
            self.counters.expired += 1;
            return None;
        }
        let came_between = (previous_term + 1..term)
            .filter_map(|missing| state.seen.get(missing)?.before(event.order.timestamp))
            .any(|seen| seen > partial.last.timestamp);
        partial.broken |= came_between;
        partial.last = event.order;
        partial.events.push(event.evidence());
        Some(partial)
    }

    /// Puts a partial match into its slot, or completes it.
    fn settle(
        &mut self,
        stage: usize,
        key: &JoinKey,
        partial: Partial,
        timers: &mut Timers,
        out: &mut Vec<CompletedSequence>,
    ) {
        if stage + 1 == self.positives.len() {
            return self.complete(key, partial, timers, out);
        }
        let (stages, rule, maxspan) = (self.positives.len() - 1, self.rule, self.sequence.maxspan);
        let deadline = maxspan.map(|maxspan| partial.first.saturating_add(maxspan));
        let (state, evicted) = self.store.get_or_insert(key);
        self.counters.evicted += u64::from(evicted.is_some());
        let Some(state) = state else { return };
        state.slots.resize_with(stages, || None);
        let overwritten = state.slots[stage].replace(partial);
        self.counters.overwritten += u64::from(overwritten.is_some());
        if let Some(deadline) = deadline {
            state.arm(deadline, rule, key, timers);
        }
    }

    /// Decides about a candidate whose positive terms are all matched.
    fn complete(&mut self, key: &JoinKey, partial: Partial, timers: &mut Timers, out: &mut Vec<CompletedSequence>) {
        let leading_terms = self.positives.first().is_some_and(|&first| first > 0);
        let trailing_terms = self.positives.last().is_some_and(|&last| last + 1 < self.sequence.steps.len());
        let maxspan = self.sequence.maxspan.unwrap_or(i64::MAX);
        if partial.broken {
            self.counters.discarded_by_missing += 1;
            return;
        }
        let deadline = match (leading_terms, trailing_terms, partial.leading) {
            (false, false, _) | (true, false, None) | (true, true, None) => None,
            (true, false, Some(seen)) => {
                if partial.last.timestamp.saturating_sub(seen) <= maxspan {
                    self.counters.discarded_by_missing += 1;
                    return;
                }
                None
            }
            (false, true, _) => Some(partial.first.saturating_add(maxspan)),
            (true, true, Some(seen)) => Some(seen.saturating_add(maxspan)),
        };
        match deadline {
            Some(deadline) if deadline >= partial.last.timestamp => {
                let rule = self.rule;
                let (state, evicted) = self.store.get_or_insert(key);
                self.counters.evicted += u64::from(evicted.is_some());
                if let Some(state) = state {
                    state.waiting.push(Waiting { deadline, partial });
                    state.arm(deadline, rule, key, timers);
                }
            }
            _ => out.push(self.told(key, partial)),
        }
    }

    fn told(&mut self, key: &JoinKey, partial: Partial) -> CompletedSequence {
        self.counters.completed += 1;
        let mut events = vec![None; self.sequence.steps.len()];
        for (&term, evidence) in self.positives.iter().zip(partial.events) {
            events[term] = Some(evidence);
        }
        CompletedSequence { events, key: key.clone(), last: partial.last, findings: None }
    }

    /// Notes that an event of a missing term came, and discards the candidates that it forbids.
    fn see_missing(&mut self, term: usize, key: &JoinKey, timestamp: i64, timers: &mut Timers) {
        let (rule, terms) = (self.rule, self.sequence.steps.len());
        let trailing = self.positives.last().is_some_and(|&last| term > last);
        let deadline = timestamp.saturating_add(self.sequence.maxspan.unwrap_or(i64::MAX));
        let (state, evicted) = self.store.get_or_insert(key);
        self.counters.evicted += u64::from(evicted.is_some());
        let Some(state) = state else { return };
        state.seen.resize(terms, Seen::default());
        state.seen[term].note(timestamp);
        if trailing {
            let before = state.waiting.len();
            state.waiting.retain(|waiting| timestamp <= waiting.partial.last.timestamp || timestamp > waiting.deadline);
            self.counters.discarded_by_missing += (before - state.waiting.len()) as u64;
        }
        state.arm(deadline, rule, key, timers);
    }

    /// `until`: nothing of the key goes on, or when it looks at earlier events, nothing that it holds for.
    fn end(&mut self, key: &JoinKey, event: &CurrentEvent<'_>, interpreter: &Interpreter) {
        let joined = self.sequence.until.as_ref().and_then(|until| until.joined);
        let terms = self.sequence.steps.len();
        let Some(state) = self.store.peek(key) else { return };
        for slot in &mut state.slots {
            let ends = match (joined, slot.as_ref()) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(joined), Some(partial)) => {
                    let frames = frames_by_term(&partial.events, &self.positives, terms);
                    interpreter.node_with(
                        joined,
                        event.frame,
                        Context { steps: &frames, lineage: event.lineage, scratch: None },
                    )
                }
            };
            if ends {
                *slot = None;
                self.counters.ended_by_until += 1;
            }
        }
    }

    /// Event time has passed a deadline of `key`: tells what waited for it, forgets what is too old, sets the next one.
    /// `now` is the time of the event that is about to be taken; `i64::MAX` at the end of a replay.
    pub fn alarm(&mut self, key: &JoinKey, now: i64, timers: &mut Timers, out: &mut Vec<CompletedSequence>) {
        let maxspan = self.sequence.maxspan.unwrap_or(i64::MAX);
        let over = |start: i64| start.saturating_add(maxspan) < now;
        let Some(state) = self.store.peek(key) else { return };
        state.alarm = None;
        let (decided, waiting): (Vec<Waiting>, Vec<Waiting>) =
            std::mem::take(&mut state.waiting).into_iter().partition(|waiting| waiting.deadline < now);
        state.waiting = waiting;
        let mut next: Option<i64> = state.waiting.iter().map(|waiting| waiting.deadline).min();
        let mut expired = 0;
        for slot in &mut state.slots {
            match slot {
                Some(partial) if over(partial.first) => {
                    *slot = None;
                    expired += 1;
                }
                Some(partial) => next = earliest(next, partial.first.saturating_add(maxspan)),
                None => {}
            }
        }
        for seen in &mut state.seen {
            match seen.latest {
                Some(latest) if over(latest) => *seen = Seen::default(),
                Some(latest) => next = earliest(next, latest.saturating_add(maxspan)),
                None => {}
            }
        }
        match next {
            Some(deadline) => state.arm(deadline, self.rule, key, timers),
            None => drop(self.store.remove(key)),
        }
        self.counters.expired += expired;
        for waiting in decided {
            let told = self.told(key, waiting.partial);
            out.push(told);
        }
    }
}

fn earliest(left: Option<i64>, right: i64) -> Option<i64> {
    Some(left.map_or(right, |left| left.min(right)))
}

fn frames_by_term<'e>(events: &'e [Evidence], positives: &[usize], terms: usize) -> Vec<Option<Frame<'e>>> {
    let mut frames = vec![None; terms];
    for (evidence, &term) in events.iter().zip(positives) {
        frames[term] = evidence.frame();
    }
    frames
}

impl KeyState {
    /// Sets the key's alarm, unless an earlier one is set already (which will set the next).
    fn arm(&mut self, deadline: i64, rule: usize, key: &JoinKey, timers: &mut Timers) {
        if self.alarm.is_none_or(|alarm| deadline < alarm) {
            self.alarm = Some(deadline);
            timers.set(deadline, rule, key);
        }
    }
}

impl Seen {
    fn note(&mut self, timestamp: i64) {
        match self.latest {
            Some(latest) if timestamp > latest => {
                self.previous = Some(latest);
                self.latest = Some(timestamp);
            }
            Some(latest) if timestamp < latest => {
                self.previous = Some(self.previous.map_or(timestamp, |previous| previous.max(timestamp)));
            }
            Some(_) => {}
            None => self.latest = Some(timestamp),
        }
    }

    /// The latest time strictly before `timestamp`.
    fn before(&self, timestamp: i64) -> Option<i64> {
        [self.latest, self.previous].into_iter().flatten().find(|&seen| seen < timestamp)
    }
}
