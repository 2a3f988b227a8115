//! Conditions, arithmetic and literals: the type of every expression, from the leaves up.
//!
//! In: expressions of the syntax tree. Out: typed expressions with constants folded. An operand that was reported makes
//! what is around it an error without another report, so that each mistake is told once and all of them are told.

use kestrel_ir::model::{Arithmetic, Constant};
use kestrel_schema::{Family, FieldType};

use super::errors::{ConditionNotBoolean, DivisionByZero, OperatorDoesNotFit};
use super::tree::{Type, Typed, TypedKind};
use super::{Checker, fold};
use crate::syntax::{ArithmeticOp, Expr, ExprKind, Literal, Span};

impl Checker<'_> {
    /// A condition: what `where`, `and`, `or` and `not` take.
    pub(super) fn condition(&mut self, expr: &Expr, place: &'static str) -> Typed {
        let typed = self.expression(expr);
        match typed.result {
            Type::Of(Family::Boolean) | Type::Null | Type::Error => typed,
            Type::Of(_) => {
                if !self.refuses_object(&typed) {
                    let found = self.describe(&typed);
                    self.report(ConditionNotBoolean { span: typed.span, place, found });
                }
                Typed::error(typed.span)
            }
        }
    }

    /// Any expression.
    pub(super) fn expression(&mut self, expr: &Expr) -> Typed {
        let span = expr.span;
        match &expr.kind {
            ExprKind::Or(operands) => {
                let operands = operands.iter().map(|operand| self.condition(operand, "an operand of `or`")).collect();
                fold::or(span, operands)
            }
            ExprKind::And(operands) => {
                let operands = operands.iter().map(|operand| self.condition(operand, "an operand of `and`")).collect();
                fold::and(span, operands)
            }
            ExprKind::Not(operand) => fold::not(span, self.condition(operand, "the operand of `not`")),
            ExprKind::Compare { op, left, right, .. } => self.compare(span, *op, left, right),
            ExprKind::In { negated, fold, subject, list, .. } => {
                let found = self.membership(span, *fold, subject, list);
                if *negated { fold::not(span, found) } else { found }
            }
            ExprKind::Match { op, subject, patterns, .. } => self.matching(span, *op, subject, patterns),
            ExprKind::Arithmetic { op, op_span, left, right } => {
                let operation = arithmetic_of(*op);
                let (left, right) = (self.number(left, op.text()), self.number(right, op.text()));
                self.arithmetic(span, *op_span, operation, op.text(), left, right)
            }
            ExprKind::Negate(operand) => {
                let operand = self.number(operand, "-");
                if operand.is_error() { Typed::error(span) } else { fold::negate(span, operand) }
            }
            ExprKind::Plus(operand) => self.number(operand, "+"),
            ExprKind::Field(field) => self.field(field),
            ExprKind::Variable(variable) => self.variable(variable),
            ExprKind::Call(call) => self.call(span, call),
            ExprKind::Literal(literal) => literal_of(span, literal),
            ExprKind::Lineage { relation, filter } => self.lineage(span, *relation, filter),
            ExprKind::Paren(inner) => self.expression(inner),
            ExprKind::Error => Typed::error(span),
        }
    }

    /// An operand of arithmetic.
    fn number(&mut self, expr: &Expr, operator: &'static str) -> Typed {
        let typed = self.expression(expr);
        match typed.result {
            Type::Of(Family::Number) | Type::Null | Type::Error => typed,
            Type::Of(family) => {
                if !self.refuses_object(&typed) {
                    let found = self.describe(&typed);
                    let help = match family {
                        Family::Text if operator == "+" => Some("join texts with `concat(..)`".to_owned()),
                        Family::Text => Some("make a number of a text with `number(..)`".to_owned()),
                        _ => None,
                    };
                    self.report(OperatorDoesNotFit { span: typed.span, operator, expected: "a number", found, help });
                }
                Typed::error(typed.span)
            }
        }
    }

    /// Arithmetic over operands that are numbers, null or reported.
    pub(super) fn arithmetic(
        &mut self,
        span: Span,
        operator_span: Span,
        operation: Arithmetic,
        operator: &'static str,
        left: Typed,
        right: Typed,
    ) -> Typed {
        if left.is_error() || right.is_error() {
            return Typed::error(span);
        }
        let divides = matches!(operation, Arithmetic::Divide | Arithmetic::Modulo);
        let zero = match right.constant() {
            Some(Constant::Integer(value)) => *value == 0,
            Some(Constant::Float(value)) => *value == 0.0,
            _ => false,
        };
        if divides && zero {
            let span = if right.span.start == right.span.end { operator_span } else { right.span };
            self.report(DivisionByZero { span, operator });
            return Typed::error(span);
        }
        fold::arithmetic(span, operation, left, right)
    }

    /// What an expression is, for a message: the type of a field by the schema's word.
    pub(super) fn describe(&self, typed: &Typed) -> String {
        match (typed.field(), &typed.result) {
            (Some(field), _) => match field.field_type {
                FieldType::Keyword => "a text".to_owned(),
                FieldType::Long | FieldType::Double => "a number".to_owned(),
                other => Type::Of(other.family()).describe().to_owned(),
            },
            (None, result) => result.describe().to_owned(),
        }
    }

    /// The text of a span, cut where it is long.
    pub(super) fn text(&self, span: Span) -> String {
        let text = span.text(self.source);
        match text.char_indices().nth(60) {
            Some((end, _)) => format!("{}..", text.get(..end).unwrap_or("")),
            None => text.to_owned(),
        }
    }
}

fn literal_of(span: Span, literal: &Literal) -> Typed {
    let (family, constant) = match literal {
        Literal::Null => return Typed::null(span),
        Literal::Bool(value) => return Typed::boolean(span, *value),
        Literal::Integer(value) => (Family::Number, Constant::Integer(*value)),
        Literal::Float(value) => (Family::Number, Constant::Float(*value)),
        Literal::String { value, .. } => (Family::Text, Constant::String(value.clone())),
    };
    Typed::new(span, Type::Of(family), TypedKind::Constant(constant))
}

fn arithmetic_of(op: ArithmeticOp) -> Arithmetic {
    match op {
        ArithmeticOp::Add => Arithmetic::Add,
        ArithmeticOp::Subtract => Arithmetic::Subtract,
        ArithmeticOp::Multiply => Arithmetic::Multiply,
        ArithmeticOp::Divide => Arithmetic::Divide,
        ArithmeticOp::Modulo => Arithmetic::Modulo,
    }
}
