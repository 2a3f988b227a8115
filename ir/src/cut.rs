//! How the boolean DAG is cut into functions for a backend, so that none is too large or too deep for its compiler and
//! nothing shared is written twice.
//!
//! In: an IR, a backend's [`CutLimits`], and what each atom adds to its function's size. Out: for each node that a
//! predicate reaches, whether it is a function of its own and in which parts its operands are tested. One pass from the
//! leaves up, without recursion; also the check that ids fit together.
//!
//! ```text
//! predicate 0 ──▶ and ──▶ …  written out in the predicate
//!                  ├────▶ or, used twice                        a function
//!                  └────▶ or, of 1,000 leaves                   a function over its parts: 0..192, 192..384, …
//! ```

use std::ops::Range;

use thiserror::Error;

use crate::model::{AtomId, Ir, Node, NodeId};

/// What a backend wants of its functions.
#[derive(Debug, Clone, Copy)]
pub struct CutLimits {
    /// The most leaves and calls in one function. A single atom may be larger than that.
    pub size: u32,
    /// The deepest nesting in one function; also bounds the backend's recursion.
    pub height: u32,
    /// A node that is used more than once becomes a function from this size on.
    pub shared: u32,
}

/// Ids that do not fit together; the verifier lets none such through.
#[derive(Debug, Error)]
#[error("the IR was not verified: {what}")]
pub struct CutError {
    /// What is wrong.
    pub what: String,
}

/// The cut of one IR.
#[derive(Debug)]
pub struct Cuts {
    cuts: Vec<Cut>,
    limits: CutLimits,
}

#[derive(Debug, Clone, Default)]
struct Cut {
    uses: u32,
    /// Leaves and calls where the node is written out.
    size: u32,
    height: u32,
    /// The longest chain of calls that evaluating the node makes, its own function aside.
    calls: u32,
    function: bool,
    /// The operands, in groups that are functions of their own; empty when they are all written out.
    parts: Vec<Range<usize>>,
}

impl Cuts {
    /// Cuts `ir`; `atom_size` says how many leaves an atom counts for.
    ///
    /// # Errors
    /// When the IR's ids do not fit together.
    pub fn new(ir: &Ir, limits: CutLimits, atom_size: impl Fn(AtomId) -> u32) -> Result<Cuts, CutError> {
        check(ir)?;
        let mut cuts = Cuts { cuts: count_uses(ir), limits };
        for (index, node) in ir.nodes.iter().enumerate() {
            if cuts.cuts[index].uses > 0 {
                cuts.cut(index, node, &atom_size);
            }
        }
        Ok(cuts)
    }

    /// Whether a node is a function of its own.
    pub fn is_function(&self, node: NodeId) -> bool {
        self.cuts.get(node.index()).is_some_and(|cut| cut.function)
    }

    /// How often predicates and the nodes that they reach refer to a node.
    pub fn uses(&self, node: NodeId) -> u32 {
        self.cuts.get(node.index()).map_or(0, |cut| cut.uses)
    }

    /// The groups of a node's operands, each a function of its own; empty when they are written out where the node is.
    pub fn parts(&self, node: NodeId) -> &[Range<usize>] {
        self.cuts.get(node.index()).map_or(&[], |cut| &cut.parts)
    }

    /// The longest chain of calls below a predicate: 0 when predicates call no function.
    pub fn call_depth(&self) -> u32 {
        self.cuts.iter().map(|cut| cut.calls + u32::from(cut.function)).max().unwrap_or(0)
    }

    fn cut(&mut self, index: usize, node: &Node, atom_size: impl Fn(AtomId) -> u32) {
        let operands = operands(node);
        let below = operands.iter().map(|&operand| self.written(operand));
        let own = match node {
            Node::Atom(atom) => atom_size(*atom),
            _ => u32::from(operands.is_empty()),
        };
        let total = below.clone().fold(own, |total, below| total.saturating_add(below.size));
        let calls = below.clone().map(|below| below.calls).max().unwrap_or(0);
        let (size, height, calls, parts) = if total > self.limits.size && operands.len() > 1 {
            let parts = self.group(operands);
            (parts.len() as u32, 1, calls.saturating_add(1), parts)
        } else {
            (total, below.map(|below| below.height + 1).max().unwrap_or(0), calls, Vec::new())
        };
        let cut = &mut self.cuts[index];
        let shared = cut.uses > 1 && size >= self.limits.shared;
        cut.function = shared || height >= self.limits.height || size > self.limits.size;
        (cut.size, cut.height, cut.calls, cut.parts) = (size, height, calls, parts);
    }

    /// Groups as many neighbours as fit.
    fn group(&self, operands: &[NodeId]) -> Vec<Range<usize>> {
        let mut parts = Vec::new();
        let (mut start, mut size) = (0, 0u32);
        for (index, &operand) in operands.iter().enumerate() {
            let more = self.written(operand).size;
            if index > start && size.saturating_add(more) > self.limits.size {
                parts.push(start..index);
                (start, size) = (index, 0);
            }
            size = size.saturating_add(more);
        }
        parts.push(start..operands.len());
        parts
    }

    /// What a node adds where it is used.
    fn written(&self, node: NodeId) -> Written {
        let cut = &self.cuts[node.index()];
        match cut.function {
            true => Written { size: 1, height: 0, calls: cut.calls.saturating_add(1) },
            false => Written { size: cut.size, height: cut.height, calls: cut.calls },
        }
    }
}

struct Written {
    size: u32,
    height: u32,
    calls: u32,
}

/// The operands of a node.
pub fn operands(node: &Node) -> &[NodeId] {
    match node {
        Node::Constant(_) | Node::Atom(_) => &[],
        Node::Not(operand) => std::slice::from_ref(operand),
        Node::And(operands) | Node::Or(operands) => operands,
    }
}

fn check(ir: &Ir) -> Result<(), CutError> {
    let malformed = |what: String| Err(CutError { what });
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
                cuts[operand.index()].uses = cuts[operand.index()].uses.saturating_add(1);
            }
        }
    }
    cuts
}

#[cfg(test)]
mod tests {
    use kestrel_schema::FieldType;

    use super::*;
    use crate::model::{Atom, Predicate};

    const LIMITS: CutLimits = CutLimits { size: 10, height: 4, shared: 3 };

    /// An IR of one atom, whose node is the first, of `nodes` behind it, and a predicate for each of `roots`.
    fn ir(nodes: Vec<Node>, roots: &[u32]) -> Ir {
        let mut ir = Ir::default();
        let field = ir.layout.intern("process.name", FieldType::Keyword);
        ir.atoms.push(Atom::Present { field });
        ir.nodes.push(Node::Atom(AtomId(0)));
        ir.nodes.extend(nodes);
        ir.predicates = roots.iter().map(|&root| Predicate { category: None, root: NodeId(root) }).collect();
        ir
    }

    fn leaves(count: usize) -> Vec<NodeId> {
        vec![NodeId(0); count]
    }

    /// The nodes that are functions, and the deepest chain of calls.
    fn check(ir: &Ir, functions: &[u32], depth: u32) -> Cuts {
        let cuts = Cuts::new(ir, LIMITS, |_| 1).expect("ids fit");
        let found: Vec<u32> = (0..ir.nodes.len() as u32).filter(|&id| cuts.is_function(NodeId(id))).collect();
        assert_eq!((found.as_slice(), cuts.call_depth()), (functions, depth));
        cuts
    }

    #[test]
    fn what_is_used_once_or_is_small_is_written_out() {
        check(&ir(vec![Node::Or(leaves(3))], &[1]), &[], 0);
        check(&ir(vec![Node::Or(leaves(2))], &[1, 1]), &[], 0);
    }

    #[test]
    fn what_is_shared_is_a_function_and_what_nobody_reaches_is_nothing() {
        check(&ir(vec![Node::Or(leaves(3)), Node::Not(NodeId(1)), Node::Not(NodeId(1))], &[2, 3]), &[1], 1);
        check(&ir(vec![Node::Or(leaves(3)), Node::Not(NodeId(1)), Node::Not(NodeId(1))], &[2]), &[], 0);
    }

    #[test]
    fn wide_nodes_have_parts_that_cover_each_operand_once() {
        let cuts = check(&ir(vec![Node::And(leaves(25))], &[1]), &[], 1);
        assert_eq!(cuts.parts(NodeId(1)), [0..10, 10..20, 20..25]);
        let cuts = check(&ir(vec![Node::Or(leaves(1_000))], &[1]), &[1], 2);
        assert_eq!(cuts.parts(NodeId(1)).iter().map(Range::len).sum::<usize>(), 1_000);
    }

    #[test]
    fn deep_nodes_become_functions_so_that_recursion_is_bounded() {
        let chain: Vec<Node> = (0..1_000).map(|below| Node::Not(NodeId(below))).collect();
        let ir = ir(chain, &[1_000]);
        let cuts = Cuts::new(&ir, LIMITS, |_| 1).expect("ids fit");
        let functions = (0..=1_000).filter(|&id| cuts.is_function(NodeId(id))).count();
        assert_eq!((functions, cuts.call_depth()), (250, 250));
    }

    #[test]
    fn an_atom_larger_than_the_limit_has_no_parts() {
        let cuts = Cuts::new(&ir(vec![Node::Not(NodeId(0))], &[1]), LIMITS, |_| 99).expect("ids fit");
        assert!(cuts.is_function(NodeId(0)) && cuts.parts(NodeId(0)).is_empty());
        assert!(!cuts.is_function(NodeId(1)));
    }

    #[test]
    fn ids_that_do_not_fit_are_refused() {
        let refused = |ir: &Ir| Cuts::new(ir, LIMITS, |_| 1).expect_err("refused").to_string();
        assert!(refused(&ir(vec![Node::Not(NodeId(1))], &[1])).contains("node 1 refers to a node"));
        assert!(refused(&ir(vec![Node::Atom(AtomId(1))], &[1])).contains("node 1 refers to no atom"));
        assert!(refused(&ir(vec![Node::And(vec![])], &[1])).contains("node 1 has no operands"));
        assert!(refused(&ir(vec![], &[1])).contains("predicate 0"));
        let mut category = ir(vec![], &[0]);
        category.predicates[0].category = Some(AtomId(1));
        assert!(refused(&category).contains("predicate 0"));
    }
}
