//! Fields where no event of the kind, or of the system, has them.
//!
//! In: a filter with its category, or a rule that is for Linux alone. Out: warnings. Only fields that belong to one kind
//! of event by their nature are known here; of all others nothing is said, because sources differ. An optional field
//! (`?file.path`) is its author's own reservation.

use kestrel_schema::{EventFields, Schema, event_kinds};

use super::each_leaf;
use super::warnings::{FieldOfAnotherCategory, FieldOfAnotherSystem};
use crate::diagnostics::Diagnostic;
use crate::syntax::Span;
use crate::types::tree::{FieldOwner, Typed, TypedFilter, TypedKind};

/// The categories whose events are known well enough to say what they lack.
const KNOWN: [&str; 6] = ["dns", "file", "library", "network", "process", "registry"];

/// What fields start with, the known categories whose events may have them, and whose they are for people.
const HOMES: [(&str, &[&str], &str); 8] = [
    ("destination.", &["dns", "network"], "network events"),
    ("dll.", &["library"], "library events"),
    ("dns.", &["dns", "network"], "dns events"),
    ("driver.", &["library", "process"], "driver events"),
    ("file.", &["file", "library"], "file events"),
    ("network.", &["dns", "network"], "network events"),
    ("registry.", &["registry"], "registry events"),
    ("source.", &["dns", "network"], "network events"),
];

/// What the names of fields hold or start with that only other systems have.
const ELSEWHERE: [(&str, &str); 8] = [
    ("registry.", "Windows"),
    ("dll.", "Windows and macOS"),
    ("powershell.", "Windows"),
    ("winlog.", "Windows"),
    (".pe.", "Windows"),
    (".Ext.token.", "Windows"),
    (".macho.", "macOS"),
    ("Persistence.", "macOS"),
];

/// Fields that events of the filter's category never have.
pub(super) fn lint_category(filter: &TypedFilter, source: &str, schema: &Schema, found: &mut Vec<Diagnostic>) {
    let Some(category) = filter.category.as_deref().filter(|category| KNOWN.contains(category)) else { return };
    if *schema.event() != EventFields::ecs() {
        return;
    }
    let kind_has =
        |name: &str| event_kinds().iter().any(|kind| kind.category.contains(&category) && kind.fields.contains(&name));
    each_leaf(&filter.condition, true, &mut |leaf, positive| {
        if let TypedKind::Lineage { filter, .. } = &leaf.kind {
            return lint_category(filter, source, schema, found);
        }
        each_field(leaf, source, &mut |name, span| {
            let home = HOMES.iter().find(|(start, _, _)| name.starts_with(start));
            if let Some((_, categories, home)) = home
                && !categories.contains(&category)
                && !kind_has(name)
            {
                let (field, category) = (name.to_owned(), category.to_owned());
                let excluded = positive == tests_null(leaf);
                found.push(FieldOfAnotherCategory { span, field, category, home, excluded }.into());
            }
        });
    });
}

/// Fields that no source on Linux provides.
pub(super) fn lint_system(filter: &TypedFilter, source: &str, schema: &Schema, found: &mut Vec<Diagnostic>) {
    if *schema.event() != EventFields::ecs() {
        return;
    }
    each_leaf(&filter.condition, true, &mut |leaf, positive| {
        if let TypedKind::Lineage { filter, .. } = &leaf.kind {
            return lint_system(filter, source, schema, found);
        }
        each_field(leaf, source, &mut |name, span| {
            let elsewhere = ELSEWHERE.iter().find(|(part, _)| match part.starts_with('.') {
                true => name.contains(part),
                false => name.starts_with(part),
            });
            if let Some((_, home)) = elsewhere
                && !event_kinds().iter().any(|kind| kind.fields.contains(&name))
            {
                let excluded = positive == tests_null(leaf);
                found.push(FieldOfAnotherSystem { span, field: name.to_owned(), home, excluded }.into());
            }
        });
    });
}

/// Whether a leaf is true of a missing field.
fn tests_null(leaf: &Typed) -> bool {
    matches!(leaf.kind, TypedKind::IsNull(_))
}

/// The fields of the event itself that a leaf reads, but for those that are written as optional.
fn each_field(typed: &Typed, source: &str, visit: &mut impl FnMut(&str, Span)) {
    match &typed.kind {
        TypedKind::Field(field) if field.owner == FieldOwner::Event && !typed.span.text(source).starts_with('?') => {
            visit(&field.name, typed.span);
        }
        TypedKind::Compare { left, right, .. } | TypedKind::Arithmetic { left, right, .. } => {
            each_field(left, source, visit);
            each_field(right, source, visit);
        }
        TypedKind::In { subject, .. } | TypedKind::Match { subject, .. } => each_field(subject, source, visit),
        TypedKind::IsNull(tested) | TypedKind::NotNull(tested) | TypedKind::Negate(tested) => {
            each_field(tested, source, visit);
        }
        TypedKind::SomeFails(leaf) => each_field(leaf, source, visit),
        TypedKind::Call { arguments, .. } => {
            arguments.iter().for_each(|argument| each_field(argument, source, visit));
        }
        _ => {}
    }
}
