//! The walk that all passes share: from the leaves up, each entry once.
//!
//! In: an IR, or the tables that an earlier pass left, and what is to become of their entries. Out: tables and the rules, with every reference translated:
//! predicates of rules, of steps and of lineage, joined conditions, conditions of searches, nodes and values of pipes.
//! The walk has a stack of its own. It gives nothing when a reference leads nowhere or in a circle.

use crate::model::{
    Atom, AtomId, Ir, Node, NodeId, Pipe, Predicate, PredicateId, Rule, RuleKind, Sequence, Step, Value, ValueId,
};

use super::tables::Tables;

/// What a pass makes of entries whose references are translated already.
pub(super) trait Rewrite {
    /// The node for a node.
    fn node(&mut self, node: Node, tables: &mut Tables) -> NodeId {
        tables.add_node(node)
    }

    /// The value for a value.
    fn value(&mut self, value: Value, _tables: &Tables) -> Value {
        value
    }

    /// The predicate for a predicate.
    fn predicate(&mut self, predicate: Predicate, _tables: &Tables) -> Predicate {
        predicate
    }
}

/// Leaves every entry as it is. That is the pass of sharing: the tables hold equal entries once, and since references are
/// translated from the leaves up, what differed only in the number of an equal entry is equal too. It never joins what is
/// merely equivalent.
pub(super) struct Same;

impl Rewrite for Same {}

/// Rewrites every entry: what the rules reach in the order in which they reach it, then the rest.
pub(super) fn every_entry(ir: &Ir, pass: &mut impl Rewrite) -> Option<Ir> {
    let mut tables = Tables::default();
    let mut walk = Walk::new(Source::Ir(ir), &mut tables, pass);
    let rules = walk.rules(&ir.rules)?;
    let numbers = |length: usize| 0..u32::try_from(length).unwrap_or(u32::MAX);
    for entry in numbers(ir.predicates.len()).map(Entry::Predicate) {
        walk.visit(entry)?;
    }
    for entry in numbers(ir.nodes.len()).map(Entry::Node) {
        walk.visit(entry)?;
    }
    for entry in numbers(ir.atoms.len()).map(Entry::Atom) {
        walk.visit(entry)?;
    }
    for entry in numbers(ir.values.len()).map(Entry::Value) {
        walk.visit(entry)?;
    }
    tables.into_ir(ir, rules)
}

/// Rewrites what the rules reach, in the order in which they reach it.
pub(super) fn reached_entries(ir: &Ir, pass: &mut impl Rewrite) -> Option<Ir> {
    Work::new(ir, pass)?.into_ir()
}

/// One IR in the hands of several passes.
pub(super) struct Work<'i> {
    /// Where it came from; layout and lineage are its own.
    ir: &'i Ir,
    tables: Tables,
    rules: Vec<Rule>,
}

impl<'i> Work<'i> {
    /// Rewrites what the rules of an IR reach; nothing else is taken over.
    pub(super) fn new(ir: &'i Ir, pass: &mut impl Rewrite) -> Option<Work<'i>> {
        let mut tables = Tables::default();
        let rules = Walk::new(Source::Ir(ir), &mut tables, pass).rules(&ir.rules)?;
        Some(Work { ir, tables, rules })
    }

    /// Rewrites what the rules reach, and tells whether anything changed; `None` when the pass would break a limit of the
    /// verifier. Then the rules are as they were before it, and no other pass may follow.
    pub(super) fn run(&mut self, pass: &mut impl Rewrite) -> Option<bool> {
        let rules = Walk::new(Source::Own, &mut self.tables, pass).rules(&self.rules)?;
        if !self.tables.are_within_limits() {
            return None;
        }
        // Equal entries have equal ids, so that what did not change is the same to the last id.
        let changed = rules != self.rules;
        self.rules = rules;
        Some(changed)
    }

    /// The IR as it is now, without what passes left behind.
    pub(super) fn to_ir(&self) -> Option<Ir> {
        let mut tables = Tables::default();
        let mut same = Same;
        // The tables are read as if they were another IR's.
        let rules = Walk::new(Source::Tables(&self.tables), &mut tables, &mut same).rules(&self.rules)?;
        tables.into_ir(self.ir, rules)
    }

    fn into_ir(self) -> Option<Ir> {
        self.tables.into_ir(self.ir, self.rules)
    }
}

#[derive(Debug, Clone, Copy)]
enum Entry {
    Atom(u32),
    Value(u32),
    Node(u32),
    Predicate(u32),
}

#[derive(Debug, Clone, Copy)]
enum State {
    New,
    /// What it refers to is being walked.
    Open,
    /// Its id in the new table.
    Done(u32),
}

/// Where entries are read.
#[derive(Clone, Copy)]
enum Source<'w> {
    Ir(&'w Ir),
    Tables(&'w Tables),
    /// The tables that are written too.
    Own,
}

struct Walk<'w, R> {
    source: Source<'w>,
    pass: &'w mut R,
    tables: &'w mut Tables,
    atoms: Vec<State>,
    values: Vec<State>,
    nodes: Vec<State>,
    predicates: Vec<State>,
}

impl<'w, R: Rewrite> Walk<'w, R> {
    fn new(source: Source<'w>, tables: &'w mut Tables, pass: &'w mut R) -> Walk<'w, R> {
        let [atoms, values, nodes, predicates] = match source {
            Source::Ir(ir) => [ir.atoms.len(), ir.values.len(), ir.nodes.len(), ir.predicates.len()],
            Source::Tables(tables) => tables.lengths(),
            Source::Own => tables.lengths(),
        }
        .map(|length| vec![State::New; length]);
        Walk { source, pass, tables, atoms, values, nodes, predicates }
    }

    fn atom(&self, id: AtomId) -> Option<&Atom> {
        match self.source {
            Source::Ir(ir) => ir.atom(id),
            Source::Tables(tables) => tables.atom(id),
            Source::Own => self.tables.atom(id),
        }
    }

    fn value(&self, id: ValueId) -> Option<&Value> {
        match self.source {
            Source::Ir(ir) => ir.value(id),
            Source::Tables(tables) => tables.value(id),
            Source::Own => self.tables.value(id),
        }
    }

    fn node(&self, id: NodeId) -> Option<&Node> {
        match self.source {
            Source::Ir(ir) => ir.node(id),
            Source::Tables(tables) => tables.node(id),
            Source::Own => self.tables.node(id),
        }
    }

    fn predicate(&self, id: PredicateId) -> Option<&Predicate> {
        match self.source {
            Source::Ir(ir) => ir.predicate(id),
            Source::Tables(tables) => tables.predicate(id),
            Source::Own => self.tables.predicate(id),
        }
    }

    fn state(&mut self, entry: Entry) -> Option<&mut State> {
        let (states, index) = match entry {
            Entry::Atom(index) => (&mut self.atoms, index),
            Entry::Value(index) => (&mut self.values, index),
            Entry::Node(index) => (&mut self.nodes, index),
            Entry::Predicate(index) => (&mut self.predicates, index),
        };
        states.get_mut(index as usize)
    }

    /// Translates an entry and all below it.
    fn visit(&mut self, root: Entry) -> Option<()> {
        let mut stack = vec![(root, false)];
        let mut below = Vec::new();
        while let Some((entry, is_ready)) = stack.pop() {
            if is_ready {
                let made = self.translate(entry)?;
                *self.state(entry)? = State::Done(made);
                continue;
            }
            match self.state(entry)? {
                State::Done(_) => continue,
                // On its way already: it refers to itself.
                State::Open => return None,
                state @ State::New => *state = State::Open,
            }
            stack.push((entry, true));
            below.clear();
            self.references(entry, &mut below);
            stack.extend(below.iter().rev().map(|&entry| (entry, false)));
        }
        Some(())
    }

    fn references(&self, entry: Entry, below: &mut Vec<Entry>) {
        match entry {
            Entry::Atom(index) => match self.atom(AtomId(index)) {
                Some(Atom::Compute { value }) => below.push(Entry::Value(value.0)),
                Some(Atom::AnyObject { condition, .. }) => below.push(Entry::Node(condition.0)),
                Some(Atom::Lineage { predicate, .. }) => below.push(Entry::Predicate(predicate.0)),
                _ => {}
            },
            Entry::Value(index) => match self.value(ValueId(index)) {
                Some(
                    Value::Negate(value)
                    | Value::IsNull(value)
                    | Value::NotNull(value)
                    | Value::Matches { input: value, .. },
                ) => below.push(Entry::Value(value.0)),
                Some(Value::Arithmetic { left, right, .. } | Value::Compare { left, right, .. }) => {
                    below.extend([Entry::Value(left.0), Entry::Value(right.0)]);
                }
                Some(Value::Call { arguments, .. }) => {
                    below.extend(arguments.iter().map(|argument| Entry::Value(argument.0)));
                }
                Some(Value::Condition(node)) => below.push(Entry::Node(node.0)),
                Some(Value::Constant(_) | Value::Field(_) | Value::StepField { .. }) | None => {}
            },
            Entry::Node(index) => match self.node(NodeId(index)) {
                Some(Node::Atom(atom)) => below.push(Entry::Atom(atom.0)),
                Some(Node::Not(operand)) => below.push(Entry::Node(operand.0)),
                Some(Node::And(operands) | Node::Or(operands)) => {
                    below.extend(operands.iter().map(|operand| Entry::Node(operand.0)));
                }
                Some(Node::Constant(_)) | None => {}
            },
            Entry::Predicate(index) => {
                if let Some(predicate) = self.predicate(PredicateId(index)) {
                    below.extend(predicate.category.map(|atom| Entry::Atom(atom.0)));
                    below.push(Entry::Node(predicate.root.0));
                }
            }
        }
    }

    /// The new id of an entry, when all that it refers to has one.
    fn translate(&mut self, entry: Entry) -> Option<u32> {
        Some(match entry {
            Entry::Atom(index) => match self.atom_with_new_ids(AtomId(index))? {
                Some(atom) => self.tables.add_atom(atom).0,
                None => index,
            },
            Entry::Value(index) => {
                let value = self.value_with_new_ids(self.value(ValueId(index))?)?;
                let value = self.pass.value(value, self.tables);
                self.tables.add_value(value).0
            }
            Entry::Node(index) => {
                let all = |operands: &[NodeId]| -> Option<Vec<NodeId>> {
                    operands.iter().map(|&operand| self.node_id(operand)).collect()
                };
                let node = match self.node(NodeId(index))? {
                    Node::Constant(value) => Node::Constant(*value),
                    Node::Atom(atom) => Node::Atom(self.atom_id(*atom)?),
                    Node::Not(operand) => Node::Not(self.node_id(*operand)?),
                    Node::And(operands) => Node::And(all(operands)?),
                    Node::Or(operands) => Node::Or(all(operands)?),
                };
                self.pass.node(node, self.tables).0
            }
            Entry::Predicate(index) => {
                let predicate = self.predicate(PredicateId(index))?;
                let category = match predicate.category {
                    Some(atom) => Some(self.atom_id(atom)?),
                    None => None,
                };
                let predicate = Predicate { category, root: self.node_id(predicate.root)? };
                let predicate = self.pass.predicate(predicate, self.tables);
                self.tables.add_predicate(predicate).0
            }
        })
    }

    /// An atom with its references translated; nothing within when it is the one that its table has already.
    fn atom_with_new_ids(&self, id: AtomId) -> Option<Option<Atom>> {
        let own = matches!(self.source, Source::Own);
        let (same, atom) = match self.atom(id)? {
            Atom::Compute { value } => {
                let made = self.value_id(*value)?;
                (made == *value, Atom::Compute { value: made })
            }
            Atom::AnyObject { object, condition } => {
                let made = self.node_id(*condition)?;
                (made == *condition, Atom::AnyObject { object: *object, condition: made })
            }
            Atom::Lineage { relation, predicate } => {
                let made = self.predicate_id(*predicate)?;
                (made == *predicate, Atom::Lineage { relation: *relation, predicate: made })
            }
            // Most atoms refer to nothing, and their lists are long.
            _ if own => return Some(None),
            atom => (false, atom.clone()),
        };
        Some((!(own && same)).then_some(atom))
    }

    fn value_with_new_ids(&self, value: &Value) -> Option<Value> {
        let mut value = value.clone();
        match &mut value {
            Value::Negate(operand)
            | Value::IsNull(operand)
            | Value::NotNull(operand)
            | Value::Matches { input: operand, .. } => *operand = self.value_id(*operand)?,
            Value::Arithmetic { left, right, .. } | Value::Compare { left, right, .. } => {
                *left = self.value_id(*left)?;
                *right = self.value_id(*right)?;
            }
            Value::Call { arguments, .. } => {
                for argument in arguments {
                    *argument = self.value_id(*argument)?;
                }
            }
            Value::Condition(node) => *node = self.node_id(*node)?,
            Value::Constant(_) | Value::Field(_) | Value::StepField { .. } => {}
        }
        Some(value)
    }

    fn atom_id(&self, id: AtomId) -> Option<AtomId> {
        done(&self.atoms, id.index()).map(AtomId)
    }

    fn value_id(&self, id: ValueId) -> Option<ValueId> {
        done(&self.values, id.index()).map(ValueId)
    }

    fn node_id(&self, id: NodeId) -> Option<NodeId> {
        done(&self.nodes, id.index()).map(NodeId)
    }

    fn predicate_id(&self, id: PredicateId) -> Option<PredicateId> {
        done(&self.predicates, id.index()).map(PredicateId)
    }

    /// Translates the rules and what they reach.
    fn rules(&mut self, rules: &[Rule]) -> Option<Vec<Rule>> {
        rules.iter().map(|rule| self.rule(rule)).collect()
    }

    fn rule(&mut self, rule: &Rule) -> Option<Rule> {
        let kind = match &rule.kind {
            RuleKind::Event { predicate } => RuleKind::Event { predicate: self.root_predicate(*predicate)? },
            RuleKind::Sequence(sequence) => RuleKind::Sequence(Sequence {
                steps: self.steps(&sequence.steps)?,
                maxspan: sequence.maxspan,
                until: match &sequence.until {
                    Some(until) => Some(self.step(until)?),
                    None => None,
                },
            }),
            RuleKind::Sample { terms } => RuleKind::Sample { terms: self.steps(terms)? },
        };
        let pipes = rule.pipes.iter().map(|pipe| self.pipe(pipe)).collect::<Option<Vec<Pipe>>>()?;
        Some(Rule { id: rule.id.clone(), kind, pipes, program: rule.program })
    }

    fn steps(&mut self, steps: &[Step]) -> Option<Vec<Step>> {
        steps.iter().map(|step| self.step(step)).collect()
    }

    fn step(&mut self, step: &Step) -> Option<Step> {
        let predicate = self.root_predicate(step.predicate)?;
        let joined = match step.joined {
            Some(node) => Some(self.root_node(node)?),
            None => None,
        };
        Some(Step { predicate, joined, keys: step.keys.clone(), missing: step.missing })
    }

    fn pipe(&mut self, pipe: &Pipe) -> Option<Pipe> {
        Some(match pipe {
            Pipe::Head(count) => Pipe::Head(*count),
            Pipe::Tail(count) => Pipe::Tail(*count),
            Pipe::Filter(node) => Pipe::Filter(self.root_node(*node)?),
            Pipe::Unique(values) => Pipe::Unique(self.root_values(values)?),
            Pipe::UniqueCount(values) => Pipe::UniqueCount(self.root_values(values)?),
            Pipe::Sort(values) => Pipe::Sort(self.root_values(values)?),
            Pipe::Count(values) => Pipe::Count(self.root_values(values)?),
        })
    }

    fn root_predicate(&mut self, id: PredicateId) -> Option<PredicateId> {
        self.visit(Entry::Predicate(id.0))?;
        self.predicate_id(id)
    }

    fn root_node(&mut self, id: NodeId) -> Option<NodeId> {
        self.visit(Entry::Node(id.0))?;
        self.node_id(id)
    }

    fn root_values(&mut self, values: &[ValueId]) -> Option<Vec<ValueId>> {
        let mut translate = |id: &ValueId| {
            self.visit(Entry::Value(id.0))?;
            self.value_id(*id)
        };
        values.iter().map(&mut translate).collect()
    }
}

fn done(states: &[State], index: usize) -> Option<u32> {
    match states.get(index) {
        Some(State::Done(id)) => Some(*id),
        _ => None,
    }
}
