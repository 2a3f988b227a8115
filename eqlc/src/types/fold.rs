//! Constant folding, in three values where null takes part.
//!
//! In: typed operands. Out: a typed expression, as small as constants allow. What runs in the engine is two-valued: a
//! leaf over a missing field is false. Only the constant null is a third value, and only until the query is lowered.

use kestrel_ir::functions;
use kestrel_ir::model::{Arithmetic, Constant, Function};
use kestrel_ir::value::Scalar;
use kestrel_schema::Family;

use super::tree::{Type, Typed, TypedKind};
use crate::syntax::Span;

const BOOLEAN: Type = Type::Of(Family::Boolean);

/// `a and b and ..`
pub(super) fn and(span: Span, operands: Vec<Typed>) -> Typed {
    connect(span, operands, false, TypedKind::And)
}

/// `a or b or ..`
pub(super) fn or(span: Span, operands: Vec<Typed>) -> Typed {
    connect(span, operands, true, TypedKind::Or)
}

/// `decisive` is the value of an operand that decides alone: false for `and`, true for `or`.
fn connect(span: Span, operands: Vec<Typed>, decisive: bool, kind: fn(Vec<Typed>) -> TypedKind) -> Typed {
    if operands.iter().any(Typed::is_error) {
        return Typed::error(span);
    }
    let mut kept: Vec<Typed> = Vec::with_capacity(operands.len());
    let mut null_seen = false;
    for operand in operands {
        match operand.constant() {
            Some(Constant::Boolean(value)) if *value == decisive => return Typed::boolean(span, decisive),
            Some(Constant::Boolean(_)) => {}
            // A second null adds nothing.
            Some(Constant::Null) if null_seen => {}
            Some(Constant::Null) => {
                null_seen = true;
                kept.push(operand);
            }
            _ => kept.push(operand),
        }
    }
    match kept.len() {
        0 => Typed::boolean(span, !decisive),
        1 => kept.remove(0),
        _ => {
            let (unknown, joined) = flags(&kept);
            Typed { unknown, joined, ..Typed::new(span, BOOLEAN, kind(kept)) }
        }
    }
}

/// `not a`
pub(super) fn not(span: Span, operand: Typed) -> Typed {
    if operand.is_error() {
        return Typed::error(span);
    }
    match operand.kind {
        TypedKind::Constant(Constant::Boolean(value)) => Typed::boolean(span, !value),
        TypedKind::Constant(_) => Typed::null(span),
        TypedKind::Not(inner) => *inner,
        _ => {
            let (unknown, joined) = (operand.unknown, operand.joined);
            Typed { unknown, joined, ..Typed::new(span, BOOLEAN, TypedKind::Not(Box::new(operand))) }
        }
    }
}

fn flags(operands: &[Typed]) -> (bool, bool) {
    (operands.iter().any(|operand| operand.unknown), operands.iter().any(|operand| operand.joined))
}

/// `-a`, of a number.
pub(super) fn negate(span: Span, operand: Typed) -> Typed {
    match operand.constant() {
        Some(constant) => from_scalar(span, &functions::negate(&Scalar::from_constant(constant)), operand.result),
        None => {
            let joined = operand.joined;
            let result = operand.result;
            Typed { joined, ..Typed::new(span, result, TypedKind::Negate(Box::new(operand))) }
        }
    }
}

/// `a + b` and its like, of numbers or null.
pub(super) fn arithmetic(span: Span, operation: Arithmetic, left: Typed, right: Typed) -> Typed {
    if left.is_null() || right.is_null() {
        return Typed::null(span);
    }
    let number = Type::Of(Family::Number);
    if let (Some(left), Some(right)) = (left.constant(), right.constant()) {
        let (left, right) = (Scalar::from_constant(left), Scalar::from_constant(right));
        return from_scalar(span, &functions::arithmetic(operation, &left, &right), number);
    }
    let joined = left.joined || right.joined;
    let kind = TypedKind::Arithmetic { operation, left: Box::new(left), right: Box::new(right) };
    Typed { joined, ..Typed::new(span, number, kind) }
}

/// A call with arguments that fit: null when one of them is, computed when all are constants.
pub(super) fn call(span: Span, function: Function, fold: bool, arguments: Vec<Typed>, result: Family) -> Typed {
    let result = Type::Of(result);
    if arguments.iter().any(Typed::is_error) {
        return Typed::error(span);
    }
    if arguments.iter().any(Typed::is_null) {
        return Typed::null(span);
    }
    let constants: Option<Vec<&Constant>> = arguments.iter().map(Typed::constant).collect();
    if let Some(constants) = constants {
        return from_constant(span, functions::call_constants(function, fold, &constants), result);
    }
    let joined = arguments.iter().any(|argument| argument.joined);
    Typed { joined, ..Typed::new(span, result, TypedKind::Call { function, fold, arguments }) }
}

/// The constant that a computation gave.
pub(super) fn from_scalar(span: Span, scalar: &Scalar<'_>, result: Type) -> Typed {
    from_constant(span, scalar.to_constant(), result)
}

fn from_constant(span: Span, constant: Constant, result: Type) -> Typed {
    match constant {
        Constant::Null => Typed::null(span),
        constant => Typed::new(span, result, TypedKind::Constant(constant)),
    }
}
