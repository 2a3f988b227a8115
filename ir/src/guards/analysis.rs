//! The analysis behind guards: necessary clauses of every node, once as it is and once negated.
//!
//! In: an IR. Out: clauses, capped. Answers are remembered per (node, negated), so that what rules share is analysed
//! once; clauses are shared between answers. Recursion and memory are bounded whatever the IR holds.

use std::collections::HashMap;
use std::rc::Rc;

use super::kinds::constant_field_weight;
use super::rank::rank;
use super::{Clause, MAX_CLAUSE_ATOMS, MAX_CLAUSES};
use crate::model::{Atom, AtomId, Ir, Node, NodeId, Predicate};
use crate::verify::MAX_DEPTH;

/// How many of the clauses are kept because they tell kinds apart, when clauses are left out.
const KEPT_KIND_CLAUSES: usize = 8;
/// The most atoms in all clauses that `or` makes, together: 64 MiB.
const MAX_MADE_ATOMS: usize = 1 << 24;

/// What must hold.
#[derive(Clone)]
enum Necessary {
    /// Nothing can make the node true.
    Never,
    /// All of these.
    Clauses(Rc<[SharedClause]>),
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct SharedClause {
    clause: Rc<Clause>,
    /// When all atoms are over fields that are constant for a kind of event, how badly those tell kinds apart.
    kind_weight: Option<u8>,
}

/// The answers so far.
pub(super) struct Analysis<'i> {
    ir: &'i Ir,
    answers: HashMap<(NodeId, bool), Necessary>,
    made_atoms: usize,
}

impl<'i> Analysis<'i> {
    pub(super) fn new(ir: &'i Ir) -> Analysis<'i> {
        Analysis { ir, answers: HashMap::new(), made_atoms: 0 }
    }

    /// The clauses of a predicate, best first; `None` when it is never true.
    pub(super) fn predicate(&mut self, predicate: &Predicate) -> Option<Vec<Clause>> {
        let root = self.node(predicate.root, false, 0);
        let category = match predicate.category {
            Some(category) => self.atom(category),
            None => nothing(),
        };
        match unite([category, root]) {
            Necessary::Never => None,
            Necessary::Clauses(clauses) => Some(without_implied(&clauses)),
        }
    }

    /// The clauses of a node, or of its negation, best first; `None` when it is never true.
    pub(super) fn clauses(&mut self, node: NodeId, negated: bool) -> Option<Vec<Clause>> {
        match self.node(node, negated, 0) {
            Necessary::Never => None,
            Necessary::Clauses(clauses) => Some(without_implied(&clauses)),
        }
    }

    fn node(&mut self, id: NodeId, negated: bool, depth: u32) -> Necessary {
        if let Some(answer) = self.answers.get(&(id, negated)) {
            return answer.clone();
        }
        if depth > MAX_DEPTH {
            return nothing();
        }
        let ir = self.ir;
        let answer = match ir.node(id) {
            // The interpreter takes a node that is not there for false.
            None => {
                if negated {
                    nothing()
                } else {
                    Necessary::Never
                }
            }
            Some(Node::Constant(value)) if *value == negated => Necessary::Never,
            Some(Node::Constant(_)) => nothing(),
            Some(Node::Atom(_)) if negated => nothing(),
            Some(Node::Atom(atom)) => self.atom(*atom),
            Some(Node::Not(operand)) => self.node(*operand, !negated, depth + 1),
            Some(Node::And(branches)) if !negated => self.all(branches, negated, depth),
            Some(Node::Or(branches)) if negated => self.all(branches, negated, depth),
            Some(Node::And(branches) | Node::Or(branches)) => self.any(branches, negated, depth),
        };
        self.answers.insert((id, negated), answer.clone());
        answer
    }

    fn atom(&self, id: AtomId) -> Necessary {
        match self.ir.atom(id) {
            // The interpreter takes an atom that is not there for false.
            None => Necessary::Never,
            Some(atom) => {
                let clause = Clause { rank: rank(atom, &self.ir.layout), atoms: vec![id] };
                Necessary::Clauses(
                    [SharedClause { kind_weight: self.kind_weight(atom), clause: Rc::new(clause) }].into(),
                )
            }
        }
    }

    fn kind_weight(&self, atom: &Atom) -> Option<u8> {
        match atom {
            Atom::Strings { field, .. } | Atom::StringOrder { field, .. } => {
                self.ir.layout.get(*field).and_then(constant_field_weight)
            }
            _ => None,
        }
    }

    fn all(&mut self, branches: &[NodeId], negated: bool, depth: u32) -> Necessary {
        let mut necessary = nothing();
        for &branch in branches {
            let branch = self.node(branch, negated, depth + 1);
            necessary = unite([necessary, branch]);
            if matches!(necessary, Necessary::Never) {
                break;
            }
        }
        necessary
    }

    fn any(&mut self, branches: &[NodeId], negated: bool, depth: u32) -> Necessary {
        let mut possible: Vec<Rc<[SharedClause]>> = Vec::new();
        for &branch in branches {
            match self.node(branch, negated, depth + 1) {
                Necessary::Never => {}
                Necessary::Clauses(clauses) if clauses.is_empty() => return nothing(),
                Necessary::Clauses(clauses) => possible.push(clauses),
            }
        }
        let Some((first, others)) = possible.split_first() else { return Necessary::Never };
        if others.is_empty() {
            return Necessary::Clauses(first.clone());
        }
        // What every branch needs, `or` needs. Beside that, one clause that takes the best of every branch, and one
        // that takes what tells kinds of events apart.
        let in_all = |clause: &&SharedClause| others.iter().all(|other| other.binary_search(clause).is_ok());
        let mut clauses: Vec<SharedClause> = first.iter().filter(in_all).cloned().collect();
        let best = possible.iter().map(|clauses| clauses.iter().min());
        clauses.extend(self.combine(best));
        let by_kind = possible.iter().map(|clauses| {
            let of_kind = clauses.iter().filter(|clause| clause.kind_weight.is_some());
            of_kind.min_by_key(|clause| (clause.kind_weight, clause.clause.atoms.len()))
        });
        clauses.extend(self.combine(by_kind));
        limited(clauses)
    }

    /// One clause that holds when any of `parts` does. `None` when a part is missing or it would be too long.
    fn combine<'c>(&mut self, parts: impl Iterator<Item = Option<&'c SharedClause>>) -> Option<SharedClause> {
        let first = SharedClause::never();
        let mut combined = Clause { rank: first.clause.rank, atoms: Vec::new() };
        let mut kind_weight = first.kind_weight;
        for part in parts {
            let part = part?;
            combined.rank = combined.rank.max(part.clause.rank);
            kind_weight = kind_weight.zip(part.kind_weight).map(|(left, right)| left.max(right));
            combined.atoms.extend(&part.clause.atoms);
            if combined.atoms.len() > 2 * MAX_CLAUSE_ATOMS {
                combined.atoms.sort_unstable();
                combined.atoms.dedup();
                if combined.atoms.len() > MAX_CLAUSE_ATOMS {
                    return None;
                }
            }
        }
        combined.atoms.sort_unstable();
        combined.atoms.dedup();
        self.made_atoms += combined.atoms.len();
        let fits = combined.atoms.len() <= MAX_CLAUSE_ATOMS && self.made_atoms <= MAX_MADE_ATOMS;
        fits.then(|| SharedClause { clause: Rc::new(combined), kind_weight })
    }
}

impl SharedClause {
    /// The clause without atoms, to add to.
    fn never() -> SharedClause {
        let clause = Clause { rank: super::Rank::KeyEquality, atoms: Vec::new() };
        SharedClause { clause: Rc::new(clause), kind_weight: Some(0) }
    }
}

/// No clause: anything may be.
fn nothing() -> Necessary {
    Necessary::Clauses([].into())
}

/// What both need.
fn unite(parts: [Necessary; 2]) -> Necessary {
    match parts {
        [Necessary::Never, _] | [_, Necessary::Never] => Necessary::Never,
        [Necessary::Clauses(left), Necessary::Clauses(right)] if left.is_empty() => Necessary::Clauses(right),
        [Necessary::Clauses(left), Necessary::Clauses(right)] if right.is_empty() => Necessary::Clauses(left),
        [Necessary::Clauses(left), Necessary::Clauses(right)] => {
            limited(left.iter().chain(right.iter()).cloned().collect())
        }
    }
}

/// Sorts best first, and leaves the worst out when there are too many.
fn limited(mut clauses: Vec<SharedClause>) -> Necessary {
    clauses.sort_unstable();
    clauses.dedup();
    if clauses.len() > MAX_CLAUSES {
        let tail = clauses.split_off(MAX_CLAUSES - KEPT_KIND_CLAUSES);
        let (by_kind, others): (Vec<_>, Vec<_>) = tail.into_iter().partition(|clause| clause.kind_weight.is_some());
        clauses.extend(by_kind.into_iter().take(KEPT_KIND_CLAUSES));
        let free = MAX_CLAUSES - clauses.len();
        clauses.extend(others.into_iter().take(free));
        clauses.sort_unstable();
    }
    Necessary::Clauses(clauses.into())
}

/// Drops clauses that a shorter one implies: `a` makes `a or b` say nothing.
fn without_implied(clauses: &[SharedClause]) -> Vec<Clause> {
    let implies = |left: &Clause, right: &Clause| {
        left.atoms.len() < right.atoms.len() && left.atoms.iter().all(|atom| right.atoms.binary_search(atom).is_ok())
    };
    let implied = |clause: &Clause| clauses.iter().any(|other| implies(&other.clause, clause));
    clauses.iter().map(|shared| shared.clause.as_ref()).filter(|clause| !implied(clause)).cloned().collect()
}
