//! One plain kind of diagnostic for the whole compiler.
//!
//! In: what a stage found wrong, as a struct per code (see [`declare`](crate::diagnostics::declare)). Out: [`Diagnostic`],
//! plain data that the command, the editor and the tests share. Only [`render`] knows how one looks on a terminal. A list
//! of diagnostics belongs to one [`SourceFile`]; nothing here does IO.

pub mod registry;
pub mod render;
pub mod source;

pub use registry::{CodeInfo, codes, explain};
pub use render::{json_line, json_lines, render};
pub use source::{QueryMap, SourceFile};

use crate::syntax::Span;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Something worth knowing.
    Note,
    /// The rule works, probably not as meant.
    Warning,
    /// The rule cannot be built.
    Error,
}

impl Severity {
    /// `error`, `warning` or `note`.
    pub fn text(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A place and what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place, in the coordinates of the diagnostic (see [`Diagnostic::in_file`]).
    pub span: Span,
    /// What is there; may be empty.
    pub message: String,
    /// Whether it is the place of the mistake rather than a place that explains it.
    pub primary: bool,
}

/// A change of the text that a machine may apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What to replace; empty to insert.
    pub span: Span,
    /// By what; empty to delete.
    pub replacement: String,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// `E0101` and so on; see [`codes`].
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One line: lowercase, no final period.
    pub message: String,
    /// The places; the primary one first.
    pub labels: Vec<Label>,
    /// What else to know.
    pub notes: Vec<String>,
    /// What to do.
    pub help: Option<String>,
    /// The same, for a machine.
    pub fix: Option<Fix>,
    /// Whether spans count from the start of the file rather than of the query in it. Rule files (`E03xx`) set it.
    pub in_file: bool,
}

impl Diagnostic {
    /// A diagnostic without places; add them with the methods below.
    pub fn new(code: &'static str, severity: Severity, message: impl Into<String>) -> Self {
        Self {
            code,
            severity,
            message: message.into(),
            labels: Vec::new(),
            notes: Vec::new(),
            help: None,
            fix: None,
            in_file: false,
        }
    }

    /// Adds the place of the mistake.
    #[must_use]
    pub fn primary(mut self, span: Span, message: impl Into<String>) -> Self {
        self.labels.insert(0, Label { span, message: message.into(), primary: true });
        self
    }

    /// Adds a place that explains.
    #[must_use]
    pub fn secondary(mut self, span: Span, message: impl Into<String>) -> Self {
        self.labels.push(Label { span, message: message.into(), primary: false });
        self
    }

    /// Adds a note.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says it to a machine.
    #[must_use]
    pub fn fix(mut self, span: Span, replacement: impl Into<String>) -> Self {
        self.fix = Some(Fix { span, replacement: replacement.into() });
        self
    }

    /// Marks the spans as counted from the start of the file.
    #[must_use]
    pub fn whole_file(mut self) -> Self {
        self.in_file = true;
        self
    }

    /// The place of the mistake; the start of the text where none was given.
    pub fn span(&self) -> Span {
        self.labels.first().map_or(Span::default(), |label| label.span)
    }

    /// Whether the rule cannot be built.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Whether any of them is an error.
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(Diagnostic::is_error)
}

/// The query with every fix applied; where two overlap, the first. Spans must count from the start of `source`.
pub fn apply_fixes(source: &str, diagnostics: &[Diagnostic]) -> String {
    let mut fixes: Vec<_> =
        diagnostics.iter().filter_map(|found| found.fix.as_ref().map(|fix| (fix, found.span()))).collect();
    // Of brackets closed at one place, the one opened last closes first.
    fixes.sort_by_key(|(fix, span)| (fix.span.start, fix.span.end, std::cmp::Reverse(span.start)));
    let mut output = String::with_capacity(source.len());
    let mut done = 0;
    for (fix, _) in fixes {
        if fix.span.start >= done {
            output.push_str(source.get(done..fix.span.start).unwrap_or(""));
            output.push_str(&fix.replacement);
            done = fix.span.end;
        }
    }
    output.push_str(source.get(done..).unwrap_or(""));
    output
}

/// The nearest of `candidates` to `name`, where one is near enough to be what was meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let allowed = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Declares the structs of codes, each with a `span`, and a `CODES` table with their titles and pages.
///
/// Each struct then implements `From<Self> for Diagnostic` by hand, starting from `self.start(message)`.
macro_rules! declare {
    ($severity:ident; $($(#[$doc:meta])* $code:literal $title:literal $name:ident { $($field:ident : $type:ty),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone)]
            #[expect(missing_docs, reason = "the fields are the words of the message")]
            pub struct $name { pub span: $crate::syntax::Span, $(pub $field: $type),* }

            impl $name {
                /// The code, as in `eqlc explain-error`.
                pub const CODE: &'static str = $code;
                /// The heading of its page.
                pub const TITLE: &'static str = $title;

                fn start(&self, message: impl Into<String>) -> $crate::diagnostics::Diagnostic {
                    $crate::diagnostics::Diagnostic::new(Self::CODE, $crate::diagnostics::Severity::$severity, message)
                }
            }
        )*
        /// The codes of this module with their pages.
        pub const CODES: &[$crate::diagnostics::CodeInfo] = &[$($crate::diagnostics::CodeInfo {
            code: $code,
            title: $title,
            page: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors/", $code, ".md")),
        }),*];
    };
}
pub(crate) use declare;
