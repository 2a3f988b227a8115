//! Deadlines in event time: a hierarchical timer wheel over nanoseconds.
//!
//! In: a deadline for an owner. Out: in the order of (deadline, rule, when it was set) those that time has passed.
//!
//! ```text
//! level 0   64 slots of 1 ns         a deadline lies in the lowest level whose slots tell it from now,
//! level 1   64 slots of 64 ns        and moves down when time comes near: a few times in its life
//! …
//! level 10  16 slots of 2^60 ns
//! ```
//!
//! A bit for each slot says whether it holds anything, so that a jump over years costs what it passes and no more.
//! Setting and cancelling cost the same with one deadline or a million.

use crate::shard::slab::{NONE, Slab};

const LEVELS: usize = 11;
const SLOTS: usize = 64;
/// The list of deadlines that had passed when they were set.
const OVERDUE: usize = LEVELS * SLOTS;

/// The deadlines to come.
#[derive(Debug)]
pub(crate) struct Wheel {
    nodes: Slab<Node>,
    /// The first node of each slot's list; empty until the first deadline is set.
    heads: Vec<u32>,
    /// For each level which slots hold something.
    occupied: [u64; LEVELS],
    /// Which levels do.
    levels: u16,
    /// The time up to which deadlines were told, moved so that it is never negative.
    elapsed: u64,
    /// No deadline lies before it.
    bound: i64,
    serial: u64,
}

/// A deadline that has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Due {
    /// The deadline, nanoseconds since 1970.
    pub(crate) deadline: i64,
    /// The rule, as it was told when the deadline was set.
    pub(crate) rule: u32,
    serial: u64,
    /// Whose deadline it is.
    pub(crate) owner: u32,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    due: Due,
    previous: u32,
    next: u32,
    list: u32,
}

impl Default for Wheel {
    fn default() -> Wheel {
        Wheel {
            nodes: Slab::default(),
            heads: Vec::new(),
            occupied: [0; LEVELS],
            levels: 0,
            elapsed: 0,
            bound: i64::MAX,
            serial: 0,
        }
    }
}

impl Wheel {
    /// Sets a deadline and gives its number, which is valid until it is told or cancelled.
    pub(crate) fn set(&mut self, deadline: i64, rule: u32, owner: u32) -> u32 {
        self.serial += 1;
        let due = Due { deadline, rule, serial: self.serial, owner };
        let node = self.nodes.insert(Node { due, previous: NONE, next: NONE, list: 0 });
        self.link(node, deadline);
        node
    }

    /// Forgets a deadline.
    pub(crate) fn cancel(&mut self, node: u32) {
        self.unlink(node);
        self.nodes.remove(node);
    }

    /// Whether a deadline strictly before `now` may be there: one comparison.
    pub(crate) fn is_due(&self, now: i64) -> bool {
        self.bound < now
    }

    /// Appends the deadlines strictly before `now`, which are then forgotten, in order.
    pub(crate) fn advance(&mut self, now: i64, out: &mut Vec<Due>) {
        if !self.is_due(now) {
            return;
        }
        let start = out.len();
        let time = unsigned(now).max(self.elapsed);
        // Those that are not due yet wait here until all lists that time has reached are empty.
        let mut waiting = NONE;
        self.drain(OVERDUE, now, &mut waiting, out);
        while let Some((level, slot, from)) = self.first()
            && from <= time
        {
            self.drain(level * SLOTS + slot, now, &mut waiting, out);
        }
        self.elapsed = time;
        self.bound = self.first().map_or(i64::MAX, |(_, _, from)| signed(from));
        while let Some(node) = self.nodes.get(waiting).copied() {
            let number = std::mem::replace(&mut waiting, node.next);
            self.link(number, node.due.deadline);
        }
        if let Some(due) = out.get_mut(start..) {
            due.sort_unstable();
        }
    }

    /// How many deadlines wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The bytes of the deadlines that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.nodes.bytes()
    }

    /// The bytes of the memory that is held.
    pub(crate) fn reserved(&self) -> usize {
        self.nodes.reserved() + self.heads.capacity() * size_of::<u32>()
    }

    /// Empties a list: what is due goes out, the rest into the list that starts at `waiting`.
    fn drain(&mut self, list: usize, now: i64, waiting: &mut u32, out: &mut Vec<Due>) {
        let Some(head) = self.heads.get_mut(list) else { return };
        let mut next = std::mem::replace(head, NONE);
        self.mark(list, false);
        while let Some(node) = self.nodes.get_mut(next) {
            let number = next;
            next = node.next;
            if node.due.deadline < now {
                out.push(node.due);
                self.nodes.remove(number);
            } else {
                node.next = *waiting;
                *waiting = number;
            }
        }
    }

    /// The slot with the earliest deadlines and the time at which it starts. The lowest level has it: a higher level's
    /// deadlines lie behind all slots of the levels below.
    fn first(&self) -> Option<(usize, usize, u64)> {
        let level = self.levels.trailing_zeros() as usize;
        let slot = self.occupied.get(level)?.trailing_zeros() as usize;
        let shift = 6 * level as u32;
        let above = self.elapsed.checked_shr(shift + 6).unwrap_or(0).checked_shl(shift + 6).unwrap_or(0);
        Some((level, slot, above | (slot as u64) << shift))
    }

    fn link(&mut self, number: u32, deadline: i64) {
        if self.heads.is_empty() {
            self.heads = vec![NONE; LEVELS * SLOTS + 1];
        }
        let time = unsigned(deadline);
        let list = if time < self.elapsed {
            self.bound = i64::MIN;
            OVERDUE
        } else {
            let level = ((time ^ self.elapsed) | 1).ilog2() / 6;
            let slot = (time >> (6 * level)) as usize % SLOTS;
            let from = time >> (6 * level) << (6 * level);
            self.bound = self.bound.min(signed(from));
            level as usize * SLOTS + slot
        };
        let Some(head) = self.heads.get_mut(list) else { return };
        let next = std::mem::replace(head, number);
        if let Some(node) = self.nodes.get_mut(number) {
            (node.previous, node.next, node.list) = (NONE, next, list as u32);
        }
        if let Some(next) = self.nodes.get_mut(next) {
            next.previous = number;
        }
        self.mark(list, true);
    }

    fn unlink(&mut self, number: u32) {
        let Some(Node { previous, next, list, .. }) = self.nodes.get(number).copied() else { return };
        if let Some(next) = self.nodes.get_mut(next) {
            next.previous = previous;
        }
        match self.nodes.get_mut(previous) {
            Some(previous) => previous.next = next,
            None => {
                if let Some(head) = self.heads.get_mut(list as usize) {
                    *head = next;
                }
                if next == NONE {
                    self.mark(list as usize, false);
                }
            }
        }
    }

    fn mark(&mut self, list: usize, holds: bool) {
        let (level, slot) = (list / SLOTS, list % SLOTS);
        let Some(occupied) = self.occupied.get_mut(level) else { return };
        if holds {
            *occupied |= 1 << slot;
            self.levels |= 1 << level;
        } else {
            *occupied &= !(1 << slot);
            if *occupied == 0 {
                self.levels &= !(1 << level);
            }
        }
    }
}

/// The same order, from zero.
fn unsigned(time: i64) -> u64 {
    time as u64 ^ 1 << 63
}

fn signed(time: u64) -> i64 {
    (time ^ 1 << 63) as i64
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::{BTreeMap, BinaryHeap};

    use super::*;

    /// Numbers from a seed, for a test that says which seed failed.
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % limit
        }

        /// A number below some power of two, of which the highest has `bits` bits: as often small as large.
        fn spread(&mut self, bits: u64) -> i64 {
            let limit = 1 << self.below(bits).min(31);
            self.below(limit) as i64
        }
    }

    /// What a wheel must do, said with a heap.
    #[derive(Default)]
    struct Model {
        heap: BinaryHeap<Reverse<(i64, u32, u64)>>,
        live: BTreeMap<u64, (u32, i64)>,
    }

    impl Model {
        fn advance(&mut self, now: i64) -> Vec<(i64, u32, u32)> {
            let mut due = Vec::new();
            while let Some(&Reverse((deadline, rule, serial))) = self.heap.peek()
                && deadline < now
            {
                self.heap.pop();
                if self.live.remove(&serial).is_some() {
                    due.push((deadline, rule, serial as u32));
                }
            }
            due
        }
    }

    fn run(seed: u64, bits: u64) {
        let mut random = Random(seed);
        let (mut wheel, mut model, mut out) = (Wheel::default(), Model::default(), Vec::new());
        let mut now = [0, -5_000, 1_700_000_000_000_000_000, i64::MIN, i64::MAX - 9_000][random.below(5) as usize];
        for serial in 0..600_u64 {
            match random.below(8) {
                0..4 => {
                    let ahead = random.spread(bits) * [1, 1, 977][random.below(3) as usize];
                    let deadline = now.saturating_add(ahead).saturating_sub(random.below(3) as i64);
                    let rule = random.below(3) as u32;
                    let node = wheel.set(deadline, rule, serial as u32);
                    model.heap.push(Reverse((deadline, rule, serial)));
                    model.live.insert(serial, (node, deadline));
                }
                4 => {
                    let nth = random.below(model.live.len().max(1) as u64) as usize;
                    if let Some((&serial, &(node, _))) = model.live.iter().nth(nth) {
                        model.live.remove(&serial);
                        wheel.cancel(node);
                    }
                }
                _ => {
                    let jump = match random.below(20) {
                        0 => 31_536_000_000_000_000 * random.below(40) as i64,
                        _ => random.spread(bits),
                    };
                    now = now.saturating_add(jump);
                    out.clear();
                    wheel.advance(now, &mut out);
                    let found: Vec<_> = out.iter().map(|due| (due.deadline, due.rule, due.owner)).collect();
                    assert_eq!(found, model.advance(now), "seed {seed}, at {now}");
                    assert_eq!(wheel.len(), model.live.len(), "seed {seed}");
                }
            }
        }
        out.clear();
        wheel.advance(i64::MAX, &mut out);
        let found: Vec<_> = out.iter().map(|due| (due.deadline, due.rule, due.owner)).collect();
        assert_eq!(found, model.advance(i64::MAX), "seed {seed}, at the end");
    }

    #[test]
    fn the_wheel_tells_what_a_heap_would_tell() {
        for seed in 0..600 {
            run(seed, [4, 12, 32][seed as usize % 3]);
        }
    }

    #[test]
    fn what_was_overdue_when_it_was_set_is_told_next() {
        let (mut wheel, mut out) = (Wheel::default(), Vec::new());
        wheel.set(50, 0, 1);
        wheel.advance(100, &mut out);
        wheel.set(20, 0, 2);
        wheel.advance(100, &mut out);
        assert_eq!(out.iter().map(|due| due.owner).collect::<Vec<_>>(), [1, 2]);
    }
}
