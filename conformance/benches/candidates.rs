//! What each runtime costs on the candidates of real rules: `cargo bench -p kestrel-conformance --bench candidates`.
//!
//! The rules are the project's and, where they lie beside it, the public ones; the events are the project's recording and
//! those beside it. Events are decoded, laid out and dispatched once. Measured is what a runtime does: a batch of events
//! with their candidates in, the answers out, every atom asked anew for every event. Runtimes take turns, pass after
//! pass, so that a busy machine slows all of them; medians, and ratios within a pass. Before anything is measured each
//! runtime's answers are compared with the interpreter's. Allocations are counted in the last pass.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use kestrel_conformance::allocations::{Counting, count};
use kestrel_conformance::replay::{build, project};
use kestrel_core::atoms::Atoms;
use kestrel_core::batch::{Batch, MAX_BATCH_EVENTS};
use kestrel_core::dispatch::Dispatch;
use kestrel_engine::input;
use kestrel_engine::runtime::{PreparedRuntime, Runtime, RuntimeKind, RuntimeParts};
use kestrel_engine::session::NamedPack;
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::event_json::Decoder;
use kestrel_ir::frame::{Frame, FrameBuilder};
use kestrel_ir::model::PredicateId;
use kestrel_schema::Schema;

/// How many passes over all events are counted, after [`WARM_UP`] that are not.
const PASSES: usize = 15;
const WARM_UP: usize = 4;
/// How many events of a recording are taken at most.
const EVENTS: usize = 20_000;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// An event that some predicate may match: its frame's bytes and its candidates.
struct Case {
    frame: Vec<u8>,
    candidates: Vec<PredicateId>,
}

fn main() -> Result<()> {
    let project = project()?;
    let shared = project.join("../shared/data");
    let mut sets = vec![(
        "the project's rules and recording",
        build(&[project.join("rules")])?.pack,
        vec![project.join("rules/demo/recording.klog")],
    )];
    if shared.is_dir() {
        let events = |name: &str| shared.join("events").join(format!("{name}.ndjson.zst"));
        let rules = build(&[shared.join("rules")])?.pack;
        sets.push(("public rules, Linux recording", rules.clone(), vec![events("linux_recording")]));
        sets.push(("public rules, Windows recording", rules, vec![events("windows_atomic")]));
    }
    for (name, pack, recordings) in &sets {
        measure(name, pack, recordings)?;
    }
    Ok(())
}

fn measure(name: &str, pack: &NamedPack, recordings: &[PathBuf]) -> Result<()> {
    let pack = &pack.pack;
    let ir = pack.ir();
    let atoms = Atoms::new(ir)?;
    let (events, cases) = cases(ir, &atoms, recordings)?;
    let pairs: usize = cases.iter().map(|case| case.candidates.len()).sum();
    println!(
        "\n{name}: {} rules, {} predicates, {} atoms; {events} events, {} with candidates, {pairs} candidates",
        ir.rules.len(),
        ir.predicates.len(),
        ir.atoms.len(),
        cases.len()
    );
    let parts = RuntimeParts { ir, wasm: pack.module(), lua: pack.predicates() };
    let mut runtimes: Vec<(RuntimeKind, Box<dyn Runtime>)> = Vec::new();
    for kind in RuntimeKind::ALL {
        let start = Instant::now();
        let prepared = PreparedRuntime::new(kind, &parts)?;
        let compiled = start.elapsed();
        let runtime = prepared.instantiate()?;
        println!("  {:<7} compiled in {compiled:.1?}, ready in {:.1?}", kind.name(), start.elapsed());
        runtimes.push((kind, runtime));
    }
    let mut batch = Batch::default();
    let reference = answers(runtimes[0].1.as_mut(), &atoms, &mut batch, &cases)?;
    let mut costs: Vec<Vec<f64>> = vec![Vec::new(); runtimes.len()];
    let mut allocated = vec![0; runtimes.len()];
    for pass in 0..WARM_UP + PASSES {
        for (number, (kind, runtime)) in runtimes.iter_mut().enumerate() {
            let before = count();
            let nanoseconds = pass_over(runtime.as_mut(), &atoms, &mut batch, &cases)?;
            allocated[number] = count() - before;
            if pass >= WARM_UP {
                costs[number].push(nanoseconds / cases.len() as f64);
            }
            if pass == WARM_UP {
                let found = answers(runtime.as_mut(), &atoms, &mut batch, &cases)?;
                ensure!(found == reference, "{} answers otherwise than the interpreter", kind.name());
            }
        }
    }
    let base = RuntimeKind::ALL.iter().position(|kind| kind.name() == "native").unwrap_or(0);
    println!("  {} of {pairs} candidates hold", reference.iter().filter(|held| **held).count());
    for (number, (kind, _)) in runtimes.iter().enumerate() {
        let ratios: Vec<f64> = costs[number].iter().zip(&costs[base]).map(|(cost, base)| cost / base).collect();
        let cost = median(&costs[number]);
        println!(
            "  {:<7} {cost:7.0} ns an event with candidates, {:6.1} ns a candidate, {:.2} x {}, {:.3} allocations an event",
            kind.name(),
            cost * cases.len() as f64 / pairs as f64,
            median(&ratios),
            RuntimeKind::ALL[base].name(),
            allocated[number] as f64 / cases.len() as f64
        );
    }
    Ok(())
}

/// Decodes and dispatches: how many events there were, and those with candidates.
fn cases(ir: &kestrel_ir::model::Ir, atoms: &Atoms, recordings: &[PathBuf]) -> Result<(usize, Vec<Case>)> {
    let schema = Schema::ecs();
    let mut table = FieldTable::new();
    FrameBuilder::wanted(&ir.layout, &mut table);
    let decoder = Decoder::new(&table, schema.event());
    let mut builder = FrameBuilder::new(&ir.layout, &table);
    let mut dispatch = Dispatch::new(ir, &table);
    let mut event = Event::new();
    let (mut events, mut cases) = (0, Vec::new());
    for recording in recordings {
        let mut input = input::open(recording).with_context(|| name(recording))?;
        while let Some(document) = input.next_document()? {
            if events >= EVENTS || decoder.decode(document.bytes, &mut event).is_err() {
                continue;
            }
            events += 1;
            let mut candidates = Vec::new();
            dispatch.candidates(&event, &mut candidates);
            let frame = builder.build(&event);
            if dispatch.wants_observation() {
                dispatch.observe(&event, frame, atoms, &mut atoms.cache());
            }
            if !candidates.is_empty() {
                cases.push(Case { frame: frame.bytes().to_vec(), candidates });
            }
        }
    }
    Ok((events, cases))
}

fn name(path: &Path) -> String {
    format!("opening {}", path.file_name().unwrap_or_default().to_string_lossy())
}

fn fill(batch: &mut Batch, atoms: &Atoms, cases: &[Case]) -> Result<()> {
    batch.clear();
    for case in cases {
        let frame = Frame::new(&case.frame).context("a frame")?;
        batch.push(frame, || atoms.cache());
        batch.ask(&case.candidates);
    }
    Ok(())
}

/// One pass over all events, in nanoseconds spent by the runtime.
fn pass_over(runtime: &mut dyn Runtime, atoms: &Atoms, batch: &mut Batch, cases: &[Case]) -> Result<f64> {
    let mut spent = 0;
    for group in cases.chunks(MAX_BATCH_EVENTS) {
        fill(batch, atoms, group)?;
        let start = Instant::now();
        runtime.evaluate_batch(atoms, batch);
        spent += start.elapsed().as_nanos();
    }
    Ok(spent as f64)
}

fn answers(runtime: &mut dyn Runtime, atoms: &Atoms, batch: &mut Batch, cases: &[Case]) -> Result<Vec<bool>> {
    let mut found = Vec::new();
    for group in cases.chunks(MAX_BATCH_EVENTS) {
        fill(batch, atoms, group)?;
        runtime.evaluate_batch(atoms, batch);
        if let Some((_, error)) = batch.take_failures().into_iter().next() {
            return Err(error.into());
        }
        (0..batch.len()).for_each(|event| found.extend_from_slice(batch.held(event)));
    }
    Ok(found)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
