//! sigma-rust: one Sigma rule after the other over an event with flat keys; and Sigma's text form, which rsigma reads too.
//!
//! It compares no lists: here the arguments are one text with a `|` before and behind each, and an element is looked for
//! with its bars. No argument has a bar.

use std::time::Instant;

use anyhow::{Result, anyhow};
use sigma_rust::{Event, Rule as SigmaRule, rule_from_yaml};

use super::{Engine, Given, Ready, Set, Sets};
use crate::rules::{Field, How, Rule, Test};

struct Sigma {
    rules: Vec<SigmaRule>,
    events: Sets<Event>,
}

/// How a rule is written as Sigma.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// Whether case counts; Sigma's own default is that it does not.
    pub cased: bool,
    /// Whether lists are compared by element; otherwise as one text with bars.
    pub lists: bool,
}

/// The engine's rules.
///
/// # Errors
/// When it refuses a rule.
pub fn load(given: Given<'_>) -> Result<Ready> {
    let form = Form { cased: true, lists: false };
    let texts: Vec<String> =
        given.rules.iter().enumerate().map(|(number, rule)| document(number, rule, form)).collect();
    let start = Instant::now();
    let rules: Result<Vec<SigmaRule>> =
        texts.iter().map(|text| rule_from_yaml(text).map_err(|error| anyhow!("{error}"))).collect();
    let rules = rules?;
    let load = start.elapsed();
    let events = given.convert(|event| {
        let mut flat = Event::new();
        flat.insert(Field::Name.name(), event.name.clone());
        flat.insert(Field::Executable.name(), event.executable.clone());
        flat.insert(Field::CommandLine.name(), event.command_line());
        flat.insert(Field::Args.name(), format!("|{}|", event.args.join("|")));
        flat.insert(Field::ParentName.name(), event.parent.clone());
        flat
    });
    Ok(Ready { name: "sigma-rust".to_owned(), from: "decoded values", load, engine: Box::new(Sigma { rules, events }) })
}

impl Engine for Sigma {
    fn run(&mut self, set: Set, count: usize, hit: &mut dyn FnMut(u32, u32)) -> Result<()> {
        for (number, event) in self.events.first(set, count).iter().enumerate() {
            for (rule, sigma) in self.rules.iter().enumerate() {
                if sigma.is_match(event) {
                    hit(number as u32, rule as u32);
                }
            }
        }
        Ok(())
    }
}

/// A rule as Sigma.
pub fn document(number: usize, rule: &Rule, form: Form) -> String {
    let mut detections = String::new();
    let mut count = 0;
    let mut add = |test: &Test| {
        count += 1;
        let barred = test.field == Field::Args && !form.lists;
        let modifier = match test.how {
            How::Is if barred => "|contains",
            How::Is | How::InOrder => "",
            How::Starts => "|startswith",
            How::Ends => "|endswith",
            How::Contains => "|contains",
        };
        let cased = if form.cased { "|cased" } else { "" };
        detections += &format!("  t{count}:\n    {}{modifier}{cased}:\n", test.field.name());
        for text in &test.texts {
            let text = match test.how {
                How::InOrder => format!("*{text}*"),
                _ if barred => format!("|{text}|"),
                _ => text.clone(),
            };
            detections += &format!("    - '{text}'\n");
        }
        format!("t{count}")
    };
    let mut terms: Vec<String> = rule.all.iter().map(&mut add).collect();
    if !rule.any.is_empty() {
        terms.push(format!("({})", rule.any.iter().map(&mut add).collect::<Vec<_>>().join(" or ")));
    }
    let condition = terms.join(" and ");
    format!(
        "title: Rule {number}\nid: rule-{number}\nlogsource:\n  product: linux\n  category: process_creation\n\
         detection:\n{detections}  condition: {condition}\nlevel: low\n"
    )
}
