//! Lints: rules that compile and are probably not meant so.
//!
//! In: a query without mistakes, as a syntax tree and as a typed tree. Out: warnings `W05xx`. A lint that is wrong now and
//! then is switched off by everyone, so each says only what it can prove, or what nearly nobody means; where it cannot
//! tell, it is silent. What is seen while types are checked (a wildcard behind `==`, an anchor) is reported there.
//!
//! ```text
//! lints ─┬─ contradiction   tests of one field that exclude each other, and alternatives that leave nothing out
//!        ├─ lists           entries that add nothing
//!        ├─ places          fields that events of a category, or of a system, never have
//!        ├─ sequences       keys, maxspan
//!        └─ silence         // eqlc: allow W0503
//! ```

mod contradiction;
mod facts;
mod lists;
mod places;
mod sequences;
mod silence;
pub mod warnings;

pub use sequences::LONGEST_SPAN;
pub use silence::{allowed_in, keep};

use kestrel_ir::model::{Comparison, Constant, Function};
use kestrel_schema::Schema;

use crate::diagnostics::Diagnostic;
use crate::syntax::{CompareOp, Expr, ExprKind, Filter, Form, Literal, MatchOp, Query, walk};
use crate::types::CheckOptions;
use crate::types::tree::{Typed, TypedFilter, TypedForm, TypedKind, TypedQuery, TypedTerm};
use warnings::{CaseOfPath, SameEitherWay};

/// The warnings of a query without mistakes, in the order of its text.
pub fn lint(query: &Query, typed: &TypedQuery, source: &str, options: CheckOptions<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let sequence = matches!(typed.form, TypedForm::Sequence(_));
    for filter in typed_filters(typed) {
        contradiction::lint(filter, options.schema, sequence, &mut found);
        places::lint_category(filter, source, options.schema, &mut found);
        each_leaf(&filter.condition, true, &mut |leaf, _| lengths(leaf, &mut found));
    }
    for filter in filters(query) {
        let decided = typed_filters(typed)
            .iter()
            .any(|typed| typed.condition.span == filter.condition.span && typed.condition.constant().is_some());
        walk::each(&filter.condition, &mut |expr| {
            lists::lint(expr, source, &mut found);
            path_case(expr, source, &mut found);
            if !decided {
                constant_comparison(expr, &mut found);
            }
        });
    }
    if options.live {
        sequences::lint(query, typed, &mut found);
    }
    found.sort_by_key(Diagnostic::span);
    found.dedup();
    found
}

/// The warnings of a rule that says for which operating systems it is.
pub fn lint_systems(typed: &TypedQuery, systems: &[String], source: &str, schema: &Schema) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if let [system] = systems
        && system == "linux"
    {
        typed_filters(typed).into_iter().for_each(|filter| places::lint_system(filter, source, schema, &mut found));
    }
    found
}

/// The filters as written, `until` last.
fn filters(query: &Query) -> Vec<&Filter> {
    match &query.form {
        Form::Event(filter) => vec![filter],
        Form::Sequence(sequence) => {
            sequence.terms.iter().chain(sequence.until.as_deref()).map(|term| &term.filter).collect()
        }
        Form::Sample(sample) => sample.terms.iter().map(|term| &term.filter).collect(),
        Form::Join(join) => join.terms.iter().chain(join.until.as_deref()).map(|term| &term.filter).collect(),
        Form::Error(_) => Vec::new(),
    }
}

/// The filters with types, those of repeated terms once, `until` last.
fn typed_filters(query: &TypedQuery) -> Vec<&TypedFilter> {
    let mut filters: Vec<&TypedFilter> = match &query.form {
        TypedForm::Event(filter) => vec![filter],
        TypedForm::Sequence(sequence) => {
            sequence.steps.iter().chain(&sequence.until).map(|term: &TypedTerm| &term.filter).collect()
        }
        TypedForm::Sample(terms) => terms.iter().map(|term| &term.filter).collect(),
    };
    filters.dedup_by_key(|filter| filter.condition.span);
    filters
}

/// Calls `visit` for each leaf of a condition, with whether it stands under an even number of `not`s.
fn each_leaf<'t>(typed: &'t Typed, positive: bool, visit: &mut impl FnMut(&'t Typed, bool)) {
    match &typed.kind {
        TypedKind::And(operands) | TypedKind::Or(operands) => {
            operands.iter().for_each(|operand| each_leaf(operand, positive, visit));
        }
        TypedKind::Not(operand) => each_leaf(operand, !positive, visit),
        TypedKind::AnyObject { condition, .. } => each_leaf(condition, positive, visit),
        _ => visit(typed, positive),
    }
}

/// `length(x) >= 0`: a length is never negative.
fn lengths(leaf: &Typed, found: &mut Vec<Diagnostic>) {
    let TypedKind::Compare { comparison: Comparison::Ordered(order), left, right } = &leaf.kind else { return };
    let TypedKind::Call { function: Function::Length | Function::ArrayCount, .. } = left.kind else { return };
    let Some(Constant::Integer(bound)) = right.constant() else { return };
    use kestrel_ir::model::Order::{Greater, GreaterEqual, Less, LessEqual};
    let always = match order {
        Less | LessEqual if *bound < 0 || (*order == Less && *bound == 0) => false,
        Greater | GreaterEqual if *bound < 0 || (*order == GreaterEqual && *bound == 0) => true,
        _ => return,
    };
    let why =
        if always { "a length is never negative: this holds of every value" } else { "a length is never negative" };
    found.push(
        SameEitherWay {
            span: leaf.span,
            always,
            why,
            help: always.then_some("test with `!= null` whether there is a value"),
        }
        .into(),
    );
}

/// `1 == 2`, `"a" : "b"`: a comparison in which no field takes part.
fn constant_comparison(expr: &Expr, found: &mut Vec<Diagnostic>) {
    if !matches!(expr.kind, ExprKind::Compare { .. } | ExprKind::In { .. } | ExprKind::Match { .. }) {
        return;
    }
    let mut reads = false;
    walk::each(expr, &mut |part| {
        reads |= matches!(
            part.kind,
            ExprKind::Field(_) | ExprKind::Variable(_) | ExprKind::Lineage { .. } | ExprKind::Error
        );
    });
    if !reads {
        found.push(warnings::NoField { span: expr.span }.into());
    }
}

/// `process.executable == "C:\\..."`: Windows does not tell paths apart by case.
fn path_case(expr: &Expr, source: &str, found: &mut Vec<Diagnostic>) {
    let (op_span, operator, better, values): (_, _, Option<&'static str>, Vec<&Expr>) = match &expr.kind {
        ExprKind::Compare { op: CompareOp::Equal, op_span, left, right } => {
            (*op_span, "==", Some(":"), vec![&**left, &**right])
        }
        ExprKind::Compare { op: CompareOp::NotEqual, op_span, left, right } => {
            (*op_span, "!=", None, vec![&**left, &**right])
        }
        ExprKind::In { negated, fold: false, op_span, list, .. } => {
            (*op_span, "in", Some(if *negated { "not in~" } else { "in~" }), list.iter().collect())
        }
        ExprKind::Match { op: MatchOp::Like { fold: false }, op_span, patterns, .. } => {
            (*op_span, "like", Some("like~"), patterns.iter().collect())
        }
        _ => return,
    };
    // Sensors write the modules of a call stack in lower case.
    let written = expr.span.text(source).split('"').next().unwrap_or("");
    if written.contains("call_stack") || written.contains('$') {
        return;
    }
    let patterns = operator == "like";
    let path = values.into_iter().find(|value| {
        matches!(&value.kind, ExprKind::Literal(Literal::String { value, .. })
            // Elsewhere a wildcard is the worse mistake, and reported.
            if is_windows_path(value) && (patterns || !kestrel_ir::pattern::has_wildcard(value)))
    });
    // `:` does not take a constant on its left.
    let better = better
        .filter(|_| !matches!(&expr.kind, ExprKind::Compare { left, .. } if matches!(left.kind, ExprKind::Literal(_))));
    if let Some(path) = path {
        let fix = better.map(|better| (op_span, better));
        found.push(CaseOfPath { span: path.span, operator, fix }.into());
    }
}

/// `C:\..`, also with a wildcard for the drive.
fn is_windows_path(text: &str) -> bool {
    let mut characters = text.chars();
    let drive = characters.next().is_some_and(|drive| drive.is_ascii_alphabetic() || drive == '?' || drive == '*');
    drive
        && characters.next() == Some(':')
        && characters.next() == Some('\\')
        && characters.any(|next| next.is_alphabetic())
}
