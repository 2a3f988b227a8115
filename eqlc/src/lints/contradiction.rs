//! Conditions that can never be true, and alternatives of which one always is.
//!
//! In: a filter. Out: warnings. Seen is what `and` joins, down into the alternatives below it; an `or` is looked at as the
//! negation of what it leaves out: `x != "a" or x != "b"` leaves out what is both.

use kestrel_schema::Schema;

use super::facts::Fact;
use super::warnings::{Contradiction, LeavesNothingOut};
use crate::diagnostics::Diagnostic;
use crate::types::tree::{Typed, TypedFilter, TypedKind};

/// Facts that are held against a new one; a rule with more of them in one row is not looked at further.
const MOST_FACTS: usize = 500;

pub(super) fn lint(filter: &TypedFilter, schema: &Schema, sequence: bool, found: &mut Vec<Diagnostic>) {
    let whole = if sequence { "this step" } else { "this query" };
    let mut lint = Lint { schema, found };
    lint.visit(&filter.condition, &mut Vec::new(), Some(whole));
}

/// The facts that hold when this does: its own, or those of all that `not (.. or ..)` excludes.
fn stated(typed: &Typed) -> Vec<Fact<'_>> {
    match &typed.kind {
        TypedKind::Not(inner) => match &inner.kind {
            TypedKind::Or(operands) => operands.iter().filter_map(|operand| Fact::of(operand, false)).collect(),
            _ => Fact::of(typed, true).into_iter().collect(),
        },
        _ => Fact::of(typed, true).into_iter().collect(),
    }
}

struct Lint<'l> {
    schema: &'l Schema,
    found: &'l mut Vec<Diagnostic>,
}

impl Lint<'_> {
    /// `held` are the facts that hold wherever this part decides anything.
    fn visit<'t>(&mut self, typed: &'t Typed, held: &mut Vec<Fact<'t>>, whole: Option<&'static str>) {
        match &typed.kind {
            TypedKind::And(operands) => {
                let before = held.len();
                for operand in operands {
                    for fact in stated(operand) {
                        if let Some((other, reason)) = self.excluded(held, &fact) {
                            self.contradiction(&fact, &other, reason, whole);
                            held.truncate(before);
                            return;
                        }
                        if held.len() < MOST_FACTS {
                            held.push(fact);
                        }
                    }
                }
                for operand in operands {
                    if Fact::of(operand, true).is_none() {
                        self.visit(operand, held, whole);
                    }
                }
                held.truncate(before);
            }
            TypedKind::Or(operands) => {
                self.alternatives(operands);
                for operand in operands {
                    match Fact::of(operand, true) {
                        Some(fact) => {
                            if let Some((other, reason)) = self.excluded(held, &fact) {
                                self.contradiction(&fact, &other, reason, None);
                            }
                        }
                        None => self.visit(operand, held, None),
                    }
                }
            }
            TypedKind::Not(operand) => self.visit(operand, &mut Vec::new(), None),
            TypedKind::AnyObject { condition, .. } => self.visit(condition, &mut Vec::new(), None),
            TypedKind::Lineage { filter, .. } => self.visit(&filter.condition, &mut Vec::new(), None),
            _ => {}
        }
    }

    /// The first fact that rules this one out.
    fn excluded<'t>(&self, held: &[Fact<'t>], fact: &Fact<'t>) -> Option<(Fact<'t>, &'static str)> {
        held.iter().filter(|other| other.field == fact.field).find_map(|other| {
            let reason = fact.excludes(other, self.has_one_value(fact.field))?;
            Some((other.clone(), reason))
        })
    }

    /// Whether the schema says so: a schema that takes types from the data says nothing.
    fn has_one_value(&self, field: &str) -> bool {
        !self.schema.dynamic() && self.schema.lookup(field).is_some_and(|info| !info.array)
    }

    fn contradiction(&mut self, fact: &Fact<'_>, other: &Fact<'_>, reason: &'static str, whole: Option<&'static str>) {
        let field = fact.field.to_owned();
        self.found.push(Contradiction { span: fact.span, other: other.span, field, reason, whole }.into());
    }

    fn alternatives(&mut self, operands: &[Typed]) {
        let mut left_out: Vec<Fact<'_>> = Vec::new();
        for fact in operands.iter().filter_map(|operand| Fact::of(operand, true)).take(MOST_FACTS) {
            let excludes = !fact.positive;
            let fact = fact.inverted();
            if let Some((other, _)) = self.excluded(&left_out, &fact) {
                let excludes = excludes && other.positive;
                let field = fact.field.to_owned();
                self.found.push(LeavesNothingOut { span: fact.span, other: other.span, field, excludes }.into());
                return;
            }
            left_out.push(fact);
        }
    }
}
