//! Rule files are formatted in place: the query alone changes, it means the same, its comments are kept, and formatting
//! again changes nothing.

use std::path::{Path, PathBuf};

use eqlc::compile::compile_query;
use eqlc::format::{FormattedFile, format_rule_file};
use eqlc::rules::{Loaded, RuleSource, load_file};
use eqlc::syntax::{parse, tokens};
use kestrel_ir::text;
use kestrel_schema::Schema;

fn rule(path: &str, file: &str) -> Option<RuleSource> {
    match load_file(path, file).loaded {
        Loaded::Rule(rule) => Some(*rule),
        _ => None,
    }
}

/// What stands before and behind the query's value, the quotes included.
fn around(file: &str) -> (&str, &str) {
    let table = toml::de::DeTable::parse(file).expect("the file is TOML");
    let rule = table.get_ref()["rule"].get_ref().as_table().expect("a table").get("query").expect("a query").span();
    let literal = &file[rule.clone()];
    let mark = ["'''", "\"\"\"", "'", "\""].into_iter().find(|mark| literal.starts_with(mark)).expect("it is quoted");
    (&file[..rule.start + mark.len()], &file[rule.end - mark.len()..])
}

/// Formats a file and checks all that is promised of it.
fn check(path: &str, file: &str) -> String {
    let before = rule(path, file).expect("the file holds a rule");
    let formatted = match format_rule_file(path, file, None).expect("the rule has no mistakes") {
        FormattedFile::Text(text) => text,
        other => panic!("{path}: {other:?}\n{file}"),
    };
    let again = format_rule_file(path, &formatted, None).expect("the rule has no mistakes");
    assert_eq!(again, FormattedFile::Text(formatted.clone()), "{path}: not stable");
    let after = rule(path, &formatted).expect("the file still holds a rule");
    if path.ends_with(".toml") {
        assert_eq!(around(file), around(&formatted), "{path}: changed around the query\n{formatted}");
    }
    let dialect = before.dialect_or(None);
    let comments =
        |query: &str| tokens(query).1.iter().map(|comment| comment.span.text(query).to_owned()).collect::<Vec<_>>();
    let plain =
        |query: &str| comments(query).iter().map(|text| text.split_whitespace().collect()).collect::<Vec<String>>();
    assert_eq!(plain(&before.query), plain(&after.query), "{path}: a comment was lost");
    assert!(parse(&after.query, dialect).diagnostics.is_empty(), "{path}\n{}", after.query);
    let ir = |query: &str| compile_query(query, &Schema::ecs(), dialect).0.map(|ir| text::print(&ir));
    assert_eq!(ir(&before.query), ir(&after.query), "{path}: the rule's IR changed");
    formatted
}

/// What stands between the quotes of a formatted file in one of the public forms.
fn tidied(literal: &str) -> String {
    let file =
        format!("# kept\n[rule]\n  id   = \"x\" # kept\nquery = {literal}   # kept\n\n[[actions]]\naction='alert'\n");
    let formatted = check("rule.toml", &file);
    let (before, behind) = around(&formatted);
    formatted[before.len()..formatted.len() - behind.len()].to_owned()
}

#[test]
fn each_quoting_style_is_kept() {
    for (literal, expected) in [
        ("'''\nany   where true'''", "\nany where true"),
        ("'''\n\n  any   where true\n\n'''", "\nany where true\n"),
        ("'''any   where true\n'''", "any where true\n"),
        ("'''any where   process.name==\"a\"'''", "any where process.name == \"a\""),
        ("'''\nany where process.name : \"\"\"a\\b\"\"\"\n'''", "\nany where process.name : \"\"\"a\\b\"\"\"\n"),
        ("\"\"\"\nany where  process.name == \"a\\\\b\"\n\"\"\"", "\nany where process.name == \"a\\\\b\"\n"),
        ("\"\"\"any where  process.name == \"a\\\"\"\"\"", "any where process.name == \"a\\\""),
        ("\"\"\"any \\\n   where  true\"\"\"", "any where true"),
        ("\"any where   process.name == \\\"a\\\"\"", "any where process.name == \\\"a\\\""),
        ("\"any where   true\\nand true\"", "any where true and true"),
        ("'any where   process.name == \"a\"'", "any where process.name == \"a\""),
        (
            "'sequence by process.pid with maxspan=1m [any   where true] [any where true] | head 1'",
            "sequence by process.pid with maxspan=1m [any where true] [any where true] | head 1",
        ),
        ("'any where   true // why'", "any where true // why"),
        ("'any where /* why */   true'", "any where /* why */ true"),
        ("'''\r\nany   where true\r\n  and process.pid == 1\r\n'''", "\r\nany where true and process.pid == 1\r\n"),
        ("'''\nany where true // why\n   // and why\n'''", "\nany where true // why\n// and why\n"),
    ] {
        assert_eq!(tidied(literal), expected, "{literal}");
    }
}

#[test]
fn what_is_in_form_is_left_byte_for_byte() {
    // Quotes and escapes of their author's are not touched as long as the query is in form.
    for literal in
        ["\"\"\"any where process.name == \\\"a\\\"\"\"\"", "\"any where \\u0074rue\"", "'''any where true'''"]
    {
        let file = format!("[rule]\nid = \"x\"\nquery = {literal}\n");
        assert_eq!(check("rule.toml", &file), file);
    }
}

#[test]
fn long_queries_of_one_line_stay_on_it() {
    let list: Vec<String> = (0..60).map(|number| format!("\"name{number}\"")).collect();
    let literal = format!("'process where process.name in ({})   and process.pid==1'", list.join(","));
    let written = tidied(&literal);
    assert!(!written.contains('\n') && written.ends_with("and process.pid == 1"), "{written}");
    let form = format!("'''\n{}\n'''", literal.trim_matches('\''));
    assert!(tidied(&form).lines().count() > 3);
}

#[test]
fn other_files_and_mistakes_are_left_alone() {
    for (path, file) in
        [("a.toml", "[rule]\nrule_id = \"x\"\ntype = \"query\"\nquery = '''a   b'''\n"), ("Cargo.toml", "[package]\n")]
    {
        assert_eq!(format_rule_file(path, file, None), Ok(FormattedFile::Skipped), "{path}");
    }
    let mistake = "[rule]\nid = \"x\"\nquery = '''any   where = 1'''\n";
    assert!(format_rule_file("a.toml", mistake, None).is_err());
}

/// The queries of the formatter's own cases, in every style that can hold them.
#[test]
fn own_samples_survive_in_every_style() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format/queries.txt"))
        .expect("the cases are there");
    let mut seen = 0;
    for case in format!("\n{text}").split("\n=== ").skip(1) {
        let (_, body) = case.split_once('\n').expect("a case has a title line");
        let query = body.split("\n---").next().expect("a case has a source").trim_end_matches('\n');
        if parse(query, eqlc::syntax::Dialect::Endpoint).diagnostics.is_empty() {
            let escaped = query.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
            tidied(&format!("\"{escaped}\""));
            tidied(&format!("\"\"\"\n{}\"\"\"", query.replace('\\', "\\\\").replace('"', "\\\"")));
            if !query.contains("'''") {
                tidied(&format!("'''\n{query}\n'''"));
            }
            if !query.contains(['\n', '\'']) {
                tidied(&format!("'{query}'"));
            }
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen} cases");
}

#[test]
fn rules_mean_the_same() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut seen = 0;
    for folder in ["rules", "../shared/data/rules"] {
        let folder: PathBuf = root.join(folder);
        if !folder.exists() {
            println!("skipped: {} is not there", folder.display());
            continue;
        }
        for (path, file) in eqlc::rules::files::read(&[folder]).expect("the rules can be read") {
            if rule(&path, &file).is_some() {
                check(&path, &file);
                seen += 1;
            }
        }
    }
    println!("{seen} rules");
}
