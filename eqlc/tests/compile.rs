//! What the compiler says of a query, what it makes of it, and what that answers. Cases are data: `tests/compile/*.txt`,
//! blessed with `BLESS=1`, and the table of answers below.

use std::fmt::Write;
use std::path::Path;

use eqlc::compile::{CompileOptions, PackOptions, Stage, build_pack, compile_query, compile_rules, show};
use eqlc::diagnostics::{SourceFile, codes, render};
use eqlc::syntax::Dialect;
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::event_json::Decoder;
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::interp::Interpreter;
use kestrel_ir::model::{Ir, RuleIndex, RuleKind};
use kestrel_ir::text;
use kestrel_schema::Schema;

const SCHEMA: &str = r#"
name = "test"
[event]
category = "kind"
timestamp = "time"
timestamp_format = "epoch_ms"
[fields]
kind = "keyword"
time = "date"
name = "keyword"
other = "keyword"
args = "keyword[]"
pid = "long"
size = "long"
ratio = "double"
flag = "boolean"
address = "ip"
version = "version"
"stack.symbol" = "keyword"
"stack.size" = "long"
stack = "object[]"
"#;

fn schema() -> Schema {
    Schema::from_toml(SCHEMA).expect("the schema of the test is one")
}

/// Runs every case of a file: `## name`, then the query, then what is made of it.
fn check(file: &str, make: impl Fn(&str, Dialect) -> String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile").join(file);
    let golden = std::fs::read_to_string(&path).expect("the golden file is there");
    let mut fresh = String::new();
    for case in golden.split("## ").skip(1) {
        let (name, rest) = case.split_once('\n').expect("a case has a name");
        let query = rest.split("\n---\n").next().unwrap_or(rest).trim_end();
        let dialect = if name.contains("(endpoint)") { Dialect::Endpoint } else { Dialect::Elastic };
        let dialect = if name.contains("(classic)") { Dialect::Classic } else { dialect };
        let _ = write!(fresh, "## {name}\n{query}\n---\n{}\n", make(query, dialect));
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, fresh).expect("the golden file can be written");
    } else {
        assert_eq!(golden, fresh, "{file}; bless with BLESS=1");
    }
}

#[test]
fn mistakes_are_told_all_at_once() {
    check("mistakes.txt", |query, dialect| {
        let (ir, diagnostics) = compile_query(query, &schema(), dialect);
        let shown = render(&diagnostics, &SourceFile::new("query", query), false);
        format!("{}{shown}", if ir.is_some() { "compiles\n" } else { "" })
    });
}

#[test]
fn queries_become_the_smallest_ir() {
    check("lowering.txt", |query, dialect| match compile_query(query, &schema(), dialect) {
        (Some(ir), _) => {
            let shared = format!("{} atoms, {} values\n", ir.atoms.len(), ir.values.len());
            text::print_rule(&ir, RuleIndex(0)) + &shared
        }
        (None, diagnostics) => render(&diagnostics, &SourceFile::new("query", query), false),
    });
}

#[test]
fn every_stage_of_a_query_can_be_shown() {
    let query = "process where process.name == \"bash\" and length(process.command_line) > 10";
    for stage in Stage::ALL {
        assert_eq!(stage.name().parse(), Ok(stage));
        let (shown, diagnostics) = show(stage, query, &Schema::ecs(), Dialect::Elastic);
        assert!(diagnostics.is_empty() && shown.is_some_and(|shown| !shown.is_empty()), "{stage}");
        let (shown, diagnostics) = show(stage, "process where process.nmae == 1", &Schema::ecs(), Dialect::Elastic);
        let early = matches!(stage, Stage::Tokens | Stage::Ast);
        assert_eq!((shown.is_some(), diagnostics.len()), (early, usize::from(stage != Stage::Tokens)), "{stage}");
    }
}

#[test]
fn packs_are_the_same_wherever_the_rules_lie() {
    let build = |folder: &str| {
        let files = [
            ("a.eql", "---\nname = \"A\"\nseverity = \"high\"\n---\nprocess where process.name == \"sh\""),
            ("deep/b.eql", "sequence by host.id [file where true] [network where destination.port == 22]"),
        ];
        let files = files.map(|(path, text)| (format!("{folder}/{path}"), text.to_owned()));
        let options = CompileOptions::default();
        let compilation = compile_rules(eqlc::rules::load_all(files).rules, &options);
        build_pack(&compilation, &options.schema, PackOptions::default()).expect("the rules make a pack")
    };
    let pack = build("/one/place");
    assert_eq!(pack.bytes(), build("other").bytes());
    let paths: Vec<&str> = pack.sources().iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["a.eql", "deep/b.eql"]);
    assert!(pack.module().is_some() && pack.predicates().is_some());
}

/// Whether a query of single events matches each of some events.
fn answers(ir: &Ir, schema: &Schema, events: &[&str]) -> Vec<bool> {
    let [rule] = ir.rules.as_slice() else { panic!("one rule") };
    let RuleKind::Event { predicate } = rule.kind else { panic!("a rule of single events") };
    let interpreter = Interpreter::new(ir).expect("its regular expressions compile");
    let mut table = FieldTable::new();
    FrameBuilder::wanted(&ir.layout, &mut table);
    let decoder = Decoder::new(&table, schema.event());
    let mut event = Event::new();
    let mut builder = FrameBuilder::new(&ir.layout, &table);
    let mut decide = |json: &&str| {
        decoder.decode(json.as_bytes(), &mut event).expect("an event");
        interpreter.predicate(predicate, builder.build(&event))
    };
    events.iter().map(&mut decide).collect()
}

/// The events that the answers are about: one with every field, one with many values, one with none.
const EVENTS: [&str; 3] = [
    r#"{"kind":"process","time":1700000000000,"name":"Bash","other":"bash","args":["-c"],"pid":42,"size":42,"ratio":0.5,
        "flag":true,"address":"10.1.2.3","version":"1.10.0","stack":[{"symbol":"a!x","size":1},{"symbol":"b!y","size":2}]}"#,
    r#"{"kind":["file","process"],"time":1700000000000,"name":["sh","dash"],"args":["a","b"],"pid":[1,2],"size":2,
        "ratio":[1.0,2.5],"flag":[true,false],"address":["::1","192.168.0.1"],"version":"2.0","stack":{"symbol":"b!y"}}"#,
    r#"{"kind":"process","time":1700000000000}"#,
];

#[test]
fn queries_answer_as_the_language_says() {
    use Dialect::{Elastic, Endpoint};
    let (yes, no) = (true, false);
    // Each: the query and what it says of the three events.
    let cases: &[(Dialect, &str, [bool; 3])] = &[
        (Elastic, r#"process where name == "Bash""#, [yes, no, no]),
        (Elastic, r#"process where name == "bash""#, [no, no, no]),
        (Elastic, r#"process where name != "Bash""#, [no, yes, yes]),
        (Elastic, r#"process where not name == "Bash""#, [no, yes, yes]),
        (Elastic, r#"process where name : "b*sh""#, [yes, no, no]),
        (Elastic, r#"process where name like "b*""#, [no, no, no]),
        (Elastic, r#"process where name like~ ("b*", "SH")"#, [yes, yes, no]),
        (Elastic, r#"process where not name in ("sh", "zsh")"#, [yes, no, yes]),
        (Elastic, r#"process where name not in~ ("BASH")"#, [no, yes, yes]),
        (Elastic, r#"process where name == "sh" and name == "dash""#, [no, yes, no]),
        (Elastic, r#"process where not (name == "sh" or name == "x")"#, [yes, no, yes]),
        (Elastic, r#"process where name regex "[Bs].*""#, [yes, yes, no]),
        (Elastic, r#"process where name == null"#, [no, no, yes]),
        (Elastic, r#"process where name != null"#, [yes, yes, no]),
        (Elastic, r#"process where null == null"#, [yes, yes, yes]),
        (Elastic, r#"process where not null"#, [no, no, no]),
        (Elastic, r#"process where null or name == "Bash""#, [yes, no, no]),
        (Elastic, r#"process where not (null and name == "Bash")"#, [no, yes, yes]),
        (Elastic, r#"process where ?unknown == ?nothing"#, [yes, yes, yes]),
        (Elastic, r#"process where ?unknown == "x""#, [no, no, no]),
        (Elastic, r#"process where not ?unknown == "x""#, [yes, yes, yes]),
        (Elastic, r#"process where not ?unknown : "x""#, [no, no, no]),
        (Elastic, r#"process where ?name == "Bash""#, [yes, no, no]),
        (Elastic, r#"process where pid > 41"#, [yes, no, no]),
        (Elastic, r#"process where 41 < pid"#, [yes, no, no]),
        (Elastic, r#"process where not pid > 41"#, [no, yes, yes]),
        (Elastic, r#"process where pid == 42.0"#, [yes, no, no]),
        (Elastic, r#"process where pid >= 1.5"#, [yes, yes, no]),
        (Elastic, r#"process where pid in (1, 42.0)"#, [yes, yes, no]),
        (Elastic, r#"process where ratio in (0.5, 1)"#, [yes, yes, no]),
        (Elastic, r#"process where -pid + 100 == 58"#, [yes, no, no]),
        (Elastic, r#"process where pid % 2 == 0"#, [yes, yes, no]),
        (Elastic, r#"process where add(pid, 1) == 43"#, [yes, no, no]),
        (Elastic, r#"process where flag"#, [yes, yes, no]),
        (Elastic, r#"process where not flag"#, [no, no, yes]),
        (Elastic, r#"process where flag == false"#, [no, yes, no]),
        (Elastic, r#"process where address == "10.1.2.3""#, [yes, no, no]),
        (Elastic, r#"process where address in ("::1", "10.1.2.3")"#, [yes, yes, no]),
        (Elastic, r#"process where cidrMatch(address, "10.0.0.0/8", "192.168.1.1/16")"#, [yes, yes, no]),
        (Elastic, r#"process where cidrMatch(address, "10.0.0.0/8") == true"#, [yes, no, no]),
        (Elastic, r#"process where cidrMatch(address, "10.0.0.0/8") == false"#, [no, yes, no]),
        (Elastic, r#"process where version > "1.9" and version < "2.0""#, [yes, no, no]),
        (Elastic, r#"process where version in ("1.10", "3")"#, [yes, no, no]),
        (Elastic, r#"process where time >= "2023-11-14T22:13:20Z""#, [yes, yes, yes]),
        (Elastic, r#"process where time == 1700000000000"#, [yes, yes, yes]),
        (Elastic, r#"process where length(name) == 4"#, [yes, yes, no]),
        (Elastic, r#"process where not (length(name) > 0)"#, [no, no, yes]),
        (Elastic, r#"process where startsWith(name, "B")"#, [yes, no, no]),
        (Elastic, r#"process where startsWith~(name, "b")"#, [yes, no, no]),
        (Elastic, r#"process where startsWith(name, "")"#, [yes, yes, no]),
        (Elastic, r#"process where endsWith(name, "sh")"#, [yes, yes, no]),
        (Elastic, r#"process where stringContains(name, "")"#, [no, no, no]),
        (Elastic, r#"process where startsWith("Bash!", name)"#, [yes, no, no]),
        (Elastic, r#"process where concat(name, other) == null"#, [no, yes, yes]),
        (Elastic, r#"process where indexOf(name, "sh") != null"#, [yes, yes, no]),
        (Elastic, r#"process where string(pid) : "4?""#, [yes, no, no]),
        (Elastic, r#"process where string(pid) in ("42", "2")"#, [yes, yes, no]),
        (Elastic, r#"file where true"#, [no, yes, no]),
        (Elastic, r#"any where false"#, [no, no, no]),
        (Endpoint, r#"process where pid == size"#, [yes, yes, no]),
        (Endpoint, r#"process where pid != size"#, [no, no, yes]),
        (Endpoint, r#"process where pid == "42""#, [yes, no, no]),
        (Endpoint, r#"process where name : (42, "bash")"#, [yes, no, no]),
        (Endpoint, r#"process where arrayContains(args, "B")"#, [no, yes, no]),
        (Endpoint, r#"process where arrayCount(args) > 1"#, [no, yes, no]),
        (Endpoint, r#"process where wildcard(name, "b*", "d*")"#, [yes, yes, no]),
        (Endpoint, r#"process where match(name, "b[a-z]+")"#, [yes, no, no]),
        (Endpoint, r#"process where _arraysearch(stack, $s, $s.symbol : "b!*" and $s.size == 2)"#, [yes, no, no]),
        (Endpoint, r#"process where not _arraysearch(stack, $s, $s.symbol : "a!*")"#, [no, yes, yes]),
        (Endpoint, r#"process where _arraysearch(stack, $s, not $s.size == 1)"#, [yes, yes, no]),
        (Endpoint, r#"process where _arraysearch(stack, $s, $s.size == null and pid != null)"#, [no, yes, no]),
        (Endpoint, r#"process where _arraysearch(stack, $s, true)"#, [yes, yes, no]),
        (Endpoint, r#"process where _arraysearch(args, $a, $a == "a")"#, [no, yes, no]),
        (Endpoint, r#"process where _arraysearch(args, $a, $a != "a")"#, [yes, yes, no]),
        (Endpoint, r#"process where _arraysearch(args, $a, pid == 1 or not $a : "?")"#, [yes, yes, no]),
        (Endpoint, r#"process where _arraysearch(args, $a, name == null)"#, [no, no, no]),
    ];
    let schema = schema();
    for (dialect, query, expected) in cases {
        let (ir, diagnostics) = compile_query(query, &schema, *dialect);
        let shown = render(&diagnostics, &SourceFile::new("query", *query), false);
        let Some(ir) = ir else { panic!("{query}\n{shown}") };
        assert_eq!(answers(&ir, &schema, &EVENTS), expected, "{query}\n{}", text::print_rule(&ir, RuleIndex(0)));
    }
}

/// The fenced blocks of a page: the mistake and its fix.
fn examples(page: &str) -> Vec<&str> {
    page.split("```eql\n").skip(1).filter_map(|block| block.split("\n```").next()).collect()
}

#[test]
fn pages_show_the_mistake_and_a_fix() {
    let ours =
        |code: &str| code.starts_with("E02") || code.starts_with("W05") || (code.starts_with("E04") && code >= "E0410");
    let schema = Schema::ecs();
    for info in codes().into_iter().filter(|info| ours(info.code)) {
        let found: Vec<Vec<&str>> = examples(info.page)
            .into_iter()
            .map(|query| {
                let endpoint = ["_arraysearch", "$", " as e", "e0.", "arrayCount", "[0]", "of ["]
                    .iter()
                    .any(|word| query.contains(word));
                let classic = ["| unique", "join by"].iter().any(|word| query.contains(word));
                let dialect = match (endpoint, classic) {
                    (_, true) => Dialect::Classic,
                    (true, _) => Dialect::Endpoint,
                    _ => Dialect::Elastic,
                };
                let rule = eqlc::rules::load_all([("rule.eql".to_owned(), query.to_owned())]).rules;
                let options = CompileOptions { schema: schema.clone(), dialect: Some(dialect) };
                let compilation = compile_rules(rule, &options);
                let reports: Vec<&str> = compilation
                    .reports()
                    .flat_map(|(_, diagnostics)| diagnostics.iter().map(|found| found.code))
                    .collect();
                reports
            })
            .collect();
        assert!(info.page.starts_with(&format!("# {}: {}\n", info.code, info.title)), "{}", info.code);
        match found.as_slice() {
            // About a schema, about queries over files, and about the compiler itself.
            [] => assert!(
                ["E0410", "E0411", "E0418"].contains(&info.code),
                "{}: every other page has an example",
                info.code
            ),
            [mistake, rest @ ..] => {
                assert_eq!(mistake.as_slice(), [info.code], "{}", info.page);
                // A page may say in words what to change.
                let in_words = info.page.contains("the same, with");
                assert!(in_words || rest.iter().all(Vec::is_empty), "{}: {rest:?}", info.code);
            }
        }
    }
}

#[test]
fn equal_tests_are_shared_across_rules() {
    let files = [
        ("a.eql", "process where process.name : \"bash\" and process.args : \"-c\""),
        ("b.eql", "process where process.args : \"-C\" and not process.name : \"BASH\""),
        ("c.eql", "---\nenabled = false\n---\nprocess where true"),
        ("d.eql", "process where process.name = \"x\""),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), text.to_owned()));
    let compile = || {
        let rules = eqlc::rules::load_all(files.clone()).rules;
        compile_rules(rules, &CompileOptions::default())
    };
    let compilation = compile();
    let ir = compilation.verified.ir();
    // The category and the two tests.
    assert_eq!((ir.rules.len(), ir.atoms.len(), ir.predicates.len()), (2, 3, 2));
    assert_eq!((compilation.failed.len(), compilation.disabled.len()), (1, 1));
    assert_eq!(text::print(ir), text::print(compile().verified.ir()), "the same rules give the same IR");
}

#[test]
fn deep_queries_compile_or_are_refused_but_never_crash() {
    let nested = |depth: usize, open: &str, inner: &str, close: &str| {
        format!("any where {}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    let alternating = |depth: usize| {
        let open: String =
            (0..depth).map(|level| if level % 2 == 0 { "name == \"a\" and (" } else { "pid == 1 or (" }).collect();
        format!("any where {open}flag{}", ")".repeat(depth))
    };
    let cases = [
        nested(400, "not (", "name == \"a\"", ")"),
        nested(400, "string(", "pid", ")") + " == \"1\"",
        nested(400, "(", "name", ")") + " == \"a\"",
        format!("any where pid{} == 1", " + size".repeat(400)),
        format!("any where {}pid == 1", "-".repeat(400)),
        alternating(200),
        alternating(450),
        format!("any where name in ({}\"x\")", "\"y\", ".repeat(50_000)),
        format!("any where {}flag", "name == \"a\" or ".repeat(5_000)),
        format!("any where {}flag", "cidrMatch(address, ".repeat(300)),
    ];
    for query in cases {
        let (ir, diagnostics) = compile_query(&query, &schema(), Dialect::Endpoint);
        let start: String = query.chars().take(60).collect();
        assert!(ir.is_some() || !diagnostics.is_empty(), "{start}");
    }
}

/// What a rule with this predicate is told, its code given.
fn check_predicate(query: &str, table: &str, code: &[u8], expected: &[&str]) {
    let text = format!("---\n[predicate]\n{table}\n---\n{query}");
    let mut rules = eqlc::rules::load_all([("rule.eql".to_owned(), text)]).rules;
    rules[0].predicate.as_mut().expect("a predicate").code = Some(code.into());
    let compilation = compile_rules(rules, &CompileOptions::default());
    let messages = compilation.failed.iter().flat_map(|rule| &rule.diagnostics);
    let found: Vec<String> =
        messages.map(|found| format!("{}: {}: {}", found.code, found.message, found.labels[0].message)).collect();
    assert_eq!(found, expected, "{table}");
}

#[test]
fn predicates_are_checked_when_their_rule_is_compiled() {
    let lua = b"pred_abi = 1 function pred_eval() return kestrel.re_match(0, 'x') end";
    let (event, many) = ("process where true", "sequence [process where true] [network where true]");
    check_predicate(event, "source = 'a.lua'\ncapabilities = ['regex']", lua, &[]);
    check_predicate(
        event,
        "source = 'a.lua'",
        lua,
        &[
            "E0308: the predicate `a.lua` cannot be used: it uses `re_match`, which needs the capability `regex`, and the rule does not declare that",
        ],
    );
    check_predicate(
        many,
        "source = 'a.lua'\ncapabilities = ['regex']\nfields = ['process.nmae', 'process.parent', 'process.name']",
        lua,
        &[
            "E0225: a hand-written predicate decides about single events, and the query is about many: this predicate",
            "E0226: a predicate cannot read `process.nmae`: the schema does not know this field",
            "E0226: a predicate cannot read `process.parent`: the schema does not know this field",
        ],
    );
    check_predicate(
        event,
        "source = 'a.wasm'",
        b"\0asm\x01\0\0\0",
        &[
            "E0308: the predicate `a.wasm` cannot be used: it exports no memory of the name `memory`",
            "E0308: the predicate `a.wasm` cannot be used: it exports no function `pred_abi`",
            "E0308: the predicate `a.wasm` cannot be used: it exports no function `pred_eval`",
        ],
    );
}

#[test]
fn a_predicate_of_the_examples_travels_in_its_pack() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/handwritten");
    let mut set = eqlc::rules::files::load(&[folder]).expect("the examples can be read");
    let options = CompileOptions::default();
    let compilation = compile_rules(std::mem::take(&mut set.rules), &options);
    assert_eq!((compilation.built.len(), compilation.failed.len()), (3, 0));
    let build = || eqlc::compile::build_pack(&compilation, &options.schema, Default::default()).expect("a pack");
    let pack = build();
    assert_eq!(pack.bytes(), build().bytes());
    let names: Vec<&str> = pack.programs().iter().map(|file| file.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "kestrel-random-word-in-command/entropy.lua",
            "kestrel-lookalike-program/lookalike.wasm",
            "kestrel-third-failed-login/third_failure.wasm"
        ]
    );
    assert_eq!(pack.manifest().capabilities, ["alert", "captures", "event", "fields", "state"]);
}
