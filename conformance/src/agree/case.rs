//! A case: tables and events that runtimes are asked about, in a form that can be cut down, printed and kept.
//!
//! In: a [`Case`] and the contenders. Out: what the judge says, and the first [`Difference`], be it an answer, a refusal
//! or a panic. A case with rules is a stream and is matched; one without is a list of pairs and is evaluated.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Context, Result, bail};
use kestrel_ir::event::{Event, EventFlags, FieldTable, FieldValue, ip_address, ip_octets};
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::model::{AtomId, Ir, PredicateId};
use kestrel_ir::verify::verify;
use kestrel_schema::FieldType;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::ask::{Answers, Contenders, Material, WAYS};
use super::streams;

/// Tables and events.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The tables. With rules the events are a stream.
    pub ir: Ir,
    /// The events, in order.
    pub events: Vec<RecordedEvent>,
}

/// An event as a case keeps it: nothing is lost, not even what no document can say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedEvent {
    /// Nanoseconds since 1970.
    #[serde(default)]
    pub timestamp: i64,
    /// The event's flags.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub flags: u32,
    /// The lineage atoms that hold; in a stream the events say it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lineage: Vec<u32>,
    /// Field, number of the object, value. A decimal that JSON has no number for is the text `NaN`, `inf` or `-inf`.
    pub values: Vec<(String, u32, Json)>,
}

fn is_zero(flags: &u32) -> bool {
    *flags == 0
}

impl RecordedEvent {
    /// Writes an event down.
    pub fn of(event: &Event, table: &FieldTable, lineage: &[AtomId]) -> RecordedEvent {
        let values = event.values().map(|(field, element, value)| {
            let json = match value {
                FieldValue::Integer(value) => Json::from(value),
                FieldValue::Float(value) if value.is_finite() => Json::from(value),
                FieldValue::Float(value) => Json::from(value.to_string()),
                FieldValue::Boolean(value) => Json::from(value),
                FieldValue::Text(text) => Json::from(text),
                FieldValue::Ip(octets) => Json::from(ip_address(octets).to_string()),
            };
            (table.name(field).to_owned(), element, json)
        });
        RecordedEvent {
            timestamp: event.timestamp,
            flags: event.flags.0,
            lineage: lineage.iter().map(|atom| atom.0).collect(),
            values: values.collect(),
        }
    }

    /// The event over the fields of a table; values of other fields are left out.
    ///
    /// # Errors
    /// When a value does not fit its field.
    pub fn event(&self, table: &FieldTable, ordinal: u64) -> Result<Event> {
        let mut event = Event::new();
        event.timestamp = self.timestamp;
        event.ordinal = ordinal;
        event.flags = EventFlags(self.flags);
        for (name, element, json) in &self.values {
            let Some(field) = table.lookup(name) else { continue };
            let field_type = table.field_type(field);
            let value = value(field_type, json).with_context(|| format!("{json} is no {field_type} for `{name}`"))?;
            event.push_value(field, *element, value);
        }
        Ok(event)
    }
}

fn value(field_type: FieldType, json: &Json) -> Option<FieldValue<'_>> {
    Some(match field_type {
        FieldType::Keyword | FieldType::Version => FieldValue::Text(json.as_str()?),
        FieldType::Long | FieldType::Date => FieldValue::Integer(json.as_i64()?),
        FieldType::Double => match json.as_str() {
            Some(text) => FieldValue::Float(text.parse().ok()?),
            None => FieldValue::Float(json.as_f64()?),
        },
        FieldType::Boolean | FieldType::Object => FieldValue::Boolean(json.as_bool()?),
        FieldType::Ip => FieldValue::Ip(ip_octets(json.as_str()?.parse().ok()?)),
    })
}

/// What the judge says of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// Whether each predicate holds for each event.
    Pairs(Answers),
    /// The matches of a stream, as [`streams::describe`] writes them.
    Stream(Vec<String>),
}

/// Where somebody did not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Who: a contender's name.
    pub runtime: String,
    /// How it was asked.
    pub way: &'static str,
    /// The event, when it is known.
    pub event: Option<usize>,
    /// The predicate, when it is known.
    pub predicate: Option<PredicateId>,
    /// What was expected and what came.
    pub message: String,
}

impl Difference {
    pub(super) fn new(runtime: &str, way: &'static str, message: impl Into<String>) -> Difference {
        Difference { runtime: runtime.to_owned(), way, event: None, predicate: None, message: message.into() }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.runtime, self.way)?;
        if let Some(event) = self.event {
            write!(formatter, ", event {event}")?;
        }
        if let Some(predicate) = self.predicate {
            write!(formatter, ", predicate p{}", predicate.0)?;
        }
        write!(formatter, ": {}", self.message)
    }
}

impl Case {
    /// The events over a table of the case's fields.
    ///
    /// # Errors
    /// When a value does not fit its field.
    pub fn events(&self) -> Result<(FieldTable, Vec<Event>)> {
        let mut table = FieldTable::new();
        FrameBuilder::wanted(&self.ir.layout, &mut table);
        let events = self.events.iter().enumerate();
        let events = events.map(|(number, event)| event.event(&table, number as u64)).collect::<Result<_>>()?;
        Ok((table, events))
    }

    fn material(&self) -> Result<Material> {
        let (table, events) = self.events()?;
        let lineage: Vec<Vec<AtomId>> =
            self.events.iter().map(|event| event.lineage.iter().copied().map(AtomId).collect()).collect();
        Material::new(&self.ir, &table, &events, &lineage)
    }

    /// What the interpreter says.
    ///
    /// # Errors
    /// When the tables are refused or the interpreter panics.
    pub fn judge(&self) -> Result<Judged> {
        verify(&self.ir).context("the tables do not verify")?;
        let judged = guarded(|| {
            if self.ir.rules.is_empty() {
                return Ok(Judged::Pairs(self.material()?.truth()));
            }
            let (table, events) = self.events()?;
            Ok(Judged::Stream(streams::reference(&self.ir, &table, &events)?))
        });
        judged.unwrap_or_else(|panic| bail!("the interpreter panicked: {panic}"))
    }

    /// The first contender that does not give what is expected; the interpreter's answer when nothing is.
    pub fn difference(&self, contenders: &Contenders, expected: Option<&Judged>) -> Option<Difference> {
        let judged = match self.judge() {
            Ok(judged) => judged,
            Err(error) => return Some(Difference::new("interpreter", "as the judge", format!("{error:#}"))),
        };
        if let Some(expected) = expected.filter(|expected| **expected != judged) {
            let message = format!("expected {expected:?}, found {judged:?}");
            return Some(Difference::new("interpreter", "as the judge", message));
        }
        let asked = guarded(|| -> Result<Option<Difference>> {
            match &judged {
                Judged::Pairs(truth) => compare(&self.material()?, &self.ir, truth, contenders),
                Judged::Stream(truth) => {
                    let (table, events) = self.events()?;
                    streams::compare(&self.ir, &table, &events, truth, contenders)
                }
            }
        });
        match asked {
            Ok(Ok(difference)) => difference,
            Ok(Err(error)) => Some(Difference::new("runtimes", "while they are made", format!("{error:#}"))),
            Err(panic) => Some(Difference::new("somebody", "without a way", format!("panicked: {panic}"))),
        }
    }
}

/// The first contender whose answers are not the interpreter's.
///
/// # Errors
/// When the contenders cannot be made.
pub fn compare(material: &Material, ir: &Ir, truth: &Answers, contenders: &Contenders) -> Result<Option<Difference>> {
    for mut contender in contenders(ir)? {
        for way in &WAYS {
            let asked = guarded(|| way.ask(material, contender.runtime.as_mut()));
            let mut difference = Difference::new(&contender.name, way.name, "");
            match asked {
                Ok(Ok(answers)) => {
                    let Some((event, predicate)) = answers.first_difference(truth) else { continue };
                    (difference.event, difference.predicate) = (Some(event), Some(predicate));
                    let expected = truth.holds(event, predicate);
                    difference.message = format!("the interpreter says {expected}, it says {}", !expected);
                }
                Ok(Err(refusal)) => {
                    difference.event = Some(refusal.event);
                    difference.message = refusal.message;
                }
                Err(panic) => difference.message = format!("panicked: {panic}"),
            }
            return Ok(Some(difference));
        }
    }
    Ok(None)
}

/// Runs something that may panic; what it said when it did.
pub(super) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a word".to_owned())
    })
}
