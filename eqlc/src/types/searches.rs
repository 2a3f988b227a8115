//! `_arraysearch(field, $v, condition)`: whether some element of an array fulfils a condition.
//!
//! In: the call as written. Out: [`TypedKind::AnyObject`] over an array of objects. Over an array of plain values there
//! is nothing to hold the current value in, so the search is spread over the condition: a leaf is true if any value
//! makes it true, which is the search itself as long as each alternative tests the value once.

use kestrel_schema::{Family, FieldType};

use super::errors::{ArgumentNotField, MalformedArraySearch};
use super::limit_errors::ArraySearchNotSupported;
use super::tree::{FieldOwner, FieldUse, Type, Typed, TypedKind};
use super::{Checker, Search, fold};
use crate::syntax::{Call, Expr, ExprKind, Span};

const BOOLEAN: Type = Type::Of(Family::Boolean);

impl Checker<'_> {
    pub(super) fn array_search(&mut self, span: Span, call: &Call) -> Typed {
        let [field, variable, condition] = call.args.as_slice() else {
            let message = format!("`{}` takes 3 arguments, found {}", call.name.text, call.args.len());
            self.report(MalformedArraySearch { span, message, expected: "3 arguments" });
            return Typed::error(span);
        };
        if self.search.is_some() {
            let reason = "a search within a search";
            self.report(ArraySearchNotSupported {
                span,
                reason,
                help: "search each array on its own, joined by `and`",
            });
            return Typed::error(span);
        }
        let searched = self.searched_field(field, &call.name.text);
        let variable = self.defined_variable(variable);
        let (Some(searched), Some(variable)) = (searched, variable) else { return Typed::error(span) };
        let searched = match searched {
            Searched::Field(searched) => searched,
            Searched::Null => return Typed::null(span),
        };
        self.search = Some(Search { variable, field: searched.clone() });
        let condition = self.condition(condition, "the condition of a search");
        self.search = None;
        if condition.is_error() {
            return Typed::error(span);
        }
        if searched.field_type == FieldType::Object {
            return any_object(span, searched, condition);
        }
        let mut spread = Spread { field: searched.clone(), aside: false };
        match spread.spread(condition, true) {
            Ok(found) if spread.aside => {
                // What does not look at the value says nothing about there being one.
                let joined = found.joined;
                let present = Typed::new(span, BOOLEAN, TypedKind::NotNull(Box::new(use_of(span, searched))));
                Typed { joined, ..fold::and(span, vec![present, found]) }
            }
            Ok(found) => found,
            Err(reason) => {
                let help = "test the value once in each alternative, or search an array of objects";
                self.report(ArraySearchNotSupported { span, reason, help });
                Typed::error(span)
            }
        }
    }

    fn searched_field(&mut self, expr: &Expr, name: &str) -> Option<Searched> {
        let name = if name.starts_with('_') { "_arraysearch" } else { "arraySearch" };
        let typed = self.expression(expr);
        if typed.is_error() {
            return None;
        }
        if typed.is_null() && matches!(expr.kind, ExprKind::Field(_)) {
            return Some(Searched::Null);
        }
        match typed.field() {
            Some(field) if field.owner == FieldOwner::Event => Some(Searched::Field(field.clone())),
            Some(_) => {
                let (reason, help) = ("a search in the event of another step", "search in the step itself");
                self.report(ArraySearchNotSupported { span: expr.span, reason, help });
                None
            }
            None => {
                self.report(ArgumentNotField { span: expr.span, name });
                None
            }
        }
    }

    fn defined_variable(&mut self, expr: &Expr) -> Option<String> {
        match &expr.kind {
            ExprKind::Variable(variable) if variable.path.is_empty() => Some(variable.name.text.clone()),
            ExprKind::Error => None,
            _ => {
                let message = "the second argument of an array search names a variable".to_owned();
                self.report(MalformedArraySearch { span: expr.span, message, expected: "a variable, as in `$entry`" });
                None
            }
        }
    }
}

enum Searched {
    Field(FieldUse),
    Null,
}

fn any_object(span: Span, object: FieldUse, condition: Typed) -> Typed {
    if let Some(constant) = condition.constant() {
        // Only the number of objects is left to ask for.
        return match constant {
            kestrel_ir::model::Constant::Boolean(true) => {
                Typed::new(span, BOOLEAN, TypedKind::NotNull(Box::new(use_of(span, object))))
            }
            kestrel_ir::model::Constant::Boolean(_) => Typed::boolean(span, false),
            _ => Typed::null(span),
        };
    }
    let joined = condition.joined;
    let kind = TypedKind::AnyObject { object, condition: Box::new(condition) };
    Typed { joined, ..Typed::new(span, BOOLEAN, kind) }
}

fn use_of(span: Span, field: FieldUse) -> Typed {
    Typed::new(span, Type::Of(field.field_type.family()), TypedKind::Field(field))
}

/// A search over plain values on its way down a condition.
struct Spread {
    field: FieldUse,
    /// Whether some leaf does not look at the value.
    aside: bool,
}

impl Spread {
    /// The condition under which some value makes `typed` true (or false, when not `positive`).
    fn spread(&mut self, typed: Typed, positive: bool) -> Result<Typed, &'static str> {
        let span = typed.span;
        match (typed.kind, positive) {
            (TypedKind::Not(operand), _) => self.spread(*operand, !positive),
            (TypedKind::Or(operands), true) | (TypedKind::And(operands), false) => {
                let spread: Result<Vec<Typed>, _> =
                    operands.into_iter().map(|operand| self.spread(operand, positive)).collect();
                Ok(fold::or(span, spread?))
            }
            (TypedKind::And(operands), true) | (TypedKind::Or(operands), false) => {
                if operands.iter().filter(|operand| reads(operand, &self.field)).count() > 1 {
                    return Err("several tests of one and the same value");
                }
                let spread: Result<Vec<Typed>, _> =
                    operands.into_iter().map(|operand| self.spread(operand, positive)).collect();
                Ok(fold::and(span, spread?))
            }
            (kind, _) => self.leaf(Typed { kind, ..typed }, positive),
        }
    }

    fn leaf(&mut self, leaf: Typed, positive: bool) -> Result<Typed, &'static str> {
        if !reads(&leaf, &self.field) {
            self.aside = true;
            return Ok(if positive { leaf } else { fold::not(leaf.span, leaf) });
        }
        match &leaf.kind {
            // An element is never null.
            TypedKind::IsNull(tested) if tested.field() == Some(&self.field) => {
                self.aside = true;
                Ok(Typed::boolean(leaf.span, !positive))
            }
            TypedKind::NotNull(tested) if tested.field() == Some(&self.field) => {
                self.aside = true;
                Ok(Typed::boolean(leaf.span, positive))
            }
            _ if positive => Ok(leaf),
            TypedKind::Compare { .. } | TypedKind::Match { .. } | TypedKind::In { .. } | TypedKind::Call { .. } => {
                let (span, joined) = (leaf.span, leaf.joined);
                Ok(Typed { joined, ..Typed::new(span, BOOLEAN, TypedKind::SomeFails(Box::new(leaf))) })
            }
            _ => Err("the negation of this test of a value"),
        }
    }
}

/// Whether an expression reads a field.
fn reads(typed: &Typed, field: &FieldUse) -> bool {
    match &typed.kind {
        TypedKind::Field(used) => used == field,
        TypedKind::And(operands) | TypedKind::Or(operands) | TypedKind::Call { arguments: operands, .. } => {
            operands.iter().any(|operand| reads(operand, field))
        }
        TypedKind::Compare { left, right, .. } | TypedKind::Arithmetic { left, right, .. } => {
            reads(left, field) || reads(right, field)
        }
        TypedKind::In { subject: operand, .. }
        | TypedKind::Match { subject: operand, .. }
        | TypedKind::Not(operand)
        | TypedKind::IsNull(operand)
        | TypedKind::NotNull(operand)
        | TypedKind::Negate(operand)
        | TypedKind::SomeFails(operand)
        | TypedKind::AnyObject { condition: operand, .. } => reads(operand, field),
        TypedKind::Constant(_) | TypedKind::Lineage { .. } | TypedKind::Error => false,
    }
}
