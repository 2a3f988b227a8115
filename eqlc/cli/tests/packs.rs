//! The commands for packs: what they print, with which status they end, and that the same rules are the same bytes.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use kestrel_ir::pack::{KeyError, Pack, PrivateKey};
use serde_json::Value as Json;

/// The id of the key that is made of ones.
const KEY: &str = "34750f98bd59fcfc";

const SHELL: &str = "---\nname = \"A shell\"\nseverity = \"high\"\n---\nprocess where event.action == \"exec\" and process.name == \"sh\"\n";
const PAIR: &str = "---\nname = \"Two programs\"\n---\nsequence by process.parent.entity_id with maxspan=5s\n\
    \x20 [process where process.name == \"id\"]\n  [process where process.name == \"uname\"]\n";

/// A folder of its own for a test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    /// A folder with the rules `rules/a/shell.eql` and `rules/b/pair.eql`, the keys `1.key`, `1.pub`, `2.key`, `2.pub`
    /// and `events.ndjson`.
    fn new(name: &str) -> Folder {
        let folder = Folder(std::env::temp_dir().join(format!("eqlc-packs-{}-{name}", std::process::id())));
        let _ = std::fs::remove_dir_all(&folder.0);
        folder.write("rules/a/shell.eql", SHELL);
        folder.write("rules/b/pair.eql", PAIR);
        for number in [1, 2] {
            let (key, mut private, mut public) = (key(number), Vec::new(), Vec::new());
            key.write(&mut private).expect("a vector takes all");
            key.public().write(&mut public).expect("a vector takes all");
            folder.write(&format!("{number}.key"), &String::from_utf8(private).expect("text"));
            folder.write(&format!("{number}.pub"), &String::from_utf8(public).expect("text"));
            let private = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(folder.0.join(format!("{number}.key")), private).expect("it is ours");
        }
        let line = |second: u32, name: &str, parent: &str| {
            format!(
                "{{\"@timestamp\":\"2024-01-01T00:00:{second:02}Z\",\"event.category\":\"process\",\"event.action\":\"exec\",\
                 \"process.name\":\"{name}\",\"process.parent.entity_id\":\"{parent}\"}}\n"
            )
        };
        let lines = [
            line(1, "id", "p"),
            line(2, "uname", "p"),
            "no event\n".to_owned(),
            line(3, "sh", "q"),
            line(4, "id", "q"),
        ];
        folder.write("events.ndjson", &lines.concat());
        folder
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("it is in the folder")).expect("the folder can be made");
        std::fs::write(path, text).expect("the file can be written");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn pack(&self, name: &str) -> Pack {
        Pack::read(&self.read(name)).expect("a valid pack")
    }

    /// Status, standard output, standard error.
    fn eqlc(&self, arguments: &str) -> (i32, String, String) {
        self.eqlc_in("", arguments)
    }

    fn eqlc_in(&self, below: &str, arguments: &str) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_eqlc"))
            .args(arguments.split_whitespace())
            .current_dir(self.0.join(below))
            .output()
            .expect("the command runs");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    /// Runs the command, which must end with this status; what it prints on both streams, with the hash and the sizes of
    /// packs left out.
    fn told(&self, arguments: &str, status: i32) -> String {
        let (ended, out, error) = self.eqlc(arguments);
        assert_eq!(ended, status, "{arguments}\n{out}{error}");
        plain(&format!("{out}{error}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The text with `HASH` and `N bytes` where a change of any backend would show.
fn plain(text: &str) -> String {
    let words = text.split_inclusive([' ', '\n']).map(|word| {
        let bare = word.trim_end_matches([' ', '\n', ',']);
        let is_hash = bare.len() == 64 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hash { word.replace(bare, "HASH") } else { word.to_owned() }
    });
    let text: Vec<String> = words.collect();
    let mut out = String::new();
    for (index, word) in text.iter().enumerate() {
        let is_size = text.get(index + 1).is_some_and(|next| next.starts_with("bytes"));
        match is_size && word.trim().parse::<u64>().is_ok() {
            true => out.push_str("N "),
            false => out.push_str(word),
        }
    }
    out
}

fn key(number: u8) -> PrivateKey {
    PrivateKey::generate(|seed| {
        seed.fill(number);
        Ok::<(), KeyError>(())
    })
    .expect("nothing fails")
}

#[test]
fn the_same_rules_are_the_same_bytes_wherever_they_lie() {
    let folder = Folder::new("same");
    for (name, text) in [("rules/a/shell.eql", SHELL), ("rules/b/pair.eql", PAIR)] {
        folder.write(&format!("elsewhere/deep/{name}"), text);
    }
    let builds = [
        ("", "build rules -o 0.kpkg"),
        ("", "build rules -o 1.kpkg"),
        ("", "build rules/a rules/b -o 2.kpkg"),
        ("", "build rules/b/pair.eql rules/a -o 3.kpkg"),
        ("rules", "build b a -o ../4.kpkg"),
        ("rules/b", "build . ../a/shell.eql -o ../../5.kpkg"),
        ("elsewhere/deep", "build ./rules -o ../../6.kpkg"),
        ("elsewhere", "build deep/rules/../rules/b deep/rules/a -o ../7.kpkg"),
    ];
    for (number, (below, arguments)) in builds.iter().enumerate() {
        let (status, _, error) = folder.eqlc_in(below, arguments);
        assert_eq!(status, 0, "{arguments}: {error}");
        assert!(folder.read(&format!("{number}.kpkg")) == folder.read("0.kpkg"), "{arguments} in {below:?}");
    }
    let paths: Vec<String> = folder.pack("7.kpkg").sources().iter().map(|file| file.path.clone()).collect();
    assert_eq!(paths, ["a/shell.eql", "b/pair.eql"]);
}

#[test]
fn a_key_is_made_once_and_its_private_half_is_nobody_elses() {
    let folder = Folder::new("keygen");
    let (status, out, error) = folder.eqlc("keygen -o team.release --comment release");
    assert_eq!(status, 0, "{error}");
    let mode = |name: &str| folder.0.join(name).metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode("team.release.key"), 0o600);
    let private = PrivateKey::read(folder.read("team.release.key").as_slice()).expect("a private key");
    let expected = format!("key {}: private half in team.release.key, public half in team.release.pub\n", private.id());
    assert_eq!(out, expected);
    assert_eq!(private.public().comment(), "release");
    let before = folder.read("team.release.key");
    let refused = "eqlc: `team.release.key` is there already, and keys are not overwritten\n";
    assert_eq!(folder.told("keygen -o team.release", 2), refused);
    std::fs::remove_file(folder.0.join("team.release.key")).expect("it is there");
    let refused = "eqlc: `team.release.pub` is there already, and keys are not overwritten\n";
    assert_eq!(folder.told("keygen -o team.release", 2), refused);
    assert!(!folder.0.join("team.release.key").exists());
    assert_eq!(folder.eqlc("keygen -o other").0, 0);
    assert_ne!(folder.read("other.key"), before);
}

#[test]
fn a_pack_is_signed_and_verified() {
    let folder = Folder::new("sign");
    assert_eq!(folder.eqlc("build rules -o plain.kpkg").0, 0);
    let signed = format!("signed.kpkg: signed by key {KEY}, 1 signature in all, sha256 HASH\n");
    assert_eq!(folder.told("sign plain.kpkg --key 1.key -o signed.kpkg", 0), signed);
    assert_eq!(folder.told("sign signed.kpkg --key 1.key", 0), signed);
    let (_, out, _) = folder.eqlc("build rules -o built.kpkg --sign 1.key");
    assert!(out.ends_with(&format!(", signed by key {KEY}\n")), "{out}");
    assert!(folder.read("built.kpkg") == folder.read("signed.kpkg"), "built and signed at once or one after the other");
    assert_eq!(folder.pack("signed.kpkg").content_hash(), folder.pack("plain.kpkg").content_hash());

    let parts = "ok    content         the hash is right, and the parts agree\n\
         ok    rules           2 rules verified\n\
         ok    module.wasm     loads; it is what this compiler makes of the rules\n\
         ok    predicates.lua  it is what this compiler makes of the rules\n";
    let check = |arguments: &str, status: i32, signature: &str| {
        let name = arguments.split(' ').nth(1).expect("a pack");
        let expected = format!("{name}: N bytes, sha256 HASH\n{parts}{signature}\n");
        assert_eq!(folder.told(arguments, status), expected);
    };
    check("verify plain.kpkg", 0, "note  signature       not signed");
    check("verify plain.kpkg --key 1.pub", 1, "no    signature       it is not signed");
    let by = format!("note  signature       by key {KEY}; not checked, because no `--key` was named");
    check("verify signed.kpkg", 0, &by);
    let valid = format!("ok    signature       valid, by key {KEY}");
    check("verify signed.kpkg --key 1.pub", 0, &valid);
    check("verify signed.kpkg --key 2.pub --key 1.pub", 0, &valid);
    let other = format!(
        "no    signature       it is signed by key {KEY}, and by none of the keys that are accepted: key {}",
        key(2).id()
    );
    check("verify signed.kpkg --key 2.pub", 1, &other);

    let refused =
        "eqlc: `1.key` is refused: this is a private key, expected the public one (its file ends with `.pub`)\n";
    assert_eq!(folder.told("verify signed.kpkg --key 1.key", 2), refused);
    assert_eq!(folder.eqlc("verify missing.kpkg").0, 2);
    assert_eq!(folder.eqlc("sign signed.kpkg --key 1.pub").0, 2);
    std::fs::set_permissions(folder.0.join("1.key"), std::fs::Permissions::from_mode(0o640)).expect("it is ours");
    let told = folder.told("sign signed.kpkg --key 1.key", 0);
    assert!(told.ends_with("warning: others can read the private key `1.key`; `chmod 600` keeps it yours\n"), "{told}");
}

#[test]
fn a_pack_that_was_tampered_with_does_not_verify() {
    let folder = Folder::new("tamper");
    assert_eq!(folder.eqlc("build rules -o signed.kpkg --sign 1.key").0, 0);
    let good = folder.read("signed.kpkg");
    // Some by the command, and many more by what it calls.
    for at in (0..good.len()).step_by(good.len() / 12).chain([good.len() - 1]) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        std::fs::write(folder.0.join("changed.kpkg"), bytes).expect("the file can be written");
        let (status, out, _) = folder.eqlc("verify changed.kpkg --key 1.pub");
        assert!(status == 1 && out.contains("\nno "), "byte {at}: {status} {out}");
    }
    let keys = [key(1).public()];
    for at in (0..good.len()).step_by(7) {
        let mut bytes = good.clone();
        bytes[at] = bytes[at].wrapping_add(1);
        assert!(!Pack::read(&bytes).is_ok_and(|pack| pack.verify_signature(&keys).is_ok()), "byte {at}");
    }
}

#[test]
fn parts_can_be_left_out_and_are_missed_by_name() {
    let folder = Folder::new("target");
    let parts = |target: &str| {
        let (status, _, error) = folder.eqlc(&format!("build rules -o t.kpkg --target {target}"));
        assert_eq!(status, 0, "{error}");
        let pack = folder.pack("t.kpkg");
        (pack.module().is_some(), pack.predicates().is_some(), !pack.filters().known.is_empty())
    };
    assert_eq!(parts("wasm,lua,bpf"), (true, true, true));
    assert_eq!(parts("interp"), (false, false, false));
    assert_eq!(parts("native,bpf"), (false, false, true));
    assert_eq!(parts("lua"), (false, true, false));
    assert!(folder.pack("t.kpkg").filters().wants(1), "without filter maps the kernel drops nothing");
    let told = folder.told("bench t.kpkg --events events.ndjson --runtime wasm", 2);
    assert!(told.ends_with("`t.kpkg` cannot be measured: the pack has no code for the wasm runtime\n"), "{told}");
    let told = folder.told("verify t.kpkg", 0);
    assert!(told.contains("note  module.wasm     not in the pack\nok    predicates.lua"), "{told}");
    assert_eq!(folder.eqlc("build rules -o t.kpkg --target java").0, 2);
}

#[test]
fn a_difference_is_told_rule_by_rule() {
    let folder = Folder::new("diff");
    assert_eq!(folder.eqlc("build rules -o old.kpkg").0, 0);
    assert_eq!(folder.eqlc("sign old.kpkg --key 1.key -o signed.kpkg").0, 0);
    assert_eq!(folder.told("diff old.kpkg old.kpkg", 0), "the content is the same, sha256 HASH\n");
    let expected = format!(
        "signatures (not part of the content)\n  signatures: + key {KEY}\nthe content is the same, sha256 HASH\n"
    );
    assert_eq!(folder.told("diff old.kpkg signed.kpkg", 0), expected);

    folder.write("rules/a/shell.eql", &SHELL.replace("high", "low").replace("\"sh\"", "\"bash\""));
    folder.write("rules/b/pair.eql", &PAIR.replace("where process.name == \"id\"", "where  process.name==\"id\""));
    folder.write("rules/b/new.eql", "---\nname = \"New\\u001b[2J\"\n---\nfile where file.path == \"/x\"\n");
    assert_eq!(folder.eqlc("build rules -o new.kpkg").0, 0);
    let expected = "pack
  required_kinds: + bpf
added    new: New\\u{1b}[2J
changed  pair: Two programs
  query (it means the same)
    -   [process where process.name == \"id\"]
    +   [process where  process.name==\"id\"]
changed  shell: A shell
  query
    - process where event.action == \"exec\" and process.name == \"sh\"
    + process where event.action == \"exec\" and process.name == \"bash\"
  severity: \"high\" -> \"low\"
1 added, 0 removed, 2 changed, 0 as they were; sections that differ: manifest, ir, module.wasm, predicates.lua, filters, sources, filter-keys, predicate-keys
";
    let told = folder.told("diff old.kpkg new.kpkg", 1);
    let kinds = told.lines().find(|line| line.starts_with("  required_kinds")).expect("files are wanted").to_owned();
    assert!(kinds.contains("+ file_open") && !kinds.contains('-'), "{kinds}");
    assert_eq!(told.replace(&kinds, "  required_kinds: + bpf"), expected);

    let (status, out, _) = folder.eqlc("diff new.kpkg old.kpkg --output json");
    let json: Json = serde_json::from_str(&out).expect("JSON");
    assert_eq!(status, 1);
    assert_eq!(json["removed"], serde_json::json!([{"id": "new", "name": "New\u{1b}[2J"}]));
    assert_eq!(json["changed"][1]["metadata"], serde_json::json!([{"what": "severity", "old": "low", "new": "high"}]));
    assert_eq!((&json["changed"][0]["compiled"], &json["changed"][1]["compiled"]), (&false.into(), &true.into()));
    assert_eq!(json["same"], false);
    assert_eq!(folder.eqlc("diff old.kpkg missing.kpkg").0, 2);
}

#[test]
fn a_pack_is_inspected_and_taken_apart() {
    let folder = Folder::new("inspect");
    folder.write("rules/a/shell.eql", &SHELL.replace("A shell", "A shell\\u001b[2J"));
    assert_eq!(folder.eqlc("build rules -o p.kpkg --sign 1.key").0, 0);
    let told = folder.told("inspect p.kpkg", 0);
    for expected in [
        "p.kpkg: N bytes, format 2.2, sha256 HASH\n",
        "pack rules, dialects elastic, schema ecs, built by eqlc ",
        "signatures: by key 34750f98bd59fcfc, not checked here: `eqlc verify` does\n",
        "2 rules, 3 predicates, ",
        "hooks that actions need: none\ncapabilities: none\n",
        "state: 1 sequence, 0 samples with 2 steps; at most 1 partial match per key, kept for 5s at most\n",
        "files: 2 sources, 0 tests\nsections:\n  manifest ",
        "  signature                        N bytes\nrules:\n",
        "  shell                                    event            high      A shell\\u{1b}[2J\n",
        "  pair                                     sequence of 2    -         Two programs\n",
    ] {
        assert!(told.contains(expected), "expected {expected:?} in\n{told}");
    }
    let (_, out, _) = folder.eqlc("inspect p.kpkg --output json");
    let json: Json = serde_json::from_str(&out).expect("JSON");
    assert_eq!(json["signatures"][0]["key"], KEY);
    assert_eq!(json["rule_kinds"], serde_json::json!(["event", "sequence of 2"]));
    assert_eq!(json["manifest"]["state_budget"]["steps"], 2);
    let (_, out, _) = folder.eqlc("inspect p.kpkg --json");
    assert_eq!(serde_json::from_str::<Json>(&out).expect("JSON"), json["manifest"]);

    let pack = folder.pack("p.kpkg");
    assert_eq!(folder.eqlc("inspect p.kpkg --extract predicates.lua").1, pack.predicates().expect("it is there"));
    assert!(folder.eqlc("inspect p.kpkg --extract ir").1.starts_with("# kestrel ir\n"));
    assert_eq!(folder.eqlc("inspect p.kpkg --extract sources").0, 2);
    assert_eq!(folder.told("inspect p.kpkg --extract out", 0), "6 files written to out\n");
    assert_eq!(folder.read("out/module.wasm"), pack.module().expect("it is there"));
    assert_eq!(folder.read("out/sources/b/pair.eql"), PAIR.as_bytes());
    assert_eq!(folder.told("inspect p.kpkg --extract out", 2), "eqlc: the folder `out` is not empty\n");
    assert!(Path::new(&folder.0).join("out/manifest.json").is_file());
}

#[test]
fn a_pack_carries_how_alerts_are_suppressed() {
    let folder = Folder::new("suppression");
    let rule = |by: &str| {
        format!(
            "---\nid = \"quiet\"\n[suppress]\nby = [{by}]\nfor = \"5m\"\n---\nprocess where process.name == \"sh\"\n"
        )
    };
    // A field that neither a query reads nor evidence has.
    folder.write("rules/a/shell.eql", &rule("\"host.id\", \"process.pgid\""));
    assert_eq!(folder.eqlc("build rules -o p.kpkg").0, 0);
    let pack = folder.pack("p.kpkg");
    let suppression = pack.manifest().rules[0].suppression.as_ref().expect("it is there");
    assert_eq!((suppression.window, suppression.tell_missing), (300_000_000_000, false));
    assert_eq!(suppression.by, ["host.id", "process.pgid"]);
    assert!(pack.ir().layout.lookup("process.pgid").is_some(), "frames hold the field");
    let told = folder.told("inspect p.kpkg", 0);
    let expected = format!("suppressed alerts:\n  {:40} for 5m, by host.id, process.pgid\n", "quiet");
    assert!(told.contains(&expected), "{told}");
    folder.write("rules/a/shell.eql", &rule("\"host.idd\", \"process\""));
    let told = folder.told("check rules", 1);
    assert!(told.contains("takes fields that the schema knows (did you mean `host.id`?), found `host.idd`"), "{told}");
}

#[test]
fn every_runtime_is_measured_over_the_same_work() {
    let folder = Folder::new("bench");
    assert_eq!(folder.eqlc("build rules -o p.kpkg").0, 0);
    let (status, out, error) = folder.eqlc("bench p.kpkg --events events.ndjson --passes 1 --output json");
    assert_eq!(status, 0, "{error}");
    assert!(error.contains("events.ndjson, line 3: ") && !error.contains("warning"), "{error}");
    let json: Json = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&json["events"], &json["invalid"], &json["dispatched"]), (&4.into(), &1.into(), &4.into()));
    let runtimes: Vec<&str> =
        json["runtimes"].as_array().expect("a list").iter().filter_map(|cost| cost["runtime"].as_str()).collect();
    assert!(["interp", "wasm", "lua"].iter().all(|runtime| runtimes.contains(runtime)), "{runtimes:?}");
    let rules = json["rules"].as_array().expect("a list");
    let rule = |id: &str| rules.iter().find(|rule| rule["id"] == id).expect("it is there");
    assert_eq!((&rule("shell")["evaluations"], &rule("shell")["hits"]), (&1.into(), &1.into()));
    assert_eq!((&rule("pair")["evaluations"], &rule("pair")["hits"]), (&3.into(), &3.into()));
    for runtime in runtimes {
        let shares: f64 = rules.iter().filter_map(|rule| rule["cost"][runtime]["share"].as_f64()).sum();
        assert!((shares - 1.0).abs() < 1e-6, "{runtime}: {shares}");
    }
    let (status, out, _) = folder.eqlc("bench p.kpkg --events events.ndjson --passes 1 --runtime lua --top 1");
    assert_eq!(status, 0);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "p.kpkg: 2 rules, 3 predicates; 4 events, 1 invalid, 4 with candidates");
    assert_eq!(
        lines[2].split_whitespace().collect::<Vec<_>>(),
        ["runtime", "load", "stage", "one", "dispatch", "evaluation"]
    );
    assert!(lines[3].starts_with("lua ") && lines.len() == 8 && lines[7].starts_with("1 rule more, "), "{out}");
}
