//! Random queries over random events: every runtime gives what the interpreter gives without dispatch.

use eqlc::compile::compile_query;
use eqlc::syntax::Dialect;
use kestrel_conformance::RUNTIMES;
use kestrel_conformance::generate::{Random, queries, seed};
use kestrel_conformance::runner::{numbers, run_on};
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::event_json::Decoder;
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::interp::Interpreter;
use kestrel_ir::model::PredicateId;
use kestrel_schema::Schema;

/// How many queries a run compares, each over [`EVENTS`] events.
const QUERIES: usize = 400;
const EVENTS: usize = 50;

#[test]
fn runtimes_agree_on_random_queries_and_events() {
    let seed = seed(1);
    println!("KESTREL_SEED={seed}, {} (query, event) pairs", QUERIES * EVENTS);
    let mut random = Random::new(seed);
    let schema = Schema::ecs();
    let documents: Vec<Vec<u8>> =
        (0..EVENTS).map(|number| queries::event(&mut random, number).to_string().into_bytes()).collect();
    let mut found = 0;
    for _ in 0..QUERIES {
        let query = queries::query(&mut random);
        let (ir, diagnostics) = compile_query(&query, &schema, Dialect::Elastic);
        let ir = ir.unwrap_or_else(|| panic!("{query}\n{diagnostics:?}"));
        let mut table = FieldTable::new();
        FrameBuilder::wanted(&ir.layout, &mut table);
        let decoder = Decoder::new(&table, schema.event());
        let mut builder = FrameBuilder::new(&ir.layout, &table);
        let interpreter = Interpreter::new(&ir).expect("an interpreter");
        let mut event = Event::new();
        let mut expected = Vec::new();
        for (number, document) in documents.iter().enumerate() {
            decoder.decode(document, &mut event).expect("an event");
            if !ir.predicates.is_empty() && interpreter.predicate(PredicateId(0), builder.build(&event)) {
                expected.push(vec![number as i64]);
            }
        }
        found += expected.len();
        for kind in RUNTIMES {
            let actual =
                numbers(&run_on(kind, &ir, &schema, &documents).unwrap_or_else(|error| panic!("{query}: {error:#}")));
            assert_eq!(actual, expected, "seed {seed}, {}: {query}", kind.name());
        }
    }
    assert!(found > QUERIES, "the generator makes queries that match, found only {found}");
}
