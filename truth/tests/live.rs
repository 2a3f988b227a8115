//! The ground truth of this host: everything that the engine says it collects is seen, and every field is right.

use std::process::Command;

/// Runs the command; where live events cannot be had it says why, and the test passes.
fn check(arguments: &[&str]) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_kestrel-truth")).args(arguments).output().expect("the command starts");
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(0) => println!("{out}"),
        Some(77) => println!("{error}"),
        code => panic!("status {code:?}\n{out}\n{error}"),
    }
}

#[test]
fn live_events_say_what_was_done() {
    check(&["run"]);
}

#[test]
fn a_killed_engine_leaves_nothing_attached() {
    check(&["kill", "--rounds", "6"]);
}

#[test]
fn under_load_and_reloads_the_ledger_balances() {
    check(&["soak", "--seconds", "8"]);
}
