//! Every runtime gives the interpreter's answer: tables written by hand, hostile frames, and generated ones.
//!
//! `check` takes an IR and frames, asks the reference, Wasm, Lua (compiled and interpreted by LuaJIT) and native code
//! about every predicate in batches of different sizes, and compares.

mod tables;

use std::time::Instant;

use kestrel_core::atoms::{AtomCache, Atoms};
use kestrel_core::batch::Batch;
use kestrel_core::runtime::{Interpreting, Runtime, RuntimeError};
use kestrel_engine::runtime::lua::{LuaLimits, LuaRuntime};
use kestrel_engine::runtime::native::{NativeCode, NativeOptions, NativeRuntime};
use kestrel_engine::runtime::wasm::{WasmLimits, WasmRuntime};
use kestrel_engine::runtime::{RuntimeKind, RuntimeParts, create};
use kestrel_ir::frame::Frame;
use kestrel_ir::model::{Atom, Comparison, Ir, Node, NodeId, Order, Predicate, PredicateId, StringMatch};

use kestrel_conformance::generate::{Random, seed};
use tables::{World, strings};

/// The runtimes over one IR.
struct Bench {
    atoms: Atoms,
    runtimes: Vec<Box<dyn Runtime>>,
    candidates: Vec<PredicateId>,
}

impl Bench {
    fn new(ir: &Ir) -> Bench {
        let wasm = kestrel_backend_wasm::compile(ir).expect("a module");
        assert_eq!(wasm, kestrel_backend_wasm::compile(ir).expect("a module"), "the same bytes each time");
        let lua = kestrel_backend_lua::compile(ir).expect("a source");
        assert_eq!(lua, kestrel_backend_lua::compile(ir).expect("a source"), "the same text each time");
        let parts = RuntimeParts { ir, wasm: Some(&wasm), lua: Some(&lua) };
        let mut runtimes: Vec<Box<dyn Runtime>> =
            RuntimeKind::ALL.into_iter().map(|kind| create(kind, &parts).expect("a runtime")).collect();
        let slots = ir.layout.top_level_slots();
        let interpreted = LuaLimits { jit: false, ..LuaLimits::default() };
        runtimes.push(Box::new(LuaRuntime::new(&lua, slots, interpreted).expect("a source")));
        let optimized = NativeOptions { optimize: true, ..NativeOptions::default() };
        runtimes.push(Box::new(NativeRuntime::new(&NativeCode::compile(ir, optimized).expect("code"))));
        let candidates = (0..ir.predicates.len() as u32).map(PredicateId).collect();
        Bench { atoms: Atoms::new(ir).expect("valid tables"), runtimes, candidates }
    }

    /// Compares all runtimes over all predicates; gives the number of hits.
    fn check(&mut self, frame: Frame<'_>, what: &str) -> usize {
        let mut cache = self.atoms.cache();
        let mut expected: Option<Vec<PredicateId>> = None;
        for (index, runtime) in self.runtimes.iter_mut().enumerate() {
            for batch in [usize::MAX, 33] {
                cache.reset();
                let mut hits = Vec::new();
                for candidates in self.candidates.chunks(batch.min(self.candidates.len().max(1))) {
                    runtime
                        .evaluate(frame, &self.atoms, &mut cache, candidates, &mut hits)
                        .unwrap_or_else(|error| panic!("{what}: {error}"));
                }
                let expected = expected.get_or_insert_with(|| hits.clone());
                assert_eq!(&hits, expected, "{what}: runtime {index} ({}), batches of {batch}", runtime.name());
            }
        }
        expected.map_or(0, |hits| hits.len())
    }
}

#[test]
fn an_empty_ir_has_runtimes_that_find_nothing() {
    let mut bench = Bench::new(&Ir::default());
    let world = World::new();
    let mut builder = kestrel_ir::frame::FrameBuilder::new(&Ir::default().layout, &world.table);
    let frame = builder.build(&kestrel_ir::event::Event::new());
    assert_eq!(bench.check(frame, "empty"), 0);
}

#[test]
fn every_kind_of_atom_agrees() {
    let mut world = World::new();
    let atoms = world.atoms_of_every_kind();
    let ir = world.ir_of_atoms(atoms);
    let mut bench = Bench::new(&ir);
    let mut random = Random::new(7);
    let mut hits = 0;
    for case in 0..200 {
        let frame = world.random_event(&mut random, case % 4);
        hits += bench.check(world.builder.build(&frame), &format!("case {case}"));
    }
    assert!(hits > 1000, "the cases exercise both answers, {hits} hits");
}

#[test]
fn numbers_are_exact_at_the_edges() {
    let edges = [
        i64::MIN,
        i64::MIN + 1,
        -(1 << 53) - 1,
        -(1 << 53),
        -(1 << 53) + 1,
        -(1 << 32),
        -1,
        0,
        1,
        (1 << 32) - 1,
        1 << 32,
        (1 << 53) - 1,
        1 << 53,
        (1 << 53) + 1,
        i64::MAX - 1,
        i64::MAX,
    ];
    let mut world = World::new();
    let field = world.field("process.pid");
    let mut atoms = Vec::new();
    for value in edges {
        atoms.push(Atom::Integers { field, values: vec![value] });
        for order in [Order::Less, Order::LessEqual, Order::Greater, Order::GreaterEqual] {
            atoms.push(Atom::IntegerOrder { field, order, value });
            let comparison = Comparison::Ordered(order);
            atoms.push(Atom::FloatOrder { field, comparison, value: value as f64 + 0.5 });
        }
    }
    atoms.push(Atom::Integers { field, values: edges.to_vec() });
    atoms.push(Atom::Integers { field, values: (0..100).collect() });
    let ir = world.ir_of_atoms(atoms);
    let mut bench = Bench::new(&ir);
    for value in edges {
        let mut event = kestrel_ir::event::Event::new();
        event.push_integer(world.number("process.pid"), value);
        assert!(bench.check(world.builder.build(&event), &format!("{value}")) > 0);
        event.push_integer(world.number("process.pid"), edges[5]);
        event.push_integer(world.number("process.pid"), edges[3]);
        bench.check(world.builder.build(&event), &format!("{value} and others"));
    }
}

#[test]
fn hundreds_of_predicates_share_nodes() {
    let mut world = World::new();
    let atoms = world.atoms_of_every_kind();
    let mut ir = world.ir_of_atoms(atoms);
    let leaves = ir.predicates.len();
    let leaf = |number: usize| ir_leaf(number, leaves);
    let shared = push(&mut ir.nodes, Node::Or((0..8).map(leaf).collect()));
    ir.predicates.clear();
    for number in 0..300 {
        let not = push(&mut ir.nodes, Node::Not(leaf(number * 7)));
        let root = push(&mut ir.nodes, Node::And(vec![shared, leaf(number), not]));
        let root = push(&mut ir.nodes, Node::Or(vec![root, leaf(number * 3)]));
        let category = (number % 3 == 0).then_some(kestrel_ir::model::AtomId(number as u32 % leaves as u32));
        ir.predicates.push(Predicate { category, root });
    }
    let mut bench = Bench::new(&ir);
    let mut random = Random::new(11);
    for case in 0..60 {
        let event = world.random_event(&mut random, 3);
        bench.check(world.builder.build(&event), &format!("case {case}"));
    }
}

#[test]
fn deep_and_wide_nodes_are_split() {
    let mut world = World::new();
    let atoms = world.atoms_of_every_kind();
    let mut ir = world.ir_of_atoms(atoms);
    let leaves = ir.predicates.len();
    ir.predicates.clear();
    for seed in 0..4 {
        let mut node = ir_leaf(seed, leaves);
        for level in 0..480 {
            let leaf = ir_leaf(level * (seed + 1) + seed, leaves);
            node = push(
                &mut ir.nodes,
                match (level + seed) % 3 {
                    0 => Node::And(vec![leaf, node]),
                    1 => Node::Or(vec![node, leaf]),
                    _ => Node::Not(node),
                },
            );
        }
        ir.predicates.push(Predicate { category: None, root: node });
    }
    for wide in [100, 1000, 40_000] {
        let operands: Vec<NodeId> = (0..wide).map(|number| ir_leaf(number, leaves)).collect();
        for node in [Node::And(operands.clone()), Node::Or(operands)] {
            let root = push(&mut ir.nodes, node);
            ir.predicates.push(Predicate { category: None, root });
        }
    }
    let mut bench = Bench::new(&ir);
    let mut random = Random::new(13);
    for case in 0..40 {
        let event = world.random_event(&mut random, 3);
        bench.check(world.builder.build(&event), &format!("case {case}"));
    }
}

#[test]
fn what_the_verifier_would_refuse_does_not_overflow_a_stack() {
    let mut ir = Ir { nodes: vec![Node::Constant(true)], ..Ir::default() };
    let mut node = NodeId(0);
    for _ in 0..100_000 {
        node = push(&mut ir.nodes, Node::Not(node));
    }
    ir.predicates.push(Predicate { category: None, root: node });
    assert!(kestrel_backend_wasm::compile(&ir).is_ok());
    assert!(kestrel_backend_lua::compile(&ir).is_ok());
    assert!(NativeCode::compile(&ir, NativeOptions::default()).is_ok());
    ir.nodes.push(Node::Not(NodeId(100_001)));
    assert!(kestrel_backend_wasm::compile(&ir).is_err());
    assert!(kestrel_backend_lua::compile(&ir).is_err());
    assert!(NativeCode::compile(&ir, NativeOptions::default()).is_err());
}

#[test]
fn tampered_frames_agree_and_stay_in_bounds() {
    let mut world = World::new();
    let atoms = world.atoms_of_every_kind();
    let ir = world.ir_of_atoms(atoms);
    let mut bench = Bench::new(&ir);
    let mut random = Random::new(17);
    let slots_start = kestrel_ir::frame::slot_offset(ir.layout.top_level_slots(), 0);
    for case in 0..400 {
        let event = world.random_event(&mut random, 3);
        let mut bytes = world.builder.build(&event).bytes().to_vec();
        for _ in 0..random.below(6) + 1 {
            // Words of counts, offsets and values alike, by large and by small steps.
            let place = slots_start + random.below((bytes.len() - slots_start) / 4) * 4;
            let word = match random.below(4) {
                0 => u32::MAX - random.below(16) as u32,
                1 => bytes.len() as u32 - random.below(32) as u32,
                2 => random.below(64) as u32,
                _ => random.bits() as u32,
            };
            bytes[place..place + 4].copy_from_slice(&word.to_le_bytes());
        }
        let frame = Frame::new(&bytes).expect("the header is whole");
        bench.check(frame, &format!("case {case}"));
    }
}

#[test]
fn long_frames_grow_the_runtimes_memory_and_short_ones_follow() {
    let mut world = World::new();
    let field = world.field("process.command_line");
    let strings = strings(&["*needle*"]);
    let ir = world.ir_of_atoms(vec![Atom::Strings { field, matching: StringMatch::Wildcard, fold: false, strings }]);
    let mut bench = Bench::new(&ir);
    for length in [10, 200_000, 10, 1_000_000, 3_000_000, 0] {
        let mut event = kestrel_ir::event::Event::new();
        event.push_text(world.number("process.command_line"), &("x".repeat(length) + "needle"));
        assert_eq!(bench.check(world.builder.build(&event), &format!("{length} bytes")), 1);
    }
}

#[test]
fn generated_tables_agree() {
    let seed = seed(20_240_601);
    println!("KESTREL_SEED={seed}");
    let start = Instant::now();
    let (mut pairs, mut hits) = (0, 0);
    for round in 0..12 {
        let mut random = Random::new(seed.wrapping_add(round));
        let mut world = World::new();
        let ir = world.random_ir(&mut random, 60);
        let mut bench = Bench::new(&ir);
        for case in 0..30 {
            let event = world.random_event(&mut random, 1 + case % 3);
            hits += bench.check(world.builder.build(&event), &format!("KESTREL_SEED={seed} round {round} case {case}"));
            pairs += ir.predicates.len();
        }
    }
    println!("{pairs} pairs, {hits} hits, {:?}", start.elapsed());
    assert!(pairs >= 20_000 && hits * 10 > pairs && hits * 10 < pairs * 9, "{hits} hits in {pairs} pairs");
}

#[test]
fn batches_agree_with_events_alone() {
    let seed = seed(6);
    println!("KESTREL_SEED={seed}");
    let mut random = Random::new(seed);
    let mut world = World::new();
    let ir = world.random_ir(&mut random, 60);
    let mut bench = Bench::new(&ir);
    let name = world.number("process.name");
    let mut hits = 0;
    // More than one call takes: of candidates for one event, of bytes of frames, of generations of answers.
    for (events, times, padding) in [(64, 1, 0), (64, 3, 0), (3, 5000 / bench.candidates.len() + 1, 0), (5, 1, 300_000)]
    {
        for _ in 0..5 {
            let candidates = bench.candidates.repeat(times);
            let mut batch = Batch::default();
            for number in 0..events {
                let mut event = world.random_event(&mut random, 1 + number % 3);
                if padding > 0 {
                    event.push_text(name, &"x".repeat(padding));
                }
                batch.push(world.builder.build(&event), || bench.atoms.cache());
                // Some events have no candidates, as most live ones.
                batch.ask(if number % 7 == 5 { &[] } else { &candidates });
            }
            let mut expected: Option<Vec<bool>> = None;
            for runtime in &mut bench.runtimes {
                batch.caches_mut().iter_mut().for_each(AtomCache::reset);
                batch.answers_mut().fill(false);
                runtime.evaluate_batch(&bench.atoms, &mut batch);
                let failures = batch.take_failures();
                assert!(failures.is_empty(), "{}: {failures:?}", runtime.name());
                let held = batch.answers_mut().to_vec();
                hits += held.iter().filter(|held| **held).count();
                let expected = expected.get_or_insert_with(|| held.clone());
                assert!(held == *expected, "KESTREL_SEED={seed}: {} over {events} events", runtime.name());
            }
        }
    }
    assert!(hits > 1000, "{hits}");
}

#[test]
fn failures_are_contained() {
    let mut world = World::new();
    let atoms = world.atoms_of_every_kind();
    let ir = world.ir_of_atoms(atoms);
    let wasm = kestrel_backend_wasm::compile(&ir).expect("a module");
    let event = world.random_event(&mut Random::new(1), 2);
    let slots = world.slots();
    let frame = world.builder.build(&event);
    let atoms = Atoms::new(&ir).expect("valid tables");
    let mut cache = atoms.cache();
    let candidates: Vec<PredicateId> = (0..ir.predicates.len() as u32).map(PredicateId).collect();
    let mut hits = vec![PredicateId(77)];

    let starved = WasmLimits { fuel: Some(20), ..WasmLimits::default() };
    let mut runtime = WasmRuntime::new(&wasm, starved).expect("a module");
    let error = runtime.evaluate(frame, &atoms, &mut cache, &candidates, &mut hits).expect_err("no fuel");
    assert!(matches!(&error, RuntimeError::Failed { first: 0, reason, .. } if reason.contains("fuel")), "{error}");
    assert_eq!(hits, [PredicateId(77)]);

    let small = WasmLimits { memory: 64 << 10, ..WasmLimits::default() };
    assert!(matches!(WasmRuntime::new(&wasm, small), Err(RuntimeError::Load { .. })));
    assert!(matches!(WasmRuntime::new(b"(module)", WasmLimits::default()), Err(RuntimeError::Load { .. })));
    let mut reference = Interpreting::new(&ir).expect("valid tables");
    let mut whole = WasmRuntime::new(&wasm, WasmLimits::default()).expect("a module");
    let mut native = NativeRuntime::new(&NativeCode::compile(&ir, NativeOptions::default()).expect("code"));
    for runtime in [&mut reference as &mut dyn Runtime, &mut whole, &mut native] {
        let error =
            runtime.evaluate(frame, &atoms, &mut cache, &[PredicateId(9999)], &mut hits).expect_err("no such one");
        assert!(matches!(error, RuntimeError::UnknownPredicate { predicate: 9999, .. }), "{error}");
    }
    let foreign = kestrel_ir::layout::Layout::new();
    let mut builder = kestrel_ir::frame::FrameBuilder::new(&foreign, &world.table);
    let short = builder.build(&event);
    for runtime in [&mut whole as &mut dyn Runtime, &mut native] {
        let error = runtime.evaluate(short, &atoms, &mut cache, &candidates, &mut hits).expect_err("another layout");
        assert!(matches!(error, RuntimeError::ForeignFrame), "{error}");
    }

    let source = "return function(host) return { [0] = function() error('edited badly') end } end";
    let mut lua = LuaRuntime::new(source, slots, LuaLimits::default()).expect("a source");
    let error = lua.evaluate(frame, &atoms, &mut cache, &[PredicateId(0)], &mut hits).expect_err("it fails");
    assert!(error.to_string().contains("edited badly"), "{error}");
    for source in [
        "return 1",
        "x =",
        "\u{1b}LJ",
        "ffi.cast('int', 1)",
        "io.open('x')",
        "return function(host) host.u32[0] = 1 end",
    ] {
        let refused = LuaRuntime::new(source, slots, LuaLimits::default());
        assert!(matches!(refused, Err(RuntimeError::Load { .. })), "{source}");
    }
}

#[test]
fn a_frame_beyond_the_limit_is_an_error_and_the_next_one_is_not() {
    let mut world = World::new();
    let atoms = vec![Atom::Present { field: world.field("process.name") }];
    let ir = world.ir_of_atoms(atoms);
    let (wasm, lua) = (kestrel_backend_wasm::compile(&ir), kestrel_backend_lua::compile(&ir));
    let limits = WasmLimits { memory: 256 << 10, ..WasmLimits::default() };
    let wasm = WasmRuntime::new(&wasm.expect("a module"), limits).expect("a module");
    let limits = LuaLimits { frame: 256 << 10, ..LuaLimits::default() };
    let lua = LuaRuntime::new(&lua.expect("a source"), world.slots(), limits).expect("a source");
    let atoms = Atoms::new(&ir).expect("valid tables");
    let name = world.number("process.name");
    for mut runtime in [Box::new(wasm) as Box<dyn Runtime>, Box::new(lua)] {
        for (length, fits) in [(10, true), (300_000, false), (10, true), (200_000, true)] {
            let mut event = kestrel_ir::event::Event::new();
            event.push_text(name, &"x".repeat(length));
            let frame = world.builder.build(&event);
            let mut hits = Vec::new();
            let outcome = runtime.evaluate(frame, &atoms, &mut atoms.cache(), &[PredicateId(0)], &mut hits);
            match outcome {
                Ok(()) => assert!(fits && hits == [PredicateId(0)], "{} at {length}", runtime.name()),
                Err(RuntimeError::FrameTooLarge { .. }) => assert!(!fits, "{} at {length}", runtime.name()),
                Err(error) => panic!("{} at {length}: {error}", runtime.name()),
            }
        }
    }
}

#[test]
fn a_runtime_moves_to_another_thread() {
    let mut world = World::new();
    let atoms = world.atoms_of_every_kind();
    let ir = world.ir_of_atoms(atoms);
    let mut bench = Bench::new(&ir);
    let mut random = Random::new(19);
    for case in 0..4 {
        let event = world.random_event(&mut random, 2);
        let frame = world.builder.build(&event).bytes().to_vec();
        bench.check(Frame::new(&frame).expect("a frame"), "here");
        let there = std::thread::spawn(move || {
            bench.check(Frame::new(&frame).expect("a frame"), &format!("there, case {case}"));
            bench
        });
        bench = there.join().expect("it runs there too");
    }
}

/// The node of an atom, the IR's nodes beginning with one for each.
fn ir_leaf(number: usize, leaves: usize) -> NodeId {
    NodeId((number % leaves) as u32)
}

fn push(nodes: &mut Vec<Node>, node: Node) -> NodeId {
    nodes.push(node);
    NodeId(nodes.len() as u32 - 1)
}
