//! Guards as a lesson: what must hold, who uses it for what, and what is left out and why.
//!
//! In: an IR. Out: for each predicate its tree, its clauses in words, what the kernel's filter, the engine's index and
//! `eqlc explain` take from them, and the tests that are in no clause.

use std::fmt::Write;

use kestrel_ir::guards::{self, Clause, Guard, Rank};
use kestrel_ir::model::{AtomId, Ir, PredicateId};
use kestrel_ir::text::atom_expression;
use kestrel_schema::{EventKind, event_kinds};

use super::tree::Trees;

/// How many tests of a clause are written out.
const SHOWN_TESTS: usize = 8;
/// How many tests that are left out are written out.
const SHOWN_LEFT_OUT: usize = 40;

/// The whole stage.
pub(super) fn lesson(ir: &Ir) -> String {
    let by_predicate = guards::predicate_kinds(ir, event_kinds());
    let mut shown = String::new();
    for (index, guard) in guards::analyze_all(ir).iter().enumerate() {
        let id = PredicateId(index as u32);
        if index > 0 {
            shown.push('\n');
        }
        shown.push_str(&Trees::new(ir).one(id));
        let kinds = by_predicate.get(index).map(Vec::as_slice).unwrap_or_default();
        // Writing to a string never fails.
        let _ = one(&mut shown, ir, id, guard, kinds);
    }
    shown
}

fn one(out: &mut String, ir: &Ir, id: PredicateId, guard: &Guard, kinds: &[u16]) -> std::fmt::Result {
    if guard.is_never() {
        return writeln!(out, "guard  never: no event can fulfil it, so nobody asks");
    }
    let filed = guards::filed_under(ir, guard);
    match guard.clauses.len() {
        0 => writeln!(out, "guard  always: nothing must hold that is cheap to test")?,
        _ => writeln!(out, "guard  all of these must hold, best first:")?,
    }
    for (number, clause) in guard.clauses.iter().enumerate() {
        writeln!(out, "  {}. {}", number + 1, tests(ir, clause))?;
        writeln!(out, "     {}: {}", clause.rank, meaning(clause.rank))?;
        if by_kind(ir, clause) {
            writeln!(out, "     kernel: the kind of an event decides it, so the kernel drops kinds by it")?;
        }
        if filed == Some(clause) {
            writeln!(out, "     index: the predicate is filed under it; other events do not ask it")?;
        }
    }
    writeln!(out, "kernel  {}", of_kernel(kinds, event_kinds()))?;
    match filed {
        Some(clause) => writeln!(out, "index   one look-up per value of {}", fields(ir, clause))?,
        None => writeln!(out, "index   no clause can be looked up: asked for every event of its kind")?,
    }
    writeln!(out, "explain {}", of_explain(guard, filed))?;
    let left_out = guards::left_out(ir, id, guard);
    if !left_out.is_empty() {
        writeln!(out, "in no clause")?;
    }
    for entry in left_out.iter().take(SHOWN_LEFT_OUT) {
        writeln!(out, "  {}\n     {}", atom_expression(ir, entry.atom), entry.reason(ir))?;
    }
    match left_out.len().saturating_sub(SHOWN_LEFT_OUT) {
        0 => Ok(()),
        more => writeln!(out, "  and {more} more"),
    }
}

fn tests(ir: &Ir, clause: &Clause) -> String {
    let shown: Vec<String> = clause.atoms.iter().take(SHOWN_TESTS).map(|&atom| atom_expression(ir, atom)).collect();
    let more = match clause.atoms.len().saturating_sub(SHOWN_TESTS) {
        0 => String::new(),
        more => format!("\n     or one of {more} more"),
    };
    format!("{}{more}", shown.join("\n     or "))
}

fn meaning(rank: Rank) -> &'static str {
    match rank {
        Rank::KeyEquality => "an equality over a field that tells events well apart",
        Rank::Equality => "an equality",
        Rank::Affix => "a pattern with a piece of literal text",
        Rank::Test => "a test that is evaluated, not looked up",
        Rank::Presence => "hardly more than that the field is there",
        Rank::Worthless => "true of most events of a host, or of all of one kind",
    }
}

fn by_kind(ir: &Ir, clause: &Clause) -> bool {
    clause.atoms.iter().all(|&atom| guards::is_decided_by_kind(ir, atom))
}

fn of_kernel(wanted: &[u16], kinds: &[EventKind]) -> String {
    let names: Vec<&str> = kinds.iter().filter(|kind| wanted.contains(&kind.id)).map(|kind| kind.name).collect();
    match names.len() {
        0 => format!("lets none of {} kinds through for it", kinds.len()),
        count if count == kinds.len() => "lets every kind through: the kind of an event decides nothing".to_owned(),
        count => format!("lets {count} of {} kinds through: {}", kinds.len(), names.join(", ")),
    }
}

fn of_explain(guard: &Guard, filed: Option<&Clause>) -> String {
    let more = guard.clauses.len() - usize::from(filed.is_some());
    let more = match more {
        0 => "nothing more that must hold".to_owned(),
        1 => "one more thing that must hold".to_owned(),
        more => format!("{more} more things that must hold"),
    };
    match filed {
        Some(clause) => {
            let number = guard.clauses.iter().position(|other| other == clause).map_or(0, |index| index + 1);
            format!("says that it is asked when {number}. holds ({}), and lists {more}", clause.rank)
        }
        None => format!("says that it is asked for every event of its kind, and lists {more}"),
    }
}

fn fields(ir: &Ir, clause: &Clause) -> String {
    let mut names: Vec<&str> = clause.atoms.iter().filter_map(|&atom| field(ir, atom)).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

fn field(ir: &Ir, atom: AtomId) -> Option<&str> {
    use kestrel_ir::model::Atom::{Integers, Strings};
    match ir.atom(atom)? {
        Strings { field, .. } | Integers { field, .. } => Some(ir.layout.name(*field)),
        _ => None,
    }
}
