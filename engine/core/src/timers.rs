//! Deadlines in event time, across all rules of a pack.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::key::JoinKey;

/// A deadline that has passed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alarm {
    /// The deadline, nanoseconds since 1970.
    pub deadline: i64,
    serial: u64,
    /// The rule, by its number in the pack.
    pub rule: usize,
    /// The key of the state to look after.
    pub key: JoinKey,
}

/// The deadlines to come. Equal ones fire in the order in which they were set.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<Alarm>>,
    serial: u64,
}

impl Timers {
    /// Asks to be told when event time has passed `deadline`.
    pub fn set(&mut self, deadline: i64, rule: usize, key: &JoinKey) {
        self.serial += 1;
        self.heap.push(Reverse(Alarm { deadline, serial: self.serial, rule, key: key.clone() }));
    }

    /// The next deadline strictly before `now`, taken out.
    pub fn due(&mut self, now: i64) -> Option<Alarm> {
        if self.heap.peek()?.0.deadline >= now {
            return None;
        }
        self.heap.pop().map(|Reverse(alarm)| alarm)
    }

    /// How many deadlines wait.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}
