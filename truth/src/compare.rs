//! What was wanted against what was seen: every wanted event is looked for, every field compared.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kestrel_schema::{EventKind, event_kind};
use serde_json::Value as Json;

use crate::expect::{Expected, Want};
use crate::observe::{Observed, Watched};

/// How often a field of a kind was compared, and with what result.
#[derive(Debug, Clone, Default)]
pub struct FieldCount {
    pub compared: u64,
    pub wrong: u64,
    /// Something was wanted and the field was not there.
    pub missing: u64,
    /// The first difference, for people.
    pub example: Option<String>,
}

/// Where events of a kind come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Source {
    /// This build has none for the kind.
    #[default]
    None,
    /// This host does not allow it, for this reason.
    Refused(String),
    /// The name of its class.
    Of(&'static str),
}

/// What came of the events of one kind.
#[derive(Debug, Clone, Default)]
pub struct KindCount {
    /// Where the kind came from; or why the host cannot give it, or that this build does not collect it.
    pub source: Source,
    pub expected: u64,
    pub seen: u64,
    /// Events of our processes that nobody wanted.
    pub extra: u64,
    /// The first of them, for people.
    pub extra_examples: Vec<String>,
    /// Events with a flag that a value could not be read.
    pub unreadable: u64,
    pub fields: BTreeMap<String, FieldCount>,
    /// Fields that the schema lists for the kind and that nothing was said about.
    pub not_compared: Vec<String>,
    /// Fields that the workload could tell and the schema does not list for the kind.
    pub not_claimed: BTreeSet<String>,
    /// The first wanted events that were not seen, for people.
    pub lost: Vec<String>,
}

/// The whole comparison, by kind.
pub type Comparison = BTreeMap<String, KindCount>;

/// Kinds whose events come from much that a program does besides its acts: only the wanted ones are looked at.
const BUSY: [&str; 13] = [
    "file_open",
    "file_create",
    "file_modify",
    "file_delete",
    "file_chmod",
    "file_chown",
    "file_link",
    "mmap",
    "mprotect",
    "kill",
    "bind",
    "listen",
    "disconnect_received",
];

/// What a class of sources cannot give, because it does not see the file itself: calls name a path, and it is looked up after they
/// have asked. It is told beside the result.
const CANNOT: [(&str, &str, &[&str]); 4] = [
    ("ebpf-b", "file_delete", &["file.inode", "file.type"]),
    ("ebpf-b", "file_rename", &["file.inode", "file.type"]),
    ("ebpf-b", "file_chmod", &["file.inode", "file.type", "file.uid", "file.gid", "file.Ext.original.mode"]),
    ("ebpf-b", "file_chown", &["file.inode", "file.type", "file.Ext.original.uid", "file.Ext.original.gid"]),
];

fn cannot(source: &Source, kind: &str, field: &str) -> bool {
    let Source::Of(source) = source else { return false };
    CANNOT.iter().any(|(of, in_kind, fields)| of == source && *in_kind == kind && fields.contains(&field))
}

/// Compares.
pub fn compare(watched: &Watched) -> Comparison {
    let mut comparison = Comparison::new();
    let mut entities = Entities::default();
    let mut by_place: HashMap<(&str, u32), Vec<usize>> = HashMap::new();
    for (index, event) in watched.observed.iter().enumerate() {
        by_place.entry((event.kind, event.pid)).or_default().push(index);
    }
    let mut used = vec![false; watched.observed.len()];
    for expected in &watched.expected {
        let count = comparison.entry(expected.kind.clone()).or_default();
        count.source = source_of(watched, &expected.kind);
        count.expected += 1;
        if !matches!(count.source, Source::Of(_)) {
            continue;
        }
        let candidates = by_place.get(&(expected.kind.as_str(), expected.pid)).map_or(&[][..], Vec::as_slice);
        // By key and time; what came at another time than it was done is a wrong time, not a missing event.
        let fits = |index: usize, names: &[&str]| {
            let Some(event) = watched.observed.get(index) else { return false };
            !used[index] && names.iter().all(|name| holds(expected, name, event, &mut Entities::default()))
        };
        let key: Vec<&str> = expected.key.iter().map(String::as_str).collect();
        let timed: Vec<&str> = key.iter().copied().chain(["@timestamp"]).collect();
        let find = |names: &[&str]| candidates.iter().copied().find(|&index| fits(index, names));
        let found = find(&timed).or_else(|| find(&key));
        let Some(index) = found else {
            if count.lost.len() < 8 {
                let key: Vec<String> =
                    expected.key.iter().map(|name| format!("{name} {:?}", expected.fields.get(name))).collect();
                count.lost.push(format!("{} (pid {}) {}", expected.act, expected.pid, key.join(", ")));
            }
            continue;
        };
        used[index] = true;
        count.seen += 1;
        let event = &watched.observed[index];
        count.unreadable += u64::from(event.unreadable);
        let kind = event_kind(&expected.kind);
        let constants = kind.map(constants).unwrap_or_default();
        for (name, want) in expected.fields.iter().chain(&constants) {
            // What the schema does not list for the kind is not claimed.
            if kind.is_none_or(|kind| kind.fields.binary_search(&name.as_str()).is_err()) {
                count.not_claimed.insert(name.clone());
                continue;
            }
            let field = count.fields.entry(name.clone()).or_default();
            field.compared += 1;
            if check(want, name, event, &mut entities) {
                continue;
            }
            let values = event.fields.get(name);
            if values.is_none() && cannot(&count.source, &expected.kind, name) {
                field.compared -= 1;
                count.not_claimed.insert(format!("{name} (not from this source)"));
                continue;
            }
            match values {
                None => field.missing += 1,
                Some(_) => field.wrong += 1,
            }
            if field.example.is_none() {
                field.example = Some(format!(
                    "{} (pid {}): wanted {}, found {}",
                    expected.act,
                    expected.pid,
                    short(&format!("{want:?}")),
                    short(
                        &values.map_or_else(|| "nothing".to_owned(), |values| Json::from(values.clone()).to_string())
                    )
                ));
            }
        }
    }
    for (index, event) in watched.observed.iter().enumerate() {
        if !used[index] && !BUSY.contains(&event.kind) {
            let count = comparison.entry(event.kind.to_owned()).or_default();
            count.extra += 1;
            count.source = source_of(watched, event.kind);
            if count.extra_examples.len() < 4 {
                let text = |name: &str| event.fields.get(name).map(|values| Json::from(values.clone()).to_string());
                let shown = ["process.executable", "process.args", "process.parent.pid", "file.path"].map(text);
                count.extra_examples.push(format!(
                    "pid {} {}",
                    event.pid,
                    shown.into_iter().flatten().map(|text| short(&text)).collect::<Vec<_>>().join(" ")
                ));
            }
        }
    }
    for (name, count) in &mut comparison {
        let listed = event_kind(name).map_or(&[][..], |kind| kind.fields);
        count.not_compared = listed
            .iter()
            .filter(|field| !count.fields.contains_key(**field))
            .map(|field| (*field).to_owned())
            .collect();
    }
    comparison
}

fn source_of(watched: &Watched, kind: &str) -> Source {
    match watched.sources.get(kind) {
        None => Source::None,
        Some(Ok(name)) => Source::Of(name),
        Some(Err(reason)) => Source::Refused(reason.clone()),
    }
}

/// What every event of a kind holds, whoever caused it.
fn constants(kind: &'static EventKind) -> BTreeMap<String, Want> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let mut fields = BTreeMap::from([
        ("event.action", Want::value(kind.action)),
        ("event.category", Want::texts(kind.category)),
        ("event.type", Want::texts(kind.event_type)),
        ("event.kind", Want::value("event")),
        ("event.module", Want::value("kestrel")),
        ("event.id", Want::Any),
        ("event.sequence", Want::Any),
        ("host.os.type", Want::value("linux")),
        ("host.name", Want::value(host)),
        ("host.hostname", Want::value(host)),
        ("host.id", Want::Any),
        ("agent.id", Want::Any),
        ("agent.type", Want::value("kestrel")),
    ]);
    fields.retain(|name, _| kind.fields.binary_search(name).is_ok());
    fields.into_iter().map(|(name, want)| (name.to_owned(), want)).collect()
}

/// The ids of processes, as the events gave them.
#[derive(Default)]
struct Entities {
    by_pid: HashMap<u32, String>,
    by_id: HashMap<String, u32>,
}

impl Entities {
    /// Whether a process has this id, in all that was seen so far.
    fn same(&mut self, pid: u32, id: &str) -> bool {
        let first = self.by_pid.entry(pid).or_insert_with(|| id.to_owned());
        let owner = self.by_id.entry(id.to_owned()).or_insert(pid);
        first == id && *owner == pid
    }
}

fn holds(expected: &Expected, name: &str, event: &Observed, entities: &mut Entities) -> bool {
    expected.fields.get(name).is_none_or(|want| check(want, name, event, entities))
}

fn check(want: &Want, name: &str, event: &Observed, entities: &mut Entities) -> bool {
    let none = Vec::new();
    let values = event.fields.get(name).unwrap_or(&none);
    match want {
        Want::Any => !values.is_empty(),
        Want::Values(wanted) => wanted == values,
        Want::Set(wanted) => wanted.len() == values.len() && wanted.iter().all(|value| values.contains(value)),
        Want::Between(first, last) => {
            values.len() == 1 && values[0].as_i64().is_some_and(|value| (*first..=*last).contains(&value))
        }
        Want::Entities(pids) => {
            // Of a long line of ancestors the nearest are told.
            let enough =
                if name.ends_with("ancestry") { values.len() >= pids.len().min(16) } else { values.len() == 1 };
            let same = |(pid, value): (&u32, &Json)| value.as_str().is_some_and(|id| entities.same(*pid, id));
            enough && values.len() <= pids.len() && pids.iter().zip(values).all(same)
        }
        Want::Cut(wanted) if wanted == values => true,
        Want::Cut(wanted) => event.truncated && is_part(wanted, values),
    }
}

/// Whether what is there is what was wanted up to a cut, from the front or, for one text, from the back.
fn is_part(wanted: &[Json], values: &[Json]) -> bool {
    let text = |values: &[Json]| values.iter().filter_map(Json::as_str).collect::<Vec<_>>().join("\0");
    let (wanted, values) = (text(wanted), text(values));
    // What was cut in the middle of a character ends with a replacement.
    let front = values.trim_end_matches('\u{fffd}');
    let back = values.trim_start_matches(['\u{fffd}', '.', '…']).trim_start_matches('/');
    !values.is_empty() && (wanted.starts_with(front) || wanted.ends_with(back))
}

fn short(text: &str) -> String {
    if text.chars().count() <= 160 {
        return text.to_owned();
    }
    text.chars().take(160).chain("…".chars()).collect()
}
