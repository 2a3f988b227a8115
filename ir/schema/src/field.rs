//! What a field is: its type, the family that decides what it compares with, and the built-in table of fields.
//!
//! In: nothing but the generated table. Out: [`ecs_fields`] and the plain types that the rest of the workspace passes around.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::generated;

/// The type of a field's values.
///
/// Elasticsearch's `text`, `wildcard`, `constant_keyword` and `match_only_text` are all [`FieldType::Keyword`] here, every whole
/// number is [`FieldType::Long`] and every other number [`FieldType::Double`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// A string.
    Keyword,
    /// A signed 64-bit whole number.
    Long,
    /// A 64-bit floating point number.
    Double,
    /// True or false.
    Boolean,
    /// An IPv4 or IPv6 address.
    Ip,
    /// A moment: an ISO 8601 string or epoch milliseconds.
    Date,
    /// A software version, ordered semantically.
    Version,
    /// A structure with fields below it, often an array of them.
    Object,
}

/// Which types compare with which: two operands belong together when they are of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Strings.
    Text,
    /// Whole and floating point numbers.
    Number,
    /// Truth values.
    Boolean,
    /// Addresses.
    Ip,
    /// Moments.
    Date,
    /// Versions.
    Version,
    /// Structures, which compare with nothing but null.
    Object,
}

/// One field of the built-in schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldDef {
    /// The full dotted name, `process.parent.name`.
    pub name: &'static str,
    /// The type of its values.
    pub field_type: FieldType,
    /// Whether the field usually holds many values. Documentation only: any field may.
    pub array: bool,
    /// One sentence for people.
    pub doc: &'static str,
}

/// What [`crate::Schema::lookup`] tells about a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FieldInfo {
    /// The type of its values.
    pub field_type: FieldType,
    /// Whether the field usually holds many values.
    pub array: bool,
}

/// A word that names no [`FieldType`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown field type `{word}`, expected {}", FieldType::NAMES.join(", "))]
pub struct UnknownFieldType {
    /// The word as it was written.
    pub word: String,
}

/// All fields of the built-in schema, sorted by name (bytewise).
pub fn ecs_fields() -> &'static [FieldDef] {
    &generated::FIELDS
}

impl FieldType {
    /// Every type, in the order of declaration.
    pub const ALL: [FieldType; 8] = [
        FieldType::Keyword,
        FieldType::Long,
        FieldType::Double,
        FieldType::Boolean,
        FieldType::Ip,
        FieldType::Date,
        FieldType::Version,
        FieldType::Object,
    ];

    pub(crate) const NAMES: [&'static str; 8] =
        ["keyword", "long", "double", "boolean", "ip", "date", "version", "object"];

    /// The type's lower-case name, as schema files write it.
    pub fn name(self) -> &'static str {
        match self {
            FieldType::Keyword => "keyword",
            FieldType::Long => "long",
            FieldType::Double => "double",
            FieldType::Boolean => "boolean",
            FieldType::Ip => "ip",
            FieldType::Date => "date",
            FieldType::Version => "version",
            FieldType::Object => "object",
        }
    }

    /// The family that decides what a value of this type compares with.
    pub fn family(self) -> Family {
        match self {
            FieldType::Keyword => Family::Text,
            FieldType::Long | FieldType::Double => Family::Number,
            FieldType::Boolean => Family::Boolean,
            FieldType::Ip => Family::Ip,
            FieldType::Date => Family::Date,
            FieldType::Version => Family::Version,
            FieldType::Object => Family::Object,
        }
    }

    /// The type that people who write `word` mean: what other systems call it, or the nearest spelling.
    pub(crate) fn suggestion(word: &str) -> Option<&'static str> {
        let lower = word.to_ascii_lowercase();
        let known = match lower.as_str() {
            "string" | "str" | "text" | "wildcard" | "constant_keyword" | "match_only_text" | "varchar" => {
                Some("keyword")
            }
            "int" | "integer" | "short" | "byte" | "unsigned_long" | "number" | "u64" | "i64" => Some("long"),
            "float" | "half_float" | "scaled_float" | "decimal" | "f64" => Some("double"),
            "bool" => Some("boolean"),
            "address" | "ipv4" | "ipv6" => Some("ip"),
            "timestamp" | "datetime" | "time" | "date_nanos" => Some("date"),
            "semver" => Some("version"),
            "nested" | "flattened" | "struct" | "map" => Some("object"),
            _ => None,
        };
        known.or_else(|| {
            let nearest = Self::NAMES.into_iter().min_by_key(|name| strsim::osa_distance(name, &lower))?;
            (strsim::osa_distance(nearest, &lower) <= 2).then_some(nearest)
        })
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for FieldType {
    type Err = UnknownFieldType;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|field_type| field_type.name() == word)
            .ok_or_else(|| UnknownFieldType { word: word.to_owned() })
    }
}

impl fmt::Display for Family {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Family::Text => "text",
            Family::Number => "number",
            Family::Boolean => "boolean",
            Family::Ip => "ip",
            Family::Date => "date",
            Family::Version => "version",
            Family::Object => "object",
        })
    }
}

impl fmt::Display for FieldInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.field_type, if self.array { "[]" } else { "" })
    }
}

impl FieldDef {
    /// One line of the generated table.
    pub(crate) const fn new(name: &'static str, field_type: FieldType, array: bool, doc: &'static str) -> FieldDef {
        FieldDef { name, field_type, array, doc }
    }

    /// Type and array flag, without the name and the sentence.
    pub fn info(&self) -> FieldInfo {
        FieldInfo { field_type: self.field_type, array: self.array }
    }
}
