//! The formatter: its output parses to the same tree, formatting it again changes nothing, and no comment is lost.
//! Cases lie in `tests/format/*.txt`: `=== name (dialect)`, the source, and behind `---` the output; `BLESS=1` writes them.

use std::fmt::Write as _;
use std::path::Path;

use eqlc::format::{format_query, format_source};
use eqlc::syntax::{Dialect, Query, parse};

/// The tree without places.
fn shape(query: &Query) -> String {
    let text = format!("{query:?}");
    let mut shape = String::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find("Span { start: ") {
        shape += &rest[..start];
        rest = &rest[start..];
        rest = &rest[rest.find('}').expect("a span ends") + 1..];
    }
    shape + rest
}

fn check(source: &str, dialect: Dialect) -> String {
    let parsed = parse(source, dialect);
    assert!(parsed.diagnostics.is_empty(), "{source}: {:?}", parsed.diagnostics);
    let formatted = format_source(source, dialect).expect("it parses");
    let again = parse(&formatted, dialect);
    assert!(again.diagnostics.is_empty(), "{source}\n=>\n{formatted}: {:?}", again.diagnostics);
    assert_eq!(shape(&parsed.query), shape(&again.query), "{source}\n=>\n{formatted}");
    assert_eq!(parsed.comments.len(), again.comments.len(), "{source}\n=>\n{formatted}");
    assert_eq!(formatted, format_source(&formatted, dialect).expect("it parses"), "not stable");
    let printed = format_query(&parsed.query);
    let reparsed = parse(&printed, dialect);
    assert_eq!(shape(&parsed.query), shape(&reparsed.query), "{source}\n=>\n{printed}");
    assert_eq!(printed, format_query(&reparsed.query));
    formatted
}

#[test]
fn output_is_as_recorded() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format");
    for entry in std::fs::read_dir(directory).expect("the cases are there") {
        let path = entry.expect("the case can be listed").path();
        let text = std::fs::read_to_string(&path).expect("the case file can be read");
        let mut blessed = String::new();
        for case in format!("\n{text}").split("\n=== ").skip(1) {
            let (title, body) = case.split_once('\n').expect("a case has a title line");
            let source = body.split("\n---").next().expect("a case has a source").trim_end_matches('\n');
            let dialect = title.split_once('(').map_or("endpoint", |(_, rest)| rest.trim_end_matches(')'));
            let formatted = check(source, dialect.parse().expect("the dialect is known"));
            let _ = write!(blessed, "=== {title}\n{source}\n---\n{formatted}\n");
        }
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &blessed).expect("the case file can be written");
        } else {
            assert_eq!(text, blessed, "{} differs; BLESS=1 blesses", path.display());
        }
    }
}

#[test]
fn every_rule_survives() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/rules");
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return;
    }
    let files = eqlc::rules::files::read(&[path]).expect("the rules can be read");
    for rule in eqlc::rules::load_all(files).rules {
        check(&rule.query, rule.dialect_or(None));
    }
}

#[test]
fn a_query_with_errors_is_not_touched() {
    assert!(format_source("process where a = 1", Dialect::Elastic).is_err());
}

#[test]
fn deep_and_long_queries_are_formatted() {
    let deep = format!("any where {}true{}", "(".repeat(450), ")".repeat(450));
    check(&deep, Dialect::Elastic);
    let long = format!("any where {}true", "a == 1 or ".repeat(20_000));
    check(&long, Dialect::Elastic);
}
