//! The bodies of a module's functions: predicates, shared nodes, parts of large nodes, the loop over candidates.
//!
//! In: the IR and its [`Split`]. Out: one encoded function each. Every predicate-like function takes nothing and leaves 1
//! or 0; `and` and `or` stop at the first operand that decides.

use std::collections::BTreeMap;

use kestrel_ir::model::{AtomId, Ir, Node, NodeId, Predicate};
use wasm_encoder::{BlockType, Function, InstructionSink, MemArg, ValType};

use crate::abi::{CANDIDATES_ADDRESS, CANDIDATES_CAPACITY, RESULTS_ADDRESS};
use crate::inline::{AnyMore, VALUE_LOCALS};
use crate::split::{Split, operands};

/// The type of predicates and of all functions below them: nothing in, an `i32` out.
pub(crate) const PREDICATE_TYPE: u32 = 0;
/// The type of the imported function: an `i32` in, an `i32` out.
pub(crate) const ATOM_TYPE: u32 = 1;
/// The type of the exported function: an `i32` in, nothing out.
pub(crate) const EVALUATE_TYPE: u32 = 2;
/// The type of functions over an array of integers: a slot and an `i64` in, an `i32` out.
pub(crate) const INTEGERS_TYPE: u32 = 3;
/// The type of functions over an array of decimals: a slot and an `f64` in, an `i32` out.
pub(crate) const FLOATS_TYPE: u32 = 4;
/// The index of the imported function.
pub(crate) const ATOM_FUNCTION: u32 = 0;
/// The index of the exported function.
pub(crate) const EVALUATE_FUNCTION: u32 = 1;
/// The index of the first function over an array.
pub(crate) const FIRST_ANY_MORE: u32 = 2;
/// The index of the first predicate; the others follow in order.
pub(crate) const FIRST_PREDICATE: u32 = FIRST_ANY_MORE + AnyMore::COUNT;

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
            Some(&function) => {
                sink.call(function);
            }
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
                        self.junction(sink, all, &parts, |sink, &part| {
                            sink.call(part);
                        });
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
                sink.i32_const(atom.0 as i32).call(ATOM_FUNCTION);
            }
        }
    }
}

/// `evaluate(count)`: each candidate's predicate by its number, its answer into its bit.
pub(crate) fn evaluate() -> Function {
    const COUNT: u32 = 0;
    const INDEX: u32 = 1;
    const WORD: u32 = 2;
    let place = |address: u32| MemArg { offset: u64::from(address), align: 2, memory_index: 0 };
    let mut function = Function::new([(2, ValType::I32)]);
    let mut sink = function.instructions();
    sink.local_get(COUNT).i32_const(CANDIDATES_CAPACITY as i32).i32_gt_u();
    sink.if_(BlockType::Empty).unreachable().end();
    sink.block(BlockType::Empty).loop_(BlockType::Empty);
    sink.local_get(INDEX).local_get(COUNT).i32_ge_u().br_if(1);
    sink.local_get(WORD);
    sink.local_get(INDEX).i32_const(2).i32_shl().i32_load(place(CANDIDATES_ADDRESS));
    sink.call_indirect(0, PREDICATE_TYPE);
    // A shift takes its count modulo 32.
    sink.local_get(INDEX).i32_shl().i32_or().local_set(WORD);
    // Stored each time rather than once per word: a store costs less than a branch.
    sink.local_get(INDEX).i32_const(5).i32_shr_u().i32_const(2).i32_shl();
    sink.local_get(WORD).i32_store(place(RESULTS_ADDRESS));
    sink.local_get(INDEX).i32_const(1).i32_add().local_tee(INDEX);
    // A new word when the index reaches a multiple of 32.
    sink.i32_const(31).i32_and().i32_eqz();
    sink.if_(BlockType::Empty).i32_const(0).local_set(WORD).end();
    sink.br(0);
    sink.end().end().end();
    function
}

fn function(body: impl FnOnce(&mut InstructionSink<'_>)) -> Function {
    let mut function = Function::new(VALUE_LOCALS);
    let mut sink = function.instructions();
    body(&mut sink);
    sink.end();
    function
}

fn constant(sink: &mut InstructionSink<'_>, value: bool) {
    sink.i32_const(i32::from(value));
}
