//! The codes of the lints, W0509 and on.
//!
//! In: what a lint found. Out: its [`Diagnostic`].

use crate::diagnostics::{Diagnostic, declare};
use crate::syntax::Span;

declare! { Warning;
    /// `x == "a" and x == "b"`
    "W0509" "condition that contradicts itself" Contradiction { other: Span, field: String, reason: &'static str, whole: Option<&'static str> }
    /// `x != "a" or x != "b"`, `length(x) >= 0`
    "W0510" "comparison that is always the same" SameEitherWay { always: bool, why: &'static str, help: Option<&'static str> }
    /// `file where registry.path : "x"`
    "W0511" "field that events of this category never have" FieldOfAnotherCategory { field: String, category: String, home: &'static str, excluded: bool }
    /// `x in ("a", "a")`, `x : ("a*", "ab")`
    "W0512" "list entry that adds nothing" AddsNothing { other: Span, entry: String, pattern: Option<String>, fix: Option<Span> }
    /// `sequence [..] [..]`
    "W0513" "sequence without keys" NoKeys {}
    /// `sequence by x [..] [..]`
    "W0514" "sequence without `maxspan`" NoMaxspan {}
    /// `sequence with maxspan=30d`
    "W0515" "`maxspan` longer than state is kept" SpanBeyondState { text: String }
    /// A rule for Linux that reads `registry.path`.
    "W0516" "field of another operating system" FieldOfAnotherSystem { field: String, home: &'static str, excluded: bool }
    /// `process.executable == "C:\\Windows\\explorer.exe"`
    "W0517" "Windows path compared by case" CaseOfPath { operator: &'static str, fix: Option<(Span, &'static str)> }
}

/// `1 == 2`, of [`SameEitherWay`]'s code.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoField {
    pub(super) span: Span,
}

/// `x != "a" or x != "b"`, of [`SameEitherWay`]'s code.
#[derive(Debug, Clone)]
pub(super) struct LeavesNothingOut {
    pub(super) span: Span,
    pub(super) other: Span,
    pub(super) field: String,
    pub(super) excludes: bool,
}

impl From<Contradiction> for Diagnostic {
    fn from(found: Contradiction) -> Self {
        let message = match found.whole {
            Some(what) => format!("{what} never matches: it asks contradictory things of `{}`", found.field),
            None => format!("this can never be true: it asks contradictory things of `{}`", found.field),
        };
        found.start(message).primary(found.span, found.reason).secondary(found.other, "this excludes it")
    }
}

impl From<SameEitherWay> for Diagnostic {
    fn from(found: SameEitherWay) -> Self {
        let message = if found.always { "this comparison is always true" } else { "this comparison is never true" };
        let diagnostic = found.start(message).primary(found.span, found.why);
        match found.help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }
}

impl From<NoField> for Diagnostic {
    fn from(found: NoField) -> Self {
        Diagnostic::new(
            SameEitherWay::CODE,
            crate::diagnostics::Severity::Warning,
            "this comparison is always the same",
        )
        .primary(found.span, "no field takes part in it")
    }
}

impl From<LeavesNothingOut> for Diagnostic {
    fn from(found: LeavesNothingOut) -> Self {
        let message = format!("one of these alternatives is always true, whatever `{}` is", found.field);
        let diagnostic = Diagnostic::new(SameEitherWay::CODE, crate::diagnostics::Severity::Warning, message)
            .primary(found.span, "true of all that the other is false of")
            .secondary(found.other, "the other");
        match found.excludes {
            true => diagnostic.help("to exclude both, join them with `and`"),
            false => diagnostic,
        }
    }
}

impl From<FieldOfAnotherCategory> for Diagnostic {
    fn from(found: FieldOfAnotherCategory) -> Self {
        let FieldOfAnotherCategory { field, category, home, .. } = &found;
        let effect = if found.excluded { "so nothing is excluded" } else { "so this is never true" };
        found
            .start(format!("`{category}` events never have `{field}`"))
            .primary(found.span, effect)
            .note(format!("`{field}` belongs to {home}"))
    }
}

impl From<AddsNothing> for Diagnostic {
    fn from(found: AddsNothing) -> Self {
        let entry = shortened(&found.entry);
        let (message, label, other) = match &found.pattern {
            None => (format!("`{entry}` is in the list already"), "here again", "the first"),
            Some(pattern) => (
                format!("`{entry}` adds nothing to a list with `{}`", shortened(pattern)),
                "matched by the other anyway",
                "this matches it",
            ),
        };
        let diagnostic = found.start(message).primary(found.span, label).secondary(found.other, other);
        match found.fix {
            Some(span) => diagnostic.help("leave it out").fix(span, ""),
            None => diagnostic.help("leave it out"),
        }
    }
}

impl From<NoKeys> for Diagnostic {
    fn from(found: NoKeys) -> Self {
        found
            .start("this sequence joins events that have nothing in common")
            .primary(found.span, "no `by`, and no step looks at an earlier one")
            .help("say what the events share, as in `sequence by process.entity_id`")
    }
}

impl From<NoMaxspan> for Diagnostic {
    fn from(found: NoMaxspan) -> Self {
        found
            .start("this sequence may take for ever")
            .primary(found.span, "no `maxspan`")
            .note("what has begun is kept until the engine runs out of room for it, and is then dropped")
            .help("say how long it may take, as in `with maxspan=5m`")
    }
}

impl From<SpanBeyondState> for Diagnostic {
    fn from(found: SpanBeyondState) -> Self {
        found
            .start(format!("`maxspan={}` is longer than an engine can be relied on to remember", found.text))
            .primary(found.span, "more than a day")
            .note("what has begun is lost when the engine restarts or runs out of room for it")
    }
}

impl From<FieldOfAnotherSystem> for Diagnostic {
    fn from(found: FieldOfAnotherSystem) -> Self {
        let FieldOfAnotherSystem { field, home, .. } = &found;
        let effect = if found.excluded { "so nothing is excluded" } else { "so this is never true" };
        found
            .start(format!("no source on Linux provides `{field}`"))
            .primary(found.span, effect)
            .note(format!("the rule is for Linux alone, and `{field}` is there on {home}"))
    }
}

impl From<CaseOfPath> for Diagnostic {
    fn from(found: CaseOfPath) -> Self {
        let diagnostic = found
            .start(format!("`{}` tells upper from lower case, which Windows paths do not", found.operator))
            .primary(found.span, "the same path may come in other letters");
        match found.fix {
            Some((span, better)) => diagnostic.help(format!("use `{better}`")).fix(span, better),
            None => diagnostic.help("use `not .. : ..`"),
        }
    }
}

/// A text cut where it is long.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}..", text.get(..end).unwrap_or("")),
        None => text.to_owned(),
    }
}
