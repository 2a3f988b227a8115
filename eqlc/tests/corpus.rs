//! The rules and suites that lie beside the workspace parse without a diagnostic. Where they are not there, the tests say
//! so and pass.

use std::path::{Path, PathBuf};

use eqlc::diagnostics::{SourceFile, render};
use eqlc::syntax::{Dialect, parse};

fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(path);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

#[test]
fn suite_queries_parse() {
    let Some(path) = shared("suites/elastic-core/queries.json") else { return };
    let text = std::fs::read_to_string(path).expect("the suite can be read");
    let suite: serde_json::Value = serde_json::from_str(&text).expect("the suite is JSON");
    let mut wrong = String::new();
    for query in suite["queries"].as_array().expect("it has queries") {
        let text = query["query"].as_str().expect("each has a text");
        let parsed = parse(text, Dialect::Elastic);
        wrong += &render(&parsed.diagnostics, &SourceFile::new(query["name"].as_str().unwrap_or("?"), text), false);
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_rule_parses() {
    let Some(path) = shared("rules") else { return };
    let files = eqlc::rules::files::read(&[path]).expect("the rules can be read");
    let count = files.len();
    let set = eqlc::rules::load_all(files);
    let mut wrong = String::new();
    for (source, diagnostics) in &set.reported {
        wrong += &render(diagnostics, source, false);
    }
    for rule in &set.rules {
        let parsed = parse(&rule.query, rule.dialect_or(None));
        wrong += &render(&parsed.diagnostics, &rule.source, false);
    }
    println!("{count} files, {} rules, {} skipped", set.rules.len(), set.skipped.len());
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(set.rules.len() + set.skipped.len(), count);
}
