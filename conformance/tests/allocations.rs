//! After warm-up an event allocates nothing, neither in the atoms nor in Wasm, native code and Lua, event by event and in
//! batches.

use kestrel_conformance::allocations::{Counting, count};
use kestrel_core::atoms::Atoms;
use kestrel_core::batch::Batch;
use kestrel_engine::runtime::Runtime;
use kestrel_engine::runtime::lua::{LuaLimits, LuaRuntime};
use kestrel_engine::runtime::native::{NativeCode, NativeOptions, NativeRuntime};
use kestrel_engine::runtime::wasm::{WasmLimits, WasmRuntime};
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::layout::Layout;
use kestrel_ir::model::{
    Atom, AtomId, Comparison, Constant, Function, Ir, Node, NodeId, Order, Predicate, PredicateId, StringMatch, Value,
    ValueId,
};
use kestrel_schema::FieldType;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn an_event_allocates_nothing() {
    let mut layout = Layout::new();
    let name = layout.intern("process.name", FieldType::Keyword);
    let port = layout.intern("destination.port", FieldType::Long);
    let list = |matching, fold, strings: &[&str]| Atom::Strings {
        field: name,
        matching,
        fold,
        strings: strings.iter().map(|&string| string.to_owned()).collect(),
    };
    // concat(process.name, ":", destination.port) like~ "*SH:1*", substring(process.name, 1) == "ASH", a text folded.
    let values = vec![
        Value::Field(name),
        Value::Constant(Constant::String(":".to_owned())),
        Value::Field(port),
        Value::Call { function: Function::Concat, fold: false, arguments: vec![ValueId(0), ValueId(1), ValueId(2)] },
        Value::Matches {
            matching: StringMatch::Wildcard,
            fold: true,
            input: ValueId(3),
            strings: vec!["*sh:1*".to_owned()],
        },
        Value::Constant(Constant::Integer(1)),
        Value::Call { function: Function::Substring, fold: false, arguments: vec![ValueId(0), ValueId(5)] },
        Value::Constant(Constant::String("ASH".to_owned())),
        Value::Compare { comparison: Comparison::Equal, left: ValueId(6), right: ValueId(7) },
        Value::Call { function: Function::StringContains, fold: true, arguments: vec![ValueId(0), ValueId(7)] },
        Value::Matches {
            matching: StringMatch::Regex,
            fold: true,
            input: ValueId(3),
            strings: vec!["b.*:1?".to_owned()],
        },
    ];
    let atoms = vec![
        Atom::Compute { value: ValueId(4) },
        Atom::Compute { value: ValueId(8) },
        Atom::Compute { value: ValueId(9) },
        Atom::Compute { value: ValueId(10) },
        list(StringMatch::Exact, true, &["bash", "zsh"]),
        list(StringMatch::Wildcard, true, &["*ash*", "z*"]),
        list(StringMatch::Wildcard, false, &["B?SH", "a*b*c"]),
        list(StringMatch::Regex, true, &["b.*h"]),
        Atom::IntegerOrder { field: port, order: Order::Less, value: 1024 },
        Atom::Integers { field: port, values: (0..100).collect() },
    ];
    let mut ir = Ir { layout, atoms, values, ..Ir::default() };
    for atom in 0..ir.atoms.len() as u32 {
        ir.nodes.push(Node::Atom(AtomId(atom)));
        ir.predicates.push(Predicate { category: None, root: NodeId(atom) });
    }
    let module = kestrel_backend_wasm::compile(&ir).expect("a module");
    let wasm = WasmRuntime::new(&module, WasmLimits::default()).expect("a module");
    check(&ir, Box::new(wasm));
    let native = NativeCode::compile(&ir, NativeOptions::default()).expect("code");
    check(&ir, Box::new(NativeRuntime::new(&native)));
}

/// Evaluates events alone and in batches of eight, and counts what is allocated once all memory is there.
fn check(ir: &Ir, mut runtime: Box<dyn Runtime>) {
    let atoms = Atoms::new(ir).expect("valid tables");
    let mut cache = atoms.cache();
    let mut batch = Batch::default();
    let candidates: Vec<PredicateId> = (0..ir.predicates.len() as u32).map(PredicateId).collect();
    let mut table = FieldTable::new();
    FrameBuilder::wanted(&ir.layout, &mut table);
    let mut builder = FrameBuilder::new(&ir.layout, &table);
    let (mut event, mut hits) = (Event::new(), Vec::new());
    let (mut after_warm_up, mut held) = (0, 0);
    for number in 0..200 {
        let before = count();
        event.clear();
        for text in ["BASH", "dash", "Ünïcode"] {
            event.push_text(table.lookup("process.name").expect("a field"), text);
        }
        event.push_integer(table.lookup("destination.port").expect("a field"), number);
        cache.reset();
        hits.clear();
        let frame = builder.build(&event);
        runtime.evaluate(frame, &atoms, &mut cache, &candidates, &mut hits).expect("it runs");
        batch.push(frame, || atoms.cache());
        batch.ask(&candidates);
        if batch.len() == 8 {
            runtime.evaluate_batch(&atoms, &mut batch);
            held += batch.answers_mut().iter().filter(|held| **held).count();
            batch.clear();
        }
        if number >= 100 {
            after_warm_up += count() - before;
        }
    }
    assert!(held > 200, "{}: {held} answers", runtime.name());
    assert_eq!(after_warm_up, 0, "{}", runtime.name());
}

#[test]
fn a_batch_on_lua_allocates_nothing() {
    let mut layout = Layout::new();
    let name = layout.intern("process.name", FieldType::Keyword);
    let port = layout.intern("destination.port", FieldType::Long);
    let strings = ["bash".to_owned(), "zsh".to_owned()].into();
    let atoms = vec![
        Atom::Strings { field: name, matching: StringMatch::Exact, fold: true, strings },
        Atom::IntegerOrder { field: port, order: Order::Less, value: 40 },
        Atom::Present { field: port },
        Atom::Integers { field: port, values: (0..100).collect() },
    ];
    let mut ir = Ir { layout, atoms, ..Ir::default() };
    ir.nodes.extend((0..4).map(|atom| Node::Atom(AtomId(atom))));
    ir.nodes.push(Node::And((0..4).map(NodeId).collect()));
    ir.nodes.push(Node::Or(vec![NodeId(1), NodeId(0), NodeId(3)]));
    ir.predicates.extend((0..6).map(|root| Predicate { category: None, root: NodeId(root) }));
    let source = kestrel_backend_lua::compile(&ir).expect("a source");
    let atoms = Atoms::new(&ir).expect("valid tables");
    let candidates: Vec<PredicateId> = (0..ir.predicates.len() as u32).map(PredicateId).collect();
    let mut table = FieldTable::new();
    FrameBuilder::wanted(&ir.layout, &mut table);
    let mut builder = FrameBuilder::new(&ir.layout, &table);
    let (mut event, mut batch) = (Event::new(), Batch::default());
    for limits in [LuaLimits::trusted(), LuaLimits { jit: false, ..LuaLimits::trusted() }] {
        let mut runtime = LuaRuntime::new(&source, ir.layout.top_level_slots(), limits).expect("a source");
        let (mut after_warm_up, mut memory) = (0, 0);
        for number in 0..600 {
            batch.clear();
            for port in 0..64 {
                event.clear();
                event.push_text(
                    table.lookup("process.name").expect("a field"),
                    if port % 3 == 0 { "bash" } else { "vi" },
                );
                event.push_integer(table.lookup("destination.port").expect("a field"), port);
                batch.push(builder.build(&event), || atoms.cache());
                batch.ask(&candidates);
            }
            let before = count();
            runtime.evaluate_batch(&atoms, &mut batch);
            if number < 300 {
                memory = runtime.used_memory();
            } else {
                after_warm_up += count() - before;
            }
        }
        assert_eq!((after_warm_up, runtime.used_memory()), (0, memory), "jit {}", limits.jit);
    }
}
