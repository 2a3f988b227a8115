//! What the runtimes cost on the candidates of real rules over real events, batch by batch:
//! `cargo bench -p kestrel-conformance --bench batches`.
//!
//! Reads the rules and recordings beside the project, and says so when there are none. Dispatch picks the candidates;
//! only the evaluation of the batches is timed.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use kestrel_conformance::replay::{build, project};
use kestrel_core::atoms::Atoms;
use kestrel_core::batch::Batch;
use kestrel_core::dispatch::Dispatch;
use kestrel_engine::input;
use kestrel_engine::runtime::{RuntimeKind, RuntimeParts, create};
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::event_json::Decoder;
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::model::{Ir, PredicateId};
use kestrel_schema::EventFields;

/// Passes over a recording. Of each batch the best one counts, because what else the machine does only adds.
const PASSES: usize = 25;

/// A recording's events, kept decoded.
fn events(path: &Path, table: &FieldTable) -> Result<Vec<Event>> {
    let decoder = Decoder::new(table, &EventFields::ecs());
    let mut events = Vec::new();
    let mut input = input::open(path)?;
    while let Some(document) = input.next_document()? {
        let mut event = Event::new();
        if decoder.decode(document.bytes, &mut event).is_ok() && events.len() < 6_400 {
            events.push(event);
        }
    }
    Ok(events)
}

/// One pass over all events in batches.
struct Pass<'p> {
    ir: &'p Ir,
    atoms: &'p Atoms,
    table: &'p FieldTable,
    events: &'p [Event],
}

impl Pass<'_> {
    fn run(&self, batch: &mut Batch, size: usize, evaluate: &mut dyn FnMut(&mut Batch)) -> Vec<Duration> {
        let mut dispatch = Dispatch::new(self.ir);
        let mut builder = FrameBuilder::new(&self.ir.layout, self.table);
        let mut candidates: Vec<PredicateId> = Vec::new();
        let mut times = Vec::new();
        for events in self.events.chunks(size) {
            batch.clear();
            for event in events {
                let frame = builder.build(event);
                candidates.clear();
                dispatch.candidates(frame, &mut candidates);
                batch.push(frame, || self.atoms.cache());
                batch.ask(&candidates);
            }
            let start = Instant::now();
            evaluate(batch);
            times.push(start.elapsed());
        }
        times
    }
}

fn main() -> Result<()> {
    let data = project()?.join("../shared/data");
    if !data.is_dir() {
        println!("there is no folder of real rules and recordings beside the project");
        return Ok(());
    }
    let built = build(&[data.join("rules")])?;
    let ir = built.pack.pack.ir();
    let atoms = Atoms::new(ir)?;
    let wasm = kestrel_backend_wasm::compile(ir)?;
    let lua = kestrel_backend_lua::compile(ir)?;
    let parts = RuntimeParts { ir, wasm: Some(&wasm), lua: Some(&lua) };
    println!("{} predicates, {} atoms", ir.predicates.len(), ir.atoms.len());
    for name in ["linux_recording", "linux_log4shell_sysmon", "windows_atomic"] {
        let mut table = FieldTable::new();
        FrameBuilder::wanted(&ir.layout, &mut table);
        let events = events(&data.join("events").join(format!("{name}.ndjson.zst")), &table)?;
        let pass = Pass { ir, atoms: &atoms, table: &table, events: &events };
        for size in [64, 1] {
            let mut batch = Batch::default();
            let (mut pairs, mut groups, mut asked) = (0, 0, 0);
            pass.run(&mut batch, size, &mut |batch| {
                let mut predicates: Vec<u32> = batch.pairs().map(|(_, predicate)| predicate.0).collect();
                pairs += predicates.len();
                predicates.sort_unstable();
                predicates.dedup();
                groups += predicates.len();
            });
            let mut reference = create(RuntimeKind::Wasm, &parts)?;
            pass.run(&mut batch, size, &mut |batch| {
                reference.evaluate_batch(&atoms, batch);
                for event in 0..batch.len() {
                    let (answers, generation) = batch.cache(event).expect("an event").answers();
                    asked += answers.iter().filter(|&&answer| answer ^ generation <= 1).count();
                }
            });
            println!(
                "{name}, batches of {size}: {} events, {pairs} pairs, {groups} groups, {asked} atoms asked",
                events.len()
            );
            for kind in RuntimeKind::ALL {
                let start = Instant::now();
                let mut runtime = create(kind, &parts)?;
                let load = start.elapsed();
                let mut hits = 0;
                let (mut first, mut best) = (None, Vec::new());
                for _ in 0..PASSES {
                    hits = 0;
                    let times = pass.run(&mut batch, size, &mut |batch| {
                        runtime.evaluate_batch(&atoms, batch);
                        hits += (0..batch.len()).flat_map(|event| batch.held(event)).filter(|held| **held).count();
                        assert!(batch.take_failures().is_empty());
                    });
                    first.get_or_insert_with(|| times.iter().sum::<Duration>());
                    best.resize(times.len(), Duration::MAX);
                    best.iter_mut().zip(times).for_each(|(best, time)| *best = time.min(*best));
                }
                let (first, best) = (first.unwrap_or_default(), best.iter().sum::<Duration>());
                println!(
                    "  {kind:6} {:7.1} ns a pair, {:7.0} ns an event ({:.0} in the first pass), {hits} hits, loaded in {load:.1?}",
                    best.as_nanos() as f64 / pairs.max(1) as f64,
                    best.as_nanos() as f64 / events.len().max(1) as f64,
                    first.as_nanos() as f64 / events.len().max(1) as f64,
                );
            }
        }
    }
    Ok(())
}
