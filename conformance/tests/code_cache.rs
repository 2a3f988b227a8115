//! Packs whose machine code comes from the cache give the same alerts, and sessions tell where code came from.

use std::path::{Path, PathBuf};

use kestrel_conformance::replay::{build, project};
use kestrel_engine::input;
use kestrel_engine::runtime::code_cache::{CacheLimits, CodeCache};
use kestrel_engine::session::{CodeCounters, NamedPack, PreparedPacks, Replay, Session, SessionOptions};

fn folder(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    // What an earlier run left, if anything.
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

/// The alerts over the project's recording, where the code came from, and the warnings.
fn run(packs: &[NamedPack], recording: &Path, cache: &CodeCache) -> (Vec<String>, CodeCounters, Vec<String>) {
    let prepared = PreparedPacks::new(packs, SessionOptions::default(), Some(cache)).expect("packs");
    let mut session = Session::of_documents(&prepared).expect("a session");
    let mut replay = Replay::new(&session);
    let mut lines = Vec::new();
    let mut input = input::open(recording).expect("the recording");
    while let Some(document) = input.next_document().expect("it is whole") {
        replay.queue(&mut session, &document, &mut |alert| lines.push(alert.line.clone()));
    }
    session.finish(&mut |alert| lines.push(alert.line.clone()));
    assert_eq!(session.runtime_error(), None);
    (lines, session.code(), session.warnings().to_vec())
}

#[test]
fn alerts_do_not_depend_on_where_code_came_from() {
    let project = project().expect("the project");
    let packs = [build(&[project.join("rules")]).expect("a pack").pack];
    let recording = project.join("rules/demo/recording.klog");
    let path = folder("cached-sessions");
    let cache = CodeCache::open(&path, CacheLimits::default()).expect("a folder of ours");
    let none = CodeCounters::default();

    let (alerts, code, warnings) = run(&packs, &recording, &cache);
    assert!(!alerts.is_empty());
    assert_eq!((code, warnings), (CodeCounters { compiled: 1, ..none }, vec![]));

    let (cached, code, warnings) = run(&packs, &recording, &cache);
    assert_eq!((code, warnings), (CodeCounters { cached: 1, ..none }, vec![]));
    assert_eq!(cached, alerts);

    for file in std::fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let mut bytes = std::fs::read(&file).expect("a file");
        if let Some(last) = bytes.last_mut().filter(|_| file.file_name().is_some_and(|name| name != "secret")) {
            *last ^= 1;
            std::fs::write(&file, bytes).expect("a file");
        }
    }
    let (again, code, warnings) = run(&packs, &recording, &cache);
    assert_eq!(code, CodeCounters { compiled: 1, refused: 1, ..none });
    assert!(matches!(&warnings[..], [one] if one.contains("made anew")), "{warnings:?}");
    assert_eq!(again, alerts);

    std::fs::remove_dir_all(&path).expect("a folder");
    let twice = [packs[0].clone(), packs[0].clone()];
    let (_, code, warnings) = run(&twice, &recording, &cache);
    assert_eq!(code, CodeCounters { compiled: 2, ..none });
    let told = warnings.iter().filter(|warning| warning.contains("not kept")).count();
    assert_eq!(told, 1, "once for all packs: {warnings:?}");
}
