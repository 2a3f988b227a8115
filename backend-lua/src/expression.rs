//! A node as the lines of a Lua expression: one leaf a line, what it means behind it, all comments in one column.
//!
//! In: a node and how the DAG is [split](crate::split). Out: text for a `return`. An `and` within an `and` needs no
//! parentheses, and neither does the outermost word of a function. Neighbours
//! that the host tests are one question.

use std::fmt::Write;
use std::ops::Range;

use kestrel_ir::model::{AtomId, Ir, Node, NodeId};

use crate::describe::describe;
use crate::leaf::{in_frame, leaf};
use crate::split::{Split, operands};

/// Comments stand in this column at most; longer code pushes its own comment further.
const COLUMN: usize = 56;

/// The most atoms in one question to the host.
const MOST_ATOMS: usize = 8;

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
            None => expression.node(root, depth, "return ", true),
            Some(category) => {
                let mut items = vec![Item::Atom(category)];
                expression.flatten(Word::And, &[root], &mut items);
                expression.items(Word::And, &items, depth, "return ");
            }
        }
        expression.text()
    }

    /// The same for a node that is a function of its own.
    pub(crate) fn of_node(ir: &'i Ir, split: &'i Split, depth: usize, id: NodeId) -> String {
        let mut expression = Expression { ir, split, lines: Vec::new() };
        expression.whole(id, depth, "return ", true);
        expression.text()
    }

    /// The same for a group of a node's operands.
    pub(crate) fn of_part(ir: &'i Ir, split: &'i Split, depth: usize, node: &Node, part: Range<usize>) -> String {
        let mut expression = Expression { ir, split, lines: Vec::new() };
        let mut items = Vec::new();
        let word = Word::of(node).unwrap_or(Word::And);
        expression.flatten(word, operands(node).get(part).unwrap_or(&[]), &mut items);
        expression.items(word, &items, depth, "return ");
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

    /// A node where it is used, behind `word`: `return`, `and`, `or`, perhaps with a `not`. `alone`: nothing else is in
    /// its parentheses, or in its `return`.
    fn node(&mut self, id: NodeId, depth: usize, word: &str, alone: bool) {
        if self.split.is_function(id) {
            self.line(depth, word, &format!("nodes[{}](e)", id.0), String::new());
        } else {
            self.whole(id, depth, word, alone);
        }
    }

    /// A node written out. Recurses only into nodes that are no functions of their own: as deep as [`Split`] lets a
    /// function be.
    fn whole(&mut self, id: NodeId, depth: usize, word: &str, alone: bool) {
        match self.ir.node(id) {
            None => self.line(depth, word, "false", String::new()),
            Some(Node::Constant(value)) => self.line(depth, word, &value.to_string(), String::new()),
            Some(Node::Atom(atom)) => self.atom(*atom, depth, word),
            Some(Node::Not(operand)) => self.node(*operand, depth, &format!("{word}not "), false),
            Some(node @ (Node::And(operands) | Node::Or(operands))) => {
                let mut items = Vec::new();
                let kind = Word::of(node).unwrap_or(Word::And);
                match self.split.parts(id) {
                    [] => self.flatten(kind, operands, &mut items),
                    parts => items.extend(parts.iter().map(|part| Item::Part(part_name(id, part)))),
                }
                if alone || items.len() == self.calls_at(&items) {
                    return self.items(kind, &items, depth, word);
                }
                self.line(depth, word, "(", String::new());
                self.items(kind, &items, depth + 2, "");
                self.line(depth, "", ")", String::new());
            }
        }
    }

    /// The operands of a junction; those of the same word within it are its own.
    fn flatten(&self, word: Word, operands: &[NodeId], items: &mut Vec<Item>) {
        for operand in operands {
            match self.written(*operand) {
                Some(Node::Atom(atom)) => items.push(Item::Atom(*atom)),
                Some(node @ (Node::And(operands) | Node::Or(operands))) if Word::of(node) == Some(word) => {
                    self.flatten(word, operands, items);
                }
                _ => items.push(Item::Node(*operand)),
            }
        }
    }

    /// How many of the first items go into one call of the host.
    fn calls_at(&self, items: &[Item]) -> usize {
        let hosted = |item: &&Item| match item {
            Item::Atom(id) => self.ir.atom(*id).is_some_and(|atom| in_frame(atom, &self.ir.layout).is_none()),
            Item::Node(_) | Item::Part(_) => false,
        };
        items.iter().take(MOST_ATOMS).take_while(hosted).count()
    }

    /// The items with the word between them.
    fn items(&mut self, kind: Word, items: &[Item], depth: usize, first: &str) {
        let mut index = 0;
        while let Some(item) = items.get(index) {
            let (depth, word) = match (index, first) {
                (0, _) => (depth, first),
                (_, "") => (depth, kind.between()),
                _ => (depth + 2, kind.between()),
            };
            let together = self.calls_at(items.get(index..).unwrap_or(&[]));
            if together > 1 {
                let end = index + together;
                self.call(kind, items.get(index..end).unwrap_or(&[]), depth, word);
                index = end;
                continue;
            }
            match item {
                Item::Atom(atom) => self.atom(*atom, depth, word),
                Item::Node(node) => self.node(*node, depth, word, items.len() == 1),
                Item::Part(name) => self.line(depth, word, &format!("nodes[{name:?}](e)"), String::new()),
            }
            index += 1;
        }
    }

    /// One call for several atoms, each on a line.
    fn call(&mut self, kind: Word, items: &[Item], depth: usize, word: &str) {
        self.line(depth, word, kind.call(), String::new());
        for (index, item) in items.iter().enumerate() {
            let Item::Atom(id) = item else { continue };
            let sign = if index + 1 == items.len() { ")" } else { "," };
            let meaning = self.ir.atom(*id).map(|atom| describe(atom, &self.ir.layout)).unwrap_or_default();
            self.line(depth + 4, "", &format!("{}{sign}", id.0), meaning);
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

/// An operand of a junction.
enum Item {
    Atom(AtomId),
    Node(NodeId),
    /// A function that holds several operands.
    Part(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    And,
    Or,
}

impl Word {
    fn of(node: &Node) -> Option<Word> {
        match node {
            Node::And(_) => Some(Word::And),
            Node::Or(_) => Some(Word::Or),
            _ => None,
        }
    }

    fn between(self) -> &'static str {
        match self {
            Word::And => "and ",
            Word::Or => "or ",
        }
    }

    fn call(self) -> &'static str {
        match self {
            Word::And => "all(e,",
            Word::Or => "any(e,",
        }
    }
}

/// The name of the function that holds a group of a node's operands.
pub(crate) fn part_name(id: NodeId, part: &Range<usize>) -> String {
    format!("{} from {}", id.0, part.start)
}
