//! What a run counted: pairs, how many were true, and for each kind of atom how often it held and how often it decided.
//!
//! A generator whose answers are all the same shows nothing. The tally is what lets a test say that it is not so.

use std::collections::BTreeMap;
use std::fmt;

use kestrel_ir::model::{Atom, AtomId, Function, Ir, Node, NodeId, StringMatch, Value, ValueId};

use super::ask::Material;

/// Counts of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packs for pairs.
    pub packs: u64,
    /// (predicate, event) pairs that everybody answered.
    pub pairs: u64,
    /// Those where the predicate held.
    pub held: u64,
    /// Pairs that dispatch would have evaluated.
    pub dispatched: u64,
    /// Streams that went through every runtime.
    pub streams: u64,
    /// (rule, stream) pairs.
    pub stream_rules: u64,
    /// Matches in them.
    pub matches: u64,
    /// Differences.
    pub differences: u64,
    /// By kind of atom, over a sample of the events.
    pub atoms: BTreeMap<&'static str, AtomTally>,
    /// By function, how many computing atoms of the sample call it, and how many of those held.
    pub functions: BTreeMap<String, AtomTally>,
}

/// Counts of one kind of atom, over the sample.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AtomTally {
    /// How often one was evaluated.
    pub asked: u64,
    /// How often it held.
    pub held: u64,
    /// How often a predicate would have been the other way round, had it been the other way round.
    pub decisive: u64,
}

impl AtomTally {
    fn add(&mut self, other: AtomTally) {
        self.asked += other.asked;
        self.held += other.held;
        self.decisive += other.decisive;
    }
}

/// The kind of an atom, in a word.
pub fn kind(atom: &Atom) -> &'static str {
    match atom {
        Atom::Present { .. } => "present",
        Atom::Boolean { .. } => "boolean",
        Atom::Strings { matching, fold, .. } => match (matching, fold) {
            (StringMatch::Exact, false) => "exact",
            (StringMatch::Exact, true) => "exact~",
            (StringMatch::Wildcard, false) => "wildcard",
            (StringMatch::Wildcard, true) => "wildcard~",
            (StringMatch::Regex, false) => "regex",
            (StringMatch::Regex, true) => "regex~",
        },
        Atom::StringOrder { .. } => "string order",
        Atom::Integers { .. } => "integers",
        Atom::IntegerOrder { .. } => "integer order",
        Atom::FloatOrder { .. } => "float order",
        Atom::Cidr { .. } => "cidr",
        Atom::VersionOrder { .. } => "version order",
        Atom::Compute { .. } => "compute",
        Atom::AnyObject { .. } => "any object",
        Atom::Lineage { .. } => "lineage",
    }
}

/// All kinds that [`kind`] knows.
pub const KINDS: [&str; 17] = [
    "present",
    "boolean",
    "exact",
    "exact~",
    "wildcard",
    "wildcard~",
    "regex",
    "regex~",
    "string order",
    "integers",
    "integer order",
    "float order",
    "cidr",
    "version order",
    "compute",
    "any object",
    "lineage",
];

impl Tally {
    /// Takes in what another thread counted.
    pub fn add(&mut self, other: &Tally) {
        self.packs += other.packs;
        self.pairs += other.pairs;
        self.held += other.held;
        self.dispatched += other.dispatched;
        self.streams += other.streams;
        self.stream_rules += other.stream_rules;
        self.matches += other.matches;
        self.differences += other.differences;
        other.atoms.iter().for_each(|(kind, tally)| self.atoms.entry(kind).or_default().add(*tally));
        for (function, tally) in &other.functions {
            self.functions.entry(function.clone()).or_default().add(*tally);
        }
    }

    /// How many pairs in a hundred held.
    pub fn percent_held(&self) -> f64 {
        self.held as f64 * 100.0 / (self.pairs.max(1)) as f64
    }

    /// Looks at the atoms of one event.
    pub(super) fn sample(&mut self, ir: &Ir, material: &Material, event: usize) {
        let Some(frame) = material.frame(event) else { return };
        let interpreter = material.atoms().interpreter();
        let holds: Vec<bool> = (0..ir.atoms.len() as u32)
            .map(|atom| interpreter.atom_with(AtomId(atom), frame, material.context(event)))
            .collect();
        for predicate in &ir.predicates {
            let mut below = Vec::new();
            collect(ir, predicate.root, &mut below);
            below.sort_unstable();
            below.dedup();
            let answer = decide(ir, predicate.root, &holds, None);
            for &id in &below {
                let Some(atom) = ir.atom(id) else { continue };
                let decisive = decide(ir, predicate.root, &holds, Some(id)) != answer;
                let held = u64::from(holds[id.index()]);
                let one = AtomTally { asked: 1, held, decisive: u64::from(decisive) };
                self.atoms.entry(kind(atom)).or_default().add(one);
                if let Atom::Compute { value } = atom {
                    let mut functions = Vec::new();
                    called(ir, *value, &mut functions);
                    for function in functions {
                        self.functions.entry(format!("{function:?}")).or_default().add(one);
                    }
                }
            }
        }
    }
}

/// The atoms that a node asks, those inside of searches and values aside.
fn collect(ir: &Ir, node: NodeId, atoms: &mut Vec<AtomId>) {
    // A sample of each large predicate is enough.
    if atoms.len() > 60 {
        return;
    }
    match ir.node(node) {
        Some(Node::Atom(atom)) => atoms.push(*atom),
        Some(Node::Not(operand)) => collect(ir, *operand, atoms),
        Some(Node::And(operands) | Node::Or(operands)) => {
            operands.iter().for_each(|&operand| collect(ir, operand, atoms));
        }
        Some(Node::Constant(_)) | None => {}
    }
}

/// What a node gives when the atoms hold as told, one of them the other way round.
fn decide(ir: &Ir, node: NodeId, holds: &[bool], flipped: Option<AtomId>) -> bool {
    match ir.node(node) {
        Some(Node::Constant(value)) => *value,
        Some(Node::Atom(atom)) => holds[atom.index()] != (flipped == Some(*atom)),
        Some(Node::Not(operand)) => !decide(ir, *operand, holds, flipped),
        Some(Node::And(operands)) => operands.iter().all(|&operand| decide(ir, operand, holds, flipped)),
        Some(Node::Or(operands)) => operands.iter().any(|&operand| decide(ir, operand, holds, flipped)),
        None => false,
    }
}

fn called(ir: &Ir, value: ValueId, functions: &mut Vec<Function>) {
    match ir.value(value) {
        Some(Value::Call { function, arguments, .. }) => {
            functions.push(*function);
            arguments.iter().for_each(|&argument| called(ir, argument, functions));
        }
        Some(Value::Negate(operand) | Value::IsNull(operand) | Value::NotNull(operand)) => {
            called(ir, *operand, functions);
        }
        Some(Value::Matches { input, .. }) => called(ir, *input, functions),
        Some(Value::Arithmetic { left, right, .. } | Value::Compare { left, right, .. }) => {
            called(ir, *left, functions);
            called(ir, *right, functions);
        }
        _ => {}
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{} pairs in {} packs, {:.1} % true, dispatch picks {:.1} %; {} streams ({} with each of their rules), {} matches",
            self.pairs,
            self.packs,
            self.percent_held(),
            self.dispatched as f64 * 100.0 / self.pairs.max(1) as f64,
            self.streams,
            self.stream_rules,
            self.matches,
        )?;
        let percent = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
        let all = self.atoms.iter().map(|(kind, tally)| (*kind, tally));
        for (name, tally) in all.chain(self.functions.iter().map(|(name, tally)| (name.as_str(), tally))) {
            let (held, decisive) = (percent(tally.held, tally.asked), percent(tally.decisive, tally.asked));
            writeln!(formatter, "  {name:15} {:9} asked {held:5.1} % true {decisive:5.1} % decisive", tally.asked)?;
        }
        Ok(())
    }
}
