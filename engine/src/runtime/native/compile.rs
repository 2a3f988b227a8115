//! From an IR to machine code that can be called: cut, written, compiled on as many threads as help, placed in memory.
//!
//! In: a verified IR. Out: a [`MachineCode`]: the addresses of all functions, the predicates first. The code needs no place
//! of its own: it is bytes that are copied, and whatever calls or reads goes through the context. What would need a
//! relocation is refused, and so is what might take much stack.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cranelift_codegen::Context as Compiler;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use kestrel_core::runtime::RuntimeError;
use kestrel_ir::cut::{CutLimits, Cuts};
use kestrel_ir::model::Ir;

use super::emit::{Body, Emitter};
use super::inline::InlineAtom;
use super::memory::CodeMemory;
use super::{NativeOptions, load_error};

/// How predicates are cut. Cranelift's time is superlinear in the size of a function.
const LIMITS: CutLimits = CutLimits { size: 96, height: 24, shared: 3 };
/// The most machine code of one pack.
const MAX_CODE: usize = 256 << 20;
/// The most stack that machine code takes, the host's functions aside: an eighth of what a thread of Rust has.
const MAX_STACK: u64 = 256 << 10;
/// What every call takes: the return address and the saved frame pointer.
const CALL_STACK: u64 = 16;
/// With fewer functions for each, threads cost more than they save.
const FUNCTIONS_PER_THREAD: usize = 64;
/// Where one function ends another begins at a multiple of this, a line of the cache.
const ALIGNMENT: usize = 64;

/// The address of a function in the code's memory.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub(super) struct Address(pub(super) *const u8);

/// Machine code, and where its functions are.
#[derive(Debug)]
pub(super) struct MachineCode {
    /// The table by which functions call each other, the predicates first.
    functions: Box<[Address]>,
    /// Where they are. Nobody reads it but they; it keeps them in their place.
    _memory: CodeMemory,
    predicates: usize,
    /// How many atoms the code may ask for.
    pub(super) atoms: usize,
    /// How many top-level slots the frames must have that the code reads.
    pub(super) slots: usize,
}

#[expect(unsafe_code, reason = "addresses of memory that the code's owner keeps")]
// SAFETY: nothing of it changes once it is made, and its functions keep no state of their own.
unsafe impl Send for MachineCode {}
#[expect(unsafe_code, reason = "addresses of memory that the code's owner keeps")]
// SAFETY: as above.
unsafe impl Sync for MachineCode {}

impl MachineCode {
    /// Compiles all predicates.
    ///
    /// # Errors
    /// When the IR's ids do not fit together, its conditions need too much code or stack, this processor is not one that
    /// the engine writes code for, or the system gives no executable memory.
    pub(super) fn new(ir: &Ir, options: NativeOptions) -> Result<MachineCode, RuntimeError> {
        // What is written here is tested on this architecture alone; others have caches that want to be told of new code.
        if !cfg!(target_arch = "x86_64") {
            return Err(RuntimeError::NotBuilt { runtime: super::RUNTIME });
        }
        let isa = host(options)?;
        let inline: Vec<_> = ir.atoms.iter().map(|atom| InlineAtom::new(atom, &ir.layout)).collect();
        let size = |atom: kestrel_ir::model::AtomId| match inline.get(atom.index()) {
            Some(Some(inline)) => inline.size(),
            _ => 1,
        };
        let cuts = Cuts::new(ir, LIMITS, size).map_err(load_error)?;
        let emitter = Emitter::new(ir, &cuts, &inline, isa.default_call_conv());
        let count = emitter.bodies().len();
        if count > i32::MAX as usize / size_of::<Address>() || ir.atoms.len() > i32::MAX as usize {
            return Err(load_error("it has too many functions or atoms"));
        }
        // Beside the chain of conditions: the predicate itself, and a loop over an array.
        let calls = u64::from(cuts.call_depth()) + 2;
        check_stack(calls, CALL_STACK)?;
        let compiled = compile(&emitter, &isa, options.threads)?;
        check_stack(calls, compiled.iter().map(|function| function.stack).max().unwrap_or(0))?;
        let (memory, functions) = place(&compiled)?;
        let predicates = ir.predicates.len();
        let (atoms, slots) = (ir.atoms.len(), ir.layout.top_level_slots());
        Ok(MachineCode { functions, _memory: memory, predicates, atoms, slots })
    }

    /// The functions of the predicates, by their numbers.
    pub(super) fn predicates(&self) -> &[Address] {
        self.functions.get(..self.predicates).unwrap_or(&[])
    }

    /// The table of all functions.
    pub(super) fn functions(&self) -> &[Address] {
        &self.functions
    }
}

/// Refuses code whose longest chain of calls may take more stack than it should, every function as much as the greediest.
fn check_stack(calls: u64, each: u64) -> Result<(), RuntimeError> {
    if calls * each <= MAX_STACK {
        return Ok(());
    }
    Err(load_error(format!("its conditions nest {calls} calls deep, of {each} bytes of stack each")))
}

/// One function, compiled.
#[derive(Debug)]
struct Compiled {
    code: Vec<u8>,
    /// The most bytes of stack it takes, its callees aside.
    stack: u64,
}

/// A compiler for this processor.
///
/// PERF (2026-11-21): 395 predicates of 299 real rules take 115 ms of one core, 325 KB of code and 64 bytes of stack a call
/// with `none` and `backtracking`, 156 ms with `speed`. Registers in one pass are no faster to allocate (120 ms), and make
/// 540 KB of code and frames of 1,150 bytes.
fn host(options: NativeOptions) -> Result<OwnedTargetIsa, RuntimeError> {
    let mut flags = settings::builder();
    let verify = if cfg!(debug_assertions) { "true" } else { "false" };
    for (name, value) in [
        ("opt_level", if options.optimize { "speed" } else { "none" }),
        ("regalloc_algorithm", "backtracking"),
        ("enable_verifier", verify),
        // Nothing unwinds through this code: the host catches its own panics before they come here.
        ("unwind_info", "false"),
    ] {
        flags.set(name, value).map_err(load_error)?;
    }
    let builder = cranelift_native::builder().map_err(load_error)?;
    builder.finish(settings::Flags::new(flags)).map_err(load_error)
}

/// Compiles all functions, in their order.
fn compile(emitter: &Emitter<'_>, isa: &OwnedTargetIsa, threads: usize) -> Result<Vec<Compiled>, RuntimeError> {
    let bodies = emitter.bodies();
    let threads = threads.min(bodies.len() / FUNCTIONS_PER_THREAD).max(1);
    if threads == 1 {
        return compile_some(emitter, isa, bodies);
    }
    // Neighbours are alike in size, so that each thread takes every n-th: the work is then the same for all.
    let share = |first: usize| bodies.iter().skip(first).step_by(threads).cloned().collect::<Vec<_>>();
    let shares: Vec<_> = std::thread::scope(|scope| {
        let start = |first: usize| {
            let share = share(first);
            let spawned = std::thread::Builder::new().spawn_scoped(scope, move || compile_some(emitter, isa, &share));
            spawned.map_err(load_error)
        };
        let started: Vec<_> = (0..threads).map(start).collect();
        started
            .into_iter()
            .map(|thread| thread?.join().unwrap_or_else(|_| Err(load_error("its compiler panicked"))))
            .collect::<Result<_, _>>()
    })?;
    let mut shares: Vec<_> = shares.into_iter().map(Vec::into_iter).collect();
    let in_order = (0..bodies.len()).map(|index| shares[index % threads].next());
    in_order.collect::<Option<_>>().ok_or_else(|| load_error("a function was not compiled"))
}

fn compile_some(emitter: &Emitter<'_>, isa: &OwnedTargetIsa, bodies: &[Body]) -> Result<Vec<Compiled>, RuntimeError> {
    let all = || {
        let mut compiler = Compiler::new();
        bodies.iter().map(|body| compile_one(&mut compiler, emitter, isa, body)).collect()
    };
    // Cranelift asserts much. What would end a command that only compiles must not end an engine that watches a host.
    catch_unwind(AssertUnwindSafe(all)).unwrap_or_else(|_| Err(load_error("its compiler panicked")))
}

fn compile_one(
    compiler: &mut Compiler,
    emitter: &Emitter<'_>,
    isa: &OwnedTargetIsa,
    body: &Body,
) -> Result<Compiled, RuntimeError> {
    compiler.clear();
    emitter.write(&mut compiler.func, body);
    let told = |reason: &dyn std::fmt::Display| load_error(format!("{body:?}: {reason}"));
    let code = match compiler.compile(&**isa, &mut ControlPlane::default()) {
        Ok(code) => code,
        Err(error) => return Err(told(&error.inner)),
    };
    let buffer = &code.buffer;
    if !buffer.relocs().is_empty() || buffer.alignment as usize > ALIGNMENT {
        return Err(told(&"its code cannot lie where there is room"));
    }
    let frame = buffer.frame_layout().map(|layout| u64::from(layout.frame_to_fp_offset) + CALL_STACK);
    let stack = frame.ok_or_else(|| told(&"it does not say how much stack it takes"))?;
    Ok(Compiled { code: code.code_buffer().to_vec(), stack })
}

/// Copies the code to memory that can be run.
fn place(compiled: &[Compiled]) -> Result<(CodeMemory, Box<[Address]>), RuntimeError> {
    let mut offsets = Vec::with_capacity(compiled.len());
    let mut length = 0usize;
    for function in compiled {
        offsets.push(length);
        length = (length + function.code.len()).next_multiple_of(ALIGNMENT);
        if length > MAX_CODE {
            return Err(load_error(format!("it needs more than {} MiB of code", MAX_CODE >> 20)));
        }
    }
    let memory = CodeMemory::new(length, |bytes| {
        for (function, &offset) in compiled.iter().zip(&offsets) {
            if let Some(place) = bytes.get_mut(offset..offset + function.code.len()) {
                place.copy_from_slice(&function.code);
            }
        }
    })
    .map_err(|error| load_error(format!("no executable memory: {error}")))?;
    let addresses = offsets.iter().map(|&offset| memory.address(offset).map(Address)).collect::<Option<_>>();
    Ok((memory, addresses.ok_or_else(|| load_error("a function lies outside of its memory"))?))
}
