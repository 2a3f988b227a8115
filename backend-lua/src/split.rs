//! How the boolean DAG is cut into Lua functions: Lua limits the nesting of expressions (200 levels), and a jump list over
//! too many operands takes quadratic time to compile; a person reads neither.
//!
//! In: an IR. Out: for each node that a predicate reaches, whether it is a function of its own and in which parts its
//! operands are written. One pass from the leaves up, without recursion; also the check that ids fit together.

use std::ops::Range;

use kestrel_ir::model::{Ir, Node, NodeId};

use crate::LuaError;

/// The most leaves and calls in one function: two screens.
const MAX_SIZE: u32 = 96;
/// The deepest nesting of parentheses in one function; also bounds this crate's recursion.
const MAX_HEIGHT: u32 = 16;
/// A node that is used more than once becomes a function from this size on.
const SHARED_SIZE: u32 = 3;

/// The cut of one IR.
#[derive(Debug)]
pub(crate) struct Split {
    cuts: Vec<Cut>,
}

#[derive(Debug, Clone, Default)]
struct Cut {
    uses: u32,
    size: u32,
    height: u32,
    function: bool,
    parts: Vec<Range<usize>>,
}

impl Split {
    pub(crate) fn new(ir: &Ir) -> Result<Split, LuaError> {
        check(ir)?;
        let mut split = Split { cuts: count_uses(ir) };
        for (index, node) in ir.nodes.iter().enumerate() {
            if split.cuts[index].uses > 0 {
                split.cut(index, node);
            }
        }
        Ok(split)
    }

    /// Whether a node is a function of its own.
    pub(crate) fn is_function(&self, node: NodeId) -> bool {
        self.cuts[node.index()].function
    }

    /// How often a node is used.
    pub(crate) fn uses(&self, node: NodeId) -> u32 {
        self.cuts[node.index()].uses
    }

    /// The groups of a node's operands that are functions of their own; empty when all are written where the node is.
    pub(crate) fn parts(&self, node: NodeId) -> &[Range<usize>] {
        &self.cuts[node.index()].parts
    }

    fn cut(&mut self, index: usize, node: &Node) {
        let operands = operands(node);
        let total: u64 = operands.iter().map(|&operand| u64::from(self.written(operand).0)).sum();
        let height = operands.iter().map(|&operand| self.written(operand).1 + 1).max().unwrap_or(0);
        let (size, height, parts) = if total > u64::from(MAX_SIZE) {
            let parts = self.group(operands);
            (parts.len() as u32, 1, parts)
        } else {
            (total.max(1) as u32, height, Vec::new())
        };
        let cut = &mut self.cuts[index];
        let shared = cut.uses > 1 && size >= SHARED_SIZE;
        cut.function = shared || height >= MAX_HEIGHT || size > MAX_SIZE;
        (cut.size, cut.height, cut.parts) = (size, height, parts);
    }

    /// Groups as many neighbours as fit.
    fn group(&self, operands: &[NodeId]) -> Vec<Range<usize>> {
        let mut parts = Vec::new();
        let (mut start, mut size) = (0, 0);
        for (index, &operand) in operands.iter().enumerate() {
            let more = self.written(operand).0;
            if index > start && size + more > MAX_SIZE {
                parts.push(start..index);
                (start, size) = (index, 0);
            }
            size += more;
        }
        parts.push(start..operands.len());
        parts
    }

    /// The size and the height of a node where it is used.
    fn written(&self, node: NodeId) -> (u32, u32) {
        let cut = &self.cuts[node.index()];
        if cut.function { (1, 0) } else { (cut.size, cut.height) }
    }
}

/// The operands of a node.
pub(crate) fn operands(node: &Node) -> &[NodeId] {
    match node {
        Node::Constant(_) | Node::Atom(_) => &[],
        Node::Not(operand) => std::slice::from_ref(operand),
        Node::And(operands) | Node::Or(operands) => operands,
    }
}

fn check(ir: &Ir) -> Result<(), LuaError> {
    let malformed = |what: String| Err(LuaError::Malformed { what });
    for (index, node) in ir.nodes.iter().enumerate() {
        if operands(node).iter().any(|operand| operand.index() >= index) {
            return malformed(format!("node {index} refers to a node that is not before it"));
        }
        match node {
            Node::Atom(atom) if ir.atom(*atom).is_none() => {
                return malformed(format!("node {index} refers to no atom"));
            }
            Node::And(operands) | Node::Or(operands) if operands.is_empty() => {
                return malformed(format!("node {index} has no operands"));
            }
            _ => {}
        }
    }
    for (index, predicate) in ir.predicates.iter().enumerate() {
        if ir.node(predicate.root).is_none() || predicate.category.is_some_and(|atom| ir.atom(atom).is_none()) {
            return malformed(format!("predicate {index} refers to no node or no atom"));
        }
    }
    Ok(())
}

/// How often each node is referred to by predicates and by nodes that they reach.
fn count_uses(ir: &Ir) -> Vec<Cut> {
    let mut cuts = vec![Cut::default(); ir.nodes.len()];
    for predicate in &ir.predicates {
        cuts[predicate.root.index()].uses += 1;
    }
    for (index, node) in ir.nodes.iter().enumerate().rev() {
        if cuts[index].uses > 0 {
            for operand in operands(node) {
                cuts[operand.index()].uses += 1;
            }
        }
    }
    cuts
}
