//! The bodies of functions, in Cranelift's IR: predicates, shared nodes, parts of large nodes, loops over arrays.
//!
//! In: the IR, its [`Cuts`], and how each atom is tested. Out: one Cranelift function for each [`Body`]. A condition is
//! written as jumps: it ends at `yes` or at `no`, and `and`, `or` and `not` only say which is which. No function knows an
//! address: the host's and each other's are read from the [`Context`] that is passed along.
//!
//! ```text
//! fn(frame, context, generation) -> 1 or 0
//!   answer = context.answers[atom] ^ generation      0 false, 1 true, more: not asked yet
//!   answer > 1 ─▶ cold: context.ask(context, atom)
//! ```

use std::collections::BTreeMap;
use std::mem::offset_of;
use std::ops::Range;

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F64, I32, I64};
use cranelift_codegen::ir::{AbiParam, Block, Function, InstBuilder, MemFlagsData, SigRef, Signature, Type, Value};
use cranelift_codegen::isa::CallConv;
use kestrel_ir::cut::{Cuts, operands};
use kestrel_ir::model::{AtomId, Ir, Node, NodeId};

use super::Context;
use super::inline::{AnyMore, InlineAtom, InlineTest};

/// What a function does.
#[derive(Debug, Clone)]
pub(super) enum Body {
    /// A predicate, by its number: its category, then its root.
    Predicate(usize),
    AnyMore(AnyMore),
    Node(NodeId),
    /// One group of a node's operands.
    Part(NodeId, Range<usize>),
}

/// All functions of one IR and what their bodies are made of.
pub(super) struct Emitter<'i> {
    ir: &'i Ir,
    cuts: &'i Cuts,
    /// Per atom; `None` when the host is asked.
    inline: &'i [Option<InlineAtom>],
    convention: CallConv,
    /// The functions, the predicates first.
    bodies: Vec<Body>,
    nodes: BTreeMap<NodeId, usize>,
    /// The first part of each node that has parts; the others follow it.
    parts: BTreeMap<NodeId, usize>,
}

impl<'i> Emitter<'i> {
    pub(super) fn new(
        ir: &'i Ir,
        cuts: &'i Cuts,
        inline: &'i [Option<InlineAtom>],
        convention: CallConv,
    ) -> Emitter<'i> {
        let mut bodies: Vec<Body> = (0..ir.predicates.len()).map(Body::Predicate).collect();
        bodies.extend(AnyMore::ALL.map(Body::AnyMore));
        let (mut nodes, mut parts) = (BTreeMap::new(), BTreeMap::new());
        for id in (0..ir.nodes.len() as u32).map(NodeId) {
            if cuts.is_function(id) {
                nodes.insert(id, bodies.len());
                bodies.push(Body::Node(id));
            }
            if !cuts.parts(id).is_empty() {
                parts.insert(id, bodies.len());
                bodies.extend(cuts.parts(id).iter().map(|part| Body::Part(id, part.clone())));
            }
        }
        Emitter { ir, cuts, inline, convention, bodies, nodes, parts }
    }

    /// The functions, in the order of the table by which they call each other.
    pub(super) fn bodies(&self) -> &[Body] {
        &self.bodies
    }

    /// Writes one function into `function`, which is empty.
    pub(super) fn write(&self, function: &mut Function, body: &Body) {
        match body {
            Body::AnyMore(any_more) => self.write_any_more(function, *any_more),
            Body::Predicate(_) | Body::Node(_) | Body::Part(..) => self.write_condition(function, body),
        }
    }

    fn write_condition(&self, function: &mut Function, body: &Body) {
        function.signature = self.signature(Callee::Condition);
        let entry = function.dfg.make_block();
        let [frame, context] = [I64, I64].map(|of| function.dfg.append_block_param(entry, of));
        let generation = function.dfg.append_block_param(entry, I32);
        let mut cursor = FuncCursor::new(function);
        cursor.insert_block(entry);
        let mut writer = Writer { emitter: self, cursor, frame, context, generation, signatures: [None; 4] };
        let (yes, no) = (writer.block(), writer.block());
        match body {
            Body::Predicate(number) => match self.ir.predicates.get(*number) {
                Some(predicate) => {
                    if let Some(category) = predicate.category {
                        let root = writer.block();
                        writer.atom(category, root, no);
                        writer.cursor.insert_block(root);
                    }
                    writer.node(predicate.root, yes, no);
                }
                None => writer.jump(no),
            },
            Body::Node(id) => writer.written_out(*id, yes, no),
            Body::Part(id, part) => match self.ir.node(*id) {
                Some(node) => {
                    let group = operands(node).get(part.clone()).unwrap_or(&[]);
                    let all = matches!(node, Node::And(_));
                    writer.junction(all, group.iter(), yes, no, |writer, operand, yes, no| {
                        writer.node(*operand, yes, no);
                    });
                }
                None => writer.jump(no),
            },
            Body::AnyMore(_) => writer.jump(no),
        }
        for (block, answer) in [(yes, 1), (no, 0)] {
            writer.cursor.insert_block(block);
            let answer = writer.cursor.ins().iconst(I32, answer);
            writer.cursor.ins().return_(&[answer]);
        }
    }

    /// `(frame, context, slot, wanted) -> 1 or 0`: the caller has seen that there is more than one value. Where an array
    /// lies is the frame's word alone, so that the function stays below the frame's length, which is the host's word:
    ///
    /// ```text
    /// end = min(array + 8 * count, length - 7)      in 64 bits: a value that starts below it lies in the frame as a whole
    /// for place in array + 8, array + 16, … below end
    /// ```
    fn write_any_more(&self, function: &mut Function, any_more: AnyMore) {
        let (callee, wanted_type) = match any_more {
            AnyMore::Integer(_) => (Callee::AnyMoreIntegers, I64),
            AnyMore::Float(_) => (Callee::AnyMoreFloats, F64),
        };
        function.signature = self.signature(callee);
        let dfg = &mut function.dfg;
        let [entry, next, test, yes, no] = std::array::from_fn(|_| dfg.make_block());
        let [frame, context, slot] = [I64, I64, I64].map(|of| dfg.append_block_param(entry, of));
        let wanted = dfg.append_block_param(entry, wanted_type);
        let before = dfg.append_block_param(next, I64);
        let mut cursor = FuncCursor::new(function);
        cursor.insert_block(entry);
        let slot = cursor.ins().iadd(frame, slot);
        let count = cursor.ins().uload32(in_frame(), slot, 0);
        let array = cursor.ins().uload32(in_frame(), slot, 4);
        let length = cursor.ins().load(I64, in_context(), context, offset_of!(Context<'_>, length) as i32);
        let bytes = cursor.ins().ishl_imm_u(count, 3);
        let end = cursor.ins().iadd(array, bytes);
        let limit = cursor.ins().iadd_imm_s(length, -7);
        let end = cursor.ins().smin(end, limit);
        cursor.ins().jump(next, &[array.into()]);
        cursor.insert_block(next);
        let place = cursor.ins().iadd_imm_s(before, 8);
        let inside = cursor.ins().icmp(IntCC::SignedLessThan, place, end);
        cursor.ins().brif(inside, test, &[], no, &[]);
        cursor.insert_block(test);
        let address = cursor.ins().iadd(frame, place);
        let value = cursor.ins().load(wanted_type, in_frame(), address, 0);
        let holds = match any_more {
            AnyMore::Integer(condition) => cursor.ins().icmp(condition, value, wanted),
            AnyMore::Float(condition) => cursor.ins().fcmp(condition, value, wanted),
        };
        cursor.ins().brif(holds, yes, &[], next, &[place.into()]);
        for (block, answer) in [(yes, 1), (no, 0)] {
            cursor.insert_block(block);
            let answer = cursor.ins().iconst(I32, answer);
            cursor.ins().return_(&[answer]);
        }
    }

    fn signature(&self, callee: Callee) -> Signature {
        let mut signature = Signature::new(self.convention);
        signature.params.extend(callee.parameters().iter().map(|&of| AbiParam::new(of)));
        signature.returns.push(AbiParam::new(I32));
        signature
    }
}

/// What can be called. All give 1 or 0.
#[derive(Debug, Clone, Copy)]
enum Callee {
    /// A predicate, a node, a part: `(frame, context, generation)`, as [`super::Condition`].
    Condition,
    /// The host: `(context, atom)`, as [`super::Ask`].
    Ask,
    /// `(frame, context, slot, wanted)`
    AnyMoreIntegers,
    /// `(frame, context, slot, wanted)`
    AnyMoreFloats,
}

impl Callee {
    fn parameters(self) -> &'static [Type] {
        match self {
            Callee::Condition => &[I64, I64, I32],
            Callee::Ask => &[I64, I32],
            Callee::AnyMoreIntegers => &[I64, I64, I64, I64],
            Callee::AnyMoreFloats => &[I64, I64, I64, F64],
        }
    }
}

/// Reads of the frame do not trap: they stay in slots that the host has seen, or below the frame's length. Saved frames
/// may lie at any address, so that no read is called aligned.
fn in_frame() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// Reads of the context and of what it points at: the host's own memory, aligned as Rust aligns it.
fn in_context() -> MemFlagsData {
    MemFlagsData::trusted()
}

/// Writes one condition.
struct Writer<'e, 'f> {
    emitter: &'e Emitter<'e>,
    cursor: FuncCursor<'f>,
    frame: Value,
    context: Value,
    generation: Value,
    /// The signatures of those [`Callee`]s that the function calls.
    signatures: [Option<SigRef>; 4],
}

impl Writer<'_, '_> {
    fn block(&mut self) -> Block {
        self.cursor.func.dfg.make_block()
    }

    fn jump(&mut self, block: Block) {
        self.cursor.ins().jump(block, &[]);
    }

    fn branch(&mut self, holds: Value, yes: Block, no: Block) {
        self.cursor.ins().brif(holds, yes, &[], no, &[]);
    }

    fn node(&mut self, id: NodeId, yes: Block, no: Block) {
        match self.emitter.nodes.get(&id) {
            Some(&function) => self.call(function, yes, no),
            None => self.written_out(id, yes, no),
        }
    }

    /// Recurses only into nodes that are no functions of their own: as deep as [`Cuts`] lets a function be.
    fn written_out(&mut self, id: NodeId, yes: Block, no: Block) {
        let emitter = self.emitter;
        match emitter.ir.node(id) {
            None | Some(Node::Constant(false)) => self.jump(no),
            Some(Node::Constant(true)) => self.jump(yes),
            Some(Node::Atom(atom)) => self.atom(*atom, yes, no),
            Some(Node::Not(operand)) => self.node(*operand, no, yes),
            Some(node @ (Node::And(operands) | Node::Or(operands))) => {
                let all = matches!(node, Node::And(_));
                match emitter.parts.get(&id) {
                    None => self.junction(all, operands.iter(), yes, no, |writer, operand, yes, no| {
                        writer.node(*operand, yes, no);
                    }),
                    Some(&first) => {
                        let parts = first..first + emitter.cuts.parts(id).len();
                        self.junction(all, parts, yes, no, Writer::call);
                    }
                }
            }
        }
    }

    /// All or any of `operands`, until one decides.
    fn junction<T>(
        &mut self,
        all: bool,
        mut operands: impl ExactSizeIterator<Item = T>,
        yes: Block,
        no: Block,
        write: impl Fn(&mut Self, T, Block, Block),
    ) {
        while let Some(operand) = operands.next() {
            if operands.len() == 0 {
                return write(self, operand, yes, no);
            }
            let next = self.block();
            let (holds, fails) = if all { (next, no) } else { (yes, next) };
            write(self, operand, holds, fails);
            self.cursor.insert_block(next);
        }
        self.jump(if all { yes } else { no });
    }

    /// Another function over the same event.
    fn call(&mut self, function: usize, yes: Block, no: Block) {
        let arguments = [self.frame, self.context, self.generation];
        let answer = self.call_function(function, Callee::Condition, &arguments);
        self.branch(answer, yes, no);
    }

    fn call_function(&mut self, function: usize, callee: Callee, arguments: &[Value]) -> Value {
        let table = self.of_context(offset_of!(Context<'_>, functions));
        // A table that a 32-bit offset does not reach is refused before anything is compiled.
        let offset = (function * size_of::<*const u8>()) as i32;
        let address = self.cursor.ins().load(I64, in_context(), table, offset);
        self.call_address(address, callee, arguments)
    }

    fn call_address(&mut self, address: Value, callee: Callee, arguments: &[Value]) -> Value {
        let (emitter, function) = (self.emitter, &mut *self.cursor.func);
        let known = &mut self.signatures[callee as usize];
        let signature = *known.get_or_insert_with(|| function.import_signature(emitter.signature(callee)));
        let call = self.cursor.ins().call_indirect(signature, address, arguments);
        self.cursor.func.dfg.first_result(call)
    }

    /// A field of the context that is as wide as a pointer.
    fn of_context(&mut self, offset: usize) -> Value {
        self.cursor.ins().load(I64, in_context(), self.context, offset as i32)
    }

    fn atom(&mut self, atom: AtomId, yes: Block, no: Block) {
        match self.emitter.inline.get(atom.index()).and_then(Option::as_ref) {
            Some(inline) => self.inline(atom, inline, yes, no),
            None => self.look_up(atom, yes, no),
        }
    }

    /// The answer that is known, or the host's.
    fn look_up(&mut self, atom: AtomId, yes: Block, no: Block) {
        let (known, unknown) = (self.block(), self.block());
        let answers = self.of_context(offset_of!(Context<'_>, answers));
        let answer = self.cursor.ins().uload8(I32, in_context(), answers, atom.0 as i32);
        let answer = self.cursor.ins().bxor(answer, self.generation);
        let is_known = self.cursor.ins().icmp_imm_u(IntCC::UnsignedLessThanOrEqual, answer, 1);
        self.branch(is_known, known, unknown);
        self.cursor.insert_block(unknown);
        self.cursor.func.layout.set_cold(unknown);
        self.ask(atom, yes, no);
        self.cursor.insert_block(known);
        self.branch(answer, yes, no);
    }

    fn ask(&mut self, atom: AtomId, yes: Block, no: Block) {
        let address = self.of_context(offset_of!(Context<'_>, ask));
        let number = self.cursor.ins().iconst(I32, i64::from(atom.0));
        let answer = self.call_address(address, Callee::Ask, &[self.context, number]);
        self.branch(answer, yes, no);
    }

    fn inline(&mut self, atom: AtomId, inline: &InlineAtom, yes: Block, no: Block) {
        if let InlineTest::Present { byte, bit } = inline.test {
            let bits = self.cursor.ins().uload8(I32, in_frame(), self.frame, byte);
            let bit = self.cursor.ins().iconst(I32, i64::from(bit));
            let is_set = self.cursor.ins().band(bits, bit);
            return self.branch(is_set, yes, no);
        }
        let count = self.cursor.ins().load(I32, in_frame(), self.frame, inline.slot);
        let first = inline.slot + 8;
        let (some, more) = (self.block(), self.block());
        let holds = match &inline.test {
            InlineTest::Present { .. } => return self.ask(atom, yes, no),
            InlineTest::Integer(condition, wanted) => {
                self.enter(count, some, no);
                let value = self.cursor.ins().load(I64, in_frame(), self.frame, first);
                let wanted = self.cursor.ins().iconst(I64, *wanted);
                self.cursor.ins().icmp(*condition, value, wanted)
            }
            InlineTest::Integers(values) => {
                self.enter(count, some, no);
                let value = self.cursor.ins().load(I64, in_frame(), self.frame, first);
                self.any_of(value, values)
            }
            InlineTest::Float(condition, wanted) => {
                self.enter(count, some, no);
                let value = self.cursor.ins().load(F64, in_frame(), self.frame, first);
                let wanted = self.cursor.ins().f64const(*wanted);
                self.cursor.ins().fcmp(*condition, value, wanted)
            }
        };
        self.branch(holds, yes, more);
        self.cursor.insert_block(more);
        let others = self.block();
        let are_more = self.cursor.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, count, 1);
        self.branch(are_more, others, no);
        self.cursor.insert_block(others);
        self.cursor.func.layout.set_cold(others);
        self.test_others(atom, inline, yes, no);
    }

    /// Goes on in `block` when `count` is not 0.
    fn enter(&mut self, count: Value, block: Block, no: Block) {
        self.branch(count, block, no);
        self.cursor.insert_block(block);
    }

    /// Whether `value` is one of `values`, without branches: there are few.
    fn any_of(&mut self, value: Value, values: &[i64]) -> Value {
        let mut any = None;
        for wanted in values {
            let wanted = self.cursor.ins().iconst(I64, *wanted);
            let equal = self.cursor.ins().icmp(IntCC::Equal, value, wanted);
            any = Some(match any {
                None => equal,
                Some(any) => self.cursor.ins().bor(any, equal),
            });
        }
        any.unwrap_or_else(|| self.cursor.ins().iconst(I32, 0))
    }

    fn test_others(&mut self, atom: AtomId, inline: &InlineAtom, yes: Block, no: Block) {
        let (wanted, any_more, callee) = match &inline.test {
            InlineTest::Integer(condition, wanted) => {
                let wanted = self.cursor.ins().iconst(I64, *wanted);
                (wanted, AnyMore::Integer(*condition), Callee::AnyMoreIntegers)
            }
            InlineTest::Float(condition, wanted) => {
                let wanted = self.cursor.ins().f64const(*wanted);
                (wanted, AnyMore::Float(*condition), Callee::AnyMoreFloats)
            }
            InlineTest::Present { .. } | InlineTest::Integers(_) => return self.ask(atom, yes, no),
        };
        let Some(place) = AnyMore::ALL.iter().position(|&function| function == any_more) else {
            return self.ask(atom, yes, no);
        };
        let slot = self.cursor.ins().iconst(I64, i64::from(inline.slot));
        let function = self.emitter.ir.predicates.len() + place;
        let answer = self.call_function(function, callee, &[self.frame, self.context, slot, wanted]);
        self.branch(answer, yes, no);
    }
}
