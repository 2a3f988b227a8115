//! Dispatch: which predicates are worth evaluating for an event.
//!
//! In: the guards of all predicates (necessary conditions), then events. Out, for each event: candidates in ascending
//! order, among them every predicate that can hold. What an event costs hardly depends on how many predicates there are:
//!
//! ```text
//! event ─▶ its kind: the values of category, type, action, … that rules name ─▶ that kind's index, built when first met
//!            │                                                                    predicates whose guard fits the kind,
//!            ▼                                                                    each filed under its rarest clauses
//!          each field that is a key for some of them:
//!            its text ──▶ what it found the last time, if that was not long ago
//!            its text, folded ──▶ hash table       names, extensions, paths
//!                             └─▶ one automaton    prefixes, suffixes, infixes of all of them together
//!            its number ────────▶ hash table       ports, ids
//! ```
//!
//! Which clauses are rarest is measured: of some events all guards are looked at ([`Dispatch::observe`]), and the indexes
//! are built anew when enough was learned. What is measured changes the cost of an event and never its answer.

use std::collections::HashMap;

use kestrel_ir::event::{Event, FieldTable, FieldValue};
use kestrel_ir::frame::Frame;
use kestrel_ir::model::{Ir, PredicateId};
use rustc_hash::FxBuildHasher;

use crate::atoms::{AtomCache, Atoms};
use index::{KindIndex, Posting};
use memo::Memo;
use plan::{Plan, Symbol};

mod choice;
mod index;
mod memo;
mod plan;

/// The most kinds of events with an index of their own; the others share one that leaves the kind to the predicates.
const MAX_KINDS: usize = 512;
/// When the indexes take so many bytes, no further kind gets one.
const MAX_INDEX_BYTES: usize = 32 << 20;
/// So many events are observed at first, one after another.
const OBSERVED_AT_FIRST: u64 = 32;
/// Then one of so many, until [`OBSERVED_OFTEN`] were observed.
const OBSERVED_STRIDE: u64 = 64;
const OBSERVED_OFTEN: u64 = 256;
/// And one of so many ever after, because what a host does changes.
const OBSERVED_STRIDE_LATER: u64 = 4096;

/// Predicates by what an event must have for them.
#[derive(Debug)]
pub struct Dispatch {
    plan: Plan,
    kinds: HashMap<Box<[Symbol]>, usize, FxBuildHasher>,
    indexes: Vec<KindIndex>,
    /// What they take.
    index_bytes: usize,
    /// The index for events of a kind too many.
    any_kind: Option<KindIndex>,
    /// How many indexes of fields there are in all of them.
    fields: u32,
    events: u64,
    observed: u64,
    rebuild_at: u64,
    scratch: Scratch,
}

#[derive(Debug, Default)]
struct Scratch {
    symbols: Vec<Symbol>,
    folded: String,
    found: Found,
    memo: Memo,
}

/// What was found for one event.
#[derive(Debug, Default)]
struct Found {
    /// For each predicate the number of the event that it was found for last, and which of its clauses.
    predicates: Vec<(u32, u8)>,
    event: u32,
}

impl Found {
    fn begin(&mut self) {
        self.event = self.event.wrapping_add(1);
        if self.event == 0 {
            self.predicates.fill((0, 0));
            self.event = 1;
        }
    }

    /// Notes clauses; a predicate all of whose clauses are found is a candidate.
    fn note(&mut self, postings: &[Posting], clauses: &[u8], out: &mut Vec<PredicateId>) {
        for &Posting { predicate, clause } in postings {
            let index = predicate.index();
            let (Some((event, found)), Some(&all)) = (self.predicates.get_mut(index), clauses.get(index)) else {
                continue;
            };
            let before = if *event == self.event { *found } else { 0 };
            (*event, *found) = (self.event, before | clause);
            if *found == all && before != all {
                out.push(predicate);
            }
        }
    }
}

impl Dispatch {
    /// The index of a pack's predicates over events whose fields `table` numbers.
    pub fn new(ir: &Ir, table: &FieldTable) -> Dispatch {
        Dispatch {
            plan: Plan::new(ir, table),
            kinds: HashMap::default(),
            indexes: Vec::new(),
            index_bytes: 0,
            any_kind: None,
            fields: 0,
            events: 0,
            observed: 0,
            rebuild_at: OBSERVED_AT_FIRST,
            scratch: Scratch {
                found: Found { predicates: vec![(0, 0); ir.predicates.len()], event: 0 },
                ..Scratch::default()
            },
        }
    }

    /// Appends the predicates that can hold for the event, in ascending order, each once.
    pub fn candidates(&mut self, event: &Event, out: &mut Vec<PredicateId>) {
        self.events += 1;
        let start = out.len();
        let Dispatch { plan, kinds, indexes, index_bytes, any_kind, fields, scratch, .. } = self;
        let Scratch { symbols, folded, found, memo } = scratch;
        plan.symbols_of(event, folded, symbols);
        let index = match kinds.get(symbols.as_slice()) {
            Some(&kind) => indexes.get(kind),
            None if indexes.len() < MAX_KINDS && *index_bytes < MAX_INDEX_BYTES => {
                kinds.insert(symbols.as_slice().into(), indexes.len());
                let index = KindIndex::new(plan, Some(symbols), fields);
                *index_bytes = index_bytes.saturating_add(index.size());
                indexes.push(index);
                indexes.last()
            }
            None => Some(&*any_kind.get_or_insert_with(|| KindIndex::new(plan, None, fields))),
        };
        let Some(index) = index else { return };
        found.begin();
        out.extend_from_slice(&index.always);
        for entry in event.entries() {
            let Some(field) = index.field(entry.field()) else { continue };
            match entry.value() {
                FieldValue::Text(text) => {
                    field.find_text(text, memo, folded, |postings| found.note(postings, &index.clauses, out));
                }
                FieldValue::Integer(value) => found.note(field.find_number(value), &index.clauses, out),
                _ => {}
            }
        }
        if let Some(added) = out.get_mut(start..) {
            added.sort_unstable();
        }
    }

    /// Whether the event that was dispatched last should be observed, so that the index fits what comes.
    pub fn wants_observation(&self) -> bool {
        self.events <= OBSERVED_AT_FIRST
            || self.events.is_multiple_of(match self.observed < OBSERVED_OFTEN {
                true => OBSERVED_STRIDE,
                false => OBSERVED_STRIDE_LATER,
            })
    }

    /// Learns from an event which clauses of the guards are rare. `frame` is the event's, `cache` was reset for it.
    pub fn observe(&mut self, event: &Event, frame: Frame<'_>, atoms: &Atoms, cache: &mut AtomCache) {
        let Scratch { symbols, folded, .. } = &mut self.scratch;
        self.plan.symbols_of(event, folded, symbols);
        self.plan.observe(event, symbols, |atom| atoms.test(atom, frame, cache));
        self.observed += 1;
        if self.observed >= self.rebuild_at {
            self.rebuild_at = self.rebuild_at.saturating_mul(4);
            self.kinds.clear();
            self.indexes.clear();
            self.index_bytes = 0;
            self.any_kind = None;
            self.fields = 0;
            self.scratch.memo.clear();
        }
    }
}
