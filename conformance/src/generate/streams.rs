//! Random sequence patterns and streams of events, for the machine against the batch evaluator.

use super::Random;
use crate::batch::{Pattern, StreamEvent};

/// A pattern of up to four terms.
pub fn pattern(random: &mut Random) -> Pattern {
    let terms = 1 + random.below(4);
    let mut missing: Vec<bool> = (0..terms).map(|_| random.once_in(3)).collect();
    if missing.iter().all(|&missing| missing) {
        missing[random.below(terms)] = false;
    }
    if terms == 1 {
        missing.push(random.once_in(2));
    }
    let needs_maxspan = missing.iter().any(|&missing| missing);
    let maxspan = (needs_maxspan || random.once_in(2)).then(|| 1 + random.below(12) as i64);
    Pattern { missing, maxspan, until: random.once_in(3) }
}

/// A stream of up to forty events over three keys, with many equal timestamps.
pub fn stream(random: &mut Random, pattern: &Pattern) -> Vec<StreamEvent> {
    let mut timestamp = 0;
    (0..random.below(40))
        .map(|_| {
            timestamp += [0, 0, 1, 1, 2, 5][random.below(6)];
            let mut keys: Vec<i64> = (0..[0, 1, 1, 1, 1, 2][random.below(6)]).map(|_| random.below(3) as i64).collect();
            keys.dedup();
            StreamEvent {
                timestamp,
                keys,
                terms: pattern.missing.iter().map(|_| random.once_in(3)).collect(),
                until: random.once_in(6),
            }
        })
        .collect()
}
