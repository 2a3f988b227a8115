//! How the boolean DAG is cut into functions, so that none is too large or too deep for a Wasm compiler and nothing shared
//! is written twice.
//!
//! In: an IR. Out: for each node that a predicate reaches, whether it is a function of its own and in which parts its
//! operands are tested. One pass from the leaves up, without recursion; also the check that ids fit together.

use std::ops::Range;

use kestrel_ir::model::{Atom, AtomId, Ir, Node, NodeId};

use crate::WasmError;
use crate::inline::InlineAtom;

/// The most leaves and calls in one function. Compilers of Wasm are superlinear in the size of a function.
const MAX_SIZE: u32 = 192;
/// The deepest nesting of blocks in one function; also bounds this crate's recursion.
const MAX_HEIGHT: u32 = 24;
/// A node that is used more than once becomes a function from this size on.
const SHARED_SIZE: u32 = 3;

/// The cut of one IR.
#[derive(Debug)]
pub(crate) struct Split {
    cuts: Vec<Cut>,
    /// Per atom, how it is tested inline; `None` when the host is asked.
    inline: Vec<Option<InlineAtom>>,
}

#[derive(Debug, Clone, Default)]
struct Cut {
    uses: u32,
    /// Leaves and calls where the node is written out.
    size: u32,
    height: u32,
    function: bool,
    /// The operands, in groups that are functions of their own; empty when they are all written out.
    parts: Vec<Range<usize>>,
}

impl Split {
    pub(crate) fn new(ir: &Ir) -> Result<Split, WasmError> {
        check(ir)?;
        let inline = ir.atoms.iter().map(|atom: &Atom| InlineAtom::new(atom, &ir.layout)).collect();
        let mut split = Split { cuts: count_uses(ir), inline };
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

    /// The groups of a node's operands; empty when they are written out where the node is.
    pub(crate) fn parts(&self, node: NodeId) -> &[Range<usize>] {
        &self.cuts[node.index()].parts
    }

    /// How an atom is tested inline.
    pub(crate) fn inline(&self, atom: AtomId) -> Option<&InlineAtom> {
        self.inline.get(atom.index()).and_then(Option::as_ref)
    }

    fn cut(&mut self, index: usize, node: &Node) {
        let mut cut = std::mem::take(&mut self.cuts[index]);
        match node {
            Node::Constant(_) => cut.size = 1,
            Node::Atom(atom) => cut.size = self.inline(*atom).map_or(1, InlineAtom::size),
            Node::Not(operand) => {
                cut.size = self.size(*operand) + 1;
                cut.height = self.height(*operand) + 1;
            }
            Node::And(operands) | Node::Or(operands) => {
                let total: u64 = operands.iter().map(|&operand| u64::from(self.size(operand))).sum();
                if total > u64::from(MAX_SIZE) {
                    cut.parts = self.group(operands);
                    cut.size = cut.parts.len() as u32;
                    cut.height = 1;
                } else {
                    cut.size = total as u32;
                    cut.height = 1 + operands.iter().map(|&operand| self.height(operand)).max().unwrap_or(0);
                }
            }
        }
        let shared = cut.uses > 1 && cut.size >= SHARED_SIZE;
        cut.function = shared || cut.height >= MAX_HEIGHT || cut.size > MAX_SIZE;
        self.cuts[index] = cut;
    }

    /// Groups as many neighbours as fit.
    fn group(&self, operands: &[NodeId]) -> Vec<Range<usize>> {
        let mut parts = Vec::new();
        let (mut start, mut size) = (0, 0);
        for (index, &operand) in operands.iter().enumerate() {
            let more = self.size(operand);
            if index > start && size + more > MAX_SIZE {
                parts.push(start..index);
                (start, size) = (index, 0);
            }
            size += more;
        }
        parts.push(start..operands.len());
        parts
    }

    fn size(&self, node: NodeId) -> u32 {
        let cut = &self.cuts[node.index()];
        if cut.function { 1 } else { cut.size }
    }

    fn height(&self, node: NodeId) -> u32 {
        let cut = &self.cuts[node.index()];
        if cut.function { 0 } else { cut.height }
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

fn check(ir: &Ir) -> Result<(), WasmError> {
    let malformed = |what: String| Err(WasmError::Malformed { what });
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
