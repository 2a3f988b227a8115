//! What a predicate needs of a source: which kinds of events, and which of their fields.
//!
//! In: a verified [`Ir`], a rule, and the kinds of events with the fields that a source fills. Out: one [`Needs`] for each event
//! that the rule waits for. Nothing here knows what is live: that is the caller's question about each kind.
//!
//! The question is what keeps a rule from matching, so only what a condition asks positively counts. An exception
//! (`and not process.parent.name == "apt"`) over a field that nobody fills lets too much through; it hides nothing. How it is
//! decided, for each kind of events at once:
//!
//! ```text
//! a test of a field that the kind says all about   ─▶ what the kind says: event.type == "start"
//! a test of a field that the kind has not          ─▶ false
//! any other test                                   ─▶ may be true, may be false
//! ```
//!
//! What remains possible in some kind is served. In `a or b` both have to be: an alternative that would be possible if its
//! fields were there, and is not, is told as missing. The kinds that a rule needs are those in which it is possible. Of the
//! kinds in [`ASKED_BY_NAME`] it needs those that it names, or that alone can fulfil it.

use std::collections::BTreeMap;

use super::kinds::{KindSet, Possible, SET_WIDTH, Table};
use crate::layout::FieldId;
use crate::model::{Atom, AtomId, Ir, Node, NodeId, PredicateId, Rule, RuleKind, Step, StringMatch, Value, ValueId};
use kestrel_schema::EventKind;

/// Kinds that few sources have, and whose category and type say little: `process where event.type == "start"` is written for
/// programs that start, and does not wait for modules that are loaded. Rules that want them name their action.
pub const ASKED_BY_NAME: [&str; 10] =
    ["ptrace", "kill", "memfd_create", "load_module", "mmap", "mprotect", "bpf", "file_open", "bind", "listen"];

/// What one event of a rule needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// The kinds that can fulfil it, in the order that they were given in. Empty when none can, whatever it fills.
    pub kinds: Vec<u16>,
    /// The kinds that fulfil it with the fields that they have: among `kinds`, or empty when every one lacks something.
    pub possible: Vec<u16>,
    /// The fields that it asks for and that no kind has which could fulfil it, by name, each with the kinds that lack it.
    pub missing: Vec<(String, Vec<u16>)>,
}

/// What a rule needs, one for each event that it waits for, in their order. `until` is left out: without its events a
/// sequence matches more, not less. A missing event (`![…]`) counts: without its kind the rule would match where it should not.
/// Of `kinds` the first 128 are looked at.
pub fn rule_needs(ir: &Ir, rule: &Rule, kinds: &[EventKind]) -> Vec<Needs> {
    let kinds = kinds.get(..SET_WIDTH).unwrap_or(kinds);
    let asked = Asked::new(ir, kinds);
    let step = |step: &Step| asked.needs(step.predicate, step.joined, &required_keys(step));
    match &rule.kind {
        RuleKind::Event { predicate } => vec![asked.needs(*predicate, None, &[])],
        RuleKind::Sequence(sequence) => sequence.steps.iter().map(step).collect(),
        RuleKind::Sample { terms } => terms.iter().map(step).collect(),
    }
}

/// The fields of a join key without which an event takes part in nothing.
fn required_keys(step: &Step) -> Vec<FieldId> {
    step.keys.iter().filter(|key| !key.optional).filter_map(|key| key.field).collect()
}

/// What can be true in which kinds: if every field were there, and with the fields that the kinds have.
struct Asked<'i> {
    ir: &'i Ir,
    kinds: &'i [EventKind],
    table: Table,
    atoms: [Vec<Possible>; 2],
    nodes: [Vec<Possible>; 2],
}

/// The index of what would be possible if every field were there.
const WISHED: usize = 0;
/// The index of what is possible with the fields of the kinds.
const GIVEN: usize = 1;

impl<'i> Asked<'i> {
    fn new(ir: &'i Ir, kinds: &'i [EventKind]) -> Asked<'i> {
        let table = Table::new(kinds);
        let wished: Vec<Possible> = ir.atoms.iter().map(|atom| table.atom(ir, Some(atom))).collect();
        let given = wished
            .iter()
            .enumerate()
            .map(|(index, possible)| {
                let mut reads = Reads::default();
                reads.atom(ir, AtomId(index as u32), 0);
                let has = |field: &FieldId| kinds_with(kinds, ir.layout.name(*field));
                let with_all = reads.fields.iter().fold(table.all, |all, field| all & has(field));
                Possible { yes: possible.yes & with_all, no: possible.no | (table.all & !with_all) }
            })
            .collect::<Vec<_>>();
        let nodes = [table.nodes(ir, &wished), table.nodes(ir, &given)];
        Asked { ir, kinds, table, atoms: [wished, given], nodes }
    }

    fn needs(&self, predicate: PredicateId, joined: Option<NodeId>, keys: &[FieldId]) -> Needs {
        let Some(found) = self.ir.predicate(predicate) else { return Needs::default() };
        let category = found.category.map_or(self.table.all, |atom| self.atom(WISHED, atom).yes);
        let mut place = [WISHED, GIVEN].map(|which| {
            let roots = [Some(found.root), joined].into_iter().flatten();
            roots.fold(category, |all, root| all & self.node(which, root, false))
        });
        let mut walk = Walk { asked: self, missing: BTreeMap::new(), named: 0 };
        for root in [Some(found.root), joined].into_iter().flatten() {
            walk.node(root, false, [place[WISHED]; 2], 0);
        }
        let mut keyed = if place[GIVEN] == 0 { place[WISHED] } else { place[GIVEN] };
        for name in keys.iter().map(|key| self.ir.layout.name(*key)) {
            let with = keyed & kinds_with(self.kinds, name);
            if with == 0 && keyed != 0 {
                walk.missing.insert(name.to_owned(), self.table.all & keyed);
            } else {
                keyed = with;
            }
            place[GIVEN] &= with;
        }
        let wanted = if place[GIVEN] == 0 { place[WISHED] } else { place[GIVEN] };
        let by_name = kinds_where(self.kinds, |kind| ASKED_BY_NAME.contains(&kind.name));
        let plain = wanted & (!by_name | walk.named);
        let wanted = if plain == 0 { wanted } else { plain };
        Needs {
            kinds: self.ids(wanted),
            possible: self.ids(wanted & place[GIVEN]),
            missing: walk.missing.into_iter().map(|(name, kinds)| (name, self.ids(kinds))).collect(),
        }
    }

    fn ids(&self, set: KindSet) -> Vec<u16> {
        let members = self.kinds.iter().enumerate().filter(|(index, _)| set & (1 << index) != 0);
        members.map(|(_, kind)| kind.id).collect()
    }

    fn atom(&self, which: usize, atom: AtomId) -> Possible {
        self.atoms[which].get(atom.index()).copied().unwrap_or(Possible { yes: 0, no: self.table.all })
    }

    /// The kinds in which the node, or its negation, can be true.
    fn node(&self, which: usize, node: NodeId, negated: bool) -> KindSet {
        let possible = self.nodes[which].get(node.index()).copied().unwrap_or(Possible { yes: 0, no: self.table.all });
        if negated { possible.no } else { possible.yes }
    }
}

fn kinds_with(kinds: &[EventKind], field: &str) -> KindSet {
    kinds_where(kinds, |kind| kind.fields.binary_search(&field).is_ok())
}

fn kinds_where(kinds: &[EventKind], wanted: impl Fn(&EventKind) -> bool) -> KindSet {
    kinds.iter().enumerate().filter(|(_, kind)| wanted(kind)).fold(0, |set, (index, _)| set | 1 << index)
}

/// A walk over what a condition asks positively.
struct Walk<'a, 'i> {
    asked: &'a Asked<'i>,
    missing: BTreeMap<String, KindSet>,
    /// The kinds whose action the condition names.
    named: KindSet,
}

impl Walk<'_, '_> {
    /// `place` is where everything else on the way here can be true, as wished and as given.
    fn node(&mut self, id: NodeId, negated: bool, place: [KindSet; 2], depth: u32) {
        let (asked, Some(node)) = (self.asked, self.asked.ir.node(id)) else { return };
        // A verified IR nests nowhere deeply.
        if depth > 256 || place[WISHED] & asked.node(WISHED, id, negated) == 0 {
            return;
        }
        let within = |branch: NodeId| [WISHED, GIVEN].map(|which| place[which] & asked.node(which, branch, negated));
        match (node, negated) {
            (Node::Constant(_), _) | (Node::Atom(_), true) => {}
            (Node::Atom(atom), false) => self.atom(*atom, place),
            (Node::Not(operand), _) => self.node(*operand, !negated, place, depth + 1),
            (Node::And(branches), false) | (Node::Or(branches), true) => {
                // A branch stands beside all others; what itself asks for is not taken for given.
                for (index, &branch) in branches.iter().enumerate() {
                    let others = branches.iter().enumerate().filter(|(other, _)| *other != index);
                    let beside = others.fold(place, |place, (_, &other)| {
                        [WISHED, GIVEN].map(|which| place[which] & asked.node(which, other, negated))
                    });
                    // A place that another branch has emptied is that branch's to tell.
                    let beside = if beside[GIVEN] == 0 { [beside[WISHED]; 2] } else { beside };
                    self.node(branch, negated, beside, depth + 1);
                }
            }
            (Node::And(branches) | Node::Or(branches), _) => {
                let always = |branch: NodeId| asked.node(WISHED, branch, !negated) & place[WISHED] == 0;
                if branches.iter().any(|&branch| always(branch)) {
                    return;
                }
                for &branch in branches {
                    let narrowed = within(branch);
                    if narrowed[WISHED] != 0 {
                        self.node(branch, negated, place, depth + 1);
                    }
                }
            }
        }
    }

    fn atom(&mut self, id: AtomId, place: [KindSet; 2]) {
        let (asked, ir) = (self.asked, self.asked.ir);
        let wished = place[WISHED] & asked.atom(WISHED, id).yes;
        if let Some(Atom::Strings { field, matching: StringMatch::Exact, .. }) = ir.atom(id)
            && ir.layout.name(*field) == "event.action"
        {
            self.named |= wished;
        }
        let mut reads = Reads::default();
        reads.atom(ir, id, 0);
        let mut given = place[GIVEN] & asked.atom(WISHED, id).yes;
        for field in reads.fields {
            let name = ir.layout.name(field);
            let with = given & kinds_with(asked.kinds, name);
            if with == 0 {
                *self.missing.entry(name.to_owned()).or_default() |= wished & !kinds_with(asked.kinds, name);
            } else {
                given = with;
            }
        }
        if let Some(Atom::Lineage { predicate, .. }) = ir.atom(id)
            && let Some(past) = ir.predicate(*predicate)
        {
            let category = past.category.map_or(asked.table.all, |atom| asked.atom(WISHED, atom).yes);
            self.node(past.root, false, [category & asked.node(WISHED, past.root, false); 2], 0);
        }
    }
}

/// The fields of the event that an atom cannot do without.
#[derive(Default)]
struct Reads {
    fields: Vec<FieldId>,
}

impl Reads {
    fn atom(&mut self, ir: &Ir, id: AtomId, depth: u32) {
        match ir.atom(id) {
            Some(
                Atom::Present { field }
                | Atom::Boolean { field, .. }
                | Atom::Strings { field, .. }
                | Atom::StringOrder { field, .. }
                | Atom::Integers { field, .. }
                | Atom::IntegerOrder { field, .. }
                | Atom::FloatOrder { field, .. }
                | Atom::Cidr { field, .. }
                | Atom::VersionOrder { field, .. },
            ) => self.field(*field),
            // Without its objects it is false, whatever is asked of them.
            Some(Atom::AnyObject { object, .. }) => self.field(*object),
            Some(Atom::Compute { value }) => self.value(ir, *value, depth),
            Some(Atom::Lineage { .. }) => {
                if let Some(lineage) = ir.lineage {
                    [lineage.entity, lineage.parent].into_iter().for_each(|field| self.field(field));
                }
            }
            None => {}
        }
    }

    /// Null goes through arithmetic, calls and comparisons. A condition inside a value may do without its fields.
    fn value(&mut self, ir: &Ir, id: ValueId, depth: u32) {
        if depth > 256 {
            return;
        }
        let mut all = |values: &[ValueId]| values.iter().for_each(|&value| self.value(ir, value, depth + 1));
        match ir.value(id) {
            Some(Value::Negate(value) | Value::NotNull(value) | Value::Matches { input: value, .. }) => all(&[*value]),
            Some(Value::Arithmetic { left, right, .. } | Value::Compare { left, right, .. }) => all(&[*left, *right]),
            Some(Value::Call { arguments, .. }) => all(arguments),
            Some(Value::Field(field)) => self.field(*field),
            Some(Value::StepField { .. } | Value::Constant(_) | Value::IsNull(_) | Value::Condition(_)) | None => {}
        }
    }

    fn field(&mut self, field: FieldId) {
        if !self.fields.contains(&field) {
            self.fields.push(field);
        }
    }
}
