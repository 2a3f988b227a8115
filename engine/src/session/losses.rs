//! Which alerts were made while the source lost events.
//!
//! In: losses, as a live source tells them. Out: for the time between a match's first event and its last, how many events
//! were lost that may have been in it. What is remembered is bounded: of too many losses the oldest are taken for one.

use std::collections::VecDeque;

use kestrel_core::matcher::Match;

use crate::live::Loss;

/// So many losses are remembered apart.
const REMEMBERED: usize = 1_024;

/// The losses of a run.
#[derive(Debug, Default)]
pub(super) struct Losses(VecDeque<Loss>);

impl Losses {
    /// Notes a loss, or takes back what was counted too much.
    pub(super) fn note(&mut self, loss: Loss) {
        if loss.count < 0 {
            let counted = self.0.iter_mut().rev().find(|known| known.place == loss.place && known.count > 0);
            if let Some(counted) = counted {
                counted.count = counted.count.saturating_add(loss.count).max(0);
            }
            return;
        }
        if self.0.len() >= REMEMBERED
            && let Some(oldest) = self.0.pop_front()
            && let Some(next) = self.0.front_mut()
        {
            next.since = next.since.min(oldest.since);
            next.until = next.until.max(oldest.until);
            next.count = next.count.saturating_add(oldest.count);
        }
        self.0.push_back(loss);
    }

    /// How many events were lost that may have been between the first and the last event of a match. A match that was told
    /// because a time was over waited until that time.
    pub(super) fn within(&self, found: &Match) -> u64 {
        if self.0.is_empty() {
            return 0;
        }
        let times =
            found.events.iter().flatten().filter_map(|evidence| evidence.frame()).map(|frame| frame.timestamp());
        let first = times.min().unwrap_or(found.last.timestamp);
        let last = if found.told == found.last.ordinal { found.last.timestamp } else { i64::MAX };
        let within = self.0.iter().filter(|loss| loss.until >= first && loss.since <= last);
        within.map(|loss| u64::try_from(loss.count).unwrap_or(0)).sum()
    }
}

#[cfg(test)]
mod tests {
    use kestrel_core::evidence::EventOrder;
    use kestrel_ir::model::RuleIndex;

    use super::*;

    fn loss(since: i64, until: i64, count: i64) -> Loss {
        Loss { place: 0, since, until, count }
    }

    fn found(timestamp: i64, told: u64) -> Match {
        let last = EventOrder { timestamp, tiebreaker: 0, ordinal: 7 };
        Match { rule: RuleIndex(0), events: Vec::new(), key: Box::new([]), last, told, findings: None }
    }

    #[test]
    fn only_losses_that_may_be_between_the_events_count() {
        let mut losses = Losses::default();
        assert_eq!(losses.within(&found(5, 7)), 0);
        losses.note(loss(1, 4, 10));
        losses.note(loss(4, 6, 100));
        losses.note(loss(8, 9, 1_000));
        assert_eq!(losses.within(&found(5, 7)), 100);
        assert_eq!(losses.within(&found(4, 7)), 110);
        assert_eq!(losses.within(&found(5, 8)), 1_100, "it was told later, because a time was over");
        losses.note(loss(9, 9, -1));
        assert_eq!(losses.within(&found(9, 7)), 999, "an event came after all");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_nothing_is_forgotten() {
        let mut losses = Losses::default();
        (0..5_000).for_each(|time| losses.note(loss(time, time, 1)));
        assert_eq!(losses.0.len(), REMEMBERED);
        assert_eq!(losses.within(&found(0, 8)), 5_000);
        assert_eq!(losses.within(&found(4_999, 7)), 1);
    }
}
