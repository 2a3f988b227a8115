//! The reorder buffer: events that came in disorder, in the order of their times.
//!
//! In: events as they arrive. Out: the same events by timestamp, then tiebreaker, then arrival, each when event time has
//! passed its timestamp by the bound, or when there is no room. An event that would have to stand before one that was let
//! out already is late beyond the bound: it does not wait, and only rules of single events are asked about it. Nothing
//! here reads a clock, so that the same events come out in the same order in every run.

use std::collections::BTreeMap;

use kestrel_ir::event::{Event, FieldValue};

/// The most bytes of events that wait.
const MAX_BYTES: usize = 256 << 20;
/// About what an event takes beside its values, and a value beside its text.
const EVENT_BYTES: usize = 256;
const VALUE_BYTES: usize = 32;

/// How long events wait for earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReorderOptions {
    /// By how many nanoseconds event time must have passed an event's timestamp; 0 for no waiting at all.
    pub bound: i64,
    /// The most events that wait. When there are more, the earliest goes on.
    pub events: usize,
}

impl Default for ReorderOptions {
    /// No waiting; 65,536 events once there is.
    fn default() -> Self {
        ReorderOptions { bound: 0, events: 65_536 }
    }
}

/// What the buffer did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReorderCounters {
    /// Events that went on before their time, for want of room.
    pub left_early: u64,
    /// The most events that waited at a time.
    pub most_waiting: u64,
}

/// Where an event stands.
type Key = (i64, i64, u64);

/// Events that wait.
#[derive(Debug)]
pub(super) struct ReorderBuffer {
    options: ReorderOptions,
    waiting: BTreeMap<Key, Event>,
    bytes: usize,
    latest: i64,
    arrivals: u64,
    /// The event that was let out last.
    passed: Key,
    counters: ReorderCounters,
}

impl ReorderBuffer {
    /// A buffer; `None` when nothing is to wait.
    pub(super) fn new(options: ReorderOptions) -> Option<ReorderBuffer> {
        (options.bound > 0).then(|| ReorderBuffer {
            options,
            waiting: BTreeMap::new(),
            bytes: 0,
            latest: i64::MIN,
            arrivals: 0,
            passed: (i64::MIN, i64::MIN, 0),
            counters: ReorderCounters::default(),
        })
    }

    /// Takes an event; `false` when it is late beyond the bound and does not wait.
    pub(super) fn push(&mut self, event: &Event) -> bool {
        let key = (event.timestamp, event.tiebreaker, self.arrivals);
        self.arrivals += 1;
        if key < self.passed {
            return false;
        }
        self.latest = self.latest.max(event.timestamp);
        self.bytes = self.bytes.saturating_add(size(event));
        self.waiting.insert(key, event.clone());
        true
    }

    /// The next event whose time to go on has come.
    pub(super) fn pop_ready(&mut self) -> Option<Event> {
        let (timestamp, ..) = *self.waiting.first_key_value()?.0;
        if timestamp > self.latest.saturating_sub(self.options.bound) {
            if self.waiting.len() <= self.options.events && self.bytes <= MAX_BYTES {
                self.counters.most_waiting = self.counters.most_waiting.max(self.waiting.len() as u64);
                return None;
            }
            self.counters.left_early += 1;
        }
        self.pop()
    }

    /// The next event, whatever its time.
    pub(super) fn pop(&mut self) -> Option<Event> {
        let (key, event) = self.waiting.pop_first()?;
        self.bytes = self.bytes.saturating_sub(size(&event));
        self.passed = key;
        Some(event)
    }

    pub(super) fn counters(&self) -> ReorderCounters {
        self.counters
    }
}

/// About how many bytes an event takes, the same in every run.
fn size(event: &Event) -> usize {
    let text = |value| match value {
        FieldValue::Text(text) => text.len(),
        _ => 0,
    };
    EVENT_BYTES + event.values().map(|(_, _, value)| VALUE_BYTES + text(value)).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(timestamp: i64, tiebreaker: i64) -> Event {
        let mut event = Event::new();
        (event.timestamp, event.tiebreaker) = (timestamp, tiebreaker);
        event
    }

    /// The timestamps as they go on, late ones negated.
    fn through(bound: i64, events: usize, times: &[i64]) -> (Vec<i64>, ReorderCounters) {
        let mut buffer = ReorderBuffer::new(ReorderOptions { bound, events }).expect("a bound");
        let mut out = Vec::new();
        for &time in times {
            if !buffer.push(&event(time, 0)) {
                out.push(-time);
            }
            out.extend(std::iter::from_fn(|| buffer.pop_ready()).map(|event| event.timestamp));
        }
        out.extend(std::iter::from_fn(|| buffer.pop()).map(|event| event.timestamp));
        assert_eq!(buffer.bytes, 0);
        (out, buffer.counters())
    }

    #[test]
    fn an_event_waits_until_time_has_passed_it_by_the_bound() {
        let (out, counters) = through(5, 100, &[10, 13, 11, 15, 9, 16, 10, 21, 12]);
        // 15 lets 10 out, before 9 comes; 16 lets 11 out, before the second 10 comes.
        assert_eq!(out, [10, -9, 11, -10, 13, 15, 16, -12, 21]);
        assert_eq!(counters, ReorderCounters { left_early: 0, most_waiting: 3 });
    }

    #[test]
    fn without_room_the_earliest_goes_on() {
        let (out, counters) = through(100, 2, &[3, 2, 1, 5, 4, 1]);
        assert_eq!(out, [1, 2, 3, -1, 4, 5]);
        assert_eq!(counters, ReorderCounters { left_early: 3, most_waiting: 2 });
    }

    #[test]
    fn ties_are_broken_by_tiebreaker_then_by_arrival() {
        let mut buffer = ReorderBuffer::new(ReorderOptions { bound: 1, events: 10 }).expect("a bound");
        for (number, tiebreaker) in [(0, 2), (1, 1), (2, 2), (3, 1)] {
            let mut event = event(7, tiebreaker);
            event.ordinal = number;
            assert!(buffer.push(&event));
        }
        let order: Vec<u64> = std::iter::from_fn(|| buffer.pop()).map(|event| event.ordinal).collect();
        assert_eq!(order, [1, 3, 0, 2]);
    }

    #[test]
    fn extreme_times_do_no_harm() {
        let (out, _) = through(i64::MAX, 10, &[i64::MAX, i64::MIN, 0]);
        assert_eq!(out, [i64::MIN, 0, i64::MAX]);
    }
}
