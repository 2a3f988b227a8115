//! How the reader learns of records: woken for each, or by looking every millisecond.
//!
//! Being woken gives the least delay (30 µs) and costs the most: at 20,000 records a second a fifth of a CPU, in the reader
//! and in whoever must wake it. Looking every millisecond costs a fiftieth of one. So at low rates the reader is woken, and
//! at high ones it looks. This file decides, from how often it was woken and how much there was; it reads no clock.

use std::time::Duration;

/// How long it counts before it decides.
const WINDOW: Duration = Duration::from_millis(20);
/// More wake-ups than this in a window, and looking is cheaper: 2,000 a second.
const MANY_WAKES: u32 = 40;
/// Fewer records than this in a window, and being woken is cheap: 500 a second.
const FEW_RECORDS: usize = 10;

/// How often the reader looks by itself.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(1);
/// The longest wait right after the change to being woken: a program that decided before the change wakes nobody.
pub(super) const SETTLING: Duration = Duration::from_millis(10);

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Pace {
    looking: bool,
    window_began: Duration,
    wakes: u32,
    records: usize,
}

impl Pace {
    /// Whether the reader looks by itself and wants no wake-ups.
    pub(super) fn looking(&self) -> bool {
        self.looking
    }

    /// Adds records of a look that was not noted.
    pub(super) fn add(&mut self, records: usize) {
        self.records += records;
    }

    /// Notes that the reader had so many records at `now`, by any clock that does not run backwards. `Some` when the way
    /// changes.
    pub(super) fn note(&mut self, now: Duration, records: usize) -> Option<bool> {
        self.wakes += u32::from(records > 0);
        self.records += records;
        let elapsed = now.saturating_sub(self.window_began);
        if elapsed < WINDOW {
            return None;
        }
        // A window in which nothing happened for long is no busy one, whatever came last.
        let looking = match self.looking {
            false => self.wakes > MANY_WAKES && elapsed < 2 * WINDOW,
            true => self.records >= FEW_RECORDS,
        };
        *self = Pace { looking: self.looking, window_began: now, ..Pace::default() };
        (looking != self.looking).then(|| {
            self.looking = looking;
            looking
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `rate` single records a second for a tenth of a second from `start`; whether it looks afterwards.
    fn feed(pace: &mut Pace, start: Duration, rate: u32) -> bool {
        for number in 0..rate / 10 {
            pace.note(start + Duration::from_secs(1) * number / rate, 1);
        }
        pace.looking()
    }

    #[test]
    fn many_wakes_lead_to_looking_and_silence_back() {
        let mut pace = Pace::default();
        let second = Duration::from_secs(1);
        assert!(!feed(&mut pace, second, 1_000), "a thousand a second are told each");
        assert!(feed(&mut pace, 2 * second, 20_000));
        assert!(feed(&mut pace, 2 * second + second / 10, 1_000), "it does not change for a little less");
        assert!(!feed(&mut pace, 3 * second, 100));
        assert!(!feed(&mut pace, 9 * second, 100));
    }

    #[test]
    fn a_burst_after_a_long_silence_is_not_a_rate() {
        let mut pace = Pace::default();
        for _ in 0..MANY_WAKES + 5 {
            assert_eq!(pace.note(Duration::ZERO, 1), None);
        }
        assert_eq!(pace.note(Duration::from_secs(5), 1), None);
    }
}
