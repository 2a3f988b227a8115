//! Kestrel: rules as EQL, compiled to a pack; one thread, batches as a replay makes them.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use eqlc::compile::{CompileOptions, PackOptions, build_pack, compile_rules};
use eqlc::rules::{RuleSource, load_all};
use kestrel_core::matcher::{Match, Matcher, MatcherOptions};
use kestrel_engine::input::Document;
use kestrel_engine::runtime::{PreparedRuntime, RuntimeKind, RuntimeParts};
use kestrel_engine::session::{NamedPack, Replay, Session, SessionOptions};
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::event_json::Decoder;
use kestrel_ir::frame::FrameBuilder;
use kestrel_schema::Schema;

use super::{Engine, Given, Ready, Set, Sets};
use crate::rules::{How, Rule, Test};

/// Decoded values in, matches out.
struct Decoded {
    matcher: Matcher,
    rules: Vec<u32>,
    events: Sets<Event>,
    matches: Vec<Match>,
}

/// NDJSON text in, alerts as JSON out.
struct Text {
    session: Session,
    replay: Replay,
    rules: Vec<u32>,
    check: Vec<u8>,
    measure: Vec<u8>,
}

/// Kestrel with a runtime, once over decoded values and once over text.
///
/// # Errors
/// When the rules do not build.
pub fn load(given: Given<'_>, runtime: RuntimeKind) -> Result<[Ready; 2]> {
    let files: Vec<(String, String)> =
        given.rules.iter().enumerate().map(|(number, rule)| file(number, rule)).collect();
    let start = Instant::now();
    let pack = compile(load_all(files).rules)?.0;
    let (matcher, table) = matcher(&pack, runtime)?;
    let load = start.elapsed();
    let numbers = |id: &str| id.strip_prefix("rule-").and_then(|number| number.parse().ok());
    let ids = pack.pack.ir().rules.iter().map(|rule| numbers(&rule.id));
    let rules: Vec<u32> = ids.collect::<Option<_>>().context("rules keep their ids")?;

    let decoder = Decoder::new(&table, Schema::ecs().event());
    let mut ordinals = [0, 0];
    let decode = |bytes: &str, ordinal: &mut u64| -> Result<Event> {
        let mut event = Event::new();
        decoder.decode(bytes.as_bytes(), &mut event)?;
        event.ordinal = *ordinal;
        *ordinal += 1;
        Ok(event)
    };
    let (mut check, mut measure) = (Vec::new(), Vec::new());
    let mut events = Sets { check: Vec::new(), measure: Vec::new() };
    for (set, text, into, ordinal) in
        [(given.check, &mut check, &mut events.check, 0), (given.measure, &mut measure, &mut events.measure, 1)]
    {
        for event in &set.events {
            let line = event.document().to_string();
            into.push(decode(&line, &mut ordinals[ordinal])?);
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        }
    }
    let options = SessionOptions { runtime, ..SessionOptions::default() };
    let session = Session::over_documents(std::slice::from_ref(&pack), options)?;
    let replay = Replay::new(&session);
    let decoded = Decoded { matcher, rules: rules.clone(), events, matches: Vec::new() };
    let text = Text { session, replay, rules, check, measure };
    let name = format!("Kestrel, {}", runtime.name());
    Ok([
        Ready { name: name.clone(), from: "decoded values", load, engine: Box::new(decoded) },
        Ready { name, from: "text, to alerts", load, engine: Box::new(text) },
    ])
}

/// A pack of rules, and how many of them do not build.
///
/// # Errors
/// When no pack can be made of those that do.
pub fn compile(rules: Vec<RuleSource>) -> Result<(NamedPack, usize)> {
    let options = CompileOptions::default();
    let compilation = compile_rules(rules, &options);
    let broken = compilation.reports().filter(|(_, found)| found.iter().any(|one| one.is_error())).count();
    let name = "peers".to_owned();
    let pack = build_pack(&compilation, &options.schema, PackOptions { name, ..PackOptions::default() })?;
    Ok((NamedPack::read("peers", pack.bytes())?, broken))
}

/// A matcher and the table of the fields that its events have.
///
/// # Errors
/// When the runtime does not take the pack.
pub fn matcher(pack: &NamedPack, runtime: RuntimeKind) -> Result<(Matcher, FieldTable)> {
    let pack = &pack.pack;
    let parts = RuntimeParts { ir: pack.ir(), wasm: pack.module(), lua: pack.predicates() };
    let runtime = PreparedRuntime::new(runtime, &parts)?.instantiate()?;
    let mut table = FieldTable::new();
    FrameBuilder::wanted(&pack.ir().layout, &mut table);
    let matcher = Matcher::new(pack.ir(), &table, runtime, MatcherOptions::default())?;
    Ok((matcher, table))
}

impl Engine for Decoded {
    fn run(&mut self, set: Set, count: usize, hit: &mut dyn FnMut(u32, u32)) -> Result<()> {
        let Decoded { matcher, rules, events, matches } = self;
        let mut tell = |matches: &mut Vec<Match>| {
            for found in matches.drain(..) {
                hit(found.last.ordinal as u32, rules[found.rule.index()]);
            }
        };
        for event in events.first(set, count) {
            if matcher.queue(event) {
                matcher.flush(matches);
                tell(matches);
            }
        }
        matcher.flush(matches);
        tell(matches);
        matcher.runtime_error().map_or(Ok(()), |error| bail!("the runtime failed: {error}"))
    }
}

impl Engine for Text {
    fn run(&mut self, set: Set, count: usize, hit: &mut dyn FnMut(u32, u32)) -> Result<()> {
        let Text { session, replay, rules, check, measure } = self;
        let text: &[u8] = if set == Set::Check { check } else { measure };
        for (number, bytes) in text.split(|byte| *byte == b'\n').take(count).enumerate() {
            let document = Document { line: number as u64 + 1, bytes, record: None };
            let mut sink = |alert: &kestrel_engine::session::Alert| hit(number as u32, rules[alert.rule]);
            // An alert does not say its event's number; one by one, it is known.
            match set {
                Set::Check => replay.document(session, &document, &mut sink),
                Set::Measure => replay.queue(session, &document, &mut sink),
            };
        }
        session.flush(&mut |alert| hit(u32::MAX, rules[alert.rule]));
        match session.runtime_error() {
            Some(error) => bail!("the runtime failed: {error}"),
            None if replay.counters().invalid > 0 => bail!("{} documents were refused", replay.counters().invalid),
            None => Ok(()),
        }
    }
}

fn file(number: usize, rule: &Rule) -> (String, String) {
    let mut terms = vec![r#"host.os.type == "linux""#.to_owned(), r#"event.type == "start""#.to_owned()];
    terms.extend(rule.all.iter().map(test));
    if !rule.any.is_empty() {
        terms.push(format!("({})", rule.any.iter().map(test).collect::<Vec<_>>().join(" or ")));
    }
    let head = format!("---\nid = \"rule-{number}\"\nname = \"Rule {number}\"\nseverity = \"low\"\n---\n");
    (format!("{number}.eql"), format!("{head}process where {}\n", terms.join(" and ")))
}

fn test(test: &Test) -> String {
    let field = test.field.name();
    let texts = |before: &str, after: &str| {
        let quoted: Vec<String> = test.texts.iter().map(|text| format!("\"{before}{text}{after}\"")).collect();
        if quoted.len() == 1 { quoted.concat() } else { format!("({})", quoted.join(", ")) }
    };
    match test.how {
        How::Is if test.texts.len() == 1 => format!("{field} == {}", texts("", "")),
        How::Is => format!("{field} in {}", texts("", "")),
        How::Starts => format!("{field} like {}", texts("", "*")),
        How::Ends => format!("{field} like {}", texts("*", "")),
        How::Contains | How::InOrder => format!("{field} like {}", texts("*", "*")),
    }
}
