//! News of losses, on their way from the source to whoever makes alerts.
//!
//! Goes in: gaps in the numbers of records, as they are found. Comes out: the same as [`Loss`]es, before the event at which
//! they were found is used. A loss is known when the next record of the same processor is read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The most news that wait; more are told as one.
const WAITING_LIMIT: usize = 1_024;

/// Events that a live source lost between two moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Whose events: a processor's number, or another number where there are none.
    pub place: u32,
    /// Nothing was lost before, in nanoseconds since 1970: the time of the last event of that place.
    pub since: i64,
    /// When it was found: the time of the next one.
    pub until: i64,
    /// How many; less than 0 when an event came after all that was counted before.
    pub count: i64,
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
    /// Tells of a loss.
    pub(super) fn add(&self, loss: Loss) {
        let mut losses = self.0.losses.lock().unwrap_or_else(PoisonError::into_inner);
        if losses.len() < WAITING_LIMIT {
            losses.push(loss);
        } else if let Some(last) = losses.last_mut() {
            last.since = last.since.min(loss.since);
            last.until = last.until.max(loss.until);
            last.count = last.count.saturating_add(loss.count);
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
