//! The table on made-up hosts: single stories, and invariants over long random ones.

use super::bootstrap::Snapshot;
use super::*;

fn id(pid: u32, start: u64) -> EntityId {
    EntityId::from_start_ticks(pid, start)
}

fn facts(pid: u32, start: u64, parent: Option<EntityId>) -> Facts {
    Facts { id: id(pid, start), parent, session: 1, group: pid, namespace_pid: pid, ..Facts::default() }
}

fn image(name: &str) -> Image {
    let executable = format!("/usr/bin/{name}").into();
    Image { name: name.into(), executable, arguments: format!("{name}\0-x\0").into(), ..Image::default() }
}

fn snapshot(facts: Facts, name: &str) -> Snapshot {
    Snapshot { facts, image: image(name), zombie: false }
}

fn host() -> ProcessTable {
    let mut table = ProcessTable::new(Limits::default());
    table.load(vec![snapshot(facts(50, 90, Some(id(1, 5))), "bash"), snapshot(facts(1, 5, None), "init")]);
    table
}

#[test]
fn a_child_runs_what_its_parent_runs_until_it_execs() {
    let mut table = host();
    let child = table.fork(facts(60, 100, Some(id(50, 90))), "bash");
    assert_eq!(table.get(child).expect("forked").image.name.as_ref(), "bash");
    table.exec(facts(60, 100, Some(id(50, 90))), image("ls"));
    let process = table.get(child).expect("still there");
    assert_eq!(process.image.name.as_ref(), "ls");
    assert_eq!(process.previous.as_ref().map(|image| image.name.as_ref()), Some("bash"));
    assert_eq!(table.ancestry(child).collect::<Vec<_>>(), [id(50, 90), id(1, 5)]);
}

#[test]
fn a_number_used_again_is_another_process() {
    let mut table = host();
    table.fork(facts(60, 100, Some(id(50, 90))), "bash");
    table.fork(facts(60, 200, Some(id(1, 5))), "init");
    assert!(table.get(id(60, 100)).expect("kept").ended, "its exit was missed");
    assert!(!table.get(id(60, 200)).expect("new").ended);
    assert_eq!(table.by_pid(60).expect("the latest").facts.id, id(60, 200));
    assert_eq!(table.counters().missed_exits, 1);
}

#[test]
fn late_news_of_a_process_does_not_end_the_one_that_has_its_number_now() {
    let mut table = host();
    table.fork(facts(60, 200, Some(id(1, 5))), "init");
    table.look(facts(60, 100, Some(id(50, 90))), b"gone");
    assert!(table.get(id(60, 100)).expect("taken in, for its event").ended);
    assert!(!table.get(id(60, 200)).expect("the living one").ended);
    assert_eq!(table.by_pid(60).expect("the latest").facts.id, id(60, 200));
}

#[test]
fn a_look_brings_sessions_and_users_up_to_date_and_nothing_of_the_dead() {
    let mut table = host();
    table.fork(facts(60, 100, Some(id(50, 90))), "bash");
    assert_eq!(table.get(id(60, 100)).expect("forked").session_leader, Some(id(1, 5)));
    let own = Facts { session: 60, group: 60, users: [1, 2, 3], ..facts(60, 100, Some(id(1, 5))) };
    table.look(own, b"bash");
    let process = table.get(id(60, 100)).expect("alive");
    assert_eq!((process.session_leader, process.group_leader), (Some(id(60, 100)), Some(id(60, 100))));
    assert_eq!(
        (process.facts.users, process.facts.parent),
        ([1, 2, 3], Some(id(50, 90))),
        "its parent is that of birth"
    );
    assert_eq!(process.image.name.as_ref(), "bash");
    assert!(table.exit(own, "bash"));
    table.look(Facts { users: [9, 9, 9], ..own }, b"bash");
    let process = table.get(id(60, 100)).expect("kept");
    assert!(process.ended && process.facts.users == [1, 2, 3]);
    table.look(facts(61, 101, Some(id(60, 100))), b"unknown");
    assert_eq!(table.get(id(61, 101)).expect("taken in").image.name.as_ref(), "unknown");
    assert_eq!(table.counters().unannounced, 1);
}

#[test]
fn a_reparented_process_keeps_its_origin() {
    let mut table = host();
    table.fork(facts(60, 100, Some(id(50, 90))), "bash");
    table.fork(facts(61, 101, Some(id(60, 100))), "bash");
    assert!(table.exit(facts(60, 100, Some(id(50, 90))), "bash"));
    // The kernel says from now on that init is the parent.
    table.exec(facts(61, 101, Some(id(1, 5))), image("evil"));
    assert_eq!(table.ancestry(id(61, 101)).collect::<Vec<_>>(), [id(60, 100), id(50, 90), id(1, 5)]);
}

#[test]
fn the_news_of_a_birth_corrects_what_proc_showed() {
    let mut table = host();
    table.load(vec![snapshot(facts(61, 101, Some(id(1, 5))), "evil")]);
    table.fork(facts(61, 101, Some(id(50, 90))), "bash");
    assert_eq!(table.ancestry(id(61, 101)).next(), Some(id(50, 90)));
}

#[test]
fn an_unknown_parent_is_known_by_its_id() {
    let mut table = host();
    table.exec(facts(70, 300, Some(id(69, 299))), image("ls"));
    assert_eq!(table.ancestry(id(70, 300)).collect::<Vec<_>>(), [id(69, 299)]);
    assert_eq!(table.counters().unannounced, 1);
}

#[test]
fn the_second_news_of_an_end_is_told_apart() {
    let mut table = host();
    assert!(table.exit(facts(50, 90, None), "bash"));
    assert!(!table.exit(facts(50, 90, None), "bash"));
    assert!(table.exit(facts(77, 400, None), "unseen"));
    assert_eq!(table.counters().repeated_exits, 1);
}

#[test]
fn entry_leaders_are_where_people_and_services_come_in() {
    let leader = |pid, start, parent| Facts { session: pid, ..facts(pid, start, parent) };
    let inside = |pid, start, parent, session| Facts { session, ..facts(pid, start, parent) };
    let mut table = ProcessTable::new(Limits::default());
    table.load(vec![
        snapshot(leader(1, 1, None), "systemd"),
        snapshot(Facts { kernel_thread: true, session: 0, ..facts(2, 1, None) }, "kthreadd"),
        snapshot(leader(10, 10, Some(id(1, 1))), "sshd"),
        snapshot(leader(11, 11, Some(id(10, 10))), "sshd-session"),
        snapshot(leader(12, 12, Some(id(11, 11))), "bash"),
        snapshot(inside(13, 13, Some(id(12, 12)), 12), "vim"),
        snapshot(leader(20, 20, Some(id(1, 1))), "containerd-shim-runc-v2"),
        snapshot(Facts { namespace_pid: 1, ..leader(21, 21, Some(id(20, 20))) }, "nginx"),
        snapshot(inside(22, 22, Some(id(21, 21)), 21), "nginx"),
        snapshot(Facts { namespace_pid: 9, ..leader(23, 23, Some(id(12, 12))) }, "sh"),
        snapshot(Facts { tty: (4, 1), ..leader(31, 31, Some(id(30, 30))) }, "bash"),
        snapshot(leader(30, 30, Some(id(1, 1))), "login"),
        snapshot(Facts { tty: (4, 64), ..leader(32, 32, Some(id(30, 30))) }, "bash"),
    ]);
    let entry = |pid: u32| {
        let process = table.by_pid(pid).expect("loaded");
        let leader = process.entry_leader.expect("everybody has one");
        (leader.pid, table.get(leader).and_then(|leader| leader.entry_kind).map(EntryKind::name))
    };
    assert_eq!(entry(1), (1, Some("init")));
    assert_eq!(entry(2), (2, Some("kthread")));
    assert_eq!(entry(10), (10, Some("init")));
    assert_eq!(entry(13), (12, Some("sshd")));
    assert_eq!(entry(22), (21, Some("container")));
    assert_eq!(entry(23), (23, Some("container")), "put into one by somebody outside");
    assert_eq!(entry(31), (31, Some("console")));
    assert_eq!(entry(32), (32, Some("terminal")), "a serial line");
    let vim = table.by_pid(13).expect("loaded");
    assert_eq!(vim.session_leader, Some(id(12, 12)));
    assert_eq!(vim.group_leader, Some(id(13, 13)));
}

#[test]
fn a_circle_of_parents_does_no_harm() {
    let mut table = ProcessTable::new(Limits::default());
    table.load(vec![snapshot(facts(5, 1, Some(id(6, 1))), "a"), snapshot(facts(6, 1, Some(id(5, 1))), "b")]);
    assert_eq!(table.ancestry(id(5, 1)).count(), ANCESTRY_LIMIT);
}

#[test]
fn parents_of_the_living_are_forgotten_last() {
    let mut table = ProcessTable::new(Limits { ended: 2, ..Limits::default() });
    table.fork(facts(10, 1, None), "parent");
    table.fork(facts(11, 2, Some(id(10, 1))), "parent");
    table.exit(facts(10, 1, None), "parent");
    for pid in 20..30 {
        table.fork(facts(pid, u64::from(pid), None), "x");
        table.exit(facts(pid, u64::from(pid), None), "x");
    }
    assert!(table.get(id(10, 1)).is_some(), "it has a living child");
    assert_eq!(table.counters().forgotten_ended, 9);
}

#[test]
fn arguments_are_cut_only_when_the_living_fill_the_table() {
    let limits = Limits { bytes: 100_000, arguments_when_full: 100, ..Limits::default() };
    let mut table = ProcessTable::new(limits);
    for pid in 1..100 {
        let arguments = format!("{}\0", "é".repeat(2_500)).into();
        table.exec(facts(pid, u64::from(pid), None), Image { arguments, ..image("x") });
    }
    assert!(table.counters().arguments_cut >= 70, "{:?}", table.counters());
    assert!(table.bytes() < 150_000, "{}", table.bytes());
    assert!(table.by_pid(99).expect("the last").image.truncated);
    assert!(!table.by_pid(1).expect("the first").image.truncated);
}

/// A small generator (splitmix64, public domain), so that a failure can be repeated from its number.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % bound
    }
}

/// Random hosts with few numbers (so they are used again), lost news and repeated news.
#[test]
fn limits_and_books_hold_over_random_histories() {
    for seed in 0..40 {
        let mut numbers = Numbers(seed);
        let limits = Limits { processes: 60, ended: 20, bytes: 20_000, arguments_when_full: 32 };
        let mut table = ProcessTable::new(limits);
        let mut known: Vec<EntityId> = vec![id(1, 0)];
        for now in 1..3_000 {
            let who = known[numbers.below(known.len() as u64) as usize];
            let parent = (numbers.below(10) > 0).then_some(who);
            match numbers.below(5) {
                0 | 1 => {
                    let child = id(1 + numbers.below(100) as u32, now);
                    known.push(child);
                    table.fork(facts(child.pid, now, parent), "x");
                    assert!(table.get(child).is_some(), "the one being told of stays");
                }
                2 => {
                    let arguments = "a\0".repeat(numbers.below(500) as usize).into();
                    table.exec(facts(who.pid, who.start_ticks, parent), Image { arguments, ..image("y") });
                    assert!(table.get(who).is_some());
                }
                _ => {
                    table.exit(facts(who.pid, who.start_ticks, parent), "x");
                }
            }
            if known.len() > 80 {
                known.remove(0);
            }
            check_invariants(&table, seed);
        }
    }
}

fn check_invariants(table: &ProcessTable, seed: u64) {
    assert!(table.processes.len() <= table.limits.processes, "seed {seed}");
    assert!(table.ended.len() <= table.limits.ended, "seed {seed}");
    assert_eq!(table.ended.len(), table.processes.values().filter(|process| process.ended).count(), "seed {seed}");
    let images: HashMap<*const Image, usize> = table
        .processes
        .values()
        .flat_map(|process| std::iter::once(&process.image).chain(&process.previous))
        .map(|image| (Arc::as_ptr(image), image.bytes()))
        .collect();
    assert_eq!(table.bytes, images.values().sum::<usize>(), "seed {seed}");
    for (&id, process) in &table.processes {
        assert_eq!(process.facts.id, id);
        assert!(table.ancestry(id).count() <= ANCESTRY_LIMIT);
    }
    for (&pid, id) in &table.by_pid {
        assert!(table.processes.contains_key(id) && id.pid == pid, "seed {seed}");
    }
    assert!(table.arrivals.len() <= 2 * table.processes.len() + 65, "seed {seed}");
}
