//! Factoring: what several branches ask alike is asked once, in front of them.
//!
//! What: `(a and b) or (a and c)` becomes `a and (b or c)`; `a or (a and b)` becomes `a`; dually with `and` and `or`
//! exchanged. The factor that most branches share goes first, of equally shared ones the first; everything else that all
//! of these branches share goes with it. The branches stand at the place of their first.
//!
//! Why it is right: `and` and `or` distribute over each other, and absorb. Why it ends: every step takes at least one leaf away.
//!
//! Never: it multiplies nothing out, and gives up beyond a budget of operands looked at, so that long lists of long
//! branches cost time in proportion.

use std::collections::{HashMap, HashSet};

use crate::model::{Node, NodeId};

use super::connect::connect;
use super::rewrite::Rewrite;
use super::tables::Tables;

/// How many groups are taken out of one node in one run.
const MOST_GROUPS: usize = 32;
/// How many operands are looked at in one run.
const MOST_LOOKS: usize = 1 << 22;

#[derive(Default)]
pub(super) struct Factoring {
    looks: usize,
}

impl Rewrite for Factoring {
    fn node(&mut self, node: Node, tables: &mut Tables) -> NodeId {
        match node {
            Node::And(operands) => self.factored(true, operands, tables),
            Node::Or(operands) => self.factored(false, operands, tables),
            _ => tables.add_node(node),
        }
    }
}

impl Factoring {
    fn factored(&mut self, all: bool, mut operands: Vec<NodeId>, tables: &mut Tables) -> NodeId {
        let mut changed = false;
        for _ in 0..MOST_GROUPS {
            let looks = operands.iter().map(|&operand| branch(all, operand, tables).map_or(1, <[NodeId]>::len)).sum();
            self.looks = self.looks.saturating_add(looks);
            if self.looks > MOST_LOOKS {
                break;
            }
            let asked = |&operand: &NodeId| match branch(all, operand, tables) {
                Some(asked) => each_once(asked),
                None => vec![operand],
            };
            let branches: Vec<Vec<NodeId>> = operands.iter().map(asked).collect();
            let Some(factor) = most_shared(&branches) else { break };
            operands = taken_out(all, factor, &operands, &branches, tables);
            changed = true;
        }
        match (changed, all) {
            (true, _) => connect(all, operands, tables),
            (false, true) => tables.add_node(Node::And(operands)),
            (false, false) => tables.add_node(Node::Or(operands)),
        }
    }
}

/// What a branch asks: the operands of the other connective; `None` when it asks itself alone.
fn branch(all: bool, operand: NodeId, tables: &Tables) -> Option<&[NodeId]> {
    match tables.node(operand) {
        Some(Node::Or(inner)) if all => Some(inner),
        Some(Node::And(inner)) if !all => Some(inner),
        _ => None,
    }
}

fn each_once(operands: &[NodeId]) -> Vec<NodeId> {
    let mut seen = HashSet::new();
    operands.iter().copied().filter(|operand| seen.insert(*operand)).collect()
}

/// The operand that most branches have; `None` when no two have one.
fn most_shared(branches: &[Vec<NodeId>]) -> Option<NodeId> {
    let mut counts: HashMap<NodeId, (usize, usize)> = HashMap::new();
    for branch in branches {
        for &operand in branch {
            let place = counts.len();
            counts.entry(operand).or_insert((place, 0)).1 += 1;
        }
    }
    let shared = counts.into_iter().filter(|(_, (_, count))| *count > 1);
    shared.max_by_key(|(_, (place, count))| (*count, std::cmp::Reverse(*place))).map(|(operand, _)| operand)
}

/// The operands with the branches that have `factor` as one, at the place of the first.
fn taken_out(
    all: bool,
    factor: NodeId,
    operands: &[NodeId],
    branches: &[Vec<NodeId>],
    tables: &mut Tables,
) -> Vec<NodeId> {
    let group: Vec<&Vec<NodeId>> = branches.iter().filter(|branch| branch.contains(&factor)).collect();
    let mut common: Vec<NodeId> = group.first().map(|first| first.to_vec()).unwrap_or_default();
    for branch in &group {
        let own: HashSet<NodeId> = branch.iter().copied().collect();
        common.retain(|operand| own.contains(operand));
    }
    let shared: HashSet<NodeId> = common.iter().copied().collect();
    let rests: Vec<Vec<NodeId>> = group
        .iter()
        .map(|branch| branch.iter().copied().filter(|operand| !shared.contains(operand)).collect())
        .collect();
    // A branch that asks nothing more decides for all of them.
    if rests.iter().all(|rest| !rest.is_empty()) {
        let rests = rests.into_iter().map(|rest| connect(!all, rest, tables)).collect();
        common.push(connect(all, rests, tables));
    }
    let made = connect(!all, common, tables);
    let mut placed = false;
    let mut out = Vec::with_capacity(operands.len());
    for (&operand, branch) in operands.iter().zip(branches) {
        if !branch.contains(&factor) {
            out.push(operand);
        } else if !std::mem::replace(&mut placed, true) {
            out.push(made);
        }
    }
    out
}
