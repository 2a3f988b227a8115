//! Partial matches and the events that they hold.
//!
//! ```text
//! Partial ─▶ its last event's frame
//!    └─▶ Link ─▶ the frame before
//!          └─▶ Link ─▶ the first frame
//! ```

use super::blocks::Blocks;
use super::slab::{NONE, Slab};
use crate::evidence::EventOrder;

/// A partial match of one key. Plain numbers: whoever copies one takes it over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Partial {
    /// The time of its first event.
    pub(crate) first: i64,
    /// Where its last event stands.
    pub(crate) last: EventOrder,
    /// The latest time before the first event at which a leading missing term came.
    pub(crate) leading: Option<i64>,
    /// Whether an event came between two others that must be missing there.
    pub(crate) broken: bool,
    /// The frame of its last event.
    pub(crate) evidence: u32,
    /// The link to the event before.
    pub(crate) before: u32,
    /// What is needed while it waits for time to pass.
    pub(crate) wait: Wait,
}

/// A candidate's place among those that wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait {
    pub(crate) deadline: i64,
    pub(crate) previous: u32,
    pub(crate) next: u32,
    /// Which of its last event's keys it has.
    pub(crate) position: u32,
}

/// A partial match's earlier event.
#[derive(Debug, Clone, Copy)]
struct Link {
    evidence: u32,
    before: u32,
}

/// The partial matches of one shard.
#[derive(Debug, Default)]
pub(crate) struct Partials {
    partials: Slab<Partial>,
    links: Slab<Link>,
}

impl Partial {
    /// A partial match without events.
    pub(crate) fn new(last: EventOrder, leading: Option<i64>) -> Partial {
        let wait = Wait { deadline: i64::MAX, previous: NONE, next: NONE, position: 0 };
        let first = last.timestamp;
        Partial { first, last, leading, broken: false, evidence: NONE, before: NONE, wait }
    }
}

impl Partials {
    pub(crate) fn insert(&mut self, partial: Partial) -> u32 {
        self.partials.insert(partial)
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Partial> {
        self.partials.get(number)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut Partial> {
        self.partials.get_mut(number)
    }

    /// Takes a partial match out; its events are then the caller's.
    pub(crate) fn take(&mut self, number: u32) -> Option<Partial> {
        let partial = self.partials.get(number).copied();
        self.partials.remove(number);
        partial
    }

    /// Adds an event's frame, which the partial match now holds.
    pub(crate) fn push(&mut self, partial: &mut Partial, evidence: u32) {
        if partial.evidence != NONE {
            partial.before = self.links.insert(Link { evidence: partial.evidence, before: partial.before });
        }
        partial.evidence = evidence;
    }

    /// The frames of a partial match, the last one first.
    pub(crate) fn events(&self, partial: &Partial) -> impl Iterator<Item = u32> {
        let last = Some(Link { evidence: partial.evidence, before: partial.before });
        std::iter::successors(last, |link| self.links.get(link.before).copied())
            .map(|link| link.evidence)
            .filter(|&evidence| evidence != NONE)
    }

    /// Lets go of a partial match's events.
    pub(crate) fn release(&mut self, partial: &Partial, blocks: &mut Blocks) {
        if partial.evidence != NONE {
            blocks.release(partial.evidence);
        }
        let mut next = partial.before;
        while let Some(Link { evidence, before }) = self.links.get(next).copied() {
            blocks.release(evidence);
            self.links.remove(next);
            next = before;
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.partials.len()
    }

    /// The bytes of what there is.
    pub(crate) fn bytes(&self) -> usize {
        self.partials.bytes() + self.links.bytes()
    }

    /// The bytes of the memory that is held.
    pub(crate) fn reserved(&self) -> usize {
        self.partials.reserved() + self.links.reserved()
    }
}
