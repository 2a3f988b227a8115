//! Conditions on one line, for lists in which each has a row.
//!
//! In: nodes of a verified IR. Out: `process where event.action exact ["exec"] and not user.id exact ["0"]`, cut where it
//! gets long.

use kestrel_ir::model::{Atom, Ir, Node, NodeId, PredicateId, Rule, RuleKind, Step};
use kestrel_ir::text;

use super::StepState;
use super::text::cut;

/// The longest condition that is told, in characters.
pub const MAX_CONDITION: usize = 160;

/// The terms of a rule; for a rule of single events the one condition.
pub fn steps(ir: &Ir, rule: &Rule) -> Vec<StepState> {
    let of = |step: &Step| StepState {
        condition: predicate(ir, step.predicate),
        missing: step.missing,
        by: step
            .keys
            .iter()
            .map(|key| key.field.map_or_else(String::new, |field| ir.layout.name(field).to_owned()))
            .collect(),
    };
    match &rule.kind {
        RuleKind::Event { predicate: id } => {
            vec![StepState { condition: predicate(ir, *id), ..StepState::default() }]
        }
        RuleKind::Sequence(sequence) => sequence.steps.iter().map(of).collect(),
        RuleKind::Sample { terms } => terms.iter().map(of).collect(),
    }
}

/// A predicate on one line.
pub fn predicate(ir: &Ir, id: PredicateId) -> String {
    let Some(predicate) = ir.predicate(id) else { return String::new() };
    let category = match predicate.category.and_then(|atom| ir.atom(atom).map(|found| (atom, found))) {
        None => "any".to_owned(),
        Some((_, Atom::Strings { strings, .. })) => strings.join("|"),
        Some((atom, _)) => text::atom_expression(ir, atom),
    };
    cut(&format!("{category} where {}", node(ir, predicate.root)), MAX_CONDITION)
}

/// A condition on one line.
pub fn node(ir: &Ir, id: NodeId) -> String {
    let mut out = String::new();
    write(ir, id, false, &mut out);
    cut(&out, MAX_CONDITION)
}

/// Appends a node; `inner` where brackets are needed around more than one part. A verified IR nests nowhere deeply, and
/// nothing is added behind what is shown.
fn write(ir: &Ir, id: NodeId, inner: bool, out: &mut String) {
    if out.len() > 4 * MAX_CONDITION {
        return;
    }
    match ir.node(id) {
        Some(Node::Atom(atom)) => out.push_str(&text::atom_expression(ir, *atom)),
        Some(Node::Not(operand)) => {
            out.push_str("not ");
            write(ir, *operand, true, out);
        }
        Some(Node::And(operands)) => list(ir, operands, " and ", inner, out),
        Some(Node::Or(operands)) => list(ir, operands, " or ", inner, out),
        Some(Node::Constant(value)) => out.push_str(if *value { "true" } else { "false" }),
        None => {}
    }
}

fn list(ir: &Ir, operands: &[NodeId], between: &str, inner: bool, out: &mut String) {
    if inner {
        out.push('(');
    }
    for (index, &operand) in operands.iter().enumerate() {
        if index > 0 {
            out.push_str(between);
        }
        write(ir, operand, true, out);
    }
    if inner {
        out.push(')');
    }
}
