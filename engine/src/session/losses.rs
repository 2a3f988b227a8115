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
    /// Notes a loss, or takes back what was counted too much: from the last loss of that place, if that is known to be one
    /// of its own. Of losses that were put together nothing is taken back, nor of any before them.
    pub(super) fn note(&mut self, loss: Loss) {
        if loss.count < 0 {
            let mut apart = self.0.iter_mut().rev().take_while(|known| known.place != Loss::NO_PLACE);
            if let Some(counted) = apart.find(|known| known.place == loss.place && known.count > 0) {
                counted.count = counted.count.saturating_add(loss.count).max(0);
            }
            return;
        }
        if self.0.len() >= REMEMBERED
            && let Some(oldest) = self.0.pop_front()
            && let Some(next) = self.0.front_mut()
        {
            next.merge(oldest);
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

    #[test]
    fn nothing_is_taken_back_from_what_was_put_together_or_is_another_places() {
        let of = |place, count| Loss { place, ..loss(1, 1, count) };
        let mut losses = Losses::default();
        losses.note(of(1, 10));
        losses.note(of(Loss::NO_PLACE, 100));
        losses.note(of(2, 1_000));
        // The loss of place 1 that this belongs to may be among those that were put together.
        losses.note(of(1, -1));
        assert_eq!(losses.within(&found(1, 7)), 1_110);
        losses.note(of(2, -1));
        assert_eq!(losses.within(&found(1, 7)), 1_109);
        // The first of another place goes into the one behind it.
        let mut losses = Losses::default();
        losses.note(of(1, 5));
        (0..REMEMBERED).for_each(|_| losses.note(of(2, 1)));
        losses.note(of(1, -1));
        (0..REMEMBERED).for_each(|_| losses.note(of(2, -1)));
        let all = REMEMBERED as u64 + 5;
        assert_eq!(losses.within(&found(1, 7)), all - (REMEMBERED as u64 - 1), "but for what was put together");
    }
}
