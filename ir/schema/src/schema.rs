//! A schema to compile and run against: the built-in one, or one that a user's file replaces or extends.
//!
//! In: names. Out: types, suggestions, the fields that say what an event is, and a hash. Reading a schema file is `file.rs`;
//! judging what is near to a misspelt name is `nearest.rs`.
//!
//! ```text
//!   lookup("process.name") ── overlay (the file's fields, and those typed from data)
//!                                └─ else base: the static table, sorted, binary search
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::iter::Peekable;
use std::ops::Bound;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::SchemaDigest;
use crate::field::{FieldDef, FieldInfo, FieldType, ecs_fields};
use crate::generated;
use crate::kind::event_kinds;
use crate::{file, nearest};

/// How to read an event's timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestampFormat {
    /// A string is RFC 3339, a number is told apart by its size.
    #[default]
    Auto,
    /// A string as in RFC 3339, `2026-11-21T07:12:03.188534Z`.
    Rfc3339,
    /// Seconds since 1970.
    EpochS,
    /// Milliseconds since 1970.
    EpochMs,
    /// Nanoseconds since 1970.
    EpochNs,
    /// Windows FILETIME: units of 100 ns since 1601.
    Filetime,
}

/// A word that names no [`TimestampFormat`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown timestamp format `{word}`, expected {}", TimestampFormat::NAMES.join(", "))]
pub struct UnknownTimestampFormat {
    /// The word as it was written.
    pub word: String,
}

/// The fields that say what an event is, when it was and which one it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventFields {
    /// Holds the event's category, or many; `process where …` matches when one of them is `process`.
    pub category: String,
    /// Holds the event's time.
    pub timestamp: String,
    /// How to read that time.
    pub timestamp_format: TimestampFormat,
    /// Orders events of one time; `None` leaves their order to arrival.
    pub tiebreaker: Option<String>,
    /// Names the event in results; `None` when events have no name.
    pub id: Option<String>,
}

/// The names and types that rules are checked against.
#[derive(Debug, Clone)]
pub struct Schema {
    name: String,
    dynamic: bool,
    event: EventFields,
    base: &'static [FieldDef],
    // A tree and not a hash map, because `fields` and `children` walk it in order beside the sorted base.
    overlay: BTreeMap<String, FieldInfo>,
}

impl Schema {
    /// The built-in schema: ECS with Elastic Defend's host fields.
    pub fn ecs() -> Schema {
        Schema {
            name: "ecs".to_owned(),
            dynamic: false,
            event: EventFields::ecs(),
            base: ecs_fields(),
            overlay: BTreeMap::new(),
        }
    }

    /// Reads a schema file. `docs/contracts.md` describes its form.
    ///
    /// # Errors
    /// All that is wrong with the text, each problem with its line: TOML syntax, unknown keys, unknown types.
    ///
    /// ```
    /// # use kestrel_schema::{FieldType, Schema};
    /// let schema = Schema::from_toml("name = 'mine'\nextends = 'ecs'\n[fields]\n'my.level' = 'long'\n")?;
    /// assert_eq!(schema.lookup("my.level").map(|field| field.field_type), Some(FieldType::Long));
    /// assert!(schema.lookup("process.name").is_some());
    /// # Ok::<(), kestrel_schema::SchemaError>(())
    /// ```
    pub fn from_toml(text: &str) -> Result<Schema, file::SchemaError> {
        file::parse(text)
    }

    pub(crate) fn from_parts(name: String, dynamic: bool, event: EventFields, extends_ecs: bool) -> Schema {
        let base: &'static [FieldDef] = if extends_ecs { ecs_fields() } else { &[] };
        Schema { name, dynamic, event, base, overlay: BTreeMap::new() }
    }

    pub(crate) fn define_info(&mut self, name: &str, info: FieldInfo) {
        self.overlay.insert(name.to_owned(), info);
    }

    /// The schema's name: `ecs`, or what its file says.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a field that is not listed is typed from the data instead of being an error.
    pub fn dynamic(&self) -> bool {
        self.dynamic
    }

    /// The fields that say what an event is, when it was and which one it is.
    pub fn event(&self) -> &EventFields {
        &self.event
    }

    /// The type of the field with that full name; `None` when the schema does not know it.
    ///
    /// A name that only has fields below it (`process.parent`) is no field: see [`Schema::children`].
    pub fn lookup(&self, name: &str) -> Option<FieldInfo> {
        if !self.overlay.is_empty()
            && let Some(info) = self.overlay.get(name)
        {
            return Some(*info);
        }
        self.base_field(name).map(FieldDef::info)
    }

    /// The sentence that describes a built-in field, unless the schema file gave it another type.
    pub fn doc(&self, name: &str) -> Option<&'static str> {
        if self.overlay.contains_key(name) {
            return None;
        }
        self.base_field(name).map(|field| field.doc)
    }

    /// Adds a field, or changes its type. Used when fields of a [`Schema::dynamic`] schema are typed from the data.
    pub fn define(&mut self, name: &str, ty: FieldType) {
        self.define_info(name, FieldInfo { field_type: ty, array: false });
    }

    /// Up to `count` known fields that whoever wrote `name` may have meant, best first.
    pub fn nearest(&self, name: &str, count: usize) -> Vec<String> {
        nearest::nearest(name, self.fields().map(|(field, _)| field), generated::SYNONYMS.as_slice(), count)
    }

    /// All fields, sorted by name.
    pub fn fields(&self) -> impl Iterator<Item = (&str, FieldInfo)> {
        Merged { base: self.base.iter().peekable(), overlay: self.overlay.range::<str, _>(..).peekable() }
    }

    /// The fields below `object.`, with their full names, sorted; empty when there is nothing below that name.
    pub fn children(&self, object: &str) -> impl Iterator<Item = (&str, FieldInfo)> {
        let prefix = format!("{object}.");
        let start = self.base.partition_point(|field| field.name < prefix.as_str());
        let below = self.base.get(start..).unwrap_or(&[]);
        let length = below.partition_point(|field| field.name.starts_with(&prefix));
        let base = below.get(..length).unwrap_or(&[]).iter().peekable();
        let overlay = self.overlay.range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded)).peekable();
        Merged { base, overlay }.take_while(move |(name, _)| name.starts_with(&prefix))
    }

    /// SHA-256 over what decides the meaning of rules and records: event fields, field names and types, event kinds.
    ///
    /// The schema's name and the sentences for people do not count. Fields added with [`Schema::define`] do.
    pub fn hash(&self) -> [u8; 32] {
        let mut digest = SchemaDigest::new(self.dynamic, &self.event);
        for (name, info) in self.fields() {
            digest.field(name, info);
        }
        if !self.base.is_empty() {
            for kind in event_kinds() {
                digest.kind(
                    kind.id,
                    kind.name,
                    kind.category.iter().copied(),
                    kind.event_type.iter().copied(),
                    kind.action,
                );
            }
        }
        digest.finish()
    }

    // PERF: a binary search over some two thousand names touches about eleven; a compiler asks once per name in a rule.
    fn base_field(&self, name: &str) -> Option<&'static FieldDef> {
        self.base.binary_search_by(|field| field.name.cmp(name)).ok().and_then(|index| self.base.get(index))
    }
}

impl Default for Schema {
    fn default() -> Self {
        Schema::ecs()
    }
}

impl EventFields {
    /// The names that ECS gives: `event.category`, `@timestamp`, `event.sequence`, `event.id`.
    pub fn ecs() -> EventFields {
        EventFields {
            category: "event.category".to_owned(),
            timestamp: "@timestamp".to_owned(),
            timestamp_format: TimestampFormat::Auto,
            tiebreaker: Some("event.sequence".to_owned()),
            id: Some("event.id".to_owned()),
        }
    }
}

impl TimestampFormat {
    /// Every format, in the order of declaration.
    pub const ALL: [TimestampFormat; 6] = [
        TimestampFormat::Auto,
        TimestampFormat::Rfc3339,
        TimestampFormat::EpochS,
        TimestampFormat::EpochMs,
        TimestampFormat::EpochNs,
        TimestampFormat::Filetime,
    ];

    pub(crate) const NAMES: [&'static str; 6] = ["auto", "rfc3339", "epoch_s", "epoch_ms", "epoch_ns", "filetime"];

    /// The format's name, as schema files write it.
    pub fn name(self) -> &'static str {
        match self {
            TimestampFormat::Auto => "auto",
            TimestampFormat::Rfc3339 => "rfc3339",
            TimestampFormat::EpochS => "epoch_s",
            TimestampFormat::EpochMs => "epoch_ms",
            TimestampFormat::EpochNs => "epoch_ns",
            TimestampFormat::Filetime => "filetime",
        }
    }
}

impl fmt::Display for TimestampFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for TimestampFormat {
    type Err = UnknownTimestampFormat;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == word)
            .ok_or_else(|| UnknownTimestampFormat { word: word.to_owned() })
    }
}

/// Walks base and overlay side by side in name order; where both have a name, the overlay's type counts.
struct Merged<'a> {
    base: Peekable<std::slice::Iter<'static, FieldDef>>,
    overlay: Peekable<std::collections::btree_map::Range<'a, String, FieldInfo>>,
}

impl<'a> Iterator for Merged<'a> {
    type Item = (&'a str, FieldInfo);

    fn next(&mut self) -> Option<Self::Item> {
        let overlay_first = match (self.base.peek(), self.overlay.peek()) {
            (Some(base), Some((name, _))) => {
                if base.name == name.as_str() {
                    self.base.next();
                    true
                } else {
                    name.as_str() < base.name
                }
            }
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if overlay_first {
            self.overlay.next().map(|(name, info)| (name.as_str(), *info))
        } else {
            self.base.next().map(|field| (field.name, field.info()))
        }
    }
}
