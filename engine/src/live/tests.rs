//! Against the running kernel: processes of our own are started, and every field of their events is compared with what
//! is known otherwise. Without privilege or BTF these tests say so and pass.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, Stdio};
use std::time::Instant;

use kestrel_ir::event::{EventFlags, FieldValue};
use kestrel_schema::{EventKind, event_kinds};

use super::*;

mod call;
mod enrich;
mod exec;
mod fallback;
mod file;
mod network;
mod process;

/// Events of the whole host arrive, so each test picks those of its own processes.
struct Watch {
    source: LiveSource,
    events: Vec<Event>,
}

impl Watch {
    fn open(options: LiveOptions) -> Option<Watch> {
        match LiveSource::open(options) {
            Ok(source) => Some(Watch { source, events: Vec::new() }),
            Err(error @ (LiveError::Capabilities { .. } | LiveError::NoBtf { .. })) => {
                eprintln!("skipped: {error}");
                None
            }
            Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
        }
    }

    /// Reads until an event has this action and process, and gives it.
    fn wait_for(&mut self, action: &str, pid: u32) -> Event {
        let begun = Instant::now();
        loop {
            if let Some(event) = self.find(action, pid) {
                self.assert_listed(event);
                return event.clone();
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "no {action} of {pid} in {} events", self.events.len());
            let Watch { source, events } = self;
            source
                .poll(Duration::from_millis(100), &mut |event| events.push(event.clone()))
                .expect("the source goes on");
        }
    }

    /// A watch of these kinds and the process table's, this process included; `None`, with the reason printed, when one
    /// cannot be had here.
    fn of(kinds: &[Kind]) -> Option<Watch> {
        let kinds = kinds.iter().fold(KindSet::of_the_process_table(), |all, &kind| all.with(kind));
        let watch = Watch::open(LiveOptions { kinds, ignore_self: false, ..LiveOptions::default() })?;
        if let Some((kind, why)) = watch.source.unavailable().next() {
            eprintln!("skipped: no {} events here: {}", kind.name(), why.with_causes());
            return None;
        }
        Some(watch)
    }

    fn find(&self, action: &str, pid: u32) -> Option<&Event> {
        let is = |event: &&Event| {
            self.text(event, "event.action") == [action] && self.number(event, "process.pid") == Some(pid.into())
        };
        self.events.iter().find(is)
    }

    /// Reads until an event of this process has this action and passes `is`, and gives it.
    fn wait_until(&mut self, action: &str, is: impl Fn(&Watch, &Event) -> bool) -> Event {
        let begun = Instant::now();
        loop {
            let found = self.events.iter().find(|event| {
                let own = self.number(event, "process.pid") == Some(std::process::id().into());
                own && self.text(event, "event.action") == [action] && is(self, event)
            });
            if let Some(event) = found {
                self.assert_listed(event);
                return event.clone();
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "no such {action} in {} events", self.events.len());
            let Watch { source, events } = self;
            source
                .poll(Duration::from_millis(100), &mut |event| events.push(event.clone()))
                .expect("the source goes on");
        }
    }

    /// The schema lists for each kind the fields that its events may have, and the kernel's filter relies on it: a rule that asks
    /// for another field wants no event of the kind.
    fn assert_listed(&self, event: &Event) {
        let (action, categories) = (self.text(event, "event.action"), self.text(event, "event.category"));
        let is = |kind: &&EventKind| action == [kind.action] && categories == kind.category;
        let kind = event_kinds().iter().find(is).unwrap_or_else(|| panic!("no kind {categories:?} {action:?}"));
        let names = event.values().map(|(number, _, _)| self.source.fields().name(number));
        let strange: Vec<&str> = names.filter(|name| !kind.fields.contains(name)).collect();
        assert!(strange.is_empty(), "the schema does not list {strange:?} for {}", kind.name);
    }

    fn values<'e>(&self, event: &'e Event, name: &str) -> Vec<FieldValue<'e>> {
        let field = self.source.fields().lookup(name).unwrap_or_else(|| panic!("no field `{name}`"));
        event.field(field).collect()
    }

    fn text<'e>(&self, event: &'e Event, name: &str) -> Vec<&'e str> {
        let text = |value| match value {
            FieldValue::Text(text) => text,
            other => panic!("`{name}` is {other:?}"),
        };
        self.values(event, name).into_iter().map(text).collect()
    }

    fn number(&self, event: &Event, name: &str) -> Option<i64> {
        match self.values(event, name).as_slice() {
            [FieldValue::Integer(number)] => Some(*number),
            [] => None,
            other => panic!("`{name}` is {other:?}"),
        }
    }

    fn flag(&self, event: &Event, name: &str) -> bool {
        self.values(event, name) == [FieldValue::Boolean(true)]
    }
}

fn true_path() -> String {
    std::fs::canonicalize("/bin/true").expect("/bin/true").to_str().expect("UTF-8").to_owned()
}

#[test]
fn every_field_of_an_exec_is_right() {
    let Some(mut watch) = Watch::open(LiveOptions::default()) else { return };
    let long = "x".repeat(20 * 1024);
    // Another mount than the root's, and a name that is not ASCII.
    let folder = format!("/dev/shm/kestrel-test-{}-ü/in", std::process::id());
    std::fs::create_dir_all(&folder).expect("a folder in /dev/shm");
    let mut child = Command::new("/bin/true")
        .arg0("odd name")
        .args(["", "naïve 日本", "two\nlines", &long, ""])
        .arg(OsStr::from_bytes(b"not \xff utf-8"))
        .current_dir(&folder)
        .uid(65_534)
        .gid(65_534)
        .spawn()
        .expect("true starts");
    let pid = child.id();
    child.wait().expect("true ends");
    std::fs::remove_dir_all(folder.trim_end_matches("/in")).expect("own folder");

    let event = &watch.wait_for("exec", pid);
    let args = ["odd name", "", "naïve 日本", "two\nlines", &long, "", "not \u{fffd} utf-8"];
    assert_eq!(watch.text(event, "process.args"), args);
    assert_eq!(watch.number(event, "process.args_count"), Some(args.len() as i64));
    assert_eq!(watch.text(event, "process.command_line"), [args.join(" ")]);
    assert_eq!(event.flags, EventFlags::default());
    assert_eq!(watch.text(event, "process.executable"), [true_path()]);
    assert_eq!(watch.text(event, "process.name"), ["true"]);
    assert_eq!(watch.text(event, "process.working_directory"), [folder.as_str()]);
    for name in ["process.user.id", "user.id", "process.real_user.id", "process.saved_user.id", "process.group.id"] {
        assert_eq!(watch.text(event, name), ["65534"], "{name}");
    }
    assert_eq!(watch.text(event, "process.user.name"), ["nobody"]);
    assert!(watch.text(event, "process.thread.capabilities.effective").is_empty());

    let own_id = bootstrap::read_proc(Path::new("/proc")).expect("/proc").into_iter();
    let own_id = own_id.map(|snapshot| snapshot.facts.id).find(|id| id.pid == std::process::id()).expect("own process");
    let own = watch.source.translator.print(own_id);
    assert_eq!(watch.number(event, "process.parent.pid"), Some(std::process::id().into()));
    assert_eq!(watch.text(event, "process.parent.entity_id"), [own.as_str()], "from /proc and from the kernel alike");
    assert_eq!(watch.text(event, "process.Ext.ancestry").first(), Some(&own.as_str()));
    let exe = std::env::current_exe().expect("own path");
    assert_eq!(watch.text(event, "process.parent.executable"), [exe.to_str().expect("UTF-8")]);
    assert_eq!(watch.text(event, "process.parent.args"), std::env::args().collect::<Vec<_>>());
    assert_eq!(watch.text(event, "process.previous.executable"), [exe.to_str().expect("UTF-8")]);

    let namespace = |name: &str| {
        let link = std::fs::read_link(format!("/proc/self/ns/{name}")).expect("own namespaces");
        link.to_str().and_then(|text| text.split(['[', ']']).nth(1)?.parse::<i64>().ok())
    };
    assert_eq!(watch.number(event, "process.Ext.namespace.mount"), namespace("mnt"));
    assert_eq!(watch.number(event, "process.Ext.namespace.network"), namespace("net"));
    assert_eq!(watch.number(event, "process.Ext.namespace.pid"), namespace("pid"));
    assert_eq!(watch.number(event, "process.vpid"), Some(pid.into()));

    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos()).expect("before 2262");
    let age = now - event.timestamp;
    assert!((0..60_000_000_000).contains(&age), "seen {age} ns ago");
    let start = watch.number(event, "process.start").expect("a start");
    assert!(start < event.timestamp && event.timestamp - start < 5_000_000_000);

    let forked = &watch.wait_for("fork", pid);
    assert_eq!(watch.text(forked, "process.entity_id"), watch.text(event, "process.entity_id"));
    assert_eq!(watch.text(forked, "event.type"), ["start"]);
    let ended = &watch.wait_for("end", pid);
    assert_eq!(watch.number(ended, "process.exit_code"), Some(0));
    assert_eq!(watch.text(ended, "event.type"), ["end"]);
    assert_eq!(watch.text(ended, "process.args"), args);
}

#[test]
fn arguments_past_the_limit_are_cut_and_flagged() {
    let Some(mut watch) = Watch::open(LiveOptions::default()) else { return };
    let arguments: Vec<String> = (0..10).map(|number| number.to_string().repeat(10_000)).collect();
    let mut child = Command::new("/bin/true").args(&arguments).spawn().expect("true starts");
    child.wait().expect("true ends");
    let event = &watch.wait_for("exec", child.id());
    assert!(event.flags.contains(EventFlags::TRUNCATED) && !event.flags.contains(EventFlags::UNREADABLE));
    let args = watch.text(event, "process.args");
    assert_eq!(args.get(1..6), Some(arguments[..5].iter().map(String::as_str).collect::<Vec<_>>().as_slice()));
    assert_eq!(watch.number(event, "process.args_count"), Some(11), "the true count");
    assert!(watch.source.ledger().expect("maps").kind(Kind::Exec).kernel.truncated >= 1);
}

#[test]
fn ends_tell_codes_and_signals_and_threads_are_not_processes() {
    let Some(mut watch) = Watch::open(LiveOptions::default()) else { return };
    let mut coded = Command::new("/bin/sh").args(["-c", "exit 7"]).spawn().expect("sh starts");
    assert_eq!(coded.wait().expect("sh ends").code(), Some(7));
    let mut killed = Command::new("/bin/sleep").arg("60").spawn().expect("sleep starts");
    watch.wait_for("exec", killed.id());
    killed.kill().expect("own child");
    assert_eq!(killed.wait().expect("killed").signal(), Some(9));
    let threads: Vec<u32> = (0..5)
        .map(|_| std::thread::spawn(|| std::fs::read_link("/proc/thread-self")).join().expect("thread").expect("/proc"))
        .map(|link| link.file_name().and_then(|name| name.to_str()?.parse().ok()).expect("a thread's number"))
        .collect();
    let mut last = Command::new("/bin/true").spawn().expect("true starts");
    last.wait().expect("true ends");

    watch.wait_for("end", last.id());
    let (coded, killed) = (&watch.wait_for("end", coded.id()), &watch.wait_for("end", killed.id()));
    assert_eq!(watch.number(coded, "process.exit_code"), Some(7));
    assert_eq!(watch.number(killed, "process.exit_code"), Some(137));
    for thread in threads {
        assert!(watch.find("fork", thread).is_none() && watch.find("end", thread).is_none(), "a thread is no process");
    }
    let ends = watch.events.iter().filter(|event| watch.text(event, "event.action") == ["end"]);
    let own = ends.filter(|event| watch.number(event, "process.pid") == Some(std::process::id().into()));
    assert_eq!(own.count(), 0, "threads that end do not end their process");
}

#[test]
fn a_script_runs_its_interpreter_and_grandchildren_descend() {
    let Some(mut watch) = Watch::open(LiveOptions::default()) else { return };
    let script = std::env::temp_dir().join(format!("kestrel-script-{}", std::process::id()));
    std::fs::write(&script, "#!/bin/sh\n/bin/true from-script\nexit 0\n").expect("temporary folder");
    let mut child = Command::new("/bin/sh").arg(&script).spawn().expect("sh starts");
    child.wait().expect("sh ends");
    std::fs::remove_file(&script).expect("own file");

    watch.wait_for("end", child.id());
    let shell = &watch.wait_for("exec", child.id());
    let shell_id = watch.text(shell, "process.entity_id");
    let grandchild = watch.events.iter().find(|event| watch.text(event, "process.args").contains(&"from-script"));
    let grandchild = grandchild.expect("true was run");
    assert_eq!(watch.text(grandchild, "process.parent.entity_id"), shell_id);
    assert_eq!(watch.text(grandchild, "process.parent.args").last(), script.to_str().as_ref());
    assert_eq!(watch.text(grandchild, "process.Ext.ancestry").first(), shell_id.first());
    assert_eq!(watch.number(grandchild, "process.group_leader.pid"), watch.number(shell, "process.group_leader.pid"));
}

#[test]
fn a_process_at_a_terminal_is_interactive() {
    let Some(mut watch) = Watch::open(LiveOptions::default()) else { return };
    // `script` gives its child a new session on a pseudo terminal.
    let mut command = Command::new("script");
    let acts = "/bin/true at-a-terminal; /bin/true piped </dev/null; /bin/true quiet 2>/dev/null; /bin/true >/dev/null only-output";
    command.args(["-qec", acts, "/dev/null"]).stdin(Stdio::null()).stdout(Stdio::null());
    let Ok(mut child) = command.spawn() else {
        eprintln!("skipped: no script(1) on this machine");
        return;
    };
    child.wait().expect("script ends");
    watch.wait_for("end", child.id());
    for (argument, interactive) in [("at-a-terminal", true), ("piped", false), ("quiet", false), ("only-output", true)]
    {
        for action in ["exec", "end"] {
            let is = |event: &&Event| {
                watch.text(event, "process.args").get(1) == Some(&argument)
                    && watch.text(event, "process.name") == ["true"]
                    && watch.text(event, "event.action") == [action]
            };
            let event = watch.events.iter().find(is).unwrap_or_else(|| panic!("no {action} of true {argument}"));
            assert_eq!(watch.flag(event, "process.interactive"), interactive, "{action} of {argument}");
            assert_eq!(watch.number(event, "process.tty.char_device.major"), Some(136), "pseudo terminals");
            assert!(watch.flag(event, "process.parent.interactive"), "the shell");
        }
    }
}

#[test]
fn losses_are_counted_and_the_books_balance() {
    let options = LiveOptions { ring_bytes: 4_096, follow_processes: false, ..LiveOptions::default() };
    let Some(mut watch) = Watch::open(options) else { return };
    for _ in 0..30 {
        Command::new("/bin/true").status().expect("true runs");
    }
    let Watch { source, events } = &mut watch;
    source.set_kinds(KindSet::NONE).expect("maps");
    let mut quiet = false;
    // Others' events go on being counted while the counters of one CPU after the other are read: try again then.
    for _ in 0..50 {
        while source.poll(Duration::ZERO, &mut |event| events.push(event.clone())).expect("the source goes on") > 0 {}
        quiet = quiet || source.ledger().expect("maps").balances(true);
    }
    let ledger = source.ledger().expect("maps");
    let total = |value: fn(&KindLedger) -> u64| ledger.kinds.iter().map(value).sum::<u64>();
    assert!(quiet, "{ledger:#?}");
    assert!(total(|part| part.kernel.dropped) > 0, "{ledger:#?}");
    assert!(ledger.gaps <= total(|part| part.kernel.dropped), "{ledger:#?}");
}

#[test]
fn nothing_stays_attached() {
    let Some(watch) = Watch::open(LiveOptions::default()) else { return };
    let own = watch.source.attachments.loaded();
    assert_eq!(own.len(), 3);
    drop(watch);
    let begun = Instant::now();
    // The kernel frees programs after a grace period.
    while aya::programs::loaded_programs().flatten().any(|program| own.contains(&program.id())) {
        assert!(begun.elapsed() < Duration::from_secs(10), "programs {own:?} are still there");
        std::thread::yield_now();
    }
}

#[test]
fn the_doctor_tries_everything() {
    let checks = kernel_support();
    for check in &checks {
        eprintln!("{:14} {} {}", check.name, if check.ok { "yes" } else { "no " }, check.detail);
    }
    let ok = |name: &str| checks.iter().any(|check| check.name == name && check.ok);
    if ok("capabilities") && ok("btf") {
        assert!(ok("tp_btf") && ok("ring buffer"));
    }
}

#[test]
fn what_nobody_wants_is_not_attached_and_kinds_change_at_run_time() {
    let options = LiveOptions { kinds: KindSet::NONE, follow_processes: false, ..LiveOptions::default() };
    let Some(mut watch) = Watch::open(options) else { return };
    assert_eq!((watch.source.attachments.attached(), watch.source.attachments.loaded()), (0, Vec::new()));
    watch.source.set_kinds(KindSet::NONE.with(Kind::Exec).with(Kind::SessionIdChange)).expect("tracepoints");
    assert_eq!(watch.source.attachments.attached(), 2 - watch.source.unavailable().count());
    let mut child = Command::new("/bin/true").spawn().expect("true starts");
    child.wait().expect("true ends");
    watch.wait_for("exec", child.id());
    assert!(watch.find("fork", child.id()).is_none() && watch.find("end", child.id()).is_none());
    watch.source.set_kinds(KindSet::NONE).expect("nothing to attach");
    assert_eq!(watch.source.attachments.attached(), 0);
    let produced = |source: &LiveSource| source.ledger().expect("maps").kind(Kind::Exec).kernel.produced;
    let before = produced(&watch.source);
    Command::new("/bin/true").status().expect("true runs");
    assert_eq!(produced(&watch.source), before, "nobody looks");
}
