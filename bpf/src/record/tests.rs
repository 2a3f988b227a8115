//! Records survive a round trip, and no bytes whatever make the reader panic or read past them.

use super::*;
use crate::layout::PATH_LIMIT;

/// A small generator, so that a failure can be repeated from its number (splitmix64, public domain).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }
}

fn header(kind: Kind) -> Header {
    Header { kind, timestamp: 123_456_789_012, sequence: 7, cpu: 1, flags: Flags(0) }
}

fn task() -> Task {
    Task {
        start_time: 42_000_000_000,
        pid: 4242,
        parent_pid: 1,
        effective_user_id: 1000,
        tty_major: 136,
        interactive: true,
        comm: *b"sleep\0\0\0\0\0\0\0\0\0\0\0",
        ..Task::default()
    }
}

fn exec_record() -> Record<'static> {
    Record {
        header: header(Kind::Exec),
        task: task(),
        body: Body::Exec(Exec {
            arguments_total: 8,
            argument_count: 2,
            filename: b"/bin/sleep",
            executable: ReversedPath::new(b"sleep\0bin\0usr\0", true),
            directory: ReversedPath::new(b"", true),
            cgroup: ReversedPath::new(b"", true),
            arguments: Arguments::new(b"sleep\x001\0"),
            environment: Arguments::new(b"HOME=/\0"),
            environment_total: 7,
        }),
    }
}

fn network(address: &str) -> Network<'static> {
    let end = |port| std::net::SocketAddr::new(address.parse().expect("an address"), port);
    Network {
        role: Role::Connected,
        protocol: network::UDP,
        local: end(40_000),
        remote: end(53),
        bytes_sent: 1,
        bytes_received: 2,
        message: b"",
        message_length: 3,
    }
}

fn all_records() -> Vec<Record<'static>> {
    let mut records = vec![
        Record {
            header: header(Kind::LookupRequested),
            task: task(),
            body: Body::Network(Network { message: b"abc", ..network("2001:db8::1") }),
        },
        Record {
            header: header(Kind::Bind),
            task: Task { remembered: true, ..task() },
            body: Body::Network(network("192.0.2.1")),
        },
        exec_record(),
        Record {
            header: header(Kind::Fork),
            task: task(),
            body: Body::Fork(Fork { creator_start_time: 3, creator_pid: 9, cgroup: ReversedPath::new(b"x\0", true) }),
        },
        Record { header: header(Kind::Exit), task: task(), body: Body::Exit(Exit { status: 0x0300 }) },
    ];
    let target = Target { start_time: 5, pid: 77 };
    let path = Some(ReversedPath::new(b"libx.so\0lib\0", true));
    let memory = Memory { address: 4096, length: 8192, protection: 5, protection_old: Some(3), flags: 2, path };
    let file = File {
        name: FileName { folder: ReversedPath::new(b"tmp\0", true), name: b"new" },
        other: Some(FileName { folder: ReversedPath::new(b"", true), name: b"/tmp/old" }),
        inode: Some((77, 4096)),
        file_type: Some(0o100_000),
        permissions: Some(0o644),
        uid: Some(0),
        gid: None,
        original: Some(Original { mode: 0o100_600, uid: 1, gid: 2 }),
        flags: Some(0o1101),
    };
    let open = FileName { folder: ReversedPath::new(b"x\0", true), name: b"" };
    for (kind, body) in [
        (Kind::FileRename, Body::File(file)),
        (Kind::FileOpen, Body::File(File { name: open, other: None, original: None, ..file })),
        (Kind::SessionIdChange, Body::SessionIdChange),
        (Kind::UidChange, Body::UidChange),
        (Kind::GidChange, Body::GidChange),
        (Kind::Kill, Body::Kill(Kill { target, signal: 9 })),
        (Kind::Ptrace, Body::Ptrace(Ptrace { target, request: 0x4206 })),
        (Kind::MemfdCreate, Body::MemfdCreate(Memfd { flags: 1, name: b"memfd:x" })),
        (Kind::LoadModule, Body::LoadModule(Module { name: b"nop", arguments: b"a=1", path: None })),
        (Kind::Mmap, Body::Mmap(Memory { protection_old: None, ..memory })),
        (Kind::Mprotect, Body::Mprotect(memory)),
        (Kind::Bpf, Body::Bpf(Bpf { command: 5, program_type: 26, name: b"" })),
    ] {
        records.push(Record { header: header(kind), task: task(), body });
    }
    records
}

#[test]
fn records_survive_a_round_trip() {
    for record in all_records() {
        assert_eq!(Record::parse(&record.encode()), Ok(record));
    }
}

#[test]
fn every_truncation_is_an_error() {
    for record in all_records() {
        let bytes = record.encode();
        for length in 0..bytes.len() {
            let cut = bytes.get(..length).expect("shorter than the whole");
            assert!(Record::parse(cut).is_err(), "{length} of {} bytes parsed", bytes.len());
            // The same with a header that admits the cut: then the fixed part or the sections must complain.
            let mut honest = cut.to_vec();
            if let Some(place) = honest.get_mut(4..8) {
                place.copy_from_slice(&(length as u32).to_le_bytes());
                assert!(Record::parse(&honest).is_err(), "{length} of {} bytes parsed", bytes.len());
            }
        }
    }
}

#[test]
fn other_versions_and_kinds_are_refused() {
    let mut bytes = exec_record().encode();
    bytes[0] = 1;
    assert_eq!(Record::parse(&bytes), Err(RecordError::Version { found: 1 }));
    let mut bytes = exec_record().encode();
    bytes[2] = 77;
    assert_eq!(Record::parse(&bytes), Err(RecordError::Kind { found: 77 }));
}

#[test]
fn hostile_section_lengths_are_refused() {
    for length_at in [160, 164, 168, 172, 176, 180] {
        for hostile in [u32::MAX, u32::MAX - 255, 1 << 31, 65_537, 4_097, 100] {
            let mut bytes = exec_record().encode();
            bytes[length_at..length_at + 4].copy_from_slice(&hostile.to_le_bytes());
            assert!(matches!(Record::parse(&bytes), Err(RecordError::Section { .. })), "{hostile} at {length_at}");
        }
    }
}

#[test]
fn a_section_past_its_limit_is_refused_even_when_it_is_there() {
    let long = [b'a'; PATH_LIMIT + 1];
    let Body::Exec(exec) = exec_record().body else { panic!("an exec record") };
    let body = Body::Exec(Exec { executable: ReversedPath::new(&long, true), ..exec });
    let bytes = Record { body, ..exec_record() }.encode();
    let error = RecordError::Section { section: "executable", length: PATH_LIMIT + 1 };
    assert_eq!(Record::parse(&bytes), Err(error));
}

#[test]
fn bytes_behind_the_sections_are_refused() {
    let mut bytes = exec_record().encode();
    bytes.push(0);
    let length = bytes.len() as u32;
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    assert_eq!(Record::parse(&bytes), Err(RecordError::Section { section: "tail", length: 1 }));
}

#[test]
fn damaged_records_never_panic() {
    let mut numbers = Numbers(1);
    let records = all_records();
    for round in 0..20_000 {
        let mut bytes = records[round % records.len()].encode();
        for _ in 0..=numbers.next() % 8 {
            let at = numbers.next() as usize % bytes.len();
            bytes[at] = numbers.next() as u8;
        }
        if numbers.next().is_multiple_of(4) {
            bytes.truncate(numbers.next() as usize % bytes.len());
        }
        if let Ok(Record { body: Body::Exec(exec), task, .. }) = Record::parse(&bytes) {
            let mut text = String::new();
            exec.executable.write_to(&mut text);
            exec.directory.write_to(&mut text);
            exec.arguments.iter().for_each(|argument| push_lossy(&mut text, argument));
            push_lossy(&mut text, task.comm());
        }
    }
}

#[test]
fn a_status_is_a_code_or_a_signal() {
    assert_eq!((Exit { status: 0x0300 }.code(), Exit { status: 0x0300 }.signal()), (Some(3), None));
    assert_eq!((Exit { status: 0x8b }.code(), Exit { status: 0x8b }.signal()), (None, Some(11)));
}

#[test]
fn the_books_balance_over_cpus() {
    let mut counters = KernelCounters::default();
    counters.add([10, 1, 2, 3, 4, 0, 0, 0]);
    counters.add([5, 0, 0, 0, 5, 1, 1, 0]);
    assert!(counters.balances());
    counters.add([1, 0, 0, 0, 0, 0, 0, 0]);
    assert!(!counters.balances());
}
