//! The text of the chunk: prologue, shared nodes, predicates.
//!
//! In: the IR and its [`Split`]. Out: Lua, one leaf a line with its meaning behind it. Functions stand in blocks, because
//! a Lua function holds at most 65,536 constants, and each inner function is one.

use std::fmt::Write;
use std::ops::Range;

use kestrel_ir::model::{AtomId, Ir, Node, NodeId, Predicate, RuleKind};

use crate::ABI_VERSION;
use crate::describe::{describe, quoted};
use crate::leaf::leaf;
use crate::split::{Split, operands};

const PROLOGUE: &str = include_str!("prologue.lua");
/// Functions in one block.
const BLOCK: usize = 1000;

/// Writes the chunk.
pub(crate) fn write(ir: &Ir, split: &Split) -> String {
    let writer = Writer { ir, split };
    let mut functions = Vec::new();
    for id in (0..ir.nodes.len() as u32).map(NodeId) {
        writer.node_functions(id, &mut functions);
    }
    let rules = rules_of(ir);
    for (index, predicate) in ir.predicates.iter().enumerate() {
        functions.push(writer.predicate_function(index, predicate, rules.get(index).map_or("", String::as_str)));
    }

    let mut text = header(ir);
    text.push_str("return function(host)\n");
    let _ = writeln!(text, "  assert(host.abi == {ABI_VERSION}, \"this source needs host ABI {ABI_VERSION}\")");
    let slots = ir.layout.top_level_slots();
    let _ = writeln!(text, "  assert(host.slots == {slots}, \"this source reads frames of {slots} fields\")\n");
    text.push_str(PROLOGUE);
    for block in functions.chunks(BLOCK) {
        text.push_str("\n  do local block = function()\n");
        for function in block {
            text.push_str(function);
        }
        text.push_str("  end block() end\n");
    }
    text.push_str("\n  return predicates\nend\n");
    text
}

fn header(ir: &Ir) -> String {
    let mut text = String::from(
        "-- Kestrel predicates for LuaJIT, written by eqlc. They may be edited: a predicate is a function of nothing that\n\
         -- gives true or false for the event whose frame the host has set. docs/host-api.md says what the host gives.\n--\n\
         -- Fields, by slot:\n",
    );
    for (_, field) in ir.layout.iter().filter(|(_, field)| field.parent.is_none()) {
        let slot = kestrel_ir::frame::slot_offset(ir.layout.top_level_slots(), field.slot as usize) / 4;
        let _ = writeln!(text, "--   {slot:>4} {} ({})", field.name.escape_debug(), field.field_type);
    }
    text.push('\n');
    text
}

/// What each predicate is for: the rules and terms that use it.
fn rules_of(ir: &Ir) -> Vec<String> {
    let mut uses = vec![String::new(); ir.predicates.len()];
    for rule in &ir.rules {
        let single = matches!(rule.kind, RuleKind::Event { .. });
        for (index, predicate) in rule.predicates().into_iter().enumerate() {
            let Some(text) = uses.get_mut(predicate.index()) else { continue };
            let comma = if text.is_empty() { "" } else { ", " };
            let _ = match single {
                true => write!(text, "{comma}rule {}", quoted(&rule.id)),
                false => write!(text, "{comma}rule {} term {index}", quoted(&rule.id)),
            };
        }
    }
    uses
}

/// Writes functions, each two levels deep in the chunk.
struct Writer<'i> {
    ir: &'i Ir,
    split: &'i Split,
}

impl Writer<'_> {
    fn predicate_function(&self, index: usize, predicate: &Predicate, rules: &str) -> String {
        let mut text = String::from("\n");
        if !rules.is_empty() {
            let _ = writeln!(text, "    -- {rules}");
        }
        let _ = write!(text, "    predicates[{index}] = function()\n      return ");
        match predicate.category {
            None => self.node(&mut text, predicate.root, 8),
            Some(category) => {
                self.atom(&mut text, category);
                text.push_str("        and ");
                self.node(&mut text, predicate.root, 8);
            }
        }
        text.push_str("    end\n");
        text
    }

    /// The functions of a node: of its parts, then its own.
    fn node_functions(&self, id: NodeId, functions: &mut Vec<String>) {
        let Some(node) = self.ir.node(id) else { return };
        for part in self.split.parts(id) {
            let mut text = format!("\n    nodes[{:?}] = function()\n      return ", part_name(id, part));
            let group = operands(node).get(part.clone()).unwrap_or(&[]);
            self.junction(&mut text, word(node), group, 8, |text, &operand, depth| self.node(text, operand, depth));
            text.push_str("    end\n");
            functions.push(text);
        }
        if self.split.is_function(id) {
            let mut text = format!("\n    nodes[{}] = function()\n      return ", id.0);
            self.written_out(&mut text, id, 8);
            text.push_str("    end\n");
            functions.push(text);
        }
    }

    /// A node where it is used; ends its line.
    fn node(&self, text: &mut String, id: NodeId, depth: usize) {
        if self.split.is_function(id) {
            let _ = writeln!(text, "nodes[{}]()", id.0);
        } else {
            self.written_out(text, id, depth);
        }
    }

    /// Recurses only into nodes that are no functions of their own: as deep as [`Split`] lets a function be.
    fn written_out(&self, text: &mut String, id: NodeId, depth: usize) {
        match self.ir.node(id) {
            None => text.push_str("false\n"),
            Some(Node::Constant(value)) => {
                let _ = writeln!(text, "{value}");
            }
            Some(Node::Atom(atom)) => self.atom(text, *atom),
            Some(Node::Not(operand)) => {
                text.push_str("not (");
                self.node(text, *operand, depth + 2);
                close(text, depth);
            }
            Some(node @ (Node::And(operands) | Node::Or(operands))) => {
                text.push('(');
                match self.split.parts(id) {
                    [] => self.junction(text, word(node), operands, depth + 2, |text, &operand, depth| {
                        self.node(text, operand, depth);
                    }),
                    parts => self.junction(text, word(node), parts, depth + 2, |text, part, _| {
                        let _ = writeln!(text, "nodes[{:?}]()", part_name(id, part));
                    }),
                }
                close(text, depth);
            }
        }
    }

    fn junction<T>(
        &self,
        text: &mut String,
        word: &str,
        operands: &[T],
        depth: usize,
        write: impl Fn(&mut String, &T, usize),
    ) {
        for (index, operand) in operands.iter().enumerate() {
            if index > 0 {
                let _ = write!(text, "{:depth$}{word} ", "");
            }
            write(text, operand, depth);
        }
    }

    fn atom(&self, text: &mut String, id: AtomId) {
        let Some(atom) = self.ir.atom(id) else { return text.push_str("false\n") };
        let _ = writeln!(text, "{} -- {}", leaf(id, atom, &self.ir.layout), describe(atom, &self.ir.layout));
    }
}

fn word(node: &Node) -> &'static str {
    if matches!(node, Node::And(_)) { "and" } else { "or" }
}

fn part_name(id: NodeId, part: &Range<usize>) -> String {
    format!("{} from {}", id.0, part.start)
}

fn close(text: &mut String, depth: usize) {
    let _ = writeln!(text, "{:depth$})", "");
}
