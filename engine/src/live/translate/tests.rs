//! Made-up records in, events out: no kernel is needed.

use kestrel_bpf::record::{Arguments, File, FileName, Fork, Header, Kill, Kind, Ptrace, ReversedPath, Target};
use kestrel_ir::event::FieldValue;

use super::super::{Allow, AllowLists};
use super::*;

fn translator() -> Translator {
    Translator::new(LiveOptions { agent_id: "agent-1".to_owned(), ..LiveOptions::default() })
}

fn task(pid: u32, start: u64, parent: u32) -> Task {
    Task {
        pid,
        start_time: start,
        parent_pid: parent,
        parent_start_time: 1_000_000_000,
        namespace_pid: pid,
        session_id: pid,
        group_id: pid,
        capabilities_effective: 1 << 19,
        comm: *b"comm\0\0\0\0\0\0\0\0\0\0\0\0",
        ..Task::default()
    }
}

fn header(kind: Kind, timestamp: u64, sequence: u64) -> Header {
    Header { kind, timestamp, sequence, cpu: 0, flags: Flags(0) }
}

fn exec(timestamp: u64, sequence: u64, pid: u32, arguments: &'static [u8]) -> Vec<u8> {
    let body = Body::Exec(Exec {
        arguments_total: arguments.len() as u32,
        argument_count: Arguments::new(arguments).iter().count() as u32,
        filename: b"./tool",
        executable: ReversedPath::new(b"tool\0bin\0", true),
        directory: ReversedPath::new(b"home\0", true),
        cgroup: ReversedPath::new(b"", true),
        arguments: Arguments::new(arguments),
        environment: Arguments::new(b""),
        environment_total: 0,
    });
    Record { header: header(Kind::Exec, timestamp, sequence), task: task(pid, 2_000_000_000, 1), body }.encode()
}

fn fork(timestamp: u64, sequence: u64, pid: u32, creator: u32) -> Vec<u8> {
    let body = Body::Fork(Fork {
        creator_pid: creator,
        creator_start_time: 2_000_000_000,
        cgroup: ReversedPath::new(b"", true),
    });
    Record { header: header(Kind::Fork, timestamp, sequence), task: task(pid, 3_000_000_000, 1), body }.encode()
}

fn exit(timestamp: u64, sequence: u64, pid: u32, status: u32) -> Vec<u8> {
    let body = Body::Exit(Exit { status });
    Record { header: header(Kind::Exit, timestamp, sequence), task: task(pid, 2_000_000_000, 1), body }.encode()
}

/// The events of these records, each as `name=value` lines.
fn events(translator: &mut Translator, records: &[Vec<u8>]) -> Vec<Vec<String>> {
    let mut events = Vec::new();
    let table = translator.fields().clone();
    for record in records {
        translator.record(record, &mut |event| {
            let line = |(field, _, value)| {
                let value = match value {
                    FieldValue::Text(text) => text.to_owned(),
                    other => format!("{other:?}"),
                };
                format!("{}={value}", table.name(field))
            };
            events.push(event.values().map(line).collect());
        });
    }
    events
}

fn has(event: &[String], line: &str) -> bool {
    event.iter().any(|have| have == line)
}

#[test]
fn an_exec_is_told_in_full() {
    let mut translator = translator();
    let events = events(&mut translator, &[exec(5_000_000_000, 1, 42, b"tool\0\0caf\xc3\xa9\0")]);
    let [event] = events.as_slice() else { panic!("one event") };
    for line in [
        "event.category=process",
        "event.type=start",
        "event.action=exec",
        "event.kind=event",
        "host.os.type=linux",
        "agent.id=agent-1",
        "process.pid=Integer(42)",
        "process.name=tool",
        "process.executable=/bin/tool",
        "process.args=",
        "process.args=café",
        "process.args_count=Integer(3)",
        "process.command_line=tool  café",
        "process.working_directory=/home",
        "process.interactive=Boolean(false)",
        "process.parent.pid=Integer(1)",
        "process.session_leader.pid=Integer(42)",
        "process.user.id=0",
        "user.name=root",
        "process.thread.capabilities.effective=CAP_SYS_PTRACE",
    ] {
        assert!(has(event, line), "{line} is not in {event:#?}");
    }
}

#[test]
fn a_forked_process_descends_from_its_creator_and_runs_its_image() {
    let mut translator = translator();
    let events = events(&mut translator, &[exec(5, 1, 42, b"tool\0"), fork(6, 2, 43, 42)]);
    let forked = &events[1];
    assert!(has(forked, "event.action=fork") && has(forked, "process.name=tool"));
    assert!(has(forked, "process.parent.pid=Integer(42)") && has(forked, "process.parent.executable=/bin/tool"));
}

#[test]
fn an_exit_has_a_code_and_the_second_news_of_it_is_left_out() {
    let mut translator = translator();
    let records = [exec(5, 1, 42, b"tool\0"), exit(6, 2, 42, 0x0300), exit(7, 3, 42, 0x0300), exit(8, 4, 50, 9)];
    let events = events(&mut translator, &records);
    assert_eq!(events.len(), 3);
    assert!(has(&events[1], "process.exit_code=Integer(3)") && has(&events[1], "event.type=end"));
    assert!(has(&events[2], "process.exit_code=Integer(137)"), "killed");
    let ledger = translator.ledger();
    assert_eq!((ledger.kind(Kind::Exit).repeated, ledger.kind(Kind::Exit).delivered), (1, 2));
}

#[test]
fn time_never_runs_backwards_and_gaps_are_losses() {
    let mut translator = translator();
    let mut times = Vec::new();
    for record in [exec(1_000, 1, 42, b"a\0"), exec(900, 5, 43, b"a\0"), exec(2_000, 6, 44, b"a\0")] {
        translator.record(&record, &mut |event| times.push((event.timestamp, event.ordinal)));
    }
    assert_eq!(times[1].0, times[0].0);
    assert!(times[2].0 > times[1].0);
    assert_eq!(times.iter().map(|time| time.1).collect::<Vec<_>>(), [0, 1, 2]);
    let ledger = translator.ledger();
    assert_eq!((ledger.late, ledger.latest, ledger.gaps), (1, 100, 3));
}

#[test]
fn kinds_that_nobody_wants_keep_the_table_up_to_date() {
    let mut translator = translator();
    translator.set_kinds(KindSet::NONE.with(Kind::Exit));
    let events = events(&mut translator, &[exec(5, 1, 42, b"tool\0-v\0"), exit(6, 2, 42, 0)]);
    let [event] = events.as_slice() else { panic!("one event") };
    assert!(has(event, "process.args=-v"));
    assert_eq!(translator.ledger().kind(Kind::Exec).upkeep, 1);
}

#[test]
fn what_the_kernel_says_no_rule_wants_keeps_the_table_up_to_date() {
    let mut translator = translator();
    let mut unwanted = exec(5, 1, 42, b"tool\0-v\0");
    let flags = unwanted[28..32].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    unwanted[28..32].copy_from_slice(&(flags | kestrel_bpf::record::Flags::UPKEEP.0).to_le_bytes());
    let events = events(&mut translator, &[unwanted, exit(6, 2, 42, 0)]);
    let [event] = events.as_slice() else { panic!("one event") };
    assert!(has(event, "process.args=-v"));
    let exec = translator.ledger().kind(Kind::Exec);
    assert_eq!((exec.received, exec.upkeep, exec.delivered), (1, 1, 0));
}

#[test]
fn what_is_allowed_keeps_the_table_up_to_date_and_is_counted() {
    let lists = AllowLists { process_names: vec!["tool".to_owned()], ..AllowLists::default() };
    let mut translator = translator();
    translator.set_allow(Allow::new(&lists).expect("lists"));
    let records = [exec(5, 1, 42, b"tool\0-v\0"), exit(6, 2, 42, 0)];
    assert!(events(&mut translator, &records[..1]).is_empty());
    translator.set_allow(Allow::default());
    let events = events(&mut translator, &records[1..]);
    let [event] = events.as_slice() else { panic!("one event") };
    assert!(has(event, "process.args=-v") && has(event, "process.name=tool"));
    let ledger = translator.ledger();
    let exec = ledger.kind(Kind::Exec);
    assert_eq!((exec.received, exec.allowed, exec.delivered), (1, 1, 0));
}

#[test]
fn with_lineage_ends_come_though_they_are_allowed() {
    let lists = AllowLists { process_names: vec!["tool".to_owned()], ..AllowLists::default() };
    let mut translator = translator();
    translator.set_allow(Allow::new(&lists).expect("lists"));
    translator.set_lineage(true);
    let told = events(&mut translator, &[exec(5, 1, 42, b"tool\0"), exit(6, 2, 42, 0)]);
    let [event] = told.as_slice() else { panic!("one event") };
    assert!(has(event, "event.type=end") && has(event, "process.name=tool"));
    translator.set_lineage(false);
    assert!(events(&mut translator, &[exec(7, 3, 43, b"tool\0"), exit(8, 4, 43, 0)]).is_empty());
    let ledger = translator.ledger();
    assert_eq!((ledger.kind(Kind::Exec).allowed, ledger.kind(Kind::Exit).allowed), (2, 1));
}

#[test]
fn a_name_that_a_process_gave_itself_is_on_no_allow_list() {
    let lists = AllowLists { process_names: vec!["comm".to_owned()], ..AllowLists::default() };
    let mut translator = translator();
    translator.set_kinds(KindSet::all());
    translator.set_allow(Allow::new(&lists).expect("lists"));
    // Nobody saw its exec: all that is known is `comm`.
    let target = Target { pid: 1, start_time: 2_000_000_000 };
    let told = events(&mut translator, &[act(6, 1, Kind::Kill, Body::Kill(Kill { target, signal: 15 }))]);
    let [event] = told.as_slice() else { panic!("one event") };
    assert!(has(event, "process.name=comm") && !event.iter().any(|line| line.starts_with("process.executable=")));
}

#[test]
fn rubbish_is_counted_and_gives_no_event() {
    let mut translator = translator();
    let mut cut = exec(5, 1, 42, b"tool\0");
    cut.pop();
    assert!(events(&mut translator, &[cut, Vec::new()]).is_empty());
    assert_eq!(translator.ledger().malformed, 2);
}

fn act(timestamp: u64, sequence: u64, kind: Kind, body: Body<'_>) -> Vec<u8> {
    Record { header: header(kind, timestamp, sequence), task: task(42, 2_000_000_000, 1), body }.encode()
}

#[test]
fn acts_are_told_with_their_actor_and_their_target() {
    let mut translator = translator();
    translator.set_kinds(KindSet::all());
    let known = Target { pid: 42, start_time: 2_000_000_000 };
    let unknown = Target { pid: 99, start_time: 5_000_000_000 };
    let records = [
        exec(5, 1, 42, b"tool\0"),
        act(6, 2, Kind::Kill, Body::Kill(Kill { target: known, signal: 15 })),
        act(7, 3, Kind::Ptrace, Body::Ptrace(Ptrace { target: unknown, request: 16 })),
    ];
    let events = events(&mut translator, &records);
    let [_, kill, ptrace] = events.as_slice() else { panic!("three events") };
    for line in [
        "event.action=kill",
        "event.type=access",
        "process.executable=/bin/tool",
        "process.Ext.signal.name=SIGTERM",
        "process.Ext.signal.number=Integer(15)",
        "Target.process.pid=Integer(42)",
        "Target.process.executable=/bin/tool",
    ] {
        assert!(has(kill, line), "{line} is not in {kill:#?}");
    }
    assert!(has(ptrace, "process.Ext.ptrace.request=PTRACE_ATTACH") && has(ptrace, "Target.process.pid=Integer(99)"));
    assert!(!ptrace.iter().any(|line| line.starts_with("Target.process.name")), "nobody knows it");
}

#[test]
fn a_call_that_changes_no_user_is_counted_and_no_event() {
    let mut translator = translator();
    translator.set_kinds(KindSet::all());
    let change = |timestamp, sequence, user| {
        let task = Task { effective_user_id: user, ..task(42, 2_000_000_000, 1) };
        Record { header: header(Kind::UidChange, timestamp, sequence), task, body: Body::UidChange }.encode()
    };
    let records = [exec(5, 1, 42, b"tool\0"), change(6, 2, 0), change(7, 3, 1_000), change(8, 4, 1_000)];
    let events = events(&mut translator, &records);
    assert_eq!(events.len(), 2);
    assert!(has(&events[1], "user.id=1000") && has(&events[1], "user.changes.id=1000"));
    let part = translator.ledger().kind(Kind::UidChange);
    assert_eq!((part.received, part.delivered, part.unchanged), (3, 1, 2));
}

#[test]
fn files_are_told_with_their_names_and_what_is_known_of_them() {
    let mut translator = translator();
    translator.set_kinds(KindSet::all());
    let plain = File {
        name: FileName { folder: ReversedPath::new(b"tmp\0", true), name: b"./b.sh" },
        other: Some(FileName { folder: ReversedPath::new(b"", true), name: b"/tmp/a.txt" }),
        inode: None,
        file_type: None,
        permissions: None,
        uid: None,
        gid: None,
        original: None,
        flags: Some(0),
    };
    let open = File {
        name: FileName { folder: ReversedPath::new(b"shadow\0etc\0", true), name: b"" },
        other: None,
        inode: Some((7, 1_234)),
        file_type: Some(0o100_000),
        permissions: Some(0o640),
        uid: Some(0),
        gid: Some(42),
        flags: Some(0o2_000_002),
        ..plain
    };
    let records = [
        exec(5, 1, 42, b"tool\0"),
        act(6, 2, Kind::FileRename, Body::File(plain)),
        act(7, 3, Kind::FileOpen, Body::File(open)),
    ];
    let events = events(&mut translator, &records);
    let [_, rename, opened] = events.as_slice() else { panic!("three events") };
    for line in [
        "event.category=file",
        "event.action=rename",
        "process.executable=/bin/tool",
        "file.path=/tmp/b.sh",
        "file.extension=sh",
        "file.Ext.original.path=/tmp/a.txt",
        "file.Ext.original.name=a.txt",
        "file.Ext.original.extension=txt",
    ] {
        assert!(has(rename, line), "{line} is not in {rename:#?}");
    }
    for line in [
        "event.action=open",
        "file.path=/etc/shadow",
        "file.directory=/etc",
        "file.inode=7",
        "file.size=Integer(1234)",
        "file.type=file",
        "file.mode=0640",
        "file.uid=0",
        "file.gid=42",
        "file.Ext.open.flags=O_RDWR",
        "file.Ext.open.flags=O_CLOEXEC",
    ] {
        assert!(has(opened, line), "{line} is not in {opened:#?}");
    }
}
