//! The codes W05xx: rules that work, but probably not as meant.
//!
//! In: what looks odd. Out: its [`Diagnostic`].

use crate::diagnostics::{Diagnostic, declare};

declare! { Warning;
    /// `x regex "^a"`
    "W0501" "anchor in a regular expression" AnchorIsLiteral { character: char, fix: Option<String> }
    /// A condition that constants decide.
    "W0502" "condition is never true" NeverTrue { null: bool }
    /// `x == "a*"`
    "W0503" "wildcard that is taken literally" LiteralWildcard { operator: &'static str, better: &'static str, fix: Option<(crate::syntax::Span, String)> }
    /// `proces where ..`
    "W0504" "unknown event category" UnknownCategory { name: String, nearest: Option<String> }
    /// `x in ("a", null)`
    "W0505" "null in a list" NullInList { operator: &'static str }
    /// `?no.such.field`
    "W0506" "optional field is unknown" OptionalUnknown { name: String, nearest: Option<String> }
    /// `process.pid == 1.5`
    "W0507" "comparison that is never true" NeverEqual { name: String, number: String }
    /// `x : "a?c"` is fine; `startsWith(x, "a*")` is not.
    "W0508" "wildcard in a function that knows none" WildcardInFunction { name: &'static str }
}

impl From<AnchorIsLiteral> for Diagnostic {
    fn from(error: AnchorIsLiteral) -> Self {
        let diagnostic = error
            .start(format!("`{0}` is not an anchor here but the character `{0}`", error.character))
            .primary(error.span, "this looks for the character itself")
            .note("a regular expression always matches the whole value");
        let help = format!("leave it out, or write `\\{}` if the character is meant", error.character);
        match error.fix {
            Some(fix) => diagnostic.help(help).fix(error.span, fix),
            None => diagnostic.help(help),
        }
    }
}

impl From<NeverTrue> for Diagnostic {
    fn from(error: NeverTrue) -> Self {
        let value = if error.null { "null" } else { "false" };
        error
            .start("this condition is never true, so the query matches nothing")
            .primary(error.span, format!("constants decide it: always {value}"))
    }
}

impl From<LiteralWildcard> for Diagnostic {
    fn from(error: LiteralWildcard) -> Self {
        let diagnostic = error
            .start(format!("`{}` takes `*` and `?` literally", error.operator))
            .primary(error.span, "no wildcard here")
            .help(format!("for a pattern, use `{}`", error.better));
        match error.fix {
            Some((span, replacement)) => diagnostic.fix(span, replacement),
            None => diagnostic,
        }
    }
}

impl From<UnknownCategory> for Diagnostic {
    fn from(error: UnknownCategory) -> Self {
        let diagnostic = error
            .start(format!("unknown event category `{}`", error.name))
            .primary(error.span, "no event of the schema has this category");
        match error.nearest {
            Some(nearest) => diagnostic.help(format!("did you mean `{nearest}`?")).fix(error.span, nearest),
            None => diagnostic,
        }
    }
}

impl From<NullInList> for Diagnostic {
    fn from(error: NullInList) -> Self {
        error
            .start(format!("`null` in the list behind `{}` never matches", error.operator))
            .primary(error.span, "no value equals null")
            .help("test with `== null` whether a field is missing")
    }
}

impl From<OptionalUnknown> for Diagnostic {
    fn from(error: OptionalUnknown) -> Self {
        let diagnostic = error
            .start(format!("the schema does not know `{}`, so `?{}` is always null", error.name, error.name))
            .primary(error.span, "always null");
        match error.nearest {
            Some(nearest) => diagnostic.help(format!("did you mean `?{nearest}`?")),
            None => diagnostic,
        }
    }
}

impl From<NeverEqual> for Diagnostic {
    fn from(error: NeverEqual) -> Self {
        error
            .start(format!("`{}` holds whole numbers and never equals {}", error.name, error.number))
            .primary(error.span, "not a whole number")
    }
}

impl From<WildcardInFunction> for Diagnostic {
    fn from(error: WildcardInFunction) -> Self {
        error
            .start(format!("`{}` takes `*` and `?` literally", error.name))
            .primary(error.span, "no wildcard here")
            .help("for a pattern, use `:` or `like`")
    }
}
