//! Reads a schema file: TOML text in, a [`Schema`] out, or every problem in it with line and column.
//!
//! ```toml
//! name = "mine"
//! extends = "ecs"                     # or nothing: this file is the whole schema
//! dynamic = true                      # a field that is not listed is typed from the data
//! [event]
//! category = "event_type"
//! timestamp = "timestamp"
//! timestamp_format = "filetime"       # auto | rfc3339 | epoch_s | epoch_ms | epoch_ns | filetime
//! tiebreaker = "serial"
//! id = "serial"
//! [fields]
//! serial = "long"
//! "process.args" = "keyword[]"        # the same as process.args = "keyword[]"
//! ```
//!
//! It does no IO and stops at no first problem, except where the text is no TOML.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::field::{FieldInfo, FieldType};
use crate::schema::{EventFields, Schema, TimestampFormat};

const TOP_KEYS: [&str; 5] = ["name", "extends", "dynamic", "event", "fields"];
const EVENT_KEYS: [&str; 5] = ["category", "timestamp", "timestamp_format", "tiebreaker", "id"];

/// One thing wrong with a schema file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaProblem {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong and what would be right: lower case, no final period.
    pub message: String,
}

/// All that is wrong with a schema file; there is always at least one problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct SchemaError {
    problems: Vec<SchemaProblem>,
}

impl SchemaError {
    /// The problems in the order of the text.
    pub fn problems(&self) -> &[SchemaProblem] {
        &self.problems
    }
}

impl fmt::Display for SchemaProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

/// See [`Schema::from_toml`].
pub(crate) fn parse(text: &str) -> Result<Schema, SchemaError> {
    let mut reader = Reader { text, problems: Vec::new() };
    let schema = match DeTable::parse(text) {
        Ok(table) => reader.schema(table.get_ref()),
        Err(error) => {
            reader.problem(error.span().unwrap_or(0..0), error.message().to_owned());
            return Err(reader.error());
        }
    };
    if reader.problems.is_empty() { Ok(schema) } else { Err(reader.error()) }
}

/// The fields met so far, and where.
type Seen = BTreeMap<String, Range<usize>>;

struct Reader<'t> {
    text: &'t str,
    problems: Vec<SchemaProblem>,
}

impl Reader<'_> {
    fn error(mut self) -> SchemaError {
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        SchemaError { problems: self.problems }
    }

    fn problem(&mut self, span: Range<usize>, message: String) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
        self.problems.push(SchemaProblem { line, column, message });
    }

    fn schema(&mut self, top: &DeTable<'_>) -> Schema {
        self.known_keys(top, &TOP_KEYS, "a schema file");
        let name = self.text_value(top, "name").unwrap_or_else(|| "unnamed".to_owned());
        let extends_ecs = match (self.text_value(top, "extends"), top.get("extends")) {
            (Some(base), Some(value)) if base != "ecs" => {
                self.problem(value.span(), format!("unknown schema `{base}` in `extends`, expected `ecs`"));
                false
            }
            (base, _) => base.is_some(),
        };
        let dynamic = match top.get("dynamic") {
            None => false,
            Some(value) => value.get_ref().as_bool().unwrap_or_else(|| {
                self.wrong_type(value, "dynamic", "true or false");
                false
            }),
        };
        let event = self.event(top, extends_ecs);
        let mut schema = Schema::from_parts(name, dynamic, event, extends_ecs);
        match top.get("fields") {
            None => {}
            Some(value) => match value.get_ref().as_table() {
                Some(fields) => self.fields(fields, "", &mut schema, &mut Seen::new()),
                None => self.wrong_type(value, "fields", "a table"),
            },
        }
        if !dynamic {
            define_event_fields(&mut schema);
        }
        schema
    }

    fn event(&mut self, top: &DeTable<'_>, extends_ecs: bool) -> EventFields {
        // What a file that replaces the schema does not name is not there; only category and time always have a field.
        let mut event = EventFields::ecs();
        if !extends_ecs {
            event.tiebreaker = None;
            event.id = None;
        }
        let Some(value) = top.get("event") else {
            return event;
        };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(value, "event", "a table");
            return event;
        };
        self.known_keys(table, &EVENT_KEYS, "`[event]`");
        if let Some(category) = self.field_name(table, "category") {
            event.category = category;
        }
        if let Some(timestamp) = self.field_name(table, "timestamp") {
            event.timestamp = timestamp;
        }
        if let (Some(word), Some(value)) = (self.text_value(table, "timestamp_format"), table.get("timestamp_format")) {
            match word.parse::<TimestampFormat>() {
                Ok(format) => event.timestamp_format = format,
                Err(error) => self.problem(value.span(), error.to_string()),
            }
        }
        event.tiebreaker = self.field_name(table, "tiebreaker").or(event.tiebreaker);
        event.id = self.field_name(table, "id").or(event.id);
        event
    }

    /// Reads `[fields]`, whose nested tables are dotted names written apart.
    fn fields(&mut self, table: &DeTable<'_>, prefix: &str, schema: &mut Schema, seen: &mut Seen) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            if name
                .split('.')
                .any(|segment| segment.is_empty() || segment.chars().any(|c| c.is_control() || c.is_whitespace()))
            {
                self.problem(
                    key.span(),
                    format!("`{}` is not a field name: empty part, or white space", name.escape_debug()),
                );
                continue;
            }
            if let Some(below) = value.get_ref().as_table() {
                self.fields(below, &format!("{name}."), schema, seen);
                continue;
            }
            let Some(word) = value.get_ref().as_str() else {
                self.wrong_type(value, &name, "a type in quotes, such as \"keyword\"");
                continue;
            };
            let (type_name, array) = match word.trim().strip_suffix("[]") {
                Some(element) => (element.trim_end(), true),
                None => (word.trim(), false),
            };
            // Tables come in alphabetical order, so that the one met first may be the one written last.
            if let Some(other) = seen.insert(name.clone(), key.span()) {
                let later = if other.start > key.span().start { other } else { key.span() };
                self.problem(later, format!("field `{name}` is listed twice"));
            }
            match type_name.parse::<FieldType>() {
                Ok(field_type) => schema.define_info(&name, FieldInfo { field_type, array }),
                Err(error) => {
                    let help = FieldType::suggestion(type_name)
                        .map(|word| format!("; did you mean `{word}`?"))
                        .unwrap_or_default();
                    self.problem(value.span(), format!("field `{name}`: {error}{help}"));
                }
            }
        }
    }

    fn known_keys(&mut self, table: &DeTable<'_>, known: &[&str], place: &str) {
        for key in table.keys() {
            let word: &str = key.get_ref();
            if known.contains(&word) {
                continue;
            }
            let nearest = known.iter().map(|name| (strsim::osa_distance(name, word), name)).min();
            let help = match nearest {
                Some((distance, name)) if distance <= 2 => format!("did you mean `{name}`?"),
                _ => format!("expected {}", known.join(", ")),
            };
            self.problem(key.span(), format!("unknown key `{}` in {place}; {help}", word.escape_debug()));
        }
    }

    fn text_value(&mut self, table: &DeTable<'_>, key: &str) -> Option<String> {
        let value = table.get(key)?;
        let text = value.get_ref().as_str().map(str::to_owned);
        if text.is_none() {
            self.wrong_type(value, key, "a string");
        }
        text
    }

    fn field_name(&mut self, table: &DeTable<'_>, key: &str) -> Option<String> {
        let name = self.text_value(table, key)?;
        if name.is_empty() {
            self.problem(table.get(key)?.span(), format!("`{key}` names no field; leave the line out instead"));
            return None;
        }
        Some(name)
    }

    fn wrong_type(&mut self, value: &Spanned<DeValue<'_>>, key: &str, expected: &str) {
        let found = value.get_ref().type_str();
        self.problem(value.span(), format!("`{key}` is {found}, expected {expected}"));
    }
}

/// A rule may ask for the fields of `[event]` even when the file does not list them. A dynamic schema reads their types from the
/// data like all others.
fn define_event_fields(schema: &mut Schema) {
    let event = schema.event().clone();
    let keyword = FieldInfo { field_type: FieldType::Keyword, array: false };
    let wanted = [
        (Some(event.category), FieldInfo { array: true, ..keyword }),
        (Some(event.timestamp), FieldInfo { field_type: FieldType::Date, array: false }),
        (event.tiebreaker, FieldInfo { field_type: FieldType::Long, array: false }),
        (event.id, keyword),
    ];
    for (name, info) in wanted {
        if let Some(name) = name
            && schema.lookup(&name).is_none()
        {
            schema.define_info(&name, info);
        }
    }
}
