//! The examples of the documentation, built, run, and compared with what the engine says without C in between.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use eqlc::compile::{CompileOptions, PackOptions, build_pack, compile_rules};
use kestrel_engine::input::Document;
use kestrel_engine::session::{NamedPack, Replay, Session, SessionOptions};

use crate::artefact::{crate_folder, is_there, libraries, read, run, run_cleanly, scratch, text};

const RUNTIMES: [&str; 4] = ["wasm", "lua", "native", "interp"];
const RULES: [&str; 2] = ["examples/data/shell_from_server.eql", "examples/data/lingering_program.eql"];
const EVENTS: &str = "examples/data/events.ndjson";

/// The strictest that a C compiler can be asked for.
pub const C_FLAGS: [&str; 5] = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// What a static link of the archive needs of the system (`rustc --print native-static-libs`).
const NATIVE_LIBRARIES: [&str; 7] = ["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-lc"];

/// The alerts that the examples must print, from the compiler and the engine themselves.
fn expected_alerts() -> String {
    let files = RULES.map(|path| (path.to_owned(), read(path)));
    let options = CompileOptions::default();
    let compilation = compile_rules(eqlc::rules::load_all(files).rules, &options);
    let pack_options = PackOptions { name: "example".to_owned(), ..PackOptions::default() };
    let pack = build_pack(&compilation, &options.schema, pack_options).expect("the example's rules are right");
    let pack = NamedPack { name: "example".to_owned(), pack };
    let mut session = Session::over_documents(&[pack], SessionOptions::default()).expect("the pack runs");
    let mut replay = Replay::new(&session);
    let mut alerts = String::new();
    let mut sink = |alert: &kestrel_engine::session::Alert| alerts += &format!("{}\n", alert.line);
    for (line, document) in (1..).zip(read(EVENTS).lines()) {
        replay.document(&mut session, &Document { line, bytes: document.as_bytes(), record: None }, &mut sink);
    }
    session.finish(&mut sink);
    alerts
}

fn check(output: &Output) {
    let complaints = text(&output.stderr);
    assert!(output.status.success(), "it ends with {}: {complaints}", output.status);
    let alerts = text(&output.stdout);
    assert_eq!(alerts, expected_alerts());
    let ids: Vec<_> = alerts
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("an alert is JSON")["rule"]["id"].clone())
        .collect();
    assert_eq!(ids, ["example-shell-from-server", "example-shell-from-server", "example-lingering-program"]);
    assert!(complaints.contains("document 3 is no event: not JSON"), "{complaints}");
    assert!(complaints.ends_with("4 events, 1 invalid, 3 alerts\n"), "{complaints}");
}

/// Builds `examples/c/alerts.c` with what it is to be linked with.
fn build_c_example(name: &str, link: &[&str]) -> PathBuf {
    let program = scratch(name);
    let mut command = Command::new("cc");
    command.current_dir(crate_folder()).args(C_FLAGS).args(["-g", "-Iinclude", "examples/c/alerts.c"]);
    run_cleanly(command.args(link).arg("-o").arg(&program));
    program
}

fn build_shared(name: &str) -> PathBuf {
    let folder = libraries().shared.parent().expect("a file lies in a folder").display().to_string();
    build_c_example(name, &["-L", &folder, "-lkestrel"])
}

/// A built program, to be run where the example's files are. Cargo runs tests with a `LD_LIBRARY_PATH` that begins with
/// the folder of `cargo build`, and that may hold an older library.
fn example(program: &Path) -> Command {
    let mut command = Command::new(program);
    let folder = libraries().shared.parent().expect("a file lies in a folder");
    command.current_dir(crate_folder()).env("LD_LIBRARY_PATH", folder);
    command
}

#[test]
fn c_example_with_the_shared_library_prints_the_alerts_of_the_engine() {
    if !is_there("cc") {
        return;
    }
    let program = build_shared("alerts-shared");
    for runtime in RUNTIMES {
        check(&run(example(&program).args([runtime, EVENTS]).args(RULES)));
    }
}

#[test]
fn c_example_with_the_archive_prints_the_alerts_of_the_engine() {
    if !is_there("cc") {
        return;
    }
    let archive = libraries().archive.display().to_string();
    let mut link = vec![archive.as_str()];
    link.extend(NATIVE_LIBRARIES);
    let program = build_c_example("alerts-static", &link);
    check(&run(example(&program).args(["wasm", EVENTS]).args(RULES)));
}

#[test]
fn c_example_tells_mistakes_in_rules_and_in_words() {
    if !is_there("cc") {
        return;
    }
    let program = build_shared("alerts-mistakes");
    let bad = scratch("bad.eql");
    std::fs::write(&bad, "process where process.nmae == \"sh\"\n").expect("the folder for tests can be written");
    let output = run(example(&program).args(["wasm", EVENTS]).arg(&bad));
    let complaints = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""), "{complaints}");
    let diagnostic: serde_json::Value =
        serde_json::from_str(complaints.lines().next().unwrap_or_default()).expect("a diagnostic is a line of JSON");
    assert_eq!((&diagnostic["code"], &diagnostic["line"]), (&"E0201".into(), &1.into()));
    assert!(complaints.contains("cannot compile: 1 of 1 rule files have errors"), "{complaints}");

    let output = run(example(&program).args(["tea", EVENTS]).args(RULES));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot run: unknown runtime `tea`"), "{}", text(&output.stderr));
}

#[test]
fn python_example_prints_the_alerts_of_the_engine() {
    if !is_there("python3") {
        return;
    }
    for runtime in RUNTIMES {
        let mut command = example(Path::new("python3"));
        command.env("KESTREL_LIBRARY", &libraries().shared);
        // No `__pycache__` beside the example.
        command.args(["-B", "examples/python/alerts.py", runtime, EVENTS]).args(RULES);
        check(&run(&mut command));
    }
}
