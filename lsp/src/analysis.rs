//! One text, as the compiler sees it.
//!
//! In: the text of a document, what kind of file it is, and the settings. Out: the rule in it and what is wrong, with all
//! places as byte ranges of the file. This is the only file that calls the compiler's checks; it does exactly what
//! `eqlc check` does for one rule. A text that is no rule has no findings.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use eqlc::compile::{CompileOptions, compile_rules};
use eqlc::diagnostics::{Diagnostic, Fix, Severity, SourceFile, codes};
use eqlc::rules::files::read_predicate;
use eqlc::rules::{Loaded, RuleSource, load_file};
use eqlc::syntax::limit_errors::SourceTooLarge;
use eqlc::syntax::{Dialect, Span};

use crate::settings::Settings;

/// Bytes of a document that is looked at. The compiler takes a query of 1 MiB; the rest is room for what is around it.
pub const LARGEST_DOCUMENT: usize = 4 << 20;

/// What kind of file a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// The project's own form.
    Eql,
    /// Perhaps one of the public forms, perhaps something else.
    Toml,
    /// Nothing of ours.
    Other,
}

impl FileKind {
    /// From the document's path and the language that the editor gave it; the path's ending counts first.
    pub fn of(path: &str, language: &str) -> FileKind {
        match path.rsplit_once('.').map(|(_, ending)| ending) {
            Some("eql") => FileKind::Eql,
            Some("toml") => FileKind::Toml,
            _ if language == "eql" => FileKind::Eql,
            _ if language == "toml" => FileKind::Toml,
            _ => FileKind::Other,
        }
    }

    /// A path whose ending tells the compiler the form, for documents that are not yet saved too.
    pub(crate) fn name(self, path: &str) -> String {
        let ending = if self == FileKind::Toml { ".toml" } else { ".eql" };
        if path.ends_with(ending) { path.to_owned() } else { format!("{path}{ending}") }
    }
}

/// One thing that is wrong, in the coordinates of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub span: Span,
    /// `E0101` and so on.
    pub code: &'static str,
    /// The heading of the code's page.
    pub title: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: the message, what is at the place, notes and help, a line each.
    pub message: String,
    /// What to do, where the compiler knows.
    pub help: Option<String>,
    /// Other places that explain it.
    pub related: Vec<(Span, String)>,
    /// The change that mends it.
    pub fix: Option<Fix>,
}

/// What the compiler said about a text.
#[derive(Debug, Clone)]
pub struct Analysis {
    /// The rule, if the file holds one.
    pub rule: Option<RuleSource>,
    /// The dialect that it was checked in.
    pub dialect: Dialect,
    /// What is wrong, in the order of the text.
    pub findings: Vec<Finding>,
}

impl Analysis {
    /// Looks at a text. A panic of the compiler is its mistake, not the user's: it is told on standard error, this text
    /// has no findings, and the session goes on.
    pub fn new(path: &str, kind: FileKind, text: &str, settings: &Settings) -> Analysis {
        catch_unwind(AssertUnwindSafe(|| analyse(path, kind, text, settings))).unwrap_or_else(|_| Analysis::nothing())
    }

    fn nothing() -> Analysis {
        Analysis { rule: None, dialect: Dialect::default(), findings: Vec::new() }
    }

    /// The byte of the query for a byte of the file; `None` outside the query.
    pub fn offset_in_query(&self, offset: usize) -> Option<usize> {
        let rule = self.rule.as_ref()?;
        let place = |offset| place(&rule.source, Span::new(offset, offset)).start;
        if offset < place(0) || offset > place(rule.query.len()) {
            return None;
        }
        // The map is monotone, so that the last byte that does not lie behind the place is the one.
        let (mut low, mut high) = (0, rule.query.len());
        while low < high {
            let middle = high - (high - low) / 2;
            if place(middle) <= offset { low = middle } else { high = middle - 1 }
        }
        Some(rule.query.floor_char_boundary(low))
    }

    /// The range of the file for a range of the query.
    pub fn span_in_file(&self, span: Span) -> Span {
        self.rule.as_ref().map_or(span, |rule| place(&rule.source, span))
    }
}

fn place(source: &SourceFile, span: Span) -> Span {
    source.span_in_file(&Diagnostic::new("", Severity::Note, ""), span)
}

fn analyse(path: &str, kind: FileKind, text: &str, settings: &Settings) -> Analysis {
    if kind == FileKind::Other || kind == FileKind::Toml && !looks_like_rule(text) {
        return Analysis::nothing();
    }
    if text.len() > LARGEST_DOCUMENT {
        let error = SourceTooLarge { span: Span::default(), size: text.len(), limit: LARGEST_DOCUMENT };
        let source = SourceFile::new(path, "");
        return Analysis { findings: vec![finding(&error.into(), &source)], ..Analysis::nothing() };
    }
    let file = load_file(&kind.name(path), text);
    let mut findings: Vec<Finding> = file.diagnostics.iter().map(|found| finding(found, &file.source)).collect();
    let Loaded::Rule(rule) = file.loaded else { return Analysis { findings, ..Analysis::nothing() } };
    let dialect = rule.dialect_or(settings.dialect);
    let source = Arc::clone(&rule.source);
    findings.extend(check(&rule, dialect, settings).iter().map(|found| finding(found, &source)));
    findings.sort_by_key(|finding| finding.span);
    Analysis { rule: Some(*rule), dialect, findings }
}

/// Whether a TOML text may be a rule. Most TOML files of a folder are something else, and a mistake in those, or one that
/// is being typed, is not ours to report.
fn looks_like_rule(text: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with("[rule]"))
}

fn check(rule: &RuleSource, dialect: Dialect, settings: &Settings) -> Vec<Diagnostic> {
    let options = CompileOptions { schema: settings.schema.clone(), dialect: Some(dialect) };
    // A rule that is switched off is checked all the same while it is being written.
    let mut rule = RuleSource { enabled: true, ..rule.clone() };
    // Code that cannot be read is a mistake of the rule, which the compiler would tell with less of a reason.
    if let Err(diagnostic) = read_predicate(&mut rule) {
        return vec![*diagnostic];
    }
    let compilation = compile_rules(vec![rule], &options);
    let failed = compilation.failed.into_iter().flat_map(|rule| rule.diagnostics);
    let built = compilation.built.into_iter().flat_map(|rule| rule.warnings);
    failed.chain(built).collect()
}

fn finding(diagnostic: &Diagnostic, source: &SourceFile) -> Finding {
    let mut lines = vec![diagnostic.message.clone()];
    let primary = diagnostic.labels.first().filter(|label| label.primary && !label.message.is_empty());
    lines.extend(primary.map(|label| label.message.clone()));
    lines.extend(diagnostic.notes.iter().map(|note| format!("note: {note}")));
    lines.extend(diagnostic.help.iter().map(|help| format!("help: {help}")));
    let others = diagnostic.labels.iter().skip(1);
    Finding {
        span: source.span_in_file(diagnostic, diagnostic.span()),
        code: diagnostic.code,
        title: codes().iter().find(|info| info.code == diagnostic.code).map_or("", |info| info.title),
        severity: diagnostic.severity,
        message: lines.join("\n"),
        help: diagnostic.help.clone(),
        related: others.map(|label| (source.span_in_file(diagnostic, label.span), label.message.clone())).collect(),
        fix: source.fix_in_file(diagnostic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes_of(path: &str, text: &str) -> Vec<&'static str> {
        let kind = FileKind::of(path, "");
        let analysis = Analysis::new(path, kind, text, &Settings::default());
        analysis.findings.iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn only_rules_are_judged() {
        assert_eq!(codes_of("Cargo.toml", "[package]\nname = \"x\"\n"), [""; 0]);
        assert_eq!(codes_of("broken.toml", "[package\n= 5"), [""; 0]);
        assert_eq!(codes_of("rule.toml", "[rule]\nrule_id = \"x\"\ntype = \"esql\"\nquery = \"from x\"\n"), [""; 0]);
        assert_eq!(codes_of("notes.txt", "process were"), [""; 0]);
        assert!(codes_of("rule.toml", "[rule]\nrule_id = \n").contains(&"E0301"));
    }

    #[test]
    fn a_document_beyond_the_limit_is_said_to_be() {
        assert_eq!(codes_of("big.eql", &"a".repeat(LARGEST_DOCUMENT + 1)), ["E0401"]);
        assert_eq!(codes_of("big.eql", &"a ".repeat(LARGEST_DOCUMENT / 2)), ["E0401"]);
    }

    #[test]
    fn a_rule_that_is_switched_off_is_judged_too() {
        assert_eq!(codes_of("off.eql", "---\nenabled = false\n---\nprocess where process.nmae == \"x\""), ["E0201"]);
    }

    #[test]
    fn places_map_between_file_and_query() {
        let text = "[rule]\nrule_id = \"a\"\ntype = \"eql\"\nquery = \"process where process.name == \\\"é\\\"\"\n";
        let analysis = Analysis::new("a.toml", FileKind::Toml, text, &Settings::default());
        let query = &analysis.rule.as_ref().expect("it is a rule").query;
        for (index, _) in query.char_indices() {
            let span = analysis.span_in_file(Span::new(index, index));
            assert_eq!(analysis.offset_in_query(span.start), Some(index));
        }
        assert_eq!(analysis.offset_in_query(3), None);
        assert_eq!(analysis.offset_in_query(text.len()), None);
    }
}
