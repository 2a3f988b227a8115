//! IR to kernel filter maps, and the reason why a part stays in user space.
//!
//! In: a verified [`Ir`] and the kinds of events that there are. Out: a [`Filter`]: the [`FilterMaps`] and [`KindKeys`] that travel in
//! the pack, and one [`Explanation`] for each predicate of each rule. The kernel drops an event when its kind can satisfy no
//! predicate, or when it has none of the keys of its kind: names, extensions, folders and beginnings of paths, names, folders
//! and users of processes, addresses and ports. Both are decided here by [`guards`], which let too much through, never too little. This crate loads nothing
//! into a kernel.
//!
//! ```
//! let ir = kestrel_ir::text::parse(r#"
//! field f0 event.category : keyword
//! atom a0 = f0 exact ["process"]
//! node n0 = true
//! predicate p0 = a0 where n0
//! rule "any process event" = event p0
//! "#)?;
//! let filter = kestrel_backend_bpf::compile(&ir, kestrel_schema::event_kinds());
//! let exec = kestrel_schema::event_kind("exec").expect("exec is a kind");
//! assert!(filter.maps.wants(exec.id));
//! # Ok::<(), kestrel_ir::text::TextError>(())
//! ```
#![deny(missing_docs)]

mod explain;
mod keys;
mod table;

use std::collections::BTreeMap;
use std::fmt;

use kestrel_ir::guards;
use kestrel_ir::model::{Ir, PredicateId, Rule, RuleKind, Step};
use kestrel_ir::pack::{FilterMaps, KindKeys, KindReason, PredicateKeys};
use kestrel_schema::EventKind;

/// How many rules are named as the reason for a kind; more are counted.
pub const NAMED_RULES: usize = 8;

/// What the kernel may drop, and why not more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The maps, for the pack.
    pub maps: FilterMaps,
    /// What the kernel asks of the events of a kind beside it, ascending by kind, for the pack.
    pub keys: Vec<KindKeys>,
    /// The same predicate by predicate, for the pack, as far as there is room: what is not in it is wanted whole.
    pub predicate_keys: PredicateKeys,
    /// One for each predicate of each rule, in the order of the rules and their terms.
    pub explanations: Vec<Explanation>,
}

/// What was pushed down of one predicate of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The rule's id.
    pub rule_id: String,
    /// Which of the rule's predicates.
    pub step: RuleStep,
    /// The numbers of the kinds that can satisfy it, ascending.
    pub kinds: Vec<u16>,
    /// What was pushed down, and what stays in user space for which reason, as sentences.
    pub why: String,
}

/// A predicate's place in its rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuleStep {
    /// The only predicate of a rule of single events.
    Event,
    /// A term of a sequence or sample, from 0.
    Term(u32),
    /// The `until` of a sequence.
    Until,
}

impl fmt::Display for RuleStep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RuleStep::Event => formatter.write_str("event"),
            RuleStep::Term(index) => write!(formatter, "step {index}"),
            RuleStep::Until => formatter.write_str("until"),
        }
    }
}

/// Makes the filter of a pack. Pass all kinds, also those that no source of this build produces yet: the pack may outlive it,
/// and a kind that is not in `kinds` always passes.
pub fn compile(ir: &Ir, kinds: &[EventKind]) -> Filter {
    let by_predicate = guards::predicate_kinds(ir, kinds);
    let keys = keys::Keys::new(ir, kinds, &by_predicate);
    let mut wanted: BTreeMap<u16, KindReason> = BTreeMap::new();
    let mut explanations = Vec::new();
    for rule in &ir.rules {
        let mut of_rule = Vec::new();
        for (step, predicate, term) in predicates(rule) {
            let mut own = by_predicate.get(predicate.index()).cloned().unwrap_or_default();
            own.sort_unstable();
            of_rule.extend(&own);
            let why = explain::why(ir, predicate, term, &own, kinds, &keys);
            explanations.push(Explanation { rule_id: rule.id.clone(), step, kinds: own, why });
        }
        of_rule.sort_unstable();
        of_rule.dedup();
        for kind in of_rule {
            let reason = wanted.entry(kind).or_insert_with(|| KindReason { kind, rules: Vec::new(), more: 0 });
            if reason.rules.len() < NAMED_RULES {
                reason.rules.push(rule.id.clone());
            } else {
                reason.more += 1;
            }
        }
    }
    // What lineage asks of the past is made of events too, and of the ends of processes.
    for kind in guards::required_kinds(ir, kinds) {
        wanted.entry(kind).or_insert_with(|| KindReason { kind, rules: Vec::new(), more: 0 });
    }
    let mut known: Vec<u16> = kinds.iter().map(|kind| kind.id).collect();
    known.sort_unstable();
    known.dedup();
    let maps = FilterMaps { kinds: wanted.keys().copied().collect(), known, reasons: wanted.into_values().collect() };
    let predicate_keys = table::predicate_keys(&keys, &by_predicate);
    Filter { maps, keys: keys.kinds, predicate_keys, explanations }
}

/// The predicates of a rule with their places, and their terms when they have one.
fn predicates(rule: &Rule) -> Vec<(RuleStep, PredicateId, Option<&Step>)> {
    let (terms, until): (&[Step], Option<&Step>) = match &rule.kind {
        RuleKind::Event { predicate } => return vec![(RuleStep::Event, *predicate, None)],
        RuleKind::Sequence(sequence) => (&sequence.steps, sequence.until.as_ref()),
        RuleKind::Sample { terms } => (terms, None),
    };
    let terms =
        terms.iter().enumerate().map(|(index, term)| (RuleStep::Term(index as u32), term.predicate, Some(term)));
    terms.chain(until.map(|until| (RuleStep::Until, until.predicate, Some(until)))).collect()
}
