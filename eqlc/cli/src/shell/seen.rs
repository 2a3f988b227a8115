//! What the events have: which fields, in how many of them, and some of their values, for completion.
//!
//! In: documents. Out: counts and values by field. Of a large input the first part is looked at.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

/// How many documents are looked at.
const DOCUMENTS: usize = 50_000;
/// How many values of a field are kept.
const VALUES: usize = 500;
/// Longer texts are no help in a line.
const LONGEST: usize = 120;

/// What the events have.
#[derive(Debug, Default)]
pub(super) struct Seen {
    fields: BTreeMap<String, Field>,
}

#[derive(Debug, Default)]
struct Field {
    events: usize,
    values: BTreeSet<String>,
}

impl Seen {
    /// Looks at documents. Those that are no JSON have nothing.
    pub(super) fn of(documents: &[Vec<u8>]) -> Seen {
        let mut seen = Seen::default();
        let mut names = BTreeSet::new();
        for document in documents.iter().take(DOCUMENTS) {
            if let Ok(json) = serde_json::from_slice::<Json>(document) {
                names.clear();
                seen.visit("", &json, &mut names);
                for name in &names {
                    seen.fields.entry(name.clone()).or_default().events += 1;
                }
            }
        }
        seen
    }

    fn visit(&mut self, name: &str, json: &Json, names: &mut BTreeSet<String>) {
        match json {
            Json::Null => {}
            Json::Object(members) => {
                for (key, value) in members {
                    let path = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                    self.visit(&path, value, names);
                }
            }
            Json::Array(elements) => elements.iter().for_each(|element| self.visit(name, element, names)),
            Json::String(text) => {
                names.insert(name.to_owned());
                let field = self.fields.entry(name.to_owned()).or_default();
                if field.values.len() < VALUES && text.len() <= LONGEST && !text.chars().any(char::is_control) {
                    field.values.insert(text.clone());
                }
            }
            Json::Bool(_) | Json::Number(_) => {
                names.insert(name.to_owned());
            }
        }
    }

    /// In how many events a field has a value.
    pub(super) fn events(&self, field: &str) -> usize {
        self.fields.get(field).map_or(0, |field| field.events)
    }

    /// The fields, in order.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    /// Texts that a field has had.
    pub(super) fn values(&self, field: &str) -> impl Iterator<Item = &str> {
        self.fields.get(field).into_iter().flat_map(|field| field.values.iter().map(String::as_str))
    }
}
