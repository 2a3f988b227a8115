//! After warm-up an event allocates nothing, neither in the atoms nor in the Wasm runtime.

use std::alloc::{GlobalAlloc, Layout as Block, System};
use std::cell::Cell;

use kestrel_core::atoms::Atoms;
use kestrel_core::batch::Batch;
use kestrel_engine::runtime::Runtime;
use kestrel_engine::runtime::wasm::{WasmLimits, WasmRuntime};
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::layout::Layout;
use kestrel_ir::model::{Atom, AtomId, Ir, Node, NodeId, Order, Predicate, PredicateId, StringMatch};
use kestrel_schema::FieldType;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[expect(unsafe_code, reason = "an allocator that counts is the only witness of allocations")]
// SAFETY: every call goes to the system's allocator unchanged; the counter allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, block: Block) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(block) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, block: Block) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, block) }
    }
}

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
    let atoms = vec![
        list(StringMatch::Exact, true, &["bash", "zsh"]),
        list(StringMatch::Wildcard, true, &["*ash*", "z*"]),
        list(StringMatch::Wildcard, false, &["B?SH", "a*b*c"]),
        list(StringMatch::Regex, true, &["b.*h"]),
        Atom::IntegerOrder { field: port, order: Order::Less, value: 1024 },
        Atom::Integers { field: port, values: (0..100).collect() },
    ];
    let mut ir = Ir { layout, atoms, ..Ir::default() };
    for atom in 0..ir.atoms.len() as u32 {
        ir.nodes.push(Node::Atom(AtomId(atom)));
        ir.predicates.push(Predicate { category: None, root: NodeId(atom) });
    }
    let module = kestrel_backend_wasm::compile(&ir).expect("a module");
    let mut runtime = WasmRuntime::new(&module, WasmLimits::default()).expect("a module");
    let atoms = Atoms::new(&ir).expect("valid tables");
    let mut cache = atoms.cache();
    let candidates: Vec<PredicateId> = (0..ir.predicates.len() as u32).map(PredicateId).collect();
    let mut table = FieldTable::new();
    FrameBuilder::wanted(&ir.layout, &mut table);
    let mut builder = FrameBuilder::new(&ir.layout, &table);
    let (mut event, mut hits) = (Event::new(), Vec::new());
    let mut after_warm_up = 0;
    for number in 0..200 {
        let before = COUNT.get();
        event.clear();
        for text in ["BASH", "dash", "Ünïcode"] {
            event.push_text(table.lookup("process.name").expect("a field"), text);
        }
        event.push_integer(table.lookup("destination.port").expect("a field"), number);
        cache.reset();
        hits.clear();
        let frame = builder.build(&event);
        runtime.evaluate(frame, &atoms, &mut cache, &candidates, &mut hits).expect("it runs");
        if number >= 100 {
            after_warm_up += COUNT.get() - before;
        }
    }
    assert_eq!(after_warm_up, 0);

    // The same in batches, with a runtime of its own.
    let mut runtime = WasmRuntime::new(&module, WasmLimits::default()).expect("a module");
    let mut batch = Batch::default();
    let mut after_warm_up = 0;
    for number in 0..20 {
        let before = COUNT.get();
        batch.clear();
        while !batch.is_full() {
            let frame = builder.build(&event);
            batch.push(frame, || atoms.cache());
            batch.ask(&candidates);
        }
        runtime.evaluate_batch(&atoms, &mut batch);
        assert!(batch.answers_mut().iter().any(|held| *held), "something holds");
        if number >= 10 {
            after_warm_up += COUNT.get() - before;
        }
    }
    assert_eq!(after_warm_up, 0);
}
