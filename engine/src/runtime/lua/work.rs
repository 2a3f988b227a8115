//! The questions of a batch, sorted so that each predicate is asked about all its events in one loop.
//!
//! In: pairs of event and predicate, in any order. Out: groups of positions in Lua's [`Memory`], then the numbers of the
//! pairs that hold. Keeps its memory from batch to batch.

use kestrel_core::runtime::RuntimeError;
use kestrel_ir::model::PredicateId;

use super::memory::{Group, Memory};

/// A question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) predicate: u32,
    /// Where the event's frame lies, in words.
    pub(super) frame_word: u32,
    /// The event's number in the caller's batch.
    pub(super) event: usize,
    /// The question's number in the caller's batch.
    pub(super) number: usize,
}

/// What is asked, and what came out.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) pairs: Vec<Pair>,
    pub(super) groups: Vec<Group>,
    /// At each position: the pair.
    order: Vec<u32>,
    /// Of each predicate: how many pairs it has, then its next position. 0 between two runs.
    counts: Vec<u32>,
    held: Vec<usize>,
    failures: Vec<(usize, RuntimeError)>,
}

impl Work {
    pub(super) fn new(predicates: usize) -> Work {
        Work {
            pairs: Vec::new(),
            groups: Vec::new(),
            order: Vec::new(),
            counts: vec![0; predicates],
            held: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Sorts the pairs by predicate and writes them to memory. Gives how many groups there are.
    pub(super) fn place(&mut self, memory: &mut Memory) -> usize {
        self.groups.clear();
        for pair in &self.pairs {
            let count = &mut self.counts[pair.predicate as usize];
            if *count == 0 {
                self.groups.push(Group { predicate: pair.predicate, first: 0, last: 0 });
            }
            *count += 1;
        }
        // The same order each time, so that an atom that several predicates share is mostly asked by the same one first.
        self.groups.sort_unstable_by_key(|group| group.predicate);
        let mut first = 0;
        for (index, group) in self.groups.iter_mut().enumerate() {
            let count = std::mem::replace(&mut self.counts[group.predicate as usize], first);
            (group.first, group.last) = (first, first + count - 1);
            first += count;
            memory.place_group(index, *group);
        }
        self.order.resize(self.pairs.len(), 0);
        for (number, pair) in self.pairs.iter().enumerate() {
            let next = &mut self.counts[pair.predicate as usize];
            self.order[*next as usize] = number as u32;
            memory.place_position(*next as usize, pair.frame_word);
            *next += 1;
        }
        for group in &self.groups {
            self.counts[group.predicate as usize] = 0;
        }
        self.groups.len()
    }

    /// Takes the results from memory.
    pub(super) fn collect(&mut self, memory: &Memory) {
        let held = self.order.iter().enumerate().filter(|(position, _)| memory.result(*position));
        self.held.extend(held.map(|(_, pair)| self.pairs[*pair as usize].number));
    }

    /// The positions of a group.
    pub(super) fn positions(&self, group: usize) -> std::ops::RangeInclusive<u32> {
        let Group { first, last, .. } = self.groups[group];
        first..=last
    }

    /// The pair at a position.
    pub(super) fn pair_at(&self, position: u32) -> Pair {
        self.pairs[self.order[position as usize] as usize]
    }

    /// Forgets the pairs of a run.
    pub(super) fn clear_pairs(&mut self) {
        self.pairs.clear();
        self.order.clear();
        self.groups.clear();
    }

    /// Notes that an event could not be evaluated; the first reason counts.
    pub(super) fn fail(&mut self, event: usize, error: RuntimeError) {
        if !self.failures.iter().any(|(failed, _)| *failed == event) {
            self.failures.push((event, error));
        }
    }

    /// The same for all events of a group.
    pub(super) fn fail_group(&mut self, group: usize, error: impl Fn(Pair) -> RuntimeError) {
        for position in self.positions(group) {
            let pair = self.pair_at(position);
            self.fail(pair.event, error(pair));
        }
    }

    /// The same for all events of the run.
    pub(super) fn fail_all(&mut self, error: impl Fn(PredicateId) -> RuntimeError) {
        for index in 0..self.pairs.len() {
            let Pair { event, predicate, .. } = self.pairs[index];
            self.fail(event, error(PredicateId(predicate)));
        }
    }

    /// The numbers of the pairs that hold, in their order, and what failed. The former is to be [given
    /// back](Work::give_back).
    pub(super) fn take(&mut self) -> (Vec<usize>, Vec<(usize, RuntimeError)>) {
        self.held.sort_unstable();
        (std::mem::take(&mut self.held), std::mem::take(&mut self.failures))
    }

    /// Keeps the memory for the next batch.
    pub(super) fn give_back(&mut self, mut held: Vec<usize>) {
        held.clear();
        self.held = held;
    }
}
