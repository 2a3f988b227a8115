//! Printing a whole IR, entry by entry.

use std::fmt::Write;

use super::{function_name, quote, span_text};
use crate::layout::{FieldId, Layout};
use crate::model::{
    Arithmetic, Atom, Comparison, Constant, Ir, Key, LineageFields, Node, Order, Pipe, Program, Rule, RuleKind, Step,
    StringMatch, Value,
};

/// The text form of an IR. [`parse`](super::parse) gives back an equal one.
pub fn print(ir: &Ir) -> String {
    let mut out = String::from("# kestrel ir\n");
    for (id, field) in ir.layout.iter() {
        let _ = write!(out, "field f{} ", id.0);
        field_name(&field.name, &mut out);
        let _ = write!(out, " : {}", field.field_type);
        if let Some(parent) = field.parent {
            let _ = write!(out, " in f{}", parent.0);
        }
        out.push('\n');
    }
    if let Some(LineageFields { entity, parent, ancestry, event_type }) = ir.lineage {
        let _ = writeln!(
            out,
            "lineage entity f{} parent f{} ancestry f{} type f{}",
            entity.0, parent.0, ancestry.0, event_type.0
        );
    }
    for (index, atom) in ir.atoms.iter().enumerate() {
        let _ = write!(out, "atom a{index} = ");
        print_atom(atom, &ir.layout, &mut out);
        out.push('\n');
    }
    for (index, value) in ir.values.iter().enumerate() {
        let _ = write!(out, "value v{index} = ");
        print_value(value, &ir.layout, &mut out);
        out.push('\n');
    }
    for (index, node) in ir.nodes.iter().enumerate() {
        let _ = write!(out, "node n{index} = ");
        print_node(node, &mut out);
        out.push('\n');
    }
    for (index, predicate) in ir.predicates.iter().enumerate() {
        let _ = match predicate.category {
            Some(category) => writeln!(out, "predicate p{index} = a{} where n{}", category.0, predicate.root.0),
            None => writeln!(out, "predicate p{index} = any where n{}", predicate.root.0),
        };
    }
    for (index, program) in ir.programs.iter().enumerate() {
        let _ = write!(out, "program g{index} = ");
        print_program(program, &mut out);
        out.push('\n');
    }
    for rule in &ir.rules {
        print_rule(rule, &mut out);
    }
    out
}

fn field_name(name: &str, out: &mut String) {
    let plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '@' | '-');
    if !name.is_empty() && name.chars().all(plain) {
        out.push_str(name);
    } else {
        quote(name, out);
    }
}

/// A comment with the name of a field.
fn name_comment(layout: &Layout, field: FieldId, out: &mut String) {
    if let Some(field) = layout.get(field) {
        out.push_str("  # ");
        field_name(&field.name, out);
    }
}

fn print_atom(atom: &Atom, layout: &Layout, out: &mut String) {
    let field = match atom {
        Atom::Present { field } => {
            let _ = write!(out, "f{} present", field.0);
            field
        }
        Atom::Boolean { field, value } => {
            let _ = write!(out, "f{} is {value}", field.0);
            field
        }
        Atom::Strings { field, matching, fold, strings } => {
            let _ = write!(out, "f{} {} ", field.0, matching_word(*matching, *fold));
            print_strings(strings, out);
            field
        }
        Atom::StringOrder { field, order, value } => {
            let _ = write!(out, "f{} {} ", field.0, order_word(*order));
            quote(value, out);
            field
        }
        Atom::Integers { field, values } => {
            let _ = write!(out, "f{} in ", field.0);
            print_list(values, out);
            field
        }
        Atom::IntegerOrder { field, order, value } => {
            let _ = write!(out, "f{} {} {value}", field.0, order_word(*order));
            field
        }
        Atom::FloatOrder { field, comparison, value } => {
            let _ = write!(out, "f{} {} {value:?}", field.0, comparison_word(*comparison));
            field
        }
        Atom::Cidr { field, blocks } => {
            let _ = write!(out, "f{} cidr ", field.0);
            print_list(blocks, out);
            field
        }
        Atom::VersionOrder { field, comparison, value } => {
            let _ = write!(out, "f{} version {} ", field.0, comparison_word(*comparison));
            quote(value, out);
            field
        }
        Atom::Compute { value } => {
            let _ = write!(out, "value v{}", value.0);
            return;
        }
        Atom::AnyObject { object, condition } => {
            let _ = write!(out, "any f{} where n{}", object.0, condition.0);
            object
        }
        Atom::Lineage { relation, predicate } => {
            let _ = write!(out, "{} p{}", relation.text(), predicate.0);
            return;
        }
    };
    name_comment(layout, *field, out);
}

fn print_value(value: &Value, layout: &Layout, out: &mut String) {
    let _ = match value {
        Value::Constant(Constant::Null) => write!(out, "null"),
        Value::Constant(Constant::Boolean(value)) => write!(out, "{value}"),
        Value::Constant(Constant::Integer(value)) => write!(out, "{value}"),
        Value::Constant(Constant::Float(value)) => write!(out, "{value:?}"),
        Value::Constant(Constant::String(text)) => {
            quote(text, out);
            Ok(())
        }
        Value::Field(field) => {
            let _ = write!(out, "f{}", field.0);
            name_comment(layout, *field, out);
            Ok(())
        }
        Value::StepField { step, field } => {
            let _ = write!(out, "step {step} f{}", field.0);
            name_comment(layout, *field, out);
            Ok(())
        }
        Value::Negate(value) => write!(out, "negate v{}", value.0),
        Value::Arithmetic { operation, left, right } => {
            write!(out, "v{} {} v{}", left.0, arithmetic_word(*operation), right.0)
        }
        Value::Compare { comparison, left, right } => {
            write!(out, "v{} {} v{}", left.0, comparison_word(*comparison), right.0)
        }
        Value::Matches { matching, fold, input, strings } => {
            let _ = write!(out, "v{} {} ", input.0, matching_word(*matching, *fold));
            print_strings(strings, out);
            Ok(())
        }
        Value::IsNull(value) => write!(out, "isnull v{}", value.0),
        Value::NotNull(value) => write!(out, "notnull v{}", value.0),
        Value::Condition(node) => write!(out, "when n{}", node.0),
        Value::Call { function, fold, arguments } => {
            let _ = write!(out, "call {}{}", function_name(*function), if *fold { "~" } else { "" });
            arguments.iter().try_for_each(|argument| write!(out, " v{}", argument.0))
        }
    };
}

fn print_node(node: &Node, out: &mut String) {
    let (word, branches) = match node {
        Node::Constant(value) => {
            let _ = write!(out, "{value}");
            return;
        }
        Node::Atom(atom) => {
            let _ = write!(out, "a{}", atom.0);
            return;
        }
        Node::Not(node) => {
            let _ = write!(out, "not n{}", node.0);
            return;
        }
        Node::And(branches) => ("and", branches),
        Node::Or(branches) => ("or", branches),
    };
    out.push_str(word);
    for branch in branches {
        let _ = write!(out, " n{}", branch.0);
    }
}

fn print_rule(rule: &Rule, out: &mut String) {
    out.push_str("rule ");
    quote(&rule.id, out);
    match &rule.kind {
        RuleKind::Event { predicate } => {
            let _ = write!(out, " = event p{}", predicate.0);
        }
        RuleKind::Sequence(sequence) => {
            out.push_str(" = sequence");
            if let Some(maxspan) = sequence.maxspan {
                let _ = write!(out, " maxspan {}", span_text(maxspan));
            }
            out.push_str(" {\n");
            sequence.steps.iter().for_each(|step| print_step("step", step, out));
            sequence.until.iter().for_each(|until| print_step("until", until, out));
            out.push('}');
        }
        RuleKind::Sample { terms } => {
            out.push_str(" = sample {\n");
            terms.iter().for_each(|term| print_step("step", term, out));
            out.push('}');
        }
    }
    if let Some(program) = rule.program {
        let _ = write!(out, " program g{}", program.0);
    }
    for pipe in &rule.pipes {
        let _ = match pipe {
            Pipe::Head(count) | Pipe::Tail(count) => write!(out, " | {} {count}", pipe.name()),
            Pipe::Filter(node) => write!(out, " | filter n{}", node.0),
            _ => {
                let values: Vec<String> = pipe.values().iter().map(|value| format!(" v{}", value.0)).collect();
                write!(out, " | {}{}", pipe.name(), values.join(","))
            }
        };
    }
    out.push('\n');
}

fn print_program(program: &Program, out: &mut String) {
    let Program { name, language, fields, capabilities, limits } = program;
    let _ = write!(out, "{} ", language.name());
    quote(name, out);
    let fields: Vec<String> = fields.iter().map(|field| format!("f{}", field.0)).collect();
    out.push_str(" fields ");
    print_list(&fields, out);
    out.push_str(" capabilities ");
    print_list(capabilities, out);
    for (word, limit) in
        [("instructions", limits.instructions), ("memory", limits.memory), ("host_work", limits.host_work)]
    {
        if let Some(limit) = limit {
            let _ = write!(out, " {word} {limit}");
        }
    }
}

fn print_step(word: &str, step: &Step, out: &mut String) {
    let word = match (word, step.missing) {
        ("step", true) => "missing",
        ("until", true) => "until missing",
        _ => word,
    };
    let _ = write!(out, "  {word} p{}", step.predicate.0);
    if let Some(joined) = step.joined {
        let _ = write!(out, " joined n{}", joined.0);
    }
    for (index, key) in step.keys.iter().enumerate() {
        out.push_str(if index == 0 { " by " } else { ", " });
        print_key(*key, out);
    }
    out.push('\n');
}

fn print_key(key: Key, out: &mut String) {
    let _ = match key.field {
        Some(field) => write!(out, "f{}", field.0),
        None => write!(out, "null"),
    };
    if key.optional {
        out.push('?');
    }
}

/// A list of strings in brackets.
pub(super) fn print_strings(strings: &[String], out: &mut String) {
    out.push('[');
    for (index, string) in strings.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        quote(string, out);
    }
    out.push(']');
}

/// A list of numbers or blocks in brackets.
pub(super) fn print_list<T: std::fmt::Display>(list: &[T], out: &mut String) {
    out.push('[');
    for (index, item) in list.iter().enumerate() {
        let separator = if index > 0 { ", " } else { "" };
        let _ = write!(out, "{separator}{item}");
    }
    out.push(']');
}

/// `exact`, `wildcard~` and their like.
pub(super) fn matching_word(matching: StringMatch, fold: bool) -> &'static str {
    match (matching, fold) {
        (StringMatch::Exact, false) => "exact",
        (StringMatch::Exact, true) => "exact~",
        (StringMatch::Wildcard, false) => "wildcard",
        (StringMatch::Wildcard, true) => "wildcard~",
        (StringMatch::Regex, false) => "regex",
        (StringMatch::Regex, true) => "regex~",
    }
}

/// `<` and its like.
pub(super) fn order_word(order: Order) -> &'static str {
    match order {
        Order::Less => "<",
        Order::LessEqual => "<=",
        Order::Greater => ">",
        Order::GreaterEqual => ">=",
    }
}

/// `==` and its like.
pub(super) fn comparison_word(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "==",
        Comparison::NotEqual => "!=",
        Comparison::Ordered(order) => order_word(order),
    }
}

/// `+` and its like.
pub(super) fn arithmetic_word(operation: Arithmetic) -> &'static str {
    match operation {
        Arithmetic::Add => "+",
        Arithmetic::Subtract => "-",
        Arithmetic::Multiply => "*",
        Arithmetic::Divide => "/",
        Arithmetic::Modulo => "%",
    }
}
