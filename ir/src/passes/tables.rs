//! The tables that passes work on: each entry once, and never beyond what the verifier allows.
//!
//! In: entries whose references are ids of these tables. Out: ids, the same for equal entries. Entries are added and never
//! changed, so that one set of tables serves pass after pass, and what a pass leaves as it is costs it nothing. Beside
//! each entry stand its depth and its size written out, as the verifier counts them, so that a pass which would break a
//! limit is noticed.

use std::collections::HashMap;

use serde::Serialize;

use crate::model::{Atom, AtomId, Ir, Node, NodeId, Predicate, PredicateId, Rule, Value, ValueId};
use crate::verify::{MAX_DEPTH, MAX_ENTRIES, MAX_EXPANDED, MAX_PREDICATES, MAX_REFERENCES, count_references};

/// What an entry stands for with all that is below it.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    depth: u32,
    size: u64,
}

impl Weight {
    fn of(below: impl Iterator<Item = Weight>) -> Weight {
        let all = below.fold(Weight::default(), Weight::beside);
        Weight { depth: all.depth.saturating_add(1), size: all.size.saturating_add(1) }
    }

    fn beside(self, other: Weight) -> Weight {
        Weight { depth: self.depth.max(other.depth), size: self.size.saturating_add(other.size) }
    }
}

/// Entries of one kind.
#[derive(Debug)]
struct Table<T> {
    entries: Vec<T>,
    weights: Vec<Weight>,
    /// By the entry's encoding, which tells `0.0` from `-0.0`.
    index: HashMap<Vec<u8>, u32>,
    /// Whether every entry is within the verifier's limits of depth and size.
    is_small: bool,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { entries: Vec::new(), weights: Vec::new(), index: HashMap::new(), is_small: true }
    }
}

impl<T: Serialize> Table<T> {
    fn intern(&mut self, entry: T, weigh: impl FnOnce(&T) -> Weight) -> u32 {
        // An entry that has no encoding is not shared; there is none such.
        let key = postcard::to_allocvec(&entry).ok();
        if let Some(&known) = key.as_ref().and_then(|key| self.index.get(key)) {
            return known;
        }
        let id = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let weight = weigh(&entry);
        self.is_small &= weight.depth <= MAX_DEPTH && weight.size <= MAX_EXPANDED;
        self.weights.push(weight);
        self.entries.push(entry);
        if let Some(key) = key {
            self.index.insert(key, id);
        }
        id
    }

    fn weight(&self, index: usize) -> Weight {
        self.weights.get(index).copied().unwrap_or_default()
    }
}

/// The tables that are being made.
#[derive(Debug, Default)]
pub(super) struct Tables {
    atoms: Table<Atom>,
    values: Table<Value>,
    nodes: Table<Node>,
    predicates: Table<Predicate>,
}

impl Tables {
    /// The id of an atom.
    pub(super) fn add_atom(&mut self, atom: Atom) -> AtomId {
        let (values, nodes, predicates) = (&self.values, &self.nodes, &self.predicates);
        let weigh = |atom: &Atom| match atom {
            Atom::Compute { value } => Weight::of(std::iter::once(values.weight(value.index()))),
            Atom::AnyObject { condition, .. } => Weight::of(std::iter::once(nodes.weight(condition.index()))),
            Atom::Lineage { predicate, .. } => Weight::of(std::iter::once(predicates.weight(predicate.index()))),
            _ => Weight::of(std::iter::empty()),
        };
        AtomId(self.atoms.intern(atom, weigh))
    }

    /// The id of a value.
    pub(super) fn add_value(&mut self, value: Value) -> ValueId {
        let (earlier, nodes) = (&self.values.weights, &self.nodes);
        let of = |id: &ValueId| earlier.get(id.index()).copied().unwrap_or_default();
        let weight = match &value {
            Value::Constant(_) | Value::Field(_) | Value::StepField { .. } => Weight::of(std::iter::empty()),
            Value::Negate(operand)
            | Value::IsNull(operand)
            | Value::NotNull(operand)
            | Value::Matches { input: operand, .. } => Weight::of(std::iter::once(of(operand))),
            Value::Arithmetic { left, right, .. } | Value::Compare { left, right, .. } => {
                Weight::of([left, right].into_iter().map(of))
            }
            Value::Condition(node) => Weight::of(std::iter::once(nodes.weight(node.index()))),
            Value::Call { arguments, .. } => Weight::of(arguments.iter().map(of)),
        };
        ValueId(self.values.intern(value, |_| weight))
    }

    /// The id of a node.
    pub(super) fn add_node(&mut self, node: Node) -> NodeId {
        let (earlier, atoms) = (&self.nodes.weights, &self.atoms);
        let of = |id: &NodeId| earlier.get(id.index()).copied().unwrap_or_default();
        let weight = match &node {
            Node::Constant(_) => Weight::of(std::iter::empty()),
            Node::Atom(atom) => Weight::of(std::iter::once(atoms.weight(atom.index()))),
            Node::Not(operand) => Weight::of(std::iter::once(of(operand))),
            Node::And(operands) | Node::Or(operands) => Weight::of(operands.iter().map(of)),
        };
        NodeId(self.nodes.intern(node, |_| weight))
    }

    /// The node that is always or never true.
    pub(super) fn constant(&mut self, value: bool) -> NodeId {
        self.add_node(Node::Constant(value))
    }

    /// The id of a predicate.
    pub(super) fn add_predicate(&mut self, predicate: Predicate) -> PredicateId {
        let root = self.nodes.weight(predicate.root.index());
        let category = predicate.category.map(|atom| self.atoms.weight(atom.index())).unwrap_or_default();
        PredicateId(self.predicates.intern(predicate, |_| root.beside(category)))
    }

    /// An atom of these tables.
    pub(super) fn atom(&self, id: AtomId) -> Option<&Atom> {
        self.atoms.entries.get(id.index())
    }

    /// A value of these tables.
    pub(super) fn value(&self, id: ValueId) -> Option<&Value> {
        self.values.entries.get(id.index())
    }

    /// A node of these tables.
    pub(super) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.entries.get(id.index())
    }

    /// A predicate of these tables.
    pub(super) fn predicate(&self, id: PredicateId) -> Option<&Predicate> {
        self.predicates.entries.get(id.index())
    }

    /// Whether a node is a constant, and which.
    pub(super) fn is_constant(&self, id: NodeId) -> Option<bool> {
        match self.node(id) {
            Some(Node::Constant(value)) => Some(*value),
            _ => None,
        }
    }

    /// The atom that a node is.
    pub(super) fn atom_of(&self, id: NodeId) -> Option<&Atom> {
        match self.node(id) {
            Some(Node::Atom(atom)) => self.atom(*atom),
            _ => None,
        }
    }

    /// Whether every entry, also one that is not used, is within the verifier's limits of depth and size.
    pub(super) fn are_within_limits(&self) -> bool {
        self.atoms.is_small && self.values.is_small && self.nodes.is_small
    }

    /// How many atoms, values, nodes and predicates there are.
    pub(super) fn lengths(&self) -> [usize; 4] {
        [self.atoms.entries.len(), self.values.entries.len(), self.nodes.entries.len(), self.predicates.entries.len()]
    }

    /// The IR of these tables with everything else of `ir`; `None` when they are beyond a limit of the verifier.
    pub(super) fn into_ir(self, ir: &Ir, rules: Vec<Rule>) -> Option<Ir> {
        let fits = self.are_within_limits()
            && [self.atoms.entries.len(), self.values.entries.len(), self.nodes.entries.len()]
                .iter()
                .all(|length| *length <= MAX_ENTRIES)
            && self.predicates.entries.len() <= MAX_PREDICATES;
        let made = Ir {
            layout: ir.layout.clone(),
            atoms: self.atoms.entries,
            values: self.values.entries,
            nodes: self.nodes.entries,
            predicates: self.predicates.entries,
            rules,
            lineage: ir.lineage,
            programs: ir.programs.clone(),
        };
        (fits && count_references(&made) <= MAX_REFERENCES).then_some(made)
    }
}
