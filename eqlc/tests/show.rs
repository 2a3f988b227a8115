//! What `eqlc show` teaches: goldens of the stages that explain (`show/*.txt`, blessed with `BLESS=1`), and that what
//! they print is true: the IR parses back, the module's text names every rule and test, the guide shows what is printed.

use std::fmt::Write;
use std::path::Path;

use eqlc::compile::{CompileOptions, Stage, compile_query, compile_rules, show_passes, show_rule};
use eqlc::syntax::Dialect;
use kestrel_ir::model::{Atom, AtomId, Ir};
use kestrel_ir::text;
use kestrel_schema::Schema;

const SCHEMA: &str = r#"
name = "test"
[event]
category = "event.category"
timestamp = "time"
timestamp_format = "epoch_ms"
[fields]
"event.category" = "keyword"
"event.action" = "keyword"
time = "date"
name = "keyword"
parent = "keyword"
user = "keyword"
pid = "long"
stack = "object[]"
"stack.symbol" = "keyword"
"#;

fn schema() -> Schema {
    Schema::from_toml(SCHEMA).expect("the schema of the test is one")
}

/// Runs every case of a file: `## id`, then the query, then what is shown of it.
fn check(file: &str, show: impl Fn(&str, &str) -> Option<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/show").join(file);
    let golden = std::fs::read_to_string(&path).expect("the golden file is there");
    let mut fresh = String::new();
    for case in golden.split("## ").skip(1) {
        let (id, rest) = case.split_once('\n').expect("a case has an id");
        let query = rest.split("\n---\n").next().unwrap_or(rest).trim_end();
        let shown = show(id, query).unwrap_or_else(|| panic!("{file}, {id}: mistakes in the query"));
        let _ = write!(fresh, "## {id}\n{query}\n---\n{shown}\n");
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, fresh).expect("the golden file can be written");
    } else {
        assert_eq!(golden, fresh, "{file}; bless with BLESS=1");
    }
}

fn stage(stage: Stage) -> impl Fn(&str, &str) -> Option<String> {
    move |id, query| show_rule(stage, id, query, &schema(), Dialect::Endpoint).0
}

#[test]
fn the_ir_is_the_query_then_trees_then_tables() {
    check("ir.txt", stage(Stage::Ir));
}

#[test]
fn guards_say_who_uses_what_and_what_is_left_out() {
    check("guards.txt", stage(Stage::Guards));
}

#[test]
fn passes_show_what_each_changes() {
    check("passes.txt", |id, query| show_passes(id, query, &schema(), Dialect::Endpoint).0);
}

/// The rules that lie beside the workspace; none where they are not there.
fn rules() -> Vec<(String, String, Dialect)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/rules");
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return Vec::new();
    }
    let files = eqlc::rules::files::read(&[path]).expect("the rules can be read");
    let compilation = compile_rules(eqlc::rules::load_all(files).rules, &CompileOptions::default());
    compilation.built.into_iter().map(|rule| (rule.source.id, rule.source.query, rule.dialect)).collect()
}

fn ours() -> Vec<(String, String, Dialect)> {
    let query = "sequence by user [process where pid > 5 and name : (\"a\", \"b*\")] [any where parent == e0.name]";
    vec![("ours, \"quoted\"".to_owned(), query.replace("e0.name", "\"x\""), Dialect::Elastic)]
}

#[test]
fn the_shown_ir_parses_back_to_the_ir() {
    for (schema, rules) in [(schema(), ours()), (Schema::ecs(), rules())] {
        for (id, query, dialect) in rules {
            let shown = show_rule(Stage::Ir, &id, &query, &schema, dialect).0.expect("a rule without mistakes");
            let mut ir = compile_query(&query, &schema, dialect).0.expect("a rule without mistakes");
            ir.rules[0].id.clone_from(&id);
            assert_eq!(text::parse(&shown).as_ref(), Ok(&ir), "{id}\n{shown}");
        }
    }
}

/// Whether the host is asked for an atom: all but those that the module tests by itself.
fn is_asked(ir: &Ir, atom: &Atom) -> bool {
    match atom {
        Atom::Present { .. } | Atom::Boolean { .. } | Atom::IntegerOrder { .. } | Atom::FloatOrder { .. } => false,
        Atom::Integers { values, .. } => values.len() > 64,
        Atom::Strings { field, .. } => ir.layout.get(*field).is_some_and(|field| field.parent.is_none()),
        _ => false,
    }
}

#[test]
fn the_module_names_its_rules_and_its_tests() {
    for (schema, rules) in [(schema(), ours()), (Schema::ecs(), rules())] {
        // Every eighth: printing them all takes long.
        for (id, query, dialect) in rules.into_iter().step_by(8) {
            let shown = show_rule(Stage::Wasm, &id, &query, &schema, dialect).0.expect("a rule without mistakes");
            let (ir, _) = compile_query(&query, &schema, dialect);
            let ir = ir.expect("a rule without mistakes");
            for predicate in 0..ir.predicates.len() {
                let named = shown.contains(&format!("(func $predicate_{predicate}:"));
                assert!(named, "{id}: predicate {predicate} is not named\n{shown}");
            }
            // What only a join or a search asks is asked by the host itself.
            let has_search = ir.atoms.iter().any(|atom| matches!(atom, Atom::AnyObject { .. }));
            let has_others = has_search || ir.rules[0].steps().any(|step| step.joined.is_some());
            for (index, _) in ir.atoms.iter().enumerate().filter(|(_, atom)| is_asked(&ir, atom)) {
                let asked = shown.matches(&format!(" ;; a{index}: ")).count();
                let expression = text::atom_expression(&ir, AtomId(index as u32));
                assert!(asked > 0 || has_others, "{id}: {expression} is not asked\n{shown}");
            }
            let place = |function: &str| shown.find(&format!("\n  (func ${function}")).expect(function);
            assert!(place("predicate_") < place("evaluate"), "{id}: rules come first");
        }
    }
}

/// The guide shows the rule, then one block for each stage; a line `…` stands for lines that it leaves out.
#[test]
fn the_guide_shows_what_is_printed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/eqlc.md");
    let guide = std::fs::read_to_string(path).expect("the guide can be read");
    let section = guide.split("### `eqlc show").nth(1).and_then(|rest| rest.split("\n### ").next()).expect("a section");
    let blocks: Vec<&str> = section.split("```").skip(1).step_by(2).collect();
    let query = blocks.iter().find_map(|block| block.strip_prefix("eql\n")).expect("the rule");
    let mut shown_stages = Vec::new();
    for block in blocks.iter().filter_map(|block| block.strip_prefix("text\n$ eqlc show --stage ")) {
        let (command, output) = block.split_once('\n').expect("a command and its output");
        let name = command.split(' ').next().expect("a stage");
        let printed = match command.contains("--passes") {
            true => show_passes("shell", query, &Schema::ecs(), Dialect::Elastic).0,
            false => {
                let stage = name.parse().expect("a stage");
                show_rule(stage, "shell", query, &Schema::ecs(), Dialect::Elastic).0
            }
        };
        let printed = printed.expect("a rule without mistakes");
        let mut lines = printed.lines().map(str::trim);
        let mut left_out = false;
        for wanted in output.trim_end().lines().map(str::trim) {
            if wanted == "…" {
                left_out = true;
                continue;
            }
            let is_there = match std::mem::take(&mut left_out) {
                true => lines.any(|line| line == wanted),
                false => lines.next() == Some(wanted),
            };
            assert!(is_there, "{command}: not printed there:\n{wanted}\n\nbut\n{printed}");
        }
        shown_stages.push(command.replace(" shell.eql", ""));
    }
    assert_eq!(shown_stages, ["ir", "ir --passes", "guards", "wasm", "lua", "bpf"]);
}
