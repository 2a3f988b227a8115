//! Whatever a rule, a rule file, a schema or a document looks like, it ends in a result or in an error.
//!
//! Hostile texts for the parser alone lie in `eqlc/tests/diagnostics.rs`. Here are those that reach the stages behind it:
//! types, lowering, verifier, backends and runtimes, and the readers of files and documents. No time is measured; what
//! gets out of hand would not end, or end the process for want of stack or memory.

use std::io::Cursor;

use eqlc::compile::{CompileOptions, PackOptions, build_pack, compile_query, compile_rules};
use eqlc::diagnostics::{SourceFile, render};
use eqlc::format::format_source;
use eqlc::rules::{Loaded, load_all, load_file};
use eqlc::syntax::Dialect;
use kestrel_conformance::RUNTIMES;
use kestrel_conformance::runner::{numbers, run_on};
use kestrel_engine::input::{Input, InputOptions, Item};
use kestrel_engine::runtime::RuntimeKind;
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::event_json::Decoder;
use kestrel_ir::pack::Pack;
use kestrel_ir::regex;
use kestrel_schema::{EventFields, FieldType, Schema};

const MEGABYTE: usize = 1 << 20;

/// A process event whose name is `name`.
fn document(name: &str) -> Vec<u8> {
    format!("{{\"@timestamp\":1700000000000,\"event\":{{\"category\":\"process\"}},\"process\":{{\"name\":\"{name}\",\"pid\":7}}}}")
        .into_bytes()
}

/// The codes of the errors that a query ends in; empty when it compiles.
fn errors(query: &str) -> Vec<&'static str> {
    let (ir, diagnostics) = compile_query(query, &Schema::ecs(), Dialect::Endpoint);
    let _ = render(&diagnostics, &SourceFile::new("hostile", query), false);
    let errors: Vec<_> = diagnostics.iter().filter(|found| found.is_error()).map(|found| found.code).collect();
    assert_eq!(ir.is_none(), !errors.is_empty());
    errors
}

/// Whether a query finds events with these names, on every runtime of `kinds`.
fn finds(query: &str, kinds: &[RuntimeKind], names: &[(&str, bool)]) {
    let schema = Schema::ecs();
    let (ir, diagnostics) = compile_query(query, &schema, Dialect::Endpoint);
    let source = SourceFile::new("hostile", query);
    let ir = ir.unwrap_or_else(|| panic!("{}", render(&diagnostics, &source, false)));
    let documents: Vec<Vec<u8>> = names.iter().map(|(name, _)| document(name)).collect();
    let expected: Vec<Vec<i64>> =
        names.iter().enumerate().filter(|(_, (_, found))| *found).map(|(index, _)| vec![index as i64]).collect();
    for &kind in kinds {
        let found = run_on(kind, &ir, &schema, &documents).unwrap_or_else(|error| panic!("{}: {error:#}", kind.name()));
        assert_eq!(numbers(&found), expected, "{}", kind.name());
    }
}

#[test]
fn a_megabyte_of_one_thing_ends_in_errors() {
    for unit in ["(", "[", "not ", "a in (", "\"\"\"", "length("] {
        let query = format!("process where {}", unit.repeat((MEGABYTE - 20) / unit.len()));
        assert!(!errors(&query).is_empty(), "{unit}");
        assert!(format_source(&query, Dialect::Endpoint).is_err(), "{unit}");
        let text = format!("---\nid = \"hostile\"\n---\n{}", query.get(..MEGABYTE / 2).expect("ASCII"));
        let set = load_all([("hostile.eql".to_owned(), text)]);
        let compilation = compile_rules(set.rules, &CompileOptions::default());
        assert_eq!((compilation.built.len(), compilation.failed.len()), (0, 1), "{unit}");
    }
    assert_eq!(errors(&format!("process where {}", "a".repeat(MEGABYTE))), ["E0401"]);
}

#[test]
fn nesting_up_to_the_limit_passes_all_stages() {
    let shell = "process.name == \"sh\"";
    let deep = |open: &str, close: &str, levels: usize| {
        format!("process where {}{shell}{}", open.repeat(levels), close.repeat(levels))
    };
    for query in [
        deep("not ", "", 498),
        deep("(", ")", 498),
        deep("not (", ")", 240),
        deep("(process.pid == 1 or ", ")", 240),
        deep("(process.pid == 7 and ", ")", 240),
        format!("process where {shell} and process.pid{} > 0", " + 1".repeat(480)),
        format!("process where {shell} and {}process.pid != 0", "- ".repeat(480)),
        format!("process where {shell} and {}process.name{} != null", "concat(".repeat(240), ", \"a\")".repeat(240)),
    ] {
        finds(&query, &RUNTIMES, &[("sh", true), ("bash", false)]);
        format_source(&query, Dialect::Endpoint).expect("it parses");
    }
    assert_eq!(errors(&deep("not ", "", 10_000)), ["E0402"]);
    assert_eq!(errors(&deep("(", ")", 10_000)), ["E0402"]);
}

#[test]
fn long_lists_compile_or_are_refused() {
    let list = |count: usize, name: &dyn Fn(usize) -> String| -> String {
        (0..count).map(|index| format!("\"{}\"", name(index))).collect::<Vec<_>>().join(",")
    };
    let names = [("5000", true), ("99999", true), ("sh", false)];
    for operator in ["in~", ":"] {
        let query = format!("process where process.name {operator} ({})", list(100_000, &|index| index.to_string()));
        finds(&query, &[RuntimeKind::Interp, RuntimeKind::Wasm, RuntimeKind::Native], &names);
    }
    let names = [("sh5000", true), ("x19999", true), ("sh", false)];
    let query = format!("process where process.name : ({})", list(20_000, &|index| format!("*{index}")));
    finds(&query, &[RuntimeKind::Interp, RuntimeKind::Wasm, RuntimeKind::Native], &names);
    let query = format!("process where process.name in ({})", list(100_001, &|index| index.to_string()));
    assert_eq!(errors(&query), ["E0403"]);
    let query = format!("process where process.name in ({})", list(100_000, &|index| format!("program-{index}")));
    assert_eq!(errors(&query), ["E0401"]);
    let numbers = (0..100_000).map(|index| index.to_string()).collect::<Vec<_>>().join(",");
    let kinds = [RuntimeKind::Interp, RuntimeKind::Native];
    finds(&format!("process where process.pid in ({numbers})"), &kinds, &[("sh", true)]);
}

#[test]
fn long_conditions_compile() {
    let kinds = [RuntimeKind::Interp, RuntimeKind::Native];
    let tests: Vec<String> = (0..5_000).map(|index| format!("process.name == \"p{index}\"")).collect();
    finds(&format!("process where {}", tests.join(" or ")), &kinds, &[("p7", true), ("q", false)]);
    let tests: Vec<String> = (0..5_000).map(|index| format!("process.pid != {}", index + 8)).collect();
    finds(&format!("process where {}", tests.join(" and ")), &kinds, &[("q", true)]);
    let steps = "[process where process.pid == 1] ".repeat(20_000);
    assert_eq!(errors(&format!("sequence by process.pid {steps}")), ["E0417"]);
    let keys = vec!["process.pid"; 20_000].join(", ");
    assert!(errors(&format!("sequence by {keys} [any where true] [any where true]")).contains(&"E0417"));
    let pipes = "| head 1 ".repeat(20_000);
    assert_eq!(errors(&format!("process where true {pipes}")), ["E0417"]);
}

#[test]
fn a_long_string_goes_all_the_way() {
    let long = "x".repeat(MEGABYTE - 100);
    for (open, close) in [("\"\"\"", "\"\"\""), ("\"", "\"")] {
        let query = format!("process where process.name == {open}{long}{close}");
        finds(&query, &RUNTIMES, &[(long.as_str(), true), ("x", false)]);
    }
    finds("process where process.name : \"*x*xy\"", &RUNTIMES, &[(long.as_str(), false)]);
    assert_eq!(errors(&format!("process where process.name regex \"{long}\"")), ["E0211"]);
}

#[test]
fn a_pack_of_everything_large_reads_back() {
    let list = (0..50_000).map(|index| format!("\"{index}\"")).collect::<Vec<_>>().join(",");
    let rule = |number: usize| {
        (format!("rule{number}.eql"), format!("process where process.name in ({list}) and process.pid == {number}"))
    };
    let set = load_all((0..4).map(rule));
    let options = CompileOptions::default();
    let compilation = compile_rules(set.rules, &options);
    assert_eq!(compilation.built.len(), 4);
    let pack = build_pack(&compilation, &options.schema, PackOptions::default()).expect("it is within all limits");
    assert_eq!(Pack::read(pack.bytes()).expect("it was built by us").ir(), pack.ir());
}

#[test]
fn regex_bombs_end_in_an_error_or_a_fast_expression() {
    let text = "a".repeat(20_000);
    for pattern in [
        "((((a{1000}){1000}){1000}){1000})",
        "(a*)*(a*)*(a*)*b",
        "(a|a)*(a|aa)+b",
        "(.*.*.*.*.*)*b",
        "[^b]{1000}.{1000}",
        "(~(.*a.{40}b))+c",
        "~(.*a.{500}b)&~(.*a.{500}c)",
        "x(.{0,1000}&~(.{3,7}{11,13}))y",
        "(<0-999999999999999999>|a)*",
    ] {
        match regex::compile(pattern, true) {
            Ok(regex) => drop(regex.is_match(&text)),
            Err(error) => assert!(!error.message.is_empty()),
        }
    }
    for unit in ["(", "[", "~", "a&", "<1-2>", "(a*)*", "\\", "[^a]", "(~a)", ".*"] {
        let pattern = unit.repeat(regex::MAX_PATTERN / unit.len());
        if let Ok(regex) = regex::compile(&pattern, false) {
            regex.is_match(&text);
        }
        assert_eq!(regex::compile(&unit.repeat(MEGABYTE / unit.len()), false).expect_err("too long").offset, 0);
    }
}

#[test]
fn deep_toml_is_refused() {
    let deep = 20_000;
    for text in [
        format!("a = {}", "[".repeat(deep)),
        format!("a = {}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("a = {}", "{a=".repeat(deep)),
        format!("a = {}1{}", "{a=".repeat(deep), "}".repeat(deep)),
        format!("a{} = 1", ".a".repeat(deep)),
        format!("[a{}]", ".a".repeat(deep)),
        format!("[[a{}]]", ".a".repeat(deep)),
        format!("a = \"\"\"{}", "\\".repeat(deep)),
        "[[a]]\n".repeat(deep),
        "[rule]\n".repeat(deep),
    ] {
        assert!(Schema::from_toml(&text).is_err());
        for (path, text) in [
            ("hostile.toml", text.clone()),
            (
                "hostile.toml",
                format!("[rule]\ntype = \"eql\"\nrule_id = \"1\"\nname = \"n\"\nquery = \"any where true\"\n{text}"),
            ),
            ("hostile.eql", format!("---\n{text}\n---\nany where true\n")),
        ] {
            let file = load_file(path, &text);
            let _ = render(&file.diagnostics, &file.source, false);
            assert!(!matches!(file.loaded, Loaded::Failed) || !file.diagnostics.is_empty());
        }
    }
}

#[test]
fn deep_json_does_no_harm() {
    let mut table = FieldTable::new();
    table.intern("a", FieldType::Object);
    table.intern("a.a.a", FieldType::Keyword);
    let decoder = Decoder::new(&table, &EventFields::ecs());
    let mut event = Event::new();
    let levels = 200_000;
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]"), ("{\"b\":[", "]}"), ("{\"a.a\":", "}")] {
        let whole = format!("{}1{}", open.repeat(levels), close.repeat(levels));
        assert!(decoder.decode(open.repeat(levels).as_bytes(), &mut event).is_err(), "{open}");
        // What nobody asks for is passed over however deep it is.
        let unwanted = format!("{{\"@timestamp\":1,\"c\":{whole}}}");
        assert!(decoder.decode(unwanted.as_bytes(), &mut event).is_ok(), "{open}");
        let wanted = format!("{{\"@timestamp\":1,\"a\":{whole}}}");
        let _ = decoder.decode(wanted.as_bytes(), &mut event);
        for text in [whole.clone(), format!("[{whole}]"), format!("{whole}\n{{}}\n")] {
            let mut input = Input::from_reader("hostile", Cursor::new(text), InputOptions::default()).expect("text");
            while let Some(item) = input.next_item().expect("memory can be read") {
                if let Item::Document(document) = item {
                    let _ = decoder.decode(document.bytes, &mut event);
                }
            }
        }
    }
}

#[test]
fn long_lines_are_passed_over() {
    let options = InputOptions { max_document: 1 << 16 };
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(8 * MEGABYTE));
    for text in
        [format!("{{}}\n{long}\n{{}}\n"), format!("{{}}\n{long}"), format!("[{{}},{long},{{}}]"), format!("[{long}")]
    {
        let mut input = Input::from_reader("hostile", Cursor::new(text), options).expect("text");
        let mut told = 0;
        while let Some(item) = input.next_item().expect("memory can be read") {
            match item {
                Item::Document(document) => assert_eq!(document.bytes, b"{}"),
                Item::Invalid { .. } | Item::Damaged { .. } => told += 1,
            }
        }
        assert!((1..=2).contains(&told));
    }
}

#[test]
fn a_document_of_many_values_is_read() {
    let mut table = FieldTable::new();
    let args = table.intern("process.args", FieldType::Keyword);
    let decoder = Decoder::new(&table, &EventFields::ecs());
    let mut event = Event::new();
    let values = vec!["\"a\""; 200_000].join(",");
    let text = format!("{{\"@timestamp\":1700000000000,\"process\":{{\"args\":[{values}]}}}}");
    decoder.decode(text.as_bytes(), &mut event).expect("it is an event");
    assert_eq!(event.field(args).count(), 200_000);
    let keys = (0..100_000).map(|index| format!("\"k{index}\":{index}")).collect::<Vec<_>>().join(",");
    decoder.decode(format!("{{\"@timestamp\":1,{keys}}}").as_bytes(), &mut event).expect("it is an event");
}
