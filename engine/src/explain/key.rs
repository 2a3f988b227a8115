//! A join key as people name it: words of a command line, or values of a request.
//!
//! In: the values in the order of the rule's key fields. Out: the key, typed as the rule's first keyed term says. `null`
//! is the missing value of an optional field (`?key`).

use std::net::IpAddr;

use kestrel_core::key::{JoinKey, KeyPart};
use kestrel_ir::model::{Ir, Key, RuleIndex, RuleKind};
use kestrel_ir::time::parse_text;
use kestrel_schema::FieldType;
use serde_json::Value as Json;
use thiserror::Error;

use super::text::cut;

/// The longest value that a message repeats, in characters.
const SHOWN: usize = 64;

/// Why values are no key of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The rule keeps nothing by key.
    #[error("rule `{rule}` has no join key")]
    NoKey {
        /// The rule.
        rule: String,
    },
    /// There are more or fewer values than fields.
    #[error("rule `{rule}` joins by {fields}; values expected: {expected}, given: {found}")]
    Count {
        /// The rule.
        rule: String,
        /// Its fields.
        fields: String,
        /// How many there are.
        expected: usize,
        /// How many values were given.
        found: usize,
    },
    /// A value is none of its field.
    #[error("`{value}` is no value of `{field}`, which is of type {kind}")]
    Value {
        /// The value.
        value: String,
        /// The field.
        field: String,
        /// Its type.
        kind: String,
    },
}

/// The key of a rule with these values.
///
/// # Errors
/// When the rule has no key, another number of fields, or fields of other types.
pub fn key_of(ir: &Ir, rule: RuleIndex, values: &[Json]) -> Result<JoinKey, KeyError> {
    let Some(about) = ir.rules.get(rule.index()) else { return Err(KeyError::NoKey { rule: String::new() }) };
    let terms = match &about.kind {
        RuleKind::Event { .. } => &[][..],
        RuleKind::Sequence(sequence) => &sequence.steps,
        RuleKind::Sample { terms } => terms,
    };
    let keys = terms.first().map_or(&[][..], |term| &term.keys);
    if keys.is_empty() {
        return Err(KeyError::NoKey { rule: about.id.clone() });
    }
    if keys.len() != values.len() {
        let fields: Vec<&str> = keys.iter().map(|key| name(ir, key)).collect();
        return Err(KeyError::Count {
            rule: about.id.clone(),
            fields: fields.join(", "),
            expected: keys.len(),
            found: values.len(),
        });
    }
    keys.iter().zip(values).map(|(key, value)| part(ir, key, value)).collect()
}

fn name<'i>(ir: &'i Ir, key: &Key) -> &'i str {
    key.field.map_or("(unknown)", |field| ir.layout.name(field))
}

fn part(ir: &Ir, key: &Key, value: &Json) -> Result<KeyPart, KeyError> {
    if key.optional && (value.is_null() || value.as_str() == Some("null")) {
        return Ok(KeyPart::Null);
    }
    let text = match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let kind = key.field.map(|field| ir.layout.field_type(field));
    let found = match kind {
        Some(FieldType::Keyword | FieldType::Version) => Some(KeyPart::Text(text.as_str().into())),
        Some(FieldType::Long | FieldType::Double) => number(&text),
        Some(FieldType::Date) => text.parse().ok().or_else(|| parse_text(&text)).map(KeyPart::Integer),
        Some(FieldType::Boolean) => text.parse().ok().map(KeyPart::Boolean),
        Some(FieldType::Ip) => text.parse().ok().map(|address| match address {
            IpAddr::V4(address) => KeyPart::Ip(address.to_ipv6_mapped().octets()),
            IpAddr::V6(address) => KeyPart::Ip(address.octets()),
        }),
        _ => None,
    };
    found.ok_or_else(|| KeyError::Value {
        value: cut(&text, SHOWN),
        field: name(ir, key).to_owned(),
        kind: kind.map_or_else(|| "unknown".to_owned(), |kind| kind.to_string()),
    })
}

/// A number, as keys hold it: a whole one is an integer.
fn number(text: &str) -> Option<KeyPart> {
    let decimal = || text.parse::<f64>().ok().filter(|value| value.is_finite()).map(KeyPart::from_float);
    text.parse().ok().map(KeyPart::Integer).or_else(decimal)
}
