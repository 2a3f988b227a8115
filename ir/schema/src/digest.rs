//! The schema's hash: SHA-256 over what decides the meaning of a rule or a record.
//!
//! In: event fields, field names with their types, event kinds. Out: 32 bytes. Sentences for people and a schema file's name are
//! left out, because two schemas that differ only there understand each other.
//!
//! Each string goes in behind its length (u32, little endian), so that no name can pose as a separator.

use sha2::{Digest, Sha256};

use crate::field::FieldInfo;
use crate::schema::EventFields;

/// Collects a schema's content in canonical order.
pub(crate) struct SchemaDigest(Sha256);

impl SchemaDigest {
    /// Starts with the schema's own settings. Fields then come sorted by name, and kinds in the order of their numbers.
    pub(crate) fn new(dynamic: bool, event: &EventFields) -> Self {
        let mut digest = SchemaDigest(Sha256::new());
        digest.text("kestrel-schema 1");
        digest.text(if dynamic { "dynamic" } else { "static" });
        digest.text(&event.category);
        digest.text(&event.timestamp);
        digest.text(event.timestamp_format.name());
        digest.text(event.tiebreaker.as_deref().unwrap_or(""));
        digest.text(event.id.as_deref().unwrap_or(""));
        digest
    }

    /// Adds one field.
    pub(crate) fn field(&mut self, name: &str, info: FieldInfo) {
        self.text(name);
        self.text(info.field_type.name());
        self.0.update([u8::from(info.array)]);
    }

    /// Adds one event kind. Whether it is live is left out: that says what a build produces, not what a record means.
    pub(crate) fn kind<'a>(
        &mut self,
        id: u16,
        name: &str,
        category: impl Iterator<Item = &'a str>,
        event_type: impl Iterator<Item = &'a str>,
        action: &str,
    ) {
        self.text("kind");
        self.0.update(id.to_le_bytes());
        self.text(name);
        category.for_each(|value| self.text(value));
        self.text("type");
        event_type.for_each(|value| self.text(value));
        self.text("action");
        self.text(action);
    }

    /// The hash of all that was added.
    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }

    fn text(&mut self, text: &str) {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.0.update(length.to_le_bytes());
        self.0.update(text.as_bytes());
    }
}
