//! Ordering: the operands of `and` and `or`, cheap ones first.
//!
//! What: presence, truth values and numbers; then exact strings, addresses and versions; then wildcards; then regular
//! expressions; then searches and computations. What is connected costs as much as the dearest thing in it. Operands
//! that cost alike stay in the order in which the rule has them, since its author may know which one tells most.
//!
//! Why it is right: operands have no effects, so that the order in which they are asked changes no answer.
//!
//! Never: it looks at how probable an operand is, and it reorders no list, key or step.

use std::collections::HashMap;

use crate::model::{Atom, Node, NodeId, StringMatch};

use super::rewrite::Rewrite;
use super::tables::Tables;

/// What a test costs, cheapest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Cost {
    #[default]
    Number,
    Exact,
    Wildcard,
    Regex,
    Compute,
}

/// The costs of the nodes so far.
#[derive(Default)]
pub(super) struct Ordering {
    costs: HashMap<NodeId, Cost>,
}

impl Rewrite for Ordering {
    fn node(&mut self, mut node: Node, tables: &mut Tables) -> NodeId {
        if let Node::And(operands) | Node::Or(operands) = &mut node {
            operands.sort_by_key(|&operand| self.cost(operand));
        }
        let cost = match &node {
            Node::Constant(_) => Cost::Number,
            Node::Atom(atom) => tables.atom(*atom).map_or(Cost::Number, of_atom),
            Node::Not(operand) => self.cost(*operand),
            Node::And(operands) | Node::Or(operands) => {
                operands.iter().map(|&operand| self.cost(operand)).max().unwrap_or_default()
            }
        };
        let id = tables.add_node(node);
        self.costs.insert(id, cost);
        id
    }
}

impl Ordering {
    fn cost(&self, node: NodeId) -> Cost {
        self.costs.get(&node).copied().unwrap_or_default()
    }
}

fn of_atom(atom: &Atom) -> Cost {
    match atom {
        Atom::Present { .. }
        | Atom::Boolean { .. }
        | Atom::Integers { .. }
        | Atom::IntegerOrder { .. }
        | Atom::FloatOrder { .. }
        | Atom::Lineage { .. } => Cost::Number,
        Atom::Strings { matching: StringMatch::Exact, .. }
        | Atom::StringOrder { .. }
        | Atom::Cidr { .. }
        | Atom::VersionOrder { .. } => Cost::Exact,
        Atom::Strings { matching: StringMatch::Wildcard, .. } => Cost::Wildcard,
        Atom::Strings { matching: StringMatch::Regex, .. } => Cost::Regex,
        Atom::Compute { .. } | Atom::AnyObject { .. } => Cost::Compute,
    }
}
