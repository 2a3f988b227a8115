//! The measurement: first the same hits, then engines in turn, pass after pass.
//!
//! In: engines that are ready, and what the rules say by their description. Out: a row for each engine; an engine that
//! finds something else gets no number, but a sentence that says how it differs.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;

use crate::engines::{Given, Ready, Set};
use crate::rules::Shape;

/// How long a pass of an engine should take at most; slow engines run over fewer events.
const PASS: Duration = Duration::from_millis(300);
/// How long a pass takes at least; fast engines run over the events several times.
const LEAST: Duration = Duration::from_millis(80);
/// The fewest events of a pass.
const FEWEST: usize = 60;
/// How many events show how fast an engine is.
const TRIAL: usize = 50;

/// What was measured of one engine with one number of rules.
#[derive(Debug, Clone)]
pub struct Row {
    /// What kind of rules.
    pub shape: Shape,
    /// The engine.
    pub engine: String,
    /// What it is given per event.
    pub from: &'static str,
    /// How many rules.
    pub rules: usize,
    /// From the rules' text to the first event.
    pub load: Duration,
    /// How many events a pass had.
    pub events: usize,
    /// The cost, unless the engine finds something else.
    pub cost: Result<Cost, String>,
}

/// Nanoseconds an event.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// The median of the passes.
    pub median: f64,
    /// The fastest.
    pub least: f64,
    /// The slowest.
    pub most: f64,
}

impl Cost {
    /// Of passes; NaN without any.
    pub fn of(mut passes: Vec<f64>) -> Cost {
        passes.sort_by(f64::total_cmp);
        let at = |index: usize| passes.get(index).copied().unwrap_or(f64::NAN);
        Cost { median: at(passes.len() / 2), least: at(0), most: at(passes.len().saturating_sub(1)) }
    }

    /// Events a second, by the median.
    pub fn rate(&self) -> f64 {
        1e9 / self.median
    }
}

struct Candidate {
    ready: Ready,
    events: usize,
    repeats: usize,
    hits: usize,
    costs: Vec<f64>,
    differs: Option<String>,
}

/// Checks and measures all engines.
///
/// # Errors
/// When an engine fails.
pub fn measure(given: Given<'_>, shape: Shape, ready: Vec<Ready>, passes: usize) -> Result<Vec<Row>> {
    let mut candidates = Vec::with_capacity(ready.len());
    for ready in ready {
        candidates.push(candidate(given, ready)?);
    }
    for _ in 0..passes {
        for candidate in candidates.iter_mut().filter(|candidate| candidate.differs.is_none()) {
            let mut spent = Duration::ZERO;
            for _ in 0..candidate.repeats {
                let (time, hits) = candidate.ready.engine.pass(candidate.events)?;
                spent += time;
                if hits != candidate.hits {
                    candidate.differs = Some(format!("finds {hits} in a pass, not {}", candidate.hits));
                }
            }
            candidate.costs.push(spent.as_nanos() as f64 / (candidate.events * candidate.repeats) as f64);
        }
    }
    let row = |candidate: Candidate| Row {
        shape,
        engine: candidate.ready.name,
        from: candidate.ready.from,
        rules: given.rules.len(),
        load: candidate.ready.load,
        events: candidate.events,
        cost: candidate.differs.map_or_else(|| Ok(Cost::of(candidate.costs)), Err),
    };
    Ok(candidates.into_iter().map(row).collect())
}

fn candidate(given: Given<'_>, mut ready: Ready) -> Result<Candidate> {
    let differs = differs(given, &mut ready)?;
    // Warms up, and shows about how fast it is.
    ready.engine.pass(TRIAL)?;
    let (time, _) = ready.engine.pass(TRIAL)?;
    let each = (time.as_secs_f64() / TRIAL as f64).max(1e-9);
    let events = ((PASS.as_secs_f64() / each) as usize).clamp(FEWEST, given.measure.events.len());
    let repeats = (LEAST.as_secs_f64() / (each * events as f64)).ceil().clamp(1.0, 100.0) as usize;
    let hits = given.measure.hits.iter().filter(|(event, _)| (*event as usize) < events).count();
    Ok(Candidate { ready, events, repeats, hits, costs: Vec::new(), differs })
}

/// How an engine's hits differ from those that the rules' description has.
fn differs(given: Given<'_>, ready: &mut Ready) -> Result<Option<String>> {
    let mut found = BTreeSet::new();
    ready.engine.run(Set::Check, given.check.events.len(), &mut |event, rule| {
        found.insert((event, rule));
    })?;
    let wanted: BTreeSet<(u32, u32)> = given.check.hits.iter().copied().collect();
    let (missed, more) = (wanted.difference(&found).count(), found.difference(&wanted).count());
    if missed + more == 0 {
        return Ok(None);
    }
    let first = wanted.symmetric_difference(&found).next();
    let first = first.map(|(event, rule)| format!("; first at event {event} with rule {rule}")).unwrap_or_default();
    Ok(Some(format!("misses {missed} of {} hits and finds {more} others{first}", wanted.len())))
}
