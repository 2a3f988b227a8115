//! Replays in threads: the same bytes as with one, whatever the number of threads, with broken lines, several packs,
//! suppression, disorder, a resumed file; and the options that ask for it.

mod fixture;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Cursor;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use fixture::{event, folder, named, pack, pack_of};
use kestrel_engine::input::{Input, InputOptions};
use kestrel_engine::klog::TimeRange;
use kestrel_engine::runtime::RuntimeKind;
use kestrel_engine::session::parallel::{Chunk, ChunkItem, ChunkLimits, Feed, Worker, feed_input, pipeline};
use kestrel_engine::session::suppression::{Asked, Missing, Suppression, SuppressionOptions};
use kestrel_engine::session::{
    NamedPack, PreparedPacks, ReorderOptions, Replay, Session, SessionCounters, SessionOptions, TimeFilter, Verdict,
};

/// How many threads must not matter.
const THREADS: [usize; 5] = [1, 2, 4, 8, 16];
const SECOND: i64 = 1_000_000_000;

/// What a replay tells.
#[derive(Debug, Default, PartialEq)]
struct Told {
    alerts: Vec<String>,
    invalid: Vec<String>,
    recorded: Vec<(i64, u64, Vec<u8>)>,
    counters: SessionCounters,
}

/// How to replay.
#[derive(Debug, Clone, Default)]
struct Asking {
    reorder: ReorderOptions,
    suppression: SuppressionOptions,
    range: TimeRange,
}

fn input(documents: &str) -> Input {
    Input::from_reader("test", Cursor::new(documents.as_bytes().to_vec()), InputOptions { max_document: 400 })
        .expect("it opens")
}

fn session(prepared: &PreparedPacks<'_>, packs: &[NamedPack], asking: &Asking) -> Session {
    let mut session = Session::of_documents(prepared).expect("a session");
    session.suppress(packs, &asking.suppression).expect("the fields are there");
    session.reorder(asking.reorder);
    session
}

fn prepared(packs: &[NamedPack]) -> PreparedPacks<'_> {
    let options = SessionOptions { runtime: RuntimeKind::Interp, ..SessionOptions::default() };
    PreparedPacks::new(packs, options, None).expect("the packs run")
}

/// A replay on one thread, event by event.
fn replay(packs: &[NamedPack], documents: &str, asking: &Asking) -> Told {
    let prepared = prepared(packs);
    let mut session = session(&prepared, packs, asking);
    let mut replay = Replay::new(&session);
    let mut times = TimeFilter::new(session.event_fields(), asking.range);
    let (mut input, mut told) = (input(documents), Told::default());
    while let Some(item) = input.next_item().expect("it reads") {
        let alerts = &mut told.alerts;
        let mut sink = |alert: &kestrel_engine::session::Alert| alerts.push(alert.line.clone());
        match item {
            kestrel_engine::input::Item::Document(document) if !times.passes(&document) => {}
            kestrel_engine::input::Item::Document(document) => {
                match replay.document(&mut session, &document, &mut sink) {
                    Verdict::Event(event) => {
                        told.recorded.push((event.timestamp, event.ordinal, document.bytes.to_vec()));
                    }
                    Verdict::Invalid(error) => told.invalid.push(format!("{}: {error}", document.line)),
                }
            }
            kestrel_engine::input::Item::Invalid { line, reason } => {
                replay.count_invalid();
                told.invalid.push(format!("{line}: {reason}"));
            }
            kestrel_engine::input::Item::Damaged { message } => told.invalid.push(message),
        }
    }
    session.finish(&mut |alert| told.alerts.push(alert.line.clone()));
    told.counters = steady(session.counters());
    told
}

/// The same in threads, in chunks of so many documents.
fn replay_in_threads(packs: &[NamedPack], documents: &str, asking: &Asking, threads: usize, items: usize) -> Told {
    let prepared = prepared(packs);
    let mut session = session(&prepared, packs, asking);
    let mut replay = Replay::new(&session);
    let workers = Worker::many(threads, &session, &prepared, asking.range).expect("workers");
    let workers: Vec<_> = workers.into_iter().map(|mut worker| move |chunk: &mut Chunk| worker.work(chunk)).collect();
    let mut told = Told::default();
    let limits = ChunkLimits { items, bytes: 100_000 };
    let feed = |feed: &mut Feed<Chunk>| {
        feed_input(feed, &mut input(documents), limits, &|| false);
    };
    let take = |chunk: &mut Chunk| {
        replay.take_chunk(&mut session, chunk, &mut |alert| told.alerts.push(alert.line.clone()));
        for item in chunk.items() {
            match item {
                ChunkItem::Event(head, bytes) => told.recorded.push((head.timestamp, head.ordinal, bytes.to_vec())),
                ChunkItem::Invalid { line, reason } => told.invalid.push(format!("{line}: {reason}")),
                ChunkItem::Damaged { message } => told.invalid.push(message.to_owned()),
            }
        }
        true
    };
    assert_eq!(pipeline::run(feed, workers, take), Ok(()));
    session.finish(&mut |alert| told.alerts.push(alert.line.clone()));
    assert_eq!(replay.counters().events, told.recorded.len() as u64);
    assert_eq!(replay.counters().invalid, told.invalid.len() as u64);
    told.counters = steady(session.counters());
    told
}

/// The counters without those that depend on which thread saw which events before.
fn steady(mut counters: SessionCounters) -> SessionCounters {
    (counters.matcher.dispatched, counters.matcher.candidates) = (0, 0);
    counters
}

fn check(packs: &[NamedPack], documents: &str, asking: &Asking) -> Told {
    let expected = replay(packs, documents, asking);
    for threads in THREADS {
        for items in [1, 7, 64, 1000] {
            let told = replay_in_threads(packs, documents, asking, threads, items);
            assert!(told == expected, "{threads} threads, chunks of {items}: {told:#?} instead of {expected:#?}");
        }
    }
    expected
}

/// So many lines: events in order, and now and then something that is none.
fn lines(count: u32) -> Vec<String> {
    let names = ["bash", "ls", "sh", "cat"];
    let one = |number: u32| match number % 17 {
        5 => "no event".to_owned(),
        11 => format!(r#"{{"number":{number}}}"#),
        13 if number.is_multiple_of(3) => format!(r#"{{"long":"{}"}}"#, "x".repeat(500)),
        _ => {
            let action = if number % 5 == 3 { "end" } else { "exec" };
            event(number / 3, action, names[number as usize % names.len()], &format!("e{}", number % 31))
        }
    };
    (0..count).map(one).collect()
}

fn two_packs() -> [NamedPack; 2] {
    let renamed =
        pack_of("@timestamp", |rule| kestrel_ir::pack::RuleInfo { name: format!("other {}", rule.id), ..rule });
    [named("one", pack("@timestamp", &["short"])), named("two", renamed)]
}

#[test]
fn threads_and_chunks_change_no_alert_no_message_and_no_counter() {
    let told = check(&two_packs(), &lines(700).join("\n"), &Asking::default());
    assert!(told.alerts.len() > 200 && told.invalid.len() > 80, "{} {}", told.alerts.len(), told.invalid.len());
    assert!(told.counters.sequences.completed > 0 && told.counters.disabled_matches > 0);
}

#[test]
fn a_range_of_times_leaves_out_the_same_documents() {
    let begin = 1_795_248_000 * SECOND;
    let range = TimeRange { from: begin + 20 * SECOND, to: begin + 90 * SECOND };
    let told = check(&two_packs(), &lines(500).join("\n"), &Asking { range, ..Asking::default() });
    assert!(told.recorded.len() > 100 && told.recorded.len() < 300, "{}", told.recorded.len());
}

#[test]
fn suppression_tells_the_same_summaries() {
    let asked = Suppression { by: vec!["process.name".to_owned()], window: 10 * SECOND, missing: Missing::Suppress };
    let suppression = SuppressionOptions { default: Some(Asked::Suppression(asked)), ..SuppressionOptions::default() };
    let told = check(&two_packs(), &lines(600).join("\n"), &Asking { suppression, ..Asking::default() });
    assert!(told.counters.suppression.summaries > 10, "{:?}", told.counters.suppression);
}

/// Events that come up to `by` places after their turn, in an order that is the same in every run.
fn disordered(mut lines: Vec<String>, by: usize) -> Vec<String> {
    let mut state = 88_172_645_463_325_252_u64;
    for place in 0..lines.len() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let other = (place + state as usize % by).min(lines.len() - 1);
        lines.swap(place, other);
    }
    lines
}

/// The same lines sorted by their timestamps, those of one time in the order of arrival.
fn sorted(lines: &[String]) -> Vec<String> {
    let mut by_time: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines {
        by_time.entry(line.chars().take(36).collect()).or_default().push(line.clone());
    }
    by_time.into_values().flatten().collect()
}

#[test]
fn reordered_events_give_the_alerts_of_sorted_ones() {
    let only_events = lines(600).into_iter().filter(|line| line.starts_with(r#"{"@timestamp"#)).collect();
    let came = disordered(only_events, 12);
    let packs = two_packs();
    let in_disorder = check(&packs, &came.join("\n"), &Asking::default());
    let model = replay(&packs, &sorted(&came).join("\n"), &Asking::default());
    assert_ne!(in_disorder.alerts, model.alerts, "disorder matters, or this test shows nothing");
    let enough = ReorderOptions { bound: 300 * SECOND, ..ReorderOptions::default() };
    let reordered = check(&packs, &came.join("\n"), &Asking { reorder: enough, ..Asking::default() });
    assert_eq!(reordered.alerts, model.alerts);
    assert_eq!(reordered.counters.matcher.late, 0);
    let asked = Suppression { by: vec!["process.name".to_owned()], window: 10 * SECOND, missing: Missing::Suppress };
    let suppression = SuppressionOptions { default: Some(Asked::Suppression(asked)), ..SuppressionOptions::default() };
    let of_sorted =
        replay(&packs, &sorted(&came).join("\n"), &Asking { suppression: suppression.clone(), ..Asking::default() });
    let range = TimeRange::default();
    let suppressed = check(&packs, &came.join("\n"), &Asking { reorder: enough, suppression, range });
    assert_eq!(suppressed.alerts, of_sorted.alerts);
    let little = ReorderOptions { bound: 300 * SECOND, events: 3 };
    let told = check(&packs, &came.join("\n"), &Asking { reorder: little, ..Asking::default() });
    let counters = &told.counters;
    assert!(counters.matcher.late_beyond_bound > 0 && counters.reorder.left_early > 0, "{counters:?}");
    assert_eq!(counters.events, came.len() as u64, "what is late is still shown to rules of single events");
    let shells = |told: &Told| told.alerts.iter().filter(|line| line.contains(r#""id":"shell""#)).count();
    assert_eq!(shells(&told), shells(&model));
}

fn command(folder: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kestrel-engine"))
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("the command starts")
}

/// A folder with a pack, a file of events and a file of events in disorder.
fn files(test: &str) -> std::path::PathBuf {
    let folder = folder(test);
    std::fs::write(folder.join("p.kpkg"), pack("@timestamp", &[]).bytes()).expect("a file");
    let lines = lines(3000);
    std::fs::write(folder.join("e.ndjson"), lines.join("\n")).expect("a file");
    std::fs::write(folder.join("d.ndjson"), disordered(lines, 9).join("\n")).expect("a file");
    folder
}

/// Standard error without what tells the time taken.
fn words(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().map(|line| line.split(", runtime").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_command_gives_the_same_bytes_records_and_warnings() {
    let folder = files("threads_command");
    for more in ["", "--reorder 3s", "--since 2026-11-21T08:00:30Z --until 2026-11-21T08:09:00Z"] {
        let mut expected: Option<(Vec<u8>, Vec<String>, Vec<u8>)> = None;
        for threads in THREADS {
            let arguments = format!(
                "--pack p.kpkg --runtime interp --replay e.ndjson d.ndjson --threads {threads} --record r{threads}.klog {more}"
            );
            let _ = std::fs::remove_file(folder.join(format!("r{threads}.klog")));
            let output = command(&folder, &arguments);
            assert!(output.status.success(), "{arguments}: {output:?}");
            let exported = command(&folder, &format!("log export r{threads}.klog")).stdout;
            let found = (output.stdout.clone(), words(&output), exported);
            let expected = expected.get_or_insert_with(|| found.clone());
            assert!(found.0 == expected.0, "{arguments}: other alerts");
            assert_eq!(found.1, expected.1, "{arguments}");
            assert!(found.2 == expected.2 && !found.2.is_empty(), "{arguments}: another recording");
            // A replay of what was recorded is the run.
            let again = format!("--pack p.kpkg --runtime interp --replay r{threads}.klog --threads {threads} {more}");
            assert!(command(&folder, &again).stdout == expected.0, "{again}: other alerts");
        }
    }
}

#[test]
fn a_killed_replay_goes_on_with_threads() {
    let folder = files("threads_resume");
    let whole = command(&folder, "--pack p.kpkg --runtime interp --replay e.ndjson").stdout;
    for (cut, threads) in [(0, 4), (1, 2), (whole.len() / 2, 3), (whole.len(), 8)] {
        std::fs::write(folder.join("a"), &whole[..cut]).expect("a file");
        let arguments =
            format!("--pack p.kpkg --runtime interp --replay e.ndjson --alerts a --resume --threads {threads}");
        let output = command(&folder, &arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(std::fs::read(folder.join("a")).expect("the alerts") == whole, "{cut} {threads}");
    }
}

#[test]
fn a_reader_that_goes_away_and_a_file_that_fails_end_the_threads() {
    let folder = files("threads_end");
    let mut child = Command::new(env!("CARGO_BIN_EXE_kestrel-engine"))
        .args("--pack p.kpkg --runtime interp --replay e.ndjson e.ndjson e.ndjson --threads 4".split_whitespace())
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command starts");
    drop(child.stdout.take());
    assert!(child.wait().expect("it ends").success());
    let (utf16, texts) = (folder.join("utf16"), [1, 4].map(|threads| format!("--threads {threads}")));
    std::fs::write(&utf16, b"\xFF\xFE{\0}\0").expect("a file");
    let outputs = texts.map(|threads| {
        command(&folder, &format!("--pack p.kpkg --runtime interp --replay e.ndjson utf16 e.ndjson {threads}"))
    });
    for output in &outputs {
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("UTF-16"), "{output:?}");
    }
    assert!(outputs[0].stdout == outputs[1].stdout && !outputs[0].stdout.is_empty());
    assert_eq!(words(&outputs[0]), words(&outputs[1]));
}

#[test]
fn an_interrupted_replay_ends_with_130_and_the_beginning_of_its_alerts() {
    let folder = files("threads_interrupted");
    let replay = |times: usize| format!("--pack p.kpkg --runtime interp --replay{}", " e.ndjson".repeat(times));
    let whole = command(&folder, &replay(3)).stdout;
    // Far more than is replayed before the signal comes.
    let mut child = Command::new(env!("CARGO_BIN_EXE_kestrel-engine"))
        .args(format!("{} --threads 4 --alerts a", replay(2000)).split_whitespace())
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command starts");
    while std::fs::metadata(folder.join("a")).map_or(0, |metadata| metadata.len()) == 0 {
        assert!(child.try_wait().expect("the child").is_none(), "it ended before the signal");
        std::thread::yield_now();
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill starts");
    assert!(killed.success());
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    let alerts = std::fs::read(folder.join("a")).expect("the alerts");
    let both = alerts.len().min(whole.len());
    assert!(both > 0 && alerts.ends_with(b"\n") && alerts[..both] == whole[..both], "{} {}", alerts.len(), whole.len());
}

#[test]
fn the_configuration_and_the_statistics_know_threads_and_order() {
    let folder = files("threads_config");
    let config = "pack = ['p.kpkg']\nruntime = 'interp'\nthreads = 3\nstats = 'json'\n[events]\nreorder = '2s'\n";
    std::fs::write(folder.join("c.toml"), config).expect("a file");
    let stats = |arguments: &str| -> serde_json::Value {
        let output = command(&folder, arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_str(text.lines().last().unwrap_or_default()).expect(&text)
    };
    let configured = stats("--config c.toml --replay d.ndjson");
    assert_eq!(configured["threads"], 3);
    assert!(configured["reorder"]["most_waiting"].as_u64() > Some(3), "{configured}");
    let asked = stats("--config c.toml --replay d.ndjson --threads 2 --reorder 0");
    assert_eq!((&asked["threads"], &asked["reorder"]["most_waiting"]), (&2.into(), &0.into()));
    assert!(asked["matcher"]["late"].as_u64() > Some(0), "{asked}");
    let mut wrong = String::new();
    for (text, says) in [
        ("[events]\nreorder = 'soon'", "expected a length of time"),
        ("[events]\nreorder_events = 0", "`events.reorder_events` is from 1 to"),
        ("threads = 65", "expected a number of threads from 1 to 64"),
    ] {
        std::fs::write(folder.join("w.toml"), format!("pack = ['p.kpkg']\n{text}\n")).expect("a file");
        let output = command(&folder, "--config w.toml --replay e.ndjson");
        assert_eq!(output.status.code(), Some(2));
        let _ = writeln!(wrong, "{}", String::from_utf8_lossy(&output.stderr));
        assert!(wrong.contains(says), "{wrong}");
    }
}
