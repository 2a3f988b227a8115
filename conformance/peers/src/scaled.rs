//! Kestrel alone on real rules: what an event costs when there are more of them.
//!
//! The rules are the public ones beside the project, or the project's own; `kestrel_conformance::scale` makes more of them.
//! The events are recordings. Time goes on from pass to pass, so that sequences see a stream and no repetition. As in an engine,
//! events come decoded a moment before they are matched; decoding is not counted.

use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kestrel_conformance::replay::project;
use kestrel_conformance::scale::{building, scale};
use kestrel_core::batch::MAX_BATCH_EVENTS;
use kestrel_core::matcher::Matcher;
use kestrel_engine::input;
use kestrel_engine::runtime::RuntimeKind;
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::event_json::Decoder;
use kestrel_schema::Schema;

use crate::engines::kestrel;
use crate::measure::Cost;

const SEED: u64 = 20_261_121;
/// How many events of a recording are taken at most.
const EVENTS: usize = 20_000;
const NANOSECONDS_A_DAY: i64 = 86_400_000_000_000;

/// What was measured of one runtime with one number of rules over one recording.
#[derive(Debug, Clone)]
pub struct Scaled {
    /// Where the rules are from.
    pub from: &'static str,
    /// Where the events are from.
    pub recording: String,
    /// How many events.
    pub events: usize,
    /// What evaluates predicates.
    pub runtime: &'static str,
    /// How many rules.
    pub rules: usize,
    /// How many different tests they have.
    pub atoms: usize,
    /// How many predicates dispatch picks for an event.
    pub candidates: f64,
    /// Per event.
    pub cost: Cost,
}

/// So many events warm up, whatever a pass has: dispatch has then learned what comes, and its indexes are those that stay.
const WARM_UP: usize = 30_000;

struct Running {
    matcher: Matcher,
    decoder: Decoder,
    documents: Rc<[Vec<u8>]>,
    /// What a batch is decoded into.
    batch: Vec<Event>,
    /// How many events were taken, and by how much the time of the next pass is later than the recording's.
    taken: u64,
    later: i64,
    costs: Vec<f64>,
    row: Scaled,
}

/// Measures all sizes on all recordings.
///
/// # Errors
/// When rules or recordings cannot be read.
pub fn measure(sizes: &[usize], passes: usize) -> Result<Vec<Scaled>> {
    let project = project()?;
    let shared = project.join("../shared/data");
    let (from, rules, recordings) = if shared.join("rules").is_dir() {
        let events = |name: &str| shared.join("events").join(format!("{name}.ndjson.zst"));
        ("public rules", shared.join("rules"), vec![events("linux_recording"), events("windows_atomic")])
    } else {
        ("the project's rules", project.join("rules"), vec![project.join("rules/demo/recording.klog")])
    };
    let sources = building(&rules)?;
    let documents = recordings.iter().map(|recording| read(recording)).collect::<Result<Vec<_>>>()?;
    let mut running = Vec::new();
    for &size in sizes {
        let (pack, _) = kestrel::compile(scale(&sources, size, SEED))?;
        let ir = pack.pack.ir();
        for (recording, documents) in recordings.iter().zip(&documents) {
            for runtime in RuntimeKind::ALL.into_iter().filter(|kind| matches!(kind.name(), "wasm" | "native")) {
                let (matcher, table) = kestrel::matcher(&pack, runtime)?;
                let row = Scaled {
                    from,
                    recording: name(recording),
                    events: documents.len(),
                    runtime: runtime.name(),
                    rules: ir.rules.len(),
                    atoms: ir.atoms.len(),
                    candidates: 0.0,
                    cost: Cost::of(Vec::new()),
                };
                let mut one = Running {
                    matcher,
                    decoder: Decoder::new(&table, Schema::ecs().event()),
                    documents: Rc::clone(documents),
                    batch: vec![Event::new(); MAX_BATCH_EVENTS],
                    taken: 0,
                    later: 0,
                    costs: Vec::new(),
                    row,
                };
                while one.taken < WARM_UP as u64 {
                    one.pass()?;
                }
                running.push(one);
            }
        }
    }
    for _ in 0..passes {
        for one in &mut running {
            let nanoseconds = one.pass()?;
            one.costs.push(nanoseconds);
        }
    }
    let done = |one: Running| {
        let counters = one.matcher.counters();
        let candidates = counters.candidates as f64 / counters.events.max(1) as f64;
        Scaled { cost: Cost::of(one.costs), candidates, ..one.row }
    };
    Ok(running.into_iter().map(done).collect())
}

impl Running {
    /// One pass over all events, in nanoseconds an event.
    fn pass(&mut self) -> Result<f64> {
        let mut matches = Vec::new();
        let mut spent = Duration::ZERO;
        for documents in self.documents.chunks(MAX_BATCH_EVENTS) {
            for (event, document) in self.batch.iter_mut().zip(documents) {
                self.decoder.decode(document, event).context("decoding")?;
                event.timestamp += self.later;
                event.ordinal = self.taken;
                self.taken += 1;
            }
            let start = Instant::now();
            for event in self.batch.iter().take(documents.len()) {
                if self.matcher.queue(event) {
                    self.matcher.flush(&mut matches);
                    matches.clear();
                }
            }
            self.matcher.flush(&mut matches);
            matches.clear();
            spent += start.elapsed();
        }
        self.later += NANOSECONDS_A_DAY;
        Ok(spent.as_nanos() as f64 / self.documents.len().max(1) as f64)
    }
}

/// The documents of a recording that are events, at most [`EVENTS`].
fn read(recording: &Path) -> Result<Rc<[Vec<u8>]>> {
    let decoder = Decoder::new(&FieldTable::new(), Schema::ecs().event());
    let mut input = input::open(recording).with_context(|| format!("opening {}", name(recording)))?;
    let (mut documents, mut event) = (Vec::new(), Event::new());
    while documents.len() < EVENTS
        && let Some(document) = input.next_document()?
    {
        if decoder.decode(document.bytes, &mut event).is_ok() {
            documents.push(document.bytes.to_vec());
        }
    }
    Ok(documents.into())
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').next().unwrap_or_default().to_owned()
}
