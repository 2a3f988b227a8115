//! The text of the chunk: what it takes from the host, shared nodes, predicates, the fields at the end.
//!
//! In: the IR and its [`Split`]. Out: Lua. Where there are many functions they stand in blocks, because a Lua function
//! holds at most 65,536 constants, and each inner function is one.

use std::fmt::Write;

use kestrel_ir::frame::slot_offset;
use kestrel_ir::model::{Ir, NodeId, Predicate, RuleKind};

use crate::ABI_VERSION;
use crate::describe::quoted;
use crate::expression::{Expression, part_name};
use crate::split::Split;

/// Functions in one block.
const BLOCK: usize = 1000;

const HEAD: &str = "\
-- Predicates of a Kestrel pack for LuaJIT, written by eqlc to be read and edited.
-- Each tells whether it holds for the event e. docs/runtime-abi.md says what the host gives;
-- the fields and their slots are listed at the end.

return function(host)
";

/// What the host gives, with a word about each; a source takes what it uses.
const HOST: [(&str, &str); 14] = [
    ("atom", "atom(e, number): what the host tests, once for each event"),
    ("all", "all(e, number, …): whether all of these atoms hold; up to 8"),
    ("any", "any(e, number, …): whether one of these atoms holds; up to 8"),
    ("present", "present(e, slot): the field has a value"),
    ("any_boolean", "any_boolean(e, slot, wanted): a value of the field is the wanted one"),
    ("any_integer", "any_integer(e, slot, test, wanted): a value of the field passes the test"),
    ("any_integer64", "the same, for numbers from 2^53 on"),
    ("any_double", "the same, for decimals"),
    ("less", "the tests"),
    ("less_equal", ""),
    ("greater", ""),
    ("greater_equal", ""),
    ("equal", ""),
    ("not_equal", ""),
];

/// Writes the chunk.
pub(crate) fn write(ir: &Ir, split: &Split) -> String {
    let mut functions = Vec::new();
    for id in (0..ir.nodes.len() as u32).map(NodeId) {
        node_functions(ir, split, id, &mut functions);
    }
    let rules = rules_of(ir);
    for (index, predicate) in ir.predicates.iter().enumerate() {
        functions.push(predicate_function(ir, split, index, predicate, rules.get(index).map_or("", String::as_str)));
    }

    let mut text = String::from(HEAD);
    let _ = writeln!(text, "  assert(host.abi == {ABI_VERSION}, \"this source needs host ABI {ABI_VERSION}\")");
    let slots = ir.layout.top_level_slots();
    let _ = writeln!(text, "  assert(host.slots == {slots}, \"this source reads frames of {slots} fields\")\n");
    take_from_host(&mut text, &functions);
    text.push_str(match functions.len() > ir.predicates.len() {
        true => "  local predicates, nodes = {}, {}\n",
        false => "  local predicates = {}\n",
    });
    if functions.len() <= BLOCK {
        text.extend(functions);
    } else {
        for block in functions.chunks(BLOCK) {
            text.push_str("\n  do local function block()\n");
            text.extend(block.iter().map(String::as_str));
            text.push_str("  end block() end\n");
        }
    }
    text.push_str("\n  return predicates\nend\n");
    fields(&mut text, ir);
    text
}

/// The locals for what the functions use.
fn take_from_host(text: &mut String, functions: &[String]) {
    let mut used = [false; HOST.len()];
    for function in functions {
        for line in function.lines() {
            let code = line.split(" -- ").next().unwrap_or("");
            for word in code.split(|other: char| !(other.is_ascii_alphanumeric() || other == '_')) {
                if let Some(index) = HOST.iter().position(|(name, _)| *name == word) {
                    used[index] = true;
                }
            }
        }
    }
    for ((name, meaning), _) in HOST.iter().zip(used).filter(|(_, used)| *used) {
        let _ = match *meaning {
            "" => writeln!(text, "  local {name} = host.{name}"),
            meaning => writeln!(text, "  local {:38} -- {meaning}", format!("{name} = host.{name}")),
        };
    }
}

/// Which field has which slot, for who edits.
fn fields(text: &mut String, ir: &Ir) {
    text.push_str("\n-- Fields by slot, in words of 32 bits from the start of a frame:\n");
    for (_, field) in ir.layout.iter().filter(|(_, field)| field.parent.is_none()) {
        let slot = slot_offset(ir.layout.top_level_slots(), field.slot as usize) / 4;
        let _ = writeln!(text, "--   {slot:>4} {} ({})", field.name.escape_debug(), field.field_type);
    }
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

fn predicate_function(ir: &Ir, split: &Split, index: usize, predicate: &Predicate, rules: &str) -> String {
    let mut text = String::from("\n");
    if !rules.is_empty() {
        let _ = writeln!(text, "  -- {rules}");
    }
    let body = Expression::of_predicate(ir, split, 4, predicate.category, predicate.root);
    let _ = writeln!(text, "  predicates[{index}] = function(e)\n{body}  end");
    text
}

/// The functions of a node: of its parts, then its own.
fn node_functions(ir: &Ir, split: &Split, id: NodeId, functions: &mut Vec<String>) {
    let Some(node) = ir.node(id) else { return };
    for part in split.parts(id) {
        let body = Expression::of_part(ir, split, 4, node, part.clone());
        functions.push(format!("\n  nodes[{:?}] = function(e)\n{body}  end\n", part_name(id, part)));
    }
    if split.is_function(id) {
        let body = Expression::of_node(ir, split, 4, id);
        let uses = match split.uses(id) {
            1 => String::new(),
            uses => format!("  -- used {uses} times\n"),
        };
        functions.push(format!("\n{uses}  nodes[{}] = function(e)\n{body}  end\n", id.0));
    }
}
