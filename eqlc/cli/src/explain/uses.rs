//! What a condition reads.

use std::collections::{BTreeSet, HashSet};

use kestrel_ir::layout::FieldId;
use kestrel_ir::model::{Atom, AtomId, Ir, Node, NodeId, PredicateId, Value, ValueId};

/// The atoms and fields that a condition reads, each once.
#[derive(Default)]
pub(super) struct Uses {
    pub(super) fields: BTreeSet<String>,
    pub(super) atoms: BTreeSet<AtomId>,
    nodes: HashSet<NodeId>,
    values: HashSet<ValueId>,
}

impl Uses {
    pub(super) fn predicate(&mut self, ir: &Ir, predicate: PredicateId) {
        let Some(predicate) = ir.predicate(predicate) else { return };
        predicate.category.iter().for_each(|&atom| self.atom(ir, atom));
        self.node(ir, predicate.root);
    }

    /// A verified IR nests nowhere deeply.
    pub(super) fn node(&mut self, ir: &Ir, node: NodeId) {
        if !self.nodes.insert(node) {
            return;
        }
        match ir.node(node) {
            Some(Node::Atom(atom)) => self.atom(ir, *atom),
            Some(Node::Not(operand)) => self.node(ir, *operand),
            Some(Node::And(operands) | Node::Or(operands)) => operands.iter().for_each(|&node| self.node(ir, node)),
            Some(Node::Constant(_)) | None => {}
        }
    }

    fn atom(&mut self, ir: &Ir, id: AtomId) {
        if !self.atoms.insert(id) {
            return;
        }
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
            ) => self.field(ir, *field),
            Some(Atom::Compute { value }) => self.value(ir, *value),
            Some(Atom::AnyObject { object, condition }) => {
                self.field(ir, *object);
                self.node(ir, *condition);
            }
            Some(Atom::Lineage { predicate, .. }) => {
                self.predicate(ir, *predicate);
                if let Some(lineage) = ir.lineage {
                    let fields = [lineage.entity, lineage.parent, lineage.ancestry, lineage.event_type];
                    fields.into_iter().for_each(|field| self.field(ir, field));
                }
            }
            None => {}
        }
    }

    fn value(&mut self, ir: &Ir, id: ValueId) {
        if !self.values.insert(id) {
            return;
        }
        match ir.value(id) {
            Some(Value::Field(field) | Value::StepField { field, .. }) => self.field(ir, *field),
            Some(
                Value::Negate(value)
                | Value::IsNull(value)
                | Value::NotNull(value)
                | Value::Matches { input: value, .. },
            ) => {
                self.value(ir, *value);
            }
            Some(Value::Arithmetic { left, right, .. } | Value::Compare { left, right, .. }) => {
                self.value(ir, *left);
                self.value(ir, *right);
            }
            Some(Value::Call { arguments, .. }) => arguments.iter().for_each(|&value| self.value(ir, value)),
            Some(Value::Condition(node)) => self.node(ir, *node),
            Some(Value::Constant(_)) | None => {}
        }
    }

    fn field(&mut self, ir: &Ir, field: FieldId) {
        self.fields.insert(ir.layout.name(field).to_owned());
    }
}
