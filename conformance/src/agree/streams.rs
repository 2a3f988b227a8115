//! Streams: random rules over random events, through the matcher, with every runtime.
//!
//! Two sorts. *Patterns*: a pack of sequences with terms, missing terms, spans and `until`, whose matches the batch
//! evaluator knows as well. *Rules*: the rules of a generated pack (joins, keys of every family, samples, lineage, pipes)
//! over events that meet its constants; their judge is the matcher over the interpreter.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow};
use kestrel_core::atoms::{AtomCache, Atoms};
use kestrel_core::batch::Batch;
use kestrel_core::key::KeyPart;
use kestrel_core::matcher::{Match, Matcher, MatcherOptions};
use kestrel_core::runtime::{Interpreting, Runtime, RuntimeError};
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::frame::Frame;
use kestrel_ir::model::{Ir, PredicateId};
use kestrel_ir::verify::verify;

use super::ask::Contenders;
use super::case::{Case, Difference, RecordedEvent, guarded};
use super::tally::Tally;
use crate::batch::{self, BatchMatch, Pattern, StreamEvent};
use crate::generate::events::Events;
use crate::generate::streams::{PatternPack, pattern, stream};
use crate::generate::{Random, packs};

/// How a stream's rules are asked.
const WAY: &str = "through the matcher";
/// How many patterns share a pack.
const PATTERNS: usize = 12;
/// How many streams go through a pack, so that making it is paid for.
const STREAMS: usize = 200;
/// One pack in so many holds rules of all kinds. Its matchers are dearer to make.
const RULES_EVERY: u64 = 5;
/// How many streams go through such a pack.
const RULE_STREAMS: usize = 40;

/// What sets the seeds of streams apart from those of pairs.
const SALT: u64 = 0x5354_5245_414D;

/// A runtime that several matchers use, one after the other: making one for each stream would cost more than the stream.
#[derive(Clone)]
struct Lent {
    name: &'static str,
    runtime: Arc<Mutex<Box<dyn Runtime>>>,
}

impl Lent {
    fn new(runtime: Box<dyn Runtime>) -> Lent {
        Lent { name: runtime.name(), runtime: Arc::new(Mutex::new(runtime)) }
    }
}

impl Runtime for Lent {
    fn name(&self) -> &'static str {
        self.name
    }

    fn evaluate(
        &mut self,
        frame: Frame<'_>,
        atoms: &Atoms,
        cache: &mut AtomCache,
        candidates: &[PredicateId],
        hits: &mut Vec<PredicateId>,
    ) -> Result<(), RuntimeError> {
        let mut runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        runtime.evaluate(frame, atoms, cache, candidates, hits)
    }

    fn evaluate_batch(&mut self, atoms: &Atoms, batch: &mut Batch) {
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner).evaluate_batch(atoms, batch);
    }
}

/// How a stream reaches a matcher. The judge sees one event at a time, the others as many as a batch holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    Alone,
    Batched,
}

/// A stream through a fresh matcher.
fn matches(ir: &Ir, table: &FieldTable, events: &[Event], runtime: Box<dyn Runtime>, pace: Pace) -> Result<Vec<Match>> {
    let mut matcher = Matcher::new(ir, table, runtime, MatcherOptions::default())?;
    let mut matches = Vec::new();
    for event in events {
        if matcher.queue(event) || pace == Pace::Alone {
            matcher.flush(&mut matches);
        }
    }
    matcher.finish(&mut matches);
    match matcher.runtime_error() {
        Some(error) => Err(anyhow!("{error}")),
        None => Ok(matches),
    }
}

/// Matches as text, one a line: the rule, the numbers of the events, the key, and a sum of the evidence's bytes.
pub fn describe(matches: &[Match]) -> Vec<String> {
    let describe = |found: &Match| {
        let events: Vec<String> = found
            .events
            .iter()
            .map(|event| match event.as_ref().and_then(|evidence| evidence.frame()) {
                Some(frame) => {
                    let bytes = frame.bytes().iter();
                    let sum = bytes.fold(0_u32, |sum, &byte| sum.rotate_left(5) ^ u32::from(byte));
                    format!("{}/{sum:08x}", frame.ordinal())
                }
                None => "-".to_owned(),
            })
            .collect();
        let key: Vec<String> = found.key.iter().map(|part| part.to_json().to_string()).collect();
        format!("rule {}: {} by [{}]", found.rule.0, events.join(" "), key.join(", "))
    };
    matches.iter().map(describe).collect()
}

/// What the matcher over the interpreter finds.
pub(super) fn reference(ir: &Ir, table: &FieldTable, events: &[Event]) -> Result<Vec<String>> {
    Ok(describe(&matches(ir, table, events, Box::new(Interpreting::new(ir)?), Pace::Alone)?))
}

/// The first contender whose matches are others.
pub(super) fn compare(
    ir: &Ir,
    table: &FieldTable,
    events: &[Event],
    truth: &[String],
    contenders: &Contenders,
) -> Result<Option<Difference>> {
    for contender in contenders(ir)? {
        let found = guarded(|| Ok(describe(&matches(ir, table, events, contender.runtime, Pace::Batched)?)));
        if let Some(difference) = difference_of(&contender.name, found, truth) {
            return Ok(Some(difference));
        }
    }
    Ok(None)
}

fn difference_of(name: &str, found: Result<Result<Vec<String>>, String>, truth: &[String]) -> Option<Difference> {
    match found {
        Ok(Ok(found)) if found == truth => None,
        Ok(Ok(found)) => {
            let line = (0..).find(|&line| found.get(line) != truth.get(line)).unwrap_or(0);
            let or_end = |list: &[String]| list.get(line).map_or("nothing more".to_owned(), Clone::clone);
            let message =
                format!("match {line}: the interpreter finds `{}`, it finds `{}`", or_end(truth), or_end(&found));
            Some(Difference::new(name, WAY, message))
        }
        Ok(Err(error)) => Some(Difference::new(name, WAY, format!("{error:#}"))),
        Err(panic) => Some(Difference::new(name, WAY, format!("panicked: {panic}"))),
    }
}

/// What was found wrong with a pack of streams.
#[derive(Debug)]
pub struct Finding {
    /// Who differs how.
    pub difference: Difference,
    /// The tables and the stream.
    pub case: Case,
}

/// One pack with all its streams: what was counted, and the first difference.
///
/// # Errors
/// When the generator or the compilers fail, which is a finding without a case.
pub fn pack(seed: u64, number: u64, contenders: &Contenders, tally: &mut Tally) -> Result<Option<Finding>> {
    let mut random = Random::new(crate::generate::derive(seed ^ SALT, number));
    if number % RULES_EVERY == RULES_EVERY - 1 {
        return rules(&mut random, contenders, tally);
    }
    let patterns: Vec<Pattern> = (0..PATTERNS).map(|_| pattern(&mut random)).collect();
    let pack = PatternPack::new(&mut random, &patterns);
    let bench = Bench::new(&pack.ir, &pack.table, contenders)?;
    for _ in 0..STREAMS {
        let seen = stream(&mut random, &patterns);
        let events = pack.events(&seen);
        let (truth, difference) = bench.stream(&events)?;
        tally.streams += 1;
        tally.stream_rules += PATTERNS as u64;
        tally.matches += truth.len() as u64;
        if let Some(finding) = difference {
            return Ok(Some(finding));
        }
        for (number, (pattern, seen)) in patterns.iter().zip(&seen).enumerate() {
            let expected = batch::evaluate(pattern, seen);
            let found = in_batch_order(&truth, number as u32);
            if found != expected {
                let message = format!("{pattern:?}: the batch evaluator finds {expected:?}, the machine {found:?}");
                let case = batch_case(&mut random, pattern, seen);
                return Ok(Some(Finding { difference: Difference::new("sequence machine", WAY, message), case }));
            }
        }
    }
    Ok(None)
}

/// The rules of a generated pack over events that meet its constants.
fn rules(random: &mut Random, contenders: &Contenders, tally: &mut Tally) -> Result<Option<Finding>> {
    let ir = packs::pack(random, 16);
    let mut source = Events::new(&ir);
    let bench = Bench::new(&ir, &source.table().clone(), contenders)?;
    for _ in 0..RULE_STREAMS {
        let mut timestamp = 0;
        let events: Vec<Event> = (0..random.below(30))
            .map(|ordinal| {
                timestamp += [0, 0, 1, 1, 2, 5][random.below(6)];
                source.event(random, timestamp, ordinal as u64)
            })
            .collect();
        let (truth, difference) = bench.stream(&events)?;
        tally.streams += 1;
        tally.stream_rules += ir.rules.len() as u64;
        tally.matches += truth.len() as u64;
        if let Some(finding) = difference {
            return Ok(Some(finding));
        }
    }
    Ok(None)
}

/// The contenders over one pack.
struct Bench<'b> {
    ir: &'b Ir,
    table: FieldTable,
    judge: Lent,
    lent: Vec<(String, Lent)>,
}

impl Bench<'_> {
    fn new<'b>(ir: &'b Ir, table: &FieldTable, contenders: &Contenders) -> Result<Bench<'b>> {
        verify(ir)?;
        let lent = contenders(ir)?.into_iter().map(|contender| (contender.name, Lent::new(contender.runtime)));
        let judge = Lent::new(Box::new(Interpreting::new(ir)?));
        Ok(Bench { ir, table: table.clone(), judge, lent: lent.collect() })
    }

    /// What the matcher over the interpreter finds, and who finds something else.
    fn stream(&self, events: &[Event]) -> Result<(Vec<Match>, Option<Finding>)> {
        let truth = matches(self.ir, &self.table, events, Box::new(self.judge.clone()), Pace::Alone)?;
        for (name, lent) in &self.lent {
            let found = guarded(|| matches(self.ir, &self.table, events, Box::new(lent.clone()), Pace::Batched));
            if matches!(&found, Ok(Ok(found)) if *found == truth) {
                continue;
            }
            let found = found.map(|found| found.map(|found| describe(&found)));
            let difference = difference_of(name, found, &describe(&truth));
            let difference = difference.unwrap_or_else(|| Difference::new(name, WAY, "the evidence differs"));
            let events = events.iter().map(|event| RecordedEvent::of(event, &self.table, &[])).collect();
            let case = Case { ir: self.ir.clone(), events };
            return Ok((truth, Some(Finding { difference, case })));
        }
        Ok((truth, None))
    }
}

/// The matches of one pattern as the batch evaluator gives them.
fn in_batch_order(matches: &[Match], rule: u32) -> Vec<BatchMatch> {
    let mut found: Vec<(u64, BatchMatch)> = matches
        .iter()
        .filter(|found| found.rule.0 == rule)
        .map(|found| {
            let number = |frame: Frame<'_>| frame.ordinal() as usize;
            let events = found.events.iter();
            let events = events.map(|event| event.as_ref().and_then(|event| event.frame()).map(number)).collect();
            let key = match found.key.first() {
                Some(KeyPart::Integer(key)) => *key,
                _ => i64::MIN,
            };
            (found.last.ordinal, (events, key))
        })
        .collect();
    found.sort_by_key(|(last, (_, key))| (*last, *key));
    found.into_iter().map(|(_, found)| found).collect()
}

/// The stream without the events that the machine and the batch evaluator do not need to differ, as a case of one rule.
fn batch_case(random: &mut Random, pattern: &Pattern, seen: &[StreamEvent]) -> Case {
    let patterns = std::slice::from_ref(pattern);
    let pack = PatternPack::new(random, patterns);
    let differs = |seen: &[StreamEvent]| {
        let events = pack.events(&[seen.to_vec()]);
        let found = Interpreting::new(&pack.ir)
            .map(|runtime| matches(&pack.ir, &pack.table, &events, Box::new(runtime), Pace::Alone));
        matches!(found, Ok(Ok(found)) if in_batch_order(&found, 0) != batch::evaluate(pattern, seen))
    };
    let mut seen = seen.to_vec();
    let mut number = 0;
    while number < seen.len() {
        let mut fewer = seen.clone();
        fewer.remove(number);
        if differs(&fewer) { seen = fewer } else { number += 1 }
    }
    let events = pack.events(&[seen]);
    let events = events.iter().map(|event| RecordedEvent::of(event, &pack.table, &[])).collect();
    Case { ir: pack.ir, events }
}
