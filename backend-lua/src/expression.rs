//! A node as the lines of a Lua expression: one leaf a line, what it means behind it, all comments in one column.
//!
//! In: a node and how the DAG is [split](crate::split). Out: text for a `return`. An `and` within an `and` needs no
//! parentheses, and neither does the outermost word of a function.

use std::fmt::Write;
use std::ops::Range;

use kestrel_ir::model::{AtomId, Ir, Node, NodeId};

use crate::describe::describe;
use crate::leaf::leaf;
use crate::split::{Split, operands};

/// Comments stand in this column at most; longer code pushes its own comment further.
const COLUMN: usize = 56;

/// An expression under construction.
pub(crate) struct Expression<'i> {
    ir: &'i Ir,
    split: &'i Split,
    lines: Vec<Line>,
}

struct Line {
    code: String,
    comment: String,
}

impl<'i> Expression<'i> {
    /// The text of `return …`, indented by `depth`, for a predicate of that category and root.
    pub(crate) fn of_predicate(
        ir: &'i Ir,
        split: &'i Split,
        depth: usize,
        category: Option<AtomId>,
        root: NodeId,
    ) -> String {
        let mut expression = Expression { ir, split, lines: Vec::new() };
        match category {
            None => expression.unwrapped(root, depth, "return "),
            Some(category) => {
                expression.atom(category, depth, "return ");
                match expression.written(root) {
                    Some(Node::And(operands)) => expression.more(operands, depth + 2, "and "),
                    _ => expression.node(root, depth + 2, "and "),
                }
            }
        }
        expression.text()
    }

    /// The same for a node that is a function of its own.
    pub(crate) fn of_node(ir: &'i Ir, split: &'i Split, depth: usize, id: NodeId) -> String {
        let mut expression = Expression { ir, split, lines: Vec::new() };
        expression.whole(id, depth, "return ");
        expression.text()
    }

    /// The same for a group of a node's operands.
    pub(crate) fn of_part(ir: &'i Ir, split: &'i Split, depth: usize, node: &Node, part: Range<usize>) -> String {
        let mut expression = Expression { ir, split, lines: Vec::new() };
        expression.junction(node, operands(node).get(part).unwrap_or(&[]), depth, "return ");
        expression.text()
    }

    fn text(self) -> String {
        let widths = self.lines.iter().filter(|line| !line.comment.is_empty()).map(|line| line.code.chars().count());
        let column = widths.filter(|width| *width <= COLUMN).max().unwrap_or(0);
        let mut text = String::new();
        for line in self.lines {
            let _ = match line.comment.as_str() {
                "" => writeln!(text, "{}", line.code),
                comment => writeln!(text, "{:column$} -- {comment}", line.code),
            };
        }
        text
    }

    fn line(&mut self, depth: usize, word: &str, code: &str, comment: String) {
        self.lines.push(Line { code: format!("{:depth$}{word}{code}", ""), comment });
    }

    /// The node, unless it is written elsewhere as a function of its own.
    fn written(&self, id: NodeId) -> Option<&'i Node> {
        self.ir.node(id).filter(|_| !self.split.is_function(id) && self.split.parts(id).is_empty())
    }

    /// A node where it is used, behind `word`: `return`, `and`, `or`, perhaps with a `not`.
    fn node(&mut self, id: NodeId, depth: usize, word: &str) {
        let junction = matches!(self.ir.node(id), Some(Node::And(_) | Node::Or(_)));
        if self.split.is_function(id) || !junction {
            return self.unwrapped(id, depth, word);
        }
        self.line(depth, word, "(", String::new());
        self.whole(id, depth + 2, "");
        self.line(depth, "", ")", String::new());
    }

    /// The same without parentheses around it.
    fn unwrapped(&mut self, id: NodeId, depth: usize, word: &str) {
        if self.split.is_function(id) {
            let call = format!("nodes[{}](e)", id.0);
            self.line(depth, word, &call, String::new());
        } else {
            self.whole(id, depth, word);
        }
    }

    /// A node written out. Recurses only into nodes that are no functions of their own: as deep as [`Split`] lets a
    /// function be.
    fn whole(&mut self, id: NodeId, depth: usize, word: &str) {
        match self.ir.node(id) {
            None => self.line(depth, word, "false", String::new()),
            Some(Node::Constant(value)) => self.line(depth, word, &value.to_string(), String::new()),
            Some(Node::Atom(atom)) => self.atom(*atom, depth, word),
            Some(Node::Not(operand)) => self.node(*operand, depth, &format!("{word}not ")),
            Some(node @ (Node::And(operands) | Node::Or(operands))) => match self.split.parts(id) {
                [] => self.junction(node, operands, depth, word),
                parts => {
                    for (index, part) in parts.iter().enumerate() {
                        let (depth, word) = place(index, depth, word, between(node));
                        let call = format!("nodes[{:?}](e)", part_name(id, part));
                        self.line(depth, word, &call, String::new());
                    }
                }
            },
        }
    }

    fn junction(&mut self, node: &Node, operands: &[NodeId], depth: usize, word: &str) {
        let Some((first, others)) = operands.split_first() else { return };
        match (node, self.written(*first)) {
            // The same word once more: its operands are more of this one's.
            (Node::And(_), Some(inner @ Node::And(operands))) | (Node::Or(_), Some(inner @ Node::Or(operands))) => {
                self.junction(inner, operands, depth, word);
            }
            _ => self.node(*first, depth, word),
        }
        self.more(others, if word.is_empty() { depth } else { depth + 2 }, between(node));
    }

    /// Operands behind the first.
    fn more(&mut self, operands: &[NodeId], depth: usize, word: &'static str) {
        for operand in operands {
            match self.written(*operand) {
                Some(inner @ (Node::And(operands) | Node::Or(operands))) if between(inner) == word => {
                    self.more(operands, depth, word);
                }
                _ => self.node(*operand, depth, word),
            }
        }
    }

    fn atom(&mut self, id: AtomId, depth: usize, word: &str) {
        match self.ir.atom(id) {
            None => self.line(depth, word, "false", String::new()),
            Some(atom) => {
                let code = leaf(id, atom, &self.ir.layout);
                self.line(depth, word, &code, describe(atom, &self.ir.layout));
            }
        }
    }
}

fn place<'w>(index: usize, depth: usize, first: &'w str, other: &'w str) -> (usize, &'w str) {
    match (index, first) {
        (0, _) => (depth, first),
        (_, "") => (depth, other),
        _ => (depth + 2, other),
    }
}

/// The word between a node's operands.
fn between(node: &Node) -> &'static str {
    if matches!(node, Node::And(_)) { "and " } else { "or " }
}

/// The name of the function that holds a group of a node's operands.
pub(crate) fn part_name(id: NodeId, part: &Range<usize>) -> String {
    format!("{} from {}", id.0, part.start)
}
