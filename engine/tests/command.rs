//! The command: exit statuses, what goes to which stream, and import and export as each other's inverse.

mod fixture;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use fixture::{event, folder, pack};

/// Runs the command in `folder` with nothing on standard input.
fn run(folder: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kestrel-engine"))
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("the command starts")
}

/// Checks exit status and that standard error says something.
fn check(folder: &Path, arguments: &str, status: i32, says: &str) -> String {
    let output = run(folder, arguments);
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{arguments}\n{error}");
    assert!(error.contains(says), "{arguments}: expected {says:?} in\n{error}");
    out.into_owned()
}

/// A folder with `p.kpkg` and `e.ndjson` of seven lines, five of them events.
fn prepared(test: &str) -> std::path::PathBuf {
    let folder = folder(test);
    std::fs::write(folder.join("p.kpkg"), pack("@timestamp", &[]).bytes()).expect("a file");
    let lines = [
        event(0, "exec", "bash", "one"),
        "no event".to_owned(),
        event(5, "exec", "ls", "two"),
        r#"{"a":1}"#.to_owned(),
        event(10, "end", "bash", "one"),
        event(20, "exec", "sh", "three"),
        event(300, "exec", "ls", "four"),
    ];
    std::fs::write(folder.join("e.ndjson"), lines.join("\n") + "\n").expect("a file");
    folder
}

#[test]
fn a_replay_answers_on_standard_output_and_sums_up_on_standard_error() {
    let folder = prepared("replay");
    let summary = "kestrel-engine: 5 events, 2 invalid, 4 alerts, 3 rules of 1 pack, runtime interp, ";
    let out = check(&folder, "--pack p.kpkg --replay e.ndjson --runtime interp", 0, summary);
    assert_eq!(out.lines().count(), 4);
    let lines = "e.ndjson, line 2: not JSON";
    check(&folder, "--pack p.kpkg --replay e.ndjson --runtime interp", 0, lines);
    check(
        &folder,
        "--pack p.kpkg --replay e.ndjson --runtime interp",
        0,
        "e.ndjson, line 4: the event has no `@timestamp`",
    );
    check(&folder, "--pack p.kpkg --replay e.ndjson e.ndjson --runtime interp", 0, "10 events, 4 invalid");
    check(&folder, "--pack p.kpkg --stdin --runtime interp", 0, "0 events, 0 invalid, 0 alerts");
}

#[test]
fn alerts_are_the_same_wherever_they_go_and_the_events_come_from() {
    let folder = prepared("targets");
    let expected = check(&folder, "--pack p.kpkg --replay e.ndjson --runtime interp", 0, "4 alerts");
    check(&folder, "--pack p.kpkg --replay e.ndjson --runtime interp --alerts a --record r.klog", 0, "5 recorded");
    let file = || std::fs::read_to_string(folder.join("a")).expect("the alerts");
    assert_eq!(file(), expected);
    check(&folder, "--pack p.kpkg --replay r.klog --runtime interp --alerts a", 0, "5 events, 0 invalid, 4 alerts");
    assert_eq!(file(), expected, "a replay replaces the file");
    std::fs::write(folder.join("c.toml"), "pack = ['p.kpkg']\nruntime = 'interp'\nalerts = 'a2'\n").expect("a file");
    check(&folder, "--config c.toml --replay e.ndjson", 0, "4 alerts");
    assert_eq!(std::fs::read_to_string(folder.join("a2")).expect("the alerts"), expected);
}

#[test]
fn statistics_are_one_json_object() {
    let folder = prepared("stats");
    let output = run(&folder, "--pack p.kpkg --replay e.ndjson --runtime interp --stats json");
    let error = String::from_utf8(output.stderr).expect("text");
    let stats: serde_json::Value = serde_json::from_str(error.lines().last().expect("a line")).expect("JSON");
    for (pointer, expected) in [
        ("/events", 5),
        ("/invalid", 2),
        ("/alerts", 4),
        ("/alerts_written", 4),
        ("/ledger/produced", 7),
        ("/ledger/dropped", 2),
        ("/ledger/matched", 5),
    ] {
        assert_eq!(stats.pointer(pointer).and_then(serde_json::Value::as_u64), Some(expected), "{pointer} in {stats}");
    }
    assert_eq!(stats["ledger"]["balanced"], true);
}

#[test]
fn what_is_not_tried_ends_with_2() {
    let folder = prepared("usage");
    std::fs::write(folder.join("bad.toml"), "thread = 4\n").expect("a file");
    std::fs::write(folder.join("threads.toml"), "pack = ['p.kpkg']\nthreads = 0\n").expect("a file");
    for (arguments, says) in [
        ("", "there is no pack to run"),
        ("--pack missing.kpkg --stdin", "cannot read pack missing.kpkg: No such file or directory"),
        ("--pack e.ndjson --stdin", "pack e.ndjson is refused: this is no pack"),
        ("--pack p.kpkg --replay missing.ndjson", "cannot read missing.ndjson: No such file or directory"),
        ("--pack p.kpkg --stdin --runtime jvm", "unknown runtime `jvm`, expected `interp`, `wasm`, `lua` or `native`"),
        ("--pack p.kpkg --stdin --runtime wasm", "the pack has no code for the wasm runtime"),
        ("--pack p.kpkg --stdin --mode enforce", "mode `enforce` is not in this version"),
        ("--pack p.kpkg --stdin --threads 65", "expected a number of threads from 1 to 64"),
        ("--pack p.kpkg --stdin --reorder 5", "expected a length of time such as"),
        ("--pack p.kpkg --stdin --alerts tcp:siem:514", "this transport is for syslog"),
        ("--pack p.kpkg --stdin --alerts bulk+https://siem/", "the address of a bulk interface ends with `/_bulk`"),
        ("--pack p.kpkg --stdin --alerts a --alerts a", "alerts go to a twice"),
        ("--pack p.kpkg --stdin --resume", "cannot be used with"),
        ("--pack p.kpkg --replay e.ndjson --resume", "would get alerts twice"),
        ("--pack p.kpkg --stdin --metrics 1", "unexpected argument '--metrics'"),
        ("--pack p.kpkg --replay e.ndjson --duration 1", "cannot be used with"),
        ("--pack p.kpkg --replay e.ndjson --alerts e.ndjson", "would write over a file that is read"),
        ("--config bad.toml --stdin", "unknown field `thread`"),
        ("--config threads.toml --stdin", "expected a number of threads from 1 to 64"),
        ("log cat e.ndjson", "this is no event log"),
        ("log import missing -o x.klog", "cannot read missing"),
        ("log import e.ndjson -o e.ndjson", "is read and cannot be written at once"),
    ] {
        check(&folder, arguments, 2, says);
    }
    assert!(folder.join("e.ndjson").metadata().expect("still there").len() > 0);
}

#[test]
fn a_full_disk_ends_with_1_and_says_what_was_lost() {
    let folder = prepared("full");
    let arguments = "--pack p.kpkg --replay e.ndjson --runtime interp --alerts /dev/full --stats json";
    check(&folder, arguments, 1, "cannot write alerts to /dev/full: No space left on device");
    check(&folder, arguments, 1, "\"alerts\":4,\"alerts_written\":0");
}

#[test]
fn each_of_many_targets_gets_every_alert_and_one_that_fails_is_told() {
    let folder = prepared("many_targets");
    let replay = "--pack p.kpkg --replay e.ndjson --runtime interp";
    let out = check(&folder, &format!("{replay} --alerts - --alerts a --alerts /dev/full"), 1, "the other sinks go on");
    assert_eq!(out.lines().count(), 4);
    assert_eq!(std::fs::read_to_string(folder.join("a")).expect("the alerts"), out);
    let says =
        r#"{"name":"/dev/full","written":0,"waiting":0,"refused":0,"lost":4,"truncated":0,"failure":"cannot write"#;
    check(&folder, &format!("{replay} --alerts a --alerts /dev/full --stats json"), 1, says);
}

#[test]
fn alerts_that_wait_for_a_server_are_told_and_no_failure() {
    let folder = prepared("waiting");
    // Nobody listens on a port that was just let go of.
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket").local_addr().expect("an address").port();
    let sink = format!(
        "pack = ['p.kpkg']\nruntime = 'interp'\n[[sink]]\nto = 'http://127.0.0.1:{port}/secret'\nspool = 's'\nfinish_wait = '0s'\n"
    );
    std::fs::write(folder.join("c.toml"), sink).expect("a file");
    let says = format!("warning: 4 alerts for http://127.0.0.1:{port} wait in s/");
    check(&folder, "--config c.toml --replay e.ndjson", 0, &says);
    check(&folder, "--config c.toml --replay e.ndjson", 0, "4 alerts of an earlier run are sent to ");
    check(&folder, "--config c.toml --replay e.ndjson", 0, ", 12 wait in the spool for http://127.0.0.1:");
    let wrong = "[[sink]]\nto = 'a'\nbatch = 1\npack = ['p.kpkg']\n";
    std::fs::write(folder.join("wrong.toml"), wrong).expect("a file");
    check(&folder, "--config wrong.toml --replay e.ndjson", 2, "unknown field `pack`");
    std::fs::write(folder.join("wrong.toml"), "[[sink]]\nto = 'a'\nbatch = 1\n").expect("a file");
    check(&folder, "--pack p.kpkg --config wrong.toml --replay e.ndjson", 2, "`batch` is an option of HTTP");
}

#[test]
fn a_torn_file_is_answered_as_far_as_it_goes() {
    let folder = prepared("torn");
    check(&folder, "log import e.ndjson -o e.klog", 0, "5 records imported, 2 invalid");
    let bytes = std::fs::read(folder.join("e.klog")).expect("the log");
    // The last block is the time index; the one before it is torn.
    let index = bytes.windows(4).rposition(|four| four == b"KBLK").expect("a block");
    std::fs::write(folder.join("torn.klog"), &bytes[..index - 3]).expect("a file");
    let arguments = "--pack p.kpkg --replay torn.klog e.ndjson --runtime interp";
    check(&folder, arguments, 0, "torn.klog: at byte ");
    check(&folder, arguments, 0, "the log ends inside a block of 5 records, which are lost");
    check(&folder, arguments, 0, "5 events, 2 invalid, 4 alerts, 3 rules of 1 pack");
    check(&folder, arguments, 0, ", 1 part could not be read");
    let out = check(&folder, "log verify torn.klog", 1, "which are lost");
    assert!(out.starts_with("torn.klog: damaged in 1 place; 0 records in 0 blocks"), "{out}");
    let out = check(&folder, "log verify e.klog", 0, "");
    assert!(out.starts_with("e.klog: whole; 5 records in 1 block, "), "{out}");
    assert!(out.ends_with("2026-11-21T08:00:00.000Z to 2026-11-21T08:05:00.000Z\n"), "{out}");
}

#[test]
fn import_then_export_gives_the_same_documents() {
    let folder = folder("import_export");
    let mut documents: Vec<String> = (0..4_000u32)
        .map(|number| {
            let text = "é\\n\\\"☃ ".repeat(number as usize % 17);
            format!("{{ \"@timestamp\" : {}, \"number\":{number}, \"text\":\"{text}\" }}", 1_700_000_000 + number / 3)
        })
        .collect();
    documents.push(event(1, "exec", "sh", "one"));
    let text = documents.join("\n") + "\n";
    std::fs::write(folder.join("d.ndjson"), &text).expect("a file");
    std::fs::write(folder.join("d.json"), format!("[\n{}\n]", documents.join(",\n"))).expect("a file");
    std::fs::write(folder.join("d.ndjson.gz"), fixture::gzip(text.as_bytes())).expect("a file");
    let mut logs = Vec::new();
    for source in ["d.ndjson", "d.json", "d.ndjson.gz"] {
        check(&folder, &format!("log import {source} -o d.klog"), 0, "4001 records imported, 0 invalid");
        assert!(check(&folder, "log cat d.klog", 0, "") == text, "{source} through cat");
        check(&folder, "log export d.klog -o again.ndjson", 0, "");
        let again = std::fs::read_to_string(folder.join("again.ndjson")).expect("the export");
        assert!(again == text, "{source} through export");
        logs.push(std::fs::read(folder.join("d.klog")).expect("the log"));
    }
    assert!(logs.windows(2).all(|pair| pair[0] == pair[1]), "the log does not depend on the wrapping");
    let from = "log cat d.klog --from 2023-11-14T22:13:21Z --to 2023-11-14T22:13:21Z";
    assert_eq!(check(&folder, from, 0, ""), documents[3..6].join("\n") + "\n");
}

#[test]
fn documents_over_many_lines_are_exported_as_one() {
    let folder = folder("many_lines");
    std::fs::write(folder.join("d.json"), "[{\n \"@timestamp\":\r\n 1\n}]").expect("a file");
    check(&folder, "log import d.json -o d.klog", 0, "1 record imported");
    assert_eq!(check(&folder, "log cat d.klog", 0, ""), "{  \"@timestamp\":   1 }\n");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = prepared("gone");
    for arguments in ["--pack p.kpkg --replay e.ndjson --runtime interp", "--help", "doctor --json"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_kestrel-engine"))
            .args(arguments.split(' '))
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code().is_some_and(|status| status <= 1), "{arguments}: {error}");
        assert!(!error.contains("panicked") && !error.contains("error"), "{arguments}: {error}");
    }
}

#[test]
fn rules_for_other_systems_are_left_out_when_asked() {
    let folder = prepared("systems");
    let pack = fixture::pack_of("@timestamp", |rule| {
        let os = if rule.id == "shell" { vec!["windows".to_owned()] } else { Vec::new() };
        kestrel_ir::pack::RuleInfo { os, ..rule }
    });
    std::fs::write(folder.join("p.kpkg"), pack.bytes()).expect("a file");
    let run = "--pack p.kpkg --replay e.ndjson --runtime interp";
    let all = check(&folder, run, 0, "4 alerts, 3 rules of 1 pack, runtime interp");
    let linux = check(&folder, &format!("{run} --os linux"), 0, ", 1 rule left out for other systems");
    let of_shell = |line: &&str| line.contains(r#""id":"shell""#);
    assert_eq!(linux.lines().collect::<Vec<_>>(), all.lines().filter(|line| !of_shell(line)).collect::<Vec<_>>());
    assert_eq!(check(&folder, &format!("{run} --os windows"), 0, "4 alerts, 3 rules of"), all);
    check(&folder, &format!("{run} --os plan9"), 2, "expected `linux`, `windows`, `macos` or `any`");
    std::fs::write(folder.join("c.toml"), "os = 'macos'\n").expect("a file");
    check(&folder, &format!("{run} --config c.toml"), 0, "2 rules of 1 pack");
    check(&folder, &format!("{run} --config c.toml --os any"), 0, "3 rules of 1 pack");
}
