//! python-eql: its own engine in a child process with its own watch; the same queries as Kestrel's, with its functions.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value as Json, json};

use super::{Engine, Given, Ready, Set};
use crate::rules::{Field, How, Rule, Test};

const PROGRAM: &str = include_str!("python_eql.py");

struct Python {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// The child with its rules and at most `most` events to measure by.
///
/// # Errors
/// When Python does not start, has no package of that name, or refuses a rule.
pub fn load(given: Given<'_>, python: &str, most: usize) -> Result<Ready> {
    let mut command = Command::new(python);
    command.args(["-c", PROGRAM]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("starting {python}"))?;
    let input = child.stdin.take().context("the child's input")?;
    let output = BufReader::new(child.stdout.take().context("the child's output")?);
    let mut python = Python { child, input, output };
    let rules: Vec<String> = given.rules.iter().map(query).collect();
    let ready = python.ask(&json!({ "rules": rules }))?;
    let documents =
        |events: &[crate::events::Event]| -> Vec<Json> { events.iter().map(|event| event.document()).collect() };
    let measure = &given.measure.events;
    let measure = &measure[..most.min(measure.len())];
    python.ask(&json!({ "check": documents(&given.check.events), "measure": documents(measure) }))?;
    let load = Duration::from_secs_f64(ready["load"].as_f64().context("the time that loading took")?);
    let name = format!("python-eql {}", ready["version"].as_str().unwrap_or(""));
    Ok(Ready { name, from: "decoded values", load, engine: Box::new(python) })
}

impl Python {
    fn ask(&mut self, question: &Json) -> Result<Json> {
        writeln!(self.input, "{question}").context("writing to Python")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("Python answered {line:?}"))
    }

    fn asked(&mut self, set: Set, count: usize) -> Result<(Duration, Vec<(u32, u32)>)> {
        let set = if set == Set::Check { "check" } else { "measure" };
        let answer = self.ask(&json!({ "run": set, "count": count }))?;
        let seconds = answer["seconds"].as_f64().context("the time of a run")?;
        Ok((Duration::from_secs_f64(seconds), serde_json::from_value(answer["hits"].clone())?))
    }
}

impl Engine for Python {
    fn run(&mut self, set: Set, count: usize, hit: &mut dyn FnMut(u32, u32)) -> Result<()> {
        self.asked(set, count)?.1.into_iter().for_each(|(event, rule)| hit(event, rule));
        Ok(())
    }

    fn pass(&mut self, count: usize) -> Result<(Duration, usize)> {
        self.asked(Set::Measure, count).map(|(time, hits)| (time, hits.len()))
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // The child is ours alone and holds nothing; whether it has ended already does not matter.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn query(rule: &Rule) -> String {
    let mut terms: Vec<String> = rule.all.iter().map(test).collect();
    if !rule.any.is_empty() {
        terms.push(format!("({})", rule.any.iter().map(test).collect::<Vec<_>>().join(" or ")));
    }
    format!("process where {}", terms.join(" and "))
}

fn test(test: &Test) -> String {
    let (field, texts) = (test.field.name(), test.texts.iter().map(|text| format!("\"{text}\"")).collect::<Vec<_>>());
    let texts = texts.join(", ");
    match test.how {
        How::Is if test.field == Field::Args => format!("arrayContains({field}, {texts})"),
        How::Is if test.texts.len() == 1 => format!("{field} == {texts}"),
        How::Is => format!("{field} in ({texts})"),
        How::Starts => format!("startsWith({field}, {texts})"),
        How::Ends => format!("endsWith({field}, {texts})"),
        How::Contains => format!("stringContains({field}, {texts})"),
        How::InOrder => format!("wildcard({field}, \"*{}*\")", test.texts.concat()),
    }
}
