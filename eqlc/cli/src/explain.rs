//! `eqlc explain`: what a rule needs, what it costs, and how far it came.
//!
//! In: a rule, and events if there are any. Out: text for people. What is said of a rule is read from its IR: the guards
//! that dispatch files it under, the kernel's filter. What is said of events is counted by the matcher that runs rules
//! everywhere, over an IR made for counting:
//!
//! ```text
//! step      ─▶ one rule for its category, one for each part that `and` joins, one for the whole
//! sequence  ─▶ one rule for each prefix: what completes it has come that far
//! ```

mod events;
mod nearest;
mod probe;
mod uses;

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use eqlc::compile::{self, Stage, compile_query};
use eqlc::rules::{Loaded, load_file};
use eqlc::syntax::Dialect;
use kestrel_engine::explain::condition;
use kestrel_engine::query::typing::define_from_data;
use kestrel_ir::guards::{self, Clause, Rank};
use kestrel_ir::model::{Atom, Ir, PredicateId, Rule, RuleKind, Step, StringMatch};
use kestrel_ir::pack::state_budget;
use kestrel_ir::text;
use kestrel_schema::{Schema, event_kinds};
use serde_json::{Value as Json, json};

use crate::inspect::{Output, worst_case};
use crate::report::{MessageFormat, report};
use crate::run::read_documents;
use events::Report;
use uses::Uses;

use crate::{DialectArgument, Outcome, SchemaArgument};

/// `eqlc explain`.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// A rule file.
    rule: PathBuf,
    /// Files of events, to count how far the rule comes in them.
    #[arg(long, num_args = 1, value_name = "FILE")]
    events: Vec<PathBuf>,
    /// Looks at one join key: its values, in the order of the rule's fields.
    #[arg(long, num_args = 1.., value_name = "VALUE", requires = "events", allow_negative_numbers = true)]
    key: Option<Vec<String>>,
    /// How it is printed. JSON has the conditions, and what the events came to.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    dialect: DialectArgument,
    #[command(flatten)]
    schema: SchemaArgument,
}

/// Explains a rule.
pub fn explain(arguments: &ExplainArguments, format: MessageFormat) -> anyhow::Result<Outcome> {
    let path = arguments.rule.display().to_string();
    let source = std::fs::read_to_string(&arguments.rule).with_context(|| format!("cannot read `{path}`"))?;
    let mut schema = arguments.schema.load()?;
    let file = load_file(&path, &source);
    report(format, &file.source, &file.diagnostics);
    let rule = match file.loaded {
        Loaded::Rule(rule) => rule,
        Loaded::Skipped { reason } => bail!("`{path}` holds no EQL rule: {reason}"),
        Loaded::Failed => return Ok(Outcome::Found),
    };
    let mut documents = Vec::new();
    for events in &arguments.events {
        read_documents(events, &mut documents)?;
    }
    if schema.dynamic() {
        define_from_data(&mut schema, &documents);
    }
    let dialect = rule.dialect_or(arguments.dialect.dialect());
    let (ir, diagnostics) = compile_query(&rule.query, &schema, dialect);
    report(format, &rule.source, &diagnostics);
    let Some(ir) = ir else { return Ok(Outcome::Found) };
    let key: Option<Vec<Json>> =
        arguments.key.as_ref().map(|values| values.iter().map(|value| Json::from(value.as_str())).collect());
    let over_events = match arguments.events.is_empty() {
        true => None,
        false => Report::new(&ir, &schema, &documents, key.as_deref())?,
    };
    let mut out = std::io::stdout().lock();
    if arguments.output == Output::Json {
        let conditions = ir.rules.first().map(|rule| condition::steps(&ir, rule)).unwrap_or_default();
        let explained = json!({
            "id": rule.id,
            "name": rule.name,
            "dialect": dialect.to_string(),
            "steps": conditions,
            "state": state_budget(&ir),
            "events": over_events.map(|report| report.json()),
        });
        writeln!(out, "{explained}")?;
        return Ok(Outcome::Done);
    }
    writeln!(out, "{}, in {dialect}: {}\n", rule.id, rule.name)?;
    if let Some(predicate) = &rule.predicate {
        let source = &predicate.source;
        writeln!(
            out,
            "The query selects events; the hand-written predicate `{source}` decides, which is not explained.\n"
        )?;
    }
    explain_rule(&mut out, &rule.query, &ir, &schema, dialect)?;
    if let Some(report) = over_events {
        writeln!(out)?;
        report.text(&mut out)?;
    }
    Ok(Outcome::Done)
}

/// What the query needs and costs.
pub fn explain_rule(
    out: &mut dyn Write,
    query: &str,
    ir: &Ir,
    schema: &Schema,
    dialect: Dialect,
) -> anyhow::Result<()> {
    let Some(rule) = ir.rules.first() else { return Ok(()) };
    needs(out, ir, rule, schema)?;
    // The kernel's side is told by the stage that makes it: the lines behind those of the kinds.
    let (pushed, _) = compile::show(Stage::Bpf, query, schema, dialect);
    let pushed = pushed.unwrap_or_default();
    let pushed: Vec<&str> =
        pushed.lines().filter(|line| !line.starts_with("keep ") && !line.starts_with("drop ")).collect();
    let guards = guards::analyze_all(ir);
    for (number, step) in steps(rule).into_iter().enumerate() {
        writeln!(out, "\n{}", step.name)?;
        indented(out, &text::predicate_expression(ir, step.predicate))?;
        match guards.get(step.predicate.index()) {
            Some(guard) if guard.is_never() => writeln!(out, "  dispatch  never: it can never be true")?,
            Some(guard) => {
                let filed = guards::filed_under(ir, guard);
                match filed {
                    None => {
                        writeln!(out, "  dispatch  asked for every event of its kind: nothing rarer can be looked up")?
                    }
                    Some(clause) => writeln!(out, "  dispatch  asked when {}", clause_text(ir, clause))?,
                }
                for clause in guard.clauses.iter().filter(|&clause| Some(clause) != filed) {
                    writeln!(out, "            must hold too: {}", clause_text(ir, clause))?;
                }
            }
            None => {}
        }
        if let Some(why) = pushed.get(number).and_then(|line| line.split_once(": ")) {
            writeln!(out, "  kernel    {}", why.1)?;
        }
        let rank = guards
            .get(step.predicate.index())
            .and_then(|guard| guards::filed_under(ir, guard))
            .map(|clause| clause.rank);
        costs(out, ir, &step, rank)?;
    }
    Ok(())
}

fn clause_text(ir: &Ir, clause: &Clause) -> String {
    let atoms: Vec<String> = clause.atoms.iter().map(|&atom| text::atom_expression(ir, atom)).collect();
    format!("{} ({})", shortened(&atoms, " or "), clause.rank)
}

/// The kinds and fields that the rule reads, and the state it keeps.
fn needs(out: &mut dyn Write, ir: &Ir, rule: &Rule, schema: &Schema) -> anyhow::Result<()> {
    let kinds = event_kinds();
    let wanted = guards::required_kinds(ir, kinds);
    let names = |live: bool| {
        let kinds = kinds.iter().filter(|kind| wanted.contains(&kind.id) && kind.live == live);
        kinds.map(|kind| kind.name.to_owned()).collect::<Vec<_>>()
    };
    writeln!(out, "needs")?;
    let (live, reserved) = (names(true), names(false));
    writeln!(
        out,
        "  events    {}",
        if live.is_empty() { "none that the live source has".to_owned() } else { live.join(", ") }
    )?;
    if !reserved.is_empty() {
        writeln!(out, "            not live yet: {}", shortened(&reserved, ", "))?;
    }
    let mut used = Uses::default();
    for step in steps(rule) {
        used.predicate(ir, step.predicate);
        if let Some(Step { keys, joined, .. }) = step.term {
            used.fields.extend(keys.iter().filter_map(|key| key.field).map(|field| ir.layout.name(field).to_owned()));
            joined.iter().for_each(|&node| used.node(ir, node));
        }
    }
    let fields: Vec<String> = used
        .fields
        .iter()
        .map(|name| match schema.lookup(name) {
            Some(info) => format!("{name} ({info})"),
            None => name.clone(),
        })
        .collect();
    writeln!(out, "  fields    {}", fields.join(", "))?;
    let filled = |name: &str| kinds.iter().any(|kind| wanted.contains(&kind.id) && kind.fields.contains(&name));
    let unfilled: Vec<String> = used.fields.iter().filter(|name| !filled(name)).cloned().collect();
    if !unfilled.is_empty() && !wanted.is_empty() {
        writeln!(out, "            no kind of these events has {}; other sources may", unfilled.join(", "))?;
    }
    match &rule.kind {
        RuleKind::Event { .. } => writeln!(out, "  state     none")?,
        RuleKind::Sequence(sequence) => {
            let (positive, missing) = (
                sequence.steps.iter().filter(|step| !step.missing).count(),
                sequence.steps.iter().filter(|step| step.missing).count(),
            );
            let span = match sequence.maxspan {
                Some(span) => format!("for {}", seconds(span)),
                None => "until it completes or the budget is used up (there is no `maxspan`)".to_owned(),
            };
            let keys = sequence.steps.first().map_or(0, |step| step.keys.len());
            let by = if keys == 0 {
                "one state for all events".to_owned()
            } else {
                format!("per key of {keys} {}", words(keys, "field"))
            };
            writeln!(
                out,
                "  state     {by}: at most {} partial {}, kept {span}",
                positive.saturating_sub(1).max(1),
                words(positive.saturating_sub(1).max(1), "match")
            )?;
            if missing > 0 {
                writeln!(out, "            a match waits until the time of its missing events has passed")?;
            }
        }
        RuleKind::Sample { terms } => {
            writeln!(out, "  state     per key: one event for each of {} filters", terms.len())?
        }
    }
    if let Some(worst) = state_budget(ir).worst_case {
        writeln!(out, "            worst case of a key: {}", worst_case(&worst))?;
    }
    Ok(())
}

/// What makes evaluating a step dear.
fn costs(out: &mut dyn Write, ir: &Ir, step: &Place<'_>, best: Option<Rank>) -> anyhow::Result<()> {
    let mut used = Uses::default();
    used.predicate(ir, step.predicate);
    let mut hints: Vec<String> = Vec::new();
    let (mut hashed, mut prefixes, mut scans, mut regexes, mut other) = (0, 0, 0, 0, 0);
    for &atom in &used.atoms {
        match ir.atom(atom) {
            Some(
                Atom::Strings { matching: StringMatch::Exact, .. }
                | Atom::Integers { .. }
                | Atom::Boolean { .. }
                | Atom::Present { .. },
            ) => hashed += 1,
            Some(Atom::Strings { matching: StringMatch::Wildcard, strings, .. }) => {
                let inner = strings.iter().filter(|pattern| pattern.starts_with('*') && pattern.ends_with('*')).count();
                scans += inner;
                prefixes += strings.len() - inner;
            }
            Some(Atom::Strings { matching: StringMatch::Regex, strings, .. }) => regexes += strings.len(),
            Some(Atom::Compute { .. } | Atom::AnyObject { .. } | Atom::Lineage { .. }) => other += 1,
            Some(_) => hashed += 1,
            None => {}
        }
    }
    let mut count = |number: usize, what: &str| {
        if number > 0 {
            hints.push(format!("{number} {}", words(number, what)));
        }
    };
    count(hashed, "look-up or comparison");
    count(prefixes, "pattern with a fixed end");
    count(scans, "pattern that searches the whole value");
    count(regexes, "regular expression");
    count(other, "computed test");
    writeln!(out, "  cost      {}", if hints.is_empty() { "nothing to test".to_owned() } else { hints.join(", ") })?;
    match best {
        None | Some(Rank::Worthless) => {
            writeln!(
                out,
                "            asked of all these events: an equality with a name, a path or an action would spare most of it"
            )?;
        }
        Some(Rank::Presence) => writeln!(out, "            asked of every event that has the field")?,
        _ => {}
    }
    if step.term.is_some_and(|term| term.joined.is_some()) {
        writeln!(out, "            compared with the events of earlier steps, for each open partial match")?;
    }
    Ok(())
}

/// How far a query comes in events.
pub fn explain_events(out: &mut dyn Write, ir: &Ir, schema: &Schema, documents: &[Vec<u8>]) -> anyhow::Result<()> {
    match Report::new(ir, schema, documents, None)? {
        Some(report) => report.text(out),
        None => Ok(()),
    }
}

/// A predicate's place in its rule.
struct Place<'i> {
    name: String,
    predicate: PredicateId,
    term: Option<&'i Step>,
}

/// The predicates of a rule in the order in which the kernel's side tells of them.
fn steps(rule: &Rule) -> Vec<Place<'_>> {
    let (terms, until): (&[Step], Option<&Step>) = match &rule.kind {
        RuleKind::Event { predicate } => {
            return vec![Place { name: "event".to_owned(), predicate: *predicate, term: None }];
        }
        RuleKind::Sequence(sequence) => (&sequence.steps, sequence.until.as_ref()),
        RuleKind::Sample { terms } => (terms, None),
    };
    let named = terms.iter().enumerate().map(|(index, term)| {
        let missing = if term.missing { ", a missing event" } else { "" };
        Place { name: format!("step {index}{missing}"), predicate: term.predicate, term: Some(term) }
    });
    let until = until.map(|term| Place { name: "until".to_owned(), predicate: term.predicate, term: Some(term) });
    named.chain(until).collect()
}

fn indented(out: &mut dyn Write, text: &str) -> std::io::Result<()> {
    text.lines().try_for_each(|line| writeln!(out, "  {}", cut(line, 140)))
}

/// The first few of many.
fn shortened(items: &[String], between: &str) -> String {
    const SHOWN: usize = 6;
    let shown: Vec<String> = items.iter().take(SHOWN).map(|item| cut(item, 140)).collect();
    let more = items.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("{between}{more} more") } else { String::new() };
    format!("{}{more}", shown.join(between))
}

fn cut(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}..", text.get(..end).unwrap_or("")),
        None => text.to_owned(),
    }
}

fn seconds(nanoseconds: i64) -> String {
    format!("{} s", nanoseconds as f64 / 1e9)
}

fn words(count: usize, word: &str) -> String {
    match (count, word) {
        (1, _) => word.to_owned(),
        (_, "match") => "matches".to_owned(),
        (_, "look-up or comparison") => "look-ups and comparisons".to_owned(),
        (_, "pattern with a fixed end") => "patterns with a fixed end".to_owned(),
        (_, "pattern that searches the whole value") => "patterns that search the whole value".to_owned(),
        (_, word) => format!("{word}s"),
    }
}
