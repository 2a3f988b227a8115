//! Pruning: the same case without the entries that nothing refers to, numbered anew.
//!
//! In: a case. Out: one whose predicates, rules and events mean the same. Predicates stay, as their numbers are the case's
//! answers; so do rules.

use kestrel_ir::layout::{FieldId, Layout};
use kestrel_ir::model::{Atom, AtomId, Ir, Key, LineageFields, Node, NodeId, Pipe, RuleKind, Step, Value, ValueId};

use super::case::Case;

/// Which entries are needed, then their new numbers.
struct Kept {
    atoms: Vec<Option<u32>>,
    values: Vec<Option<u32>>,
    nodes: Vec<Option<u32>>,
    fields: Vec<Option<u32>>,
}

/// The case without what is not needed.
pub fn prune(case: &Case) -> Case {
    let ir = &case.ir;
    let mut kept = Kept {
        atoms: vec![None; ir.atoms.len()],
        values: vec![None; ir.values.len()],
        nodes: vec![None; ir.nodes.len()],
        fields: vec![None; ir.layout.len()],
    };
    for predicate in &ir.predicates {
        kept.node(ir, predicate.root);
        predicate.category.into_iter().for_each(|atom| kept.atom(ir, atom));
    }
    for rule in &ir.rules {
        for step in rule.steps() {
            step.joined.into_iter().for_each(|node| kept.node(ir, node));
            step.keys.iter().filter_map(|key| key.field).for_each(|field| kept.field(ir, field));
        }
        for pipe in &rule.pipes {
            pipe.values().iter().for_each(|&value| kept.value(ir, value));
            if let Pipe::Filter(node) = pipe {
                kept.node(ir, *node);
            }
        }
    }
    let asks = |(atom, kept): (&Atom, &Option<u32>)| kept.is_some() && matches!(atom, Atom::Lineage { .. });
    let lineage = ir.lineage.filter(|_| ir.atoms.iter().zip(&kept.atoms).any(asks));
    if let Some(LineageFields { entity, parent, ancestry, event_type }) = lineage {
        [entity, parent, ancestry, event_type].into_iter().for_each(|field| kept.field(ir, field));
    }
    for table in [&mut kept.atoms, &mut kept.values, &mut kept.nodes, &mut kept.fields] {
        table.iter_mut().flatten().enumerate().for_each(|(number, entry)| *entry = number as u32);
    }
    kept.case(case, lineage)
}

impl Kept {
    fn field(&mut self, ir: &Ir, field: FieldId) {
        if let Some(place) = self.fields.get_mut(field.index()) {
            *place = Some(0);
        }
        if let Some(parent) = ir.layout.get(field).and_then(|definition| definition.parent) {
            self.field(ir, parent);
        }
    }

    fn atom(&mut self, ir: &Ir, id: AtomId) {
        let Some(place) = self.atoms.get_mut(id.index()) else { return };
        if place.replace(0).is_some() {
            return;
        }
        match &ir.atoms[id.index()] {
            Atom::Compute { value } => self.value(ir, *value),
            Atom::AnyObject { object, condition } => {
                self.field(ir, *object);
                self.node(ir, *condition);
            }
            // Its predicate stays anyway.
            Atom::Lineage { .. } => {}
            other => {
                if let Some(field) = field_of(other) {
                    self.field(ir, field);
                }
            }
        }
    }

    fn value(&mut self, ir: &Ir, id: ValueId) {
        let Some(place) = self.values.get_mut(id.index()) else { return };
        if place.replace(0).is_some() {
            return;
        }
        match &ir.values[id.index()] {
            Value::Field(field) | Value::StepField { field, .. } => self.field(ir, *field),
            Value::Condition(node) => self.node(ir, *node),
            other => operands(other).into_iter().for_each(|operand| self.value(ir, operand)),
        }
    }

    fn node(&mut self, ir: &Ir, id: NodeId) {
        let Some(place) = self.nodes.get_mut(id.index()) else { return };
        if place.replace(0).is_some() {
            return;
        }
        match &ir.nodes[id.index()] {
            Node::Constant(_) => {}
            Node::Atom(atom) => self.atom(ir, *atom),
            Node::Not(operand) => self.node(ir, *operand),
            Node::And(operands) | Node::Or(operands) => {
                operands.iter().for_each(|&operand| self.node(ir, operand));
            }
        }
    }

    fn new_field(&self, field: FieldId) -> FieldId {
        FieldId(self.fields.get(field.index()).copied().flatten().unwrap_or(u32::MAX))
    }

    fn new_atom(&self, atom: AtomId) -> AtomId {
        AtomId(self.atoms.get(atom.index()).copied().flatten().unwrap_or(u32::MAX))
    }

    fn new_value(&self, value: ValueId) -> ValueId {
        ValueId(self.values.get(value.index()).copied().flatten().unwrap_or(u32::MAX))
    }

    fn new_node(&self, node: NodeId) -> NodeId {
        NodeId(self.nodes.get(node.index()).copied().flatten().unwrap_or(u32::MAX))
    }

    /// The case in the new numbers.
    fn case(&self, case: &Case, lineage: Option<LineageFields>) -> Case {
        let ir = &case.ir;
        let mut layout = Layout::new();
        for (id, field) in ir.layout.iter().filter(|(id, _)| self.fields[id.index()].is_some()) {
            let new = match field.parent {
                None => layout.intern(&field.name, field.field_type),
                Some(parent) => layout.intern_child(&field.name, field.field_type, self.new_field(parent)),
            };
            debug_assert_eq!(new, self.new_field(id));
        }
        let atoms = ir.atoms.iter().zip(&self.atoms).filter(|(_, kept)| kept.is_some());
        let values = ir.values.iter().zip(&self.values).filter(|(_, kept)| kept.is_some());
        let nodes = ir.nodes.iter().zip(&self.nodes).filter(|(_, kept)| kept.is_some());
        let mut predicates = ir.predicates.clone();
        for predicate in &mut predicates {
            predicate.root = self.new_node(predicate.root);
            predicate.category = predicate.category.map(|atom| self.new_atom(atom));
        }
        let mut rules = ir.rules.clone();
        for rule in &mut rules {
            match &mut rule.kind {
                RuleKind::Event { .. } => {}
                RuleKind::Sequence(sequence) => {
                    sequence.steps.iter_mut().chain(&mut sequence.until).for_each(|step| self.renumber_step(step));
                }
                RuleKind::Sample { terms } => terms.iter_mut().for_each(|step| self.renumber_step(step)),
            }
            rule.pipes.iter_mut().for_each(|pipe| self.renumber_pipe(pipe));
        }
        let mut events = case.events.clone();
        for event in &mut events {
            event.lineage = event.lineage.iter().map(|&atom| self.new_atom(AtomId(atom)).0).collect();
            event.lineage.retain(|&atom| atom != u32::MAX);
            event.values.retain(|(name, ..)| layout.iter().any(|(_, field)| field.name == *name));
        }
        let ir = Ir {
            atoms: atoms.map(|(atom, _)| self.renumber_atom(atom.clone())).collect(),
            values: values.map(|(value, _)| self.renumber_value(value.clone())).collect(),
            nodes: nodes.map(|(node, _)| self.renumber_node(node.clone())).collect(),
            predicates,
            rules,
            lineage: lineage.map(|fields| LineageFields {
                entity: self.new_field(fields.entity),
                parent: self.new_field(fields.parent),
                ancestry: self.new_field(fields.ancestry),
                event_type: self.new_field(fields.event_type),
            }),
            layout,
            programs: Vec::new(),
        };
        Case { ir, events }
    }

    fn renumber_step(&self, step: &mut Step) {
        step.joined = step.joined.map(|node| self.new_node(node));
        for Key { field, .. } in &mut step.keys {
            *field = field.map(|field| self.new_field(field));
        }
    }

    fn renumber_pipe(&self, pipe: &mut Pipe) {
        match pipe {
            Pipe::Filter(node) => *node = self.new_node(*node),
            Pipe::Unique(values) | Pipe::UniqueCount(values) | Pipe::Sort(values) | Pipe::Count(values) => {
                values.iter_mut().for_each(|value| *value = self.new_value(*value));
            }
            Pipe::Head(_) | Pipe::Tail(_) => {}
        }
    }

    fn renumber_atom(&self, mut atom: Atom) -> Atom {
        match &mut atom {
            Atom::Present { field }
            | Atom::Boolean { field, .. }
            | Atom::Strings { field, .. }
            | Atom::StringOrder { field, .. }
            | Atom::Integers { field, .. }
            | Atom::IntegerOrder { field, .. }
            | Atom::FloatOrder { field, .. }
            | Atom::Cidr { field, .. }
            | Atom::VersionOrder { field, .. } => *field = self.new_field(*field),
            Atom::Compute { value } => *value = self.new_value(*value),
            Atom::AnyObject { object, condition } => {
                *object = self.new_field(*object);
                *condition = self.new_node(*condition);
            }
            Atom::Lineage { .. } => {}
        }
        atom
    }

    fn renumber_value(&self, mut value: Value) -> Value {
        match &mut value {
            Value::Constant(_) => {}
            Value::Field(field) | Value::StepField { field, .. } => *field = self.new_field(*field),
            Value::Negate(operand)
            | Value::IsNull(operand)
            | Value::NotNull(operand)
            | Value::Matches { input: operand, .. } => *operand = self.new_value(*operand),
            Value::Arithmetic { left, right, .. } | Value::Compare { left, right, .. } => {
                *left = self.new_value(*left);
                *right = self.new_value(*right);
            }
            Value::Condition(node) => *node = self.new_node(*node),
            Value::Call { arguments, .. } => {
                arguments.iter_mut().for_each(|argument| *argument = self.new_value(*argument));
            }
        }
        value
    }

    fn renumber_node(&self, mut node: Node) -> Node {
        match &mut node {
            Node::Constant(_) => {}
            Node::Atom(atom) => *atom = self.new_atom(*atom),
            Node::Not(operand) => *operand = self.new_node(*operand),
            Node::And(operands) | Node::Or(operands) => {
                operands.iter_mut().for_each(|operand| *operand = self.new_node(*operand));
            }
        }
        node
    }
}

fn field_of(atom: &Atom) -> Option<FieldId> {
    match atom {
        Atom::Present { field }
        | Atom::Boolean { field, .. }
        | Atom::Strings { field, .. }
        | Atom::StringOrder { field, .. }
        | Atom::Integers { field, .. }
        | Atom::IntegerOrder { field, .. }
        | Atom::FloatOrder { field, .. }
        | Atom::Cidr { field, .. }
        | Atom::VersionOrder { field, .. } => Some(*field),
        Atom::Compute { .. } | Atom::AnyObject { .. } | Atom::Lineage { .. } => None,
    }
}

/// The values that a value is made of.
pub(super) fn operands(value: &Value) -> Vec<ValueId> {
    match value {
        Value::Constant(_) | Value::Field(_) | Value::StepField { .. } | Value::Condition(_) => Vec::new(),
        Value::Negate(operand)
        | Value::IsNull(operand)
        | Value::NotNull(operand)
        | Value::Matches { input: operand, .. } => vec![*operand],
        Value::Arithmetic { left, right, .. } | Value::Compare { left, right, .. } => vec![*left, *right],
        Value::Call { arguments, .. } => arguments.clone(),
    }
}
