//! The readable form: one rule with all that it uses written out, names instead of ids.
//!
//! In: an IR and an id, verified or not. Out: text for people, which does not parse back. What several places share is
//! printed at each, up to about 1 MiB and [`MAX_DEPTH`] levels; where it stops there is `…`.
//!
//! ```text
//! rule "id": sequence with maxspan=5m
//!   [0] category of event.category exact ["process"]
//!       all of
//!         process.name exact~ ["bash", "sh"]
//!         not length(process.args) > 3
//!       by process.entity_id
//! ```

use std::fmt::Write;

use super::print::{arithmetic_word, comparison_word, matching_word, order_word, print_list, print_strings};
use super::{function_name, quote, span_text};
use crate::layout::FieldId;
use crate::model::{
    Atom, AtomId, Constant, Ir, Node, NodeId, Pipe, PredicateId, RuleIndex, RuleKind, Sequence, Step, Value, ValueId,
};
use crate::verify::MAX_DEPTH;

/// The length in bytes beyond which no more is printed.
const MAX_OUTPUT: usize = 1 << 20;

/// The readable form of one rule. Empty when there is no such rule.
pub fn print_rule(ir: &Ir, rule: RuleIndex) -> String {
    let mut printer = Printer::new(ir);
    if let Some(rule) = ir.rules.get(rule.index()) {
        printer.out.push_str("rule ");
        quote(&rule.id, &mut printer.out);
        match &rule.kind {
            RuleKind::Event { predicate } => {
                printer.out.push_str(": event\n");
                printer.predicate(*predicate, 1);
            }
            RuleKind::Sequence(sequence) => printer.sequence(sequence),
            RuleKind::Sample { terms } => {
                printer.out.push_str(": sample\n");
                terms.iter().enumerate().for_each(|(index, term)| printer.step(&format!("[{index}] "), term));
            }
        }
        if let Some(program) = rule.program.and_then(|program| ir.program(program)) {
            printer.out.push_str("  program ");
            quote(&program.name, &mut printer.out);
            printer.out.push('\n');
        }
        for pipe in &rule.pipes {
            let _ = match pipe {
                Pipe::Head(count) | Pipe::Tail(count) => writeln!(printer.out, "| {} {count}", pipe.name()),
                Pipe::Filter(node) => {
                    printer.out.push_str("| filter ");
                    printer.inline_node(*node, 0);
                    writeln!(printer.out)
                }
                _ => {
                    let _ = write!(printer.out, "| {}", pipe.name());
                    for (index, value) in pipe.values().iter().enumerate() {
                        printer.out.push_str(if index == 0 { " " } else { ", " });
                        printer.value(*value, 0);
                    }
                    writeln!(printer.out)
                }
            };
        }
    }
    printer.out
}

/// The readable form of one predicate, indented by two spaces a level.
pub fn predicate_expression(ir: &Ir, predicate: PredicateId) -> String {
    let mut printer = Printer::new(ir);
    printer.predicate(predicate, 0);
    printer.out
}

/// The readable form of one atom, on one line.
pub fn atom_expression(ir: &Ir, atom: AtomId) -> String {
    let mut printer = Printer::new(ir);
    printer.atom(atom, 0);
    printer.out
}

struct Printer<'i> {
    ir: &'i Ir,
    out: String,
}

impl Printer<'_> {
    fn new(ir: &Ir) -> Printer<'_> {
        Printer { ir, out: String::new() }
    }

    fn sequence(&mut self, sequence: &Sequence) {
        self.out.push_str(": sequence");
        if let Some(maxspan) = sequence.maxspan {
            let _ = write!(self.out, " with maxspan={}", span_text(maxspan));
        }
        self.out.push('\n');
        for (index, step) in sequence.steps.iter().enumerate() {
            let missing = if step.missing { "missing " } else { "" };
            self.step(&format!("[{index}] {missing}"), step);
        }
        if let Some(until) = &sequence.until {
            self.step("until ", until);
        }
    }

    fn step(&mut self, head: &str, step: &Step) {
        let _ = write!(self.out, "  {head}");
        self.predicate_category(step.predicate);
        self.out.push('\n');
        if let Some(predicate) = self.ir.predicate(step.predicate) {
            self.node(predicate.root, 3, 0);
        }
        if let Some(joined) = step.joined {
            self.line(3, "joined to earlier steps by");
            self.node(joined, 4, 0);
        }
        if !step.keys.is_empty() {
            self.indent(3);
            for (index, key) in step.keys.iter().enumerate() {
                self.out.push_str(if index == 0 { "by " } else { ", " });
                if key.optional {
                    self.out.push('?');
                }
                match key.field {
                    Some(field) => self.field(field),
                    None => self.out.push_str("(unknown to the schema)"),
                }
            }
            self.out.push('\n');
        }
    }

    fn predicate(&mut self, predicate: PredicateId, level: usize) {
        self.indent(level);
        self.predicate_category(predicate);
        self.out.push('\n');
        if let Some(predicate) = self.ir.predicate(predicate) {
            self.node(predicate.root, level + 1, 0);
        }
    }

    fn predicate_category(&mut self, predicate: PredicateId) {
        match self.ir.predicate(predicate).map(|predicate| predicate.category) {
            Some(Some(category)) => {
                self.out.push_str("category of ");
                self.atom(category, 0);
            }
            Some(None) => self.out.push_str("any category"),
            None => self.out.push('…'),
        }
    }

    fn line(&mut self, level: usize, text: &str) {
        self.indent(level);
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn indent(&mut self, level: usize) {
        self.out.extend(std::iter::repeat_n("  ", level.min(MAX_DEPTH as usize)));
    }

    fn is_full(&self, depth: u32) -> bool {
        depth > MAX_DEPTH || self.out.len() > MAX_OUTPUT
    }

    /// A node over as many lines as it needs.
    fn node(&mut self, id: NodeId, level: usize, depth: u32) {
        if self.is_full(depth) {
            return self.line(level, "…");
        }
        match self.ir.node(id) {
            Some(Node::And(branches)) => self.branches("all of", branches, level, depth),
            Some(Node::Or(branches)) => self.branches("any of", branches, level, depth),
            Some(Node::Not(operand)) if matches!(self.ir.node(*operand), Some(Node::And(_) | Node::Or(_))) => {
                self.line(level, "not");
                self.node(*operand, level + 1, depth + 1);
            }
            Some(Node::Atom(atom)) => match self.ir.atom(*atom) {
                Some(Atom::AnyObject { object, condition }) => {
                    self.indent(level);
                    self.out.push_str("any ");
                    self.field(*object);
                    self.out.push_str(" where\n");
                    self.node(*condition, level + 1, depth + 1);
                }
                _ => self.inline_line(id, level, depth),
            },
            _ => self.inline_line(id, level, depth),
        }
    }

    fn branches(&mut self, head: &str, branches: &[NodeId], level: usize, depth: u32) {
        self.line(level, head);
        for &branch in branches {
            if self.is_full(depth) {
                return self.line(level + 1, "…");
            }
            self.node(branch, level + 1, depth + 1);
        }
    }

    fn inline_line(&mut self, id: NodeId, level: usize, depth: u32) {
        self.indent(level);
        self.inline_node(id, depth);
        self.out.push('\n');
    }

    /// A node on one line.
    fn inline_node(&mut self, id: NodeId, depth: u32) {
        if self.is_full(depth) {
            return self.out.push('…');
        }
        match self.ir.node(id) {
            Some(Node::Constant(value)) => {
                let _ = write!(self.out, "{value}");
            }
            Some(Node::Atom(atom)) => self.atom(*atom, depth + 1),
            Some(Node::Not(operand)) => {
                self.out.push_str("not ");
                self.inline_node(*operand, depth + 1);
            }
            Some(Node::And(branches)) => self.inline_branches(" and ", branches, depth),
            Some(Node::Or(branches)) => self.inline_branches(" or ", branches, depth),
            None => self.out.push('…'),
        }
    }

    fn inline_branches(&mut self, separator: &str, branches: &[NodeId], depth: u32) {
        self.out.push('(');
        for (index, &branch) in branches.iter().enumerate() {
            if index > 0 {
                self.out.push_str(separator);
            }
            if self.is_full(depth) {
                self.out.push('…');
                break;
            }
            self.inline_node(branch, depth + 1);
        }
        self.out.push(')');
    }

    fn field(&mut self, field: FieldId) {
        match self.ir.layout.get(field) {
            // A name is quoted where it could be taken for something else.
            Some(field) if field.name.chars().any(|character| character.is_whitespace() || character.is_control()) => {
                quote(&field.name, &mut self.out);
            }
            Some(field) => self.out.push_str(&field.name),
            None => self.out.push('…'),
        }
    }

    fn atom(&mut self, id: AtomId, depth: u32) {
        let Some(atom) = self.ir.atom(id) else { return self.out.push('…') };
        if self.is_full(depth) {
            return self.out.push('…');
        }
        match atom {
            Atom::Present { field } => {
                self.field(*field);
                self.out.push_str(" present");
            }
            Atom::Boolean { field, value } => {
                self.field(*field);
                let _ = write!(self.out, " is {value}");
            }
            Atom::Strings { field, matching, fold, strings } => {
                self.field(*field);
                let _ = write!(self.out, " {} ", matching_word(*matching, *fold));
                print_strings(strings, &mut self.out);
            }
            Atom::StringOrder { field, order, value } => {
                self.field(*field);
                let _ = write!(self.out, " {} ", order_word(*order));
                quote(value, &mut self.out);
            }
            Atom::Integers { field, values } => {
                self.field(*field);
                self.out.push_str(" in ");
                print_list(values, &mut self.out);
            }
            Atom::IntegerOrder { field, order, value } => {
                self.field(*field);
                let _ = write!(self.out, " {} {value}", order_word(*order));
            }
            Atom::FloatOrder { field, comparison, value } => {
                self.field(*field);
                let _ = write!(self.out, " {} {value:?}", comparison_word(*comparison));
            }
            Atom::Cidr { field, blocks } => {
                self.field(*field);
                self.out.push_str(" cidr ");
                print_list(blocks, &mut self.out);
            }
            Atom::VersionOrder { field, comparison, value } => {
                self.field(*field);
                let _ = write!(self.out, " version {} ", comparison_word(*comparison));
                quote(value, &mut self.out);
            }
            Atom::Compute { value } => self.value(*value, depth + 1),
            Atom::AnyObject { object, condition } => {
                self.out.push_str("any ");
                self.field(*object);
                self.out.push_str(" where ");
                self.inline_node(*condition, depth + 1);
            }
            Atom::Lineage { relation, predicate } => {
                let _ = write!(self.out, "{} p{}", relation.text(), predicate.0);
            }
        }
    }

    fn value(&mut self, id: ValueId, depth: u32) {
        let Some(value) = self.ir.value(id) else { return self.out.push('…') };
        if self.is_full(depth) {
            return self.out.push('…');
        }
        match value {
            Value::Constant(constant) => self.constant(constant),
            Value::Field(field) => self.field(*field),
            Value::StepField { step, field } => {
                let _ = write!(self.out, "[{step}].");
                self.field(*field);
            }
            Value::Negate(operand) => {
                self.out.push('-');
                self.operand(*operand, depth);
            }
            Value::Arithmetic { operation, left, right } => {
                self.binary(*left, arithmetic_word(*operation), *right, depth);
            }
            Value::Compare { comparison, left, right } => {
                self.binary(*left, comparison_word(*comparison), *right, depth);
            }
            Value::Matches { matching, fold, input, strings } => {
                self.operand(*input, depth);
                let _ = write!(self.out, " {} ", matching_word(*matching, *fold));
                print_strings(strings, &mut self.out);
            }
            Value::IsNull(operand) => {
                self.operand(*operand, depth);
                self.out.push_str(" == null");
            }
            Value::NotNull(operand) => {
                self.operand(*operand, depth);
                self.out.push_str(" != null");
            }
            Value::Condition(node) => self.inline_node(*node, depth + 1),
            Value::Call { function, fold, arguments } => {
                let _ = write!(self.out, "{}{}(", function_name(*function), if *fold { "~" } else { "" });
                for (index, &argument) in arguments.iter().enumerate() {
                    if index > 0 {
                        self.out.push_str(", ");
                    }
                    if self.is_full(depth) {
                        self.out.push('…');
                        break;
                    }
                    self.value(argument, depth + 1);
                }
                self.out.push(')');
            }
        }
    }

    fn binary(&mut self, left: ValueId, operator: &str, right: ValueId, depth: u32) {
        self.operand(left, depth);
        let _ = write!(self.out, " {operator} ");
        self.operand(right, depth);
    }

    /// A value inside another, in parentheses unless it is one word or a call.
    fn operand(&mut self, id: ValueId, depth: u32) {
        let plain = matches!(
            self.ir.value(id),
            None | Some(Value::Constant(_) | Value::Field(_) | Value::StepField { .. } | Value::Call { .. })
        );
        if !plain {
            self.out.push('(');
        }
        self.value(id, depth + 1);
        if !plain {
            self.out.push(')');
        }
    }

    fn constant(&mut self, constant: &Constant) {
        let _ = match constant {
            Constant::Null => write!(self.out, "null"),
            Constant::Boolean(value) => write!(self.out, "{value}"),
            Constant::Integer(value) => write!(self.out, "{value}"),
            Constant::Float(value) => write!(self.out, "{value:?}"),
            Constant::String(text) => {
                quote(text, &mut self.out);
                Ok(())
            }
        };
    }
}
