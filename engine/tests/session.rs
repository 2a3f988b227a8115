//! Sessions: several packs over one stream, in order, the same from every kind of document source.

mod fixture;

use std::io::Cursor;

use fixture::{event, named, pack};
use kestrel_engine::input::{Document, Input, InputOptions, Item};
use kestrel_engine::runtime::RuntimeKind;
use kestrel_engine::session::{NamedPack, Replay, ReplayCounters, Session, SessionOptions, Verdict};
use serde_json::Value as Json;

fn options() -> SessionOptions {
    SessionOptions { runtime: RuntimeKind::Interp, ..SessionOptions::default() }
}

fn replay(packs: &[NamedPack], documents: &str) -> (Vec<(usize, String, Json)>, ReplayCounters, Session) {
    let told = replay_by(packs, documents, Replay::document);
    let queued = replay_by(packs, documents, Replay::queue);
    assert_eq!((&queued.0, queued.1), (&told.0, told.1), "a batch tells what single events tell");
    told
}

type Step = for<'r> fn(
    &'r mut Replay,
    &mut Session,
    &Document<'_>,
    &mut dyn FnMut(&kestrel_engine::session::Alert),
) -> Verdict<'r>;

fn replay_by(
    packs: &[NamedPack],
    documents: &str,
    step: Step,
) -> (Vec<(usize, String, Json)>, ReplayCounters, Session) {
    let mut session = Session::over_documents(packs, options()).expect("the packs run");
    let mut replay = Replay::new(&session);
    let reader = Cursor::new(documents.as_bytes().to_vec());
    let mut input = Input::from_reader("test", reader, InputOptions::default()).expect("it opens");
    let mut alerts = Vec::new();
    let mut sink = |alert: &kestrel_engine::session::Alert| {
        let json: Json = serde_json::from_str(&alert.line).expect("an alert is JSON");
        alerts.push((alert.pack, json["rule"]["id"].as_str().unwrap_or_default().to_owned(), json));
    };
    while let Some(item) = input.next_item().expect("it reads") {
        match item {
            Item::Document(document) => match step(&mut replay, &mut session, &document, &mut sink) {
                Verdict::Event(event) => assert!(event.timestamp > 0),
                Verdict::Invalid(error) => assert!(!error.to_string().is_empty()),
            },
            _ => replay.count_invalid(),
        }
    }
    session.finish(&mut sink);
    (alerts, replay.counters(), session)
}

fn told(alerts: &[(usize, String, Json)]) -> Vec<(usize, &str)> {
    alerts.iter().map(|(pack, rule, _)| (*pack, rule.as_str())).collect()
}

fn story() -> String {
    [
        event(0, "exec", "bash", "one"),
        "no event".to_owned(),
        event(5, "exec", "ls", "two"),
        "{}".to_owned(),
        event(10, "end", "bash", "one"),
        event(20, "exec", "sh", "three"),
        event(300, "exec", "ls", "four"),
    ]
    .join("\n")
}

#[test]
fn alerts_come_in_the_order_of_events() {
    let (alerts, counters, session) = replay(&[named("a", pack("@timestamp", &[]))], &story());
    assert_eq!(told(&alerts), [(0, "shell"), (0, "short"), (0, "shell"), (0, "long")]);
    assert_eq!(counters, ReplayCounters { events: 5, invalid: 2 });
    assert_eq!(session.counters().alerts, 4);
    assert_eq!(session.counters().events, 5);
    let (_, _, alert) = &alerts[1];
    assert_eq!(alert["@timestamp"], "2026-11-21T08:00:10.000Z");
    assert_eq!(alert["kestrel"]["kind"], "sequence");
    assert_eq!(alert["rule"]["risk_score"], 21);
}

#[test]
fn the_end_of_the_events_ends_what_is_waited_for() {
    let (alerts, ..) = replay(&[named("a", pack("@timestamp", &[]))], &event(0, "exec", "sh", "one"));
    assert_eq!(told(&alerts), [(0, "shell"), (0, "long")]);
}

#[test]
fn rules_that_are_switched_off_are_silent_and_counted() {
    let (alerts, _, session) = replay(&[named("a", pack("@timestamp", &["shell", "long"]))], &story());
    assert_eq!(told(&alerts), [(0, "short")]);
    assert_eq!(session.counters().disabled_matches, 3);
}

#[test]
fn several_packs_see_every_event_and_shared_rules_are_told() {
    let packs = [named("a", pack("@timestamp", &["short", "long"])), named("b", pack("@timestamp", &["long"]))];
    let (alerts, _, session) = replay(&packs, &story());
    assert_eq!(told(&alerts), [(0, "shell"), (1, "shell"), (1, "short"), (0, "shell"), (1, "shell")]);
    assert_eq!(session.warnings()[0], "rule `shell` is in a and in b: both run");
    assert_eq!(session.warnings().len(), 3);
    assert_ne!(alerts[0].2["kestrel"]["pack"], alerts[1].2["kestrel"]["pack"]);
}

#[test]
fn packs_that_read_time_differently_do_not_run_together() {
    let packs = [named("a", pack("@timestamp", &[])), named("b", pack("event.created", &[]))];
    let error = Session::over_documents(&packs, options()).err().expect("they disagree").to_string();
    assert!(
        error.starts_with("packs a and b cannot run together: the one reads an event's time from `@timestamp`"),
        "{error}"
    );
}

#[test]
fn no_pack_and_no_code_are_errors() {
    assert_eq!(Session::over_documents(&[], options()).err().expect("no pack").to_string(), "there is no pack to run");
    let packs = [named("a", pack("@timestamp", &[]))];
    let wasm = SessionOptions { runtime: RuntimeKind::Wasm, ..options() };
    let error = Session::over_documents(&packs, wasm).err().expect("no code").to_string();
    assert_eq!(error, "pack a cannot run: the pack has no code for the wasm runtime");
}

#[test]
fn two_replays_are_equal_byte_for_byte() {
    let packs = [named("a", pack("@timestamp", &[])), named("b", pack("@timestamp", &[]))];
    let documents: Vec<String> = (0..500)
        .map(|number| {
            let action = if number % 3 == 0 { "end" } else { "exec" };
            event(number * 7 % 3_000, action, ["sh", "ls", "bash"][number as usize % 3], &format!("p{}", number % 11))
        })
        .collect();
    let run = || replay(&packs, &documents.join("\n")).0;
    let first = run();
    assert!(first.len() > 100);
    assert_eq!(first, run());
}
