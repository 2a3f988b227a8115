//! Suppression: which alerts are told, what the summaries say, and that neither batches nor limits change or lose anything.

use std::collections::BTreeMap;

use kestrel_engine::config::Config;
use kestrel_engine::input::{Document, Input, InputOptions, Item};
use kestrel_engine::runtime::RuntimeKind;
use kestrel_engine::session::suppression::{SuppressionCounters, SuppressionOptions};
use kestrel_engine::session::{Alert, NamedPack, Replay, Session, SessionOptions};
use kestrel_ir::pack::{Pack, RuleInfo, SuppressionInfo};
use serde_json::{Value as Json, json};

use crate::fixture::{event, named, pack, pack_of};

const SECOND: i64 = 1_000_000_000;

/// The fixture's pack, whose rule `shell` asks for this.
fn suppressing(by: &[&str], window: i64, tell_missing: bool) -> Pack {
    let by: Vec<String> = by.iter().map(|name| (*name).to_owned()).collect();
    pack_of("@timestamp", |rule| match rule.id.as_str() {
        "shell" => RuleInfo { suppression: Some(SuppressionInfo { by: by.clone(), window, tell_missing }), ..rule },
        // One rule is enough to look at.
        _ => RuleInfo { enabled: false, ..rule },
    })
}

struct Outcome {
    lines: Vec<String>,
    counters: SuppressionCounters,
}

impl Outcome {
    /// Of each alert: the second of its time, the name of its process, and how many it stands for.
    fn short(&self) -> Vec<(String, String, u64)> {
        let short = |line: &String| {
            let json: Json = serde_json::from_str(line).expect("an alert");
            let time = json["@timestamp"].as_str().expect("a time");
            let name = json["events"][0]["process"]["name"].as_str().unwrap_or("-").to_owned();
            (time[14..19].to_owned(), name, json["kestrel"]["suppressed"]["count"].as_u64().unwrap_or(0))
        };
        self.lines.iter().map(short).collect()
    }
}

fn replay(packs: &[NamedPack], options: Option<&SuppressionOptions>, events: &[String], batched: bool) -> Outcome {
    let run = SessionOptions { runtime: RuntimeKind::Interp, ..SessionOptions::default() };
    let mut session = Session::over_documents(packs, run).expect("the packs run");
    if let Some(options) = options {
        session.suppress(packs, options).expect("the options fit");
    }
    let mut replay = Replay::new(&session);
    let mut lines = Vec::new();
    let mut take = |alert: &Alert| lines.push(alert.line.clone());
    let text = events.join("\n");
    let bytes = std::io::Cursor::new(text.into_bytes());
    let mut input = Input::from_reader("events", bytes, InputOptions::default()).expect("events");
    while let Some(Item::Document(document)) = input.next_item().expect("an item") {
        let document: &Document<'_> = &document;
        if batched {
            replay.queue(&mut session, document, &mut take);
        } else {
            replay.document(&mut session, document, &mut take);
        }
    }
    session.finish(&mut take);
    let counters = session.counters();
    assert_eq!(counters.alerts, lines.len() as u64);
    Outcome { lines, counters: counters.suppression }
}

/// Replays in both ways, which must give the same.
fn told(pack: Pack, options: Option<&SuppressionOptions>, events: &[String]) -> Outcome {
    let packs = [named("p", pack)];
    let (one, many) = (replay(&packs, options, events, false), replay(&packs, options, events, true));
    assert_eq!(one.lines, many.lines, "a batch changes nothing");
    one
}

fn check(outcome: &Outcome, expected: &[(&str, &str, u64)]) {
    let expected: Vec<_> =
        expected.iter().map(|(time, name, count)| ((*time).to_owned(), (*name).to_owned(), *count)).collect();
    assert_eq!(outcome.short(), expected);
}

fn exec(second: u32, name: &str) -> String {
    event(second, "exec", name, &format!("entity{second}"))
}

#[test]
fn the_first_is_told_and_the_others_are_summed_up_when_the_window_ends() {
    let events = [
        exec(0, "bash"),
        exec(10, "bash"),
        exec(11, "sh"),
        exec(59, "bash"),
        // Ends the window of `bash`, and not that of `sh`.
        exec(60, "ls"),
        exec(70, "sh"),
        exec(75, "bash"),
        exec(80, "bash"),
    ];
    let outcome = told(suppressing(&["process.name"], 60 * SECOND, false), None, &events);
    let expected = [
        ("00:00", "bash", 0),
        ("00:11", "sh", 0),
        ("00:59", "bash", 2),
        // 00:70 is within the window of 00:11, and ends with 00:75.
        ("01:10", "sh", 1),
        ("01:15", "bash", 0),
        ("01:20", "bash", 1),
    ];
    check(&outcome, &expected);
    assert_eq!(outcome.counters, SuppressionCounters { suppressed: 4, summaries: 3, groups: 0, evicted: 0 });
    let summary: Json = serde_json::from_str(&outcome.lines[2]).expect("an alert");
    let expected = json!({
        "count": 2,
        "first": "2026-11-21T08:00:10.000Z",
        "last": "2026-11-21T08:00:59.000Z",
        "by": { "process.name": "bash" },
    });
    assert_eq!(summary["kestrel"]["suppressed"], expected);
    let message = "Rule shell: 2 more alerts, suppressed from 2026-11-21T08:00:10.000Z to 2026-11-21T08:00:59.000Z";
    assert_eq!(summary["message"], message);
    assert_eq!(summary["events"][0]["process"]["entity_id"], "entity59", "the last one's event");
    let ids: std::collections::HashSet<String> = outcome
        .lines
        .iter()
        .map(|line| serde_json::from_str::<Json>(line).expect("an alert")["event"]["id"].to_string())
        .collect();
    assert_eq!(ids.len(), outcome.lines.len(), "each alert has an id of its own");
}

#[test]
fn without_fields_all_alerts_of_the_rule_are_alike() {
    let events = [exec(0, "bash"), exec(1, "sh"), exec(2, "bash")];
    check(&told(suppressing(&[], SECOND * 60, false), None, &events), &[("00:00", "bash", 0), ("00:02", "bash", 2)]);
}

#[test]
fn a_field_that_is_missing_is_a_value_or_a_reason_to_tell() {
    let without = |second: u32| {
        format!(
            r#"{{"@timestamp":"2026-11-21T08:00:{second:02}Z","event":{{"category":["process"],"action":"exec"}},"process":{{"name":"sh"}}}}"#
        )
    };
    let events = [without(0), without(1), without(2)];
    let by = ["process.entity_id"];
    check(&told(suppressing(&by, SECOND * 60, false), None, &events), &[("00:00", "sh", 0), ("00:02", "sh", 2)]);
    let all = [("00:00", "sh", 0), ("00:01", "sh", 0), ("00:02", "sh", 0)];
    check(&told(suppressing(&by, SECOND * 60, true), None, &events), &all);
}

#[test]
fn a_time_far_in_the_future_silences_nothing_that_follows() {
    let future = exec(0, "bash").replace("2026-", "2099-");
    let events = [exec(0, "bash"), exec(1, "bash"), future, exec(2, "bash"), exec(3, "bash")];
    let outcome = told(suppressing(&[], SECOND * 60, false), None, &events);
    let expected =
        [("00:00", "bash", 0), ("00:01", "bash", 1), ("00:00", "bash", 0), ("00:02", "bash", 0), ("00:03", "bash", 0)];
    check(&outcome, &expected);
}

#[test]
fn without_room_the_group_used_longest_ago_ends_and_is_summed_up() {
    let events = [exec(0, "bash"), exec(1, "bash"), exec(2, "sh"), exec(3, "bash"), exec(4, "sh")];
    let options = SuppressionOptions { max_groups: 1, ..SuppressionOptions::default() };
    let outcome = told(suppressing(&["process.name"], SECOND * 60, false), Some(&options), &events);
    let expected =
        [("00:00", "bash", 0), ("00:01", "bash", 1), ("00:02", "sh", 0), ("00:03", "bash", 0), ("00:04", "sh", 0)];
    check(&outcome, &expected);
    assert_eq!(outcome.counters.evicted, 3);
}

#[test]
fn the_operators_word_goes_before_the_rules() {
    let events = [exec(0, "bash"), exec(1, "bash"), event(2, "end", "bash", "entity1")];
    let of = |text: &str| Config::parse(text).expect("a configuration").suppress;
    let own = || suppressing(&[], SECOND * 60, false);
    let counts = |pack: Pack, text: &str| told(pack, Some(&of(text)), &events).counters.suppressed;
    assert_eq!(counts(own(), ""), 1);
    assert_eq!(counts(own(), "[suppress]\noff = true"), 0);
    assert_eq!(counts(own(), "[suppress.shell]\noff = true"), 0);
    assert_eq!(counts(own(), "[suppress.shell]\nby = ['process.entity_id']\nfor = '1m'"), 0);
    assert_eq!(counts(own(), "[suppress]\nby = ['process.entity_id']\nfor = '1m'"), 1, "the rule's own goes before");
    assert_eq!(counts(pack("@timestamp", &[]), "[suppress]\nfor = '1m'"), 1);
    assert_eq!(counts(pack("@timestamp", &[]), "[suppress]\nby = ['process.entity_id']\nfor = '1m'"), 0);
}

#[test]
fn a_field_that_the_pack_does_not_keep_is_an_error_and_an_unknown_rule_a_warning() {
    let packs = [named("p", pack("@timestamp", &[]))];
    let run = SessionOptions { runtime: RuntimeKind::Interp, ..SessionOptions::default() };
    let mut session = Session::over_documents(&packs, run).expect("the packs run");
    let of = |text: &str| Config::parse(text).expect("a configuration").suppress;
    let error = session.suppress(&packs, &of("[suppress]\nby = ['user.name']\nfor = '1m'")).expect_err("no such field");
    assert_eq!(
        error.to_string(),
        "pack p keeps no field `user.name`, by which alerts of rule `shell` are to be suppressed"
    );
    session.suppress(&packs, &of("[suppress.shel]\noff = true")).expect("a warning alone");
    assert!(session.warnings().iter().any(|warning| warning.contains("no pack has the rule `shel`")));
    assert_eq!(SuppressionOptions::default().rules, BTreeMap::new());
}
