//! Dead code: what no rule reaches goes.
//!
//! What: atoms, values, nodes and predicates that no rule, step, join, pipe, search or lineage leads to; then the fields
//! that none of those left and no hand-written predicate read, that are no key and that nobody asked to keep; and the fields of lineage when no atom
//! asks for it. Everything left is numbered densely, in the order in which the rules reach it; fields keep their order.
//!
//! Why it is right: an entry has a meaning only for those that refer to it. Of a frame, a field that is gone was read by
//! no one; what alerts show of an event beside it, the caller names in `keep`.
//!
//! Never: it removes a rule, also one that can never match, and never moves a kept field in front of another.

use std::collections::HashSet;

use crate::layout::{FieldId, Layout};
use crate::model::{Atom, Ir, Rule, RuleKind, Step, Value};

use super::rewrite::{Same, reached_entries};

/// The IR without what no rule reaches; top-level fields that `keep` names stay.
pub(super) fn without_dead_code(ir: &Ir, keep: &[&str]) -> Option<Ir> {
    let mut made = reached_entries(ir, &mut Same)?;
    if !made.atoms.iter().any(|atom| matches!(atom, Atom::Lineage { .. })) {
        made.lineage = None;
    }
    let mut used = HashSet::new();
    for_each_field(&mut made, &mut |field| {
        used.insert(*field);
    });
    let keep: HashSet<&str> = keep.iter().copied().collect();
    let kept = made.layout.iter().filter(|(_, field)| field.parent.is_none() && keep.contains(field.name.as_str()));
    used.extend(kept.map(|(id, _)| id));
    let parents: Vec<FieldId> =
        used.iter().filter_map(|&id| made.layout.get(id).and_then(|field| field.parent)).collect();
    used.extend(parents);

    let mut layout = Layout::new();
    // By old id. Parents are declared before their children, so that theirs are known.
    let mut numbers: Vec<Option<FieldId>> = vec![None; made.layout.len()];
    for (id, field) in made.layout.iter().filter(|(id, _)| used.contains(id)) {
        let number = match field.parent {
            None => layout.intern(&field.name, field.field_type),
            Some(parent) => {
                let parent = numbers.get(parent.index()).copied().flatten()?;
                layout.intern_child(&field.name, field.field_type, parent)
            }
        };
        *numbers.get_mut(id.index())? = Some(number);
    }
    let mut all_known = true;
    for_each_field(&mut made, &mut |field| match numbers.get(field.index()).copied().flatten() {
        Some(number) => *field = number,
        None => all_known = false,
    });
    made.layout = layout;
    all_known.then_some(made)
}

/// Every place that names a field.
fn for_each_field(ir: &mut Ir, visit: &mut impl FnMut(&mut FieldId)) {
    for atom in &mut ir.atoms {
        match atom {
            Atom::Present { field }
            | Atom::Boolean { field, .. }
            | Atom::Strings { field, .. }
            | Atom::StringOrder { field, .. }
            | Atom::Integers { field, .. }
            | Atom::IntegerOrder { field, .. }
            | Atom::FloatOrder { field, .. }
            | Atom::Cidr { field, .. }
            | Atom::VersionOrder { field, .. }
            | Atom::AnyObject { object: field, .. } => visit(field),
            Atom::Compute { .. } | Atom::Lineage { .. } => {}
        }
    }
    for value in &mut ir.values {
        if let Value::Field(field) | Value::StepField { field, .. } = value {
            visit(field);
        }
    }
    for rule in &mut ir.rules {
        for step in steps_mut(rule) {
            step.keys.iter_mut().filter_map(|key| key.field.as_mut()).for_each(&mut *visit);
        }
    }
    for program in &mut ir.programs {
        program.fields.iter_mut().for_each(&mut *visit);
    }
    if let Some(lineage) = &mut ir.lineage {
        [&mut lineage.entity, &mut lineage.parent, &mut lineage.ancestry, &mut lineage.event_type]
            .into_iter()
            .for_each(visit);
    }
}

fn steps_mut(rule: &mut Rule) -> impl Iterator<Item = &mut Step> {
    let (steps, until): (&mut [Step], Option<&mut Step>) = match &mut rule.kind {
        RuleKind::Event { .. } => (&mut [], None),
        RuleKind::Sequence(sequence) => (&mut sequence.steps, sequence.until.as_mut()),
        RuleKind::Sample { terms } => (terms, None),
    };
    steps.iter_mut().chain(until)
}
