//! Under which clause each predicate of a kind is filed, so that an event of the kind costs little.
//!
//! A clause costs what its keys find: each time one is there the predicate is evaluated. A way into the index (a field's
//! hash table, its automaton) costs something for every event that has the field, whoever uses it; one that saves its
//! users less than it costs is given up, and they go elsewhere.

use std::collections::BTreeMap;

use kestrel_ir::event::FieldNumber;

use super::plan::{Access, KeyValue, Plan, PredicatePlan};

/// What the evaluation of a candidate costs, in nanoseconds, measured with compiled code.
const EVALUATION: f64 = 80.0;
/// What looking up one value in a hash table costs, folding included.
const LOOK_UP: f64 = 25.0;
/// What an automaton costs for a value, and for each of its bytes.
const AUTOMATON: f64 = 30.0;
const AUTOMATON_BYTE: f64 = 1.5;

/// A way into the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    field: FieldNumber,
    automaton: bool,
}

/// A predicate and the number of its clause; `None` when it is a candidate for every event of the kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filed<'p> {
    pub(super) predicate: &'p PredicatePlan,
    pub(super) access: Option<&'p Access>,
}

/// Chooses for all `predicates`, which are those of one kind of events.
pub(super) fn choose<'p>(plan: &'p Plan, predicates: impl Iterator<Item = &'p PredicatePlan>) -> Vec<Filed<'p>> {
    let mut given_up: Vec<Way> = Vec::new();
    let mut filed: Vec<Filed<'p>> = predicates.map(|predicate| best(predicate, |_| true)).collect();
    loop {
        let mut users: BTreeMap<Way, Vec<usize>> = BTreeMap::new();
        for (number, filed) in filed.iter().enumerate() {
            for way in filed.access.into_iter().flat_map(ways) {
                let users = users.entry(way).or_default();
                if users.last() != Some(&number) {
                    users.push(number);
                }
            }
        }
        let open: Vec<Way> = users.keys().copied().collect();
        let losing = users.iter().find_map(|(&way, users)| {
            let elsewhere = |number: &usize| {
                let usable = |other: Way| other != way && open.binary_search(&other).is_ok();
                let filed = filed.get(*number)?;
                Some((*number, best(filed.predicate, usable), cost(filed)))
            };
            let moved: Vec<_> = users.iter().filter_map(elsewhere).collect();
            let loss: f64 = moved.iter().map(|(_, to, before)| cost(to) - before).sum();
            (loss < cost_of_way(plan, way)).then_some((way, moved))
        });
        let Some((way, moved)) = losing else { return filed };
        given_up.push(way);
        for (number, to, _) in moved {
            if let Some(filed) = filed.get_mut(number) {
                *filed = to;
            }
        }
        // Each round closes one way and opens none.
        debug_assert!(filed.iter().flat_map(|filed| filed.access).flat_map(ways).all(|way| !given_up.contains(&way)));
    }
}

/// The rarest clause whose ways are all usable.
fn best(predicate: &PredicatePlan, usable: impl Fn(Way) -> bool) -> Filed<'_> {
    let of_use = predicate.accesses.iter().filter(|access| ways(access).all(&usable));
    let access = of_use.min_by(|left, right| {
        let score =
            |access| predicate.frequency(access) + if ways(access).any(|way| way.automaton) { 0.002 } else { 0.0 };
        score(left).total_cmp(&score(right))
    });
    Filed { predicate, access: access.filter(|access| predicate.frequency(access) < 0.9) }
}

fn ways(access: &Access) -> impl Iterator<Item = Way> {
    access.keys.iter().map(|key| Way { field: key.field, automaton: matches!(key.value, KeyValue::Part(..)) })
}

fn cost(filed: &Filed<'_>) -> f64 {
    EVALUATION * filed.access.map_or(1.0, |access| filed.predicate.frequency(access))
}

fn cost_of_way(plan: &Plan, way: Way) -> f64 {
    let (values, bytes) = plan.values_of(way.field);
    values * if way.automaton { AUTOMATON + AUTOMATON_BYTE * bytes } else { LOOK_UP }
}
