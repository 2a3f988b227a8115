//! What the users of a guard take from it, and what a guard leaves out and why: for people.
//!
//! In: an IR, a predicate and its guard. Out: the clause that dispatch files the predicate under, and for each test that
//! stands in no clause the reason. Nothing here changes a guard.

use std::collections::HashSet;
use std::fmt;

use super::analysis::Analysis;
use super::{Clause, Guard, MAX_CLAUSE_ATOMS, MAX_CLAUSES, Rank};
use crate::model::{Atom, AtomId, Ir, Node, NodeId, PredicateId, StringMatch};
use crate::pattern::{has_wildcard, required_literal};
use crate::regex;
use crate::text::atom_expression;
use crate::verify::MAX_DEPTH;

/// Why a test is in no clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It is negated, and what must not hold cannot be looked up.
    Negated,
    /// It stands in a branch of an `or`, another branch of which needs nothing that could be looked up.
    FreeBranch,
    /// It stands in a branch of an `or` that is represented by this better test.
    BetterInBranch(AtomId),
    /// It stands in an `or` that a shorter clause says already.
    Implied,
    /// The clause of its `or` would have too many tests.
    TooLong,
    /// The guard has enough better clauses.
    TooMany,
}

/// A test that is in no clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The test.
    pub atom: AtomId,
    /// The reason.
    pub why: Why,
}

impl LeftOut {
    /// The reason in words.
    pub fn reason<'l>(&'l self, ir: &'l Ir) -> impl fmt::Display + 'l {
        fmt::from_fn(|formatter| match &self.why {
            Why::Negated => formatter.write_str("it is negated: what must not hold cannot be looked up"),
            Why::FreeBranch => formatter.write_str("another branch of its `or` needs nothing that can be looked up"),
            Why::BetterInBranch(atom) => {
                write!(formatter, "its branch of the `or` is represented by {}", atom_expression(ir, *atom))
            }
            Why::Implied => formatter.write_str("a shorter clause says what its `or` would say"),
            Why::TooLong => write!(formatter, "the clause of its `or` would have more than {MAX_CLAUSE_ATOMS} tests"),
            Why::TooMany => write!(formatter, "{MAX_CLAUSES} better clauses are enough"),
        })
    }
}

/// The fields whose values make the kind of an event: few values, and most rules name one. Dispatch has an index for each
/// kind, and a clause over these fields alone says which.
pub const KIND_FIELDS: [&str; 10] = [
    "data_stream.dataset",
    "event.action",
    "event.category",
    "event.dataset",
    "event.kind",
    "event.module",
    "event.outcome",
    "event.provider",
    "event.type",
    "host.os.type",
];

/// The clause that dispatch files a predicate under before it has measured, as `kestrel_core::dispatch` picks it: of those
/// that an index can be asked for the one that should be rarest. Without one the predicate is asked for every event of its
/// kind. A clause that many events turn out to fulfil is left for a rarer one.
pub fn filed_under<'g>(ir: &Ir, guard: &'g Guard) -> Option<&'g Clause> {
    let indexed = |atom: &AtomId| match ir.atom(*atom) {
        Some(Atom::Strings { matching: StringMatch::Exact, .. } | Atom::Integers { .. }) => true,
        Some(Atom::Strings { matching: StringMatch::Wildcard, strings, .. }) => {
            strings.iter().all(|pattern| !has_wildcard(pattern) || required_literal(pattern).is_some())
        }
        Some(Atom::Strings { matching: StringMatch::Regex, strings, .. }) => {
            strings.iter().all(|pattern| regex::required_literal(pattern).is_some())
        }
        _ => false,
    };
    let preference = |rank: Rank| match rank {
        Rank::KeyEquality => 0,
        Rank::Affix => 1,
        Rank::Equality => 2,
        Rank::Test | Rank::Presence => 3,
        Rank::Worthless => 4,
    };
    let of_kind = |atom: &AtomId| match ir.atom(*atom) {
        Some(Atom::Strings { field, matching: StringMatch::Exact, .. }) => {
            KIND_FIELDS.contains(&ir.layout.name(*field))
        }
        _ => false,
    };
    let clauses = guard.clauses.iter().filter(|clause| {
        clause.rank != Rank::Worthless && clause.atoms.iter().all(indexed) && !clause.atoms.iter().all(of_kind)
    });
    clauses.min_by_key(|clause| (preference(clause.rank), clause.atoms.len()))
}

/// The tests of a predicate that are in no clause of its guard, each once, in the order of the predicate.
pub fn left_out(ir: &Ir, predicate: PredicateId, guard: &Guard) -> Vec<LeftOut> {
    let mut search = Search {
        ir,
        analysis: Analysis::new(ir),
        in_guard: guard.clauses.iter().flat_map(|clause| clause.atoms.iter().copied()).collect(),
        seen: HashSet::new(),
        told: HashSet::new(),
        found: Vec::new(),
    };
    if let Some(predicate) = ir.predicate(predicate)
        && !guard.is_never()
    {
        search.node(predicate.root, false, &Why::TooMany, 0);
    }
    search.found
}

struct Search<'i> {
    ir: &'i Ir,
    analysis: Analysis<'i>,
    in_guard: HashSet<AtomId>,
    seen: HashSet<(NodeId, bool)>,
    told: HashSet<AtomId>,
    found: Vec<LeftOut>,
}

impl Search<'_> {
    /// `why` is what a test below is left out for, if it is and nothing nearer to it says otherwise.
    fn node(&mut self, id: NodeId, negated: bool, why: &Why, depth: u32) {
        if depth > MAX_DEPTH || !self.seen.insert((id, negated)) {
            return;
        }
        let ir = self.ir;
        match ir.node(id) {
            None | Some(Node::Constant(_)) => {}
            Some(Node::Atom(atom)) => {
                if !self.in_guard.contains(atom) && self.told.insert(*atom) {
                    let why = if negated { Why::Negated } else { why.clone() };
                    self.found.push(LeftOut { atom: *atom, why });
                }
            }
            Some(Node::Not(operand)) => self.node(*operand, !negated, why, depth + 1),
            Some(Node::And(branches)) if !negated => self.all(branches, negated, why, depth),
            Some(Node::Or(branches)) if negated => self.all(branches, negated, why, depth),
            Some(Node::And(branches) | Node::Or(branches)) => self.any(branches, negated, depth),
        }
    }

    fn all(&mut self, branches: &[NodeId], negated: bool, why: &Why, depth: u32) {
        for &branch in branches {
            self.node(branch, negated, why, depth + 1);
        }
    }

    fn any(&mut self, branches: &[NodeId], negated: bool, depth: u32) {
        let needed: Vec<Option<Vec<Clause>>> =
            branches.iter().map(|&branch| self.analysis.clauses(branch, negated)).collect();
        let is_free = needed.iter().flatten().any(Vec::is_empty);
        let length: usize = needed.iter().flatten().filter_map(|clauses| clauses.first()).map(|c| c.atoms.len()).sum();
        for (&branch, needed) in branches.iter().zip(&needed) {
            let best = needed.as_ref().and_then(|clauses| clauses.first());
            let one = best.and_then(|clause| clause.atoms.first()).copied();
            let why = match one {
                _ if is_free => Why::FreeBranch,
                // What stands for the branch is in the guard, so that it speaks for the others.
                Some(atom) if self.in_guard.contains(&atom) => Why::BetterInBranch(atom),
                _ if length > MAX_CLAUSE_ATOMS => Why::TooLong,
                _ => Why::Implied,
            };
            self.node(branch, negated, &why, depth + 1);
        }
    }
}
