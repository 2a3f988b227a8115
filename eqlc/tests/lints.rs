//! Lints: what each says, what its fix makes of the rule, and what they are silent about. Cases lie in
//! `tests/lints/*.txt`: `=== name (dialect)`, the rule as an `.eql` file, and behind `---8<---` what is said; `BLESS=1`
//! writes them.

use std::fmt::Write as _;
use std::path::Path;

use eqlc::compile::{CompileOptions, compile_query, compile_rules};
use eqlc::diagnostics::{Diagnostic, apply_fixes, codes, render};
use eqlc::rules::load_all;
use eqlc::syntax::Dialect;
use kestrel_schema::Schema;

const MARK: &str = "\n---8<---";

fn lint(file: &str, dialect: Dialect) -> (String, Vec<Diagnostic>, String) {
    let options = CompileOptions { schema: Schema::ecs(), dialect: Some(dialect) };
    let compilation = compile_rules(load_all([("rule.eql".to_owned(), file.to_owned())]).rules, &options);
    let failed = compilation.failed.iter().map(|rule| (&rule.source, &rule.diagnostics));
    let built = compilation.built.iter().map(|rule| (&rule.source, &rule.warnings));
    let (source, diagnostics) = failed.chain(built).next().expect("the file holds a rule");
    (render(diagnostics, &source.source, false), diagnostics.clone(), source.query.clone())
}

fn outcome(file: &str, dialect: Dialect) -> String {
    let (mut shown, diagnostics, query) = lint(file, dialect);
    assert!(!eqlc::diagnostics::has_errors(&diagnostics), "{file}\n{shown}");
    if diagnostics.is_empty() {
        shown = "clean\n".to_owned();
    }
    if diagnostics.iter().any(|found| found.fix.is_some()) {
        let fixed = apply_fixes(&query, &diagnostics);
        let front = &file[..file.len() - query.len()];
        let (left, left_over, _) = lint(&format!("{front}{fixed}"), dialect);
        assert!(!eqlc::diagnostics::has_errors(&left_over), "{fixed}\n{left}");
        let _ = writeln!(shown, "fixed: {}", fixed.trim_end());
        let left: Vec<&str> = left_over.iter().map(|found| found.code).collect();
        if !left.is_empty() {
            let _ = writeln!(shown, "left: {}", left.join(" "));
        }
    }
    shown.lines().map(|line| line.trim_end().to_owned() + "\n").collect::<String>().trim_end().to_owned() + "\n"
}

#[test]
fn lints_say_what_is_recorded() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lints");
    let mut recorded = String::new();
    for entry in std::fs::read_dir(directory).expect("the cases are there") {
        let path = entry.expect("the case can be listed").path();
        let text = std::fs::read_to_string(&path).expect("the case file can be read");
        let mut blessed = String::new();
        for case in format!("\n{text}").split("\n=== ").skip(1) {
            let (title, body) = case.split_once('\n').expect("a case has a title line");
            let file = body.split(MARK).next().expect("a case has a rule").trim_end_matches('\n');
            let dialect = title.split_once('(').map_or("elastic", |(_, rest)| rest.trim_end_matches(')'));
            let outcome = outcome(file, dialect.parse().expect("the dialect is known"));
            let _ = write!(blessed, "=== {title}\n{file}{MARK}\n{outcome}\n");
        }
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &blessed).expect("the case file can be written");
        } else {
            assert_eq!(text, blessed, "{} differs; BLESS=1 blesses", path.display());
        }
        recorded += &blessed;
    }
    for info in codes().iter().filter(|info| info.code >= "W0509") {
        assert!(recorded.contains(&format!("warning[{}]", info.code)), "{} has no case", info.code);
    }
}

#[test]
fn a_query_over_a_file_may_have_neither_key_nor_time() {
    let (_, found) = compile_query("sequence [process where true] [file where true]", &Schema::ecs(), Dialect::Elastic);
    assert!(found.is_empty(), "{found:?}");
}

/// What the lints say of rules that many eyes have seen must be true. Each was looked at; a change of these numbers wants
/// another look.
#[test]
fn fixes_of_published_rules_leave_rules_that_compile() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/rules");
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return;
    }
    let options = CompileOptions::default();
    let compilation =
        compile_rules(load_all(eqlc::rules::files::read(&[path]).expect("they can be read")).rules, &options);
    let mut fixed = 0;
    for rule in &compilation.built {
        let silent = ["W0509", "W0510", "W0511", "W0515", "W0516"];
        let odd: Vec<_> = rule.warnings.iter().filter(|found| silent.contains(&found.code)).collect();
        assert!(odd.is_empty(), "{}: {odd:?}", rule.source.path);
        let fixes: Vec<Diagnostic> = rule.warnings.iter().filter(|found| found.fix.is_some()).cloned().collect();
        if fixes.is_empty() {
            continue;
        }
        let query = apply_fixes(&rule.source.query, &fixes);
        let (ir, found) = compile_query(&query, &options.schema, rule.dialect);
        assert!(ir.is_some(), "{}: {found:?}\n{query}", rule.source.path);
        fixed += fixes.len();
    }
    println!("{fixed} fixes applied");
}
