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

use std::collections::{BTreeSet, HashSet};
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use eqlc::compile::{self, Stage, compile_query};
use eqlc::rules::{Loaded, load_file};
use eqlc::syntax::Dialect;
use kestrel_core::dispatch::Dispatch;
use kestrel_core::key::JoinKey;
use kestrel_core::matcher::{Matcher, MatcherOptions};
use kestrel_engine::query::typing::define_from_data;
use kestrel_engine::runtime::{RuntimeKind, RuntimeParts, create};
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::event_json::Decoder;
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::guards::{self, Clause, Rank};
use kestrel_ir::layout::FieldId;
use kestrel_ir::model::{
    Atom, AtomId, Ir, Node, NodeId, Predicate, PredicateId, Rule, RuleKind, Sequence, Step, StringMatch, Value, ValueId,
};
use kestrel_ir::text;
use kestrel_schema::{Schema, event_kinds};

use crate::report::{MessageFormat, report};
use crate::run::{evaluate, read_documents};
use crate::{DialectArgument, Outcome, SchemaArgument};

/// `eqlc explain`.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// A rule file.
    rule: PathBuf,
    /// Files of events, to count how far the rule comes in them.
    #[arg(long, num_args = 1, value_name = "FILE")]
    events: Vec<PathBuf>,
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
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}, in {dialect}: {}\n", rule.id, rule.name)?;
    if let Some(predicate) = &rule.predicate {
        let source = &predicate.source;
        writeln!(
            out,
            "The query selects events; the hand-written predicate `{source}` decides, which is not explained.\n"
        )?;
    }
    explain_rule(&mut out, &rule.query, &ir, &schema, dialect)?;
    if !arguments.events.is_empty() {
        writeln!(out)?;
        explain_events(&mut out, &ir, &schema, &documents)?;
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
                    None => writeln!(out, "  dispatch  asked for every event: no equality must hold")?,
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

/// How many events fulfil each part, and how far sequences come.
pub fn explain_events(out: &mut dyn Write, ir: &Ir, schema: &Schema, documents: &[Vec<u8>]) -> anyhow::Result<()> {
    let Some(rule) = ir.rules.first() else { return Ok(()) };
    let probe = Probe::new(ir, rule);
    let counts = probe.count(schema, documents)?;
    let at = |counts: &[usize], index: usize| counts.get(index).copied().unwrap_or(0);
    let result = evaluate(ir, RuntimeKind::Interp, None, schema, documents)?;
    let left_out = result.invalid.len();
    let note = if left_out > 0 { format!(", {left_out} left out as no events") } else { String::new() };
    writeln!(out, "{} events{note}", result.events)?;
    for line in &probe.lines {
        match line {
            Line::Heading(heading) => writeln!(out, "{heading}")?,
            Line::Asked(predicate) => {
                writeln!(out, "{:>10}  asked: dispatch let them through", at(&counts.asked, predicate.index()))?;
            }
            Line::Count { indent, label, rule, keys } => {
                let (matches, distinct) = (at(&counts.matches, *rule), at(&counts.keys, *rule));
                let keys = if *keys { format!(", {distinct} {}", words(distinct, "key")) } else { String::new() };
                writeln!(out, "{:>10}  {:indent$}{label}{keys}", matches, "")?;
            }
        }
    }
    writeln!(out, "{:>10}  {}", result.matches.len(), words(result.matches.len(), "match"))?;
    if probe.joined {
        writeln!(
            out,
            "(a step's events are counted without its comparison with earlier steps; how far sequences came is counted with it)"
        )?;
    }
    Ok(())
}

/// A line of the report over events.
enum Line {
    Heading(String),
    Asked(PredicateId),
    Count { indent: usize, label: String, rule: usize, keys: bool },
}

/// What was counted.
struct Counts {
    /// For each rule of the probe its matches.
    matches: Vec<usize>,
    /// For each rule of the probe the distinct keys of its matches.
    keys: Vec<usize>,
    /// For each predicate, for how many events dispatch asked it.
    asked: Vec<usize>,
}

/// An IR whose rules count.
struct Probe {
    ir: Ir,
    lines: Vec<Line>,
    joined: bool,
}

impl Probe {
    fn new(ir: &Ir, rule: &Rule) -> Probe {
        let mut probe = Probe { ir: Ir { rules: Vec::new(), ..ir.clone() }, lines: Vec::new(), joined: false };
        let always = probe.node(Node::Constant(true));
        for step in steps(rule) {
            probe.joined |= step.term.is_some_and(|term| term.joined.is_some());
            probe.lines.push(Line::Heading(step.name.clone()));
            let Some(Predicate { category, root }) = ir.predicate(step.predicate).cloned() else { continue };
            probe.lines.push(Line::Asked(step.predicate));
            let all = if category.is_some() { "events of the category" } else { "events" };
            probe.event(Predicate { category, root: always }, 0, all.to_owned());
            if let Some(Node::And(parts)) = ir.node(root) {
                for &part in parts {
                    let label = probe.label(part);
                    probe.event(Predicate { category, root: part }, 2, label);
                }
                probe.event(Predicate { category, root }, 0, "all of it".to_owned());
            } else {
                let label = probe.label(root);
                probe.event(Predicate { category, root }, 0, label);
            }
        }
        if let RuleKind::Sequence(sequence) = &rule.kind {
            probe.lines.push(Line::Heading("how far sequences came".to_owned()));
            let last = sequence.steps.iter().rposition(|step| !step.missing).unwrap_or(0);
            for (index, step) in sequence.steps.iter().enumerate().take(last) {
                if !step.missing {
                    let steps = sequence.steps.iter().take(index + 1).cloned().collect();
                    let kind = RuleKind::Sequence(Sequence { steps, ..sequence.clone() });
                    probe.rule(
                        kind,
                        0,
                        format!("{} step {index}", if index == 0 { "began with" } else { "reached" }),
                        !step.keys.is_empty(),
                    );
                }
            }
            if last + 1 < sequence.steps.len() {
                let steps = sequence.steps.iter().take(last + 1).cloned().collect();
                let kind = RuleKind::Sequence(Sequence { steps, ..sequence.clone() });
                probe.rule(kind, 0, format!("reached step {last}, before the missing event behind it"), true);
            }
        }
        probe
    }

    fn node(&mut self, node: Node) -> NodeId {
        self.ir.nodes.push(node);
        NodeId(self.ir.nodes.len() as u32 - 1)
    }

    fn predicate(&mut self, predicate: Predicate) -> PredicateId {
        self.ir.predicates.push(predicate);
        PredicateId(self.ir.predicates.len() as u32 - 1)
    }

    fn event(&mut self, predicate: Predicate, indent: usize, label: String) {
        let predicate = self.predicate(predicate);
        self.rule(RuleKind::Event { predicate }, indent, label, false);
    }

    fn rule(&mut self, kind: RuleKind, indent: usize, label: String, keys: bool) {
        let rule = self.ir.rules.len();
        self.ir.rules.push(Rule { id: rule.to_string(), kind, pipes: Vec::new(), program: None });
        self.lines.push(Line::Count { indent, label, rule, keys });
    }

    /// A part of a condition on one line.
    fn label(&mut self, root: NodeId) -> String {
        let predicate = self.predicate(Predicate { category: None, root });
        let text = text::predicate_expression(&self.ir, predicate);
        let text = text.strip_prefix("any category").unwrap_or(&text);
        let line: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        cut(&line.join(" "), 100)
    }

    fn count(&self, schema: &Schema, documents: &[Vec<u8>]) -> anyhow::Result<Counts> {
        let mut table = FieldTable::new();
        FrameBuilder::wanted(&self.ir.layout, &mut table);
        let decoder = Decoder::new(&table, schema.event());
        let mut event = Event::new();
        let mut order: Vec<_> = Vec::with_capacity(documents.len());
        for (number, document) in documents.iter().enumerate() {
            if decoder.decode(document, &mut event).is_ok() {
                order.push((event.timestamp, event.tiebreaker, number));
            }
        }
        order.sort_unstable();
        let runtime = create(RuntimeKind::Interp, &RuntimeParts { ir: &self.ir, wasm: None, lua: None })?;
        let options = MatcherOptions::of_query();
        let mut matcher = Matcher::new(&self.ir, &table, runtime, options)?;
        let mut counts = vec![0; self.ir.rules.len()];
        let mut keys: Vec<HashSet<JoinKey>> = vec![HashSet::new(); self.ir.rules.len()];
        let mut dispatch = Dispatch::new(&self.ir, &table);
        let (mut asked, mut candidates) = (vec![0; self.ir.predicates.len()], Vec::new());
        let mut found = Vec::new();
        let mut take = |found: &mut Vec<kestrel_core::matcher::Match>| {
            for one in found.drain(..) {
                counts[one.rule.index()] += 1;
                keys[one.rule.index()].insert(one.key);
            }
        };
        for (_, _, number) in order {
            if let Some(document) = documents.get(number)
                && decoder.decode(document, &mut event).is_ok()
            {
                event.ordinal = number as u64;
                candidates.clear();
                dispatch.candidates(&event, &mut candidates);
                candidates.iter().for_each(|predicate| asked[predicate.index()] += 1);
                matcher.process(&event, &mut found);
                take(&mut found);
            }
        }
        matcher.finish(&mut found);
        take(&mut found);
        Ok(Counts { matches: counts, keys: keys.iter().map(HashSet::len).collect(), asked })
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

/// The atoms and fields that a condition reads, each once.
#[derive(Default)]
struct Uses {
    fields: BTreeSet<String>,
    atoms: BTreeSet<AtomId>,
    nodes: HashSet<NodeId>,
    values: HashSet<ValueId>,
}

impl Uses {
    fn predicate(&mut self, ir: &Ir, predicate: PredicateId) {
        let Some(predicate) = ir.predicate(predicate) else { return };
        predicate.category.iter().for_each(|&atom| self.atom(ir, atom));
        self.node(ir, predicate.root);
    }

    /// A verified IR nests nowhere deeply.
    fn node(&mut self, ir: &Ir, node: NodeId) {
        if !self.nodes.insert(node) {
            return;
        }
        match ir.node(node) {
            Some(Node::Atom(atom)) => self.atom(ir, *atom),
            Some(Node::Not(operand)) => self.node(ir, *operand),
            Some(Node::And(operands) | Node::Or(operands)) => operands.iter().for_each(|&node| self.node(ir, node)),
            Some(Node::Constant(_)) | None => {}
        }
    }

    fn atom(&mut self, ir: &Ir, id: AtomId) {
        if !self.atoms.insert(id) {
            return;
        }
        match ir.atom(id) {
            Some(
                Atom::Present { field }
                | Atom::Boolean { field, .. }
                | Atom::Strings { field, .. }
                | Atom::StringOrder { field, .. }
                | Atom::Integers { field, .. }
                | Atom::IntegerOrder { field, .. }
                | Atom::FloatOrder { field, .. }
                | Atom::Cidr { field, .. }
                | Atom::VersionOrder { field, .. },
            ) => self.field(ir, *field),
            Some(Atom::Compute { value }) => self.value(ir, *value),
            Some(Atom::AnyObject { object, condition }) => {
                self.field(ir, *object);
                self.node(ir, *condition);
            }
            Some(Atom::Lineage { predicate, .. }) => {
                self.predicate(ir, *predicate);
                if let Some(lineage) = ir.lineage {
                    let fields = [lineage.entity, lineage.parent, lineage.ancestry, lineage.event_type];
                    fields.into_iter().for_each(|field| self.field(ir, field));
                }
            }
            None => {}
        }
    }

    fn value(&mut self, ir: &Ir, id: ValueId) {
        if !self.values.insert(id) {
            return;
        }
        match ir.value(id) {
            Some(Value::Field(field) | Value::StepField { field, .. }) => self.field(ir, *field),
            Some(
                Value::Negate(value)
                | Value::IsNull(value)
                | Value::NotNull(value)
                | Value::Matches { input: value, .. },
            ) => {
                self.value(ir, *value);
            }
            Some(Value::Arithmetic { left, right, .. } | Value::Compare { left, right, .. }) => {
                self.value(ir, *left);
                self.value(ir, *right);
            }
            Some(Value::Call { arguments, .. }) => arguments.iter().for_each(|&value| self.value(ir, value)),
            Some(Value::Condition(node)) => self.node(ir, *node),
            Some(Value::Constant(_)) | None => {}
        }
    }

    fn field(&mut self, ir: &Ir, field: FieldId) {
        self.fields.insert(ir.layout.name(field).to_owned());
    }
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
