//! Guards: for each predicate a necessary condition over cheap tests.
//!
//! In: a verified [`Ir`] and a predicate. Out: a [`Guard`], a conjunction of [`Clause`]s; each clause is a set of atoms of
//! which at least one must hold. Whenever the predicate is true its guard holds: a guard may let too much through, never
//! too little. Who uses it: the kernel filter drops the kinds that no guard can want, the engine's index files a predicate
//! under the atoms of its best clause, `eqlc explain` tells what a rule costs.
//!
//! ```text
//! process where process.name in~ ("a", "b") and not user.id == "0" and (x == 1 or y == 2)
//!   ──▶ event.category exact ["process"]  ∧  process.name exact~ ["a", "b"]  ∧  (x in [1] ∨ y in [2])
//! ```
//!
//! How: `and` unites its branches' clauses; `or` gives clauses that take one from every branch; `not` is pushed down to
//! the atoms, and a negated atom says nothing. Sizes are capped ([`MAX_CLAUSES`], [`MAX_CLAUSE_ATOMS`]): what does not fit is
//! left out, which only weakens the guard. Nothing here reads an event.

use std::fmt;
use std::fmt::Write;

use crate::model::{Atom, AtomId, Ir, PredicateId, StringMatch};
use crate::text::atom_expression;
use analysis::Analysis;

mod analysis;
mod explain;
mod kinds;
mod needs;
mod rank;

pub use explain::{KIND_FIELDS, LeftOut, Why, filed_under, left_out};
pub use kinds::{constant_fields, is_decided_by_kind, kinds, predicate_kinds, required_kinds};
pub use needs::{ASKED_BY_NAME, Needs, rule_needs};

/// The most clauses of a guard.
pub const MAX_CLAUSES: usize = 32;
/// The most atoms of a clause.
pub const MAX_CLAUSE_ATOMS: usize = 256;

/// How good a clause is for picking candidates, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rank {
    /// Equality with values of a field that tells events well apart: a name, a path, an action, a port.
    KeyEquality,
    /// Equality with values of another field.
    Equality,
    /// A wildcard pattern with a literal prefix, suffix or infix of some length.
    Affix,
    /// An ordering, a block of addresses, a truth value, a regular expression, a computation.
    Test,
    /// Hardly more than that the field is there.
    Presence,
    /// True of most events of a host, or of all of one kind: category, type, operating system.
    Worthless,
}

impl fmt::Display for Rank {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Rank::KeyEquality => "key equality",
            Rank::Equality => "equality",
            Rank::Affix => "affix",
            Rank::Test => "test",
            Rank::Presence => "presence",
            Rank::Worthless => "worthless",
        })
    }
}

/// Atoms of which at least one must hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Clause {
    /// How good the clause is: as good as its worst atom.
    pub rank: Rank,
    /// The atoms, sorted. Without any the clause never holds.
    pub atoms: Vec<AtomId>,
}

/// A necessary condition of a predicate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// The category that the predicate asks for, when it is a plain one. Its atom is a clause too.
    pub category: Option<String>,
    /// What must hold, all of it; best first. Without any, the guard lets everything through.
    pub clauses: Vec<Clause>,
}

impl Guard {
    /// The guard that lets everything through.
    pub fn always() -> Guard {
        Guard { category: None, clauses: Vec::new() }
    }

    /// The guard of a predicate that is never true.
    pub fn never() -> Guard {
        Guard { category: None, clauses: vec![Clause { rank: Rank::KeyEquality, atoms: Vec::new() }] }
    }

    /// Whether nothing gets through.
    pub fn is_never(&self) -> bool {
        self.clauses.iter().any(|clause| clause.atoms.is_empty())
    }

    /// The clause to file the predicate under; `None` when it has to be asked for every event of its kind.
    pub fn best(&self) -> Option<&Clause> {
        self.clauses.first()
    }

    /// Whether an event gets through, by what its atoms are.
    pub fn holds(&self, mut atom: impl FnMut(AtomId) -> bool) -> bool {
        self.clauses.iter().all(|clause| clause.atoms.iter().any(|&id| atom(id)))
    }
}

/// The guard of one predicate. A predicate that is not there is never true.
pub fn analyze(ir: &Ir, predicate: PredicateId) -> Guard {
    analyze_with(ir, predicate, &mut Analysis::new(ir))
}

/// The guards of all predicates, in the order of their ids. Cheaper than one by one, because predicates share nodes.
pub fn analyze_all(ir: &Ir) -> Vec<Guard> {
    let mut analysis = Analysis::new(ir);
    (0..ir.predicates.len()).map(|index| analyze_with(ir, PredicateId(index as u32), &mut analysis)).collect()
}

fn analyze_with(ir: &Ir, id: PredicateId, analysis: &mut Analysis<'_>) -> Guard {
    let Some(predicate) = ir.predicate(id) else { return Guard::never() };
    match analysis.predicate(predicate) {
        None => Guard::never(),
        Some(clauses) => Guard { category: predicate.category.and_then(|atom| plain_category(ir, atom)), clauses },
    }
}

fn plain_category(ir: &Ir, atom: AtomId) -> Option<String> {
    match ir.atom(atom)? {
        Atom::Strings { matching: StringMatch::Exact, fold: false, strings, .. } => match strings.as_slice() {
            [category] => Some(category.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// A guard for people: one clause a line, best first.
pub fn describe(ir: &Ir, guard: &Guard) -> String {
    if guard.is_never() {
        return "never\n".to_owned();
    }
    if guard.clauses.is_empty() {
        return "always\n".to_owned();
    }
    let mut out = String::new();
    for clause in &guard.clauses {
        let _ = write!(out, "{:12} ", clause.rank.to_string());
        for (index, &atom) in clause.atoms.iter().enumerate() {
            out.push_str(if index > 0 { " or " } else { "" });
            out.push_str(&atom_expression(ir, atom));
        }
        out.push('\n');
    }
    out
}

/// The names of all fields that the rules of a pack read, sorted, each once.
pub fn required_fields(ir: &Ir) -> Vec<String> {
    let mut names: Vec<String> = ir.layout.iter().map(|(_, field)| field.name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names
}
