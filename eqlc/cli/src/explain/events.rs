//! What a rule did over events, for people and for programs.
//!
//! In: the rule's IR and the documents. Out: [`Report`]: how many events fulfil each part, how far each key came and what
//! ended it, and the events that came nearest to what never held.

use std::collections::BTreeMap;
use std::io::Write;

use kestrel_core::key::JoinKey;
use kestrel_core::matcher::{Matcher, MatcherOptions};
use kestrel_engine::explain::{Remembered, RuleState, condition, key_of};
use kestrel_engine::runtime::{RuntimeKind, RuntimeParts, create};
use kestrel_ir::event::{Event, FieldTable, ip_address};
use kestrel_ir::event_json::Decoder;
use kestrel_ir::frame::{FrameBuilder, Slot};
use kestrel_ir::model::{Ir, NodeId, RuleIndex, RuleKind};
use kestrel_ir::time::format_rfc3339;
use kestrel_schema::{FieldType, Schema};
use serde_json::{Value as Json, json};

use super::nearest::{Failure, Nearest};
use super::probe::{Counts, Line, Probe};
use super::uses::Uses;
use super::{cut, words};
use crate::run::{evaluate, printable};

/// How many keys are told of, and how many endings of each.
const TOLD_KEYS: usize = 10;
/// How many endings each part of the state keeps.
const TRACED: usize = 4_096;
/// The most values of a field that are shown.
const SHOWN_VALUES: usize = 4;

/// A rule over events.
pub struct Report<'i> {
    ir: &'i Ir,
    probe: Probe,
    counts: Counts,
    events: u64,
    left_out: usize,
    matches: usize,
    /// For each near event what it is and what the false tests read, in the order of the counts.
    seen: Vec<Vec<Seen>>,
    progress: Option<RuleState>,
}

struct Seen {
    time: String,
    /// Each false test, and the values that it read.
    failures: Vec<(String, Vec<(String, String)>)>,
}

impl<'i> Report<'i> {
    /// Runs the rule over the documents; `key` chooses one key of it.
    pub fn new(
        ir: &'i Ir,
        schema: &Schema,
        documents: &[Vec<u8>],
        key: Option<&[Json]>,
    ) -> anyhow::Result<Option<Self>> {
        let Some(rule) = ir.rules.first() else { return Ok(None) };
        let key = key.map(|values| key_of(ir, RuleIndex(0), values)).transpose()?;
        let probe = Probe::new(ir, rule);
        let counts = probe.count(schema, documents)?;
        let result = evaluate(ir, RuntimeKind::Interp, None, schema, documents)?;
        let progress = match rule.kind {
            RuleKind::Event { .. } => None,
            _ => Some(progress(ir, schema, documents, key.as_ref())?),
        };
        let mut table = FieldTable::new();
        FrameBuilder::wanted(&probe.ir.layout, &mut table);
        let mut viewer = Viewer {
            ir: &probe.ir,
            decoder: Decoder::new(&table, schema.event()),
            builder: FrameBuilder::new(&probe.ir.layout, &table),
            event: Event::new(),
        };
        let see = |nearest: &Nearest| {
            let document = |number: usize| documents.get(number).map_or(&[][..], Vec::as_slice);
            nearest.near.iter().map(|near| viewer.see(document(near.first), &near.failures)).collect()
        };
        let seen = counts.nearest.iter().map(see).collect();
        let (events, left_out, matches) = (result.events, result.invalid.len(), result.matches.len());
        Ok(Some(Report { ir, probe, counts, events, left_out, matches, seen, progress }))
    }

    /// For people.
    pub fn text(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let note = match self.left_out {
            0 => String::new(),
            count => format!(", {count} left out as no events"),
        };
        writeln!(out, "{} events{note}", self.events)?;
        for line in &self.probe.lines {
            match line {
                Line::Heading(heading) => writeln!(out, "{heading}")?,
                Line::Asked(predicate) => {
                    let asked = at(&self.counts.asked, predicate.index());
                    writeln!(out, "{asked:>10}  asked: dispatch let them through")?;
                }
                Line::Count { indent, label, rule, keys } => {
                    let (matches, distinct) = (at(&self.counts.matches, *rule), at(&self.counts.keys, *rule));
                    let keys = if *keys { format!(", {distinct} {}", words(distinct, "key")) } else { String::new() };
                    writeln!(out, "{matches:>10}  {:indent$}{label}{keys}", "")?;
                }
            }
        }
        writeln!(out, "{:>10}  {}", self.matches, words(self.matches, "match"))?;
        if self.probe.joined {
            writeln!(
                out,
                "(a step's events are counted without its comparison with earlier steps; how far sequences came is counted with it)"
            )?;
        }
        if let Some(progress) = &self.progress {
            write!(out, "\n{}", progress.progress_text())?;
        }
        for (nearest, seen) in self.counts.nearest.iter().zip(&self.seen) {
            let what = if nearest.step == "event" { "matching" } else { nearest.step.as_str() };
            writeln!(out, "\nnearest to {what}, without being it")?;
            for (near, seen) in nearest.near.iter().zip(seen) {
                let more = match near.count - 1 {
                    0 => String::new(),
                    more => format!(", and {more} more like it"),
                };
                writeln!(out, "  event {} at {}{more}", near.first + 1, seen.time)?;
                for (test, values) in &seen.failures {
                    writeln!(out, "    false: {}", printable(test))?;
                    for (field, value) in values {
                        writeln!(out, "           {field} is {}", printable(value))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// For programs.
    pub fn json(&self) -> Json {
        let mut steps: Vec<Json> = Vec::new();
        for line in &self.probe.lines {
            match (line, steps.last_mut()) {
                (Line::Heading(heading), _) => steps.push(json!({ "name": heading, "counts": [] })),
                (Line::Asked(predicate), Some(step)) => {
                    step["asked"] = at(&self.counts.asked, predicate.index()).into()
                }
                (Line::Count { label, rule, keys, .. }, Some(step)) => {
                    let mut count = json!({ "what": label, "events": at(&self.counts.matches, *rule) });
                    if *keys {
                        count["keys"] = at(&self.counts.keys, *rule).into();
                    }
                    if let Some(counts) = step["counts"].as_array_mut() {
                        counts.push(count);
                    }
                }
                (_, None) => {}
            }
        }
        let nearest = self.counts.nearest.iter().zip(&self.seen).flat_map(|(nearest, seen)| {
            nearest.near.iter().zip(seen).map(|(near, seen)| {
                let failures = seen.failures.iter().map(|(test, values)| {
                    let values: BTreeMap<&String, &String> = values.iter().map(|(name, value)| (name, value)).collect();
                    json!({ "test": test, "values": values })
                });
                json!({
                    "step": nearest.step,
                    "event": near.first + 1,
                    "timestamp": seen.time,
                    "like_it": near.count,
                    "false": failures.collect::<Vec<Json>>(),
                })
            })
        });
        json!({
            "rule": self.ir.rules.first().map(|rule| rule.id.as_str()),
            "events": self.events,
            "left_out": self.left_out,
            "matches": self.matches,
            "steps": steps,
            "nearest": nearest.collect::<Vec<Json>>(),
            "progress": self.progress,
        })
    }
}

fn at(counts: &[usize], index: usize) -> usize {
    counts.get(index).copied().unwrap_or(0)
}

/// How far the rule's keys came, before the end of the events decides what still waits.
fn progress(ir: &Ir, schema: &Schema, documents: &[Vec<u8>], key: Option<&JoinKey>) -> anyhow::Result<RuleState> {
    let mut table = FieldTable::new();
    FrameBuilder::wanted(&ir.layout, &mut table);
    let decoder = Decoder::new(&table, schema.event());
    let mut event = Event::new();
    let mut order = Vec::new();
    for (number, document) in documents.iter().enumerate() {
        if decoder.decode(document, &mut event).is_ok() {
            order.push((event.timestamp, event.tiebreaker, number));
        }
    }
    order.sort_unstable();
    let runtime = create(RuntimeKind::Interp, &RuntimeParts { ir, wasm: None, lua: None })?;
    let options = MatcherOptions { traced_endings: TRACED, ..MatcherOptions::of_query() };
    let mut matcher = Matcher::new(ir, &table, runtime, options)?;
    let (mut found, mut matches) = (Vec::new(), BTreeMap::<JoinKey, u64>::new());
    for (ordinal, (_, _, number)) in order.into_iter().enumerate() {
        let Some(document) = documents.get(number) else { continue };
        if decoder.decode(document, &mut event).is_ok() {
            event.ordinal = ordinal as u64;
            matcher.process(&event, &mut found);
            for one in found.drain(..) {
                *matches.entry(one.key).or_default() += 1;
            }
        }
    }
    let rule = RuleIndex(0);
    let mut endings = matcher.endings(rule, usize::MAX);
    if let Some(key) = key {
        endings.retain(|ending| ending.key == *key);
        matches.retain(|found, _| found == key);
    }
    let remembered = Remembered {
        keys: matcher.explain(rule, key.map(|key| &**key), usize::MAX),
        endings,
        traced_endings: TRACED,
        counters: matcher.rule_counters(rule),
        matches: Some(matches),
    };
    Ok(RuleState::new(ir, rule, &remembered, TOLD_KEYS))
}

/// Shows what tests read in an event.
struct Viewer<'i> {
    ir: &'i Ir,
    decoder: Decoder,
    builder: FrameBuilder,
    event: Event,
}

impl Viewer<'_> {
    fn see(&mut self, document: &[u8], failures: &[Failure]) -> Seen {
        if self.decoder.decode(document, &mut self.event).is_err() {
            return Seen { time: String::new(), failures: Vec::new() };
        }
        let time = format_rfc3339(self.event.timestamp);
        let tests: Vec<(String, Vec<String>)> = failures.iter().map(|&failure| self.test(failure)).collect();
        let frame = self.builder.build(&self.event);
        let layout = &self.ir.layout;
        let value = |name: &String| {
            let values = layout.lookup(name).map(|field| {
                let date = layout.field_type(field) == FieldType::Date;
                let values = frame.values(layout, field);
                let more = values.len().saturating_sub(SHOWN_VALUES);
                let mut texts: Vec<String> =
                    values.iter().take(SHOWN_VALUES).map(|slot| slot_text(slot, date)).collect();
                if more > 0 {
                    texts.push(format!("{more} more"));
                }
                texts.join(", ")
            });
            (name.clone(), values.filter(|text| !text.is_empty()).unwrap_or_else(|| "missing".to_owned()))
        };
        let failures = tests.into_iter().map(|(test, fields)| (test, fields.iter().map(value).collect()));
        Seen { time, failures: failures.collect() }
    }

    /// A false test in words, and the fields that it reads.
    fn test(&self, (node, want): Failure) -> (String, Vec<String>) {
        let text = condition::node(self.ir, node);
        let text = if want { text } else { format!("not {}", bracketed(self.ir, node, text)) };
        let mut used = Uses::default();
        used.node(self.ir, node);
        (text, used.fields.into_iter().take(SHOWN_VALUES).collect())
    }
}

fn bracketed(ir: &Ir, node: NodeId, text: String) -> String {
    match ir.node(node) {
        Some(kestrel_ir::model::Node::And(_) | kestrel_ir::model::Node::Or(_)) => format!("({text})"),
        _ => text,
    }
}

fn slot_text(slot: Slot<'_>, date: bool) -> String {
    match slot {
        Slot::Integer(value) if date => format_rfc3339(value),
        Slot::Integer(value) => value.to_string(),
        Slot::Float(value) => value.to_string(),
        Slot::Boolean(value) => value.to_string(),
        Slot::Text(text) => format!("{:?}", cut(text, 80)),
        Slot::Ip(octets) => ip_address(octets).to_string(),
        Slot::Object(_) => "an object".to_owned(),
    }
}
