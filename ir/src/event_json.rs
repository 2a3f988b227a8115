//! Events from ECS documents: one JSON object to one [`Event`], straight to fields, without a document tree.
//!
//! In: a JSON text, a [`FieldTable`] of the fields that somebody wants, and which fields hold time and order. Out: the
//! event's values. Nested objects and dotted keys mean the same; `null`, `[]` and `[null]` mean missing. Values are read
//! as their field's type says: a number in a `keyword` field becomes its text, a numeric text in a `long` field its
//! number; what does not fit is left out and flags the event as [`EventFlags::MISTYPED`].
//!
//! Each object of an array of objects that somebody wants as an object gets a number, from 0, and its values carry it.
//! Arrays of objects inside such an object count as part of it.

use std::fmt;
use std::net::IpAddr;

use kestrel_schema::{EventFields, FieldType, TimestampFormat};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use thiserror::Error;

use crate::event::{Event, EventFlags, FieldNumber, FieldTable, FieldValue, ip_octets};
use crate::names::Names;
use crate::time;

/// Why a text is no event.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The text is no JSON, or JSON goes on behind the object.
    #[error("not JSON: {message}")]
    NotJson {
        /// What the JSON parser says.
        message: String,
    },
    /// The JSON is something other than an object.
    #[error("expected a JSON object, found {found}")]
    NotAnObject {
        /// What it is.
        found: String,
    },
    /// The timestamp field is missing.
    #[error("the event has no `{field}`")]
    NoTimestamp {
        /// The field's name.
        field: String,
    },
    /// The timestamp cannot be read.
    #[error("`{field}` is no time: {found}")]
    BadTimestamp {
        /// The field's name.
        field: String,
        /// What stands there.
        found: String,
    },
}

/// Reads events from JSON for one field table.
#[derive(Debug, Clone)]
pub struct Decoder {
    nodes: Vec<TrieNode>,
    timestamp_name: String,
    timestamp_format: TimestampFormat,
}

/// A point in the tree of the wanted fields' names.
#[derive(Debug, Clone, Default)]
struct TrieNode {
    /// Every name below this point, dotted ones too, so that a key is looked up once.
    below: Names,
    field: Option<(FieldNumber, FieldType)>,
    role: Option<Role>,
}

/// What a field is for, beside its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Timestamp,
    Tiebreaker,
}

/// What is learned while one document is read.
struct Reading<'d> {
    decoder: &'d Decoder,
    event: &'d mut Event,
    timestamp: Option<i64>,
    bad_timestamp: Option<String>,
}

impl Decoder {
    /// A decoder that fills the fields of `table`.
    pub fn new(table: &FieldTable, fields: &EventFields) -> Decoder {
        let mut decoder = Decoder {
            nodes: vec![TrieNode::default()],
            timestamp_name: fields.timestamp.clone(),
            timestamp_format: fields.timestamp_format,
        };
        for (number, name, field_type) in table.iter() {
            let node = decoder.node(name);
            decoder.nodes[node].field = Some((number, field_type));
        }
        if let Some(tiebreaker) = &fields.tiebreaker {
            let node = decoder.node(tiebreaker);
            decoder.nodes[node].role = Some(Role::Tiebreaker);
        }
        let node = decoder.node(&fields.timestamp);
        decoder.nodes[node].role = Some(Role::Timestamp);
        decoder
    }

    fn node(&mut self, name: &str) -> usize {
        // The points on the way, each with the name that leads on from it.
        let (mut way, mut node) = (vec![(0, 0)], 0);
        let ends = name.match_indices('.').map(|(dot, _)| dot).chain([name.len()]);
        for end in ends {
            let start = way.last().map_or(0, |&(_, start)| start);
            node = match self.nodes[node].below.get(&name[start..end]) {
                Some(child) => child as usize,
                None => {
                    let child = self.nodes.len();
                    self.nodes.push(TrieNode::default());
                    for &(ancestor, start) in &way {
                        self.nodes[ancestor].below.insert(&name[start..end], child as u32);
                    }
                    child
                }
            };
            way.push((node, end + 1));
        }
        node
    }

    /// Reads one document into `event`, whose fields are replaced; its ordinal is left 0 for the caller to set.
    pub fn decode(&self, json: &[u8], event: &mut Event) -> Result<(), DecodeError> {
        let mut reading = Reading { decoder: self, event, timestamp: None, bad_timestamp: None };
        if !reading.read_fast(json) {
            reading.read(json).map_err(|error| DecodeError::NotJson { message: error.to_string() })?;
        }
        let first = json.iter().find(|byte| !byte.is_ascii_whitespace());
        if first != Some(&b'{') {
            let found = match first {
                Some(b'[') => "an array",
                Some(b'"') => "a string",
                Some(b't' | b'f') => "a boolean",
                Some(b'n') => "null",
                _ => "a number",
            };
            return Err(DecodeError::NotAnObject { found: found.to_owned() });
        }
        match (reading.timestamp, reading.bad_timestamp) {
            (Some(timestamp), _) => {
                event.timestamp = timestamp;
                Ok(())
            }
            (None, Some(found)) => Err(DecodeError::BadTimestamp { field: self.timestamp_name.clone(), found }),
            (None, None) => Err(DecodeError::NoTimestamp { field: self.timestamp_name.clone() }),
        }
    }
}

/// How many brackets a text may open that the fast reader gets, which does not bound how deep it goes.
const MAX_FAST_BRACKETS: usize = 126;

/// One JSON value as it stands in a document, before its field's type is looked at.
#[derive(Clone, Copy)]
enum Raw<'j> {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(&'j str),
}

impl Reading<'_> {
    /// Reads a text with the reader that looks at many bytes at a time. `false` when it is to be read by the other one:
    /// because it may go too deep, or because something is wrong with it, which the other one says better.
    fn read_fast(&mut self, json: &[u8]) -> bool {
        self.begin();
        if opening_brackets(json) > MAX_FAST_BRACKETS {
            return false;
        }
        let mut deserializer = sonic_rs::Deserializer::from_slice(json);
        let root = Place { reading: self, node: 0, element: 0 };
        root.deserialize(&mut deserializer).and_then(|()| deserializer.end()).is_ok()
    }

    fn read(&mut self, json: &[u8]) -> Result<(), serde_json::Error> {
        self.begin();
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let root = Place { reading: self, node: 0, element: 0 };
        root.deserialize(&mut deserializer).and_then(|()| deserializer.end())
    }

    fn begin(&mut self) {
        self.event.clear();
        (self.timestamp, self.bad_timestamp) = (None, None);
    }

    fn value(&mut self, node: usize, element: u32, raw: Raw<'_>) {
        let TrieNode { field, role, .. } = &self.decoder.nodes[node];
        match role {
            Some(Role::Timestamp) => self.timestamp_value(raw),
            Some(Role::Tiebreaker) => {
                self.event.tiebreaker = match raw {
                    Raw::Integer(value) => value,
                    Raw::Float(value) => value as i64,
                    Raw::Text(text) => text.parse().unwrap_or(0),
                    Raw::Boolean(_) => 0,
                };
            }
            None => {}
        }
        let Some((number, field_type)) = *field else { return };
        if !push(self.event, number, field_type, element, raw) {
            self.event.flags.insert(EventFlags::MISTYPED);
        }
    }

    fn timestamp_value(&mut self, raw: Raw<'_>) {
        let format = self.decoder.timestamp_format;
        let read = match raw {
            Raw::Integer(value) if format != TimestampFormat::Rfc3339 => time::from_integer(value, format),
            Raw::Float(value) if format == TimestampFormat::EpochS => {
                Some((value * 1e9) as i64).filter(|_| value.is_finite())
            }
            Raw::Float(value) if format == TimestampFormat::EpochMs => {
                Some((value * 1e6) as i64).filter(|_| value.is_finite())
            }
            Raw::Text(text) => match format {
                TimestampFormat::Auto | TimestampFormat::Rfc3339 => time::parse_text(text),
                _ => text.parse().ok().and_then(|value| time::from_integer(value, format)),
            },
            _ => None,
        };
        match read {
            Some(timestamp) => self.timestamp = Some(timestamp),
            None => {
                let mut found = match raw {
                    Raw::Boolean(value) => value.to_string(),
                    Raw::Integer(value) => value.to_string(),
                    Raw::Float(value) => value.to_string(),
                    Raw::Text(text) => format!("{text:?}"),
                };
                if let Some((cut, _)) = found.char_indices().nth(60) {
                    found.truncate(cut);
                }
                self.bad_timestamp = Some(found);
            }
        }
    }

    /// The number of the next object of a wanted object field.
    fn next_object(&mut self, field: FieldNumber) -> u32 {
        let objects = &mut self.event.objects;
        match objects.iter_mut().find(|(known, _)| *known == field) {
            Some((_, next)) => {
                *next += 1;
                *next
            }
            None => {
                objects.push((field, 0));
                0
            }
        }
    }
}

/// Adds a value as its field's type wants it. `false` when it does not fit.
fn push(event: &mut Event, number: FieldNumber, field_type: FieldType, element: u32, raw: Raw<'_>) -> bool {
    let value = match (field_type, raw) {
        (FieldType::Keyword | FieldType::Version, Raw::Text(text)) => FieldValue::Text(text),
        (FieldType::Keyword | FieldType::Version, Raw::Boolean(value)) => {
            FieldValue::Text(if value { "true" } else { "false" })
        }
        (FieldType::Keyword | FieldType::Version, Raw::Integer(value)) => {
            event.push_written(number, element, format_args!("{value}"));
            return true;
        }
        (FieldType::Keyword | FieldType::Version, Raw::Float(value)) => {
            event.push_written(number, element, format_args!("{value:?}"));
            return true;
        }
        (FieldType::Long, Raw::Integer(value)) => FieldValue::Integer(value),
        (FieldType::Long, Raw::Float(value)) if value.abs() < 9.2e18 => FieldValue::Integer(value as i64),
        (FieldType::Long, Raw::Text(text)) => match text.trim().parse() {
            Ok(value) => FieldValue::Integer(value),
            Err(_) => return false,
        },
        (FieldType::Double, Raw::Integer(value)) => FieldValue::Float(value as f64),
        (FieldType::Double, Raw::Float(value)) => FieldValue::Float(value),
        (FieldType::Double, Raw::Text(text)) => match text.trim().parse::<f64>() {
            Ok(value) if value.is_finite() => FieldValue::Float(value),
            _ => return false,
        },
        (FieldType::Boolean, Raw::Boolean(value)) => FieldValue::Boolean(value),
        (FieldType::Boolean, Raw::Text("true")) => FieldValue::Boolean(true),
        (FieldType::Boolean, Raw::Text("false")) => FieldValue::Boolean(false),
        (FieldType::Date, Raw::Text(text)) => match time::parse_text(text) {
            Some(value) => FieldValue::Integer(value),
            None => return false,
        },
        (FieldType::Date, Raw::Integer(value)) => match time::from_integer(value, TimestampFormat::EpochMs) {
            Some(value) => FieldValue::Integer(value),
            None => return false,
        },
        (FieldType::Ip, Raw::Text(text)) => match text.parse::<IpAddr>() {
            Ok(address) => FieldValue::Ip(ip_octets(address)),
            Err(_) => return false,
        },
        _ => return false,
    };
    event.push_value(number, element, value);
    true
}

/// A place in the document: the point in the tree of names, and the object that it belongs to.
struct Place<'r, 'd> {
    reading: &'r mut Reading<'d>,
    node: usize,
    element: u32,
}

/// How many brackets a text opens, those in its strings included.
fn opening_brackets(json: &[u8]) -> usize {
    // `[` and `{` differ in one bit. Counted in bytes over short runs, which compilers do many at a time.
    let count = |run: &[u8]| run.iter().fold(0_u8, |count, byte| count + u8::from(byte | 0x20 == b'{'));
    json.chunks(usize::from(u8::MAX)).map(|run| usize::from(count(run))).sum()
}

impl<'de> DeserializeSeed<'de> for Place<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.reading.value(self.node, self.element, Raw::Boolean(value));
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.reading.value(self.node, self.element, Raw::Integer(value));
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        let raw = i64::try_from(value).map_or(Raw::Float(value as f64), Raw::Integer);
        self.reading.value(self.node, self.element, raw);
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        // Without a sign of zero, which readers keep or not.
        self.reading.value(self.node, self.element, Raw::Float(value + 0.0));
        Ok(())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.reading.value(self.node, self.element, Raw::Text(value));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Place { reading, node, element } = self;
        while elements.next_element_seed(Place { reading: &mut *reading, node, element })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Place { reading, node, mut element } = self;
        if let Some((number, FieldType::Object)) = reading.decoder.nodes[node].field {
            element = reading.next_object(number);
            reading.event.push_value(number, element, FieldValue::Boolean(true));
        }
        while let Some(found) = members.next_key_seed(Name { decoder: reading.decoder, node })? {
            match found {
                Some(child) => members.next_value_seed(Place { reading: &mut *reading, node: child, element })?,
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// A key: finds the point in the tree of names, if anybody wants what is below it.
struct Name<'d> {
    decoder: &'d Decoder,
    node: usize,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(self.decoder.nodes[self.node].below.get(key).map(|child| child as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kestrel_schema::Schema;

    fn decode(json: &str) -> (FieldTable, Result<Event, DecodeError>) {
        let mut table = FieldTable::new();
        for (name, field_type) in [
            ("process.name", FieldType::Keyword),
            ("process.args", FieldType::Keyword),
            ("process.pid", FieldType::Long),
            ("process.interactive", FieldType::Boolean),
            ("source.ip", FieldType::Ip),
            ("stack", FieldType::Object),
            ("stack.symbol", FieldType::Keyword),
        ] {
            table.intern(name, field_type);
        }
        let decoder = Decoder::new(&table, Schema::ecs().event());
        let mut event = Event::new();
        let result = decoder.decode(json.as_bytes(), &mut event).map(|()| event);
        (table, result)
    }

    #[test]
    fn nested_and_dotted_mean_the_same_and_null_is_missing() {
        let nested =
            r#"{"@timestamp":"2023-11-14T22:13:20Z","process":{"name":"sh","args":["a",null,"b"],"pid":"7","x":[1]}}"#;
        let dotted = r#"{"process.args":["a","b"],"process":{"name":["sh"]},"process.pid":7,"@timestamp":1700000000000,"source.ip":null}"#;
        for json in [nested, dotted] {
            let (table, event) = decode(json);
            let event = event.expect(json);
            assert_eq!(event.timestamp, 1_700_000_000_000_000_000);
            let field = |name: &str| event.field(table.lookup(name).expect("interned")).collect::<Vec<_>>();
            assert_eq!(field("process.name"), [FieldValue::Text("sh")]);
            assert_eq!(field("process.args"), [FieldValue::Text("a"), FieldValue::Text("b")]);
            assert_eq!(field("process.pid"), [FieldValue::Integer(7)]);
            assert!(field("source.ip").is_empty());
        }
    }

    #[test]
    fn objects_are_numbered_and_mistyped_values_flag_the_event() {
        let (table, event) = decode(
            r#"{"@timestamp":0,"stack":[{"symbol":"a"},{"other":1},{"symbol":["b","c"]}],"process":{"pid":"x"}}"#,
        );
        let event = event.expect("an event");
        let symbol = table.lookup("stack.symbol").expect("interned");
        let symbols: Vec<_> =
            event.values().filter(|(field, _, _)| *field == symbol).map(|(_, element, _)| element).collect();
        assert_eq!(symbols, [0, 2, 2]);
        assert!(event.flags.contains(EventFlags::MISTYPED));
    }

    #[test]
    fn what_is_no_event_is_told_in_words() {
        for (json, part) in [
            ("", "not JSON"),
            ("{", "not JSON"),
            ("{} {}", "not JSON"),
            ("[1]", "an array"),
            ("7", "a number"),
            ("{}", "no `@timestamp`"),
            (r#"{"@timestamp":"soon"}"#, "no time"),
            (&"[".repeat(100_000), "not JSON"),
            (&format!("{{\"other\":{}", "[".repeat(100_000)), "not JSON"),
            ("{\"other\":[1,]}", "not JSON"),
            ("{\"other\":\"\u{1}\"}", "not JSON"),
            (r#"{"@timestamp":0,"process":{"name":"\ud800"}}"#, "not JSON"),
        ] {
            let (_, event) = decode(json);
            let error = event.expect_err(json).to_string();
            assert!(error.contains(part), "{json:.40}: {error}");
        }
    }
}
