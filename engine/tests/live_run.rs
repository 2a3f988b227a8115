//! Live engines that are told something while they run: other packs in the place of those that run (what goes on, what is let
//! go), kinds that are bypassed, losses.

mod fixture;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fixture::{event, folder, named, pack, pack_from};
use kestrel_engine::runtime::RuntimeKind;
use kestrel_engine::session::{NamedPack, Reloaded, Replay, Session, SessionOptions};
use kestrel_ir::pack::RuleInfo;
use serde_json::Value as Json;

fn session(packs: &[NamedPack]) -> Session {
    let options = SessionOptions { runtime: RuntimeKind::Interp, ..SessionOptions::default() };
    Session::over_documents(packs, options).expect("the packs run")
}

/// The fixture's pack, and one that differs in a name alone.
fn two() -> (NamedPack, NamedPack) {
    let other = fixture::pack_of("@timestamp", |rule| RuleInfo { name: format!("{} anew", rule.name), ..rule });
    (named("a", pack("@timestamp", &[])), named("b", other))
}

/// Gives these events, then has `new` run, then gives the others; the alerts, and what became of the state.
fn switched(
    old: &[NamedPack],
    new: &[NamedPack],
    before: &[String],
    after: &[String],
) -> (Vec<String>, Reloaded, Session) {
    let mut session = session(old);
    let mut replay = Replay::new(&session);
    let mut alerts = Vec::new();
    let mut give = |session: &mut Session, lines: &[String], alerts: &mut Vec<String>| {
        for (line, text) in (1_u64..).zip(lines) {
            let document = kestrel_engine::input::Document { line, bytes: text.as_bytes(), record: None };
            replay.queue(session, &document, &mut |alert| alerts.push(alert.line.clone()));
        }
    };
    give(&mut session, before, &mut alerts);
    let reloaded = session.replace(self::session(new), &mut |alert| alerts.push(alert.line.clone()));
    give(&mut session, after, &mut alerts);
    session.finish(&mut |alert| alerts.push(alert.line.clone()));
    (alerts, reloaded, session)
}

fn rules(alerts: &[String]) -> Vec<String> {
    let name =
        |line: &String| serde_json::from_str::<Json>(line).expect("JSON")["rule"]["name"].as_str().map(str::to_owned);
    alerts.iter().map(|line| name(line).expect("a name")).collect()
}

#[test]
fn an_unchanged_pack_goes_on_with_all_that_it_remembers() {
    let (a, _) = two();
    let events = [event(0, "exec", "bash", "one"), event(1, "exec", "sh", "two"), event(5, "end", "bash", "one")];
    let (alerts, reloaded, session) =
        switched(std::slice::from_ref(&a), std::slice::from_ref(&a), &events[..2], &events[2..]);
    let (expected, _, unchanged) = switched(std::slice::from_ref(&a), std::slice::from_ref(&a), &[], &events);
    assert_eq!(alerts, expected, "a reload between two events changes no alert");
    assert_eq!(reloaded, Reloaded { unchanged_packs: 1, ..Reloaded::default() });
    assert_eq!(session.counters(), unchanged.counters());
}

#[test]
fn a_changed_pack_begins_anew_and_what_is_let_go_is_counted() {
    let (a, b) = two();
    let before = [event(0, "exec", "bash", "one")];
    let after = [event(1, "end", "bash", "one"), event(2, "exec", "sh", "two")];
    let (alerts, reloaded, session) = switched(&[a], &[b], &before, &after);
    assert_eq!(rules(&alerts), ["Rule shell", "Rule shell anew", "Rule long anew"]);
    assert_eq!((reloaded.unchanged_packs, reloaded.partial_matches_dropped), (0, 2));
    let counters = session.counters();
    assert_eq!((counters.events, counters.alerts, counters.matcher.events), (3, 3, 3), "counting goes on");
    assert_eq!(counters.sequences.started, 4);
}

/// A live engine of ours, which ends when it is dropped.
struct Engine {
    folder: PathBuf,
    child: Child,
}

/// Rules over the start of programs of this name: single events, and a start with its end.
fn live_rules(name: &str) -> String {
    format!(
        r#"
field f0 event.category : keyword
field f1 process.name : keyword
field f2 process.entity_id : keyword
field f3 event.action : keyword
atom a0 = f0 exact ["process"]
atom a1 = f1 exact ["{name}"]
atom a2 = f3 exact ["exec"]
atom a3 = f3 exact ["end"]
node n0 = a1
node n1 = a2
node n2 = a3
node n3 = and n0 n1
node n4 = and n0 n2
predicate p0 = a0 where n3
predicate p1 = a0 where n4
rule "started" = event p0
rule "whole" = sequence maxspan 5m {{
  step p0 by f2
  step p1 by f2
}}
"#
    )
}

fn write_pack(path: &Path, rules: &str, title: &str) {
    let pack = pack_from(rules, "@timestamp", |rule| RuleInfo { name: format!("{title} {}", rule.id), ..rule });
    // Whoever reads it meanwhile reads the old one or the new.
    let aside = path.with_extension("new");
    std::fs::write(&aside, pack.bytes()).expect("a file");
    std::fs::rename(&aside, path).expect("the same folder");
}

impl Engine {
    /// Starts an engine with the packs of the folder; `None`, with the reason printed, where live events cannot be had.
    fn start(folder: &Path, packs: &str) -> Option<Engine> {
        let arguments = format!("--pack {packs} --runtime interp --control c.sock --alerts alerts.ndjson");
        let mut child = Command::new(env!("CARGO_BIN_EXE_kestrel-engine"))
            .args(arguments.split_whitespace())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("stderr")).expect("a file"))
            .spawn()
            .expect("the engine starts");
        let said = || std::fs::read_to_string(folder.join("stderr")).unwrap_or_default();
        let begun = Instant::now();
        while !said().contains("live on this host") {
            if child.try_wait().expect("a status").is_some() {
                let said = said();
                assert!(said.contains("cap_bpf") || said.contains("BTF"), "the engine ended: {said}");
                eprintln!("skipped: {said}");
                return None;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "the engine does not begin: {}", said());
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Engine { folder: folder.to_owned(), child })
    }

    fn ctl(&self, arguments: &str) -> (bool, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_kestrel-engine"))
            .args(["ctl", "--control", "c.sock"])
            .args(arguments.split_whitespace())
            .current_dir(&self.folder)
            .output()
            .expect("the command starts");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (output.status.success(), text(output.stdout), text(output.stderr))
    }

    fn status(&self) -> Json {
        let (ok, out, error) = self.ctl("status --output json");
        assert!(ok, "{error}");
        serde_json::from_str(&out).expect("JSON")
    }

    fn alerts(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join("alerts.ndjson")).unwrap_or_default();
        rules(&text.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    /// Waits for an alert with this name of its rule, so many times.
    fn wait_for(&self, name: &str, count: usize) {
        let begun = Instant::now();
        let found = || self.alerts().iter().filter(|alert| *alert == name).count();
        while found() < count {
            assert!(begun.elapsed() < Duration::from_secs(20), "{} of {count} `{name}`: {}", found(), self.status());
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(found(), count, "{name}");
    }

    /// Ends the run; its statistics.
    fn end(mut self) -> String {
        signal(&self.child, "TERM");
        assert!(self.child.wait().expect("it ends").success());
        std::fs::read_to_string(self.folder.join("stderr")).expect("its words")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(status.expect("`kill` starts").success());
}

/// A program of our own, whose name no other process has.
fn program(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::copy("/bin/sleep", &path).expect("a copy");
    path
}

fn run(program: &Path) {
    assert!(Command::new(program).arg("0").status().expect("it starts").success());
}

#[test]
fn a_live_run_reloads_refuses_and_goes_back() {
    let folder = folder("reload-live");
    let (first, second) = (program(&folder, "kestrel-rl-a"), program(&folder, "kestrel-rl-b"));
    write_pack(&folder.join("p.kpkg"), &live_rules("kestrel-rl-a"), "One");
    write_pack(&folder.join("q.kpkg"), &live_rules("kestrel-rl-b"), "Two");
    let Some(engine) = Engine::start(&folder, "p.kpkg q.kpkg") else { return };
    assert_eq!(engine.status()["reload"]["epoch"], 0);
    let (ok, _, error) = engine.ctl("rollback");
    assert!(!ok && error.contains("there is nothing to go back to"), "{error}");

    // A process that starts before the reloads and ends behind them: its pack does not change.
    let mut sleeper = Command::new(&second).arg("1000").spawn().expect("it starts");
    engine.wait_for("Two started", 1);
    run(&first);
    engine.wait_for("One whole", 1);

    write_pack(&folder.join("p.kpkg"), &live_rules("kestrel-rl-a"), "Three");
    let (ok, out, error) = engine.ctl("reload");
    assert!(ok, "{error}");
    assert!(out.contains("reload done, epoch 1, 1 pack unchanged"), "{out}");
    run(&first);
    engine.wait_for("Three whole", 1);
    engine.wait_for("One started", 1);

    std::fs::write(folder.join("p.kpkg"), b"no pack").expect("a file");
    let (ok, _, error) = engine.ctl("reload");
    assert!(
        !ok && error.contains("the reload failed, and the packs that ran go on: pack p.kpkg is refused"),
        "{error}"
    );
    std::fs::remove_file(folder.join("p.kpkg")).expect("it is there");
    signal(&engine.child, "HUP");
    let begun = Instant::now();
    while engine.status()["reload"]["failed"] != 2 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", engine.status());
    }
    run(&first);
    engine.wait_for("Three whole", 2);

    let (ok, out, error) = engine.ctl("rollback --output json");
    assert!(ok, "{error}");
    let answer: Json = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&answer["epoch"], &answer["failed"]), (&2.into(), &2.into()));
    run(&first);
    engine.wait_for("One whole", 2);
    sleeper.kill().expect("it runs");
    sleeper.wait().expect("it ends");
    engine.wait_for("Two whole", 1);
    let status = engine.status();
    assert_eq!(status["ledger"]["dropped"], 0, "{status}");
    let said = engine.end();
    assert!(said.contains("packs replaced 2 times"), "{said}");
    assert!(!said.contains("does not balance"), "{said}");
}

#[test]
fn no_event_is_lost_by_reloads() {
    const PROGRAMS: usize = 150;
    let folder = folder("reload-lost");
    let own = program(&folder, "kestrel-rl-c");
    write_pack(&folder.join("p.kpkg"), &live_rules("kestrel-rl-c"), "Each");
    let Some(engine) = Engine::start(&folder, "p.kpkg") else { return };
    let load = std::thread::spawn(move || (0..PROGRAMS).for_each(|_| run(&own)));
    let mut reloads = 0;
    while !load.is_finished() {
        // The second rule's name differs each time, so that it is another pack.
        let rules = live_rules("kestrel-rl-c").replace("\"whole\"", &format!("\"whole{reloads}\""));
        write_pack(&folder.join("p.kpkg"), &rules, "Each");
        let (ok, _, error) = engine.ctl("reload");
        assert!(ok, "{error}");
        reloads += 1;
    }
    load.join().expect("the programs ran");
    engine.wait_for("Each started", PROGRAMS);
    let status = engine.status();
    assert_eq!((&status["ledger"]["dropped"], &status["reload"]["epoch"]), (&0.into(), &reloads.into()), "{status}");
    engine.end();
}

#[test]
fn a_bypassed_kind_is_neither_produced_nor_given_to_rules() {
    let folder = folder("bypass-live");
    let own = program(&folder, "kestrel-rl-d");
    let rules = live_rules("kestrel-rl-d")
        + r#"
atom a4 = f0 exact ["file"]
atom a5 = f3 exact ["creation"]
node n5 = a5
predicate p2 = a4 where n5
rule "files" = event p2
"#;
    // Entries of one kind stand together.
    let mut lines: Vec<&str> = rules.lines().collect();
    lines.sort_by_key(|line| {
        let kinds = ["field", "atom", "node", "predicate"];
        kinds.iter().position(|kind| line.starts_with(kind)).unwrap_or(kinds.len())
    });
    write_pack(&folder.join("p.kpkg"), &lines.join("\n"), "By");
    let Some(engine) = Engine::start(&folder, "p.kpkg") else { return };
    assert_eq!(engine.status()["bypass"], serde_json::json!({"kinds": [], "blind_rules": 0, "narrowed_rules": 0}));
    let (_, out, _) = engine.ctl("explain files");
    let whole = "  kernel  file_create: all come, because what the rule asks of them cannot be compared in the kernel, or is too much for it\n";
    assert!(out.contains(whole), "{out}");
    assert!(engine.status()["pushdown"]["started"][0].as_str().is_some_and(|text| text.starts_with("exec: all come")));
    let (ok, _, error) = engine.ctl("bypass file_opn on");
    assert!(!ok && error.contains("there is no kind of events `file_opn`; the kinds are exec, fork,"), "{error}");

    let (ok, out, error) = engine.ctl("bypass exec on");
    assert!(ok, "{error}");
    assert_eq!(out, "bypassed  exec: 2 rules cannot match, 0 see less\n");
    let (_, out, _) = engine.ctl("bypass kill on");
    assert_eq!(out, "bypassed  exec, kill: 2 rules cannot match, 0 see less\n");
    let before = engine.status();
    run(&own);
    let begun = Instant::now();
    let grown = |status: &Json, pointer: &str| status.pointer(pointer).and_then(Json::as_u64).unwrap_or(0);
    while grown(&engine.status(), "/live/kinds/exec/upkeep") == grown(&before, "/live/kinds/exec/upkeep") {
        assert!(begun.elapsed() < Duration::from_secs(10), "the process table lives from execs: {}", engine.status());
    }
    assert!(!engine.alerts().iter().any(|alert| alert == "By started"));

    let (_, out, _) = engine.ctl("bypass file_create on --output json");
    let answer: Json = serde_json::from_str(&out).expect("JSON");
    assert_eq!(answer["kinds"], serde_json::json!(["exec", "kill", "file_create"]));
    let (_, out, _) = engine.ctl("explain files");
    assert!(out.contains("  kernel  file_create: bypassed, none come\n"), "{out}");
    let before = engine.status();
    for number in 0..50 {
        // The engine's own acts are no events, those of this process are.
        std::fs::write(folder.join(format!("file{number}")), b"x").expect("a file");
    }
    for kind in ["exec", "kill"] {
        let (ok, _, error) = engine.ctl(&format!("bypass {kind} off"));
        assert!(ok, "{error}");
    }
    run(&own);
    engine.wait_for("By whole", 1);
    let after = engine.status();
    let produced = "/live/kinds/file_create/produced";
    assert_eq!(grown(&after, produced), grown(&before, produced), "the kernel produces nothing of the kind");
    // Other packs find it bypassed.
    write_pack(&folder.join("p.kpkg"), &live_rules("kestrel-rl-d"), "After");
    assert!(engine.ctl("reload").0);
    assert_eq!(engine.status()["bypass"]["kinds"], serde_json::json!(["file_create"]));
    assert!(!engine.end().contains("does not balance"));
}

#[test]
fn an_alert_says_that_events_were_lost_between_its_own() {
    let folder = folder("losses-live");
    let (own, other) = (program(&folder, "kestrel-rl-e"), program(&folder, "kestrel-rl-f"));
    write_pack(&folder.join("p.kpkg"), &live_rules("kestrel-rl-e"), "Loss");
    std::fs::write(folder.join("c.toml"), "[live]\nring_bytes = 16384\n").expect("a file");
    let Some(engine) = Engine::start(&folder, "p.kpkg --config c.toml") else { return };
    run(&own);
    engine.wait_for("Loss whole", 1);
    // Other work on the machine may be too much for so small a ring already.
    let gaps = || engine.status()["live"]["gaps"].as_u64().unwrap_or(0);
    let before = gaps();
    let mut sleeper = Command::new(&own).arg("1000").spawn().expect("it starts");
    engine.wait_for("Loss started", 2);
    signal(&engine.child, "STOP");
    (0..200).for_each(|_| run(&other));
    signal(&engine.child, "CONT");
    // What was lost is known when the next records of the same processor are there.
    let begun = Instant::now();
    while gaps() <= before {
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", engine.status());
        run(&other);
    }
    sleeper.kill().expect("it runs");
    sleeper.wait().expect("it ends");
    engine.wait_for("Loss whole", 2);
    let status = engine.status();
    let text = std::fs::read_to_string(folder.join("alerts.ndjson")).expect("alerts");
    let losses: Vec<Option<u64>> = text
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).expect("JSON"))
        .filter(|alert| alert["rule"]["name"] == "Loss whole")
        .map(|alert| alert.pointer("/kestrel/losses/events").and_then(Json::as_u64))
        .collect();
    assert!(before > 0 || losses[0].is_none(), "nothing was lost then");
    let (told, dropped) = (losses[1].expect("losses are told"), &status["ledger"]["dropped"]);
    assert!(told > 0 && told <= dropped.as_u64().expect("a number"), "{told} of {dropped}");
    let (_, out, _) = engine.ctl("status");
    assert!(out.contains("kind      exec: ") && out.contains(" dropped"), "{out}");
    assert!(!engine.end().contains("does not balance"));
}

#[test]
fn with_lineage_exits_always_come() {
    let folder = folder("lineage-live");
    let own = program(&folder, "kestrel-rl-g");
    let rules = r#"
field f0 event.category : keyword
field f1 process.name : keyword
field f2 process.entity_id : keyword
field f3 event.action : keyword
field f4 process.parent.entity_id : keyword
field f5 process.Ext.ancestry : keyword
field f6 event.type : keyword
lineage entity f2 parent f4 ancestry f5 type f6
atom a0 = f0 exact ["process"]
atom a1 = f1 exact ["kestrel-rl-g"]
atom a2 = f3 exact ["exec"]
atom a3 = descendant of p0
node n0 = a1
node n1 = a2
node n2 = a3
node n3 = and n0 n1
node n4 = and n1 n2
predicate p0 = a0 where n3
predicate p1 = a0 where n4
rule "below" = event p1
"#;
    write_pack(&folder.join("p.kpkg"), &live_rules("kestrel-rl-g"), "Plain");
    std::fs::write(folder.join("c.toml"), "[live.allow]\nprocess_names = ['kestrel-rl-g']\n").expect("a file");
    let Some(engine) = Engine::start(&folder, "p.kpkg --config c.toml") else { return };
    let count = |what: &str| {
        let status = engine.status();
        status.pointer(&format!("/live/kinds/{what}")).and_then(Json::as_u64).unwrap_or(0)
    };
    let wait = |what: &str, least: u64| {
        let begun = Instant::now();
        while count(what) < least {
            assert!(begun.elapsed() < Duration::from_secs(10), "{what} stays below {least}: {}", engine.status());
        }
    };
    run(&own);
    wait("exit/allowed", 1);
    let (ok, _, error) = engine.ctl("bypass exit on");
    assert!(ok, "{error}");

    write_pack(&folder.join("p.kpkg"), rules, "Lineage");
    let (ok, _, error) = engine.ctl("reload");
    assert!(ok, "{error}");
    assert_eq!(engine.status()["bypass"]["kinds"], serde_json::json!([]), "the bypass rests");
    let (ok, _, error) = engine.ctl("bypass exit on");
    assert!(!ok && error.contains("exit events cannot be bypassed while a pack asks about lineage"), "{error}");
    let (allowed, delivered, execs) = (count("exit/allowed"), count("exit/delivered"), count("exec/allowed"));
    (0..5).for_each(|_| run(&own));
    wait("exec/allowed", execs + 5);
    wait("exit/delivered", delivered + 5);
    assert_eq!(count("exit/allowed"), allowed, "ends of processes come though they are allowed");

    // Without lineage the bypass holds again.
    write_pack(&folder.join("p.kpkg"), &live_rules("kestrel-rl-g"), "Plain");
    assert!(engine.ctl("reload").0);
    assert_eq!(engine.status()["bypass"]["kinds"], serde_json::json!(["exit"]));
    let said = engine.end();
    assert!(said.contains("warning: exit events are not bypassed: a pack asks about lineage"), "{said}");
    assert!(!said.contains("does not balance"), "{said}");
}
