//! Rules for other operating systems: left out, a pack is as if it had been built without them, in every runtime.

use std::path::{Path, PathBuf};

use kestrel_conformance::replay::{alerts, build};
use kestrel_engine::live::{KernelFilter, KindSet, asked_fields};
use kestrel_engine::runtime::RuntimeKind;
use kestrel_engine::session::{NamedPack, System};
use kestrel_ir::pack::{FilterTest, Pack};
use kestrel_schema::event_kind;
use serde_json::Value as Json;

const RULES: [(&str, &str, &str); 6] = [
    ("linux", r#"os_list = ["linux"]"#, r#"file where event.action == "creation" and file.extension == "service""#),
    ("mac", r#"os_list = ["macos"]"#, r#"file where file.path like "*b*""#),
    ("asks", "", r#"process where host.os.type == "windows" and process.name : "bash*""#),
    (
        "kin",
        r#"os_list = ["windows"]"#,
        r#"process where descendant of [process where process.name == "sh"] and process.hash.md5 == "x""#,
    ),
    ("any", "", r#"process where process.name : "bash*""#),
    (
        "both",
        r#"os_list = ["linux", "macos"]"#,
        r#"sequence by process.entity_id [process where process.name : "bash"] [file where file.name : "?.service"]"#,
    ),
];

fn folder(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    // What an earlier run left, if anything.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder of ours");
    folder
}

fn pack(folder: &Path) -> NamedPack {
    for (id, os, query) in RULES {
        let text = format!("[rule]\nid = \"{id}\"\nname = \"{id}\"\n{os}\nquery = '''\n{query}\n'''\n");
        std::fs::write(folder.join(format!("{id}.toml")), text).expect("a file");
    }
    build(&[folder.to_owned()]).expect("a pack").pack
}

fn event(kind: &str, name: &str, file: &str, entity: u32) -> String {
    let (category, action) = if kind == "file" { ("file", "creation") } else { ("process", "exec") };
    let extension = file.rsplit('.').next().unwrap_or_default();
    let file = match kind {
        "file" => format!(r#","file":{{"name":"{file}","path":"/b/{file}","extension":"{extension}"}}"#),
        _ => String::new(),
    };
    format!(
        r#"{{"@timestamp":"2026-11-21T08:00:{entity:02}Z","event":{{"category":["{category}"],"type":["start"],"action":"{action}"}},"host":{{"os":{{"type":"linux"}}}},"process":{{"name":"{name}","entity_id":"e{entity}"}}{file}}}"#
    )
}

fn rule_of(line: &str) -> String {
    let alert: Json = serde_json::from_str(line).expect("JSON");
    alert["rule"]["id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_pack_without_other_systems_rules_gives_the_alerts_of_the_others() {
    let folder = folder("systems");
    let whole = pack(&folder);
    let chosen = System::Linux.choose(whole.clone());
    let mut left_out = chosen.pack.left_out().to_vec();
    left_out.sort();
    assert_eq!(left_out, ["asks", "kin", "mac"]);
    assert_eq!(chosen.content_hash(), whole.content_hash());
    assert_eq!(System::Any.choose(whole.clone()), whole);

    let events = folder.join("events.ndjson");
    let lines = [
        event("process", "bash", "", 1),
        event("process", "sh", "", 2),
        event("file", "bash", "x.service", 1),
        event("file", "bash", "b.txt", 3),
        event("process", "bash-static", "", 4),
    ];
    std::fs::write(&events, lines.join("\n")).expect("a file");
    let mut expected = None;
    for runtime in RuntimeKind::ALL {
        let all = alerts(&whole, &events, runtime).expect("alerts");
        let kept: Vec<String> = all.into_iter().filter(|line| !left_out.contains(&rule_of(line))).collect();
        let some = alerts(&chosen, &events, runtime).expect("alerts");
        assert_eq!(some, kept, "{runtime}");
        assert_eq!(expected.get_or_insert_with(|| some.clone()), &some, "{runtime}");
        assert!(["linux", "any", "both"].iter().all(|id| some.iter().any(|line| rule_of(line) == *id)), "{some:?}");
    }
}

#[test]
fn rules_for_other_systems_ask_nothing_of_a_live_source() {
    let whole = pack(&folder("systems-live")).pack;
    let chosen = System::Linux.choose(NamedPack { name: String::new(), pack: whole.clone() }).pack;
    let number = |name: &str| event_kind(name).expect("a kind").id;
    let keys = |pack: &Pack, name: &str| {
        let found = pack.filter_keys().iter().find(|keys| keys.kind == number(name));
        found.map(|keys| keys.keys.iter().map(|key| (key.test, key.text.clone())).collect::<Vec<_>>())
    };
    assert!(whole.filters().wants(number("file_rename")) && whole.filters().wants(number("file_create")));
    assert_eq!(keys(&whole, "file_create"), None, "the rule for macOS wants all of them");
    assert!(chosen.filters().wants(number("file_create")) && chosen.filters().wants(number("exec")));
    assert_eq!(keys(&chosen, "file_create"), Some(vec![(FilterTest::FileExtension, "service".to_owned())]));
    let asked = asked_fields(chosen.ir());
    assert!(asked.contains("file.extension") && !asked.contains("process.hash.md5"), "{asked:?}");
    assert!(whole.ir().lineage.is_some() && chosen.ir().lineage.is_none());
    let other = System::Windows.choose(NamedPack { name: String::new(), pack: whole.clone() }).pack;
    assert!(!other.filters().wants(number("file_create")), "{:?}", other.filters().kinds);
    assert_eq!(chosen.manifest().rules.len(), chosen.ir().rules.len());
}

/// Rules that ask for more than a pack's tables hold: a kind is filtered only where all that some rule can want has a key.
#[test]
fn what_is_too_much_for_the_tables_passes_whole() {
    const ACTIONS: [(&str, &str); 4] =
        [("file_create", "creation"), ("file_rename", "rename"), ("file_delete", "deletion"), ("file_open", "open")];
    let folder = folder("systems-large");
    let write = |id: &str, os: &str, query: String| {
        let text = format!("[rule]\nid = \"{id}\"\nname = \"{id}\"\nos_list = [\"{os}\"]\nquery = '''\n{query}\n'''\n");
        std::fs::write(folder.join(format!("{id}.toml")), text).expect("a file");
    };
    let list = |count: usize, fill: &str| (0..count).map(|n| format!("\"n{n}{fill}\"")).collect::<Vec<_>>().join(", ");
    // Of four lists of a MiB each three have room in the table by predicate.
    for (kind, action) in ACTIONS {
        let names = list(4_000, &format!("{kind:x<245}"));
        write(kind, "linux", format!("file where event.action == \"{action}\" and file.name in ({names})"));
    }
    write("long", "linux", format!("process where event.action == \"exec\" and process.name in ({})", list(5_000, "")));
    write("other", "windows", "process where process.name == \"x\"".to_owned());
    let whole = build(&[folder]).expect("a pack").pack.pack;
    let numbers: Vec<u16> = ACTIONS.iter().filter_map(|(name, _)| Some(event_kind(name)?.id)).collect();
    let kinds = KindSet::from_numbers(&numbers);
    let filtered = |pack: &Pack| -> Vec<&str> {
        let filter = KernelFilter::of_packs([pack], kinds);
        ACTIONS.iter().map(|(name, _)| *name).filter(|name| filter.kinds().any(|kind| kind.name() == *name)).collect()
    };
    let names_of = |pack: &Pack, name: &str| {
        let number = event_kind(name).expect("a kind").id;
        assert!(pack.filters().wants(number), "{name}");
        pack.filter_keys().iter().find(|keys| keys.kind == number).map(|keys| keys.keys.len())
    };
    assert_eq!(filtered(&whole).len(), 4, "the kinds have room");
    assert_eq!(names_of(&whole, "exec"), None, "a list that is too long");
    // With all rules for one system keys are those by predicate.
    let chosen = System::Linux.choose(NamedPack { name: String::new(), pack: whole.clone() }).pack;
    assert_eq!(chosen.left_out(), ["other"]);
    let told = filtered(&chosen);
    assert_eq!(told.len(), 3, "{told:?}");
    for (name, _) in ACTIONS {
        assert_eq!(names_of(&whole, name), Some(4_000), "{name}");
        assert_eq!(names_of(&chosen, name), told.contains(&name).then_some(4_000), "{name}");
    }
    assert_eq!(names_of(&chosen, "exec"), None);
}
