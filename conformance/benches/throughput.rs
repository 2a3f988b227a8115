//! What an event costs on one core, and where that goes: `cargo bench -p kestrel-conformance --bench throughput`.
//!
//! The rules are the project's and, where they lie beside it, the public ones; the events are the project's recording and
//! those beside it. Measured per event, in one run, pass by pass: decoding its JSON; dispatch; the whole stage one and two
//! (a `Matcher`) over events that were decoded a moment before, as many as a batch has, and over JSON. Medians. Allocations are
//! counted in the last pass.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use eqlc::compile::{CompileOptions, PackOptions, build_pack, compile_rules};
use kestrel_conformance::allocations::{Counting, count};
use kestrel_conformance::replay::{build, project};
use kestrel_conformance::scale::{building, scale};
use kestrel_core::atoms::Atoms;
use kestrel_core::batch::MAX_BATCH_EVENTS;
use kestrel_core::dispatch::Dispatch;
use kestrel_core::matcher::{Matcher, MatcherOptions};
use kestrel_engine::input;
use kestrel_engine::runtime::{PreparedRuntime, RuntimeKind, RuntimeParts};
use kestrel_engine::session::NamedPack;
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::event_json::Decoder;
use kestrel_ir::frame::FrameBuilder;
use kestrel_schema::Schema;

/// How many passes over all events are counted, after [`WARM_UP`] that are not.
const PASSES: usize = 15;
const WARM_UP: usize = 3;
/// How many events a pass has at least (a short recording is repeated) and at most.
const LEAST_EVENTS: usize = 10_000;
const MOST_EVENTS: usize = 20_000;
/// Decides which rules are copied.
const SEED: u64 = 20_261_121;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> Result<()> {
    let project = project()?;
    let shared = project.join("../shared/data");
    let mut sets = vec![("project", build(&[project.join("rules")])?.pack, project.join("rules/demo/recording.klog"))];
    if shared.is_dir() {
        let events = |name: &str| shared.join("events").join(format!("{name}.ndjson.zst"));
        let many = thousand(&shared.join("rules"))?;
        sets.push(("1,000, Linux", many.clone(), events("linux_recording")));
        sets.push(("1,000, Windows", many, events("windows_atomic")));
        let rules = build(&[shared.join("rules")])?.pack;
        sets.push(("public, Linux", rules.clone(), events("linux_recording")));
        sets.push(("public, Windows", rules, events("windows_atomic")));
    }
    println!("nanoseconds an event, medians of {PASSES} passes, one core");
    println!(
        "{:<16} {:>6} {:>7} {:>9} {:>9} {:>10} {:>9} {:>9} {:>11} {:>6}",
        "rules, events",
        "rules",
        "bytes",
        "decode",
        "dispatch",
        "candidates",
        "matched",
        "from JSON",
        "matched/s",
        "alloc"
    );
    for (name, pack, recording) in &sets {
        measure(name, pack, recording)?;
    }
    Ok(())
}

/// The public rules and copies of them with other constants: 1,000 in all.
fn thousand(folder: &Path) -> Result<NamedPack> {
    let options = CompileOptions::default();
    let compilation = compile_rules(scale(&building(folder)?, 1_000, SEED), &options);
    let pack =
        build_pack(&compilation, &options.schema, PackOptions { name: "many".to_owned(), ..PackOptions::default() })?;
    Ok(NamedPack::read("many", pack.bytes())?)
}

fn measure(name: &str, named: &NamedPack, recording: &Path) -> Result<()> {
    let pack = &named.pack;
    let ir = pack.ir();
    let schema = Schema::ecs();
    let mut table = FieldTable::new();
    FrameBuilder::wanted(&ir.layout, &mut table);
    let decoder = Decoder::new(&table, schema.event());
    let (mut documents, mut event) = (Vec::new(), Event::new());
    let (mut start, mut end) = (i64::MAX, i64::MIN);
    while documents.len() < LEAST_EVENTS {
        let mut input = input::open(recording).with_context(|| format!("opening {}", recording.display()))?;
        while let Some(document) = input.next_document()? {
            if documents.len() < MOST_EVENTS && decoder.decode(document.bytes, &mut event).is_ok() {
                (start, end) = (start.min(event.timestamp), end.max(event.timestamp));
                documents.push(document.bytes.to_vec());
            }
        }
    }
    // Time goes on from repetition to repetition.
    let span = end - start + 1_000_000_000;
    let bytes = documents.iter().map(Vec::len).sum::<usize>() / documents.len();
    let atoms = Atoms::new(ir)?;
    let mut dispatch = Dispatch::new(ir, &table);
    let mut builder = FrameBuilder::new(&ir.layout, &table);
    let mut cache = atoms.cache();
    let parts = RuntimeParts { ir, wasm: pack.module(), lua: pack.predicates() };
    let runtime = PreparedRuntime::new(RuntimeKind::Native, &parts)?.instantiate()?;
    let mut matcher = Matcher::with_programs(ir, &table, runtime, None, MatcherOptions::default())?;
    let mut costs: [Vec<f64>; 4] = Default::default();
    let (mut candidates, mut found, mut asked, mut later, mut allocated) = (Vec::new(), Vec::new(), 0, 0, 0);
    let mut batch = vec![Event::new(); MAX_BATCH_EVENTS];
    for pass in 0..WARM_UP + PASSES {
        (asked, allocated) = (0, 0);
        let mut cost = [0.0; 4];
        later += span;
        for (number, documents) in documents.chunks(MAX_BATCH_EVENTS).enumerate() {
            let began = Instant::now();
            for (document, event) in documents.iter().zip(&mut batch) {
                decoder.decode(document, event).context("decoding")?;
            }
            cost[0] += began.elapsed().as_nanos() as f64;
            let batch = batch.get_mut(..documents.len()).unwrap_or(&mut []);
            let began = Instant::now();
            for event in &*batch {
                candidates.clear();
                dispatch.candidates(event, &mut candidates);
                asked += candidates.len();
                if dispatch.wants_observation() {
                    cache.reset();
                    dispatch.observe(event, builder.build(event), &atoms, &mut cache);
                }
            }
            cost[1] += began.elapsed().as_nanos() as f64;
            let before = count();
            let began = Instant::now();
            for (place, event) in batch.iter_mut().enumerate() {
                event.timestamp += later;
                event.ordinal = (number * MAX_BATCH_EVENTS + place) as u64;
                if matcher.queue(event) {
                    matcher.flush(&mut found);
                    found.clear();
                }
            }
            matcher.flush(&mut found);
            found.clear();
            cost[2] += began.elapsed().as_nanos() as f64;
            allocated += count() - before;
        }
        later += span;
        let began = Instant::now();
        for (number, document) in documents.iter().enumerate() {
            decoder.decode(document, &mut event).context("decoding")?;
            event.timestamp += later;
            event.ordinal = number as u64;
            if matcher.queue(&event) {
                matcher.flush(&mut found);
                found.clear();
            }
        }
        matcher.flush(&mut found);
        cost[3] = began.elapsed().as_nanos() as f64;
        found.clear();
        if pass >= WARM_UP {
            costs.iter_mut().zip(cost).for_each(|(costs, cost)| costs.push(cost / documents.len() as f64));
        }
    }
    let [decode, dispatching, matched, from_json] = costs.each_ref().map(|costs| median(costs));
    println!(
        "{name:<16} {:>6} {bytes:>7} {decode:>9.0} {dispatching:>9.0} {:>10.2} {matched:>9.0} {from_json:>9.0} {:>11.0} {:>6.2}",
        ir.rules.len(),
        asked as f64 / documents.len() as f64,
        1e9 / matched,
        allocated as f64 / documents.len() as f64,
    );
    Ok(())
}

fn median(costs: &[f64]) -> f64 {
    let mut sorted = costs.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
