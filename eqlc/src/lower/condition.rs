//! Conditions: `and`, `or` and `not` as nodes.
//!
//! In: typed conditions. Out: two-valued nodes. Two things make a condition more than that. The constant null makes it
//! neither true nor false: then `not` asks for what makes its operand false, which is not the same as what does not make
//! it true. And a leaf may read the event of another step: where only one event is at hand, it is taken to be what lets
//! the most through, so that what results is necessary for the whole.

use kestrel_ir::model::{Atom, Constant, Node, NodeId};

use super::Lowering;
use crate::types::tree::{Typed, TypedKind};

/// Which events a node may look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The event alone; leaves that look at other steps are let through.
    Alone,
    /// The events of earlier steps too.
    Joined,
}

impl Lowering {
    /// The node that is true where the condition is true (or, alone, may be).
    pub(super) fn truth(&mut self, typed: &Typed, reach: Reach) -> NodeId {
        match &typed.kind {
            TypedKind::Constant(constant) => self.constant(*constant == Constant::Boolean(true)),
            TypedKind::And(operands) => {
                let nodes = operands.iter().map(|operand| self.truth(operand, reach)).collect();
                self.all(nodes)
            }
            TypedKind::Or(operands) => {
                let nodes = operands.iter().map(|operand| self.truth(operand, reach)).collect();
                self.any(nodes)
            }
            TypedKind::Not(operand) => self.falsity(operand, reach),
            _ if typed.joined && reach == Reach::Alone => self.constant(true),
            _ => self.leaf(typed),
        }
    }

    /// The node that is true where the condition is false (or, alone, may be).
    fn falsity(&mut self, typed: &Typed, reach: Reach) -> NodeId {
        let may_be_either = typed.unknown || (typed.joined && reach == Reach::Alone);
        if !may_be_either {
            let node = self.truth(typed, reach);
            return self.negation(node);
        }
        match &typed.kind {
            TypedKind::Constant(constant) => self.constant(*constant == Constant::Boolean(false)),
            TypedKind::And(operands) => {
                let nodes = operands.iter().map(|operand| self.falsity(operand, reach)).collect();
                self.any(nodes)
            }
            TypedKind::Or(operands) => {
                let nodes = operands.iter().map(|operand| self.falsity(operand, reach)).collect();
                self.all(nodes)
            }
            TypedKind::Not(operand) => self.truth(operand, reach),
            _ => self.constant(true),
        }
    }

    /// Some object of the field fulfils the condition.
    pub(super) fn any_object(&mut self, object: kestrel_ir::layout::FieldId, condition: &Typed) -> NodeId {
        let condition = self.truth(condition, Reach::Joined);
        if self.is_constant(condition) == Some(false) {
            return condition;
        }
        self.atom_node(Atom::AnyObject { object, condition })
    }

    pub(super) fn negation(&mut self, node: NodeId) -> NodeId {
        match self.nodes.get(node.index()) {
            Some(Node::Not(inner)) => *inner,
            Some(Node::Constant(value)) => {
                let value = !value;
                self.constant(value)
            }
            _ => self.nodes.intern(Node::Not(node)),
        }
    }

    pub(super) fn all(&mut self, nodes: Vec<NodeId>) -> NodeId {
        self.connect(nodes, false, |node| match node {
            Node::And(operands) => Some(operands),
            _ => None,
        })
    }

    pub(super) fn any(&mut self, nodes: Vec<NodeId>) -> NodeId {
        self.connect(nodes, true, |node| match node {
            Node::Or(operands) => Some(operands),
            _ => None,
        })
    }

    /// Flat, without duplicates and without constants; `decisive` is the value of an operand that decides alone.
    fn connect(&mut self, nodes: Vec<NodeId>, decisive: bool, same: fn(&Node) -> Option<&Vec<NodeId>>) -> NodeId {
        let mut kept: Vec<NodeId> = Vec::with_capacity(nodes.len());
        let mut seen = std::collections::HashSet::new();
        for node in nodes {
            if let Some(operands) = self.nodes.get(node.index()).and_then(same) {
                kept.extend(operands.iter().copied().filter(|operand| seen.insert(*operand)));
                continue;
            }
            match self.is_constant(node) {
                Some(value) if value == decisive => return node,
                Some(_) => {}
                None if seen.insert(node) => kept.push(node),
                None => {}
            }
        }
        match kept.as_slice() {
            [] => self.constant(!decisive),
            [only] => *only,
            _ => self.nodes.intern(if decisive { Node::Or(kept) } else { Node::And(kept) }),
        }
    }

    fn is_constant(&self, node: NodeId) -> Option<bool> {
        match self.nodes.get(node.index()) {
            Some(Node::Constant(value)) => Some(*value),
            _ => None,
        }
    }
}
