//! The clock: how long dispatch and each runtime take over prepared events.

use std::hint::black_box;
use std::time::{Duration, Instant};

use kestrel_core::atoms::{AtomCache, Atoms};
use kestrel_core::dispatch::Dispatch;
use kestrel_engine::runtime::{Runtime, RuntimeError, RuntimeKind, RuntimeParts, create};
use kestrel_ir::event::Event;
use kestrel_ir::model::{Ir, PredicateId};

use super::events::Events;

/// What is timed at once lasts about so long.
const SLICE: Duration = Duration::from_micros(100);
/// The fewest items of a slice, so that reading the clock does not count.
const SHORTEST_SLICE: usize = 8;
/// The most repetitions of work that is shorter than a slice.
const MOST_REPETITIONS: u128 = 100_000;
/// How often everything is done before it is timed.
const WARM_UPS: u32 = 2;
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
pub fn dispatch(ir: &Ir, atoms: &Atoms, events: &Events, passes: u32) -> f64 {
    let mut dispatch = Dispatch::new(ir, &events.table);
    let mut candidates = Vec::new();
    let mut cache = atoms.cache();
    for (event, frame) in events.events.iter().zip(&events.frames) {
        candidates.clear();
        dispatch.candidates(event, &mut candidates);
        if dispatch.wants_observation()
            && let Some(frame) = frame.frame()
        {
            cache.reset();
            dispatch.observe(event, frame, atoms, &mut cache);
        }
    }
    let every: Vec<&Event> = events.events.iter().collect();
    median_of(passes, &every, |event| {
        candidates.clear();
        dispatch.candidates(black_box(event), &mut candidates);
        black_box(&candidates);
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
    let all = median_of(passes, &every, |at| {
        asker.ask(events, at, None);
    });
    let of_predicate = events_of_predicates(parts.ir, events);
    let (mut predicates, mut hits) = (Vec::new(), Vec::new());
    for (predicate, asked) in (0..).map(PredicateId).zip(&of_predicate) {
        hits.push(asked.iter().map(|&at| asker.ask(events, at, Some(predicate))).sum());
        predicates.push(median_of(passes, asked, |at| {
            asker.ask(events, at, Some(predicate));
        }));
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

/// How long `act` takes for all items together, in nanoseconds.
///
/// The items are cut into slices that last about as long as [`SLICE`], each slice is timed once in every pass, and the
/// medians of the slices are added up. A slice is shorter than what the system gives a process at once, so on a busy
/// machine most slices are not interrupted and the medians are of the work alone. Work shorter than a slice is repeated.
/// What is done before the passes warms caches and is not counted.
fn median_of<T: Copy>(passes: u32, items: &[T], mut act: impl FnMut(T)) -> f64 {
    let mut whole = |_: u32| {
        let start = Instant::now();
        items.iter().for_each(|&item| act(item));
        start.elapsed()
    };
    let once = (0..WARM_UPS).map(&mut whole).min().unwrap_or_default().max(Duration::from_nanos(1));
    let parts = (once.as_nanos() / SLICE.as_nanos() + 1).min(items.len().max(1) as u128) as usize;
    let length = items.len().div_ceil(parts).max(SHORTEST_SLICE);
    let repetitions = if parts > 1 { 1 } else { (SLICE.as_nanos() / once.as_nanos() + 1).min(MOST_REPETITIONS) as u32 };
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); items.len().div_ceil(length)];
    for _ in 0..passes.max(1) {
        for (slice, times) in items.chunks(length).zip(&mut times) {
            let start = Instant::now();
            for _ in 0..repetitions {
                slice.iter().for_each(|&item| act(item));
            }
            times.push(start.elapsed().as_nanos() as f64 / f64::from(repetitions));
        }
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or_default()
    };
    times.iter_mut().map(median).sum()
}
