use kestrel_conformance::replay::{build, project};
use kestrel_core::atoms::Atoms;
use kestrel_core::dispatch::Dispatch;
use kestrel_engine::input;
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::event_json::Decoder;
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::guards;
use kestrel_ir::model::PredicateId;
use kestrel_schema::Schema;
fn main() -> anyhow::Result<()> {
    let project = project()?;
    let shared = project.join("../shared/data");
    let rules = build(&[shared.join("rules")])?.pack;
    let ir = rules.pack.ir();
    let which = std::env::args().nth(1).unwrap_or("linux_recording".into());
    let schema = Schema::ecs();
    let mut table = FieldTable::new();
    FrameBuilder::wanted(&ir.layout, &mut table);
    let decoder = Decoder::new(&table, schema.event());
    let mut dispatch = Dispatch::new(ir, &table);
    let mut builder = FrameBuilder::new(&ir.layout, &table);
    let atoms = Atoms::new(ir)?;
    let mut event = Event::new();
    let mut counts = vec![(0u32, 0u32); ir.predicates.len()];
    let mut n = 0;
    let mut fields = 0;
    for pass in 0..10 {
        let mut input = input::open(&shared.join("events").join(format!("{which}.ndjson.zst")))?;
        while let Some(document) = input.next_document()? {
            if decoder.decode(document.bytes, &mut event).is_err() {
                continue;
            }
            let mut c = Vec::new();
            dispatch.candidates(&event, &mut c);
            let frame = builder.build(&event);
            if dispatch.wants_observation() {
                dispatch.observe(&event, frame, &atoms, &mut atoms.cache());
            }
            if pass == 9 {
                n += 1;
                fields += event.value_count();
                for p in c {
                    counts[p.index()].0 += 1;
                    counts[p.index()].1 += u32::from(atoms.interpreter().predicate(p, frame));
                }
            }
        }
    }
    println!(
        "{n} events, {} values each, {} fields in layout, frame {}",
        fields / n,
        table.len(),
        builder.frame().bytes().len()
    );
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(counts[i].0));
    for &i in order.iter().take(25) {
        let g = guards::analyze(ir, PredicateId(i as u32));
        let rule = ir
            .rules
            .iter()
            .find(|r| r.predicates().contains(&PredicateId(i as u32)))
            .map(|r| r.id.clone())
            .unwrap_or_default();
        println!("\n== {} of which {} hold: {rule}", counts[i].0, counts[i].1);
        for line in guards::describe(ir, &g).lines().take(9) {
            println!("   {}", line.chars().take(220).collect::<String>());
        }
    }
    println!("{}", dispatch.dump());
    Ok(())
}
