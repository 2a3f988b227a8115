//! What dispatch knows of each predicate: the kinds of events that it is about, and the clauses of its guard that an
//! index can be asked for, with how often each held in the events that were observed.

use std::collections::HashMap;

use kestrel_ir::event::{Event, FieldNumber, FieldTable, FieldValue};
use kestrel_ir::fold::{fold, fold_with};
use kestrel_ir::guards::{self, Clause, Rank};
use kestrel_ir::layout::{FieldId, Layout};
use kestrel_ir::model::{Atom, AtomId, Ir, PredicateId, StringMatch};
use kestrel_ir::pattern::{Anchor, has_wildcard, required_literal};
use kestrel_ir::regex;
use rustc_hash::FxBuildHasher;

/// A value of a kind field that some rule names.
pub(super) type Symbol = u32;

/// How many events the ranks' guesses count for.
const GUESS_WEIGHT: f64 = 4.0;

/// All predicates.
#[derive(Debug)]
pub(super) struct Plan {
    /// The symbols of the values of each kind field.
    kind_symbols: Vec<HashMap<Box<str>, Symbol, FxBuildHasher>>,
    /// By field number: one more than the field's place in `kind_symbols`, 0 for a field that says nothing of the kind. One
    /// byte each, because every value of every event asks.
    kind_places: Vec<u8>,
    pub(super) predicates: Vec<PredicatePlan>,
    /// How many predicates the pack has, with those that are never true.
    pub(super) count: usize,
    /// By field number.
    fields: Vec<FieldStatistics>,
    observed: u32,
}

/// One predicate.
#[derive(Debug)]
pub(super) struct PredicatePlan {
    pub(super) id: PredicateId,
    /// Of each list the event has one; a list is sorted.
    kinds: Vec<Vec<Symbol>>,
    pub(super) accesses: Vec<Access>,
    observed: u32,
}

/// A clause that an index can be asked for: one of its keys is there when the predicate holds.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) keys: Vec<Key>,
    atoms: Vec<AtomId>,
    guess: f64,
    held: u32,
}

/// A key in an index. Texts are folded, and so is what is looked up: too much may be found, never too little.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) field: FieldNumber,
    pub(super) value: KeyValue,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeyValue {
    Text(Box<str>),
    Number(i64),
    /// A part of the text.
    Part(Box<str>, Anchor),
}

/// What the observed events had in a field.
#[derive(Debug, Clone, Copy, Default)]
struct FieldStatistics {
    values: u32,
    bytes: u64,
}

impl Plan {
    pub(super) fn new(ir: &Ir, table: &FieldTable) -> Plan {
        let mut plan = Plan {
            kind_symbols: Vec::new(),
            kind_places: vec![0; table.len()],
            predicates: Vec::new(),
            count: ir.predicates.len(),
            fields: vec![FieldStatistics::default(); table.len()],
            observed: 0,
        };
        let names = Names { layout: &ir.layout, table };
        let mut symbols = 0;
        for (index, guard) in guards::analyze_all(ir).iter().enumerate() {
            if guard.is_never() {
                continue;
            }
            let mut predicate =
                PredicatePlan { id: PredicateId(index as u32), kinds: Vec::new(), accesses: Vec::new(), observed: 0 };
            for clause in &guard.clauses {
                match plan.kind_clause(ir, clause, names, &mut symbols) {
                    Some(kinds) => predicate.kinds.push(kinds),
                    None => predicate.accesses.extend(Access::new(ir, clause, names)),
                }
            }
            plan.predicates.push(predicate);
        }
        plan
    }

    /// The symbols of a clause that asks for nothing but values of kind fields.
    fn kind_clause(&mut self, ir: &Ir, clause: &Clause, names: Names<'_>, symbols: &mut Symbol) -> Option<Vec<Symbol>> {
        let texts_of = |&atom: &AtomId| match ir.atom(atom)? {
            Atom::Strings { field, matching: StringMatch::Exact, strings, .. } => {
                let name = ir.layout.name(*field);
                guards::KIND_FIELDS.contains(&name).then_some(())?;
                Some((names.number(*field)?, strings))
            }
            _ => None,
        };
        let texts: Vec<(FieldNumber, &Vec<String>)> = clause.atoms.iter().map(texts_of).collect::<Option<_>>()?;
        let mut wanted = Vec::new();
        for (field, strings) in texts {
            let known = self.symbols_in(field)?;
            for text in strings {
                wanted.push(*known.entry(fold(text).into()).or_insert_with(|| {
                    *symbols += 1;
                    *symbols
                }));
            }
        }
        wanted.sort_unstable();
        wanted.dedup();
        Some(wanted)
    }

    /// The symbols of a kind field's values, made when it is the first that names the field.
    fn symbols_in(&mut self, field: FieldNumber) -> Option<&mut HashMap<Box<str>, Symbol, FxBuildHasher>> {
        let place = self.kind_places.get_mut(field.0 as usize)?;
        if *place == 0 {
            *place = u8::try_from(self.kind_symbols.len() + 1).ok()?;
            self.kind_symbols.push(HashMap::default());
        }
        self.kind_symbols.get_mut(usize::from(*place) - 1)
    }

    /// The symbols that an event has, sorted.
    pub(super) fn symbols_of(&self, event: &Event, folded: &mut String, out: &mut Vec<Symbol>) {
        out.clear();
        for entry in event.entries() {
            let Some(&place @ 1..) = self.kind_places.get(entry.field().0 as usize) else { continue };
            let Some(known) = self.kind_symbols.get(usize::from(place) - 1) else { continue };
            if let FieldValue::Text(text) = entry.value() {
                out.extend(known.get(fold_with(text, folded)));
            }
        }
        out.sort_unstable();
        out.dedup();
    }

    /// Counts which clauses hold for an event with these symbols.
    pub(super) fn observe(&mut self, event: &Event, symbols: &[Symbol], mut holds: impl FnMut(AtomId) -> bool) {
        self.observed += 1;
        for (number, _, value) in event.values() {
            if let Some(field) = self.fields.get_mut(number.0 as usize) {
                field.values += 1;
                field.bytes += if let FieldValue::Text(text) = value { text.len() as u64 } else { 0 };
            }
        }
        for predicate in self.predicates.iter_mut().filter(|predicate| predicate.is_about(symbols)) {
            predicate.observed += 1;
            for access in &mut predicate.accesses {
                access.held += u32::from(access.atoms.iter().any(|&atom| holds(atom)));
            }
        }
    }

    /// How many values of a field an event has on average, and their mean length in bytes.
    pub(super) fn values_of(&self, field: FieldNumber) -> (f64, f64) {
        let Some(statistics) = self.fields.get(field.0 as usize).filter(|_| self.observed > 0) else {
            return (1.0, 20.0);
        };
        let values = f64::from(statistics.values);
        (values / f64::from(self.observed), statistics.bytes as f64 / values.max(1.0))
    }
}

impl PredicatePlan {
    /// Whether events with these symbols, which are sorted, can be what the predicate is about.
    pub(super) fn is_about(&self, symbols: &[Symbol]) -> bool {
        self.kinds.iter().all(|wanted| wanted.iter().any(|symbol| symbols.binary_search(symbol).is_ok()))
    }

    /// How often a clause holds for events of the predicate's kinds, from 0 to 1.
    pub(super) fn frequency(&self, access: &Access) -> f64 {
        (f64::from(access.held) + access.guess * GUESS_WEIGHT) / (f64::from(self.observed) + GUESS_WEIGHT)
    }
}

/// From the fields of a layout to those of a table.
#[derive(Clone, Copy)]
struct Names<'n> {
    layout: &'n Layout,
    table: &'n FieldTable,
}

impl Names<'_> {
    /// A top-level field's number in the table.
    fn number(self, field: FieldId) -> Option<FieldNumber> {
        let definition = self.layout.get(field).filter(|definition| definition.parent.is_none())?;
        self.table.lookup(&definition.name)
    }
}

impl Access {
    /// `None` for a clause that an index cannot be asked for.
    fn new(ir: &Ir, clause: &Clause, names: Names<'_>) -> Option<Access> {
        let mut keys = Vec::new();
        for &atom in &clause.atoms {
            match ir.atom(atom)? {
                Atom::Strings { field, matching: StringMatch::Exact, strings, .. } => {
                    let field = names.number(*field)?;
                    keys.extend(strings.iter().map(|text| Key { field, value: KeyValue::Text(fold(text).into()) }));
                }
                Atom::Strings { field, matching: StringMatch::Wildcard, strings, .. } => {
                    let field = names.number(*field)?;
                    for pattern in strings {
                        keys.push(Key { field, value: key_of_pattern(pattern)? });
                    }
                }
                Atom::Strings { field, matching: StringMatch::Regex, strings, .. } => {
                    let field = names.number(*field)?;
                    for pattern in strings {
                        let (anchor, literal) = regex::required_literal(pattern)?;
                        keys.push(Key { field, value: KeyValue::Part(fold(&literal).into(), anchor) });
                    }
                }
                Atom::Integers { field, values } => {
                    let field = names.number(*field)?;
                    keys.extend(values.iter().map(|value| Key { field, value: KeyValue::Number(*value) }));
                }
                _ => return None,
            }
        }
        let guess = match clause.rank {
            Rank::KeyEquality => 0.01,
            Rank::Affix => 0.03,
            Rank::Equality => 0.1,
            Rank::Test => 0.3,
            Rank::Presence | Rank::Worthless => 0.9,
        };
        Some(Access { keys, atoms: clause.atoms.clone(), guess, held: 0 })
    }
}

/// What is looked up for a wildcard pattern; `None` when it has no literal of some length.
fn key_of_pattern(pattern: &str) -> Option<KeyValue> {
    if !has_wildcard(pattern) {
        return Some(KeyValue::Text(fold(pattern).into()));
    }
    let (anchor, literal) = required_literal(pattern)?;
    Some(KeyValue::Part(fold(literal).into(), anchor))
}
