//! Which kinds of events a predicate can want.
//!
//! In: an IR, a guard or all predicates, and kinds of events. Out: the numbers of the kinds that remain possible. Decided are
//! only atoms over fields that have the same value in every event of a kind ([`constant_fields`]); every other atom
//! may be true and may be false. Which kinds are asked about is the caller's choice: a pack outlives the build that made it,
//! so its filter maps are about reserved kinds too, not only about those that are live today.

use std::collections::HashSet;

use super::Guard;
use crate::fold::fold;
use crate::layout::LayoutField;
use crate::model::{Atom, AtomId, Ir, Node, NodeId, Order, Predicate, StringMatch};
use crate::pattern::wildcard_matches;
use crate::regex;
use kestrel_schema::{EventKind, FieldType};

/// What live sources put into `host.os.type`.
const LIVE_SYSTEM: &str = "linux";
/// Kinds are handled in sets of bits.
pub(super) const SET_WIDTH: usize = u128::BITS as usize;

/// A set of kinds, by position in a chunk of at most [`SET_WIDTH`].
pub(super) type KindSet = u128;

/// Whether a condition can be true, and false, by kind.
#[derive(Clone, Copy)]
pub(super) struct Possible {
    pub(super) yes: KindSet,
    pub(super) no: KindSet,
}

/// The fields that have the same values in every event of a kind, with these values. A field that the kind says nothing
/// about is not in the list.
pub fn constant_fields(kind: &EventKind) -> Vec<(&'static str, Vec<&'static str>)> {
    let fields = [
        ("event.action", vec![kind.action]),
        ("event.category", kind.category.to_vec()),
        ("event.type", kind.event_type.to_vec()),
        ("host.os.type", vec![LIVE_SYSTEM]),
    ];
    let known = |(_, values): &(&str, Vec<&str>)| values.iter().any(|value| !value.is_empty());
    fields.into_iter().filter(known).collect()
}

/// How badly a field tells kinds apart, when it is one of [`constant_fields`].
pub(super) fn constant_field_weight(field: &LayoutField) -> Option<u8> {
    let weight = match field.name.as_str() {
        "event.action" => 0,
        "event.type" => 1,
        "event.category" => 2,
        "host.os.type" => 3,
        _ => return None,
    };
    (field.parent.is_none() && field.field_type == FieldType::Keyword).then_some(weight)
}

/// Whether an atom has the same answer for every event of a kind, for the kinds that say something about its field.
pub fn is_decided_by_kind(ir: &Ir, atom: AtomId) -> bool {
    match ir.atom(atom) {
        Some(Atom::Present { field } | Atom::Strings { field, .. } | Atom::StringOrder { field, .. }) => {
            ir.layout.get(*field).is_some_and(|field| constant_field_weight(field).is_some())
        }
        _ => false,
    }
}

/// The numbers of the kinds that can satisfy a guard, in the order of `kinds`.
pub fn kinds(ir: &Ir, guard: &Guard, kinds: &[EventKind]) -> Vec<u16> {
    collect(kinds, |chunk| {
        let table = Table::new(chunk);
        let mut possible = table.all;
        for clause in &guard.clauses {
            let in_clause = clause.atoms.iter().map(|&atom| table.atom(ir, ir.atom(atom)).yes);
            possible &= in_clause.fold(0, |all, atom| all | atom);
        }
        vec![possible]
    })
    .pop()
    .unwrap_or_default()
}

/// For each predicate, the numbers of the kinds that can satisfy it, in the order of `kinds`. Sharper than
/// [`kinds`] over its guard, because what is negated counts too: `event.action != "fork"`.
pub fn predicate_kinds(ir: &Ir, kinds: &[EventKind]) -> Vec<Vec<u16>> {
    let mut by_predicate = collect(kinds, |chunk| {
        let table = Table::new(chunk);
        let atoms: Vec<Possible> = ir.atoms.iter().map(|atom| table.atom(ir, Some(atom))).collect();
        let nodes = table.nodes(ir, &atoms);
        let of_predicate = |predicate: &Predicate| {
            let category = predicate.category.map(|atom| atoms.get(atom.index()).map_or(0, |atom| atom.yes));
            nodes.get(predicate.root.index()).map_or(0, |root| root.yes) & category.unwrap_or(table.all)
        };
        ir.predicates.iter().map(of_predicate).collect()
    });
    by_predicate.resize(ir.predicates.len(), Vec::new());
    by_predicate
}

/// The numbers of the kinds that some rule can want, in the order of `kinds`.
pub fn required_kinds(ir: &Ir, kinds: &[EventKind]) -> Vec<u16> {
    let by_predicate = predicate_kinds(ir, kinds);
    // The past of a lineage atom is made of events, so the kinds of those are wanted too, and the ends of processes.
    let past = ir.atoms.iter().filter_map(|atom| match atom {
        Atom::Lineage { predicate, .. } => Some(*predicate),
        _ => None,
    });
    let predicates = ir.rules.iter().flat_map(|rule| rule.predicates()).chain(past);
    let wanted: HashSet<u16> =
        predicates.filter_map(|predicate| by_predicate.get(predicate.index())).flatten().copied().collect();
    let ends = |kind: &EventKind| ir.lineage.is_some() && kind.name == "exit";
    kinds.iter().filter(|kind| wanted.contains(&kind.id) || ends(kind)).map(|kind| kind.id).collect()
}

/// Runs `sets` over the kinds, as many at a time as a set holds, and turns each of its sets into numbers.
fn collect(kinds: &[EventKind], sets: impl Fn(&[EventKind]) -> Vec<KindSet>) -> Vec<Vec<u16>> {
    let mut numbers: Vec<Vec<u16>> = Vec::new();
    for chunk in kinds.chunks(SET_WIDTH) {
        let sets = sets(chunk);
        numbers.resize(sets.len(), Vec::new());
        for (numbers, set) in numbers.iter_mut().zip(sets) {
            let members = chunk.iter().enumerate().filter(|(index, _)| set & (1 << index) != 0);
            numbers.extend(members.map(|(_, kind)| kind.id));
        }
    }
    numbers
}

/// What is known of a chunk of kinds.
pub(super) struct Table {
    pub(super) all: KindSet,
    constants: Vec<Vec<(&'static str, Vec<&'static str>)>>,
}

impl Table {
    pub(super) fn new(chunk: &[EventKind]) -> Table {
        let all = if chunk.len() < SET_WIDTH { (1 << chunk.len()) - 1 } else { KindSet::MAX };
        Table { all, constants: chunk.iter().map(constant_fields).collect() }
    }

    /// INVARIANT: a verified node refers only to earlier nodes, so one pass in order is enough. What refers elsewhere
    /// may be anything.
    pub(super) fn nodes(&self, ir: &Ir, atoms: &[Possible]) -> Vec<Possible> {
        let unknown = Possible { yes: self.all, no: self.all };
        let mut nodes: Vec<Possible> = Vec::with_capacity(ir.nodes.len());
        for node in &ir.nodes {
            let known = |id: &NodeId| nodes.get(id.index()).copied().unwrap_or(unknown);
            let possible = match node {
                Node::Constant(true) => Possible { yes: self.all, no: 0 },
                Node::Constant(false) => Possible { yes: 0, no: self.all },
                Node::Atom(atom) => atoms.get(atom.index()).copied().unwrap_or(unknown),
                Node::Not(operand) => {
                    let operand = known(operand);
                    Possible { yes: operand.no, no: operand.yes }
                }
                Node::And(branches) => Possible {
                    yes: branches.iter().fold(self.all, |all, branch| all & known(branch).yes),
                    no: branches.iter().fold(0, |all, branch| all | known(branch).no),
                },
                Node::Or(branches) => Possible {
                    yes: branches.iter().fold(0, |all, branch| all | known(branch).yes),
                    no: branches.iter().fold(self.all, |all, branch| all & known(branch).no),
                },
            };
            nodes.push(possible);
        }
        nodes
    }

    pub(super) fn atom(&self, ir: &Ir, atom: Option<&Atom>) -> Possible {
        let unknown = Possible { yes: self.all, no: self.all };
        let Some(Atom::Present { field } | Atom::Strings { field, .. } | Atom::StringOrder { field, .. }) = atom else {
            return unknown;
        };
        let Some(field) = ir.layout.get(*field).filter(|field| constant_field_weight(field).is_some()) else {
            return unknown;
        };
        let Some(test) = atom.and_then(Test::new) else { return unknown };
        let mut possible = Possible { yes: 0, no: 0 };
        for (index, constants) in self.constants.iter().enumerate() {
            let bit = 1 << index;
            match constants.iter().find(|(name, _)| *name == field.name) {
                None => {
                    possible.yes |= bit;
                    possible.no |= bit;
                }
                Some((_, values)) if values.iter().any(|value| test.holds(value)) => possible.yes |= bit,
                Some(_) => possible.no |= bit,
            }
        }
        possible
    }
}

/// An atom over a text field, made ready for many values.
enum Test<'a> {
    Present,
    Strings(StringMatch, bool, &'a [String]),
    Regexes(Vec<regex::Regex>),
    Order(Order, &'a str),
}

impl<'a> Test<'a> {
    fn new(atom: &'a Atom) -> Option<Test<'a>> {
        Some(match atom {
            Atom::Present { .. } => Test::Present,
            Atom::Strings { matching: StringMatch::Regex, fold, strings, .. } => {
                let regexes: Result<Vec<_>, _> = strings.iter().map(|pattern| regex::compile(pattern, *fold)).collect();
                Test::Regexes(regexes.ok()?)
            }
            Atom::Strings { matching, fold, strings, .. } => Test::Strings(*matching, *fold, strings),
            Atom::StringOrder { order, value, .. } => Test::Order(*order, value),
            _ => return None,
        })
    }

    fn holds(&self, value: &str) -> bool {
        match self {
            Test::Present => true,
            Test::Regexes(regexes) => regexes.iter().any(|regex| regex.is_match(value)),
            Test::Order(order, right) => order.holds(value.as_bytes().cmp(right.as_bytes())),
            Test::Strings(matching, folded, strings) => {
                let value = if *folded { fold(value) } else { value.into() };
                strings.iter().any(|string| match matching {
                    StringMatch::Exact => *string == value,
                    _ => wildcard_matches(string, &value),
                })
            }
        }
    }
}
