//! Header, sources, built library, Python example and documentation say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::mem::{offset_of, size_of};
use std::process::Command;

use kestrel::{KESTREL_API_VERSION, KESTREL_COMPILE_KEEP_GOING, KestrelCounters, KestrelRuleFile, KestrelStatus};

use crate::artefact::{crate_folder, is_there, libraries, read, run, run_cleanly, scratch, text};
use crate::examples::C_FLAGS;

const HEADER: &str = "include/kestrel.h";

/// A function's parameter types and, last, its result, in Rust's words, all pointers written `*`.
type Signature = Vec<String>;

/// The text without comments and preprocessor lines, with single spaces.
fn plain_c(header: &str) -> String {
    let mut plain = String::new();
    let mut rest = header;
    while let Some((before, comment)) = rest.split_once("/*") {
        plain.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, behind)| behind);
    }
    plain.push_str(rest);
    let lines = plain.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

fn functions_of_the_header() -> BTreeMap<String, Signature> {
    let header = plain_c(&read(HEADER));
    let statements = header.split([';', '{', '}']).map(str::trim).filter(|text| !text.starts_with("typedef"));
    statements
        .filter_map(|statement| {
            let (head, parameters) = statement.strip_suffix(')')?.split_once('(')?;
            let start = head.rfind("kestrel_")?;
            let (result, name) = (head.get(..start)?, head.get(start..)?);
            let parameters = parameters.split(',').map(str::trim).filter(|text| *text != "void");
            // The name of a parameter is what stands behind the last star or space.
            let types = parameters.map(|text| &text[..text.rfind(['*', ' ']).map_or(0, |place| place + 1)]);
            Some((name.to_owned(), types.chain([result]).map(type_of_c).collect()))
        })
        .collect()
}

fn type_of_c(text: &str) -> String {
    let text = text.replace("const ", "");
    let stars = text.matches('*').count();
    let name = match text.replace('*', "").trim() {
        "void" if stars == 0 => "()".to_owned(),
        "void" => "c_void".to_owned(),
        "char" => "c_char".to_owned(),
        "size_t" => "usize".to_owned(),
        "uint8_t" => "u8".to_owned(),
        "uint32_t" => "u32".to_owned(),
        "kestrel_alert_callback" => "Option<KestrelAlertCallback>".to_owned(),
        own => own.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect(),
    };
    "*".repeat(stars) + &name
}

fn functions_of_the_sources() -> BTreeMap<String, Signature> {
    let mut functions = BTreeMap::new();
    for file in ["src/compile.rs", "src/engine.rs", "src/pack.rs", "src/version.rs"] {
        let source = read(file);
        for exported in source.split("#[unsafe(no_mangle)]").skip(1) {
            let (_, exported) = exported.split_once("extern \"C\" fn ").expect("what is exported is a C function");
            let (head, _) = exported.split_once('{').expect("a function has a body");
            let (name, head) = head.split_once('(').expect("a function has parameters");
            let (parameters, result) = head.rsplit_once(')').expect("parameters end");
            let result = result.trim().strip_prefix("->").unwrap_or("()");
            let types = parameters.split(',').filter_map(|text| Some(text.split_once(':')?.1));
            let signature = types
                .chain([result])
                .map(|text| text.replace("*const", "*").replace("*mut", "*").split_whitespace().collect::<String>());
            functions.insert(name.to_owned(), signature.collect());
        }
    }
    functions
}

#[test]
fn header_declares_the_functions_of_the_sources() {
    let functions = functions_of_the_header();
    assert!(functions.len() >= 18, "{functions:?}");
    assert_eq!(functions, functions_of_the_sources());
}

#[test]
fn library_exports_the_functions_of_the_header_and_nothing_else_of_that_name() {
    if !is_there("nm") {
        return;
    }
    let mut command = Command::new("nm");
    let output = run(command.args(["--dynamic", "--defined-only", "--format=posix"]).arg(&libraries().shared));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let listing = text(&output.stdout);
    let symbols = listing.lines().filter_map(|line| line.split_whitespace().next());
    let ours: BTreeSet<&str> = symbols.clone().filter(|name| name.starts_with("kestrel_")).collect();
    let functions = functions_of_the_header();
    assert_eq!(ours, functions.keys().map(String::as_str).collect());
    // The C libraries inside must not get in the way of the program's own.
    let foreign: Vec<&str> = symbols.filter(|name| name.starts_with("lua") || name.starts_with("ZSTD")).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

#[test]
fn header_and_library_agree_on_numbers_and_layout() {
    if !is_there("cc") {
        return;
    }
    let mut program = "#include <kestrel.h>\n".to_owned();
    let mut same = |what: &str, number: usize| {
        writeln!(program, "_Static_assert({what} == {number}, \"{what} is {number}\");").expect("a text takes all");
    };
    KestrelStatus::ALL.iter().for_each(|status| same(status.c_name(), *status as usize));
    same("sizeof(kestrel_status)", size_of::<KestrelStatus>());
    same("KESTREL_API_VERSION", KESTREL_API_VERSION as usize);
    same("KESTREL_COMPILE_KEEP_GOING", KESTREL_COMPILE_KEEP_GOING as usize);
    same("sizeof(kestrel_rule_file)", size_of::<KestrelRuleFile>());
    same("offsetof(kestrel_rule_file, text)", offset_of!(KestrelRuleFile, text));
    same("offsetof(kestrel_rule_file, text_length)", offset_of!(KestrelRuleFile, text_length));
    same("sizeof(kestrel_counters)", size_of::<KestrelCounters>());
    same("offsetof(kestrel_counters, invalid_documents)", offset_of!(KestrelCounters, invalid_documents));
    same("offsetof(kestrel_counters, alerts)", offset_of!(KestrelCounters, alerts));
    same("offsetof(kestrel_counters, late_events)", offset_of!(KestrelCounters, late_events));
    same("offsetof(kestrel_counters, runtime_failures)", offset_of!(KestrelCounters, runtime_failures));
    same("offsetof(kestrel_counters, evicted)", offset_of!(KestrelCounters, evicted));
    same("offsetof(kestrel_counters, live_keys)", offset_of!(KestrelCounters, live_keys));
    let source = scratch("agreement.c");
    std::fs::write(&source, program).expect("the folder for tests can be written");
    let mut command = Command::new("cc");
    command.args(C_FLAGS).arg("-fsyntax-only").arg("-I").arg(crate_folder().join("include"));
    run_cleanly(command.arg(&source));
}

#[test]
fn header_is_cpp_too() {
    if !is_there("c++") {
        return;
    }
    let source = scratch("agreement.cpp");
    let program = "#include <kestrel.h>\nint main() { return kestrel_api_version() != KESTREL_API_VERSION; }\n";
    std::fs::write(&source, program).expect("the folder for tests can be written");
    let mut command = Command::new("c++");
    command.args(["-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]);
    run_cleanly(command.arg("-I").arg(crate_folder().join("include")).arg(&source));
}

#[test]
fn header_numbers_every_status() {
    let header = plain_c(&read(HEADER));
    let (_, body) = header.split_once("typedef enum kestrel_status {").expect("the header has the statuses");
    let (body, _) = body.split_once('}').expect("an enumeration ends");
    let ours = KestrelStatus::ALL.map(|status| format!("{} = {}", status.c_name(), status as i32));
    assert_eq!(body.split(',').map(str::trim).collect::<Vec<_>>(), ours);
}

#[test]
fn python_example_declares_every_function() {
    let example = read("examples/python/alerts.py");
    for name in functions_of_the_header().keys() {
        assert!(example.contains(&format!("\"{name}\": (")), "{name} is missing");
    }
}

#[test]
fn guide_shows_the_c_example_and_names_every_function_and_status() {
    let guide = read("../docs/c-api.md");
    assert!(guide.contains(&format!("```c\n{}```", read("examples/c/alerts.c"))), "the example in the guide is stale");
    for name in functions_of_the_header().keys() {
        assert!(guide.contains(&format!("`{name}`")), "{name} is missing");
    }
    for status in KestrelStatus::ALL {
        assert!(guide.contains(&format!("`{}`", status.c_name())), "{} is missing", status.c_name());
    }
}
