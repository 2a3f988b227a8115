//! Samples over a stream: one event for each filter, in any order, that share their keys.
//!
//! Slots per key; an event takes the first empty slot of a filter that it matches, so that every filter has an event of
//! its own. When all are filled the sample is told and the key starts anew.

use kestrel_ir::layout::Layout;
use kestrel_ir::model::Step;

use crate::evidence::{CurrentEvent, EventOrder, Evidence};
use crate::key::{JoinKey, join_keys};
use crate::sequence::{CompletedSequence, MatchedTerms};
use crate::store::Store;

/// The state of one sample rule.
#[derive(Debug)]
pub struct SampleMachine {
    terms: Vec<Step>,
    store: Store<Vec<Option<(Evidence, EventOrder)>>>,
    keys: Vec<JoinKey>,
    evicted: u64,
}

impl SampleMachine {
    /// A machine over these filters, with state for at most `max_keys` keys.
    pub fn new(terms: &[Step], max_keys: usize) -> SampleMachine {
        SampleMachine { terms: terms.to_vec(), store: Store::new(max_keys), keys: Vec::new(), evicted: 0 }
    }

    /// How many keys had to leave because the rule's budget was full.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// How many keys have state.
    pub fn live_keys(&self) -> usize {
        self.store.len()
    }

    /// Takes an event.
    pub fn process(
        &mut self,
        event: &mut CurrentEvent<'_>,
        matched: &impl MatchedTerms,
        layout: &Layout,
        out: &mut Vec<CompletedSequence>,
    ) {
        let mut keys = std::mem::take(&mut self.keys);
        let mut placed: Vec<JoinKey> = Vec::new();
        for (term, step) in self.terms.iter().enumerate() {
            if !matched.matches(term) {
                continue;
            }
            join_keys(layout, &step.keys, event.frame, &mut keys);
            for key in &keys {
                if placed.contains(key) {
                    continue;
                }
                let (state, evicted) = self.store.get_or_insert(key);
                self.evicted += u64::from(evicted.is_some());
                let Some(state) = state else { continue };
                state.resize(self.terms.len(), None);
                if state[term].is_some() {
                    continue;
                }
                state[term] = Some((event.evidence(), event.order));
                placed.push(key.clone());
                if state.iter().all(Option::is_some)
                    && let Some(filled) = self.store.remove(key)
                {
                    let events = filled.into_iter().map(|slot| slot.map(|(evidence, _)| evidence)).collect();
                    out.push(CompletedSequence { events, key: key.clone(), last: event.order, findings: None });
                }
            }
        }
        self.keys = keys;
    }
}
