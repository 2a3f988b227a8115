//! The order of matches: what makes the matches of independent shards one stream again.

use crate::evidence::EventOrder;
use crate::matcher::Match;

/// Where a match stands among all. No two stand at the same place, and no place depends on shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// The event at which it is told, by its number in the order in which events were taken.
    pub(crate) event: u64,
    /// When its time was over, for those told because it was: they come before what the event completes.
    pub(crate) moment: Moment,
    pub(crate) rule: u32,
    /// Where its last event stands.
    pub(crate) last: EventOrder,
    /// The term that the last event filled.
    pub(crate) term: u32,
    /// Which of that event's keys for the term it has.
    pub(crate) position: u32,
}

/// Why a match is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Moment {
    /// Time has passed this deadline.
    Over(i64),
    /// The event completes it.
    Completed,
}

/// A match and its place.
#[derive(Debug, Clone)]
pub struct Ranked {
    pub(crate) rank: Rank,
    pub(crate) found: Match,
}

/// Puts matches of the same events in order.
pub(crate) fn sort(matches: &mut [Ranked]) {
    matches.sort_unstable_by_key(|found| found.rank);
}
