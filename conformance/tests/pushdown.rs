//! The kernel's filter against user space: what some rule wants passes, whatever the file is called and however it was
//! named, whichever program acts and wherever its connections go. Two live sources watch the same acts of this process, one with the filter of generated rules and one without;
//! the interpreter decides about the events of the second, and those that match must be in the first.
//!
//! Without privilege or BTF this says so and passes.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kestrel_conformance::generate::{Random, seed};
use kestrel_conformance::replay::build;
use kestrel_engine::live::{KernelFilter, KindSet, LiveError, LiveOptions, LiveSource};
use kestrel_ir::event::{Event, FieldTable, FieldValue};
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::interp::Interpreter;
use kestrel_ir::model::PredicateId;
use kestrel_ir::pack::Pack;
use kestrel_schema::event_kind;

/// How many acts there are in one round, and how many rounds with rules of their own.
const ACTS: usize = 120;
const ROUNDS: u64 = 24;
/// How long events may be on their way.
const PATIENCE: Duration = Duration::from_secs(20);

const FOLDERS: [&str; 7] = ["cron.d", "CRON.d", ".ssh", "deep/er/still", "Ünï", "a.b", "init.d"];
const NAMES: [&str; 12] = [
    "job",
    "Job.SH",
    "authorized_keys",
    ".profile",
    ".sh",
    "x.service",
    "x.tar.gz",
    "café.sh",
    "trail.",
    "..a",
    "K\u{212a}.so",
    "plain",
];

/// What the programs are called that do some of the acts, and patterns of names.
const PROGRAMS: [&str; 6] = ["ld.one", "X86-linux-GNU-ld", ".hidden", "cc1", "memfd:x", "café"];
const PATTERNS: [&str; 11] =
    ["ld.*", "*-linux-gnu-ld*", ".*", "?c1", "*.o??", "*d:*", "caf*", "*file", "*d_k*", "?ob*", "*.t?r.*"];

/// A condition over files, of shapes with and without keys.
fn condition(random: &mut Random, root: &str) -> String {
    let (folder, name) = (random.pick(&FOLDERS), random.pick(&NAMES));
    match random.below(18) {
        13 => format!("process.name like~ (\"{}\", \"{}\")", random.pick(&PATTERNS), random.pick(&PATTERNS)),
        14 => format!("process.executable : \"{root}/bin/*\""),
        15 => format!("process.executable like (\"./*\", \"/no/such/*\", \"*{}\")", random.pick(&PATTERNS)),
        16 => format!("file.name : \"{}\"", random.pick(&PATTERNS)),
        17 => format!("file.path : (\"{root}/*_keys\", \"*/{}\")", random.pick(&PATTERNS)),
        12 => {
            let program = std::env::current_exe().expect("a path of this program");
            let own = program.file_name().expect("a name").to_string_lossy();
            format!("process.name in~ (\"nobody\", \"{}\")", own.to_uppercase())
        }
        0 => format!("file.name : \"{name}\""),
        1 => format!("file.name == \"{name}\""),
        2 => format!("file.path : \"{root}/{folder}/*\""),
        3 => format!("file.path like~ \"*/{folder}/*\""),
        4 => format!("file.path : (\"*/{name}\", \"*/{folder}/?ob*\")"),
        5 => "file.extension in~ (\"SH\", \"service\")".to_owned(),
        6 => "file.name : \"*.sh\"".to_owned(),
        7 => format!("file.directory : \"{root}/{folder}\""),
        8 => "file.path regex~ \".*/authorized_.*\"".to_owned(),
        9 => "process.name : (\"pushdown-*\", \"nobody\")".to_owned(),
        10 => "process.executable : \"*/no-such-program\"".to_owned(),
        _ => format!("file.path like \"{root}/*/{name}\""),
    }
}

/// A condition over the ends of connections.
fn condition_of_ends(random: &mut Random) -> String {
    let (address, port) = (random.pick(&ADDRESSES), random.pick(&PORTS));
    let side = random.pick(&["source", "destination"]);
    match random.below(9) {
        0 => format!("cidrmatch({side}.ip, \"127.0.0.0/9\", \"10.0.0.0/8\")"),
        1 => format!("not cidrmatch({side}.ip, \"127.0.0.0/8\", \"::1\", \"192.0.2.0/24\")"),
        2 => format!("{side}.ip != null and {side}.ip != \"127.0.0.1\" and {side}.ip != \"::1\""),
        3 => format!("{side}.ip == \"{address}\""),
        4 => format!("{side}.port in ({port}, 53, 99999)"),
        5 => format!("{side}.port > 1023 and {side}.port < 40000"),
        6 => format!("{side}.port != {port}"),
        7 => format!("not ({side}.port >= 1024 or cidrmatch({side}.ip, \"::/0\"))"),
        _ => "process.name : (\"pushdown-*\", \"nobody\")".to_owned(),
    }
}

fn query(random: &mut Random, root: &str) -> String {
    match random.below(6) {
        0 => return format!("process where event.type == \"end\" and {}", condition(random, root)),
        1 => return format!("process where process.parent.name != null and {}", condition(random, root)),
        2 | 3 => {
            let text = format!("({} or {})", condition_of_ends(random), condition_of_ends(random));
            return match random.below(3) {
                0 => format!("network where event.action == \"connection_attempted\" and {text}"),
                1 => format!("network where {text} and not {}", condition_of_ends(random)),
                _ => format!("network where {text}"),
            };
        }
        _ => {}
    }
    let mut text = condition(random, root);
    if random.once_in(3) {
        text = format!("({text} or {})", condition(random, root));
    }
    if random.once_in(3) {
        text = format!("{text} and not {}", condition(random, root));
    }
    match random.below(4) {
        0 => format!("file where event.action == \"rename\" and {text}"),
        1 => format!("file where event.type == \"creation\" and {text}"),
        _ => format!("file where {text}"),
    }
}

/// What connections go to.
const ADDRESSES: [&str; 8] =
    ["127.0.0.1", "127.200.0.9", "10.1.2.3", "192.0.2.9", "::1", "::ffff:10.1.2.3", "2001:db8::5", "10.1.2.4"];
const PORTS: [u16; 5] = [53, 443, 1024, 4444, 65_535];

/// One act of a socket; what fails, for want of a route or of IPv6, is no event and no matter.
fn connect(random: &mut Random) {
    let address: IpAddr = random.pick(&ADDRESSES).parse().expect("an address");
    if random.once_in(3) {
        let Ok(listener) = TcpListener::bind((address, 0)) else { return };
        let Ok(Ok(client)) = listener.local_addr().map(TcpStream::connect) else { return };
        let accepted = listener.accept();
        drop(client);
        drop(accepted);
        return;
    }
    let any: IpAddr = if address.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let local = if random.once_in(2) { any } else { address };
    if let Ok(socket) = UdpSocket::bind((local, 0)) {
        drop(socket.connect((address, random.pick(&PORTS))));
    }
}

/// One act on a file below `root`; what fails is no event and no matter.
fn act(random: &mut Random, root: &Path) {
    let path = |random: &mut Random| {
        let (folder, name) = (random.pick(&FOLDERS), random.pick(&NAMES));
        let mut path = root.join(folder);
        match random.below(8) {
            // Not in order, and as the kernel must not compare it.
            0 => path.push("../x/.."),
            1 => path.push("."),
            _ => {}
        }
        path.push(name);
        path
    };
    let one = path(random);
    match random.below(9) {
        6 | 7 => connect(random),
        8 => {
            let program = root.join("bin").join(random.pick(&PROGRAMS));
            let mut command = Command::new(program);
            // A process of its own, by fork, and a file.
            command.args(["-c", "(:); : > \"$0\""]).arg(one);
            drop(command.stderr(Stdio::null()).status());
        }
        0 | 1 => drop(fs::write(&one, b"content")),
        2 => drop(fs::rename(&one, path(random))),
        3 => drop(fs::remove_file(&one)),
        4 => drop(fs::set_permissions(&one, fs::Permissions::from_mode(0o640))),
        // By a name that counts from the working directory, which is `root`.
        _ => {
            let relative = one.strip_prefix(root).unwrap_or(&one);
            drop(fs::write(relative, b"more"));
            drop(fs::hard_link(relative, path(random)));
        }
    }
}

/// Shells by other names.
fn install_programs(folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    for name in PROGRAMS {
        fs::copy("/bin/sh", folder.join(name)).expect("a copy of a program");
    }
}

/// The kinds of events that these acts are.
const KINDS: [&str; 14] = [
    "exec",
    "fork",
    "exit",
    "file_create",
    "file_modify",
    "file_rename",
    "file_delete",
    "file_chmod",
    "file_link",
    "connection_attempted",
    "connection_accepted",
    "bind",
    "listen",
    "disconnect_received",
];
/// Of an event's fields, those that say where it was.
const PLACES: [&str; 8] = [
    "file.path",
    "file.Ext.original.path",
    "file.target_path",
    "source.ip",
    "source.port",
    "destination.ip",
    "destination.port",
    "process.executable",
];

/// What tells one act from another, in both sources alike.
type Act = (String, Vec<String>);

fn describe(table: &FieldTable, event: &Event) -> Act {
    let texts = |field: &str| -> Vec<String> {
        let number = table.lookup(field);
        let text = |(_, _, value)| match value {
            FieldValue::Text(text) => str::to_owned(text),
            other => format!("{other:?}"),
        };
        event.values().filter(|(found, _, _)| Some(*found) == number).map(text).collect()
    };
    let places = PLACES.into_iter().flat_map(texts).collect();
    (texts("event.action").concat(), places)
}

struct Watch {
    source: LiveSource,
    events: Vec<Event>,
}

impl Watch {
    fn open(kinds: KindSet) -> Option<Watch> {
        match LiveSource::open(LiveOptions { kinds, ignore_self: false, ..LiveOptions::default() }) {
            Ok(source) => Some(Watch { source, events: Vec::new() }),
            Err(error @ (LiveError::Capabilities { .. } | LiveError::NoBtf { .. })) => {
                eprintln!("skipped: {error}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Forgets what came, and filters from now on.
    fn begin(&mut self, filter: &KernelFilter) {
        self.source.set_filter(filter).expect("the kernel takes the filter");
        while self.source.poll(Duration::ZERO, &mut |_| ()).expect("the source goes on") > 0 {}
        self.events.clear();
    }

    /// Reads until the act that ends a round has come.
    fn read_until(&mut self, last: &Path) {
        let began = Instant::now();
        let table = self.source.fields().clone();
        let is_last =
            |event: &Event| describe(&table, event).1.iter().any(|path| path.as_bytes() == last.as_os_str().as_bytes());
        while !self.events.iter().any(is_last) {
            assert!(began.elapsed() < PATIENCE, "the last act never came; {} events did", self.events.len());
            let Watch { source, events } = self;
            source
                .poll(Duration::from_millis(50), &mut |event| events.push(event.clone()))
                .expect("the source goes on");
        }
    }

    /// How often each act below `root` and of this process's sockets was seen, among the events that `wanted` says.
    fn acts(&self, root: &str, wanted: impl Fn(&Event) -> bool) -> BTreeMap<Act, usize> {
        let table = self.source.fields();
        let mut acts = BTreeMap::new();
        let pid = table.lookup("process.pid");
        let own = FieldValue::Integer(std::process::id().into());
        let is_own = |event: &Event| event.values().any(|(field, _, value)| Some(field) == pid && value == own);
        let is_of_socket = |event: &Event| describe(table, event).1.iter().any(|place| place.contains("Ip("));
        for event in self.events.iter().filter(|event| wanted(event)) {
            let act = describe(table, event);
            if act.1.iter().any(|path| path.starts_with(root)) || is_of_socket(event) && is_own(event) {
                *acts.entry(act).or_insert(0) += 1;
            }
        }
        acts
    }
}

fn rules(random: &mut Random, root: &str, folder: &Path) -> Pack {
    // The last rule wants the act that ends a round, so that it passes.
    let mut queries: Vec<String> = (0..1 + random.below(4)).map(|_| query(random, root)).collect();
    queries.push("file where file.name == \"the-end\"".to_owned());
    fs::create_dir_all(folder).expect("a folder for rules");
    for (number, query) in queries.iter().enumerate() {
        fs::write(folder.join(format!("rule-{number}.eql")), query).expect("a rule");
    }
    let built = build(&[folder.to_owned()]).expect("a pack");
    assert_eq!(built.failed, [], "{queries:?}");
    built.pack.pack
}

#[test]
fn whatever_a_rule_wants_passes_the_kernel() {
    let seed = seed(20_261_121);
    println!("seed {seed} (KESTREL_SEED)");
    let home = std::env::temp_dir().join(format!("kestrel-pushdown-{}", std::process::id()));
    let root = home.join("root");
    FOLDERS.iter().chain(&["x"]).for_each(|folder| fs::create_dir_all(root.join(folder)).expect("a folder"));
    install_programs(&root.join("bin"));
    let root_text = root.to_str().expect("a path in UTF-8").to_owned();
    std::env::set_current_dir(&root).expect("the folder is there");
    let numbers: Vec<u16> = KINDS.into_iter().filter_map(|name| Some(event_kind(name)?.id)).collect();
    let kinds = KindSet::from_numbers(&numbers);
    let (Some(mut all), Some(mut some)) = (Watch::open(kinds), Watch::open(kinds)) else { return };
    let (mut dropped, mut wanted_in_all) = (0, 0);
    let (mut seen_by_action, mut passed_by_action) = (BTreeMap::<String, usize>::new(), BTreeMap::new());
    for round in 0..ROUNDS {
        let mut random = Random::new(seed ^ round);
        let pack = rules(&mut random, &root_text, &home.join(format!("rules-{round}")));
        let ir = pack.ir();
        all.begin(&KernelFilter::default());
        some.begin(&KernelFilter::of_packs([&pack], kinds));
        (0..ACTS).for_each(|_| act(&mut random, &root));
        // Other rules may want the end too, so that the rounds are told from each other by the file's folder.
        let last: PathBuf = root.join(format!("end-{round}")).join("the-end");
        fs::create_dir(root.join(format!("end-{round}"))).expect("a folder");
        fs::write(&last, b"").expect("the last act");
        all.read_until(&last);
        some.read_until(&last);

        let interpreter = Interpreter::new(ir).expect("verified rules");
        let builder = std::cell::RefCell::new(FrameBuilder::new(&ir.layout, all.source.fields()));
        let wanted = |event: &Event| {
            let mut builder = builder.borrow_mut();
            let frame = builder.build(event);
            (0..ir.predicates.len() as u32).any(|id| interpreter.predicate(PredicateId(id), frame))
        };
        let (wanted, passed, seen) =
            (all.acts(&root_text, wanted), some.acts(&root_text, |_| true), all.acts(&root_text, |_| true));
        for (act, count) in &wanted {
            assert!(passed.get(act) >= Some(count), "round {round}: {act:?} is wanted {count} times: {passed:?}");
        }
        for (act, count) in &passed {
            assert!(seen.get(act) >= Some(count), "round {round}: {act:?} passed {count} times");
        }
        let total = |acts: &BTreeMap<Act, usize>| acts.values().sum::<usize>();
        dropped += total(&seen) - total(&passed);
        wanted_in_all += total(&wanted);
        for (acts, sums) in [(&seen, &mut seen_by_action), (&passed, &mut passed_by_action)] {
            acts.iter().for_each(|((action, _), count)| *sums.entry(action.clone()).or_insert(0) += count);
        }
        let ledger = some.source.ledger().expect("a ledger");
        let by_kind: HashMap<_, _> = ledger.kinds.iter().map(|part| (part.kind, part.kernel)).collect();
        for (kind, kernel) in by_kind {
            let sum = kernel.ignored + kernel.filtered + kernel.dropped + kernel.sent;
            assert_eq!(kernel.produced, sum, "round {round}: {}", kind.name());
        }
    }
    fs::remove_dir_all(&home).expect("the folder goes");
    println!("{wanted_in_all} events were wanted, {dropped} others stayed in the kernel");
    println!("of {seen_by_action:?} {passed_by_action:?} passed");
    for (action, seen) in &seen_by_action {
        let passed = passed_by_action.get(action).copied().unwrap_or(0);
        assert!(*seen < 20 || (1..*seen).contains(&passed), "{action}: {passed} of {seen} passed, which shows nothing");
    }
    assert!(
        wanted_in_all > 100 && dropped > 100,
        "{wanted_in_all} wanted, {dropped} dropped: the test would show nothing"
    );
}
