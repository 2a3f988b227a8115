//! Event logs as an operator meets them: a writer that is killed, a disk that is full, a reader beside the writer, a range.

mod fixture;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use fixture::{folder, pack};

const ENGINE: &str = env!("CARGO_BIN_EXE_kestrel-engine");

fn command(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(ENGINE);
    command.args(arguments.split_whitespace()).current_dir(folder).stdin(Stdio::null());
    command
}

/// Checks the exit status; standard output and standard error.
fn check(folder: &Path, arguments: &str, status: i32) -> (String, String) {
    let output = command(folder, arguments).output().expect("the command starts");
    judged(&output, arguments, status)
}

fn judged(output: &Output, arguments: &str, status: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{arguments}\n{error}");
    (out, error)
}

/// A number that looks like noise.
fn mixed(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) ^ (mixed >> 31)
}

/// A folder with a pack, `p.kpkg`, and so many events, `e.ndjson`: shells that start and end, one event a second, with words that
/// do not compress away. The events' text.
fn prepared(test: &str, events: u64) -> (PathBuf, String) {
    let folder = folder(test);
    std::fs::write(folder.join("p.kpkg"), pack("@timestamp", &[]).bytes()).expect("a file");
    let line = |number: u64| {
        let (action, name) = (["exec", "end"][(number % 2) as usize], ["sh", "ls"][(number / 2 % 7).min(1) as usize]);
        let (time, noise) = (1_700_000_000 + number, [1, 2, 3].map(|salt| mixed(number * 4 + salt)));
        let noise = format!("{:016x}{:016x}{:016x}", noise[0], noise[1], noise[2]);
        format!(
            r#"{{"@timestamp":{time},"event":{{"category":["process"],"action":"{action}"}},"process":{{"name":"{name}","entity_id":"e{}"}},"message":"{noise}"}}"#,
            number / 2
        ) + "\n"
    };
    let text: String = (0..events).map(line).collect();
    std::fs::write(folder.join("e.ndjson"), &text).expect("a file");
    (folder, text)
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn a_killed_writer_loses_only_what_was_not_written_and_is_continued() {
    let (folder, text) = prepared("log_killed", 40_000);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let (mut held, mut kills) = (0, 0);
    for round in 0.. {
        let mut child =
            command(&folder, "log import - --append -o k.klog").stdin(Stdio::piped()).spawn().expect("it starts");
        let mut pipe = child.stdin.take().expect("a pipe");
        let end = (held + 1_000 + mixed(round) as usize % 7_000).min(lines.len());
        pipe.write_all(lines[held..end].concat().as_bytes()).expect("the writer reads");
        if end == lines.len() {
            drop(pipe);
            assert!(child.wait().expect("it ends").success());
            break;
        }
        // At whatever it is doing, with the pipe still open.
        child.kill().expect("SIGKILL");
        child.wait().expect("it ends");
        drop(pipe);
        kills += 1;
        let before = held;
        held = match folder.join("k.klog").metadata() {
            Ok(about) if about.len() > 0 => {
                let (out, _) = check(&folder, "log cat k.klog", 0);
                assert!(text.starts_with(&out), "after {kills} kills the log holds what was written first, in order");
                out.lines().count()
            }
            _ => 0,
        };
        assert!(held >= before, "what was there stays there");
        let lost: usize = lines[held..end].iter().map(|line| line.len()).sum();
        assert!(lost <= 1 << 20, "{lost} bytes lost: more than a block, and what is on its way to it");
    }
    assert!(kills >= 5, "{kills}");
    assert!(check(&folder, "log cat k.klog", 0).0 == text);
    let verdict =
        Command::new(ENGINE).args(["log", "verify", "--output", "json", "k.klog"]).current_dir(&folder).output();
    let verdict = json(&String::from_utf8(verdict.expect("it starts").stdout).expect("text"));
    assert_eq!(verdict["records"], 40_000, "{verdict}");
    assert!(verdict["damaged"].as_u64() <= Some(kills), "{verdict}");
    // The alerts do not tell a log of many lives from the file that it was made of.
    for range in ["", " --since 2023-11-15T00:00:00Z --until 2023-11-15T03:00:00Z"] {
        let replay =
            |file: &str| check(&folder, &format!("--pack p.kpkg --replay {file} --runtime interp{range}"), 0).0;
        let alerts = replay("k.klog");
        assert!(alerts.lines().count() > 1_000);
        assert!(alerts == replay("e.ndjson"), "{range}");
    }
}

#[test]
fn a_range_is_the_same_over_a_log_a_stream_and_text() {
    let (folder, text) = prepared("log_range_command", 20_000);
    check(&folder, "log import e.ndjson -o e.klog", 0);
    let range = "--since 2023-11-14T22:20:00Z --until 2023-11-14T22:20:59Z";
    let expected: String = text.split_inclusive('\n').skip(400).take(60).collect();
    assert!(text.contains("1700000400") && expected.contains(":1700000400,") && expected.contains(":1700000459,"));
    assert_eq!(check(&folder, &format!("log cat e.klog {range}"), 0).0, expected);
    let stream = command(&folder, &format!("log cat - {range}"))
        .stdin(std::fs::File::open(folder.join("e.klog")).expect("the log"))
        .output()
        .expect("it starts");
    assert_eq!(judged(&stream, "log cat -", 0).0, expected);
    for file in ["e.klog", "e.ndjson"] {
        check(&folder, &format!("log import {file} -o part.klog {range}"), 0);
        assert_eq!(check(&folder, "log cat part.klog", 0).0, expected, "cut out of {file}");
    }
    let replay = |file: &str| {
        let (alerts, error) =
            check(&folder, &format!("--pack p.kpkg --replay {file} --runtime interp --stats json {range}"), 0);
        let stats = json(error.lines().last().expect("a line"));
        assert!(stats["events"] == 60 && stats["ledger"]["balanced"] == true, "{file}: {stats}");
        alerts
    };
    let alerts = replay("e.klog");
    assert!(alerts.lines().count() > 5);
    assert_eq!(alerts, replay("e.ndjson"));
    let (_, error) = check(&folder, &format!("--pack p.kpkg {range}"), 2);
    assert!(error.contains("choose from recorded events"), "{error}");
    let (_, error) = check(&folder, "log cat e.klog --since noon", 2);
    assert!(error.contains("expected a time"), "{error}");
}

/// Records a replay to `record`, which does not have room for it, and checks that only the recording suffers.
fn check_full(folder: &Path, mut command: Command, record: &Path, text: &str, says: &str) {
    let expected = check(folder, "--pack p.kpkg --replay e.ndjson --runtime interp", 0).0;
    command.args(["--pack", "p.kpkg", "--replay", "e.ndjson", "--runtime", "interp", "--record"]).arg(record);
    let output = command.current_dir(folder).stdin(Stdio::null()).output().expect("the command starts");
    let (alerts, error) = judged(&output, "a full disk", 1);
    assert!(error.contains("recording ends, the run goes on") && error.contains(says), "{error}");
    assert!(alerts == expected, "the run goes on");
    let cat = Command::new(ENGINE).args(["log", "cat"]).arg(record).output().expect("the command starts");
    let (out, error) = judged(&cat, "log cat", 0);
    assert!(out.lines().count() > 100 && text.starts_with(&out), "the log stays readable: {error}");
    assert!(error.contains("the log ends inside a block"), "the disk was full in the middle of a block: {error}");
}

#[test]
fn a_disk_that_is_full_in_the_middle_of_a_block_ends_only_the_recording() {
    let (folder, text) = prepared("log_full", 8_000);
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 300; exec \"$0\" \"$@\"", ENGINE]);
    check_full(&folder, limited, &folder.join("r.klog"), &text, "File too large");
    // What the limit tore is continued where there is room.
    check(&folder, "log import e.ndjson --append -o r.klog", 0);
    let (out, error) = check(&folder, "log cat r.klog", 0);
    assert!(out.ends_with(&text) && out.len() > text.len() && error.contains("was not written to its end"), "{error}");
    let disk = folder.join("disk");
    std::fs::create_dir(&disk).expect("a folder");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=160k", "tmpfs"]).arg(&disk).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("left out: the part with a real disk needs root, for a small tmpfs");
        return;
    }
    let _unmount = Unmount(disk.clone());
    check_full(&folder, Command::new(ENGINE), &disk.join("r.klog"), &text, "No space left on device");
}

struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_log_is_printed_while_another_process_writes_it() {
    let (folder, text) = prepared("log_followed", 9_000);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let (first, rest) = (lines[..3_000].concat(), lines[3_000..].concat());
    std::fs::write(folder.join("first.ndjson"), &first).expect("a file");
    check(&folder, "log import first.ndjson -o f.klog", 0);
    let mut reader =
        command(&folder, "log cat --follow f.klog").stdout(Stdio::piped()).spawn().expect("the command starts");
    let mut seen = BufReader::new(reader.stdout.take().expect("a pipe")).lines();
    let mut expect = |text: &str| text.lines().all(|line| seen.next().is_some_and(|seen| seen.expect("text") == line));
    assert!(expect(&first));
    let mut writer =
        command(&folder, "log import - --append -o f.klog").stdin(Stdio::piped()).spawn().expect("it starts");
    let mut pipe = writer.stdin.take().expect("a pipe");
    pipe.write_all(&rest.as_bytes()[..rest.len() / 2]).expect("the writer reads");
    // What fills a few blocks is there although the writer still runs.
    let early = rest[..rest.len() / 4].rfind('\n').expect("lines") + 1;
    assert!(expect(&rest[..early]), "while the writer runs");
    for append in ["", " --append"] {
        let (_, error) = check(&folder, &format!("log import e.ndjson -o f.klog{append}"), 2);
        assert!(error.contains("another process"), "{error}");
    }
    pipe.write_all(&rest.as_bytes()[rest.len() / 2..]).expect("the writer reads");
    drop(pipe);
    assert!(writer.wait().expect("it ends").success());
    assert!(expect(&rest[early..]));
    reader.kill().expect("it still runs");
    reader.wait().expect("it ends");
    let (_, error) = check(&folder, "log cat --follow f.klog f.klog", 2);
    assert!(error.contains("only one log"), "{error}");
}

#[test]
fn exports_are_compressed_by_name_and_import_again() {
    let (folder, text) = prepared("log_export", 2_000);
    check(&folder, "log import e.ndjson -o e.klog --sync block", 0);
    for name in ["x.ndjson", "x.ndjson.zst", "x.ndjson.gz"] {
        check(&folder, &format!("log export e.klog -o {name}"), 0);
        let size = folder.join(name).metadata().expect("a file").len();
        assert_eq!(size == text.len() as u64, name == "x.ndjson", "{name}: {size} bytes");
        check(&folder, &format!("log import {name} -o again.klog"), 0);
        let read = |log: &str| std::fs::read(folder.join(log)).expect("a file");
        assert!(read("again.klog") == read("e.klog"), "{name}");
    }
    let (_, error) = check(&folder, "log export e.klog -o e.klog", 2);
    assert!(error.contains("is read and cannot be written at once"), "{error}");
    let (_, error) = check(&folder, "log import e.ndjson --append -o e.ndjson", 2);
    assert!(error.contains("is read and cannot be written at once"), "{error}");
    let (_, error) = check(&folder, "log import e.klog --append -o x.ndjson", 2);
    assert!(error.contains("this is no event log"), "{error}");
}

#[test]
fn verify_tells_programs_what_it_found() {
    let (folder, _) = prepared("log_verified", 5_000);
    check(&folder, "--pack p.kpkg --replay e.ndjson --runtime interp --record r.klog --record-sync flush", 0);
    let (out, _) = check(&folder, "log verify --output json r.klog", 0);
    assert_eq!(out, check(&folder, "log verify --json r.klog", 0).0);
    let verdict = json(&out);
    assert_eq!(verdict["whole"], true, "{verdict}");
    assert_eq!(verdict["version"], "1.1", "{verdict}");
    for (key, expected) in [("records", 5_000), ("segments", 1), ("indexes", 1), ("lost_records", 0)] {
        assert_eq!(verdict[key], expected, "{key} in {verdict}");
    }
    let mut bytes = std::fs::read(folder.join("r.klog")).expect("the log");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(folder.join("r.klog"), bytes).expect("a file");
    let verdict = json(&check(&folder, "log verify --output json r.klog", 1).0);
    assert!(verdict["whole"] == false && verdict["damaged"] == 1, "{verdict}");
    assert!(verdict["lost_records"].as_u64() > Some(0));
}
