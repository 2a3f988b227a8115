//! What a runtime costs per event: `cargo bench -p kestrel-conformance --bench runtimes`.

use std::hint::black_box;
use std::time::Instant;

use kestrel_core::atoms::Atoms;
use kestrel_engine::runtime::lua::{LuaLimits, LuaRuntime};
use kestrel_engine::runtime::native::{NativeCode, NativeOptions, NativeRuntime};
use kestrel_engine::runtime::wasm::{WasmLimits, WasmRuntime};
use kestrel_engine::runtime::{Runtime, RuntimeKind, RuntimeParts, create};
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::layout::Layout;
use kestrel_ir::model::{Atom, AtomId, Ir, Node, NodeId, Order, Predicate, PredicateId, StringMatch};
use kestrel_schema::FieldType;

const PREDICATES: usize = 1000;

/// `process where name == … and (port > … or command_line like~ …)`, a thousand times.
fn rules() -> Ir {
    let mut layout = Layout::new();
    let category = layout.intern("event.category", FieldType::Keyword);
    let name = layout.intern("process.name", FieldType::Keyword);
    let line = layout.intern("process.command_line", FieldType::Keyword);
    let port = layout.intern("destination.port", FieldType::Long);
    for other in 0..16 {
        layout.intern(&format!("other.{other}"), FieldType::Keyword);
    }
    let one = |string: String| vec![string];
    let mut ir = Ir { layout, ..Ir::default() };
    let strings = |field, matching, fold, strings| Atom::Strings { field, matching, fold, strings };
    ir.atoms.push(strings(category, StringMatch::Exact, false, one("process".to_owned())));
    for number in 0..PREDICATES {
        let first = ir.atoms.len() as u32;
        ir.atoms.push(strings(name, StringMatch::Exact, true, one("bash".to_owned())));
        ir.atoms.push(Atom::IntegerOrder { field: port, order: Order::Greater, value: 60_000 + number as i64 });
        ir.atoms.push(strings(line, StringMatch::Wildcard, true, one(format!("*curl*{number}*"))));
        let node = ir.nodes.len() as u32;
        ir.nodes.extend((first..first + 3).map(|atom| Node::Atom(AtomId(atom))));
        ir.nodes.push(Node::Or(vec![NodeId(node + 1), NodeId(node + 2)]));
        ir.nodes.push(Node::And(vec![NodeId(node), NodeId(node + 3)]));
        ir.predicates.push(Predicate { category: Some(AtomId(0)), root: NodeId(node + 4) });
    }
    ir
}

fn main() {
    let ir = rules();
    let start = Instant::now();
    let wasm = kestrel_backend_wasm::compile(&ir).expect("a module");
    println!("to wasm: {:?}, {} bytes", start.elapsed(), wasm.len());
    let start = Instant::now();
    let lua = kestrel_backend_lua::compile(&ir).expect("a source");
    println!("to lua: {:?}, {} bytes", start.elapsed(), lua.len());
    let parts = RuntimeParts { ir: &ir, wasm: Some(&wasm), lua: Some(&lua) };
    let mut runtimes: Vec<(String, Box<dyn Runtime>)> = Vec::new();
    for kind in RuntimeKind::ALL {
        let start = Instant::now();
        let runtime = create(kind, &parts).expect("a runtime");
        println!("{kind} loads in {:?}", start.elapsed());
        runtimes.push((kind.to_string(), runtime));
    }
    let unlimited = WasmLimits { fuel: None, ..WasmLimits::default() };
    runtimes.push(("wasm, no fuel".to_owned(), Box::new(WasmRuntime::new(&wasm, unlimited).expect("a module"))));
    let slots = ir.layout.top_level_slots();
    let interpreted = LuaLimits { jit: false, ..LuaLimits::default() };
    runtimes.push(("lua, no jit".to_owned(), Box::new(LuaRuntime::new(&lua, slots, interpreted).expect("a source"))));
    for (what, optimize, threads) in [("native, one thread", false, 1), ("native, optimised", true, 1)] {
        let start = Instant::now();
        let code = NativeCode::compile(&ir, NativeOptions { optimize, threads }).expect("code");
        println!("{what} loads in {:?}", start.elapsed());
        runtimes.push((what.to_owned(), Box::new(NativeRuntime::new(&code))));
    }

    let mut table = FieldTable::new();
    FrameBuilder::wanted(&ir.layout, &mut table);
    let mut builder = FrameBuilder::new(&ir.layout, &table);
    let mut event = Event::new();
    for (field, text) in [
        ("event.category", "process"),
        ("process.name", "bash"),
        ("process.command_line", "bash -c curl http://example.org/install.sh | sh"),
    ] {
        event.push_text(table.lookup(field).expect("a field"), text);
    }
    event.push_integer(table.lookup("destination.port").expect("a field"), 443);
    let frame = builder.build(&event);
    println!("a frame of {} bytes", frame.bytes().len());
    let atoms = Atoms::new(&ir).expect("valid tables");
    let mut cache = atoms.cache();
    let mut hits = Vec::new();
    // Other candidates for each event, as live: that is what makes LuaJIT's traces branch.
    let candidates: Vec<[PredicateId; 32]> = (0..997)
        .map(|number| std::array::from_fn(|index| PredicateId(((number * 7919 + index * 31) % PREDICATES) as u32)))
        .collect();
    for count in [1usize, 4, 32] {
        for reset in [false, true] {
            for (name, runtime) in &mut runtimes {
                // Long enough for LuaJIT to compile every predicate.
                let events = 200_000 / count;
                let mut measure = || {
                    let start = Instant::now();
                    for number in 0..events {
                        let candidates = &candidates[number % candidates.len()][..count];
                        if reset {
                            cache.reset();
                        }
                        hits.clear();
                        let outcome = runtime.evaluate(frame, &atoms, &mut cache, black_box(candidates), &mut hits);
                        outcome.expect("it runs");
                    }
                    start.elapsed().as_nanos() as f64 / events as f64
                };
                let mut costs: Vec<f64> = (0..11).map(|_| measure()).collect();
                costs.sort_by(f64::total_cmp);
                let what = if reset { "atoms asked anew" } else { "atoms known" };
                println!("{count:3} candidates, {what}, {name}: {:.0} ns", costs[costs.len() / 2]);
            }
        }
    }
}
