//! The sections of a module around its functions.
//!
//! In: the IR and its cut. Out: bytes that depend on nothing else.

use kestrel_ir::model::Ir;
use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, ElementSection, Elements, EntityType, ExportKind, ExportSection, Function,
    FunctionSection, GlobalSection, GlobalType, ImportSection, MemorySection, MemoryType, Module, NameMap, NameSection,
    RefType, TableSection, TableType, TypeSection, ValType,
};

use crate::abi;
use crate::emit::{
    EVALUATE_FUNCTION, EVALUATE_TYPE, Emitter, FIRST_PREDICATE, FLOATS_TYPE, INTEGERS_TYPE, Numbering, PREDICATE_TYPE,
    ask,
};
use crate::entry::{GENERATION_GLOBAL, evaluate};
use crate::inline::AnyMore;
use crate::split::Split;

/// A page of linear memory, in bytes.
const PAGE: u32 = 64 * 1024;

/// The functions of a module in order, and their names.
struct Functions {
    types: FunctionSection,
    code: CodeSection,
    names: NameMap,
    next: u32,
}

impl Functions {
    fn push(&mut self, function_type: u32, name: &str, function: &Function) {
        self.types.function(function_type);
        self.code.function(function);
        self.names.append(self.next, name);
        self.next += 1;
    }
}

/// Puts the module together.
pub(crate) fn assemble(ir: &Ir, split: &Split) -> Vec<u8> {
    let numbering = Numbering::new(ir, split);
    let functions = functions(&Emitter { ir, split, numbering: &numbering });
    let predicates = ir.predicates.len() as u32;
    let frames = abi::frames_address(ir.atoms.len() as u32, predicates);

    let mut types = TypeSection::new();
    types.ty().function([ValType::I32, ValType::I32], [ValType::I32]);
    types.ty().function([ValType::I32, ValType::I32], []);
    types.ty().function([ValType::I32, ValType::I32, ValType::I64], [ValType::I32]);
    types.ty().function([ValType::I32, ValType::I32, ValType::F64], [ValType::I32]);

    let mut imports = ImportSection::new();
    imports.import(abi::IMPORT_MODULE, abi::IMPORT_ATOM, EntityType::Function(PREDICATE_TYPE));

    let mut tables = TableSection::new();
    tables.table(TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: u64::from(predicates),
        maximum: Some(u64::from(predicates)),
        shared: false,
    });

    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: u64::from((frames + abi::FRAMES_AT_START).div_ceil(PAGE)),
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });

    let (globals, exports) = exports(ir);

    let mut elements = ElementSection::new();
    let table: Vec<u32> = (FIRST_PREDICATE..FIRST_PREDICATE + predicates).collect();
    elements.active(None, &ConstExpr::i32_const(0), Elements::Functions(table.into()));

    let mut data = DataSection::new();
    data.active(0, &ConstExpr::i32_const(abi::reads_address(ir.atoms.len() as u32) as i32), reads(ir, split));

    let mut names = NameSection::new();
    names.module("kestrel_predicates");
    names.functions(&functions.names);

    let mut module = Module::new();
    module
        .section(&types)
        .section(&imports)
        .section(&functions.types)
        .section(&tables)
        .section(&memories)
        .section(&globals)
        .section(&exports)
        .section(&elements)
        .section(&functions.code)
        .section(&data)
        .section(&names);
    module.finish()
}

/// How much of the frame each predicate reads.
fn reads(ir: &Ir, split: &Split) -> Vec<u8> {
    ir.predicates.iter().map(|predicate| split.reads(predicate) as u8).collect()
}

fn functions(emitter: &Emitter<'_>) -> Functions {
    let mut functions =
        Functions { types: FunctionSection::new(), code: CodeSection::new(), names: NameMap::new(), next: 0 };
    // The import has the first index and a name, but no body.
    functions.names.append(functions.next, abi::IMPORT_ATOM);
    functions.next += 1;
    functions.push(EVALUATE_TYPE, abi::EVALUATE_EXPORT, &evaluate(emitter.ir.atoms.len() as u32));
    functions.push(PREDICATE_TYPE, "ask", &ask());
    for any_more in AnyMore::all() {
        let function_type = if any_more.float { FLOATS_TYPE } else { INTEGERS_TYPE };
        functions.push(function_type, &any_more.name(), &any_more.function());
    }
    for (index, predicate) in emitter.ir.predicates.iter().enumerate() {
        functions.push(PREDICATE_TYPE, &format!("predicate_{index}"), &emitter.predicate(predicate));
    }
    for &node in emitter.numbering.nodes.keys() {
        functions.push(PREDICATE_TYPE, &format!("node_{}", node.0), &emitter.node_function(node));
    }
    for &node in emitter.numbering.parts.keys() {
        for (index, part) in emitter.split.parts(node).iter().enumerate() {
            functions.push(PREDICATE_TYPE, &format!("node_{}_part_{index}", node.0), &emitter.part(node, part));
        }
    }
    functions
}

fn exports(ir: &Ir) -> (GlobalSection, ExportSection) {
    let mut globals = GlobalSection::new();
    let mut exports = ExportSection::new();
    exports.export(abi::MEMORY_EXPORT, ExportKind::Memory, 0);
    exports.export(abi::EVALUATE_EXPORT, ExportKind::Func, EVALUATE_FUNCTION);
    let generation = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
    globals.global(generation, &ConstExpr::i32_const(0));
    let constants = [
        (abi::VERSION_EXPORT, abi::ABI_VERSION),
        (abi::PROGRESS_ADDRESS_EXPORT, abi::PROGRESS_ADDRESS),
        (abi::EVENTS_ADDRESS_EXPORT, abi::EVENTS_ADDRESS),
        (abi::EVENTS_CAPACITY_EXPORT, abi::EVENTS_CAPACITY),
        (abi::PAIRS_ADDRESS_EXPORT, abi::PAIRS_ADDRESS),
        (abi::PAIRS_CAPACITY_EXPORT, abi::PAIRS_CAPACITY),
        (abi::RESULTS_ADDRESS_EXPORT, abi::RESULTS_ADDRESS),
        (abi::READS_ADDRESS_EXPORT, abi::reads_address(ir.atoms.len() as u32)),
        (abi::FRAMES_ADDRESS_EXPORT, abi::frames_address(ir.atoms.len() as u32, ir.predicates.len() as u32)),
        (abi::PREDICATES_EXPORT, ir.predicates.len() as u32),
        (abi::SLOTS_EXPORT, ir.layout.top_level_slots() as u32),
    ];
    for (index, (name, value)) in (GENERATION_GLOBAL + 1..).zip(constants) {
        let global_type = GlobalType { val_type: ValType::I32, mutable: false, shared: false };
        globals.global(global_type, &ConstExpr::i32_const(value as i32));
        exports.export(name, ExportKind::Global, index);
    }
    (globals, exports)
}
