//! Under which clauses each predicate of a kind is filed, so that an event of the kind costs little.
//!
//! A predicate is a candidate when all clauses that it is filed under are found, so each further clause saves
//! evaluations. A way into the index (a field's hash table, its automaton) costs something for every event that has the
//! field, whoever uses it; one that saves its users less than it costs is closed, and they go elsewhere.

use std::collections::BTreeMap;

use kestrel_ir::event::FieldNumber;

use super::plan::{Access, KeyValue, Plan, PredicatePlan};

/// The most clauses that a predicate is filed under.
pub(super) const MAX_CLAUSES: usize = 4;
/// A clause that more events than this fulfil is not worth looking at.
const TOO_FREQUENT: f64 = 0.8;
/// What the evaluation of a candidate costs, in nanoseconds, measured with compiled code.
const EVALUATION: f64 = 100.0;
/// What it costs to note that a clause of a predicate was found.
const NOTE: f64 = 4.0;
/// What looking up one value in a hash table costs, folding included.
const LOOK_UP: f64 = 20.0;
/// What an automaton costs for a value, and for each of its bytes.
const AUTOMATON: f64 = 20.0;
const AUTOMATON_BYTE: f64 = 1.5;

/// A way into the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    field: FieldNumber,
    automaton: bool,
}

/// A predicate and the clauses that it is filed under; without any it is a candidate for every event of the kind.
#[derive(Debug, Clone)]
pub(super) struct Filed<'p> {
    pub(super) predicate: &'p PredicatePlan,
    pub(super) accesses: Vec<&'p Access>,
    /// Nanoseconds an event, the ways apart.
    cost: f64,
}

/// Chooses for all `predicates`, which are those of one kind of events.
pub(super) fn choose<'p>(plan: &'p Plan, predicates: impl Iterator<Item = &'p PredicatePlan>) -> Vec<Filed<'p>> {
    let mut filed: Vec<Filed<'p>> = predicates.map(|predicate| Filed::new(predicate, |_| true)).collect();
    let mut users: BTreeMap<Way, Vec<usize>> = BTreeMap::new();
    for (number, filed) in filed.iter().enumerate() {
        for way in filed.ways() {
            let users = users.entry(way).or_default();
            if users.last() != Some(&number) {
                users.push(number);
            }
        }
    }
    let mut open: Vec<Way> = users.keys().copied().collect();
    let mut by_use: Vec<(Way, Vec<usize>)> = users.into_iter().collect();
    by_use.sort_by_key(|(_, users)| users.len());
    for (way, users) in by_use {
        let elsewhere = |&number: &usize| {
            let filed: &Filed<'p> = filed.get(number)?;
            let usable = |other: Way| other != way && open.binary_search(&other).is_ok();
            filed.ways().any(|used| used == way).then(|| (number, Filed::new(filed.predicate, usable), filed.cost))
        };
        let moved: Vec<_> = users.iter().filter_map(elsewhere).collect();
        let loss: f64 = moved.iter().map(|(_, to, before)| to.cost - before).sum();
        if loss < cost_of_way(plan, way) {
            open.retain(|other| *other != way);
            for (number, to, _) in moved {
                if let Some(filed) = filed.get_mut(number) {
                    *filed = to;
                }
            }
        }
    }
    filed
}

impl<'p> Filed<'p> {
    /// Files a predicate under its rarest clauses among those whose ways are all usable, as many as save something.
    fn new(predicate: &'p PredicatePlan, usable: impl Fn(Way) -> bool) -> Filed<'p> {
        let of_use = predicate.accesses.iter().filter(|access| ways(access).all(&usable));
        let mut by_frequency: Vec<(f64, &Access)> = of_use
            .map(|access| (predicate.frequency(access), access))
            .filter(|(often, _)| *often < TOO_FREQUENT)
            .collect();
        by_frequency.sort_by(|left, right| left.0.total_cmp(&right.0));
        let mut filed = Filed { predicate, accesses: Vec::new(), cost: EVALUATION };
        let (mut together, mut notes) = (1.0, 0.0);
        for (frequency, access) in by_frequency.into_iter().take(MAX_CLAUSES) {
            // As if clauses held independently of each other, which they hardly do: the second counts half.
            let fewer = if filed.accesses.is_empty() { frequency } else { f64::midpoint(frequency, 1.0) };
            let cost = EVALUATION * together * fewer + notes + NOTE * frequency;
            if cost < filed.cost {
                filed.accesses.push(access);
                together *= fewer;
                notes += NOTE * frequency;
                filed.cost = cost;
            }
        }
        filed
    }

    fn ways(&self) -> impl Iterator<Item = Way> {
        self.accesses.iter().flat_map(|access| ways(access))
    }
}

fn ways(access: &Access) -> impl Iterator<Item = Way> {
    access.keys.iter().map(|key| Way { field: key.field, automaton: matches!(key.value, KeyValue::Part(..)) })
}

fn cost_of_way(plan: &Plan, way: Way) -> f64 {
    let (values, bytes) = plan.values_of(way.field);
    values * if way.automaton { AUTOMATON + AUTOMATON_BYTE * bytes } else { LOOK_UP }
}
