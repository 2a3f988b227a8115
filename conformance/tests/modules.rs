//! Modules that are not what the compiler writes: each is refused at load, or contained, counted and the engine goes on.
//!
//! `Hostile` says how a module differs from a good one, which finds that its one predicate holds for every event. At the
//! event `BAD` it does what its author wants. `check` evaluates a batch and says which events failed and why.

use std::time::Duration;

use kestrel_core::atoms::Atoms;
use kestrel_core::batch::Batch;
use kestrel_engine::runtime::wasm::{WasmLimits, WasmRuntime};
use kestrel_engine::runtime::{Runtime, RuntimeError};
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::layout::Layout;
use kestrel_ir::model::{Atom, AtomId, Ir, Node, NodeId, Predicate, PredicateId};
use kestrel_schema::FieldType;
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, EntityType, ExportKind, ExportSection, Function, FunctionSection, GlobalSection,
    GlobalType, ImportSection, InstructionSink, MemArg, MemorySection, MemoryType, Module, RefType, StartSection,
    TableSection, TableType, TypeSection, ValType,
};

/// The event at which a module misbehaves.
const BAD: i32 = 2;
const EVENTS: usize = 6;

/// Instructions of a module's author.
type Deed = fn(&mut InstructionSink<'_>);

/// How a module differs from a good one.
struct Hostile {
    globals: Vec<(&'static str, i32)>,
    imports: Vec<(&'static str, &'static str)>,
    pages: u64,
    table: u64,
    starts: bool,
    /// What `evaluate` does at the bad event, and what the start function does.
    deed: Deed,
    /// Whether it says at which event it is.
    honest: bool,
}

fn good() -> Hostile {
    Hostile {
        globals: vec![
            ("abi_version", 2),
            ("progress_address", 0),
            ("events_address", 0x100),
            ("events_capacity", 4),
            ("pairs_address", 0x200),
            ("pairs_capacity", 8),
            ("results_address", 0x300),
            ("frames_address", 0x400),
            ("predicates", 1),
            ("slots", 1),
        ],
        imports: vec![("kestrel", "atom")],
        pages: 1,
        table: 1,
        starts: false,
        deed: |_| {},
        honest: true,
    }
}

impl Hostile {
    fn with(mut self, name: &str, value: i32) -> Hostile {
        self.globals.iter_mut().filter(|(global, _)| *global == name).for_each(|(_, global)| *global = value);
        self
    }

    fn without(mut self, name: &str) -> Hostile {
        self.globals.retain(|(global, _)| *global != name);
        self
    }

    fn doing(self, deed: Deed) -> Hostile {
        Hostile { deed, ..self }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([ValType::I32, ValType::I32], [ValType::I32]);
        types.ty().function([ValType::I32, ValType::I32], []);
        types.ty().function([], []);
        let mut imports = ImportSection::new();
        for (module, name) in &self.imports {
            imports.import(module, name, EntityType::Function(0));
        }
        let first = self.imports.len() as u32;
        let mut functions = FunctionSection::new();
        functions.function(1).function(2);
        let mut tables = TableSection::new();
        let (minimum, maximum) = (self.table, None);
        tables.table(TableType { element_type: RefType::FUNCREF, table64: false, minimum, maximum, shared: false });
        let mut memories = MemorySection::new();
        let minimum = self.pages;
        memories.memory(MemoryType { minimum, maximum, memory64: false, shared: false, page_size_log2: None });
        let (mut globals, mut exports) = (GlobalSection::new(), ExportSection::new());
        exports.export("memory", ExportKind::Memory, 0).export("evaluate", ExportKind::Func, first);
        for (index, (name, value)) in self.globals.iter().enumerate() {
            let global = GlobalType { val_type: ValType::I32, mutable: false, shared: false };
            globals.global(global, &ConstExpr::i32_const(*value));
            exports.export(name, ExportKind::Global, index as u32);
        }
        let mut code = CodeSection::new();
        code.function(&self.evaluate());
        let mut start = Function::new([(3, ValType::I32)]);
        (self.deed)(&mut start.instructions());
        start.instructions().end();
        code.function(&start);
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&functions).section(&tables).section(&memories);
        module.section(&globals).section(&exports);
        if self.starts {
            module.section(&StartSection { function_index: first + 1 });
        }
        module.section(&code);
        module.finish()
    }

    /// One pair for each event, whose predicate holds.
    fn evaluate(&self) -> Function {
        let place = |offset| MemArg { offset, align: 0, memory_index: 0 };
        let mut function = Function::new([(1, ValType::I32)]);
        let mut sink = function.instructions();
        sink.block(BlockType::Empty).loop_(BlockType::Empty);
        sink.local_get(0).local_get(1).i32_ge_u().br_if(1);
        sink.i32_const(0);
        if self.honest {
            sink.local_get(0);
        } else {
            sink.i32_const(77);
        }
        sink.i32_store(place(0));
        sink.local_get(0).i32_const(BAD).i32_eq().if_(BlockType::Empty);
        (self.deed)(&mut sink);
        sink.end();
        sink.i32_const(0).i32_const(0).i32_load8_u(place(0x300));
        sink.i32_const(1).local_get(0).i32_shl().i32_or().i32_store8(place(0x300));
        sink.local_get(0).i32_const(1).i32_add().local_set(0).br(0);
        sink.end().end().end();
        function
    }
}

/// One field, whose presence is the one atom.
fn ir() -> Ir {
    let mut layout = Layout::new();
    let field = layout.intern("process.name", FieldType::Keyword);
    Ir {
        layout,
        atoms: vec![Atom::Present { field }],
        nodes: vec![Node::Atom(AtomId(0))],
        predicates: vec![Predicate { category: None, root: NodeId(0) }],
        ..Ir::default()
    }
}

/// Evaluates a batch, then a good event alone: the runtime must still be of use. Gives the failures.
fn run(hostile: &Hostile, limits: WasmLimits) -> Vec<(usize, String)> {
    let ir = ir();
    let atoms = Atoms::new(&ir).expect("valid tables");
    let mut table = FieldTable::new();
    FrameBuilder::wanted(&ir.layout, &mut table);
    let mut builder = FrameBuilder::new(&ir.layout, &table);
    let mut event = Event::new();
    event.push_text(table.lookup("process.name").expect("a field"), "bash");
    let frame = builder.build(&event);
    let mut runtime = WasmRuntime::new(&hostile.bytes(), limits).expect("a module");
    let mut failures = Vec::new();
    let mut batch = Batch::default();
    for _ in 0..2 {
        batch.clear();
        for _ in 0..EVENTS {
            batch.push(frame, || atoms.cache());
            batch.ask(&[PredicateId(0)]);
        }
        runtime.evaluate_batch(&atoms, &mut batch);
        failures = batch.take_failures().into_iter().map(|(event, error)| (event, error.to_string())).collect();
        for event in (0..EVENTS).filter(|event| failures.iter().all(|(failed, _)| failed != event)) {
            assert_eq!(batch.held(event), [true], "event {event}");
        }
    }
    let mut hits = Vec::new();
    let alone = runtime.evaluate(frame, &atoms, &mut atoms.cache(), &[PredicateId(0)], &mut hits);
    alone.expect("the first event of a call is no bad one");
    assert_eq!(hits, [PredicateId(0)]);
    failures
}

/// The bad event of each call of four fails for a reason with `says`, and no other does.
fn check(what: &str, hostile: &Hostile, limits: WasmLimits, says: &str) {
    let failures = run(hostile, limits);
    // The second call has two events.
    let [(event, reason)] = failures.as_slice() else { panic!("{what}: {failures:?}") };
    assert_eq!(*event, BAD as usize, "{what}");
    assert!(reason.contains(says), "{what}: {reason}");
}

fn both() -> [WasmLimits; 2] {
    let trusted = WasmLimits { time: Some(Duration::from_millis(50)), ..WasmLimits::trusted() };
    let strict = WasmLimits { fuel: Some(200_000), ..WasmLimits::strict() };
    [trusted, strict]
}

#[test]
fn a_good_module_answers_every_event() {
    for limits in both() {
        assert_eq!(run(&good(), limits), []);
    }
}

#[test]
fn a_trap_or_an_overrun_costs_its_own_event_alone() {
    let recursion: Deed = |sink| {
        sink.i32_const(BAD).i32_const(BAD + 1).call(1);
    };
    let endless: Deed = |sink| {
        sink.loop_(BlockType::Empty).br(0).end();
    };
    let [time, fuel] = both();
    check("an endless loop", &good().doing(endless), time, "interrupt");
    check("an endless loop", &good().doing(endless), fuel, "fuel");
    for limits in both() {
        let plain: [(&str, Deed, &str); 4] = [
            (
                "a trap",
                |sink| {
                    sink.unreachable();
                },
                "unreachable",
            ),
            (
                "a read outside",
                |sink| {
                    sink.i32_const(-8).i32_load(MemArg { offset: 0, align: 0, memory_index: 0 }).drop();
                },
                "out of bounds",
            ),
            (
                "an event of nowhere",
                |sink| {
                    sink.i32_const(99).i32_const(0).call(0).drop();
                },
                "not in the call",
            ),
            (
                "a division",
                |sink| {
                    sink.i32_const(1).i32_const(0).i32_div_u().drop();
                },
                "divide by zero",
            ),
        ];
        for (what, deed, says) in plain {
            check(what, &good().doing(deed), limits, says);
        }
        let roomy = WasmLimits { fuel: limits.fuel.map(|_| 100_000_000), ..limits };
        check("recursion", &good().doing(recursion), roomy, "stack");
    }
}

#[test]
fn a_module_that_takes_memory_gets_no_more_than_its_limit() {
    let deed: Deed = |sink| {
        // Traps if more than 4 pages were given, or fewer.
        sink.loop_(BlockType::Empty).i32_const(1).memory_grow(0).i32_const(-1).i32_ne().br_if(0).end();
        sink.memory_size(0).i32_const(4).i32_ne().if_(BlockType::Empty).unreachable().end();
    };
    for limits in both() {
        assert_eq!(run(&good().doing(deed), WasmLimits { memory: 4 << 16, ..limits }), []);
    }
}

#[test]
fn a_module_cannot_change_what_the_host_tests() {
    // It overwrites all frames, then asks about the presence of the field, and traps when the answer is no.
    let deed: Deed = |sink| {
        sink.i32_const(0x4000).local_set(2);
        sink.loop_(BlockType::Empty);
        sink.local_get(2).i32_const(1).i32_sub().local_tee(2).i32_const(0);
        sink.i32_store8(MemArg { offset: 0x400, align: 0, memory_index: 0 });
        sink.local_get(2).br_if(0).end();
        sink.i32_const(BAD).i32_const(0).call(0).i32_eqz().if_(BlockType::Empty).unreachable().end();
        // An atom that is not there is false.
        sink.i32_const(BAD).i32_const(12345).call(0).if_(BlockType::Empty).unreachable().end();
    };
    for limits in both() {
        assert_eq!(run(&good().doing(deed), limits), []);
    }
}

#[test]
fn a_module_that_lies_about_where_it_is_loses_its_call_and_no_other() {
    let deed: Deed = |sink| {
        sink.unreachable();
    };
    for limits in both() {
        let failures = run(&Hostile { honest: false, ..good().doing(deed) }, limits);
        let events: Vec<usize> = failures.iter().map(|(event, _)| *event).collect();
        assert_eq!(events, [0, 1, 2, 3], "a call takes four events");
    }
}

#[test]
fn areas_outside_the_memory_give_errors_and_touch_nothing() {
    let ir = ir();
    let atoms = Atoms::new(&ir).expect("valid tables");
    let mut builder = FrameBuilder::new(&ir.layout, &FieldTable::new());
    let frame = builder.build(&Event::new());
    for (name, address) in [("frames_address", 0x7fff_fff8), ("frames_address", -8), ("frames_address", 0x0100_0000)] {
        let mut runtime =
            WasmRuntime::new(&good().with(name, address).bytes(), WasmLimits::default()).expect("a module");
        let mut hits = Vec::new();
        let error = runtime.evaluate(frame, &atoms, &mut atoms.cache(), &[PredicateId(0)], &mut hits);
        assert!(matches!(error, Err(RuntimeError::FrameTooLarge { .. })), "{name} {address:x}: {error:?}");
    }
}

#[test]
fn what_is_no_module_of_this_contract_is_refused_at_load() {
    let other = |imports| Hostile { imports, ..good() };
    let cases = [
        ("version 1", good().with("abi_version", 1), "ABI version 1"),
        ("version 3", good().with("abi_version", 3), "ABI version 3"),
        ("no version", good().without("abi_version"), "`abi_version`"),
        ("no slots", good().without("slots"), "`slots`"),
        ("results over pairs", good().with("results_address", 0x210), "overlap"),
        ("frames over results", good().with("frames_address", 0x300), "overlap"),
        ("frames askew", good().with("frames_address", 0x404), "multiple of 8"),
        ("pairs beyond all", good().with("pairs_capacity", -1), "overlap"),
        ("no events", good().with("events_capacity", 0), "hold nothing"),
        ("no pairs", good().with("pairs_capacity", 0), "hold nothing"),
        ("WASI", other(vec![("kestrel", "atom"), ("wasi_snapshot_preview1", "fd_write")]), "fd_write"),
        ("another function of ours", other(vec![("kestrel", "memory")]), "kestrel::memory"),
        ("memory", Hostile { pages: 257, ..good() }, "memory"),
        ("a table", Hostile { table: 1 << 21, ..good() }, "table"),
        (
            "a start that traps",
            Hostile { starts: true, ..good() }.doing(|sink| {
                sink.unreachable();
            }),
            "unreachable",
        ),
        (
            "a start without end",
            Hostile { starts: true, ..good() }.doing(|sink| {
                sink.loop_(BlockType::Empty).br(0).end();
            }),
            "",
        ),
    ];
    for (what, hostile, says) in cases {
        for limits in both() {
            match WasmRuntime::new(&hostile.bytes(), limits) {
                Err(RuntimeError::Load { reason, .. }) => assert!(reason.contains(says), "{what}: {reason}"),
                other => panic!("{what}: {other:?}"),
            }
        }
    }
    let whole = good().bytes();
    for length in 0..whole.len() {
        assert!(WasmRuntime::new(&whole[..length], WasmLimits::default()).is_err(), "cut to {length}");
    }
}
