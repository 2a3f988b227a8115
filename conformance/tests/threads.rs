//! Replays in threads: the same bytes for any number of threads, on every runtime, over an event log and over NDJSON of
//! the same events, also for a pack whose rules ask about lineage and have to see all events in order.

use std::path::{Path, PathBuf};

use kestrel_conformance::RUNTIMES;
use kestrel_conformance::replay::{alerts, alerts_in_threads, build, project};
use kestrel_engine::input;
use kestrel_engine::runtime::RuntimeKind;
use kestrel_engine::session::NamedPack;

const THREADS: [usize; 5] = [1, 2, 4, 8, 16];

/// Asks about lineage, so that one thread has to see all events.
const LINEAGE: &str = r#"---
id = "end-of-executed"
name = "The end of what was executed"
dialect = "endpoint"
---
process where event.action == "end" and event of [process where event.action == "exec"]
"#;

/// A folder of this test for files.
fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder for the test");
    folder
}

/// The documents of a recording as NDJSON. What the log says beside them is in them, or they would not replay the same.
fn as_ndjson(recording: &Path, file: &Path) {
    let mut input = input::open(recording).expect("a recording");
    let mut text = Vec::new();
    while let Some(document) = input.next_document().expect("it reads") {
        text.extend_from_slice(document.bytes);
        text.push(b'\n');
    }
    std::fs::write(file, text).expect("a file");
}

fn lineage_pack(folder: &Path) -> NamedPack {
    let rule = folder.join("lineage.eql");
    std::fs::write(&rule, LINEAGE).expect("a file");
    let built = build(&[rule]).expect("a pack");
    assert!(built.failed.is_empty(), "{:?}", built.failed);
    assert!(built.pack.pack.ir().lineage.is_some());
    built.pack
}

#[test]
fn the_demonstration_gives_the_same_bytes_for_any_number_of_threads() {
    let (project, folder) = (project().expect("the project"), folder("threads_demo"));
    let rules = build(&[project.join("rules")]).expect("a pack").pack;
    let lineage = lineage_pack(&folder);
    let recording = project.join("rules/demo/recording.klog");
    let ndjson = folder.join("recording.ndjson");
    as_ndjson(&recording, &ndjson);
    let packs = [rules, lineage];
    let together = alerts_in_threads(&packs, &recording, RUNTIMES[0], (1, 1)).expect("alerts");
    for pack in &packs {
        let alone = alerts(pack, &recording, RUNTIMES[0]).expect("alerts");
        let hash = pack.content_hash();
        let of_pack: Vec<&String> = together.iter().filter(|line| line.contains(&hash)).collect();
        assert!(!alone.is_empty() && of_pack.into_iter().eq(&alone), "{} alerts", alone.len());
    }
    for runtime in RUNTIMES {
        for threads in THREADS {
            for (file, items) in [(&recording, 5), (&ndjson, 33)] {
                let found = alerts_in_threads(&packs, file, runtime, (threads, items)).expect("alerts");
                assert!(found == together, "{}, {threads} threads: other alerts", runtime.name());
            }
        }
    }
}

#[test]
fn real_rules_over_real_recordings_give_the_same_bytes_for_any_number_of_threads() {
    let data = project().expect("the project").join("../shared/data");
    if !data.is_dir() {
        println!("skipped: there is no folder of real rules and recordings beside the project");
        return;
    }
    let pack = build(&[data.join("rules")]).expect("a pack").pack;
    for (name, many) in [("linux_recording", true), ("windows_atomic", false)] {
        let recording = data.join("events").join(format!("{name}.ndjson.zst"));
        let expected = alerts(&pack, &recording, RuntimeKind::Native).expect("alerts");
        println!("{name}: {} alerts", expected.len());
        let packs = std::slice::from_ref(&pack);
        let threads: &[usize] = if many { &THREADS } else { &[4] };
        for runtime in RUNTIMES.into_iter().filter(|runtime| many || *runtime == RuntimeKind::Native) {
            for &threads in threads {
                let found = alerts_in_threads(packs, &recording, runtime, (threads, 101)).expect("alerts");
                assert!(found == expected, "{name}: {}, {threads} threads: other alerts", runtime.name());
            }
        }
    }
}
