//! What the verifier must know about entries and everything below them: cycles, depth, size, scope, steps.
//!
//! In: an IR within its size limits, references possibly wrong. Out: [`Facts`] for every entry, and problems. Atoms,
//! values and nodes are numbered as one graph (atoms, then values, then nodes) that is walked depth first, with a stack
//! of its own.

use super::{MAX_DEPTH, MAX_EXPANDED, MAX_STEPS, Place, Problems};
use crate::layout::FieldId;
use crate::model::{Atom, AtomId, Ir, Node, NodeId, Value, ValueId};

/// Which object's children are read outside an `AnyObject` of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Nobody's: the entry stands by itself.
    Closed,
    /// Those of one object.
    Object(FieldId),
    /// Those of several, which no scope provides.
    Mixed,
}

impl Scope {
    fn join(self, other: Scope) -> Scope {
        match (self, other) {
            (Scope::Closed, scope) | (scope, Scope::Closed) => scope,
            (left, right) if left == right => left,
            _ => Scope::Mixed,
        }
    }
}

/// A set of steps, below [`MAX_STEPS`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct StepSet([u64; MAX_STEPS / 64]);

impl StepSet {
    pub(super) fn insert(&mut self, step: usize) {
        if let Some(word) = self.0.get_mut(step / 64) {
            *word |= 1 << (step % 64);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The first step that is in this set and not in `other`.
    pub(super) fn first_outside(&self, other: &StepSet) -> Option<usize> {
        let mut words = self.0.iter().zip(&other.0).enumerate();
        words.find_map(|(index, (own, other))| {
            let outside = own & !other;
            (outside != 0).then(|| index * 64 + outside.trailing_zeros() as usize)
        })
    }

    fn union(&mut self, other: &StepSet) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            *own |= other;
        }
    }
}

/// What is true of an entry with all that is below it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    depth: u32,
    size: u64,
    /// The children it reads.
    pub(super) scope: Scope,
    /// The steps it reads fields of.
    pub(super) steps: StepSet,
}

/// The facts of all entries.
#[derive(Debug)]
pub(super) struct Graph {
    atoms: usize,
    values: usize,
    facts: Vec<Facts>,
}

impl Graph {
    /// Walks the whole IR once.
    pub(super) fn new(ir: &Ir, problems: &mut Problems) -> Graph {
        let edges = Edges::new(ir, problems);
        let facts = Walk { ir, edges: &edges, problems }.run();
        Graph { atoms: ir.atoms.len(), values: ir.values.len(), facts }
    }

    /// The facts of an atom; `None` when there is no such atom.
    pub(super) fn atom(&self, atom: AtomId) -> Option<&Facts> {
        self.facts.get(..self.atoms)?.get(atom.index())
    }

    /// The facts of a value; `None` when there is no such value.
    pub(super) fn value(&self, value: ValueId) -> Option<&Facts> {
        self.facts.get(self.atoms..self.atoms + self.values)?.get(value.index())
    }

    /// The facts of a node; `None` when there is no such node.
    pub(super) fn node(&self, node: NodeId) -> Option<&Facts> {
        self.facts.get(self.atoms + self.values..)?.get(node.index())
    }
}

/// How many references all entries hold together.
pub(crate) fn count_references(ir: &Ir) -> usize {
    let values = ir.values.iter().map(|value| match value {
        Value::Call { arguments, .. } => arguments.len(),
        _ => 2,
    });
    let nodes = ir.nodes.iter().map(|node| match node {
        Node::And(branches) | Node::Or(branches) => branches.len(),
        _ => 1,
    });
    ir.atoms.len() + values.sum::<usize>() + nodes.sum::<usize>()
}

/// The references of every entry that are in range, one list behind the other.
struct Edges {
    atoms: usize,
    values: usize,
    starts: Vec<u32>,
    targets: Vec<u32>,
}

#[derive(Clone, Copy)]
enum Reference {
    Atom(AtomId),
    Value(ValueId),
    Node(NodeId),
}

impl Edges {
    fn new(ir: &Ir, problems: &mut Problems) -> Edges {
        let (atoms, values) = (ir.atoms.len(), ir.values.len());
        let mut edges = Edges { atoms, values, starts: vec![0], targets: Vec::new() };
        let mut references = Vec::new();
        for entry in 0..atoms + values + ir.nodes.len() {
            references.clear();
            edges.collect(ir, entry, &mut references);
            for reference in &references {
                edges.add(ir, entry, *reference, problems);
            }
            edges.starts.push(edges.targets.len() as u32);
        }
        edges
    }

    fn collect(&self, ir: &Ir, entry: usize, references: &mut Vec<Reference>) {
        match self.place(entry) {
            Place::Atom(index) => match &ir.atoms[index] {
                Atom::Compute { value } => references.push(Reference::Value(*value)),
                Atom::AnyObject { condition, .. } => references.push(Reference::Node(*condition)),
                // Straight to what the predicate refers to; `check_lineage` tells when there is no such predicate.
                Atom::Lineage { predicate, .. } => {
                    if let Some(predicate) = ir.predicate(*predicate) {
                        references.push(Reference::Node(predicate.root));
                        references.extend(predicate.category.map(Reference::Atom));
                    }
                }
                _ => {}
            },
            Place::Value(index) => match &ir.values[index] {
                Value::Negate(value)
                | Value::IsNull(value)
                | Value::NotNull(value)
                | Value::Matches { input: value, .. } => {
                    references.push(Reference::Value(*value));
                }
                Value::Arithmetic { left, right, .. } | Value::Compare { left, right, .. } => {
                    references.extend([Reference::Value(*left), Reference::Value(*right)]);
                }
                Value::Call { arguments, .. } => references.extend(arguments.iter().copied().map(Reference::Value)),
                Value::Condition(node) => references.push(Reference::Node(*node)),
                Value::Constant(_) | Value::Field(_) | Value::StepField { .. } => {}
            },
            Place::Node(index) => match &ir.nodes[index] {
                Node::Constant(_) => {}
                Node::Atom(atom) => references.push(Reference::Atom(*atom)),
                Node::Not(node) => references.push(Reference::Node(*node)),
                Node::And(branches) | Node::Or(branches) => {
                    references.extend(branches.iter().copied().map(Reference::Node));
                }
            },
            _ => {}
        }
    }

    fn add(&mut self, ir: &Ir, entry: usize, reference: Reference, problems: &mut Problems) {
        let (letter, index, length, start) = match reference {
            Reference::Atom(id) => ('a', id.index(), ir.atoms.len(), 0),
            Reference::Value(id) => ('v', id.index(), ir.values.len(), self.atoms),
            Reference::Node(id) => ('n', id.index(), ir.nodes.len(), self.atoms + self.values),
        };
        if index >= length {
            problems.push(self.place(entry), || format!("there is no {letter}{index}"));
            return;
        }
        let target = start + index;
        if start <= entry && entry <= target && entry < start + length {
            problems.push(self.place(entry), || format!("refers to {letter}{index}, which is not an earlier entry"));
            return;
        }
        self.targets.push(target as u32);
    }

    fn place(&self, entry: usize) -> Place<'static> {
        if entry < self.atoms {
            Place::Atom(entry)
        } else if entry < self.atoms + self.values {
            Place::Value(entry - self.atoms)
        } else {
            Place::Node(entry - self.atoms - self.values)
        }
    }

    fn of(&self, entry: usize) -> &[u32] {
        &self.targets[self.starts[entry] as usize..self.starts[entry + 1] as usize]
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Visit {
    New,
    Open,
    Done,
}

struct Walk<'w> {
    ir: &'w Ir,
    edges: &'w Edges,
    problems: &'w mut Problems,
}

impl Walk<'_> {
    fn run(mut self) -> Vec<Facts> {
        let count = self.edges.starts.len() - 1;
        let unknown = Facts { depth: 1, size: 1, scope: Scope::Closed, steps: StepSet::default() };
        let mut facts = vec![unknown; count];
        let mut visits = vec![Visit::New; count];
        let mut open: Vec<(usize, usize)> = Vec::new();
        for root in 0..count {
            if visits[root] == Visit::New {
                visits[root] = Visit::Open;
                open.push((root, 0));
            }
            while let Some((entry, next)) = open.last_mut() {
                let entry = *entry;
                let Some(&target) = self.edges.of(entry).get(*next) else {
                    facts[entry] = self.conclude(entry, &facts);
                    visits[entry] = Visit::Done;
                    open.pop();
                    continue;
                };
                *next += 1;
                let target = target as usize;
                match visits[target] {
                    Visit::Done => {}
                    Visit::New => {
                        visits[target] = Visit::Open;
                        open.push((target, 0));
                    }
                    Visit::Open => {
                        let other = self.edges.place(target);
                        self.problems.push(self.edges.place(entry), || format!("is in a cycle with {other}"));
                    }
                }
            }
        }
        facts
    }

    /// The facts of an entry, when those of all that it refers to are known.
    fn conclude(&mut self, entry: usize, facts: &[Facts]) -> Facts {
        let (scope, steps) = self.own(entry);
        let mut own = Facts { depth: 0, size: 1, scope, steps };
        let mut largest = 0;
        for &target in self.edges.of(entry) {
            let below = &facts[target as usize];
            own.depth = own.depth.max(below.depth);
            own.size = own.size.saturating_add(below.size);
            own.scope = own.scope.join(below.scope);
            own.steps.union(&below.steps);
            largest = largest.max(below.size);
        }
        own.depth = own.depth.saturating_add(1);
        let place = self.edges.place(entry);
        // Only the entry that crosses a limit is told, not all those above it.
        if own.depth == MAX_DEPTH + 1 {
            self.problems.push(place, || format!("nested deeper than {MAX_DEPTH} entries"));
        }
        if own.size > MAX_EXPANDED && largest <= MAX_EXPANDED {
            self.problems.push(place, || format!("stands for more than {MAX_EXPANDED} entries"));
        }
        if let Place::Atom(index) = place
            && let Atom::AnyObject { object, .. } = self.ir.atoms[index]
        {
            if own.scope != Scope::Closed && own.scope != Scope::Object(object) {
                self.problems.push(place, || "its condition reads children of another object".to_owned());
            }
            own.scope = Scope::Closed;
        }
        own
    }

    /// What an entry reads itself.
    fn own(&self, entry: usize) -> (Scope, StepSet) {
        let mut steps = StepSet::default();
        let field = match self.edges.place(entry) {
            Place::Atom(index) => field_of(&self.ir.atoms[index]),
            Place::Value(index) => match self.ir.values[index] {
                Value::Field(field) => Some(field),
                Value::StepField { step, .. } => {
                    steps.insert(step as usize);
                    None
                }
                _ => None,
            },
            _ => None,
        };
        let parent = field.and_then(|field| self.ir.layout.get(field)).and_then(|field| field.parent);
        (parent.map_or(Scope::Closed, Scope::Object), steps)
    }
}

/// The field that an atom tests by itself.
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
