//! Runs the live source while the workload acts, and keeps the events of its processes.
//!
//! The processes are found as the events tell of them: whoever is started by one of ours is ours. What other processes of the host
//! do is not kept.

use std::collections::{BTreeMap, HashSet};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kestrel_engine::live::LiveSource;
use kestrel_ir::event::{Event, EventFlags, FieldTable, FieldValue, ip_address};
use kestrel_schema::{EventKind, event_kinds};
use serde_json::Value as Json;

use crate::expect::Expected;

/// An event that the engine told.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The kind, as in the schema.
    pub kind: &'static str,
    /// Whose event it is.
    pub pid: u32,
    /// All values by the names of their fields.
    pub fields: BTreeMap<String, Vec<Json>>,
    /// Whether the event says that some text was cut.
    pub truncated: bool,
    /// Whether the event says that a value could not be read.
    pub unreadable: bool,
}

/// All that was wanted and all that was seen.
pub struct Watched {
    /// What must be seen, in the order in which it was done.
    pub expected: Vec<Expected>,
    /// What was seen of the workload's processes, in order of time.
    pub observed: Vec<Observed>,
    /// Whether the ledger accounts for every event.
    pub balanced: bool,
    /// Events that were lost on the way.
    pub lost: u64,
    /// The ledger for people.
    pub ledger: String,
    /// From where each kind came, or why it cannot be had on this host. A kind that is not in it is not collected by this build.
    pub sources: BTreeMap<&'static str, Result<&'static str, String>>,
}

/// The reason of a refusal, without the verifier's log: its first and its last line that says something.
fn in_short(reason: &str) -> String {
    let mut lines = reason.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next().unwrap_or_default();
    let noise = ["processed ", "stack depth", "verification time", ": "];
    let told = lines.rfind(|line| !noise.iter().any(|start| line.starts_with(start)));
    match told {
        Some(last) => format!("{first} … {last}"),
        None => first.to_owned(),
    }
}

/// The longest that a workload may take; virtual machines are slow.
const LONGEST: Duration = Duration::from_secs(300);
/// The source is read until no event of ours came for so long.
const QUIET: Duration = Duration::from_millis(700);

/// Watches one run of the workload, which is this program itself.
///
/// # Errors
/// When the source cannot be opened, or the workload fails.
pub fn watch(mut source: LiveSource, only: &[String]) -> Result<Watched> {
    let table = source.fields().clone();
    let folder = std::env::temp_dir();
    let told = folder.join(format!("kestrel-truth-{}.jsonl", std::process::id()));
    let out = std::fs::File::create(&told).with_context(|| format!("cannot write {}", told.display()))?;
    let program = std::env::current_exe().context("own path")?;
    let mut workload = Command::new(program)
        .arg("workload")
        .args(only)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start the workload")?;
    let complaints = workload.stderr.take().context("its errors")?;
    let complaints = std::thread::spawn(move || std::io::read_to_string(complaints).unwrap_or_default());
    let observed = collect(&mut source, &table, &mut workload)?;
    let status = workload.wait()?;
    let complaints = complaints.join().unwrap_or_default();
    let text = std::fs::read_to_string(&told)?;
    let _ = std::fs::remove_file(&told);
    anyhow::ensure!(status.success(), "the workload ended with {status}:\n{complaints}");
    let parse = |line: &str| serde_json::from_str::<Expected>(line).with_context(|| format!("`{line}`"));
    let expected = text.lines().map(parse).collect::<Result<Vec<_>>>()?;
    let failed = complaints
        .lines()
        .filter(|line| !line.contains("exit status: 0") && !line.contains("signal"))
        .map(str::to_owned);
    for line in failed {
        eprintln!("{line}");
    }
    let ledger = source.ledger()?;
    let live = event_kinds().iter().filter(|kind| kind.live);
    let mut sources: BTreeMap<_, _> = live.map(|kind| (kind.name, Err("no source".to_owned()))).collect();
    sources.extend(source.available().map(|(kind, tier)| (kind.name(), Ok(tier.name()))));
    sources.extend(source.unavailable().map(|(kind, error)| (kind.name(), Err(in_short(&with_causes(error))))));
    Ok(Watched {
        expected,
        observed,
        balanced: ledger.balances(false),
        lost: ledger.gaps,
        ledger: format!("{ledger:?}"),
        sources,
    })
}

fn with_causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn collect(source: &mut LiveSource, table: &FieldTable, workload: &mut Child) -> Result<Vec<Observed>> {
    let driver = workload.id();
    let mut ours: HashSet<u32> = HashSet::from([driver]);
    let mut observed = Vec::new();
    let begun = Instant::now();
    let mut last = Instant::now();
    let mut running = true;
    while running || last.elapsed() < QUIET {
        if begun.elapsed() > LONGEST {
            workload.kill()?;
            anyhow::bail!("the workload took longer than {} s", LONGEST.as_secs());
        }
        source.poll(Duration::from_millis(50), &mut |event| {
            let Some(event) = read(event, table) else { return };
            let parent = event.fields.get("process.parent.pid").and_then(|values| values.first()?.as_u64());
            if event.kind == "fork" && parent.is_some_and(|parent| ours.contains(&(parent as u32))) {
                ours.insert(event.pid);
            }
            // Of the driver itself nothing is wanted but that it is the parent of the others.
            if event.pid != driver && ours.contains(&event.pid) {
                last = Instant::now();
                observed.push(event);
            }
        })?;
        if running && workload.try_wait()?.is_some() {
            running = false;
            last = Instant::now();
        }
    }
    Ok(observed)
}

fn read(event: &Event, table: &FieldTable) -> Option<Observed> {
    let mut fields: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    for (number, _, value) in event.values() {
        let value = match value {
            FieldValue::Text(text) => Json::from(text),
            FieldValue::Integer(number) => Json::from(number),
            FieldValue::Float(number) => Json::from(number),
            FieldValue::Boolean(flag) => Json::from(flag),
            FieldValue::Ip(octets) => Json::from(ip_address(octets).to_string()),
        };
        fields.entry(table.name(number).to_owned()).or_default().push(value);
    }
    let pid = fields.get("process.pid")?.first()?.as_u64()? as u32;
    let kind = kind_of(&fields)?;
    Some(Observed {
        kind,
        pid,
        truncated: event.flags.contains(EventFlags::TRUNCATED),
        unreadable: event.flags.contains(EventFlags::UNREADABLE),
        fields,
    })
}

/// The kind by what makes it one: category, type and action.
fn kind_of(fields: &BTreeMap<String, Vec<Json>>) -> Option<&'static str> {
    let texts = |name: &str| -> Vec<&str> {
        fields.get(name).map(|values| values.iter().filter_map(Json::as_str).collect()).unwrap_or_default()
    };
    let (category, event_type, action) = (texts("event.category"), texts("event.type"), texts("event.action"));
    let is = |kind: &&EventKind| {
        kind.category == category.as_slice() && kind.event_type == event_type.as_slice() && action == [kind.action]
    };
    event_kinds().iter().find(is).map(|kind| kind.name)
}
