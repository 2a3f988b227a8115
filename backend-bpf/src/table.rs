//! The keys of each predicate, as a table for the pack.
//!
//! In: what was chosen for each predicate and kind. Out: [`PredicateKeys`] of bounded size. Where not all of them have room, those of
//! predicates with few keys go first, and what is left out is wanted whole by whoever runs some of the rules. A pack can be built
//! whatever the rules ask for.

use std::collections::HashSet;
use std::rc::Rc;

use kestrel_ir::model::PredicateId;
use kestrel_ir::pack::{FilterKey, KeyUse, MAX_PREDICATE_KEYS, PredicateKeys};

use crate::keys::{Chosen, Keys};

/// The most bytes of the table, as the pack encodes it or a little more.
const MAX_TABLE: usize = 4 << 20;
/// The most bytes of a number in the table: numbers of keys are below 2²¹, those of predicates and kinds are counted so.
const NUMBER: usize = 3;
/// Of an entry and of a key the bytes beside its numbers or its text: lengths, the predicate, the test.
const HEAD: usize = 16;

/// What one predicate asks of some kinds.
struct Entry<'k> {
    predicate: u32,
    kinds: Vec<u16>,
    chosen: &'k Rc<Chosen>,
}

/// What was chosen for each predicate and the kinds that it can want; kinds with the same keys together.
pub(crate) fn predicate_keys(keys: &Keys, by_predicate: &[Vec<u16>]) -> PredicateKeys {
    let mut entries = with_room(entries(keys, by_predicate));
    entries.sort_by(|left, right| (left.predicate, &left.kinds).cmp(&(right.predicate, &right.kinds)));
    let table: HashSet<&FilterKey> = entries.iter().flat_map(|entry| &entry.chosen.keys).collect();
    let mut table: Vec<&FilterKey> = table.into_iter().collect();
    table.sort_unstable();
    let number = |key: &FilterKey| table.binary_search(&key).ok().map(|number| number as u32);
    // The keys of an entry are sorted, so their numbers are.
    let used = |entry: Entry<'_>| KeyUse {
        predicate: entry.predicate,
        kinds: entry.kinds,
        keys: entry.chosen.keys.iter().filter_map(number).collect(),
    };
    let uses = entries.into_iter().map(used).collect();
    PredicateKeys { keys: table.into_iter().cloned().collect(), uses }
}

fn entries<'k>(keys: &'k Keys, by_predicate: &[Vec<u16>]) -> Vec<Entry<'k>> {
    let mut entries: Vec<Entry<'k>> = Vec::new();
    for (number, kinds) in by_predicate.iter().enumerate() {
        let predicate = number as u32;
        let first = entries.len();
        for &kind in kinds {
            let Some(chosen) = keys.chosen(PredicateId(predicate), kind) else { continue };
            let same = |entry: &&mut Entry<'_>| Rc::ptr_eq(entry.chosen, chosen) || entry.chosen.keys == chosen.keys;
            match entries.iter_mut().skip(first).find(same) {
                Some(entry) => entry.kinds.push(kind),
                None => entries.push(Entry { predicate, kinds: vec![kind], chosen }),
            }
        }
    }
    entries.iter_mut().for_each(|entry| entry.kinds.sort_unstable());
    entries
}

/// The entries that have room, those with the fewest keys first.
fn with_room(mut entries: Vec<Entry<'_>>) -> Vec<Entry<'_>> {
    entries.sort_by_key(|entry| entry.chosen.keys.len());
    let mut room = MAX_TABLE;
    let mut table: HashSet<&FilterKey> = HashSet::new();
    entries.retain(|entry| {
        let numbers = HEAD + NUMBER * (entry.kinds.len() + entry.chosen.keys.len());
        if numbers > room {
            return false;
        }
        let new: Vec<&FilterKey> = entry.chosen.keys.iter().filter(|key| !table.contains(key)).collect();
        let bytes = numbers + new.iter().map(|key| HEAD + key.text.len()).sum::<usize>();
        let fits = bytes <= room && table.len() + new.len() <= MAX_PREDICATE_KEYS;
        if fits {
            room -= bytes;
            table.extend(new);
        }
        fits
    });
    entries
}
