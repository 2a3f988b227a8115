//! The language: tokens, trees, the formatter, the compiler, rule files, schema files and the text form of the IR.

use eqlc::compile::compile_query;
use eqlc::diagnostics::{Diagnostic, SourceFile, has_errors, render};
use eqlc::format::{format_file, format_query, format_source};
use eqlc::rules::{Loaded, load_file};
use eqlc::syntax::{Dialect, Query, parse};
use kestrel_ir::{text, verify};
use kestrel_schema::Schema;

/// Tokens lie in the text, in order, on characters' borders.
pub fn tokens(source: &str) {
    let (tokens, comments) = eqlc::syntax::tokens(source);
    let mut end = 0;
    for token in &tokens {
        assert!(end <= token.span.start, "{:?} overlaps the one before", token.span);
        assert!(source.get(token.span.start..token.span.end).is_some(), "{:?} is outside of the text", token.span);
        end = token.span.end;
    }
    for comment in &comments {
        assert!(
            source.get(comment.span.start..comment.span.end).is_some(),
            "{:?} is outside of the text",
            comment.span
        );
    }
}

/// Diagnostics can be shown; the print of a whole tree parses to the same tree, and prints the same again.
pub fn parsing(source: &str) {
    for dialect in Dialect::ALL {
        let parsed = parse(source, dialect);
        shown(&parsed.diagnostics, source);
        if has_errors(&parsed.diagnostics) {
            continue;
        }
        let printed = format_query(&parsed.query);
        let again = parse(&printed, dialect);
        assert!(!has_errors(&again.diagnostics), "{printed}\n{}", shown(&again.diagnostics, &printed));
        assert_eq!(shape(&parsed.query), shape(&again.query), "{printed}");
        assert_eq!(printed, format_query(&again.query));
    }
}

/// Formatted text parses to the same tree with as many comments, and formatting it again changes nothing.
pub fn formatting(source: &str) {
    for dialect in Dialect::ALL {
        let Ok(formatted) = format_source(source, dialect) else { continue };
        let (before, after) = (parse(source, dialect), parse(&formatted, dialect));
        assert!(!has_errors(&after.diagnostics), "{formatted}\n{}", shown(&after.diagnostics, &formatted));
        assert_eq!(shape(&before.query), shape(&after.query), "{formatted}");
        assert_eq!(before.comments.len(), after.comments.len(), "{formatted}");
        assert_eq!(format_source(&formatted, dialect).as_ref(), Ok(&formatted), "not stable");
    }
}

/// A query that checks gives an IR that verifies, and whose text form reads back.
pub fn compiling(source: &str, schema: &Schema) {
    for dialect in [Dialect::Elastic, Dialect::Endpoint] {
        let (ir, diagnostics) = compile_query(source, schema, dialect);
        let told = shown(&diagnostics, source);
        assert!(!diagnostics.iter().any(|diagnostic| diagnostic.code == "E0418"), "{told}");
        if let Some(ir) = ir {
            assert_eq!(text::parse(&text::print(&ir)).as_ref(), Ok(&ir));
        }
    }
}

/// A rule file of either form is read or refused, and what is told of it can be shown.
pub fn rule_file(text: &str) {
    for path in ["rule.eql", "rule.toml"] {
        let file = load_file(path, text);
        render(&file.diagnostics, &file.source, false);
        if let Loaded::Rule(rule) = &file.loaded {
            let parsed = parse(&rule.query, rule.dialect_or(None));
            render(&parsed.diagnostics, &rule.source, false);
        }
        if let Ok(Some(formatted)) = format_file(path, text, None) {
            assert_eq!(format_file(path, &formatted, None).as_ref(), Ok(&Some(formatted.clone())), "not stable");
        }
    }
}

/// An IR's text is read or refused, reads back when it is printed, and verifying it ends.
pub fn ir_text(source: &str) {
    if let Ok(ir) = text::parse(source) {
        assert_eq!(text::parse(&text::print(&ir)).as_ref(), Ok(&ir));
        let _ = verify::verify(&ir);
    }
}

/// A schema file is read or refused.
pub fn schema(source: &str) {
    match Schema::from_toml(source) {
        Ok(schema) => {
            schema.hash();
        }
        Err(error) => assert!(!error.problems().is_empty() && !error.to_string().is_empty()),
    }
}

fn shown(diagnostics: &[Diagnostic], source: &str) -> String {
    for diagnostic in diagnostics {
        for label in &diagnostic.labels {
            let span = label.span;
            assert!(source.get(span.start..span.end).is_some(), "{}: {span:?} is outside of the text", diagnostic.code);
        }
    }
    render(diagnostics, &SourceFile::new("fuzz", source), false)
}

/// The tree without places.
fn shape(query: &Query) -> String {
    let text = format!("{query:?}");
    let mut shape = String::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find("Span { start: ") {
        shape += &rest[..start];
        rest = &rest[start..];
        rest = rest.find('}').and_then(|end| rest.get(end + 1..)).unwrap_or_default();
    }
    shape + rest
}
