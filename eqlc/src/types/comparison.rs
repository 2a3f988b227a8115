//! `==` and its kin: which types compare with which, null tests, literals of addresses, dates and versions.
//!
//! In: the two sides as written. Out: a typed comparison with its constant on the right, or what constants make of it.

use kestrel_ir::model::{Comparison, Constant, Order};
use kestrel_ir::value::{self, Scalar};
use kestrel_schema::Family;

use super::errors::{
    FieldAgainstField, MalformedAddress, MalformedDate, MalformedVersion, OperatorDoesNotFit, TypesDiffer,
};
use super::tree::{Type, Typed, TypedKind};
use super::warnings::{LiteralWildcard, NeverEqual};
use super::{Checker, fold, literals};
use crate::syntax::{CompareOp, Dialect, Expr, ExprKind, Span};

const BOOLEAN: Type = Type::Of(Family::Boolean);

impl Checker<'_> {
    pub(super) fn compare(&mut self, span: Span, op: CompareOp, left: &Expr, right: &Expr) -> Typed {
        // The parser has reported a chain; its sides have their own mistakes.
        let chained = matches!(left.kind, ExprKind::Compare { .. });
        let (left, right) = (self.expression(left), self.expression(right));
        if chained || left.is_error() || right.is_error() {
            return Typed::error(span);
        }
        let comparison = comparison_of(op);
        if left.is_null() || right.is_null() {
            return null_test(span, comparison, left, right);
        }
        if self.refuses_object(&left) | self.refuses_object(&right) {
            return Typed::error(span);
        }
        // From here on a constant stands on the right.
        let (comparison, left, right) = match (left.constant(), right.constant()) {
            (Some(_), None) => (mirrored(comparison), right, left),
            (None, None) if !self.dialect.includes(Dialect::Endpoint) => {
                let operator = op.text();
                self.report(FieldAgainstField { span, operator, left: left.span, right: right.span });
                return Typed::error(span);
            }
            _ => (comparison, left, right),
        };
        let (Some(left), Some(right)) = self.unify(op, left, right) else { return Typed::error(span) };
        if let Comparison::Ordered(_) = comparison
            && !self.has_order(op, &left, &right)
        {
            return Typed::error(span);
        }
        self.warn_about(op, comparison, &left, &right);
        build(span, comparison, left, right)
    }

    /// Brings both sides to one family: turns the constant into what the other side compares with.
    fn unify(&mut self, op: CompareOp, left: Typed, right: Typed) -> (Option<Typed>, Option<Typed>) {
        let (Type::Of(left_family), Type::Of(right_family)) = (left.result, right.result) else {
            return (None, None);
        };
        if left_family == right_family {
            return (Some(left), Some(right));
        }
        if right.constant().is_some() && matches!(left_family, Family::Ip | Family::Date | Family::Version) {
            let converted = self.convert(&right, left_family);
            if let Converted::Refused = converted {
                return (None, None);
            }
            if let Converted::Constant(constant) = converted {
                let right = Typed::new(right.span, left.result, TypedKind::Constant(constant));
                return (Some(left), Some(right));
            }
        }
        if self.dialect.includes(Dialect::Endpoint) && compares_as_text(left_family, right_family) {
            return (Some(left), Some(right));
        }
        self.report_types(op, &left, &right);
        (None, None)
    }

    fn report_types(&mut self, op: CompareOp, left: &Typed, right: &Typed) {
        let (help, fix) = match (left.result, right.constant()) {
            (Type::Of(Family::Text), Some(Constant::Integer(_) | Constant::Float(_))) => {
                let quoted = format!("\"{}\"", self.text(right.span));
                (Some(format!("write the number as a text: `{quoted}`")), Some((right.span, quoted)))
            }
            (Type::Of(Family::Number), Some(Constant::String(text)))
                if text.parse::<f64>().is_ok_and(f64::is_finite) =>
            {
                (Some("write the number without quotes".to_owned()), Some((right.span, text.clone())))
            }
            (Type::Of(Family::Boolean), Some(Constant::String(text))) if text == "true" || text == "false" => {
                (Some("write the truth value without quotes".to_owned()), Some((right.span, text.clone())))
            }
            (Type::Of(Family::Boolean), Some(Constant::Integer(value @ 0..=1))) => {
                let truth = if *value == 1 { "true" } else { "false" };
                (Some(format!("write `{truth}`")), Some((right.span, truth.to_owned())))
            }
            (Type::Of(Family::Number), _) if right.result == Type::Of(Family::Text) => {
                (Some("make a number of a text with `number(..)`".to_owned()), None)
            }
            _ => (None, None),
        };
        let (left, right) = ((left.span, self.describe(left)), (right.span, self.describe(right)));
        self.report(TypesDiffer { span: right.0, operator: op.text(), left, right, help, fix });
    }

    /// Turns a constant into one that fields of a family compare with; reports a text that is none.
    pub(super) fn convert(&mut self, typed: &Typed, family: Family) -> Converted {
        let span = typed.span;
        match (family, typed.constant()) {
            (Family::Ip, Some(Constant::String(text))) => match literals::address(text) {
                Some(constant) => Converted::Constant(constant),
                None => {
                    let help = text.contains('/').then(|| "for a block of addresses, use `cidrMatch`".to_owned());
                    self.report(MalformedAddress { span, text: text.clone(), expected: "an address", help });
                    Converted::Refused
                }
            },
            (Family::Date, Some(constant @ (Constant::String(_) | Constant::Integer(_)))) => {
                match literals::date(constant) {
                    Some(constant) => Converted::Constant(constant),
                    None => {
                        let text = self.text(span);
                        self.report(MalformedDate { span, text: text.trim_matches('"').to_owned() });
                        Converted::Refused
                    }
                }
            }
            (Family::Version, Some(Constant::String(text))) => {
                if literals::is_version(text) {
                    return Converted::Constant(Constant::String(text.clone()));
                }
                self.report(MalformedVersion { span, text: text.clone() });
                Converted::Refused
            }
            _ => Converted::Unfit,
        }
    }

    fn has_order(&mut self, op: CompareOp, left: &Typed, right: &Typed) -> bool {
        let ordered = |typed: &Typed| {
            matches!(typed.result, Type::Of(Family::Number | Family::Text | Family::Date | Family::Version))
        };
        if left.result != right.result {
            let sides = (self.describe(left), self.describe(right));
            let error = TypesDiffer {
                span: right.span,
                operator: op.text(),
                left: (left.span, sides.0),
                right: (right.span, sides.1),
                help: Some("values of different types can only be equal or not".to_owned()),
                fix: None,
            };
            self.report(error);
            return false;
        }
        if ordered(left) {
            return true;
        }
        let found = self.describe(left);
        let help = match left.result {
            Type::Of(Family::Ip) => Some("for a range of addresses, use `cidrMatch`".to_owned()),
            _ => None,
        };
        let expected = "numbers, texts, dates or versions";
        self.report(OperatorDoesNotFit { span: left.span, operator: op.text(), expected, found, help });
        false
    }

    fn warn_about(&mut self, op: CompareOp, comparison: Comparison, left: &Typed, right: &Typed) {
        if matches!(comparison, Comparison::Ordered(_)) {
            return;
        }
        match right.constant() {
            // A lone `*` or `?` is a plausible value of an argument.
            Some(Constant::String(text)) if left.result == right.result && literals::looks_like_pattern(text) => {
                let better = if matches!(comparison, Comparison::Equal) { "like" } else { "not .. like" };
                let op_span = Span::new(left.span.end, right.span.start);
                let fix = (op == CompareOp::Equal && left.span.end < right.span.start)
                    .then(|| (op_span, " like ".to_owned()));
                self.report(LiteralWildcard { span: right.span, operator: op.text(), better, fix });
            }
            Some(Constant::Float(value)) if value.fract() != 0.0 => {
                if let Some(field) = left.field()
                    && field.field_type == kestrel_schema::FieldType::Long
                {
                    let (name, number) = (field.name.clone(), value.to_string());
                    self.report(NeverEqual { span: right.span, name, number });
                }
            }
            _ => {}
        }
    }
}

/// What became of a constant.
pub(super) enum Converted {
    /// It fits.
    Constant(Constant),
    /// It could have been one and is malformed; reported.
    Refused,
    /// It is of another type.
    Unfit,
}

/// Whether `endpoint` compares the two by their texts.
fn compares_as_text(left: Family, right: Family) -> bool {
    matches!(
        (left, right),
        (Family::Text, Family::Number | Family::Ip | Family::Version)
            | (Family::Number | Family::Ip | Family::Version, Family::Text)
    )
}

/// `x == null` and `x != null`; an ordering against null is null.
fn null_test(span: Span, comparison: Comparison, left: Typed, right: Typed) -> Typed {
    let wants_null = match comparison {
        Comparison::Equal => true,
        Comparison::NotEqual => false,
        Comparison::Ordered(_) => return Typed::null(span),
    };
    let tested = if left.is_null() { right } else { left };
    // A condition is never null, whatever it reads.
    let never_null = tested.constant().is_some() && !tested.is_null() || is_condition(&tested);
    if tested.is_null() || never_null {
        return Typed::boolean(span, tested.is_null() == wants_null);
    }
    let joined = tested.joined;
    let tested = Box::new(tested);
    let kind = if wants_null { TypedKind::IsNull(tested) } else { TypedKind::NotNull(tested) };
    Typed { joined, ..Typed::new(span, BOOLEAN, kind) }
}

/// Whether an expression is two-valued: a comparison or what connects comparisons, rather than a field or a call.
fn is_condition(typed: &Typed) -> bool {
    typed.result == BOOLEAN
        && !matches!(typed.kind, TypedKind::Constant(_) | TypedKind::Field(_) | TypedKind::Call { .. })
}

/// The comparison of two values that fit. `==` with a truth value is the other side itself where that is two-valued; a
/// call is null over a missing field, and equal to neither truth value then.
fn build(span: Span, comparison: Comparison, left: Typed, right: Typed) -> Typed {
    if let (Some(left), Some(right)) = (left.constant(), right.constant()) {
        let result = value::compare(comparison, &Scalar::from_constant(left), &Scalar::from_constant(right));
        return result.map_or_else(|| Typed::null(span), |result| Typed::boolean(span, result));
    }
    if let Some(Constant::Boolean(wanted)) = right.constant()
        && left.field().is_none()
        && (*wanted || is_condition(&left))
    {
        return match (comparison, wanted) {
            (Comparison::Equal, true) | (Comparison::NotEqual, false) => left,
            _ => fold::not(span, left),
        };
    }
    let joined = left.joined || right.joined;
    // `!=` is the negation of `==`, so that it is true where the field is missing.
    let negated = comparison == Comparison::NotEqual;
    let comparison = if negated { Comparison::Equal } else { comparison };
    let kind = TypedKind::Compare { comparison, left: Box::new(left), right: Box::new(right) };
    let compared = Typed { joined, ..Typed::new(span, BOOLEAN, kind) };
    if negated { fold::not(span, compared) } else { compared }
}

fn comparison_of(op: CompareOp) -> Comparison {
    match op {
        CompareOp::Equal => Comparison::Equal,
        CompareOp::NotEqual => Comparison::NotEqual,
        CompareOp::Less => Comparison::Ordered(Order::Less),
        CompareOp::LessEqual => Comparison::Ordered(Order::LessEqual),
        CompareOp::Greater => Comparison::Ordered(Order::Greater),
        CompareOp::GreaterEqual => Comparison::Ordered(Order::GreaterEqual),
    }
}

/// The comparison with its sides exchanged.
fn mirrored(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Ordered(order) => Comparison::Ordered(match order {
            Order::Less => Order::Greater,
            Order::LessEqual => Order::GreaterEqual,
            Order::Greater => Order::Less,
            Order::GreaterEqual => Order::LessEqual,
        }),
        other => other,
    }
}
