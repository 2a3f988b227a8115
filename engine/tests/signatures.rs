//! `--require-signature`: which packs run, what is said of those that do not; and packs that are named twice.

mod fixture;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fixture::{event, folder, pack};
use kestrel_ir::pack::{KeyError, PrivateKey};

const ONE: &str = "34750f98bd59fcfc";
const TWO: &str = "6a3803d5f059902a";

fn key(number: u8) -> PrivateKey {
    PrivateKey::generate(|seed| {
        seed.fill(number);
        Ok::<(), KeyError>(())
    })
    .expect("nothing fails")
}

/// `plain.kpkg`, `one.kpkg` and `both.kpkg` by their signatures; `1.pub`, `2.pub`; `e.ndjson` of one shell, which is two alerts.
fn prepared(test: &str) -> PathBuf {
    let folder = folder(test);
    let plain = pack("@timestamp", &[]);
    let one = plain.sign(&key(1)).expect("it can be signed");
    let both = one.sign(&key(2)).expect("it can be signed");
    for (name, pack) in [("plain", plain), ("one", one), ("both", both)] {
        std::fs::write(folder.join(format!("{name}.kpkg")), pack.bytes()).expect("a file");
    }
    for number in [1, 2] {
        let mut text = Vec::new();
        key(number).public().write(&mut text).expect("a vector takes all");
        std::fs::write(folder.join(format!("{number}.pub")), text).expect("a file");
    }
    let mut private = Vec::new();
    key(1).write(&mut private).expect("a vector takes all");
    std::fs::write(folder.join("1.key"), private).expect("a file");
    std::fs::write(folder.join("e.ndjson"), event(0, "exec", "bash", "one")).expect("a file");
    folder
}

/// Runs over the one event; status, number of alerts, standard error.
fn run(folder: &Path, arguments: &str) -> (i32, usize, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_kestrel-engine"))
        .args(arguments.split_whitespace())
        .args(["--replay", "e.ndjson", "--runtime", "interp"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("the command starts");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), output.stdout.iter().filter(|byte| **byte == b'\n').count(), error)
}

#[test]
fn only_packs_with_a_signature_that_counts_run() {
    let folder = prepared("require");
    assert_eq!((key(1).id().to_string(), key(2).id().to_string()), (ONE.to_owned(), TWO.to_owned()));
    let unsigned = "pack plain.kpkg is refused: a signature is required, and it is not signed";
    let other = format!(
        "pack one.kpkg is refused: a signature is required, and it is signed by key {ONE}, and by none of the keys that are \
         accepted: key {TWO}"
    );
    for (arguments, refusal) in [
        ("--pack plain.kpkg", None),
        ("--pack one.kpkg", None),
        ("--pack one.kpkg --require-signature 1.pub", None),
        ("--pack both.kpkg --require-signature 2.pub", None),
        ("--pack one.kpkg --require-signature 2.pub --require-signature 1.pub", None),
        ("--pack plain.kpkg --require-signature 1.pub", Some(unsigned)),
        ("--pack one.kpkg plain.kpkg --require-signature 1.pub", Some(unsigned)),
        ("--pack one.kpkg --require-signature 2.pub", Some(other.as_str())),
        (
            "--pack one.kpkg --require-signature 3.pub",
            Some("key 3.pub is refused: the key cannot be read: No such file"),
        ),
        ("--pack one.kpkg --require-signature 1.key", Some("key 1.key is refused: this is a private key")),
        ("--pack one.kpkg --require-signature e.ndjson", Some("key e.ndjson is refused: there is no key in the file")),
    ] {
        let (status, alerts, error) = run(&folder, arguments);
        match refusal {
            None => assert_eq!((status, alerts), (0, 2), "{arguments}: {error}"),
            Some(refusal) => {
                assert_eq!((status, alerts), (2, 0), "{arguments}: {error}");
                assert!(error.contains(refusal), "{arguments}: expected {refusal:?} in\n{error}");
            }
        }
    }
}

#[test]
fn a_changed_signature_is_refused_and_the_content_still_is_what_it_was() {
    let folder = prepared("changed");
    let mut bytes = std::fs::read(folder.join("one.kpkg")).expect("the pack");
    *bytes.last_mut().expect("bytes") ^= 1;
    std::fs::write(folder.join("one.kpkg"), bytes).expect("a file");
    let (status, _, error) = run(&folder, "--pack one.kpkg --require-signature 1.pub");
    let refusal = format!("its signature by key {ONE} is not valid: the pack or the signature was changed");
    assert!(status == 2 && error.contains(&refusal), "{error}");
    assert_eq!(run(&folder, "--pack one.kpkg").0, 0);
}

#[test]
fn the_configuration_can_require_signatures_and_the_command_line_wins() {
    let folder = prepared("configured");
    std::fs::create_dir_all(folder.join("etc")).expect("a folder");
    let config = "pack = ['../one.kpkg']\nrequire_signature = ['../2.pub']\n";
    std::fs::write(folder.join("etc/c.toml"), config).expect("a file");
    let (status, _, error) = run(&folder, "--config etc/c.toml");
    assert!(status == 2 && error.contains("a signature is required"), "{error}");
    assert_eq!(run(&folder, "--config etc/c.toml --require-signature 1.pub").0, 0);
    assert_eq!(run(&folder, "--config etc/c.toml --pack both.kpkg").0, 0);
}

#[test]
fn a_pack_that_is_named_twice_runs_once() {
    let folder = prepared("twice");
    for (arguments, first, copy) in [
        ("--pack plain.kpkg plain.kpkg", "plain.kpkg", "plain.kpkg"),
        ("--pack plain.kpkg one.kpkg", "plain.kpkg", "one.kpkg"),
    ] {
        let (status, alerts, error) = run(&folder, arguments);
        assert_eq!((status, alerts), (0, 2), "{arguments}: {error}");
        let told = format!("warning: pack {copy} is the same as {first}: it runs once");
        assert!(error.contains(&told), "{arguments}: {error}");
        assert!(error.contains("3 rules of 1 pack"), "{arguments}: {error}");
    }
}
