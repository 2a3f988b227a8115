//! The bodies of a module's functions: predicates, shared nodes, parts of large nodes, the question to the host.
//!
//! In: the IR and its [`Split`]. Out: one encoded function each. Every predicate-like function takes the address of the
//! frame and the generation of answers, and leaves 1 or 0; `and` and `or` stop at the first operand that decides.
//!
//! An atom that is not tested inline is looked up first. Its byte among the answers is the generation for false, one more
//! for true, and anything else when it was not asked about this event:
//!
//! ```text
//! answer = answers[atom] ^ generation;  answer > 1 ? ask(atom, generation) : answer
//! ```

use std::collections::BTreeMap;

use kestrel_ir::model::{AtomId, Ir, Node, NodeId, Predicate};
use wasm_encoder::{BlockType, Function, InstructionSink, MemArg, ValType};

use crate::abi::{ANSWERS_ADDRESS, PROGRESS_ADDRESS};
use crate::inline::AnyMore;
use crate::split::{Split, operands};

/// The type of predicates and of all functions below them: frame and generation in, an `i32` out. The imported function
/// and the question to it have the same.
pub(crate) const PREDICATE_TYPE: u32 = 0;
/// The type of the exported function: two `i32` in, nothing out.
pub(crate) const EVALUATE_TYPE: u32 = 1;
/// The type of functions over an array of integers: frame, slot and an `i64` in, an `i32` out.
pub(crate) const INTEGERS_TYPE: u32 = 2;
/// The type of functions over an array of decimals: frame, slot and an `f64` in, an `i32` out.
pub(crate) const FLOATS_TYPE: u32 = 3;
/// The index of the imported function.
pub(crate) const ATOM_FUNCTION: u32 = 0;
/// The index of the exported function.
pub(crate) const EVALUATE_FUNCTION: u32 = 1;
/// The index of the function that asks the host about an atom and remembers.
pub(crate) const ASK_FUNCTION: u32 = 2;
/// The index of the first function over an array.
pub(crate) const FIRST_ANY_MORE: u32 = 3;
/// The index of the first predicate; the others follow in order.
pub(crate) const FIRST_PREDICATE: u32 = FIRST_ANY_MORE + AnyMore::COUNT;

/// The parameter that holds the frame's address.
pub(crate) const FRAME: u32 = 0;
/// The parameter that holds the generation of answers.
const GENERATION: u32 = 1;
/// The locals that hold the value under test in an inline atom, and an answer.
pub(crate) const INTEGER: u32 = 2;
pub(crate) const FLOAT: u32 = 3;
const ANSWER: u32 = 4;
const LOCALS: [(u32, ValType); 3] = [(1, ValType::I64), (1, ValType::F64), (1, ValType::I32)];

/// Which function has which index, behind the predicates.
#[derive(Debug)]
pub(crate) struct Numbering {
    pub(crate) nodes: BTreeMap<NodeId, u32>,
    /// The first part of each node that has parts.
    pub(crate) parts: BTreeMap<NodeId, u32>,
}

impl Numbering {
    pub(crate) fn new(ir: &Ir, split: &Split) -> Numbering {
        let mut next = FIRST_PREDICATE + ir.predicates.len() as u32;
        let mut take = |count: usize| {
            let index = next;
            next += count as u32;
            index
        };
        let ids = || (0..ir.nodes.len() as u32).map(NodeId);
        let nodes = ids().filter(|&id| split.is_function(id)).map(|id| (id, take(1))).collect();
        let parts =
            ids().filter(|&id| !split.parts(id).is_empty()).map(|id| (id, take(split.parts(id).len()))).collect();
        Numbering { nodes, parts }
    }
}

/// Writes functions.
pub(crate) struct Emitter<'i> {
    pub(crate) ir: &'i Ir,
    pub(crate) split: &'i Split,
    pub(crate) numbering: &'i Numbering,
}

impl Emitter<'_> {
    /// `category and root`.
    pub(crate) fn predicate(&self, predicate: &Predicate) -> Function {
        function(|sink| match predicate.category {
            None => self.node(sink, predicate.root),
            Some(category) => {
                sink.block(BlockType::Result(ValType::I32)).i32_const(0);
                self.atom(sink, category);
                sink.i32_eqz().br_if(0).drop();
                self.node(sink, predicate.root);
                sink.end();
            }
        })
    }

    /// A node that is a function of its own.
    pub(crate) fn node_function(&self, id: NodeId) -> Function {
        function(|sink| self.written_out(sink, id))
    }

    /// One group of a node's operands.
    pub(crate) fn part(&self, id: NodeId, part: &std::ops::Range<usize>) -> Function {
        function(|sink| {
            let Some(node) = self.ir.node(id) else { return constant(sink, false) };
            let group = operands(node).get(part.clone()).unwrap_or(&[]);
            self.junction(sink, matches!(node, Node::And(_)), group, |sink, &operand| self.node(sink, operand));
        })
    }

    fn node(&self, sink: &mut InstructionSink<'_>, id: NodeId) {
        match self.numbering.nodes.get(&id) {
            Some(&function) => call(sink, function),
            None => self.written_out(sink, id),
        }
    }

    /// Recurses only into nodes that are no functions of their own: as deep as [`Split`] lets a function be.
    fn written_out(&self, sink: &mut InstructionSink<'_>, id: NodeId) {
        let Some(node) = self.ir.node(id) else { return constant(sink, false) };
        match node {
            Node::Constant(value) => constant(sink, *value),
            Node::Atom(atom) => self.atom(sink, *atom),
            Node::Not(operand) => {
                self.node(sink, *operand);
                sink.i32_eqz();
            }
            Node::And(operands) | Node::Or(operands) => {
                let all = matches!(node, Node::And(_));
                match self.numbering.parts.get(&id) {
                    None => self.junction(sink, all, operands, |sink, &operand| self.node(sink, operand)),
                    Some(&first) => {
                        let parts: Vec<u32> = (first..).take(self.split.parts(id).len()).collect();
                        self.junction(sink, all, &parts, |sink, &part| call(sink, part));
                    }
                }
            }
        }
    }

    /// All or any of `operands`. The answer that the first deciding operand gives lies on the stack before it is asked.
    fn junction<T>(
        &self,
        sink: &mut InstructionSink<'_>,
        all: bool,
        operands: &[T],
        emit: impl Fn(&mut InstructionSink<'_>, &T),
    ) {
        let Some((last, others)) = operands.split_last() else { return constant(sink, all) };
        sink.block(BlockType::Result(ValType::I32));
        for operand in others {
            constant(sink, !all);
            emit(sink, operand);
            if all {
                sink.i32_eqz();
            }
            sink.br_if(0).drop();
        }
        emit(sink, last);
        sink.end();
    }

    fn atom(&self, sink: &mut InstructionSink<'_>, atom: AtomId) {
        match self.split.inline(atom) {
            Some(inline) => inline.emit(sink),
            None => {
                sink.i32_const(0).i32_load8_u(answer_of(atom)).local_get(GENERATION).i32_xor().local_tee(ANSWER);
                sink.i32_const(1).i32_gt_u();
                sink.if_(BlockType::Empty);
                sink.i32_const(atom.0 as i32).local_get(GENERATION).call(ASK_FUNCTION).local_set(ANSWER);
                sink.end();
                sink.local_get(ANSWER);
            }
        }
    }
}

/// `ask(atom, generation)`: the host's answer, which is remembered until the generation is over.
pub(crate) fn ask() -> Function {
    const ATOM: u32 = 0;
    const ANSWER: u32 = 2;
    let mut function = Function::new([(1, ValType::I32)]);
    let mut sink = function.instructions();
    sink.local_get(ATOM);
    sink.i32_const(0).i32_load(aligned(PROGRESS_ADDRESS)).local_get(ATOM).call(ATOM_FUNCTION);
    // Nothing but 0 and 1 may get among the answers.
    sink.i32_const(0).i32_ne().local_tee(ANSWER);
    sink.local_get(GENERATION).i32_or().i32_store8(answer_of(AtomId(0)));
    sink.local_get(ANSWER);
    sink.end();
    function
}

fn call(sink: &mut InstructionSink<'_>, function: u32) {
    sink.local_get(FRAME).local_get(GENERATION).call(function);
}

/// The place of an atom's answer.
fn answer_of(atom: AtomId) -> MemArg {
    MemArg { offset: u64::from(ANSWERS_ADDRESS) + u64::from(atom.0), align: 0, memory_index: 0 }
}

/// The place of a word.
pub(crate) fn aligned(address: u32) -> MemArg {
    MemArg { offset: u64::from(address), align: 2, memory_index: 0 }
}

fn function(body: impl FnOnce(&mut InstructionSink<'_>)) -> Function {
    let mut function = Function::new(LOCALS);
    let mut sink = function.instructions();
    body(&mut sink);
    sink.end();
    function
}

fn constant(sink: &mut InstructionSink<'_>, value: bool) {
    sink.i32_const(i32::from(value));
}
