//! Predicates as trees with the ids of the tables beside them: what `eqlc show` teaches with.
//!
//! In: an IR. Out: lines of an id and what it stands for. A node is written out where it stands first; where it stands
//! again, a line says so, so that the text grows with the tables and not with what they share.
//!
//! ```text
//! p0    the event: event.category exact ["process"]
//! n4      all of
//! a1        process.name exact ["bash"]
//! a2        not user.id exact ["0"]
//! ```

use std::collections::HashSet;
use std::fmt::Write;

use kestrel_ir::model::{Atom, Ir, Node, NodeId, PredicateId, Rule, RuleKind, Step};
use kestrel_ir::text::atom_expression;
use kestrel_ir::verify::MAX_DEPTH;

/// Writes the trees of one document.
pub(super) struct Trees<'i> {
    ir: &'i Ir,
    seen: HashSet<NodeId>,
    out: String,
}

impl Trees<'_> {
    pub(super) fn new(ir: &Ir) -> Trees<'_> {
        Trees { ir, seen: HashSet::new(), out: String::new() }
    }

    /// All predicates, each with the terms that it is for, then what steps join and pipes filter by.
    pub(super) fn all(mut self) -> String {
        for index in 0..self.ir.predicates.len() as u32 {
            self.predicate(PredicateId(index));
        }
        let ir = self.ir;
        for rule in &ir.rules {
            for (name, step) in names(rule).into_iter().zip(rule.steps()) {
                if let Some(joined) = step.joined {
                    self.line(&format!("n{}", joined.0), 0, &format!("{name}, joined to earlier steps"));
                    self.node(joined, "", 1);
                }
            }
            for pipe in &rule.pipes {
                if let kestrel_ir::model::Pipe::Filter(node) = pipe {
                    self.line(&format!("n{}", node.0), 0, "the pipe `filter`");
                    self.node(*node, "", 1);
                }
            }
        }
        self.out
    }

    /// One predicate.
    pub(super) fn one(mut self, predicate: PredicateId) -> String {
        self.predicate(predicate);
        self.out
    }

    fn predicate(&mut self, id: PredicateId) {
        let Some(predicate) = self.ir.predicate(id) else { return };
        let uses = uses(self.ir, id);
        let category = match predicate.category {
            Some(atom) => atom_expression(self.ir, atom),
            None => "any category".to_owned(),
        };
        self.line(&format!("p{}", id.0), 0, &format!("{uses}: {category}"));
        self.node(predicate.root, "", 1);
    }

    fn line(&mut self, id: &str, level: usize, text: &str) {
        let _ = writeln!(self.out, "{id:5} {:width$}{text}", "", width = level * 2);
    }

    /// Recurses as deep as the verifier lets nodes be.
    fn node(&mut self, id: NodeId, prefix: &str, level: usize) {
        let name = format!("n{}", id.0);
        let ir = self.ir;
        let (word, operands) = match ir.node(id) {
            _ if level > MAX_DEPTH as usize => return self.line(&name, level, "…"),
            None => return,
            Some(Node::Constant(value)) => return self.line(&name, level, &format!("{prefix}{value}")),
            Some(Node::Not(operand)) => return self.node(*operand, &format!("{prefix}not "), level),
            Some(Node::Atom(atom)) => {
                let test = format!("a{}", atom.0);
                return match ir.atom(*atom) {
                    Some(Atom::AnyObject { object, condition }) => {
                        self.line(&test, level, &format!("{prefix}any object of {} where", ir.layout.name(*object)));
                        self.node(*condition, "", level + 1);
                    }
                    _ => self.line(&test, level, &format!("{prefix}{}", atom_expression(ir, *atom))),
                };
            }
            Some(Node::And(operands)) => ("all of", operands),
            Some(Node::Or(operands)) => ("any of", operands),
        };
        if !self.seen.insert(id) {
            return self.line(&name, level, &format!("{prefix}{word} … (as above)"));
        }
        self.line(&name, level, &format!("{prefix}{word}"));
        for &operand in operands {
            self.node(operand, "", level + 1);
        }
    }
}

/// What a predicate is for: `the event`, `step 0`, `until`, or the lineage of another.
pub(super) fn uses(ir: &Ir, id: PredicateId) -> String {
    let mut uses = Vec::new();
    for rule in &ir.rules {
        if matches!(rule.kind, RuleKind::Event { predicate } if predicate == id) {
            uses.push("the event".to_owned());
        }
        for (name, step) in names(rule).into_iter().zip(rule.steps()) {
            if step.predicate == id {
                uses.push(format!("{name}{}", keys(ir, step)));
            }
        }
    }
    let lineage = |atom: &Atom| matches!(atom, Atom::Lineage { predicate, .. } if *predicate == id);
    if ir.atoms.iter().any(lineage) {
        uses.push("an event of a related process".to_owned());
    }
    if uses.is_empty() { "nothing".to_owned() } else { uses.join("; ") }
}

/// The terms of a rule in words, `until` last.
pub(super) fn names(rule: &Rule) -> Vec<String> {
    let until = match &rule.kind {
        RuleKind::Sequence(sequence) => sequence.steps.len(),
        _ => usize::MAX,
    };
    let name = |(index, step): (usize, &Step)| match step.missing {
        _ if index == until => "until".to_owned(),
        true => format!("missing step {index}"),
        false => format!("step {index}"),
    };
    rule.steps().enumerate().map(name).collect()
}

fn keys(ir: &Ir, step: &Step) -> String {
    let key = |key: &kestrel_ir::model::Key| match key.field {
        Some(field) => format!("{}{}", if key.optional { "?" } else { "" }, ir.layout.name(field)),
        None => "?(unknown to the schema)".to_owned(),
    };
    match step.keys.as_slice() {
        [] => String::new(),
        keys => format!(" by {}", keys.iter().map(key).collect::<Vec<_>>().join(", ")),
    }
}
