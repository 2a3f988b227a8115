//! A replay that is killed in the middle of its file and goes on: the alerts are those of a run that was not.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::fixture::{event, folder, pack};

/// How many events make the alerts fill the sink's buffer many times.
const EVENTS: u32 = 3000;

fn command(folder: &Path, more: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kestrel-engine"));
    command.args(format!("--pack p.kpkg --replay e.ndjson --runtime interp --alerts {more}").split_whitespace());
    command.current_dir(folder).stdin(Stdio::null());
    command
}

fn run(folder: &Path, more: &str) -> Output {
    command(folder, more).output().expect("the command starts")
}

fn events() -> String {
    let names = ["bash", "ls", "sh"];
    let one = |number: u32| {
        let name = names[number as usize % names.len()];
        event(number / 10, if number % 4 == 3 { "end" } else { "exec" }, name, &format!("e{}", number / 8)) + "\n"
    };
    (0..EVENTS).map(one).collect()
}

fn prepared(test: &str) -> std::path::PathBuf {
    let folder = folder(test);
    std::fs::write(folder.join("p.kpkg"), pack("@timestamp", &[]).bytes()).expect("a file");
    std::fs::write(folder.join("e.ndjson"), events()).expect("a file");
    folder
}

/// Waits until the file has some bytes.
fn wait_for_bytes(path: &Path, child: &mut Child) {
    let began = Instant::now();
    while path.metadata().map_or(0, |metadata| metadata.len()) == 0 {
        assert!(child.try_wait().expect("the child").is_none(), "it ended before it was killed");
        assert!(began.elapsed() < Duration::from_secs(120), "no alerts came");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_replay_that_was_killed_goes_on_and_gives_the_same_bytes() {
    let folder = prepared("killed");
    assert!(run(&folder, "whole").status.success());
    let whole = std::fs::read(folder.join("whole")).expect("the alerts");
    // The events come through a pipe that stays open, so that the replay is in the middle of them when it is killed.
    let (pipe, text) = (folder.join("e.ndjson"), events());
    std::fs::remove_file(&pipe).expect("the file");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo starts");
    assert!(made.success());
    let mut child = command(&folder, "a").stderr(Stdio::null()).spawn().expect("the command starts");
    let mut writer = File::options().write(true).open(&pipe).expect("the pipe");
    writer.write_all(&text.as_bytes()[..text.len() / 2]).expect("half of the events");
    wait_for_bytes(&folder.join("a"), &mut child);
    child.kill().expect("SIGKILL");
    assert!(!child.wait().expect("the child").success());
    drop(writer);
    let left = std::fs::read(folder.join("a")).expect("the alerts");
    assert!(left.len() < whole.len() && whole.starts_with(&left), "{} of {}", left.len(), whole.len());
    std::fs::remove_file(&pipe).expect("the pipe");
    std::fs::write(&pipe, text).expect("a file");
    for _ in 0..2 {
        // The second time there is nothing to add.
        let output = run(&folder, "a --resume");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(std::fs::read(folder.join("a")).expect("the alerts") == whole);
    }
}

#[test]
fn every_place_of_the_cut_is_gone_on_from() {
    let folder = prepared("cuts");
    assert!(run(&folder, "whole").status.success());
    let whole = std::fs::read(folder.join("whole")).expect("the alerts");
    let first_line = whole.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
    for cut in [0, 1, first_line - 1, first_line, first_line + 1, whole.len() / 2, whole.len() - 1] {
        std::fs::write(folder.join("a"), &whole[..cut]).expect("a file");
        assert!(run(&folder, "a --resume").status.success(), "cut at {cut}");
        assert!(std::fs::read(folder.join("a")).expect("the alerts") == whole, "cut at {cut}");
    }
    std::fs::remove_file(folder.join("a")).expect("the file");
    assert!(run(&folder, "a --resume").status.success());
    assert!(std::fs::read(folder.join("a")).expect("the alerts") == whole, "without a file");
}

#[test]
fn a_file_of_something_else_is_left_as_it_was() {
    let folder = prepared("else");
    assert!(run(&folder, "whole").status.success());
    let whole = std::fs::read_to_string(folder.join("whole")).expect("the alerts");
    let second = whole.lines().nth(1).expect("a second line");
    for (content, says) in [
        ("something else\n".to_owned(), "its line 1 is not what these packs and events give"),
        (whole.replacen(second, &second.replace("low", "LOW"), 1), "its line 2 is not"),
        (format!("{}\n{{\"torn", whole.lines().next().expect("a line")), "its line 2 is not"),
        (format!("{whole}{second}\n"), "it has more than the "),
        (format!("{whole}{{"), "it has more than the "),
    ] {
        std::fs::write(folder.join("a"), &content).expect("a file");
        let output = run(&folder, "a --resume");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("cannot resume a: ") && error.contains(says), "{says}: {error}");
        assert!(std::fs::read_to_string(folder.join("a")).expect("the file") == content, "{says}");
    }
}
