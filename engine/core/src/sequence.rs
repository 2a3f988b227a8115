//! The sequence machine: language guide, section "Sequences", for one key of one rule.
//!
//! In: an event with the terms that it matches. Out: matches, in the order of their last event, except that a sequence
//! that ends in a missing event is told when its time has passed. One slot per key and stage; newer overwrites older.
//!
//! INVARIANT: a partial match in slot i has matched stages 0..=i. `until` clears a key's slots right behind its event:
//! every partial match of the key has its last event at or before it, which is what the language asks.

use std::ops::AddAssign;

use kestrel_ir::frame::Frame;
use kestrel_ir::interp::Context;
use kestrel_ir::model::{NodeId, RuleIndex};

use crate::evidence::Evidence;
use crate::key::{JoinKey, decode};
use crate::matcher::Match;
use crate::plan::{Machine, Role, SequencePlan};
use crate::progress::EndReason;
use crate::ranked::{Moment, Rank, Ranked};
use crate::router::RoutedUse;
use crate::shard::partials::Partial;
use crate::shard::slab::NONE;
use crate::shard::{Item, Shard, Taking};

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
    /// Keys that had to leave because a limit was reached: the sum of the next three.
    pub evicted: u64,
    /// Those that left for their rule's limit of keys.
    pub evicted_by_rule_keys: u64,
    /// Those that left for the limit of all keys.
    pub evicted_by_keys: u64,
    /// Those that left for the limit of bytes.
    pub evicted_by_bytes: u64,
    /// Candidates that left because too many of one key waited for a missing event.
    pub dropped_waiting: u64,
    /// Partial matches without `maxspan` that ended because their key was not used for long.
    pub unused: u64,
    /// Events whose key fields held more values than are joined.
    pub keys_cut: u64,
}

impl AddAssign for SequenceCounters {
    fn add_assign(&mut self, other: SequenceCounters) {
        self.started += other.started;
        self.completed += other.completed;
        self.overwritten += other.overwritten;
        self.expired += other.expired;
        self.ended_by_until += other.ended_by_until;
        self.discarded_by_missing += other.discarded_by_missing;
        self.evicted += other.evicted;
        self.evicted_by_rule_keys += other.evicted_by_rule_keys;
        self.evicted_by_keys += other.evicted_by_keys;
        self.evicted_by_bytes += other.evicted_by_bytes;
        self.dropped_waiting += other.dropped_waiting;
        self.unused += other.unused;
        self.keys_cut += other.keys_cut;
    }
}

/// A sequence and its rule.
#[derive(Clone, Copy)]
struct Of<'p> {
    machine: &'p Machine,
    sequence: &'p SequencePlan,
}

impl Shard {
    /// Takes an event for a key, whose entry is `found` if it has one. Gives the entry that it has then.
    pub(crate) fn take_sequence(
        &mut self,
        machine: &Machine,
        sequence: &SequencePlan,
        item: &Item<'_>,
        mut found: Option<u32>,
        taking: &Taking<'_>,
        out: &mut Vec<Ranked>,
    ) -> Option<u32> {
        let of = Of { machine, sequence };
        for &RoutedUse { role, position } in item.uses {
            match role {
                Role::Stage(0) => {
                    self.count(item.machine).started += 1;
                    let partial = Partial::new(taking.order, found.and_then(|key| self.leading(of, key, taking)));
                    self.settle(of, 0, position, partial, item, &mut found, taking, out);
                }
                Role::Stage(stage) => {
                    let stage = stage as usize;
                    if let Some(partial) = found.and_then(|key| self.advance(of, stage, key, item, taking)) {
                        self.settle(of, stage, position, partial, item, &mut found, taking, out);
                    }
                }
                Role::Missing(missing) => self.see_missing(of, missing as usize, item, &mut found, taking),
                Role::Until => {
                    if let Some(key) = found {
                        self.end(of, key, item, taking);
                    }
                }
                // A sequence has no filters.
                Role::Filter(_) => {}
            }
        }
        found
    }

    /// The latest time before the event at which a leading missing term came.
    fn leading(&self, of: Of<'_>, key: u32, taking: &Taking<'_>) -> Option<i64> {
        let came = |missing| self.seen_before(of, key, missing, taking.order.timestamp);
        of.sequence.leading().filter_map(came).max()
    }

    /// Takes the partial match before `stage`, if this event continues it.
    fn advance(&mut self, of: Of<'_>, stage: usize, key: u32, item: &Item<'_>, taking: &Taking<'_>) -> Option<Partial> {
        let before = stage.checked_sub(1)?;
        let candidate = *self.partials.get(self.slot(key, before)?)?;
        // A late event neither continues nor consumes what is newer than itself.
        if candidate.last >= taking.order {
            return None;
        }
        if let Some(joined) = of.sequence.joined.get(stage).copied().flatten()
            && !self.holds(of, joined, before, &candidate, taking)
        {
            return None;
        }
        let mut partial = self.empty_slot(key, before)?;
        let timestamp = taking.order.timestamp;
        if of.sequence.maxspan.is_some_and(|maxspan| timestamp.saturating_sub(partial.first) > maxspan) {
            self.count(item.machine).expired += 1;
            self.end_partial(key, of.sequence.term(before), &partial, EndReason::MaxSpan);
            return None;
        }
        let between = of.sequence.between.get(stage).cloned().unwrap_or(0..0);
        let came = |missing| self.seen_before(of, key, missing, timestamp);
        partial.broken |= between.filter_map(came).any(|seen| seen > partial.last.timestamp);
        partial.last = taking.order;
        Some(partial)
    }

    /// Whether a condition on the event and a partial match's events holds. The partial match stands in slot `slot`.
    fn holds(&mut self, of: Of<'_>, joined: NodeId, slot: usize, partial: &Partial, taking: &Taking<'_>) -> bool {
        let mut frames = recycle(std::mem::take(&mut self.frames));
        frames.resize(of.machine.terms, None);
        let filled = of.sequence.positives.get(..=slot).unwrap_or(&[]);
        for (evidence, &term) in self.partials.events(partial).zip(filled.iter().rev()) {
            if let Some(frame) = frames.get_mut(term) {
                *frame = Frame::new(self.blocks.get(evidence));
            }
        }
        let context = Context { steps: &frames, lineage: taking.lineage, scratch: Some(taking.scratch) };
        let holds = taking.interpreter.node_with(joined, taking.frame, context);
        self.frames = recycle(frames);
        holds
    }

    /// Puts a partial match that ends with this event into its slot, or completes it.
    #[expect(
        clippy::too_many_arguments,
        reason = "a step of the machine: rule, stage, key, event, partial match, output"
    )]
    fn settle(
        &mut self,
        of: Of<'_>,
        stage: usize,
        position: u32,
        mut partial: Partial,
        item: &Item<'_>,
        found: &mut Option<u32>,
        taking: &Taking<'_>,
        out: &mut Vec<Ranked>,
    ) {
        if of.sequence.is_last(stage) {
            partial.wait.position = position;
            return self.complete(of, partial, item, found, taking, out);
        }
        let Some(key) = self.entry(found, item) else { return };
        let evidence = self.evidence(taking);
        self.partials.push(&mut partial, evidence);
        if let Some(overwritten) = self.fill_slot(key, stage, partial) {
            self.count(item.machine).overwritten += 1;
            self.end_partial(key, of.sequence.term(stage), &overwritten, EndReason::Overwritten);
        }
        if let Some(maxspan) = of.sequence.maxspan {
            self.arm(of.machine, key, partial.first.saturating_add(maxspan));
        }
    }

    /// Decides about a candidate whose stages are all matched, the last one by this event.
    fn complete(
        &mut self,
        of: Of<'_>,
        mut partial: Partial,
        item: &Item<'_>,
        found: &mut Option<u32>,
        taking: &Taking<'_>,
        out: &mut Vec<Ranked>,
    ) {
        let maxspan = of.sequence.maxspan.unwrap_or(i64::MAX);
        let trails = !of.sequence.trailing.is_empty();
        // A leading missing term's event is remembered with the partial match only when there is such a term.
        let deadline = match (trails, partial.leading) {
            (false, None) => None,
            (false, Some(seen)) => {
                partial.broken |= partial.last.timestamp.saturating_sub(seen) <= maxspan;
                None
            }
            (true, Some(seen)) => Some(seen.saturating_add(maxspan)),
            (true, None) if of.sequence.leading().is_empty() => Some(partial.first.saturating_add(maxspan)),
            (true, None) => None,
        };
        if partial.broken {
            self.count(item.machine).discarded_by_missing += 1;
            // Without an entry the partial match holds no earlier event.
            if let Some(key) = *found {
                self.end_partial(key, of.machine.last_term(), &partial, EndReason::MissingCame);
            }
            return;
        }
        match deadline {
            Some(deadline) if deadline >= partial.last.timestamp => {
                let Some(key) = self.entry(found, item) else { return };
                let evidence = self.evidence(taking);
                self.partials.push(&mut partial, evidence);
                partial.wait.deadline = deadline;
                self.wait(of, key, item.machine, partial);
                self.arm(of.machine, key, deadline);
            }
            _ => {
                let rank = (taking.event.serial, taking.event.ordinal, Moment::Completed);
                self.count(item.machine).completed += 1;
                out.push(self.told(of, decode(item.key), &partial, Some(taking.frame), rank));
            }
        }
    }

    /// Has a candidate wait; the one whose time is over first leaves when too many wait.
    fn wait(&mut self, of: Of<'_>, key: u32, machine: u32, partial: Partial) {
        let limit = self.waiting_limit();
        if self.keys.get(key).is_some_and(|entry| entry.waiting.count >= limit)
            && let Some(oldest) = self.first_waiting(key).and_then(|number| self.stop_waiting(key, number))
        {
            self.count(machine).dropped_waiting += 1;
            self.end_partial(key, of.machine.last_term(), &oldest, EndReason::Evicted);
        }
        self.start_waiting(key, partial);
    }

    /// A match, made of a partial match's events and, if it completes it, the current one.
    fn told(
        &mut self,
        Of { machine, sequence }: Of<'_>,
        key: JoinKey,
        partial: &Partial,
        current: Option<Frame<'_>>,
        (event, told, moment): (u64, u64, Moment),
    ) -> Ranked {
        let mut events = vec![None; machine.terms];
        let earlier = self.partials.events(partial).map(|evidence| self.copy(evidence));
        let kept = current.map(Evidence::of).into_iter().chain(earlier);
        for (evidence, &term) in kept.zip(sequence.positives.iter().rev()) {
            if let Some(place) = events.get_mut(term) {
                *place = Some(evidence);
            }
        }
        self.partials.release(partial, &mut self.blocks);
        let (rule, last, position) = (machine.rule, partial.last, partial.wait.position);
        Ranked {
            rank: Rank { event, moment, rule, last, term: machine.last_term() as u32, position },
            found: Match { rule: RuleIndex(rule), events, key, last, told, findings: None },
        }
    }

    /// Notes that an event of a missing term came, and discards the candidates that it forbids.
    fn see_missing(
        &mut self,
        of: Of<'_>,
        missing: usize,
        item: &Item<'_>,
        found: &mut Option<u32>,
        taking: &Taking<'_>,
    ) {
        let Some(key) = self.entry(found, item) else { return };
        let timestamp = taking.order.timestamp;
        let mut seen = self.seen(of, key, missing);
        if seen.latest.is_none()
            && let Some(entry) = self.keys.get_mut(key)
        {
            entry.seen += 1;
        }
        seen.note(timestamp);
        self.remember(of, key, missing, seen);
        if of.sequence.trailing.contains(&missing) {
            let mut next = self.first_waiting(key);
            while let Some((number, partial)) = next.and_then(|number| Some((number, *self.partials.get(number)?))) {
                next = Some(partial.wait.next);
                if timestamp > partial.last.timestamp
                    && timestamp <= partial.wait.deadline
                    && let Some(partial) = self.stop_waiting(key, number)
                {
                    self.count(item.machine).discarded_by_missing += 1;
                    self.end_partial(key, of.machine.last_term(), &partial, EndReason::MissingCame);
                }
            }
        }
        self.arm(of.machine, key, timestamp.saturating_add(of.sequence.maxspan.unwrap_or(i64::MAX)));
    }

    /// `until`: nothing of the key goes on, or when it looks at earlier events, nothing that it holds for.
    fn end(&mut self, of: Of<'_>, key: u32, item: &Item<'_>, taking: &Taking<'_>) {
        for slot in 0..of.machine.slots {
            let Some(partial) = self.slot(key, slot).and_then(|number| self.partials.get(number)).copied() else {
                continue;
            };
            let ends = of.sequence.until_joined.is_none_or(|joined| self.holds(of, joined, slot, &partial, taking));
            if ends && let Some(partial) = self.empty_slot(key, slot) {
                self.count(item.machine).ended_by_until += 1;
                self.end_partial(key, of.sequence.term(slot), &partial, EndReason::Until);
            }
        }
    }

    /// Event time has passed a deadline of `key`: tells what waited for it, forgets what is too old, sets the next one.
    pub(crate) fn pass_deadline(
        &mut self,
        machine: &Machine,
        sequence: &SequencePlan,
        key: u32,
        (event, told): (u64, u64),
        out: &mut Vec<Ranked>,
    ) {
        let of = Of { machine, sequence };
        let Some(number) = self.keys.get(key).map(|entry| entry.machine) else { return };
        let (now, maxspan) = (self.now, sequence.maxspan.unwrap_or(i64::MAX));
        let mut next = i64::MAX;
        while let Some(waiting) = self.first_waiting(key)
            && let Some(deadline) = self.partials.get(waiting).map(|partial| partial.wait.deadline)
        {
            if deadline >= now {
                next = deadline;
                break;
            }
            let Some(partial) = self.stop_waiting(key, waiting) else { break };
            let rank = (event, told, Moment::Over(deadline));
            let bytes = self.keys.key(key, &self.blocks);
            let found = self.told(of, decode(bytes), &partial, None, rank);
            self.count(number).completed += 1;
            out.push(found);
        }
        for slot in 0..machine.slots {
            let first = self.slot(key, slot).and_then(|number| self.partials.get(number)).map(|partial| partial.first);
            let Some(deadline) = first.map(|first| first.saturating_add(maxspan)) else { continue };
            if deadline >= now {
                next = next.min(deadline);
            } else if let Some(partial) = self.empty_slot(key, slot) {
                self.count(number).expired += 1;
                self.end_partial(key, sequence.term(slot), &partial, EndReason::Expired);
            }
        }
        for missing in 0..machine.missing() {
            let Some(latest) = self.seen(of, key, missing).latest else { continue };
            let deadline = latest.saturating_add(maxspan);
            if deadline >= now {
                next = next.min(deadline);
            } else {
                self.remember(of, key, missing, Seen::default());
                if let Some(entry) = self.keys.get_mut(key) {
                    entry.seen -= 1;
                }
            }
        }
        match self.keys.get(key) {
            Some(entry) if entry.is_empty() => self.forget(key),
            _ => self.arm(machine, key, next),
        }
    }

    fn seen(&self, of: Of<'_>, key: u32, missing: usize) -> Seen {
        let place = of.machine.slots + 2 * missing;
        let word = |place: usize| self.keys.words(key).get(place).copied().unwrap_or(0);
        Seen { latest: time_of(word(place)), previous: time_of(word(place + 1)) }
    }

    fn remember(&mut self, of: Of<'_>, key: u32, missing: usize, seen: Seen) {
        let place = of.machine.slots + 2 * missing;
        if let Some(words) = self.keys.words_mut(key).get_mut(place..place + 2) {
            words.copy_from_slice(&[word_of(seen.latest), word_of(seen.previous)]);
        }
    }

    /// The latest time strictly before `timestamp` at which a missing term's event came.
    fn seen_before(&self, of: Of<'_>, key: u32, missing: usize, timestamp: i64) -> Option<i64> {
        let Seen { latest, previous } = self.seen(of, key, missing);
        [latest, previous].into_iter().flatten().find(|&seen| seen < timestamp)
    }

    /// The candidate of a key whose time is over first.
    pub(crate) fn first_waiting(&self, key: u32) -> Option<u32> {
        self.keys.get(key).map(|entry| entry.waiting.first).filter(|&number| number != NONE)
    }

    /// Adds a candidate to those of its key, behind all whose time is over no later.
    fn start_waiting(&mut self, key: u32, mut partial: Partial) {
        let Some(waiting) = self.keys.get(key).map(|entry| entry.waiting) else { return };
        let (mut previous, mut next) = (waiting.last, NONE);
        while let Some(other) = self.partials.get(previous)
            && previous != NONE
            && other.wait.deadline > partial.wait.deadline
        {
            next = previous;
            previous = other.wait.previous;
        }
        (partial.wait.previous, partial.wait.next) = (previous, next);
        let number = self.partials.insert(partial);
        self.join(key, previous, number);
        self.join(key, number, next);
        if let Some(entry) = self.keys.get_mut(key) {
            entry.waiting.count += 1;
        }
    }

    /// Takes a candidate out of those of its key.
    pub(crate) fn stop_waiting(&mut self, key: u32, number: u32) -> Option<Partial> {
        let partial = self.partials.take(number)?;
        self.join(key, partial.wait.previous, partial.wait.next);
        if let Some(entry) = self.keys.get_mut(key) {
            entry.waiting.count -= 1;
        }
        Some(partial)
    }

    /// Makes two candidates neighbours; without the one, the other is at the end of the list.
    fn join(&mut self, key: u32, previous: u32, next: u32) {
        let Some(entry) = self.keys.get_mut(key) else { return };
        match self.partials.get_mut(previous) {
            Some(partial) if previous != NONE => partial.wait.next = next,
            _ => entry.waiting.first = next,
        }
        match self.partials.get_mut(next) {
            Some(partial) if next != NONE => partial.wait.previous = previous,
            _ => entry.waiting.last = previous,
        }
    }
}

/// The latest two distinct times at which a missing term's event came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    latest: Option<i64>,
    previous: Option<i64>,
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
}

/// A time as a word of state: zero is none. The earliest time of all is taken for the next one.
fn word_of(time: Option<i64>) -> u64 {
    time.map_or(0, |time| time.max(i64::MIN + 1) as u64 ^ 1 << 63)
}

fn time_of(word: u64) -> Option<i64> {
    (word != 0).then_some((word ^ 1 << 63) as i64)
}

/// The memory of a list of frames, for frames of another life.
fn recycle<'a>(mut frames: Vec<Option<Frame<'_>>>) -> Vec<Option<Frame<'a>>> {
    frames.clear();
    frames.into_iter().map(|_| None).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_as_words() {
        for time in [None, Some(0), Some(-1), Some(i64::MAX), Some(i64::MIN + 1)] {
            assert_eq!(time_of(word_of(time)), time);
        }
    }

    #[test]
    fn a_list_of_frames_keeps_its_memory() {
        let frames: Vec<Option<Frame<'_>>> = Vec::with_capacity(100);
        let recycled = recycle(frames);
        assert!(recycled.capacity() >= 100);
    }
}
