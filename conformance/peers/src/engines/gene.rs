//! gene: rules that are kept by kind of event, events as a structure with the derived getters.
//!
//! It has no operators for parts of texts: those are regular expressions, anchored where they are.

use std::borrow::Cow;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use gene::{Compiler, Engine as Scanner, Event, FieldGetter, FieldNameIterator, FieldValue};
use gene_derive::{Event, FieldGetter};

use super::{Engine, Given, Ready, Set, Sets};
use crate::rules::{How, Rule, Test};

#[derive(FieldGetter)]
struct Parent {
    name: String,
}

#[derive(FieldGetter)]
struct Process {
    name: String,
    executable: String,
    command_line: String,
    args: Vec<String>,
    parent: Parent,
}

#[derive(Event, FieldGetter)]
#[event(id = 1, source = Cow::from("linux"))]
struct Start {
    process: Process,
}

struct Gene {
    engine: Scanner,
    events: Sets<Start>,
}

/// The engine with rules that match on one kind of event.
///
/// # Errors
/// When it refuses a rule.
pub fn load(given: Given<'_>) -> Result<Ready> {
    let text = given.rules.iter().enumerate().map(|(number, rule)| document(number, rule)).collect::<Vec<_>>();
    let text = text.join("---\n");
    let start = Instant::now();
    let mut compiler = Compiler::new();
    compiler.load_rules_from_str(&text).map_err(|error| anyhow!("gene: {error}"))?;
    let engine = Scanner::try_from(compiler).map_err(|error| anyhow!("gene: {error}"))?;
    let load = start.elapsed();
    let events = given.convert(|event| Start {
        process: Process {
            name: event.name.clone(),
            executable: event.executable.clone(),
            command_line: event.command_line(),
            args: event.args.clone(),
            parent: Parent { name: event.parent.clone() },
        },
    });
    Ok(Ready { name: "gene".to_owned(), from: "decoded values", load, engine: Box::new(Gene { engine, events }) })
}

impl Engine for Gene {
    fn run(&mut self, set: Set, count: usize, hit: &mut dyn FnMut(u32, u32)) -> Result<()> {
        for (number, event) in self.events.first(set, count).iter().enumerate() {
            let result = self.engine.scan(event).map_err(|failed| anyhow!("gene: {}", failed.1))?;
            if let Some(found) = result.detection.get_include() {
                for rule in &found.rules {
                    hit(number as u32, rule.strip_prefix("rule-").unwrap_or(rule).parse().context("a rule's number")?);
                }
            }
        }
        Ok(())
    }
}

fn document(number: usize, rule: &Rule) -> String {
    let mut matches = String::new();
    let mut variables = 0;
    let mut add = |test: &Test| {
        let names: Vec<String> = expressions(test)
            .into_iter()
            .map(|expression| {
                variables += 1;
                matches += &format!("    $v{variables}: .{} {expression}\n", test.field.name());
                format!("$v{variables}")
            })
            .collect();
        if names.len() == 1 { names.concat() } else { format!("({})", names.join(" or ")) }
    };
    let mut terms: Vec<String> = rule.all.iter().map(&mut add).collect();
    if !rule.any.is_empty() {
        terms.push(format!("({})", rule.any.iter().map(&mut add).collect::<Vec<_>>().join(" or ")));
    }
    let condition = terms.join(" and ");
    format!(
        "name: rule-{number}\nmatch-on:\n    events:\n        linux: [1]\nmatches:\n{matches}condition: {condition}\n"
    )
}

fn expressions(test: &Test) -> Vec<String> {
    let regex = |before: &str, text: &str, after: &str| {
        let literal = text.replace('.', "\\.").replace('*', ".*");
        format!("~= '{before}{literal}{after}'")
    };
    let each = test.texts.iter();
    match test.how {
        How::Is => each.map(|text| format!("== '{text}'")).collect(),
        How::Starts => each.map(|text| regex("^", text, "")).collect(),
        How::Ends => each.map(|text| regex("", text, "$")).collect(),
        How::Contains | How::InOrder => each.map(|text| regex("", text, "")).collect(),
    }
}
