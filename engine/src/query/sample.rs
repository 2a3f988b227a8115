//! Samples over a file: keys ascending, one sample per key, each filter with an event of its own.

use std::collections::BTreeMap;

use kestrel_core::evidence::Evidence;
use kestrel_core::key::{JoinKey, join_keys};
use kestrel_core::matcher::Match;
use kestrel_ir::model::{Ir, Rule, RuleIndex, RuleKind, Step};

/// The IR whose rules are the filters of a sample, one rule of single events each.
pub(super) fn filters(ir: &Ir, terms: &[Step]) -> Ir {
    let rules = terms
        .iter()
        .enumerate()
        .map(|(number, term)| Rule {
            id: number.to_string(),
            kind: RuleKind::Event { predicate: term.predicate },
            pipes: Vec::new(),
            program: None,
        })
        .collect();
    Ir { rules, ..ir.clone() }
}

/// The samples among the matches of the filters, which stand in event order.
pub(super) fn samples(ir: &Ir, terms: &[Step], matches: Vec<Match>) -> Vec<Match> {
    let mut by_key: BTreeMap<JoinKey, Vec<Vec<Match>>> = BTreeMap::new();
    let mut keys = Vec::new();
    for found in matches {
        let filter = found.rule.index();
        let frame = found.events.first().and_then(Option::as_ref).and_then(Evidence::frame);
        let (Some(term), Some(frame)) = (terms.get(filter), frame) else { continue };
        join_keys(&ir.layout, &term.keys, frame, &mut keys);
        for key in keys.drain(..) {
            by_key.entry(key).or_insert_with(|| vec![Vec::new(); terms.len()])[filter].push(found.clone());
        }
    }
    by_key
        .into_iter()
        .filter_map(|(key, candidates)| {
            let chosen = distinct(&candidates)?;
            let last = chosen.iter().map(|found| found.last).max()?;
            let events = chosen.into_iter().flat_map(|found| found.events.clone()).collect();
            Some(Match { rule: RuleIndex(0), events, key, last, told: last.ordinal, findings: None })
        })
        .collect()
}

/// An event for each filter, no event twice: the earliest, unless another filter has no other event (augmenting paths).
fn distinct(candidates: &[Vec<Match>]) -> Option<Vec<&Match>> {
    let mut taken: BTreeMap<u64, usize> = BTreeMap::new();
    for filter in 0..candidates.len() {
        let mut tried = Vec::new();
        if !assign(filter, candidates, &mut taken, &mut tried) {
            return None;
        }
    }
    (0..candidates.len())
        .map(|filter| candidates[filter].iter().find(|found| taken.get(&found.last.ordinal) == Some(&filter)))
        .collect()
}

fn assign(filter: usize, candidates: &[Vec<Match>], taken: &mut BTreeMap<u64, usize>, tried: &mut Vec<u64>) -> bool {
    for free_only in [true, false] {
        for found in &candidates[filter] {
            let event = found.last.ordinal;
            match taken.get(&event).copied() {
                None => {
                    taken.insert(event, filter);
                    return true;
                }
                Some(owner) if !free_only && !tried.contains(&event) => {
                    tried.push(event);
                    if assign(owner, candidates, taken, tried) {
                        taken.insert(event, filter);
                        return true;
                    }
                }
                Some(_) => {}
            }
        }
    }
    false
}
