//! How the boolean DAG is cut into functions, so that none is too large or too deep for a Wasm compiler, and which atoms
//! a module tests by itself. In: an IR. Out: [`Cuts`] as a Wasm compiler likes them, and how each atom is tested.

use std::ops::Range;

use kestrel_ir::cut::{CutError, CutLimits, Cuts};
use kestrel_ir::model::{Atom, AtomId, Ir, Node, NodeId, Predicate};

use crate::WasmError;
use crate::abi::Reads;
use crate::inline::InlineAtom;

pub(crate) use kestrel_ir::cut::operands;

/// Compilers of Wasm are superlinear in the size of a function.
const LIMITS: CutLimits = CutLimits { size: 192, height: 24, shared: 3 };

/// The cut of one IR.
#[derive(Debug)]
pub(crate) struct Split {
    cuts: Cuts,
    /// Per atom, how it is tested inline; `None` when the host is asked.
    inline: Vec<Option<InlineAtom>>,
    /// Per node, how much of the frame the atoms at and below it read.
    reads: Vec<Reads>,
}

impl Split {
    pub(crate) fn new(ir: &Ir) -> Result<Split, WasmError> {
        let inline: Vec<_> = ir.atoms.iter().map(|atom: &Atom| InlineAtom::new(atom, &ir.layout)).collect();
        let size = |atom: AtomId| inline.get(atom.index()).and_then(Option::as_ref).map_or(1, InlineAtom::size);
        let cuts = Cuts::new(ir, LIMITS, size).map_err(|CutError { what }| WasmError::Malformed { what })?;
        let mut split = Split { cuts, inline, reads: Vec::with_capacity(ir.nodes.len()) };
        // Operands come before what they belong to, as the cut has checked.
        for node in &ir.nodes {
            let reads = match node {
                Node::Atom(atom) => split.atom_reads(*atom),
                other => operands(other).iter().map(|&node| split.node_reads(node)).max().unwrap_or(Reads::Nothing),
            };
            split.reads.push(reads);
        }
        Ok(split)
    }

    /// How much of the frame a predicate reads by itself.
    pub(crate) fn reads(&self, predicate: &Predicate) -> Reads {
        self.node_reads(predicate.root).max(predicate.category.map_or(Reads::Nothing, |atom| self.atom_reads(atom)))
    }

    fn atom_reads(&self, atom: AtomId) -> Reads {
        self.inline(atom).map_or(Reads::Nothing, InlineAtom::reads)
    }

    fn node_reads(&self, node: NodeId) -> Reads {
        self.reads.get(node.index()).copied().unwrap_or(Reads::All)
    }

    /// Whether a node is a function of its own.
    pub(crate) fn is_function(&self, node: NodeId) -> bool {
        self.cuts.is_function(node)
    }

    /// The groups of a node's operands; empty when they are written out where the node is.
    pub(crate) fn parts(&self, node: NodeId) -> &[Range<usize>] {
        self.cuts.parts(node)
    }

    /// How an atom is tested inline.
    pub(crate) fn inline(&self, atom: AtomId) -> Option<&InlineAtom> {
        self.inline.get(atom.index()).and_then(Option::as_ref)
    }
}
