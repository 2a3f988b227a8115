//! The clock: how long dispatch and each runtime take over prepared events.

use std::hint::black_box;
use std::time::{Duration, Instant};

use kestrel_core::atoms::{AtomCache, Atoms};
use kestrel_core::dispatch::Dispatch;
use kestrel_engine::runtime::{Runtime, RuntimeError, RuntimeKind, RuntimeParts, create};
use kestrel_ir::model::{Ir, PredicateId};

use super::events::Events;

/// A pass over all events takes at least so long.
const SHORTEST_PASS: Duration = Duration::from_millis(1);
/// A pass over the events of one predicate.
const SHORTEST_PREDICATE_PASS: Duration = Duration::from_micros(100);
/// The most repetitions within a pass.
const MOST_REPETITIONS: u32 = 100_000;
/// Loading is not repeated beyond this.
const LONGEST_LOADING: Duration = Duration::from_secs(2);

/// What one runtime costs.
pub struct RuntimeCost {
    /// Which.
    pub kind: RuntimeKind,
    /// From the pack's parts to a runtime that answers.
    pub load: Duration,
    /// Evaluating all candidates of all events, nanoseconds.
    pub all: f64,
    /// Evaluating each predicate alone, for the events whose candidate it is, nanoseconds.
    pub predicates: Vec<f64>,
    /// For how many events each predicate held.
    pub hits: Vec<u64>,
    /// What the runtime said when it failed first.
    pub failure: Option<String>,
}

/// How long dispatch takes for all events, in nanoseconds.
pub fn dispatch(ir: &Ir, events: &Events, passes: u32) -> f64 {
    let mut dispatch = Dispatch::new(ir);
    let mut candidates = Vec::new();
    median_of(passes, SHORTEST_PASS, || {
        for frame in events.frames.iter().filter_map(|frame| frame.frame()) {
            candidates.clear();
            dispatch.candidates(black_box(frame), &mut candidates);
            black_box(&candidates);
        }
    })
}

/// What a runtime costs over these events.
///
/// # Errors
/// When the pack has no code for it, or the code is refused.
pub fn runtime(
    kind: RuntimeKind,
    parts: &RuntimeParts<'_>,
    atoms: &Atoms,
    events: &Events,
    passes: u32,
) -> Result<RuntimeCost, RuntimeError> {
    let mut loads = Vec::new();
    let began = Instant::now();
    let mut runtime = loop {
        let start = Instant::now();
        let runtime = create(kind, parts)?;
        loads.push(start.elapsed());
        if loads.len() >= passes as usize || began.elapsed() > LONGEST_LOADING {
            break runtime;
        }
    };
    loads.sort_unstable();
    let load = loads.get(loads.len() / 2).copied().unwrap_or_default();
    let every: Vec<u32> =
        (0_u32..).zip(&events.candidates).filter(|(_, asked)| !asked.is_empty()).map(|(at, _)| at).collect();
    let mut asker = Asker { runtime: runtime.as_mut(), atoms, cache: atoms.cache(), hits: Vec::new(), failure: None };
    let all = median_of(passes, SHORTEST_PASS, || {
        for &at in &every {
            asker.ask(events, at, None);
        }
    });
    let of_predicate = events_of_predicates(parts.ir, events);
    let (mut predicates, mut hits) = (Vec::new(), Vec::new());
    for (predicate, asked) in (0..).map(PredicateId).zip(&of_predicate) {
        hits.push(asked.iter().map(|&at| asker.ask(events, at, Some(predicate))).sum());
        predicates.push(if asked.is_empty() {
            0.0
        } else {
            median_of(passes, SHORTEST_PREDICATE_PASS, || {
                for &at in asked {
                    asker.ask(events, at, Some(predicate));
                }
            })
        });
    }
    Ok(RuntimeCost { kind, load, all, predicates, hits, failure: asker.failure })
}

/// For each predicate the events whose candidate it is.
pub fn events_of_predicates(ir: &Ir, events: &Events) -> Vec<Vec<u32>> {
    let mut of_predicate: Vec<Vec<u32>> = vec![Vec::new(); ir.predicates.len()];
    for (at, candidates) in (0..).zip(&events.candidates) {
        for candidate in candidates {
            if let Some(asked) = of_predicate.get_mut(candidate.index()) {
                asked.push(at);
            }
        }
    }
    of_predicate
}

/// A runtime with what it needs to answer.
struct Asker<'r> {
    runtime: &'r mut dyn Runtime,
    atoms: &'r Atoms,
    cache: AtomCache,
    hits: Vec<PredicateId>,
    failure: Option<String>,
}

impl Asker<'_> {
    /// Has the candidates of an event evaluated, or one of them alone; how many hold.
    fn ask(&mut self, events: &Events, at: u32, only: Option<PredicateId>) -> u64 {
        let at = at as usize;
        let event = events.frames.get(at).and_then(|frame| frame.frame());
        let (Some(frame), Some(candidates), Some(lineage)) = (event, events.candidates.get(at), events.lineage.get(at))
        else {
            return 0;
        };
        self.cache.reset();
        lineage.iter().for_each(|&atom| self.cache.add_lineage(atom));
        self.hits.clear();
        let candidates: &[PredicateId] = only.as_ref().map_or(candidates, std::slice::from_ref);
        let answer = self.runtime.evaluate(black_box(frame), self.atoms, &mut self.cache, candidates, &mut self.hits);
        if let Err(error) = answer {
            self.failure.get_or_insert_with(|| error.to_string());
        }
        black_box(self.hits.len() as u64)
    }
}

/// The median time of `act` in nanoseconds, over passes in which it is repeated until they last long enough. The first
/// call, which warms caches, is not counted.
fn median_of(passes: u32, shortest: Duration, mut act: impl FnMut()) -> f64 {
    act();
    let start = Instant::now();
    act();
    let once = start.elapsed().max(Duration::from_nanos(1));
    let repetitions = (shortest.as_nanos() / once.as_nanos() + 1).min(u128::from(MOST_REPETITIONS)) as u32;
    let mut times: Vec<f64> = (0..passes.max(1))
        .map(|_| {
            let start = Instant::now();
            (0..repetitions).for_each(|_| act());
            start.elapsed().as_nanos() as f64 / f64::from(repetitions)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}
