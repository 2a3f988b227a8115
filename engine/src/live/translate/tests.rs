//! Made-up records in, events out: no kernel is needed.

use kestrel_bpf::record::{Arguments, Fork, Header, Kind, ReversedPath};
use kestrel_ir::event::FieldValue;

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
fn rubbish_is_counted_and_gives_no_event() {
    let mut translator = translator();
    let mut cut = exec(5, 1, 42, b"tool\0");
    cut.pop();
    assert!(events(&mut translator, &[cut, Vec::new()]).is_empty());
    assert_eq!(translator.ledger().malformed, 2);
}
