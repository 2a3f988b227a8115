//! How the boolean DAG is cut into functions, so that none is too large or too deep for a Wasm compiler, and which atoms
//! a module tests by itself. In: an IR. Out: [`Cuts`] as a Wasm compiler likes them, and how each atom is tested.

use std::ops::Range;

use kestrel_ir::cut::{CutError, CutLimits, Cuts};
use kestrel_ir::model::{Atom, AtomId, Ir, NodeId};

use crate::WasmError;
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
}

impl Split {
    pub(crate) fn new(ir: &Ir) -> Result<Split, WasmError> {
        let inline: Vec<_> = ir.atoms.iter().map(|atom: &Atom| InlineAtom::new(atom, &ir.layout)).collect();
        let size = |atom: AtomId| inline.get(atom.index()).and_then(Option::as_ref).map_or(1, InlineAtom::size);
        let cuts = Cuts::new(ir, LIMITS, size).map_err(|CutError { what }| WasmError::Malformed { what })?;
        Ok(Split { cuts, inline })
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
