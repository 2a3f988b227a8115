//! The kernel's filter against user space: what some rule wants passes, whatever the file is called and however it was
//! named. Two live sources watch the same acts of this process, one with the filter of generated rules and one without;
//! the interpreter decides about the events of the second, and those that match must be in the first.
//!
//! Without privilege or BTF this says so and passes.

use std::collections::{BTreeMap, HashMap};
use std::fs;
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

fn query(random: &mut Random, root: &str) -> String {
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
    match random.below(7) {
        6 => {
            let program = root.join("bin").join(random.pick(&PROGRAMS));
            drop(Command::new(program).arg(one).stderr(Stdio::null()).status());
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

/// Programs that create the file that they are given.
fn install_programs(folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    let touch = ["/usr/bin/touch", "/bin/touch"].into_iter().map(Path::new).find(|path| path.exists());
    for name in PROGRAMS {
        fs::copy(touch.expect("`touch` is installed"), folder.join(name)).expect("a copy of a program");
    }
}

/// The kinds of events that these acts are.
const KINDS: [&str; 6] = ["file_create", "file_modify", "file_rename", "file_delete", "file_chmod", "file_link"];

/// What tells one act from another, in both sources alike.
type Act = (String, Vec<String>);

fn describe(table: &FieldTable, event: &Event) -> Act {
    let texts = |field: &str| -> Vec<String> {
        let number = table.lookup(field);
        let text = |(_, _, value)| match value {
            FieldValue::Text(text) => Some(str::to_owned(text)),
            _ => None,
        };
        event.values().filter(|(found, _, _)| Some(*found) == number).filter_map(text).collect()
    };
    let places = ["file.path", "file.Ext.original.path", "file.target_path"].into_iter().flat_map(texts).collect();
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

    /// How often each act below `root` was seen by this process, among the events that `wanted` says.
    fn acts(&self, root: &str, wanted: impl Fn(&Event) -> bool) -> BTreeMap<Act, usize> {
        let table = self.source.fields();
        let mut acts = BTreeMap::new();
        for event in self.events.iter().filter(|event| wanted(event)) {
            let act = describe(table, event);
            if act.1.iter().any(|path| path.starts_with(root)) {
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
        let ledger = some.source.ledger().expect("a ledger");
        let by_kind: HashMap<_, _> = ledger.kinds.iter().map(|part| (part.kind, part.kernel)).collect();
        for (kind, kernel) in by_kind {
            let sum = kernel.ignored + kernel.filtered + kernel.dropped + kernel.sent;
            assert_eq!(kernel.produced, sum, "round {round}: {}", kind.name());
        }
    }
    fs::remove_dir_all(&home).expect("the folder goes");
    println!("{wanted_in_all} events were wanted, {dropped} others stayed in the kernel");
    assert!(
        wanted_in_all > 100 && dropped > 100,
        "{wanted_in_all} wanted, {dropped} dropped: the test would show nothing"
    );
}
