//! What sequences cost with many rules and many live keys: `cargo bench -p kestrel-conformance --bench sequences`.
//!
//! 1,000 rules of two steps by process within a time, each with names of its own, over events of 1,000 to 100,000 processes
//! that come in random order; one event in a hundred is a second step. In the first set an event starts one rule, in the
//! second ten rules start with the same name. Measured is the time that the processor spends in the whole matcher, over the
//! interpreter, in one thread, and in stage one alone; making the events is taken off. Before anything is measured the
//! state has settled: as many keys run out of time as begin. Medians over passes. Allocations are those of the matches,
//! which own their events.

use kestrel_conformance::allocations::{Counting, count};
use kestrel_core::batch::MAX_BATCH_EVENTS;
use kestrel_core::matcher::{Matcher, MatcherOptions};
use kestrel_core::runtime::Interpreting;
use kestrel_core::stage_one::StageOne;
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::model::{
    Atom, AtomId, Ir, Key, Node, NodeId, Predicate, PredicateId, Rule, RuleKind, Sequence, Step, StringMatch,
};
use kestrel_schema::FieldType;

const RULES: usize = 1_000;
/// How many passes are counted, and of how many events each is.
const PASSES: usize = 7;
const EVENTS: usize = 64 * 5_000;
/// One event in so many is a second step.
const SECOND: usize = 100;
/// Nanoseconds between events.
const GAP: i64 = 2_000;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    for starts in [1, 10] {
        println!("\n{RULES} rules, an event starts {starts}; one event in {SECOND} is a second step");
        for keys in [1_000, 10_000, 100_000] {
            measure(starts, keys / starts);
        }
    }
}

/// Fields that an endpoint's process event has; the first is the key.
const FIELDS: [&str; 8] = [
    "process.entity_id",
    "process.name",
    "process.executable",
    "process.command_line",
    "process.parent.name",
    "process.parent.executable",
    "user.name",
    "event.action",
];

/// The rules: `starts` of them share the name of their first step.
fn rules(starts: usize, maxspan: i64) -> Ir {
    let mut ir = Ir::default();
    for field in FIELDS {
        ir.layout.intern(field, FieldType::Keyword);
    }
    let (key, name) = (ir.layout.lookup(FIELDS[0]), ir.layout.lookup(FIELDS[1]));
    let mut predicates = std::collections::HashMap::new();
    for rule in 0..RULES {
        let mut step = |word: String| {
            let predicate = *predicates.entry(word.clone()).or_insert_with(|| {
                let field = name.expect("a field");
                let strings = vec![word];
                ir.atoms.push(Atom::Strings { field, matching: StringMatch::Exact, fold: false, strings });
                ir.nodes.push(Node::Atom(AtomId(ir.atoms.len() as u32 - 1)));
                ir.predicates.push(Predicate { category: None, root: NodeId(ir.nodes.len() as u32 - 1) });
                PredicateId(ir.predicates.len() as u32 - 1)
            });
            Step { predicate, joined: None, keys: vec![Key { field: key, optional: false }], missing: false }
        };
        let steps = vec![step(format!("first-{}.exe", rule / starts)), step(format!("second-{rule}.exe"))];
        let kind = RuleKind::Sequence(Sequence { steps, maxspan: Some(maxspan), until: None });
        ir.rules.push(Rule { id: rule.to_string(), kind, pipes: Vec::new(), program: None });
    }
    ir
}

/// Which events come next: each of a random process, mostly its first step.
struct Stream<'t> {
    table: &'t FieldTable,
    starts: usize,
    processes: usize,
    random: u64,
    number: u64,
    events: Vec<Event>,
}

impl Stream<'_> {
    /// Makes the next events.
    fn fill(&mut self) {
        for event in &mut self.events {
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (process, groups) = ((self.random >> 33) as usize % self.processes, RULES / self.starts);
            let name = match self.number as usize % SECOND {
                0 => format!("second-{}.exe", process % groups * self.starts),
                _ => format!("first-{}.exe", process % groups),
            };
            let values = [
                format!("{process:08x}-5f0e-4c53-9f5d-0f6f3a1d2b4c"),
                name.clone(),
                format!("C:\\Program Files\\Vendor\\Product\\{name}"),
                format!("\"C:\\Program Files\\Vendor\\Product\\{name}\" --mode service --id {process}"),
                "services.exe".to_owned(),
                "C:\\Windows\\System32\\services.exe".to_owned(),
                "SYSTEM".to_owned(),
                "start".to_owned(),
            ];
            event.clear();
            for (field, value) in FIELDS.iter().zip(&values) {
                event.push_text(self.table.lookup(field).expect("a field"), value);
            }
            (event.ordinal, event.timestamp) = (self.number, self.number as i64 * GAP);
            self.number += 1;
        }
    }
}

/// The nanoseconds of an event, and the allocations of all, in a pass.
fn pass(stream: &mut Stream<'_>, events: usize, mut take: impl FnMut(&Event)) -> (f64, u64) {
    let (random, number) = (stream.random, stream.number);
    let batches = events / MAX_BATCH_EVENTS;
    let before = processor_time();
    (0..batches).for_each(|_| stream.fill());
    let filling = processor_time() - before;
    (stream.random, stream.number) = (random, number);
    let (before, mut allocated) = (processor_time(), 0);
    for _ in 0..batches {
        stream.fill();
        let before = count();
        stream.events.iter().for_each(&mut take);
        allocated += count() - before;
    }
    let whole = processor_time() - before;
    ((whole - filling).max(0.0) / events as f64, allocated)
}

/// The nanoseconds that this thread has run, as the kernel counts them: right to a few milliseconds.
fn processor_time() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel counts running time");
    text.split_whitespace().next().and_then(|word| word.parse().ok()).expect("nanoseconds")
}

fn measure(starts: usize, processes: usize) {
    // Most processes come again before their time is over; the others run out of it.
    let ir = rules(starts, processes as i64 * GAP * 3);
    let mut table = FieldTable::new();
    FrameBuilder::wanted(&ir.layout, &mut table);
    let runtime = || Box::new(Interpreting::new(&ir).expect("valid tables"));
    let options =
        MatcherOptions { max_state_bytes: 1 << 30, max_keys_per_rule: usize::MAX, ..MatcherOptions::default() };
    let mut matcher = Matcher::new(&ir, &table, runtime(), options).expect("valid tables");
    let mut one = StageOne::new(&ir, &table, runtime(), 0).expect("valid tables");
    let events = vec![Event::new(); MAX_BATCH_EVENTS];
    let mut stream = Stream { table: &table, starts, processes, random: 1, number: 0, events };
    let (mut whole, mut alone, mut allocated, mut matches) = (Vec::new(), Vec::new(), 0, 0);
    let mut out = Vec::new();
    // Enough rounds that every key has come, gone and come again.
    let warm_up = 2 + processes * 8 / EVENTS;
    for number in 0..warm_up + PASSES {
        let (cost, its_allocations) = pass(&mut stream, EVENTS, |event| {
            if matcher.queue(event) {
                matcher.flush(&mut out);
                matches += out.len() * usize::from(number >= warm_up);
                out.clear();
            }
        });
        if number >= warm_up {
            whole.push(cost);
            allocated += its_allocations;
        }
        let (cost, _) = pass(&mut stream, EVENTS, |event| {
            if one.queue(event) {
                one.evaluate();
                one.clear();
            }
        });
        alone.push(cost);
    }
    let (counters, live) = matcher.sequence_counters();
    let state = matcher.state();
    let (whole, alone) = (median(&mut whole), median(&mut alone));
    let counted = (PASSES * EVENTS) as f64;
    println!(
        "  {live:>6} live keys: {:>9.0} events/s, {whole:5.0} ns an event, {alone:5.0} of them in stage one; \
         {:.3} allocations an event, {:.3} matches an event; {:.1} MB in use, {:.1} MB held; {} evicted, {} expired",
        1e9 / whole,
        allocated as f64 / counted,
        matches as f64 / counted,
        state.bytes as f64 / 1e6,
        state.reserved_bytes as f64 / 1e6,
        counters.evicted,
        counters.expired,
    );
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
