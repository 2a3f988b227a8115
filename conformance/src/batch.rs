//! The sequence machine's independent check: a slow batch evaluator, written straight from the language guide, section 6.
//!
//! In: a whole stream of events, each with the terms that it matches, and a pattern. Out: all matches, by the numbers of
//! their events. It looks at the whole stream whenever it likes: `until` and missing events are decided by searching it
//! from end to end. Nothing here is shared with the machine that it checks.

/// An event of a stream, in event order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEvent {
    /// Any unit.
    pub timestamp: i64,
    /// Its key values: none drops the event.
    pub keys: Vec<i64>,
    /// Which terms it matches, by number.
    pub terms: Vec<bool>,
    /// Whether it matches `until`.
    pub until: bool,
}

/// A pattern over such events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// For each term, whether its event must be missing.
    pub missing: Vec<bool>,
    /// Inclusive, from the first event.
    pub maxspan: Option<i64>,
    /// Whether there is an `until`.
    pub until: bool,
}

/// A match: for each term the number of its event, `None` for a missing one; and the key.
pub type BatchMatch = (Vec<Option<usize>>, i64);

/// All matches in the order of their last event, then by key.
pub fn evaluate(pattern: &Pattern, stream: &[StreamEvent]) -> Vec<BatchMatch> {
    let mut keys: Vec<i64> = stream.iter().flat_map(|event| event.keys.iter().copied()).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut found: Vec<(usize, BatchMatch)> = Vec::new();
    for key in keys {
        let of_key: Vec<usize> = (0..stream.len()).filter(|&number| stream[number].keys.contains(&key)).collect();
        for chain in positive_chains(pattern, stream, &of_key) {
            if missing_events_allow(pattern, stream, &of_key, &chain) {
                let mut chain = chain.into_iter();
                let events: Vec<Option<usize>> =
                    pattern.missing.iter().map(|&missing| if missing { None } else { chain.next() }).collect();
                let last = events.iter().flatten().copied().max().unwrap_or(0);
                found.push((last, (events, key)));
            }
        }
    }
    found.sort_by_key(|(last, (_, key))| (*last, *key));
    found.into_iter().map(|(_, found)| found).collect()
}

/// Rules 3, 4 and 5: the slots of one key.
fn positive_chains(pattern: &Pattern, stream: &[StreamEvent], of_key: &[usize]) -> Vec<Vec<usize>> {
    let positives: Vec<usize> = (0..pattern.missing.len()).filter(|&term| !pattern.missing[term]).collect();
    let mut slots: Vec<Option<Vec<usize>>> = vec![None; positives.len()];
    let mut complete = Vec::new();
    for &event in of_key {
        for stage in (0..positives.len()).rev() {
            if !stream[event].terms[positives[stage]] {
                continue;
            }
            let chain = if stage == 0 {
                vec![event]
            } else {
                let Some(mut chain) = slots[stage - 1].take() else { continue };
                let span = stream[event].timestamp - stream[chain[0]].timestamp;
                if pattern.maxspan.is_some_and(|maxspan| span > maxspan) {
                    continue;
                }
                let last = chain[chain.len() - 1];
                let latest_until = of_key.iter().rev().find(|&&other| other < event && stream[other].until);
                if pattern.until && latest_until.is_some_and(|&until| last <= until) {
                    continue;
                }
                chain.push(event);
                chain
            };
            if stage + 1 == positives.len() {
                complete.push(chain);
            } else {
                slots[stage] = Some(chain);
            }
        }
    }
    complete
}

/// Rule 7: each candidate against the missing terms, by timestamp alone.
fn missing_events_allow(pattern: &Pattern, stream: &[StreamEvent], of_key: &[usize], chain: &[usize]) -> bool {
    let Some(maxspan) = pattern.maxspan else { return true };
    let time = |event: usize| stream[event].timestamp;
    let (first, last) = (time(chain[0]), time(chain[chain.len() - 1]));
    let times_of = |terms: &[usize]| -> Vec<i64> {
        of_key
            .iter()
            .filter(|&&event| terms.iter().any(|&term| stream[event].terms[term]))
            .map(|&event| time(event))
            .collect()
    };
    let mut positives_before = 0;
    let (mut leading, mut trailing): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    for (term, &missing) in pattern.missing.iter().enumerate() {
        match (missing, positives_before) {
            (false, _) => positives_before += 1,
            (true, 0) => leading.push(term),
            (true, before) if before == chain.len() => trailing.push(term),
            (true, before) => {
                let (left, right) = (time(chain[before - 1]), time(chain[before]));
                if times_of(&[term]).into_iter().any(|between| left < between && between < right) {
                    return false;
                }
            }
        }
    }
    let before = times_of(&leading).into_iter().filter(|&seen| seen < first).max();
    let after = times_of(&trailing).into_iter().filter(|&seen| seen > last).min();
    match (leading.is_empty(), trailing.is_empty()) {
        (true, true) => true,
        (false, true) => before.is_none_or(|before| last - before > maxspan),
        (true, false) => after.is_none_or(|after| after - first > maxspan),
        (false, false) => match (before, after) {
            (Some(before), Some(after)) => after - before > maxspan,
            _ => true,
        },
    }
}
