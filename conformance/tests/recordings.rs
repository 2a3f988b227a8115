//! Recordings: what the project ships, and what lies beside it where it does.

use std::path::PathBuf;

use kestrel_conformance::RUNTIMES;
use kestrel_conformance::replay::{alerts, build, project};
use kestrel_conformance::runner::run_on;
use kestrel_engine::query::typing::define_from_data;
use kestrel_schema::Schema;
use serde_json::Value as Json;

/// The rules of the project over the recording of the project: the alerts that the demonstration shows.
const DEMO: [&str; 9] = [
    "kestrel-discovery-burst",
    "kestrel-decode-then-shell",
    "kestrel-exec-from-temporary-folder",
    "kestrel-hidden-program",
    "kestrel-dropped-program-fails",
    "kestrel-setuid-bit-set",
    "kestrel-password-hashes-read",
    "kestrel-shell-opens-network-device",
    "kestrel-lingering-detached-program",
];

#[test]
fn the_demonstration_gives_its_alerts_on_every_runtime() {
    let project = project().expect("the project");
    let built = build(&[project.join("rules")]).expect("a pack");
    assert!(built.failed.is_empty(), "{:?}", built.failed);
    let recording = project.join("rules/demo/recording.klog");
    let reference = alerts(&built.pack, &recording, RUNTIMES[0]).expect("alerts");
    let rules: Vec<String> = reference
        .iter()
        .map(|line| {
            let alert: Json = serde_json::from_str(line).expect("an alert is JSON");
            alert["rule"]["id"].as_str().expect("a rule's id").to_owned()
        })
        .collect();
    assert_eq!(rules, DEMO);
    for runtime in RUNTIMES {
        assert_eq!(alerts(&built.pack, &recording, runtime).expect("alerts"), reference, "{}", runtime.name());
    }
}

/// The folder of real rules and recordings beside the project, if it is there.
fn shared_data() -> Option<PathBuf> {
    let folder = project().expect("the project").join("../shared/data");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: there is no folder of real rules and recordings beside the project");
    None
}

#[test]
fn real_rules_over_real_recordings_agree_on_every_runtime() {
    let Some(data) = shared_data() else { return };
    let built = build(&[data.join("rules")]).expect("a pack");
    println!("{} files are not EQL", built.skipped);
    assert!(built.failed.is_empty(), "{:#?}", built.failed);
    for name in ["linux_recording", "linux_log4shell_auditd", "linux_log4shell_sysmon", "windows_atomic"] {
        let recording = data.join("events").join(format!("{name}.ndjson.zst"));
        let reference = alerts(&built.pack, &recording, RUNTIMES[0]).expect("alerts");
        println!("{name}: {} alerts", reference.len());
        for runtime in RUNTIMES {
            let found = alerts(&built.pack, &recording, runtime).expect("alerts");
            assert!(found == reference, "{name}: {} gives other alerts", runtime.name());
        }
    }
}

#[test]
fn the_core_suite_gives_the_expected_events_on_every_runtime() {
    let Some(data) = shared_data() else { return };
    let suite = data.join("suites/elastic-core");
    let read = |name: &str| std::fs::read_to_string(suite.join(name)).expect(name);
    let mut schema = Schema::from_toml(&read("schema.toml")).expect("a schema");
    let events: Vec<Json> = serde_json::from_str(&read("events.json")).expect("events");
    let documents: Vec<Vec<u8>> = events.iter().map(|event| event.to_string().into_bytes()).collect();
    define_from_data(&mut schema, &documents);
    let queries: Json = serde_json::from_str(&read("queries.json")).expect("queries");
    let queries = queries["queries"].as_array().expect("a list of queries");
    for query in queries {
        check_query(query, &events, &documents, &schema);
    }
    println!("{} queries on {} runtimes", queries.len(), RUNTIMES.len());
}

fn check_query(query: &Json, events: &[Json], documents: &[Vec<u8>], schema: &Schema) {
    let text = query["query"].as_str().expect("a query");
    let (ir, diagnostics) = eqlc::compile::compile_query(text, schema, eqlc::syntax::Dialect::Elastic);
    let ir = ir.unwrap_or_else(|| panic!("{text}: {diagnostics:?}"));
    for runtime in RUNTIMES {
        let matches = run_on(runtime, &ir, schema, documents).unwrap_or_else(|error| panic!("{text}: {error:#}"));
        let numbers = matches.iter().flat_map(|found| found.documents.iter().flatten());
        let found: Vec<Json> = numbers.map(|&number| events[number]["serial_event_id"].clone()).collect();
        assert_eq!(Json::Array(found), query["expected_event_ids"], "{}: {text}", runtime.name());
    }
}
