//! Types for the fields that a dynamic schema does not list, taken from the data.
//!
//! Strings make a `keyword`, whole numbers a `long`, other numbers a `double`, booleans a `boolean`, arrays of objects
//! an `object` besides their members. A field that holds several of these is a `double` if all are numbers, else a
//! `keyword`.

use std::collections::BTreeMap;

use kestrel_schema::{FieldType, Schema};
use serde_json::Value as Json;

/// Defines in `schema` each field of `documents` that it does not know. Documents that are no JSON teach nothing.
pub fn define_from_data<D: AsRef<[u8]>>(schema: &mut Schema, documents: &[D]) {
    let mut found: BTreeMap<String, FieldType> = BTreeMap::new();
    for document in documents {
        if let Ok(json) = serde_json::from_slice::<Json>(document.as_ref()) {
            visit("", &json, false, &mut found);
        }
    }
    for (name, field_type) in found {
        if schema.lookup(&name).is_none() {
            schema.define(&name, field_type);
        }
    }
}

fn visit(name: &str, json: &Json, in_array: bool, found: &mut BTreeMap<String, FieldType>) {
    let field_type = match json {
        Json::Null => return,
        Json::Array(elements) => {
            elements.iter().for_each(|element| visit(name, element, true, found));
            return;
        }
        Json::Object(members) => {
            for (key, value) in members {
                let path = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                visit(&path, value, false, found);
            }
            if !in_array || name.is_empty() {
                return;
            }
            FieldType::Object
        }
        Json::Bool(_) => FieldType::Boolean,
        Json::String(_) => FieldType::Keyword,
        Json::Number(number) if number.is_i64() => FieldType::Long,
        Json::Number(_) => FieldType::Double,
    };
    found.entry(name.to_owned()).and_modify(|known| *known = common(*known, field_type)).or_insert(field_type);
}

fn common(left: FieldType, right: FieldType) -> FieldType {
    match (left, right) {
        _ if left == right => left,
        (FieldType::Long | FieldType::Double, FieldType::Long | FieldType::Double) => FieldType::Double,
        _ => FieldType::Keyword,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_typed_from_what_they_hold() {
        let mut schema = Schema::ecs();
        let documents = [
            r#"{"a":1,"b":"x","c":{"d":true},"e":[1,2.5],"f":[{"g":1}],"process.pid":"text"}"#,
            r#"{"a":"x","b":null,"e":[]}"#,
            "no json",
        ];
        define_from_data(&mut schema, &documents);
        for (name, expected) in [
            ("a", Some(FieldType::Keyword)),
            ("b", Some(FieldType::Keyword)),
            ("c.d", Some(FieldType::Boolean)),
            ("e", Some(FieldType::Double)),
            ("f", Some(FieldType::Object)),
            ("f.g", Some(FieldType::Long)),
            ("process.pid", Some(FieldType::Long)),
            ("c", None),
        ] {
            assert_eq!(schema.lookup(name).map(|info| info.field_type), expected, "{name}");
        }
    }
}
