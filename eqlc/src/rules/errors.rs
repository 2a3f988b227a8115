//! The codes E03xx: what can be wrong with a rule file around its query. All spans count from the start of the file.

use crate::diagnostics::{Diagnostic, declare};

declare! { Error;
    /// The TOML cannot be read.
    "E0301" "malformed TOML" MalformedToml { reason: String }
    /// A key that nothing reads.
    "E0302" "unknown key" UnknownKey { key: String, nearest: Option<&'static str> }
    /// A value of another type.
    "E0303" "wrong type of a value" WrongType { key: String, expected: &'static str, found: &'static str }
    /// A key without which there is no rule.
    "E0304" "missing key" MissingKey { keys: &'static str }
    /// Two rules with one id.
    "E0305" "duplicate rule id" DuplicateId { id: String, first: String }
    /// `---` without its partner.
    "E0306" "front matter not closed" UnclosedFrontMatter {}
    /// A value that is not allowed.
    "E0307" "value out of range" ValueOutOfRange { key: String, value: String, expected: String, nearest: Option<&'static str>, quoted: bool }
    /// Code that cannot be read, or does not keep to the host API.
    "E0308" "predicate cannot be used" ProgramUnusable { source: String, reason: String }
}

impl From<MalformedToml> for Diagnostic {
    fn from(error: MalformedToml) -> Self {
        error.start("malformed TOML").primary(error.span, error.reason).whole_file()
    }
}

impl From<UnknownKey> for Diagnostic {
    fn from(error: UnknownKey) -> Self {
        let diagnostic = error.start(format!("unknown key `{}`", error.key)).primary(error.span, "nothing reads this");
        match error.nearest {
            Some(nearest) => diagnostic.help(format!("did you mean `{nearest}`?")).fix(error.span, nearest),
            None => diagnostic,
        }
        .whole_file()
    }
}

impl From<WrongType> for Diagnostic {
    fn from(error: WrongType) -> Self {
        error
            .start(format!("`{}` takes {}, found {}", error.key, error.expected, error.found))
            .primary(error.span, format!("expected {}", error.expected))
            .whole_file()
    }
}

impl From<MissingKey> for Diagnostic {
    fn from(error: MissingKey) -> Self {
        error
            .start(format!("the rule has no {}", error.keys))
            .primary(error.span, format!("expected {}", error.keys))
            .whole_file()
    }
}

impl From<DuplicateId> for Diagnostic {
    fn from(error: DuplicateId) -> Self {
        error
            .start(format!("two rules have the id `{}`", error.id))
            .primary(error.span, "the second")
            .note(format!("the first is at {}", error.first))
            .help("give one of them another id")
            .whole_file()
    }
}

impl From<UnclosedFrontMatter> for Diagnostic {
    fn from(error: UnclosedFrontMatter) -> Self {
        error
            .start("front matter not closed")
            .primary(error.span, "expected a second line `---`")
            .help("put a line `---` between the front matter and the query")
            .whole_file()
    }
}

impl From<ValueOutOfRange> for Diagnostic {
    fn from(error: ValueOutOfRange) -> Self {
        let diagnostic = error
            .start(format!("`{}` takes {}, found `{}`", error.key, error.expected, error.value))
            .primary(error.span, format!("expected {}", error.expected));
        match error.nearest {
            Some(nearest) => {
                let replacement = if error.quoted { format!("\"{nearest}\"") } else { nearest.to_string() };
                diagnostic.help(format!("did you mean `{nearest}`?")).fix(error.span, replacement)
            }
            None => diagnostic,
        }
        .whole_file()
    }
}

impl From<ProgramUnusable> for Diagnostic {
    fn from(error: ProgramUnusable) -> Self {
        error
            .start(format!("the predicate `{}` cannot be used", error.source))
            .primary(error.span, error.reason.clone())
            .whole_file()
    }
}
