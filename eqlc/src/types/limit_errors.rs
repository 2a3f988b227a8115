//! The codes E0410 and up: what the language has and this version does not run, and what is too large to run.
//!
//! In: the construct. Out: its [`Diagnostic`].

use crate::diagnostics::{Diagnostic, declare};

declare! { Error;
    /// `descendant of [..]`
    "E0410" "lineage needs fields that the schema does not have" LineageNotSupported { construct: &'static str, missing: &'static str }
    /// `| count`
    "E0411" "pipe is not supported behind `count`" PipeNotSupported { name: String }
    /// `join`
    "E0412" "`join` is not supported" JoinNotSupported {}
    /// `| tail 5` in a rule for the live engine.
    "E0413" "pipe needs the end of the events" PipeNeedsEnd { name: &'static str }
    /// A search within a search, or one over plain values that tests a value in several ways.
    "E0414" "array search is not supported" ArraySearchNotSupported { reason: &'static str, help: &'static str }
    /// `a[0]`
    "E0415" "array index is not supported" ArrayIndexNotSupported {}
    /// `![.. e0.x ..]`
    "E0416" "reference to a step is not supported here" ReferenceNotSupported { place: &'static str }
    /// More steps, keys or pipes than an engine takes.
    "E0417" "rule too large" RuleTooLarge { what: &'static str, found: usize, limit: usize }
    /// The rules together are too large, or the compiler has made a mistake.
    "E0418" "pack refused" PackRefused { stage: &'static str, message: String }
}

impl From<LineageNotSupported> for Diagnostic {
    fn from(error: LineageNotSupported) -> Self {
        error
            .start(format!(
                "`{} of` needs the field `{}`, which the schema does not have",
                error.construct, error.missing
            ))
            .primary(error.span, "nothing tells who descends from whom")
            .help("use the built-in schema, or a schema file that extends it")
    }
}

impl From<PipeNotSupported> for Diagnostic {
    fn from(error: PipeNotSupported) -> Self {
        error
            .start(format!("the pipe `{}` is not supported behind `count`", error.name))
            .primary(error.span, "behind `count` there are numbers, not events")
            .help("put it before `count`; behind it stand `head` and `tail`")
    }
}

impl From<JoinNotSupported> for Diagnostic {
    fn from(error: JoinNotSupported) -> Self {
        error
            .start("`join` is not supported")
            .primary(error.span, "not supported")
            .help("`sample by ..` finds events in any order that share their keys, `sequence by ..` events in order")
    }
}

impl From<PipeNeedsEnd> for Diagnostic {
    fn from(error: PipeNeedsEnd) -> Self {
        error
            .start(format!("the pipe `{}` needs the end of the events, which a live engine never sees", error.name))
            .primary(error.span, "not possible in a rule")
            .help("remove the pipe; `eqlc run` takes it, over files")
    }
}

impl From<ArraySearchNotSupported> for Diagnostic {
    fn from(error: ArraySearchNotSupported) -> Self {
        error
            .start(format!("this array search is not supported: {}", error.reason))
            .primary(error.span, error.reason)
            .help(error.help)
    }
}

impl From<ArrayIndexNotSupported> for Diagnostic {
    fn from(error: ArrayIndexNotSupported) -> Self {
        error
            .start("an index into a field is not supported")
            .primary(error.span, "not supported")
            .note("a field may hold many values; a test holds if any of the values passes it")
            .help("leave out the index")
    }
}

impl From<ReferenceNotSupported> for Diagnostic {
    fn from(error: ReferenceNotSupported) -> Self {
        error
            .start(format!("{} cannot look at the event of another step in this version", error.place))
            .primary(error.span, "a field of another step")
            .help("join the steps with `by`, which compares for equality")
    }
}

impl From<RuleTooLarge> for Diagnostic {
    fn from(error: RuleTooLarge) -> Self {
        error
            .start(format!("{} {}, at most {} are possible", error.found, error.what, error.limit))
            .primary(error.span, format!("{} {}", error.found, error.what))
    }
}

impl From<PackRefused> for Diagnostic {
    fn from(error: PackRefused) -> Self {
        error
            .start(format!("the {} was refused: {}", error.stage, error.message))
            .primary(error.span, "")
            .note("the rules themselves are well-formed; please report this with the rules")
            .help("leave rules out until it builds")
    }
}
