//! News of losses, on their way from the source to whoever makes alerts.
//!
//! Goes in: gaps in the numbers of records, as they are found. Comes out: the same as [`Loss`]es, before the event at which
//! they were found is used. A loss is known when the next record of the same processor is read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The most news that wait; further losses are told as one.
const WAITING_LIMIT: usize = 1_024;

/// Events that a live source lost between two moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Whose events: a processor's number, or [`Loss::NO_PLACE`].
    pub place: u32,
    /// Nothing was lost before, in nanoseconds since 1970: the time of the last event of that place.
    pub since: i64,
    /// When it was found: the time of the next one.
    pub until: i64,
    /// How many; less than 0 when an event came after all that was counted before.
    pub count: i64,
}

impl Loss {
    /// The place of losses that are no processor's, or several processors' together: nothing can be taken back from them.
    pub const NO_PLACE: u32 = u32::MAX;

    /// Takes another loss in, so that both are told as one.
    pub(crate) fn merge(&mut self, other: Loss) {
        self.place = Loss::NO_PLACE;
        self.since = self.since.min(other.since);
        self.until = self.until.max(other.until);
        self.count = self.count.saturating_add(other.count);
    }
}

/// What a source has to tell of its losses. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct LossNews(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    is_new: AtomicBool,
    losses: Mutex<Vec<Loss>>,
}

impl LossNews {
    /// Tells of a loss. When too many wait, what would be taken back is not: rather too many are told of than too few.
    pub(super) fn add(&self, loss: Loss) {
        let mut losses = self.0.losses.lock().unwrap_or_else(PoisonError::into_inner);
        if losses.len() < WAITING_LIMIT {
            losses.push(loss);
        } else if loss.count > 0 {
            match losses.get_mut(WAITING_LIMIT) {
                Some(merged) => merged.merge(loss),
                None => losses.push(Loss { place: Loss::NO_PLACE, ..loss }),
            }
        }
        self.0.is_new.store(true, Ordering::Release);
    }

    /// Gives the news since this was asked last. Costs next to nothing when there are none.
    pub fn take(&self, each: impl FnMut(Loss)) {
        if self.0.is_new.load(Ordering::Acquire) {
            let mut losses = self.0.losses.lock().unwrap_or_else(PoisonError::into_inner);
            self.0.is_new.store(false, Ordering::Relaxed);
            losses.drain(..).for_each(each);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(place: u32, time: i64, count: i64) -> Loss {
        Loss { place, since: time, until: time, count }
    }

    #[test]
    fn what_is_told_as_one_has_no_place_and_nothing_is_taken_back_from_it() {
        let news = LossNews::default();
        (0..WAITING_LIMIT as i64).for_each(|time| news.add(loss(1, time, 1)));
        for late in [loss(2, 5_000, 7), loss(2, 5_001, -1), loss(3, 6_000, 8), loss(1, 6_001, -1)] {
            news.add(late);
        }
        let mut told = Vec::new();
        news.take(|loss| told.push(loss));
        assert_eq!(told.len(), WAITING_LIMIT + 1);
        assert!(told[..WAITING_LIMIT].iter().all(|loss| (loss.place, loss.count) == (1, 1)));
        let merged = Loss { place: Loss::NO_PLACE, since: 5_000, until: 6_000, count: 15 };
        assert_eq!(told.last(), Some(&merged));
        news.add(loss(2, 7_000, -1));
        news.take(|loss| told.push(loss));
        assert_eq!(told.last(), Some(&loss(2, 7_000, -1)), "there is room again");
    }
}
