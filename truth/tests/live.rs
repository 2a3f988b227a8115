//! The ground truth of this host: everything that the engine says it collects is seen, and every field is right.

use std::process::Command;

#[test]
fn live_events_say_what_was_done() {
    let output = Command::new(env!("CARGO_BIN_EXE_kestrel-truth")).arg("run").output().expect("the command starts");
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(0) => println!("{out}"),
        // Without privilege or BTF there is nothing to compare; the command has said why.
        Some(77) => println!("{error}"),
        code => panic!("status {code:?}\n{out}\n{error}"),
    }
}
