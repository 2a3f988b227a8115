//! Sequences that join everything with everything, or that never end.
//!
//! In: a sequence for a live engine. Out: warnings. A query over a file may well have neither key nor time: it ends. Nor is
//! anything said of a skeleton that is being written: `sequence [process where true] [file where true]`.

use super::warnings::{NoKeys, NoMaxspan, SpanBeyondState};
use crate::diagnostics::Diagnostic;
use crate::syntax::{Form, Query, Span};
use crate::types::tree::{Typed, TypedForm, TypedQuery};

/// The longest `maxspan` that an engine can be relied on to keep the state for: a day, in nanoseconds. An engine's budget
/// is a number of keys per rule (`MatcherOptions::max_keys_per_rule`), not a time; on a busy host it turns over within a
/// day, and a restart empties it.
pub const LONGEST_SPAN: i64 = 24 * 60 * 60 * 1_000_000_000;

pub(super) fn lint(query: &Query, typed: &TypedQuery, found: &mut Vec<Diagnostic>) {
    let (Form::Sequence(sequence), TypedForm::Sequence(checked)) = (&query.form, &typed.form) else { return };
    let span = Span::new(sequence.span.start, sequence.span.start + "sequence".len());
    let keyed = !sequence.keys.is_empty() || sequence.terms.iter().any(|term| !term.keys.is_empty());
    let referring = checked.steps.iter().any(|step| step.filter.condition.joined);
    let skeleton = checked.steps.iter().all(|step| {
        let condition = &step.filter.condition;
        condition.joined || *condition == Typed::boolean(condition.span, true)
    });
    if skeleton {
        return;
    }
    if !keyed && !referring {
        found.push(NoKeys { span }.into());
    }
    match &sequence.maxspan {
        None => found.push(NoMaxspan { span }.into()),
        Some(maxspan) if maxspan.nanoseconds > LONGEST_SPAN => {
            found.push(SpanBeyondState { span: maxspan.span, text: maxspan.text.clone() }.into());
        }
        Some(_) => {}
    }
}
