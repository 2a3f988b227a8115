//! List entries that add nothing: said twice, or matched by a wildcard of the same list.
//!
//! In: `in`, `:`, `like` and `regex` with their lists as written. Out: warnings, each with a fix that takes the entry out.

use std::collections::HashMap;

use kestrel_ir::fold::fold as fold_case;
use kestrel_ir::pattern::has_wildcard;

use super::facts::covers;
use super::warnings::AddsNothing;
use crate::diagnostics::Diagnostic;
use crate::syntax::{Expr, ExprKind, Literal, MatchOp, Span};

/// Lists with more entries are compared for equal ones alone.
const LONGEST_COMPARED: usize = 2_000;

pub(super) fn lint(expr: &Expr, source: &str, found: &mut Vec<Diagnostic>) {
    let (fold, wild, list) = match &expr.kind {
        ExprKind::In { fold, list, .. } => (*fold, false, list),
        ExprKind::Match { op, patterns, .. } => {
            let fold = matches!(op, MatchOp::Colon | MatchOp::Like { fold: true });
            (fold, !matches!(op, MatchOp::Regex { .. }), patterns)
        }
        _ => return,
    };
    let entries: Vec<Option<String>> = list.iter().map(|entry| text(entry, fold)).collect();
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (number, entry) in entries.iter().enumerate() {
        let Some(entry) = entry else { continue };
        if let Some(&other) = first.get(entry.as_str()) {
            report(list, number, other, false, source, found);
            continue;
        }
        first.insert(entry, number);
        if !wild || entries.len() > LONGEST_COMPARED {
            continue;
        }
        let covering = entries.iter().enumerate().find(|(other, pattern)| {
            let Some(pattern) = pattern.as_deref().filter(|pattern| has_wildcard(pattern)) else { return false };
            // Of two patterns that say the same, the later one goes.
            *other != number && covers(pattern, entry) && !(covers(entry, pattern) && number < *other)
        });
        if let Some((other, _)) = covering {
            report(list, number, other, true, source, found);
        }
    }
}

/// What an entry is compared by; the `"` in front keeps texts apart from numbers.
fn text(entry: &Expr, fold: bool) -> Option<String> {
    match &entry.kind {
        ExprKind::Literal(Literal::String { value, .. }) if fold => Some(fold_case(value).into_owned()),
        ExprKind::Literal(Literal::String { value, .. }) => Some(value.clone()),
        ExprKind::Literal(Literal::Integer(value)) => Some(format!("\u{0}{value}")),
        _ => None,
    }
}

fn report(list: &[Expr], number: usize, other: usize, covered: bool, source: &str, found: &mut Vec<Diagnostic>) {
    let (Some(entry), Some(other)) = (list.get(number), list.get(other)) else { return };
    let shown = |entry: &Expr| entry.span.text(source).trim_matches('"').to_owned();
    let gap = match number.checked_sub(1).and_then(|before| list.get(before)) {
        Some(before) => Span::new(before.span.end, entry.span.end),
        None => Span::new(entry.span.start, list.get(1).map_or(entry.span.end, |next| next.span.start)),
    };
    // A comment beside the entry is left for its author to move.
    let between = gap.text(source).replacen(entry.span.text(source), "", 1);
    let fix = (!between.contains("//") && !between.contains("/*")).then_some(gap);
    let pattern = covered.then(|| shown(other));
    found.push(AddsNothing { span: entry.span, other: other.span, entry: shown(entry), pattern, fix }.into());
}
