//! rsigma: Sigma rules with log sources, by its index of candidates; events as JSON with flat keys, or as a structure.
//!
//! It has switches, and which of them help depends on the rules: several configurations are tried on some events, and the
//! fastest that finds what it should is measured. Its name tells which.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rsigma_eval::event::{EventValue, JsonEvent};
use rsigma_eval::{Engine as Evaluator, Event as EventAccess};
use rsigma_parser::{LogSource, parse_sigma_yaml};
use serde_json::{Map, Value as Json};

use super::sigma::{Form, document};
use super::{Engine, Given, Ready, Set, Sets};
use crate::rules::Field;

/// How many events decide about the configuration.
const TRIAL: usize = 2_000;

#[derive(Debug, Clone, Copy)]
struct Configuration {
    name: &'static str,
    cased: bool,
    structure: bool,
    automaton: bool,
    bloom: bool,
}

const PLAIN: Configuration =
    Configuration { name: "flat keys", cased: true, structure: false, automaton: false, bloom: false };

const CONFIGURATIONS: [Configuration; 5] = [
    PLAIN,
    Configuration { name: "flat keys, case ignored", cased: false, ..PLAIN },
    Configuration { name: "flat keys, cross-rule automaton", automaton: true, ..PLAIN },
    Configuration { name: "flat keys, Bloom filter", bloom: true, ..PLAIN },
    Configuration { name: "structure", structure: true, ..PLAIN },
];

/// An event as an application would have it that knows its fields.
struct Start {
    name: String,
    executable: String,
    command_line: String,
    args: Vec<String>,
    parent: String,
}

impl Start {
    fn texts(&self) -> impl Iterator<Item = &str> {
        let single = [&self.name, &self.executable, &self.command_line, &self.parent].into_iter();
        single.chain(&self.args).map(String::as_str)
    }
}

impl EventAccess for Start {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        let text = match path {
            "process.name" => &self.name,
            "process.executable" => &self.executable,
            "process.command_line" => &self.command_line,
            "process.parent.name" => &self.parent,
            "process.args" => {
                let elements = self.args.iter().map(|element| EventValue::Str(Cow::Borrowed(element)));
                return Some(EventValue::Array(elements.collect()));
            }
            _ => return None,
        };
        Some(EventValue::Str(Cow::Borrowed(text)))
    }

    fn any_string_value(&self, predicate: &dyn Fn(&str) -> bool) -> bool {
        self.texts().any(predicate)
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        self.texts().map(Cow::Borrowed).collect()
    }

    fn to_json(&self) -> Json {
        let fields = [
            (Field::Name, Json::from(self.name.as_str())),
            (Field::Executable, Json::from(self.executable.as_str())),
            (Field::CommandLine, Json::from(self.command_line.as_str())),
            (Field::Args, Json::from(self.args.clone())),
            (Field::ParentName, Json::from(self.parent.as_str())),
        ];
        Json::Object(fields.map(|(field, value)| (field.name().to_owned(), value)).into_iter().collect())
    }
}

struct Rsigma<E> {
    engine: Evaluator,
    source: LogSource,
    events: Sets<E>,
}

/// The fastest configuration over flat keys, or that over a structure.
///
/// # Errors
/// When it refuses a rule.
pub fn load(given: Given<'_>, structure: bool) -> Result<Ready> {
    let mut best: Option<(Duration, Ready)> = None;
    for configuration in CONFIGURATIONS.into_iter().filter(|one| one.structure == structure) {
        let mut ready = configured(given, configuration)?;
        // The first pass warms up.
        ready.engine.pass(TRIAL)?;
        let (mut spent, mut found) = (Duration::MAX, 0);
        for _ in 0..3 {
            let (time, hits) = ready.engine.pass(TRIAL)?;
            (spent, found) = (spent.min(time), hits);
        }
        let wanted = given.measure.hits.iter().filter(|(event, _)| (*event as usize) < TRIAL).count();
        if found == wanted && best.as_ref().is_none_or(|(fastest, _)| spent < *fastest) {
            best = Some((spent, ready));
        }
    }
    best.map(|(_, ready)| ready).context("no configuration of rsigma finds what the rules say")
}

fn configured(given: Given<'_>, configuration: Configuration) -> Result<Ready> {
    let form = Form { cased: configuration.cased, lists: true };
    let texts = given.rules.iter().enumerate().map(|(number, rule)| document(number, rule, form));
    let text = texts.collect::<Vec<_>>().join("---\n");
    let start = Instant::now();
    let rules = parse_sigma_yaml(&text).map_err(|error| anyhow!("rsigma: {error}"))?;
    let mut engine = Evaluator::new();
    engine.set_cross_rule_ac(configuration.automaton);
    engine.set_bloom_prefilter(configuration.bloom);
    engine.add_collection(&rules).map_err(|error| anyhow!("rsigma: {error}"))?;
    let load = start.elapsed();
    let source = LogSource {
        product: Some("linux".to_owned()),
        category: Some("process_creation".to_owned()),
        ..LogSource::default()
    };
    let engine: Box<dyn Engine> = if configuration.structure {
        let events = given.convert(|event| Start {
            name: event.name.clone(),
            executable: event.executable.clone(),
            command_line: event.command_line(),
            args: event.args.clone(),
            parent: event.parent.clone(),
        });
        Box::new(Rsigma { engine, source, events })
    } else {
        let events = given.convert(|event| {
            let mut flat = Map::new();
            flatten("", &event.document(), &mut flat);
            JsonEvent::owned(Json::Object(flat))
        });
        Box::new(Rsigma { engine, source, events })
    };
    let name = format!("rsigma, {}", configuration.name);
    Ok(Ready { name, from: "decoded values", load, engine })
}

fn flatten(prefix: &str, value: &Json, flat: &mut Map<String, Json>) {
    match value {
        Json::Object(fields) => {
            for (name, value) in fields {
                let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&path, value, flat);
            }
        }
        _ => {
            flat.insert(prefix.to_owned(), value.clone());
        }
    }
}

impl<E: EventAccess> Engine for Rsigma<E> {
    fn run(&mut self, set: Set, count: usize, hit: &mut dyn FnMut(u32, u32)) -> Result<()> {
        for (number, event) in self.events.first(set, count).iter().enumerate() {
            for found in self.engine.evaluate_with_logsource(event, &self.source) {
                let id = found.header.rule_id.as_deref().and_then(|id| id.strip_prefix("rule-"));
                hit(number as u32, id.context("a rule's id")?.parse()?);
            }
        }
        Ok(())
    }
}
