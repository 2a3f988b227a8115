//! Dispatch: which predicates are worth evaluating for an event.
//!
//! In: the guards of all predicates (necessary conditions). Out, for each event: candidates in ascending order, among
//! them every predicate that can hold. Each predicate is filed under one clause of its guard, the most selective one
//! that is an equality: under a text or number of a field, found by one hash look-up per value of the event. The others
//! are filed under their category alone.

use std::collections::HashMap;

use kestrel_ir::fold::fold_into;
use kestrel_ir::frame::{Frame, Slot};
use kestrel_ir::guards::{self, Clause};
use kestrel_ir::layout::{FieldId, Layout};
use kestrel_ir::model::{Atom, AtomId, Ir, PredicateId, StringMatch};

/// Predicates by what an event must have for them.
#[derive(Debug)]
pub struct Dispatch {
    layout: Layout,
    fields: Vec<FieldIndex>,
    always: Vec<PredicateId>,
    found: Vec<bool>,
    folded: String,
}

/// Predicates filed under the values of one field.
#[derive(Debug)]
struct FieldIndex {
    field: FieldId,
    exact: HashMap<Box<str>, Vec<PredicateId>>,
    folded: HashMap<Box<str>, Vec<PredicateId>>,
    numbers: HashMap<i64, Vec<PredicateId>>,
}

impl Dispatch {
    /// The index of a pack's predicates.
    pub fn new(ir: &Ir) -> Dispatch {
        let mut dispatch = Dispatch {
            layout: ir.layout.clone(),
            fields: Vec::new(),
            always: Vec::new(),
            found: vec![false; ir.predicates.len()],
            folded: String::new(),
        };
        for (index, predicate) in ir.predicates.iter().enumerate() {
            let id = PredicateId(index as u32);
            let guard = guards::analyze(ir, id);
            if guard.is_never() {
                continue;
            }
            let best = guard
                .clauses
                .iter()
                .filter(|clause| clause.atoms.iter().all(|&atom| is_equality(ir, atom)))
                .min_by_key(|clause| (rank(ir, clause), clause.atoms.len()));
            match (best, predicate.category) {
                (Some(clause), _) => clause.atoms.iter().for_each(|&atom| dispatch.file(ir, atom, id)),
                (None, Some(category)) if is_equality(ir, category) => dispatch.file(ir, category, id),
                (None, _) => dispatch.always.push(id),
            }
        }
        dispatch
    }

    fn file(&mut self, ir: &Ir, atom: AtomId, id: PredicateId) {
        match ir.atom(atom) {
            Some(Atom::Strings { field, fold, strings, .. }) => {
                let index = self.index(*field);
                let map = if *fold { &mut index.folded } else { &mut index.exact };
                for text in strings {
                    map.entry(text.as_str().into()).or_default().push(id);
                }
            }
            Some(Atom::Integers { field, values }) => {
                let index = self.index(*field);
                for value in values {
                    index.numbers.entry(*value).or_default().push(id);
                }
            }
            _ => self.always.push(id),
        }
    }

    fn index(&mut self, field: FieldId) -> &mut FieldIndex {
        let position = self.fields.iter().position(|index| index.field == field).unwrap_or_else(|| {
            self.fields.push(FieldIndex {
                field,
                exact: HashMap::new(),
                folded: HashMap::new(),
                numbers: HashMap::new(),
            });
            self.fields.len() - 1
        });
        &mut self.fields[position]
    }

    /// Appends the predicates that can hold for the event, in ascending order, each once.
    pub fn candidates(&mut self, frame: Frame<'_>, out: &mut Vec<PredicateId>) {
        let found = &mut self.found;
        let mut add = |predicates: &[PredicateId]| {
            for &id in predicates {
                if !std::mem::replace(&mut found[id.index()], true) {
                    out.push(id);
                }
            }
        };
        add(&self.always);
        for index in &self.fields {
            for slot in frame.values(&self.layout, index.field).iter() {
                match slot {
                    Slot::Text(text) => {
                        if let Some(predicates) = index.exact.get(text) {
                            add(predicates);
                        }
                        if !index.folded.is_empty() {
                            self.folded.clear();
                            fold_into(text, &mut self.folded);
                            if let Some(predicates) = index.folded.get(self.folded.as_str()) {
                                add(predicates);
                            }
                        }
                    }
                    Slot::Integer(value) => {
                        if let Some(predicates) = index.numbers.get(&value) {
                            add(predicates);
                        }
                    }
                    _ => {}
                }
            }
        }
        out.iter().for_each(|id| found[id.index()] = false);
        out.sort_unstable();
    }
}

fn is_equality(ir: &Ir, atom: AtomId) -> bool {
    matches!(ir.atom(atom), Some(Atom::Strings { matching: StringMatch::Exact, .. } | Atom::Integers { .. }))
}

/// How little a clause says about an event, judged by its fields: lower is more selective.
fn rank(ir: &Ir, clause: &Clause) -> u32 {
    let of_field = |field: &FieldId| match ir.layout.name(*field) {
        "host.os.type" | "event.kind" | "event.category" | "event.type" => 3,
        "event.action" | "event.module" | "event.outcome" | "data_stream.dataset" => 2,
        "user.id" | "user.name" => 1,
        _ => 0,
    };
    clause
        .atoms
        .iter()
        .map(|&atom| match ir.atom(atom) {
            Some(Atom::Strings { field, .. } | Atom::Integers { field, .. }) => of_field(field),
            _ => 4,
        })
        .max()
        .unwrap_or(4)
}
