//! From the kernel's clock, which counts from boot, to the calendar.

use std::time::{Duration, Instant};

use super::sys;

/// How long one comparison of the clocks is good for. NTP slews both alike; only a set clock makes them part.
const GOOD_FOR: Duration = Duration::from_secs(10);
/// Differences below this are the uncertainty of comparing, not a set clock.
const STEP: i64 = 1_000_000;

/// The distance between the two clocks.
pub(super) struct Clock {
    offset: i64,
    compared: Instant,
    /// Times the distance was found to have changed.
    pub(super) steps: u64,
}

impl Clock {
    pub(super) fn new() -> Self {
        Clock { offset: compare(), compared: Instant::now(), steps: 0 }
    }

    /// Compares again, if the last time is long ago.
    pub(super) fn refresh(&mut self) {
        if self.compared.elapsed() < GOOD_FOR {
            return;
        }
        self.compared = Instant::now();
        let offset = compare();
        if offset.abs_diff(self.offset) > STEP as u64 {
            self.offset = offset;
            self.steps += 1;
        }
    }

    /// Nanoseconds since 1970 of a moment in nanoseconds since boot.
    pub(super) fn calendar(&self, since_boot: u64) -> i64 {
        self.offset.saturating_add_unsigned(since_boot)
    }
}

/// Calendar minus boot clock: the comparison that took the least time is the most exact.
fn compare() -> i64 {
    let tries = (0..5).map(|_| {
        let before = sys::boot_clock();
        let calendar = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
        let after = sys::boot_clock();
        (after - before, calendar - (before + (after - before) / 2))
    });
    tries.min().map_or(0, |(_, offset)| offset)
}
