//! tau-engine: one rule after the other, each with all of its optimisations; events as a structure that knows its keys.

use std::borrow::Cow;
use std::time::Instant;

use anyhow::{Result, anyhow};
use tau_engine::{Document, Optimisations, Rule as Tagger, Value};

use super::{Engine, Given, Ready, Set, Sets};
use crate::rules::{How, Rule, Test};

struct Start {
    name: String,
    executable: String,
    command_line: String,
    args: Vec<String>,
    parent: String,
}

impl Document for Start {
    fn find(&self, key: &str) -> Option<Value<'_>> {
        let text = match key {
            "process.name" => &self.name,
            "process.executable" => &self.executable,
            "process.command_line" => &self.command_line,
            "process.parent.name" => &self.parent,
            "process.args" => return Some(Value::Array(&self.args)),
            _ => return None,
        };
        Some(Value::String(Cow::Borrowed(text)))
    }
}

struct Tau {
    rules: Vec<Tagger>,
    events: Sets<Start>,
}

/// The engine's rules, optimised.
///
/// # Errors
/// When it refuses a rule.
pub fn load(given: Given<'_>) -> Result<Ready> {
    let texts: Vec<String> = given.rules.iter().map(document).collect();
    let start = Instant::now();
    let rules: Result<Vec<Tagger>> = texts
        .iter()
        .map(|text| Ok(Tagger::from_str(text).map_err(|error| anyhow!("{error}"))?.optimise(Optimisations::default())))
        .collect();
    let rules = rules?;
    let load = start.elapsed();
    let events = given.convert(|event| Start {
        name: event.name.clone(),
        executable: event.executable.clone(),
        command_line: event.command_line(),
        args: event.args.clone(),
        parent: event.parent.clone(),
    });
    Ok(Ready { name: "tau-engine".to_owned(), from: "decoded values", load, engine: Box::new(Tau { rules, events }) })
}

impl Engine for Tau {
    fn run(&mut self, set: Set, count: usize, hit: &mut dyn FnMut(u32, u32)) -> Result<()> {
        for (event, start) in self.events.first(set, count).iter().enumerate() {
            for (number, rule) in self.rules.iter().enumerate() {
                if rule.matches(start) {
                    hit(event as u32, number as u32);
                }
            }
        }
        Ok(())
    }
}

fn document(rule: &Rule) -> String {
    let mut identifiers = String::new();
    let mut count = 0;
    let mut add = |test: &Test| {
        count += 1;
        identifiers += &format!("  T{count}:\n    {}:\n", test.field.name());
        for text in &test.texts {
            let text = match test.how {
                How::Is => text.clone(),
                How::Starts => format!("{text}*"),
                How::Ends => format!("*{text}"),
                How::Contains => format!("*{text}*"),
                How::InOrder => format!("?{}", text.replace('.', "\\.").replace('*', ".*")),
            };
            identifiers += &format!("    - '{text}'\n");
        }
        format!("T{count}")
    };
    let mut terms: Vec<String> = rule.all.iter().map(&mut add).collect();
    if !rule.any.is_empty() {
        terms.push(format!("({})", rule.any.iter().map(&mut add).collect::<Vec<_>>().join(" or ")));
    }
    let condition = terms.join(" and ");
    format!("detection:\n{identifiers}  condition: {condition}\ntrue_positives: []\ntrue_negatives: []\n")
}
