//! How far sequences and samples came, and how they ended: for whoever asks why a rule did not match.

use std::collections::VecDeque;

use crate::key::{JoinKey, decode};

/// How far one key of a rule came.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyProgress {
    /// The key.
    pub key: JoinKey,
    /// Its partial matches, by the term that each has matched last.
    pub partials: Vec<PartialProgress>,
    /// How many candidates wait for the time of a missing event to pass.
    pub waiting: usize,
    /// When the next of them, or of the partial matches, is over: nanoseconds since 1970.
    pub deadline: Option<i64>,
}

/// A partial match, or the filled slot of a sample.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartialProgress {
    /// The term that it has matched last, counted among all terms from 0.
    pub term: usize,
    /// The time of its first event, nanoseconds since 1970.
    pub first: i64,
    /// The time of its last event.
    pub last: i64,
    /// Whether an event came that must be missing: it will not match, however it goes on.
    pub broken: bool,
}

/// Why a partial match ended without a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndReason {
    /// The next event came, but later than `maxspan` allows.
    MaxSpan,
    /// `maxspan` passed and the next event did not come.
    Expired,
    /// A newer partial match took its place.
    Overwritten,
    /// `until` came.
    Until,
    /// An event came that must be missing.
    MissingCame,
    /// It had to make room.
    Evicted,
    /// Its key was not used for as long as the engine's options allow.
    Unused,
}

impl EndReason {
    /// The reason in a word or two.
    pub fn text(self) -> &'static str {
        match self {
            EndReason::MaxSpan => "came too late",
            EndReason::Expired => "expired",
            EndReason::Overwritten => "overwritten",
            EndReason::Until => "until",
            EndReason::MissingCame => "a missing event came",
            EndReason::Evicted => "evicted",
            EndReason::Unused => "unused",
        }
    }
}

/// The end of a partial match.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ending {
    /// The event time at which it ended, nanoseconds since 1970.
    pub time: i64,
    /// Its key.
    pub key: JoinKey,
    /// The term that it had matched last, counted among all terms from 0.
    pub term: usize,
    /// The time of its first event.
    pub first: i64,
    /// Why.
    pub reason: EndReason,
}

/// The last endings of each rule, when somebody wants to know them.
#[derive(Debug, Default)]
pub(crate) struct Endings {
    limit: usize,
    of: Vec<VecDeque<Ending>>,
}

impl Endings {
    /// Keeps the last `limit` endings of each of so many machines; none when it is 0.
    pub(crate) fn new(machines: usize, limit: usize) -> Endings {
        Endings { limit, of: if limit > 0 { vec![VecDeque::new(); machines] } else { Vec::new() } }
    }

    /// Whether endings are kept at all.
    pub(crate) fn are_kept(&self) -> bool {
        self.limit > 0
    }

    pub(crate) fn add(&mut self, machine: u32, key: &[u8], (time, term, first): (i64, usize, i64), reason: EndReason) {
        let Some(endings) = self.of.get_mut(machine as usize) else { return };
        if endings.len() >= self.limit {
            endings.pop_front();
        }
        endings.push_back(Ending { time, key: decode(key), term, first, reason });
    }

    /// The last endings of a machine, in the order in which they came.
    pub(crate) fn of(&self, machine: u32) -> impl Iterator<Item = &Ending> {
        self.of.get(machine as usize).into_iter().flatten()
    }
}
