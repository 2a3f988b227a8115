//! tmp
use kestrel_conformance::replay::{build, project};
use kestrel_core::matcher::{Matcher, MatcherOptions};
use kestrel_engine::input;
use kestrel_engine::runtime::{PreparedRuntime, RuntimeKind, RuntimeParts};
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::event_json::Decoder;
use kestrel_ir::frame::FrameBuilder;
use kestrel_schema::Schema;
use std::time::Instant;
fn main() -> anyhow::Result<()> {
    let project = project()?;
    let shared = project.join("../shared/data");
    let rules = build(&[shared.join("rules")])?.pack;
    let pack = &rules.pack;
    let ir = pack.ir();
    let which = std::env::args().nth(1).unwrap_or("linux_recording".into());
    let phase = std::env::args().nth(2).unwrap_or("match".into());
    let schema = Schema::ecs();
    let mut table = FieldTable::new();
    FrameBuilder::wanted(&ir.layout, &mut table);
    let decoder = Decoder::new(&table, schema.event());
    let (mut documents, mut events) = (Vec::new(), Vec::new());
    let mut input = input::open(&shared.join("events").join(format!("{which}.ndjson.zst")))?;
    while let Some(document) = input.next_document()? {
        let mut event = Event::new();
        if decoder.decode(document.bytes, &mut event).is_ok() {
            events.push(event);
            documents.push(document.bytes.to_vec());
        }
    }
    let parts = RuntimeParts { ir, wasm: pack.module(), lua: pack.predicates() };
    let runtime = PreparedRuntime::new(RuntimeKind::Native, &parts)?.instantiate()?;
    let mut matcher = Matcher::with_programs(ir, &table, runtime, None, MatcherOptions::default())?;
    let (mut event, mut found) = (Event::new(), Vec::new());
    let mut costs = Vec::new();
    let span = events.iter().map(|e| e.timestamp).max().unwrap_or(0)
        - events.iter().map(|e| e.timestamp).min().unwrap_or(0)
        + 1_000_000_000;
    let passes = 200_000 / events.len();
    for _ in 0..passes {
        let began = Instant::now();
        for (event_, document) in events.iter_mut().zip(&documents) {
            if phase == "decode" {
                decoder.decode(document, &mut event)?;
                continue;
            }
            event_.timestamp += span;
            if matcher.queue(event_) {
                matcher.flush(&mut found);
                found.clear();
            }
        }
        costs.push(began.elapsed().as_nanos() as f64 / events.len() as f64);
    }
    costs.sort_by(f64::total_cmp);
    println!(
        "{which} {phase}: median {:.0} ns, best {:.0} ns; {:?}",
        costs[costs.len() / 2],
        costs[0],
        matcher.counters()
    );
    Ok(())
}
