//! The rules and suites that lie beside the workspace compile, but for what this version does not have. Where they are
//! not there, the tests say so and pass.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eqlc::compile::{CompileOptions, Lowered, Parsed, Typed, compile_query, compile_rules};
use eqlc::diagnostics::{SourceFile, render};
use eqlc::syntax::Dialect;
use eqlc::types::CheckOptions;
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::event_json::Decoder;
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::guards;
use kestrel_ir::interp::Interpreter;
use kestrel_ir::model::{Atom, AtomId, Ir, PredicateId, Rule, RuleKind, StringMatch};
use kestrel_ir::passes::Sizes;
use kestrel_schema::{FieldType, Schema};

fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(path);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

fn json(path: PathBuf) -> serde_json::Value {
    let text = std::fs::read_to_string(path).expect("the suite can be read");
    serde_json::from_str(&text).expect("the suite is JSON")
}

/// Types the fields that the schema does not list by the first value that the events have for them.
fn typed_from_data(mut schema: Schema, events: &serde_json::Value) -> Schema {
    for event in events.as_array().expect("a list of events") {
        for (name, value) in event.as_object().expect("an event is an object") {
            if schema.lookup(name).is_some() {
                continue;
            }
            let value = value.as_array().and_then(|values| values.first()).unwrap_or(value);
            let field_type = match value {
                serde_json::Value::Number(number) if number.is_i64() => FieldType::Long,
                serde_json::Value::Number(_) => FieldType::Double,
                serde_json::Value::Bool(_) => FieldType::Boolean,
                serde_json::Value::String(_) => FieldType::Keyword,
                _ => continue,
            };
            schema.define(name, field_type);
        }
    }
    schema
}

#[test]
fn suite_queries_compile() {
    let Some(folder) = shared("suites/elastic-core") else { return };
    let text = std::fs::read_to_string(folder.join("schema.toml")).expect("the schema can be read");
    let schema = Schema::from_toml(&text).expect("the schema is one");
    let schema = typed_from_data(schema, &json(folder.join("events.json")));
    let mut wrong = String::new();
    let suite = json(folder.join("queries.json"));
    let queries = suite["queries"].as_array().expect("it has queries");
    for query in queries {
        let text = query["query"].as_str().expect("each has a text");
        let (ir, diagnostics) = compile_query(text, &schema, Dialect::Elastic);
        if ir.is_none() {
            wrong += &render(&diagnostics, &SourceFile::new(query["name"].as_str().unwrap_or("?"), text), false);
        }
    }
    println!("{} queries", queries.len());
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn rules_compile() {
    let Some(path) = shared("rules") else { return };
    let files = eqlc::rules::files::read(&[path]).expect("the rules can be read");
    let set = eqlc::rules::load_all(files);
    let compilation = compile_rules(set.rules, &CompileOptions::default());
    let mut shown = String::new();
    let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
    for (source, diagnostics) in compilation.reports() {
        shown += &render(diagnostics, source, false);
        diagnostics.iter().for_each(|diagnostic| *codes.entry(diagnostic.code).or_default() += 1);
    }
    let of = |folder: &str, paths: Vec<&String>| paths.into_iter().filter(|path| path.contains(folder)).count();
    for folder in
        ["detection-rules/rules/linux", "cross-platform", "endpoint-rules/behavior/rules/linux", "macos", "windows"]
    {
        let built = of(folder, compilation.built.iter().map(|rule| &rule.source.path).collect());
        let failed = of(folder, compilation.failed.iter().map(|rule| &rule.source.path).collect());
        println!("{folder}: {built} built, {failed} failed");
    }
    let ir = compilation.verified.ir();
    println!(
        "{} built, {} failed, {} disabled; {} fields, {} atoms, {} values, {} nodes, {} predicates; {codes:?}",
        compilation.built.len(),
        compilation.failed.len(),
        compilation.disabled.len(),
        ir.layout.len(),
        ir.atoms.len(),
        ir.values.len(),
        ir.nodes.len(),
        ir.predicates.len(),
    );
    let unexpected: Vec<&str> = compilation.failed.iter().map(|rule| rule.source.path.as_str()).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}\n{shown}");
}

/// How many predicates dispatch finds by an equality, and how many (predicate, kind) pairs the kernel lets through.
fn guarded(ir: &Ir) -> (usize, usize) {
    let equality = |atom: &AtomId| match ir.atom(*atom) {
        Some(Atom::Strings { field, matching: StringMatch::Exact, .. } | Atom::Integers { field, .. }) => {
            !ir.layout.name(*field).starts_with("event.") && ir.layout.name(*field) != "host.os.type"
        }
        _ => false,
    };
    let rules: Vec<PredicateId> = ir.rules.iter().flat_map(|rule| rule.predicates()).collect();
    let by_predicate = guards::predicate_kinds(ir, kestrel_schema::event_kinds());
    let found = |id: &&PredicateId| guards::analyze(ir, **id).clauses.iter().any(|c| c.atoms.iter().all(equality));
    let kinds = rules.iter().map(|id| by_predicate[id.index()].len()).sum();
    (rules.iter().filter(found).count(), kinds)
}

#[test]
fn passes_make_rules_smaller_and_guards_no_worse() {
    let Some(path) = shared("rules") else { return };
    let files = eqlc::rules::files::read(&[path]).expect("the rules can be read");
    let schema = Schema::ecs();
    let typed: Vec<(String, Typed)> = eqlc::rules::load_all(files)
        .rules
        .into_iter()
        .filter_map(|rule| {
            let options = CheckOptions { schema: &schema, dialect: rule.dialect_or(None), live: true };
            let (typed, _) = Parsed::new(&rule.query, options.dialect).check(options);
            typed.map(|typed| (rule.id, typed))
        })
        .collect();
    let lowered = Lowered::new(&schema, typed.iter().map(|(id, typed)| (id.as_str(), typed)));
    let before = lowered.ir().clone();
    println!("{} rules\n{:12}{}", typed.len(), "lowered", Sizes::of(&before));
    let optimised = lowered.optimise_watched(|pass, _, after| println!("{:12}{}", pass.name(), Sizes::of(after)));
    let after = optimised.verify().expect("the passes give a valid IR").into_ir();
    let (sizes, smaller) = (Sizes::of(&before), Sizes::of(&after));
    assert!(smaller.operands <= sizes.operands && smaller.predicates <= sizes.predicates);
    let (old, new) = (guarded(&before), guarded(&after));
    println!("found by an equality, and kinds let through: {old:?} before, {new:?} after");
    assert!(new.0 >= old.0 && new.1 <= old.1, "{old:?} before, {new:?} after");
}

/// Runs the suite's queries over single events on the interpreter. Sequences are the engine's to answer.
#[test]
fn suite_event_queries_answer_as_expected() {
    let Some(folder) = shared("suites/elastic-core") else { return };
    let text = std::fs::read_to_string(folder.join("schema.toml")).expect("the schema can be read");
    let events = json(folder.join("events.json"));
    let schema = typed_from_data(Schema::from_toml(&text).expect("the schema is one"), &events);
    let suite = json(folder.join("queries.json"));
    let mut asked = 0;
    for query in suite["queries"].as_array().expect("it has queries") {
        let text = query["query"].as_str().expect("each has a text");
        let (Some(ir), _) = compile_query(text, &schema, Dialect::Elastic) else { continue };
        let [Rule { kind: RuleKind::Event { predicate }, pipes, .. }] = ir.rules.as_slice() else { continue };
        if !pipes.is_empty() {
            continue;
        }
        let interpreter = Interpreter::new(&ir).expect("its regular expressions compile");
        let mut table = FieldTable::new();
        FrameBuilder::wanted(&ir.layout, &mut table);
        let decoder = Decoder::new(&table, schema.event());
        let mut builder = FrameBuilder::new(&ir.layout, &table);
        let mut event = Event::new();
        let mut found = Vec::new();
        for document in events.as_array().expect("a list of events") {
            decoder.decode(document.to_string().as_bytes(), &mut event).expect("an event");
            if interpreter.predicate(*predicate, builder.build(&event)) {
                found.push(document["serial_event_id"].clone());
            }
        }
        assert_eq!(Some(&found), query["expected_event_ids"].as_array(), "{text}");
        asked += 1;
    }
    println!("{asked} queries over single events");
}
