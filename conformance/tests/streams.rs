//! The sequence machine against the batch evaluator, over random patterns and streams.

use kestrel_conformance::batch::{self, Pattern, StreamEvent};
use kestrel_conformance::generate::{Random, seed, streams};
use kestrel_core::key::KeyPart;
use kestrel_core::matcher::{Matcher, MatcherOptions};
use kestrel_core::runtime::Interpreting;
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::model::{
    Atom, AtomId, Ir, Key, Node, NodeId, Predicate, PredicateId, Rule, RuleKind, Sequence, Step, StringMatch,
};
use kestrel_schema::FieldType;

/// How many streams a run compares.
const STREAMS: usize = 20_000;

fn ir(pattern: &Pattern) -> Ir {
    let mut ir = Ir::default();
    let tag = ir.layout.intern("tag", FieldType::Keyword);
    let key = ir.layout.intern("key", FieldType::Long);
    let mut step = |name: String, missing: bool| {
        let id = ir.atoms.len() as u32;
        ir.atoms.push(Atom::Strings { field: tag, matching: StringMatch::Exact, fold: false, strings: vec![name] });
        ir.nodes.push(Node::Atom(AtomId(id)));
        ir.predicates.push(Predicate { category: None, root: NodeId(id) });
        let keys = vec![Key { field: Some(key), optional: false }];
        Step { predicate: PredicateId(id), joined: None, keys, missing }
    };
    let steps = pattern.missing.iter().enumerate().map(|(term, &missing)| step(format!("t{term}"), missing)).collect();
    let until = pattern.until.then(|| step("until".to_owned(), false));
    let kind = RuleKind::Sequence(Sequence { steps, maxspan: pattern.maxspan, until });
    ir.rules.push(Rule { id: "generated".to_owned(), kind, pipes: Vec::new(), program: None });
    ir
}

fn machine(pattern: &Pattern, stream: &[StreamEvent]) -> Vec<batch::BatchMatch> {
    let ir = ir(pattern);
    kestrel_ir::verify::verify(&ir).expect("the generated IR is well formed");
    let mut table = FieldTable::new();
    FrameBuilder::wanted(&ir.layout, &mut table);
    let (tag, key) = (table.lookup("tag").expect("interned"), table.lookup("key").expect("interned"));
    let runtime = Box::new(Interpreting::new(&ir).expect("an interpreter"));
    let mut matcher = Matcher::new(&ir, &table, runtime, MatcherOptions::default()).expect("a matcher");
    let mut matches = Vec::new();
    let mut event = Event::new();
    for (number, source) in stream.iter().enumerate() {
        event.clear();
        event.timestamp = source.timestamp;
        event.ordinal = number as u64;
        source.keys.iter().for_each(|&value| event.push_integer(key, value));
        let terms = source.terms.iter().enumerate().filter(|(_, matches)| **matches);
        terms.for_each(|(term, _)| event.push_text(tag, &format!("t{term}")));
        if source.until {
            event.push_text(tag, "until");
        }
        matcher.process(&event, &mut matches);
    }
    matcher.finish(&mut matches);
    let mut found: Vec<_> = matches
        .into_iter()
        .map(|found| {
            let events = found
                .events
                .iter()
                .map(|event| event.as_ref().map(|evidence| evidence.frame().expect("a frame").ordinal() as usize));
            let KeyPart::Integer(key) = found.key[0] else { panic!("an integer key") };
            (found.last.ordinal, (events.collect::<Vec<_>>(), key))
        })
        .collect();
    found.sort_by_key(|(last, (_, key))| (*last, *key));
    found.into_iter().map(|(_, found)| found).collect()
}

#[test]
fn the_machine_finds_what_the_batch_evaluator_finds() {
    let seed = seed(2);
    println!("KESTREL_SEED={seed}, {STREAMS} streams");
    let mut random = Random::new(seed);
    let mut found = 0;
    for number in 0..STREAMS {
        let pattern = streams::pattern(&mut random);
        let stream = streams::stream(&mut random, &pattern);
        let expected = batch::evaluate(&pattern, &stream);
        let actual = machine(&pattern, &stream);
        found += expected.len();
        assert_eq!(actual, expected, "seed {seed}, stream {number}\n{pattern:?}\n{stream:#?}");
    }
    assert!(found > STREAMS, "the generator makes streams with matches, found only {found}");
}
