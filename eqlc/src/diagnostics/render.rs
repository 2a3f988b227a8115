//! How a diagnostic looks: for people on a terminal, for programs as a line of JSON.
//!
//! In: diagnostics and the file they speak about. Out: text. This is the only file that knows the renderer.

use codespan_reporting::diagnostic as picture;
use codespan_reporting::files::SimpleFile;
use codespan_reporting::term;
use codespan_reporting::term::termcolor::Ansi;
use serde_json::{Value, json};

use super::{Diagnostic, Severity, SourceFile};

// A longer line fills the terminal and shows nothing.
const LONGEST_SHOWN_LINE: usize = 4096;

/// For people: each diagnostic with the lines it speaks about, with ANSI colours where asked for.
pub fn render(diagnostics: &[Diagnostic], source: &SourceFile, color: bool) -> String {
    let mut output = String::new();
    let file = SimpleFile::new(source.name(), source.text());
    let config = term::Config { chars: term::Chars::box_drawing(), ..term::Config::default() };
    for diagnostic in diagnostics {
        if diagnostic.labels.iter().any(|label| source.line_length(diagnostic, label.span) > LONGEST_SHOWN_LINE) {
            output.push_str(&short(diagnostic, source));
            continue;
        }
        let shown = picture_of(diagnostic, source);
        let text = if color {
            let styles = term::Styles::default();
            let mut writer = Ansi::new(Vec::new());
            let result =
                term::emit_to_write_style(&mut term::StylesWriter::new(&mut writer, &styles), &config, &file, &shown);
            result.map(|()| String::from_utf8_lossy(&writer.into_inner()).into_owned())
        } else {
            term::emit_into_string(&config, &file, &shown)
        };
        // The spans were put on the text's borders; should the renderer still refuse, the message itself must not be lost.
        output.push_str(&text.unwrap_or_else(|_| short(diagnostic, source)));
    }
    output
}

fn short(diagnostic: &Diagnostic, source: &SourceFile) -> String {
    let (line, column) = source.line_column(source.span_in_file(diagnostic, diagnostic.span()).start);
    let Diagnostic { severity, code, message, help, .. } = diagnostic;
    let help = help.as_ref().map_or(String::new(), |help| format!("  = help: {help}\n"));
    format!("{}[{code}]: {message}\n  at {}:{line}:{column}\n{help}\n", severity.text(), source.name())
}

fn picture_of(diagnostic: &Diagnostic, source: &SourceFile) -> picture::Diagnostic<()> {
    let severity = match diagnostic.severity {
        Severity::Error => picture::Severity::Error,
        Severity::Warning => picture::Severity::Warning,
        Severity::Note => picture::Severity::Note,
    };
    let labels = diagnostic.labels.iter().map(|label| {
        let style = if label.primary { picture::LabelStyle::Primary } else { picture::LabelStyle::Secondary };
        let range = source.span_in_file(diagnostic, label.span).range();
        picture::Label::new(style, (), range).with_message(&label.message)
    });
    let notes = diagnostic.notes.iter().map(|note| format!("note: {note}"));
    let help = diagnostic.help.iter().map(|help| format!("help: {help}"));
    picture::Diagnostic::new(severity)
        .with_code(diagnostic.code)
        .with_message(&diagnostic.message)
        .with_labels(labels.collect())
        .with_notes(notes.chain(help).collect())
}

/// For programs: one JSON object, without a line end. Lines and columns are those of the file, from 1.
pub fn json_line(diagnostic: &Diagnostic, source: &SourceFile) -> String {
    let place = |span| {
        let span = source.span_in_file(diagnostic, span);
        (source.line_column(span.start), source.line_column(span.end))
    };
    let ((line, column), (end_line, end_column)) = place(diagnostic.span());
    let labels: Vec<Value> = diagnostic
        .labels
        .iter()
        .map(|label| {
            let ((line, column), (end_line, end_column)) = place(label.span);
            json!({
                "line": line, "column": column, "end_line": end_line, "end_column": end_column,
                "message": label.message, "primary": label.primary,
            })
        })
        .collect();
    let fix = source.fix_in_file(diagnostic).map(|fix| {
        let (line, column) = source.line_column(fix.span.start);
        let (end_line, end_column) = source.line_column(fix.span.end);
        json!({
            "line": line, "column": column, "end_line": end_line, "end_column": end_column,
            "replacement": fix.replacement,
        })
    });
    json!({
        "file": source.name(), "line": line, "column": column, "end_line": end_line, "end_column": end_column,
        "severity": diagnostic.severity.text(), "code": diagnostic.code, "message": diagnostic.message,
        "labels": labels, "notes": diagnostic.notes, "help": diagnostic.help, "fix": fix,
    })
    .to_string()
}

/// For programs: one JSON object a line.
pub fn json_lines(diagnostics: &[Diagnostic], source: &SourceFile) -> String {
    diagnostics.iter().map(|diagnostic| json_line(diagnostic, source) + "\n").collect()
}
