//! What must be said about an act: one [`Expected`] event, a line of JSON between the workload and the checker.
//!
//! What is wanted of a field is written by whoever acted, from what it did and from `/proc`, never from the engine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Wanted values by the names of fields.
pub type Fields = BTreeMap<String, Want>;

/// An event that an act must have caused.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Expected {
    /// What was done, for people.
    pub act: String,
    /// The kind of event, as in the schema.
    pub kind: String,
    /// Who did it.
    pub pid: u32,
    /// The fields by which the event is found among those of the kind and the process; in order of time if none.
    pub key: Vec<String>,
    /// What its fields must hold.
    pub fields: Fields,
}

/// What a field must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    /// Exactly these values in this order; none means that the field is absent.
    Values(Vec<Json>),
    /// These values in any order.
    Set(Vec<Json>),
    /// A time or a number in this span, ends included.
    Between(i64, i64),
    /// The ids of these processes: the same text for a process in every event, and another for every other process.
    Entities(Vec<u32>),
    /// These values, or a part of them from the front or the back of the text when the event says that it was cut.
    Cut(Vec<Json>),
    /// Some value.
    Any,
}

impl Want {
    /// One value.
    pub fn value(value: impl Into<Json>) -> Want {
        Want::Values(vec![value.into()])
    }

    /// A field that is absent.
    pub fn absent() -> Want {
        Want::Values(Vec::new())
    }

    /// Text values, as they are read: what is not UTF-8 is replaced.
    pub fn texts(values: impl IntoIterator<Item = impl AsRef<str>>) -> Want {
        Want::Values(values.into_iter().map(|value| Json::from(value.as_ref())).collect())
    }
}
