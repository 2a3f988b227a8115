//! The sentences of an explanation.
//!
//! In: a predicate and the kinds that it can want. Out: what the kernel decides, and what it leaves to user space.

use std::collections::{BTreeSet, HashSet};

use kestrel_ir::guards::{analyze, is_decided_by_kind};
use kestrel_ir::layout::FieldId;
use kestrel_ir::model::{Atom, AtomId, Ir, Node, NodeId, PredicateId, Step, Value, ValueId};
use kestrel_ir::text::atom_expression;
use kestrel_schema::EventKind;

use crate::keys::Keys;

/// How many kinds, tests or fields are named.
const NAMED: usize = 6;

/// Why these `wanted` of all `kinds` pass for a predicate, and what else is asked of them.
pub(crate) fn why(
    ir: &Ir,
    predicate: PredicateId,
    term: Option<&Step>,
    wanted: &[u16],
    kinds: &[EventKind],
    keys: &Keys,
) -> String {
    let guard = analyze(ir, predicate);
    if guard.is_never() {
        return "it is never true, so no event passes for it".to_owned();
    }
    let by_kind: Vec<String> = guard
        .clauses
        .iter()
        .filter(|clause| clause.atoms.iter().all(|&atom| is_decided_by_kind(ir, atom)))
        .map(|clause| {
            let atoms = clause.atoms.iter().take(NAMED).map(|&atom| atom_expression(ir, atom));
            atoms.collect::<Vec<_>>().join(" or ")
        })
        .collect();
    let because = match by_kind.as_slice() {
        [] => "by what it excludes".to_owned(),
        clauses => format!("by {}", list(clauses.iter().map(String::as_str))),
    };
    let names: Vec<&str> = kinds.iter().filter(|kind| wanted.contains(&kind.id)).map(|kind| kind.name).collect();
    let mut why = match names.len() {
        0 => format!("no kind of event can satisfy it, {because}; nothing passes for it"),
        count if count == kinds.len() => "events of every kind can satisfy it".to_owned(),
        count => {
            format!("pushed down: {count} of {} kinds pass ({}), {because}", kinds.len(), list(names.into_iter()))
        }
    };
    if wanted.is_empty() {
        return why;
    }
    let mut rest = Rest::new(ir);
    rest.predicate(predicate);
    if rest.fields.is_empty() {
        why.push_str("; the kind of an event decides all of it");
    } else {
        let fields = list(rest.fields.iter().map(String::as_str));
        push_keys(&mut why, predicate, wanted, kinds, keys);
        why.push_str(&format!("; in user space: tests of {fields}"));
    }
    if let Some(term) = term {
        if term.joined.is_some() {
            why.push_str("; the comparison with earlier steps needs their events, which the kernel does not keep");
        }
        if term.missing {
            why.push_str("; a missing term needs its events in user space too, to know that there were none");
        }
    }
    why
}

/// What the kernel looks for beside the kind. The events that build up the process table come all the same, but say that
/// no rule wants them.
fn push_keys(why: &mut String, predicate: PredicateId, wanted: &[u16], kinds: &[EventKind], keys: &Keys) {
    let name = |kind: &u16| kinds.iter().find(|known| known.id == *kind).map_or("?", |known| known.name);
    let has_keys = |kind: &&u16| keys.chosen(predicate, **kind).is_some();
    let (with, without): (Vec<&u16>, Vec<&u16>) = wanted.iter().partition(has_keys);
    let of_kinds = || with.iter().filter_map(|kind| keys.chosen(predicate, **kind));
    let Some(chosen) = of_kinds().max_by_key(|chosen| chosen.keys.len()) else {
        why.push_str("; of these the kernel can compare nothing, so that all events of these kinds pass");
        return;
    };
    if chosen.keys.is_empty() {
        why.push_str("; the kernel drops all of them, because they never have the fields that are asked for");
        return;
    }
    let fields = list(chosen.fields.iter().map(String::as_str));
    let tests: BTreeSet<&str> = chosen.keys.iter().map(|key| key.test.name()).collect();
    let tests: Vec<&str> = tests.into_iter().collect();
    let count = chosen.keys.len();
    let plural = if count == 1 { "" } else { "s" };
    why.push_str(&format!("; the kernel compares `{fields}` by {count} key{plural} ({})", tests.join(", ")));
    if !without.is_empty() {
        let names = list(without.into_iter().map(name));
        why.push_str(&format!(", but nothing in {names}"));
    }
    let others: Vec<&str> = with.into_iter().filter(|kind| !keys.filters(**kind)).map(name).collect();
    if !others.is_empty() {
        let names = list(others.into_iter());
        why.push_str(&format!(", which saves nothing in {names} while other rules want all of those"));
    }
}

/// `a, b, c and 4 more`.
fn list<'t>(items: impl Iterator<Item = &'t str>) -> String {
    let items: Vec<&str> = items.collect();
    let named = items.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// Collects the names of the fields whose tests the kind of an event does not decide. Visits each entry once, with a
/// stack of its own.
struct Rest<'i> {
    ir: &'i Ir,
    fields: BTreeSet<String>,
    seen: HashSet<Entry>,
    open: Vec<Entry>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Entry {
    Atom(AtomId),
    Value(ValueId),
    Node(NodeId),
}

impl Rest<'_> {
    fn new(ir: &Ir) -> Rest<'_> {
        Rest { ir, fields: BTreeSet::new(), seen: HashSet::new(), open: Vec::new() }
    }

    fn predicate(&mut self, predicate: PredicateId) {
        let Some(predicate) = self.ir.predicate(predicate) else { return };
        self.open.push(Entry::Node(predicate.root));
        self.open.extend(predicate.category.map(Entry::Atom));
        while let Some(entry) = self.open.pop() {
            if self.seen.insert(entry) {
                self.visit(entry);
            }
        }
    }

    fn visit(&mut self, entry: Entry) {
        match entry {
            Entry::Atom(atom) if is_decided_by_kind(self.ir, atom) => {}
            Entry::Atom(atom) => {
                if let Some(atom) = self.ir.atom(atom) {
                    self.atom(atom);
                }
            }
            Entry::Node(node) => match self.ir.node(node) {
                Some(Node::Atom(atom)) => self.open.push(Entry::Atom(*atom)),
                Some(Node::Not(operand)) => self.open.push(Entry::Node(*operand)),
                Some(Node::And(branches) | Node::Or(branches)) => {
                    self.open.extend(branches.iter().copied().map(Entry::Node));
                }
                Some(Node::Constant(_)) | None => {}
            },
            Entry::Value(value) => match self.ir.value(value) {
                Some(Value::Field(field)) => self.field(*field),
                Some(
                    Value::Negate(operand)
                    | Value::IsNull(operand)
                    | Value::NotNull(operand)
                    | Value::Matches { input: operand, .. },
                ) => self.open.push(Entry::Value(*operand)),
                Some(Value::Arithmetic { left, right, .. } | Value::Compare { left, right, .. }) => {
                    self.open.extend([Entry::Value(*left), Entry::Value(*right)]);
                }
                Some(Value::Call { arguments, .. }) => self.open.extend(arguments.iter().copied().map(Entry::Value)),
                Some(Value::Condition(node)) => self.open.push(Entry::Node(*node)),
                Some(Value::Constant(_) | Value::StepField { .. }) | None => {}
            },
        }
    }

    fn atom(&mut self, atom: &Atom) {
        match atom {
            Atom::Present { field }
            | Atom::Boolean { field, .. }
            | Atom::Strings { field, .. }
            | Atom::StringOrder { field, .. }
            | Atom::Integers { field, .. }
            | Atom::IntegerOrder { field, .. }
            | Atom::FloatOrder { field, .. }
            | Atom::Cidr { field, .. }
            | Atom::VersionOrder { field, .. } => self.field(*field),
            Atom::Compute { value } => self.open.push(Entry::Value(*value)),
            Atom::AnyObject { object, condition } => {
                self.field(*object);
                self.open.push(Entry::Node(*condition));
            }
            // Which processes are related is known in user space alone: by the id of the event's process.
            Atom::Lineage { .. } => {
                if let Some(lineage) = self.ir.lineage {
                    self.field(lineage.entity);
                }
            }
        }
    }

    fn field(&mut self, field: FieldId) {
        self.fields.insert(format!("`{}`", self.ir.layout.name(field)));
    }
}
