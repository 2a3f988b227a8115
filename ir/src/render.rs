//! Events and frames as ECS documents: nested JSON with a fixed order, names sorted at every level.
//!
//! A field that ECS documents as an array is written as one even with a single value; any other field is an array only
//! when it holds many values. A value whose place is taken by another field's value keeps its dotted name.

use kestrel_schema::{FieldInfo, FieldType, Schema};
use serde_json::{Map, Value as Json};

use crate::event::{Event, FieldTable, FieldValue, ip_address};
use crate::frame::{Frame, FrameValues, Slot};
use crate::layout::{FieldId, Layout};
use crate::time::format_rfc3339;

/// Which fields of a layout make up a document, in which order: computed once per pack.
#[derive(Debug, Clone)]
pub struct Renderer {
    fields: Vec<RenderedField>,
}

#[derive(Debug, Clone)]
struct RenderedField {
    id: FieldId,
    name: String,
    field_type: FieldType,
    array: bool,
    children: Vec<RenderedField>,
}

impl Renderer {
    /// A renderer for the frames of a layout; `schema` says which fields are arrays.
    pub fn new(layout: &Layout, schema: &Schema) -> Renderer {
        let mut fields: Vec<RenderedField> = layout
            .iter()
            .filter(|(_, field)| field.parent.is_none())
            .map(|(id, field)| {
                let mut children: Vec<RenderedField> = layout
                    .children(id)
                    .map(|(child, definition)| {
                        let below = definition.name.strip_prefix(&format!("{}.", field.name));
                        rendered(
                            child,
                            &definition.name,
                            below.unwrap_or(&definition.name),
                            definition.field_type,
                            schema,
                        )
                    })
                    .collect();
                children.sort_by(|left, right| left.name.cmp(&right.name));
                RenderedField { children, ..rendered(id, &field.name, &field.name, field.field_type, schema) }
            })
            .collect();
        fields.sort_by(|left, right| left.name.cmp(&right.name));
        Renderer { fields }
    }

    /// The document of a frame. Missing fields are left out.
    pub fn document(&self, layout: &Layout, frame: Frame<'_>) -> Map<String, Json> {
        let mut document = Map::new();
        for field in &self.fields {
            let values = frame.values(layout, field.id);
            if let Some(json) = field_json(layout, frame, field, values) {
                insert(&mut document, &field.name, json);
            }
        }
        document
    }
}

fn rendered(id: FieldId, full_name: &str, name: &str, field_type: FieldType, schema: &Schema) -> RenderedField {
    let array = schema.lookup(full_name).is_some_and(|info| info.array);
    RenderedField { id, name: name.to_owned(), field_type, array, children: Vec::new() }
}

fn field_json(layout: &Layout, frame: Frame<'_>, field: &RenderedField, values: FrameValues<'_>) -> Option<Json> {
    if field.field_type == FieldType::Object && field.children.is_empty() {
        return None;
    }
    let rendered = values.iter().map(|slot| match slot {
        Slot::Object(object) => {
            let mut document = Map::new();
            for child in &field.children {
                let values = frame.object_values(layout, object, child.id);
                if let Some(json) = field_json(layout, frame, child, values) {
                    insert(&mut document, &child.name, json);
                }
            }
            Json::Object(document)
        }
        Slot::Integer(value) => integer_json(value, field.field_type),
        Slot::Float(value) => Json::from(value),
        Slot::Boolean(value) => Json::from(value),
        Slot::Text(text) => Json::from(text),
        Slot::Ip(octets) => Json::from(ip_address(octets).to_string()),
    });
    one_or_many(rendered.collect(), field.array)
}

/// The document of an event: all its values, with the timestamp.
pub fn event_document(event: &Event, table: &FieldTable, schema: &Schema) -> Map<String, Json> {
    let mut names: Vec<_> = table.iter().filter(|(_, _, field_type)| *field_type != FieldType::Object).collect();
    names.sort_by_key(|(_, name, _)| *name);
    let mut document = Map::new();
    insert(&mut document, &schema.event().timestamp, Json::from(format_rfc3339(event.timestamp)));
    for (number, name, field_type) in names {
        let values = event
            .field(number)
            .map(|value| match value {
                FieldValue::Integer(value) => integer_json(value, field_type),
                FieldValue::Float(value) => Json::from(value),
                FieldValue::Boolean(value) => Json::from(value),
                FieldValue::Text(text) => Json::from(text),
                FieldValue::Ip(octets) => Json::from(ip_address(octets).to_string()),
            })
            .collect();
        let array = schema.lookup(name).is_some_and(|FieldInfo { array, .. }| array);
        if let Some(json) = one_or_many(values, array)
            && name != schema.event().timestamp
        {
            insert(&mut document, name, json);
        }
    }
    document
}

fn integer_json(value: i64, field_type: FieldType) -> Json {
    match field_type {
        FieldType::Date => Json::from(format_rfc3339(value)),
        _ => Json::from(value),
    }
}

fn one_or_many(mut values: Vec<Json>, array: bool) -> Option<Json> {
    match values.len() {
        0 => None,
        1 if !array => values.pop(),
        _ => Some(Json::Array(values)),
    }
}

/// Puts a value at its dotted place. Names come sorted, so `a` is always there before `a.b`.
fn insert(document: &mut Map<String, Json>, name: &str, json: Json) {
    if let Some((first, rest)) = name.split_once('.') {
        let place = document.entry(first).or_insert_with(|| Json::Object(Map::new()));
        if let Json::Object(inner) = place {
            return insert(inner, rest, json);
        }
        document.insert(name.to_owned(), json);
    } else {
        document.insert(name.to_owned(), json);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_json::Decoder;
    use crate::frame::FrameBuilder;

    #[test]
    fn a_document_comes_back_sorted_and_nested() {
        let schema = Schema::ecs();
        let mut layout = Layout::new();
        for name in ["process.name", "process.args", "@timestamp", "source.ip", "process.pid"] {
            let info = schema.lookup(name).expect("an ECS field");
            layout.intern(name, info.field_type);
        }
        let mut table = FieldTable::new();
        FrameBuilder::wanted(&layout, &mut table);
        let mut event = Event::new();
        Decoder::new(&table, schema.event())
            .decode(
                br#"{"@timestamp":"2023-11-14T22:13:20Z","source.ip":"10.0.0.1","process":{"pid":1,"name":"sh","args":"x"}}"#,
                &mut event,
            )
            .expect("an event");
        let mut builder = FrameBuilder::new(&layout, &table);
        let frame = builder.build(&event);
        let document = Renderer::new(&layout, &schema).document(&layout, frame);
        let expected = r#"{"@timestamp":"2023-11-14T22:13:20.000Z","process":{"args":["x"],"name":"sh","pid":1},"source":{"ip":"10.0.0.1"}}"#;
        assert_eq!(Json::Object(document).to_string(), expected);
        assert_eq!(Json::Object(event_document(&event, &table, &schema)).to_string(), expected);
    }
}
