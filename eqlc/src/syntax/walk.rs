//! A walk over an expression.

use super::ast::{Expr, ExprKind};

/// Calls `visit` for the expression and everything in it, outside in, in the order of the text.
pub fn each<'a>(expr: &'a Expr, visit: &mut impl FnMut(&'a Expr)) {
    visit(expr);
    match &expr.kind {
        ExprKind::Or(operands) | ExprKind::And(operands) => operands.iter().for_each(|operand| each(operand, visit)),
        ExprKind::Not(inner) | ExprKind::Negate(inner) | ExprKind::Plus(inner) | ExprKind::Paren(inner) => {
            each(inner, visit);
        }
        ExprKind::Compare { left, right, .. } | ExprKind::Arithmetic { left, right, .. } => {
            each(left, visit);
            each(right, visit);
        }
        ExprKind::In { subject, list, .. } => {
            each(subject, visit);
            list.iter().for_each(|value| each(value, visit));
        }
        ExprKind::Match { subject, patterns, .. } => {
            each(subject, visit);
            patterns.iter().for_each(|pattern| each(pattern, visit));
        }
        ExprKind::Call(call) => call.args.iter().for_each(|arg| each(arg, visit)),
        ExprKind::Lineage { filter, .. } => each(&filter.condition, visit),
        ExprKind::Field(_) | ExprKind::Variable(_) | ExprKind::Literal(_) | ExprKind::Error => {}
    }
}
