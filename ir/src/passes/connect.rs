//! `and`, `or` and `not` in their simplest form: what folding does at one node, and what other passes build with.
//!
//! In: operands in new tables. Out: one node, flat, each operand once, without constants; a constant where an operand
//! decides alone or stands beside its own negation. The order of the operands stays.

use std::collections::HashSet;

use crate::model::{Node, NodeId};

use super::tables::Tables;

/// A longer list of operands is not written into the node around it when it may be used elsewhere too: nodes are
/// shared, and copies of long lists into many nodes would add up.
const LONGEST_COPIED: usize = 1024;

/// All (`all`) or any of the operands.
pub(super) fn connect(all: bool, operands: Vec<NodeId>, tables: &mut Tables) -> NodeId {
    // The value of an operand that decides alone.
    let decisive = !all;
    let mut kept = Vec::with_capacity(operands.len());
    let mut seen = HashSet::new();
    let mut decided = false;
    for operand in operands {
        match tables.node(operand) {
            Some(Node::Constant(value)) => decided |= *value == decisive,
            Some(Node::And(inner)) if all && inner.len() <= LONGEST_COPIED => {
                kept.extend(inner.iter().copied().filter(|operand| seen.insert(*operand)));
            }
            Some(Node::Or(inner)) if !all && inner.len() <= LONGEST_COPIED => {
                kept.extend(inner.iter().copied().filter(|operand| seen.insert(*operand)));
            }
            _ if seen.insert(operand) => kept.push(operand),
            _ => {}
        }
    }
    // A leaf is two-valued: `x and not x` is never, `x or not x` always true.
    decided |= kept.iter().any(|&operand| match tables.node(operand) {
        Some(Node::Not(inner)) => seen.contains(inner),
        _ => false,
    });
    if decided {
        return tables.constant(decisive);
    }
    match kept.as_slice() {
        [] => tables.constant(all),
        [only] => *only,
        _ => tables.add_node(if all { Node::And(kept) } else { Node::Or(kept) }),
    }
}

/// The negation of a node.
pub(super) fn negate(operand: NodeId, tables: &mut Tables) -> NodeId {
    match tables.node(operand) {
        Some(Node::Not(inner)) => *inner,
        Some(Node::Constant(value)) => {
            let value = !value;
            tables.constant(value)
        }
        _ => tables.add_node(Node::Not(operand)),
    }
}
