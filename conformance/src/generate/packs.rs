//! Random packs: tables with every kind of atom, a DAG of nodes that predicates share, and rules over them. What is made
//! here verifies.
//!
//! ```text
//! layout ─▶ atoms ─▶ conditions on objects' children ─▶ searches, computations ─▶ questions about relatives
//!                                                  └─▶ nodes over all of them ─▶ predicates ─▶ rules
//! ```

use eqlc::compile::{Lowered, Parsed, Typed};
use eqlc::syntax::Dialect;
use eqlc::types::CheckOptions;
use kestrel_ir::layout::FieldId;
use kestrel_ir::model::{Atom, AtomId, Ir, Node, NodeId, Predicate, PredicateId, Relation};
use kestrel_schema::Schema;

use super::fields::Fields;
use super::values::Expressions;
use super::words::TEXTS;
use super::{Random, atoms, queries, rules};

/// The largest number of entries that a usual predicate stands for when it is written out: the interpreter, which
/// remembers nothing, looks at that many.
const USUAL_SIZE: usize = 60;
/// The same for the few large ones.
const LARGE_SIZE: usize = 1500;

/// Tables with so many predicates, and some rules.
pub fn pack(random: &mut Random, predicates: usize) -> Ir {
    let fields = Fields::generate(random);
    let mut ir = Ir { layout: fields.layout.clone(), lineage: Some(fields.lineage), ..Ir::default() };
    let mut building = Building { ir: &mut ir, fields: &fields, usable: Vec::new() };
    for _ in 0..16 + random.below(40) {
        let atom = atoms::atom(random, &fields, None);
        building.leaf(atom, 1);
    }
    building.searches(random);
    building.computations(random);
    for _ in 0..predicates {
        building.node(random, USUAL_SIZE);
    }
    building.questions(random);
    for _ in 0..predicates * 2 {
        building.node(random, USUAL_SIZE);
    }
    if random.once_in(4) {
        building.deep(random);
        building.wide(random);
    }
    building.predicates(random, predicates);
    for number in 0..2 + random.below(8) {
        let rule = rules::rule(random, &mut ir, &fields, number);
        ir.rules.push(rule);
    }
    ir
}

/// The tables that the compiler makes of so many queries, and their texts.
///
/// # Panics
/// When the compiler refuses a query, which is a mistake of the generator or of the compiler.
pub fn pack_of_queries(random: &mut Random, queries: usize) -> (Ir, Vec<String>) {
    let schema = Schema::ecs();
    let texts: Vec<String> = (0..queries).map(|_| queries::query(random)).collect();
    let typed: Vec<(String, Typed)> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| {
            let options = CheckOptions { schema: &schema, dialect: Dialect::Elastic, live: false };
            let (typed, found) = Parsed::new(text, Dialect::Elastic).check(options);
            (format!("query {number}"), typed.unwrap_or_else(|| panic!("{text}\n{found:?}")))
        })
        .collect();
    let lowered = Lowered::new(&schema, typed.iter().map(|(id, typed)| (id.as_str(), typed)));
    let verified = lowered.optimise().verify().unwrap_or_else(|refused| panic!("{}: {texts:#?}", refused.message));
    (verified.into_ir(), texts)
}

struct Building<'b> {
    ir: &'b mut Ir,
    fields: &'b Fields,
    /// Nodes that stand by themselves, and how many entries each stands for.
    usable: Vec<(NodeId, usize)>,
}

impl Building<'_> {
    fn push(&mut self, node: Node) -> NodeId {
        self.ir.nodes.push(node);
        NodeId(self.ir.nodes.len() as u32 - 1)
    }

    fn leaf(&mut self, atom: Atom, size: usize) {
        let node = self.inner_leaf(atom);
        self.usable.push((node, size));
    }

    /// A leaf that may read an object's children, and so is not for everybody.
    fn inner_leaf(&mut self, atom: Atom) -> NodeId {
        self.ir.atoms.push(atom);
        self.push(Node::Atom(AtomId(self.ir.atoms.len() as u32 - 1)))
    }

    /// Conditions on the children of each object, and the atoms that ask for them.
    fn searches(&mut self, random: &mut Random) {
        for &object in &self.fields.objects {
            for _ in 0..1 + random.below(3) {
                let mut branches = Vec::new();
                let mut size = 2;
                for _ in 0..1 + random.below(3) {
                    let leaf = match random.below(6) {
                        0 => {
                            let (node, own) = self.small(random);
                            size += own;
                            node
                        }
                        1 => {
                            size += 8;
                            let atom = self.computation(random, Some(object), &[]);
                            self.inner_leaf(atom)
                        }
                        _ => {
                            let atom = atoms::atom(random, self.fields, Some(object));
                            self.inner_leaf(atom)
                        }
                    };
                    branches.push(if random.once_in(4) { self.push(Node::Not(leaf)) } else { leaf });
                }
                let condition = match (branches.len(), random.once_in(2)) {
                    (1, _) => branches[0],
                    (_, true) => self.push(Node::And(branches)),
                    (_, false) => self.push(Node::Or(branches)),
                };
                self.leaf(Atom::AnyObject { object, condition }, size * 2);
            }
        }
    }

    fn computations(&mut self, random: &mut Random) {
        for _ in 0..6 + random.below(14) {
            let conditions: Vec<NodeId> = (0..3).map(|_| self.small(random).0).collect();
            let atom = self.computation(random, None, &conditions);
            self.leaf(atom, 8);
        }
    }

    fn computation(&mut self, random: &mut Random, object: Option<FieldId>, conditions: &[NodeId]) -> Atom {
        let values = &mut self.ir.values;
        let mut expressions = Expressions { fields: self.fields, object, conditions, steps: 0, values };
        let depth = 1 + random.below(3);
        Atom::Compute { value: expressions.boolean(random, depth) }
    }

    /// Predicates that related processes are asked about, and the atoms that ask.
    fn questions(&mut self, random: &mut Random) {
        for _ in 0..random.below(4) {
            let (root, size) = self.small(random);
            self.ir.predicates.push(Predicate { category: None, root });
            let predicate = PredicateId(self.ir.predicates.len() as u32 - 1);
            for relation in [Relation::Child, Relation::Descendant, Relation::Event] {
                if random.once_in(2) {
                    self.leaf(Atom::Lineage { relation, predicate }, size);
                }
            }
        }
    }

    /// A node that stands for few entries; there is one, as atoms come first.
    fn small(&self, random: &mut Random) -> (NodeId, usize) {
        for _ in 0..8 {
            let (node, size) = random.pick(&self.usable);
            if size <= 12 {
                return (node, size);
            }
        }
        self.usable[0]
    }

    fn operand(&self, random: &mut Random, room: usize) -> (NodeId, usize) {
        let (node, size) = random.pick(&self.usable);
        if size <= room { (node, size) } else { self.usable[random.below(8)] }
    }

    /// One more node over what is there, of at most so many entries.
    fn node(&mut self, random: &mut Random, limit: usize) {
        let mut size = 1;
        let mut operands = |random: &mut Random, count: usize| -> Vec<NodeId> {
            let mut nodes = Vec::with_capacity(count);
            for _ in 0..count {
                let (node, own) = self.operand(random, limit / count);
                size += own;
                nodes.push(node);
            }
            nodes
        };
        let count = 2 + random.below(3);
        let node = match random.below(16) {
            0 => Node::Constant(random.once_in(2)),
            1..5 => Node::Not(operands(random, 1)[0]),
            5..9 => Node::And(operands(random, count.min(3))),
            _ => Node::Or(operands(random, count)),
        };
        let node = self.push(node);
        self.usable.push((node, size));
    }

    /// A chain of some hundred junctions and negations.
    fn deep(&mut self, random: &mut Random) {
        let (mut node, mut size) = self.small(random);
        for _ in 0..50 + random.below(350) {
            let (leaf, own) = self.operand(random, 2);
            node = match random.below(5) {
                0 => self.push(Node::Not(node)),
                1 | 2 => self.push(Node::And(vec![leaf, node])),
                _ => self.push(Node::Or(vec![node, leaf])),
            };
            size += own + 1;
            if size > LARGE_SIZE {
                break;
            }
        }
        self.usable.push((node, size));
        self.ir.predicates.push(Predicate { category: None, root: node });
    }

    /// Junctions of some hundred operands, all of them rarely decided early.
    fn wide(&mut self, random: &mut Random) {
        let count = 33 + random.below(300);
        let mut operands: Vec<NodeId> = (0..count).map(|_| self.operand(random, 2).0).collect();
        let any = self.push(Node::Or(operands.clone()));
        for operand in &mut operands {
            *operand = self.push(Node::Not(*operand));
        }
        let none = self.push(Node::And(operands));
        for root in [any, none] {
            self.ir.predicates.push(Predicate { category: None, root });
        }
    }

    fn predicates(&mut self, random: &mut Random, count: usize) {
        let categories: Vec<AtomId> = (0..3)
            .map(|_| {
                let field = self.fields.layout.lookup("event.category").unwrap_or(FieldId(0));
                let word = random.pick(&TEXTS[..4]).to_owned();
                let (matching, fold, strings) = (kestrel_ir::model::StringMatch::Exact, false, vec![word]);
                self.ir.atoms.push(Atom::Strings { field, matching, fold, strings });
                AtomId(self.ir.atoms.len() as u32 - 1)
            })
            .collect();
        while self.ir.predicates.len() < count {
            let category = random.once_in(6).then(|| random.pick(&categories));
            // The later nodes are the larger ones.
            let from = if random.once_in(4) { 0 } else { self.usable.len() / 2 };
            let (root, _) = self.usable[from + random.below(self.usable.len() - from)];
            self.ir.predicates.push(Predicate { category, root });
        }
    }
}
