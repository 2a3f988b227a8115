//! Execs by audit and files by fanotify, of children of our own and in a folder of our own. Auditing is switched on for
//! the children of this process alone, and as it was afterwards.

use std::path::PathBuf;

use super::*;
use crate::live::audit::request;
use crate::live::{FallbackSource, HostSource, SourceChoice};

const AUDIT_GET: u16 = 1000;
const AUDIT_SET: u16 = 1001;
const AUDIT_ADD_RULE: u16 = 1011;
const AUDIT_DELETE_RULE: u16 = 1012;

/// `struct audit_rule_data`: execs of children of this process.
fn rule() -> Vec<u8> {
    let mut words = vec![0_u32; 260];
    // The end of calls, always, one field.
    (words[0], words[1], words[2]) = (4, 2, 1);
    for call in [59, 322] {
        words[3 + call / 32] |= 1 << (call % 32);
    }
    // The parent's number equals.
    (words[67], words[131], words[195]) = (18, std::process::id(), 0x4000_0000);
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// `struct audit_status` that changes `enabled` alone.
fn status(enabled: u32) -> Vec<u8> {
    let mut words = [0_u32; 10];
    (words[0], words[1]) = (1, enabled);
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Auditing of our children, while this lives.
struct Auditing {
    enabled: u32,
}

impl Auditing {
    fn begin() -> Option<Auditing> {
        let before = match request(AUDIT_GET, &[]) {
            Ok(answers) => {
                answers.first().and_then(|answer| Some(u32::from_ne_bytes(*answer.get(4..)?.first_chunk()?)))
            }
            Err(error) => {
                eprintln!("skipped: audit: {error}");
                return None;
            }
        };
        let enabled = before?;
        if enabled == 2 {
            eprintln!("skipped: audit is locked on this host");
            return None;
        }
        let made = request(AUDIT_ADD_RULE, &rule()).and_then(|_| request(AUDIT_SET, &status(1)));
        if let Err(error) = made {
            eprintln!("skipped: audit: {error}");
            return None;
        }
        Some(Auditing { enabled })
    }
}

impl Drop for Auditing {
    fn drop(&mut self) {
        // The rule names this process, which ends soon; it would match nobody else until the number is used again.
        let _ = request(AUDIT_DELETE_RULE, &rule());
        let _ = request(AUDIT_SET, &status(self.enabled));
    }
}

/// Reads until `is` holds for an event.
fn wait(source: &mut FallbackSource, what: &str, is: impl Fn(&FallbackSource, &Event) -> bool) -> Event {
    let begun = Instant::now();
    let mut events = Vec::new();
    loop {
        if let Some(event) = events.iter().find(|event| is(source, event)) {
            return Event::clone(event);
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "no {what} in {} events", events.len());
        source.poll(Duration::from_millis(50), &mut |event| events.push(event.clone())).expect("the source goes on");
    }
}

fn texts<'e>(source: &FallbackSource, event: &'e Event, name: &str) -> Vec<&'e str> {
    let field = source.fields().lookup(name).expect("a field of live events");
    let text = |value| if let FieldValue::Text(text) = value { Some(text) } else { None };
    event.field(field).filter_map(text).collect()
}

#[test]
fn an_exec_is_told_by_audit() {
    let Some(auditing) = Auditing::begin() else { return };
    let options = LiveOptions { kinds: KindSet::NONE.with(Kind::Exec), ..LiveOptions::default() };
    let mut source = FallbackSource::open(options, &[Tier::Audit]).expect("audit works here");
    let mut child = Command::new("/bin/sleep").args(["0.4", "0.01"]).current_dir("/usr").spawn().expect("it starts");
    let pid = child.id();
    let event = wait(&mut source, "exec", |source, event| {
        texts(source, event, "process.args") == ["/bin/sleep", "0.4", "0.01"]
    });
    assert_eq!(texts(&source, &event, "event.action"), ["exec"]);
    assert_eq!(texts(&source, &event, "process.name"), ["sleep"]);
    assert_eq!(texts(&source, &event, "process.working_directory"), ["/usr"]);
    assert_eq!(texts(&source, &event, "process.user.id"), ["0"]);
    let exe = std::env::current_exe().expect("own path");
    assert_eq!(texts(&source, &event, "process.parent.executable"), [exe.to_str().expect("UTF-8")]);
    let number = source.fields().lookup("process.pid").map(|field| event.field(field).collect::<Vec<_>>());
    assert_eq!(number, Some(vec![FieldValue::Integer(pid.into())]));
    assert_eq!(event.flags, EventFlags::default());
    child.wait().expect("own child");

    // One that is gone when it is read about is told all the same, with what audit knows, and flagged.
    Command::new("/bin/true").args(["it's gone", "ü \"x\""]).status().expect("it runs");
    let event = wait(&mut source, "exec", |source, event| {
        texts(source, event, "process.args") == ["/bin/true", "it's gone", "ü \"x\""]
    });
    assert!(event.flags.contains(EventFlags::UNREADABLE));
    let ledger = source.ledger();
    assert!(ledger.balances(true), "{ledger:?}");
    drop(auditing);
}

#[test]
fn without_auditing_the_error_says_how_to_have_it() {
    let Ok(answers) = request(AUDIT_GET, &[]) else {
        eprintln!("skipped: audit cannot be asked");
        return;
    };
    let enabled = answers.first().and_then(|answer| answer.get(4)).copied();
    if enabled != Some(0) {
        eprintln!("skipped: audit is on");
        return;
    }
    let options = LiveOptions { kinds: KindSet::NONE.with(Kind::Exec), ..LiveOptions::default() };
    match HostSource::open(options, &[SourceChoice::Audit]) {
        Err(error) => assert!(error.with_causes().contains("auditctl -e 1"), "{}", error.with_causes()),
        Ok(_) => eprintln!("skipped: another test has switched auditing on"),
    }
}

#[test]
fn files_are_told_by_fanotify() {
    let folder = std::env::temp_dir().join(format!("kestrel-fanotify-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder of our own");
    let kinds = [Kind::FileCreate, Kind::FileOpen, Kind::FileModify, Kind::FileRename, Kind::FileDelete];
    let kinds = kinds.into_iter().fold(KindSet::NONE, KindSet::with);
    let options = LiveOptions { kinds, watched: vec![folder.clone()], ..LiveOptions::default() };
    let mut source = match FallbackSource::open(options, &[Tier::Fanotify]) {
        Ok(source) => source,
        Err(error) => {
            eprintln!("skipped: {}", error.with_causes());
            std::fs::remove_dir_all(&folder).expect("a folder of our own");
            return;
        }
    };
    assert_eq!(source.unavailable().count(), 0);
    // The engine's own acts are left out, so a child acts; it lives until all has been read.
    let script = "echo hello > made.txt; mv made.txt 'né w.log'; cat 'né w.log' > /dev/null; rm 'né w.log'; read end";
    let mut child = Command::new("/bin/sh")
        .args(["-c", script])
        .current_dir(&folder)
        .stdin(Stdio::piped())
        .spawn()
        .expect("sh starts");
    let path = |name: &str| folder.join(name).to_str().expect("UTF-8").to_owned();
    let told = |source: &mut FallbackSource, action: &str, name: &str| -> Event {
        let path = path(name);
        wait(source, action, |source, event| {
            texts(source, event, "event.action") == [action] && texts(source, event, "file.path") == [path.as_str()]
        })
    };
    let event = told(&mut source, "creation", "made.txt");
    let shell = std::fs::canonicalize("/bin/sh").expect("there is a shell");
    assert_eq!(texts(&source, &event, "process.executable"), [shell.to_str().expect("UTF-8")]);
    assert_eq!(texts(&source, &event, "process.args"), ["/bin/sh", "-c", script]);
    assert_eq!(texts(&source, &event, "file.name"), ["made.txt"]);
    child.kill().expect("own child");
    child.wait().expect("own child");
    drop(source);

    // Each of the others in a watch of its own: events of one name may come as one.
    let options = |kind: Kind| LiveOptions {
        kinds: KindSet::NONE.with(kind),
        watched: vec![folder.clone()],
        ..LiveOptions::default()
    };
    std::fs::write(folder.join("a"), b"x").expect("a file of our own");
    for (kind, action, script, name) in [
        (Kind::FileModify, "modification", "echo more >> a; read end", "a"),
        (Kind::FileOpen, "open", "read line < a; read end", "a"),
        (Kind::FileRename, "rename", "mv a b; read end", "b"),
        (Kind::FileDelete, "deletion", "rm b; read end", "b"),
    ] {
        let mut source = FallbackSource::open(options(kind), &[Tier::Fanotify]).expect("it has worked before");
        let mut child = Command::new("/bin/sh")
            .args(["-c", script])
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .spawn()
            .expect("sh starts");
        let event = told(&mut source, action, name);
        if kind == Kind::FileRename {
            assert_eq!(texts(&source, &event, "file.Ext.original.path"), [path("a")]);
        }
        assert_eq!(texts(&source, &event, "event.category"), ["file"]);
        child.kill().expect("own child");
        child.wait().expect("own child");
        let ledger = source.ledger();
        assert!(ledger.balances(true), "{ledger:?}");
    }
    std::fs::remove_dir_all(&folder).expect("a folder of our own");
}

#[test]
fn a_choice_is_one_of_three_words() {
    assert_eq!("ebpf".parse(), Ok(SourceChoice::Ebpf));
    assert!("auditd".parse::<SourceChoice>().is_err());
    let nowhere = LiveOptions {
        kinds: KindSet::NONE.with(Kind::FileCreate),
        watched: vec![PathBuf::from("/nowhere/at/all")],
        ..LiveOptions::default()
    };
    let Err(error) = HostSource::open(nowhere, &[SourceChoice::Fanotify]) else { panic!("nothing is watched") };
    assert!(error.with_causes().contains("fanotify"), "{}", error.with_causes());
}

#[test]
fn fanotify_loses_nothing_when_other_kinds_are_wanted() {
    let folder = std::env::temp_dir().join(format!("kestrel-fanotify-kinds-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder of our own");
    let created = KindSet::NONE.with(Kind::FileCreate);
    let options = LiveOptions { kinds: created, watched: vec![folder.clone()], ..LiveOptions::default() };
    let mut source = match FallbackSource::open(options, &[Tier::Fanotify]) {
        Ok(source) => source,
        Err(error) => {
            eprintln!("skipped: {}", error.with_causes());
            std::fs::remove_dir_all(&folder).expect("a folder of our own");
            return;
        }
    };
    let act = |script: &str| {
        assert!(Command::new("/bin/sh").args(["-c", script]).current_dir(&folder).status().expect("sh").success());
    };
    let told = |source: &mut FallbackSource, action: &str, name: &str| {
        let path = folder.join(name).to_str().expect("UTF-8").to_owned();
        wait(source, action, |source, event| {
            texts(source, event, "event.action") == [action] && texts(source, event, "file.path") == [path.as_str()]
        });
    };
    act("echo > first");
    source.set_kinds(created.with(Kind::FileDelete));
    act("echo > second; rm first");
    told(&mut source, "creation", "first");
    act("echo > third");
    told(&mut source, "creation", "third");
    act("rm second");
    told(&mut source, "deletion", "second");
    source.set_kinds(KindSet::NONE.with(Kind::FileDelete));
    act("echo > fourth; rm fourth");
    told(&mut source, "deletion", "fourth");
    assert!(source.ledger().balances(true));
    drop(source);
    std::fs::remove_dir_all(&folder).expect("a folder of our own");
}

/// A source of files in a folder of our own; `None`, with the reason printed, where it cannot be had.
fn files_of(folder: &std::path::Path, kinds: KindSet) -> Option<FallbackSource> {
    std::fs::create_dir_all(folder).expect("a folder of our own");
    let options = LiveOptions { kinds, watched: vec![folder.to_owned()], ..LiveOptions::default() };
    let source = FallbackSource::open(options, &[Tier::Fanotify]);
    source.map_err(|error| eprintln!("skipped: {}", error.with_causes())).ok()
}

fn act(folder: &std::path::Path, script: &str) {
    assert!(Command::new("/bin/sh").args(["-c", script]).current_dir(folder).status().expect("sh").success());
}

fn wait_for_file(source: &mut FallbackSource, action: &str, path: PathBuf) {
    let path = path.to_str().expect("UTF-8");
    wait(source, action, |source, event| {
        texts(source, event, "event.action") == [action] && texts(source, event, "file.path") == [path]
    });
}

#[test]
fn a_kind_that_cannot_be_watched_leaves_the_others_and_their_queue_alone() {
    let folder = std::env::temp_dir().join(format!("kestrel-fanotify-refused-{}", std::process::id()));
    let created = KindSet::NONE.with(Kind::FileCreate);
    if let Some(mut source) = files_of(&folder, created) {
        act(&folder, "echo > first");
        source.files().expect("it is open").break_marks();
        source.set_kinds(created.with(Kind::FileDelete));
        let refused: Vec<Kind> = source.unavailable().map(|(kind, _)| kind).collect();
        assert_eq!(refused, [Kind::FileDelete]);
        assert_eq!(source.available().collect::<Vec<_>>(), [Kind::FileCreate]);
        wait_for_file(&mut source, "creation", folder.join("first"));
        act(&folder, "echo > second");
        wait_for_file(&mut source, "creation", folder.join("second"));
        // When it works again, the kind comes.
        source.files().expect("it is open").mend_marks();
        source.set_kinds(created.with(Kind::FileDelete));
        assert_eq!(source.unavailable().count(), 0);
        act(&folder, "rm first");
        wait_for_file(&mut source, "deletion", folder.join("first"));
        assert!(source.ledger().balances(true));
    }
    std::fs::remove_dir_all(&folder).expect("a folder of our own");
}

#[test]
fn losses_are_told_of_as_since_before_the_events_that_were_read_with_them() {
    let folder = std::env::temp_dir().join(format!("kestrel-fanotify-lost-{}", std::process::id()));
    let created = KindSet::NONE.with(Kind::FileCreate);
    if let Some(mut source) = files_of(&folder, created) {
        act(&folder, "echo > first");
        wait_for_file(&mut source, "creation", folder.join("first"));
        act(&folder, "echo > second");
        // As if the queue had overflowed meanwhile.
        source.files().expect("it is open").overflows += 3;
        let news = source.loss_news();
        let mut times = Vec::new();
        let (begun, mut losses) = (Instant::now(), Vec::new());
        while times.is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(10), "the second file is not told");
            source.poll(Duration::from_millis(50), &mut |event| times.push(event.timestamp)).expect("it goes on");
            news.take(|loss| losses.push(loss));
        }
        let [loss] = losses.as_slice() else { panic!("one loss: {losses:?}") };
        assert_eq!((loss.count, loss.place), (3, super::super::Loss::NO_PLACE));
        assert!(times.iter().all(|&time| loss.since < time && time <= loss.until), "{loss:?} {times:?}");
        // What nobody wants any longer is closed, and its losses stay in the books.
        source.set_kinds(KindSet::NONE.with(Kind::FileChmod));
        assert!(source.files().is_none());
        assert_eq!(source.ledger().kind(Kind::FileOpen).kernel.dropped, 3);
    }
    std::fs::remove_dir_all(&folder).expect("a folder of our own");
}

#[test]
fn what_is_in_the_queue_of_a_watch_that_is_closed_stands_in_the_books() {
    let folder = std::env::temp_dir().join(format!("kestrel-fanotify-closed-{}", std::process::id()));
    let created = KindSet::NONE.with(Kind::FileCreate);
    if let Some(mut source) = files_of(&folder, created) {
        act(&folder, "echo > first; echo > second");
        source.set_kinds(KindSet::NONE.with(Kind::FileChmod));
        assert!(source.files().is_none());
        let ledger = source.ledger();
        let part = ledger.kind(Kind::FileCreate);
        assert!(part.upkeep >= 2 && part.delivered == 0 && ledger.balances(true), "{ledger:?}");
    }
    std::fs::remove_dir_all(&folder).expect("a folder of our own");
}
