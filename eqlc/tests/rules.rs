//! Rule files: what is read from each form, and what a user sees when something is wrong around or in the query.
//! Cases lie in `tests/rules/*.txt`: `=== path`, the file, and behind `@@@` what comes of it; `BLESS=1` writes them.

use std::fmt::Write as _;
use std::path::Path;

use eqlc::diagnostics::{codes, json_line, render};
use eqlc::rules::{Loaded, load_all, load_file};
use eqlc::syntax::parse;

fn outcome(path: &str, text: &str) -> String {
    let file = load_file(path, text);
    let mut output = render(&file.diagnostics, &file.source, false);
    match file.loaded {
        Loaded::Rule(rule) => {
            let rest = (&rule.tags, &rule.os, &rule.references, &rule.tests, &rule.version, rule.enabled);
            let _ = writeln!(output, "rule {} ({}): {:?}", rule.id, rule.dialect_or(None), rule.name);
            let _ = writeln!(output, "{:?} {:?} {rest:?}", rule.severity, rule.risk_score);
            for threat in &rule.threat {
                let _ = writeln!(output, "{threat:?}");
            }
            for action in &rule.actions {
                let _ = writeln!(output, "{action:?}");
            }
            if let Some(predicate) = &rule.predicate {
                let fields: Vec<&str> = predicate.fields.iter().map(|(name, _)| name.as_str()).collect();
                let (language, capabilities) = (predicate.language, &predicate.capabilities);
                let _ = writeln!(output, "predicate {} {language:?} {fields:?} {capabilities:?}", predicate.source);
                let _ = writeln!(output, "{:?}", predicate.limits);
            }
            if let Some(suppression) = &rule.suppression {
                let by: Vec<&str> = suppression.by.iter().map(|(name, _)| name.as_str()).collect();
                let (window, tell) = (suppression.window, suppression.tell_missing);
                let _ = writeln!(output, "suppressed by {by:?} for {window}, told where missing: {tell}");
            }
            let parsed = parse(&rule.query, rule.dialect_or(None));
            output += &render(&parsed.diagnostics, &rule.source, false);
            for diagnostic in &parsed.diagnostics {
                output += &json_line(diagnostic, &rule.source);
                output.push('\n');
                let Some(fix) = rule.source.fix_in_file(diagnostic) else { continue };
                let mut fixed = text.to_string();
                fixed.replace_range(fix.span.range(), &fix.replacement);
                let line = rule.source.line_column(fix.span.start).0;
                let _ = writeln!(output, "fixed: {}", fixed.lines().nth(line - 1).unwrap_or(""));
            }
        }
        Loaded::Skipped { reason } => {
            let _ = writeln!(output, "skipped: {reason}");
        }
        Loaded::Failed => output += "failed\n",
    }
    output.lines().map(|line| line.trim_end().to_string() + "\n").collect()
}

#[test]
fn files_are_read_as_recorded() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules");
    let mut recorded = String::new();
    for entry in std::fs::read_dir(directory).expect("the cases are there") {
        let path = entry.expect("the case can be listed").path();
        let text = std::fs::read_to_string(&path).expect("the case file can be read");
        let mut blessed = String::new();
        for case in format!("\n{text}").split("\n=== ").skip(1) {
            let (title, body) = case.split_once('\n').expect("a case has a title line");
            let source = body.split("\n@@@").next().expect("a case has a file");
            let _ = write!(blessed, "=== {title}\n{source}\n@@@\n{}\n", outcome(title, source));
        }
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &blessed).expect("the case file can be written");
        } else {
            assert_eq!(text, blessed, "{} differs; BLESS=1 blesses", path.display());
        }
        recorded += &blessed;
    }
    for info in codes().iter().filter(|info| info.code.starts_with("E03") && info.code != "E0305") {
        assert!(recorded.contains(&format!("error[{}]", info.code)), "{} has no case", info.code);
    }
}

#[test]
fn two_rules_with_one_id_show_both_places() {
    let rule = |id: &str| format!("---\nname = \"x\"\nid = \"{id}\"\n---\nany where true\n");
    let files = [("a.eql", rule("one")), ("b.eql", rule("two")), ("c.eql", rule("one"))];
    let set = load_all(files.map(|(path, text)| (path.to_string(), text)));
    assert_eq!(set.rules.len(), 2);
    assert_eq!(set.failed(), 1);
    let (source, diagnostics) = &set.reported[0];
    let shown = render(diagnostics, source, false);
    assert!(
        shown.contains("E0305") && shown.contains("c.eql:3:6") && shown.contains("`a.eql`, line 3, column 6"),
        "{shown}"
    );
}

#[test]
fn any_file_is_survived() {
    for text in [
        "",
        "---",
        "---\n---",
        "---\r\n---\r\n",
        "\u{feff}",
        "[rule]",
        "rule = 1",
        "= = =",
        "---\n[[[\n---\nany",
        "rule = {id = 1, query = []}",
    ] {
        for path in ["x.eql", "x.toml", "", ".eql"] {
            let file = load_file(path, text);
            let _ = render(&file.diagnostics, &file.source, false);
        }
    }
}
