//! Folding: what is decided, doubled or nested for nothing.
//!
//! What: constants go through `and`, `or` and `not`; one operand is itself, doubled operands and double negations are
//! one; an `and` in an `and` is written out; `x and not x` is never true. A computing atom that holds nothing but a
//! condition is that condition, a search or a lineage for what never is, is never true. A predicate that can never be
//! true loses its category, so that it is `any where false` wherever it came from.
//!
//! Why it is right: nodes are two-valued and have no effects, so that the laws of boolean algebra hold.
//!
//! Never: it folds no test of a field, and knows no more of two tests than that they are the same.

use crate::model::{Atom, Constant, Node, NodeId, Predicate, Value};

use super::connect::{connect, negate};
use super::rewrite::Rewrite;
use super::tables::Tables;

pub(super) struct Folding;

impl Rewrite for Folding {
    fn node(&mut self, node: Node, tables: &mut Tables) -> NodeId {
        match node {
            Node::Constant(_) => tables.add_node(node),
            Node::Atom(atom) => match tables.atom(atom) {
                Some(Atom::Compute { value }) => match tables.value(*value) {
                    Some(Value::Constant(constant)) => {
                        let value = *constant == Constant::Boolean(true);
                        tables.constant(value)
                    }
                    Some(Value::Condition(condition)) => *condition,
                    _ => tables.add_node(node),
                },
                Some(Atom::AnyObject { condition, .. }) if tables.is_constant(*condition) == Some(false) => {
                    tables.constant(false)
                }
                Some(Atom::Lineage { predicate, .. }) if is_never(tables.predicate(*predicate), tables) => {
                    tables.constant(false)
                }
                _ => tables.add_node(node),
            },
            Node::Not(operand) => negate(operand, tables),
            Node::And(operands) => connect(true, operands, tables),
            Node::Or(operands) => connect(false, operands, tables),
        }
    }

    fn value(&mut self, value: Value, tables: &Tables) -> Value {
        match value {
            Value::Condition(node) => match tables.is_constant(node) {
                Some(known) => Value::Constant(Constant::Boolean(known)),
                None => value,
            },
            _ => value,
        }
    }

    fn predicate(&mut self, predicate: Predicate, tables: &Tables) -> Predicate {
        match is_never(Some(&predicate), tables) {
            true => Predicate { category: None, root: predicate.root },
            false => predicate,
        }
    }
}

fn is_never(predicate: Option<&Predicate>, tables: &Tables) -> bool {
    predicate.is_some_and(|predicate| tables.is_constant(predicate.root) == Some(false))
}
