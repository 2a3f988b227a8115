//! The layout of a pack's frames: which fields its rules use, in which slot, of which type.
//!
//! A field inside an array of objects (`process.thread.Ext.call_stack` with its `symbol_info`) may be laid out twice: as
//! a field of its own, flattened over all objects, and as a child of the object field, in the object's own slots.

use kestrel_schema::FieldType;
use serde::{Deserialize, Serialize};

/// The number of a field in a [`Layout`]; also the number of its slot among its siblings' slots, for top-level fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FieldId(pub u32);

impl FieldId {
    /// The number as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One field of a layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutField {
    /// The dotted name, whole also for children: `process.thread.Ext.call_stack.symbol_info`.
    pub name: String,
    /// Its type.
    pub field_type: FieldType,
    /// The object field that this is a child of.
    pub parent: Option<FieldId>,
    /// The slot: among the top-level fields, or among the children of `parent`.
    pub slot: u32,
}

/// The fields of a frame. Top-level fields and children share one numbering.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    fields: Vec<LayoutField>,
}

impl Layout {
    /// A layout without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// The id of the top-level field `name`, which is added when it is new.
    pub fn intern(&mut self, name: &str, field_type: FieldType) -> FieldId {
        self.intern_below(name, field_type, None)
    }

    /// The id of the child `name` (its whole dotted name) of the object field `parent`, added when it is new.
    pub fn intern_child(&mut self, name: &str, field_type: FieldType, parent: FieldId) -> FieldId {
        self.intern_below(name, field_type, Some(parent))
    }

    fn intern_below(&mut self, name: &str, field_type: FieldType, parent: Option<FieldId>) -> FieldId {
        let known = self.fields.iter().position(|field| field.parent == parent && field.name == name);
        let index = known.unwrap_or_else(|| {
            let slot = self.fields.iter().filter(|field| field.parent == parent).count() as u32;
            self.fields.push(LayoutField { name: name.to_owned(), field_type, parent, slot });
            self.fields.len() - 1
        });
        FieldId(index as u32)
    }

    /// The top-level field of this name.
    pub fn lookup(&self, name: &str) -> Option<FieldId> {
        let index = self.fields.iter().position(|field| field.parent.is_none() && field.name == name)?;
        Some(FieldId(index as u32))
    }

    /// A field by its id. `None` for an id of another layout.
    pub fn get(&self, field: FieldId) -> Option<&LayoutField> {
        self.fields.get(field.index())
    }

    /// The type of a field; `Keyword` for an id that the verifier would have refused.
    pub fn field_type(&self, field: FieldId) -> FieldType {
        self.get(field).map_or(FieldType::Keyword, |field| field.field_type)
    }

    /// The name of a field.
    pub fn name(&self, field: FieldId) -> &str {
        self.get(field).map_or("", |field| field.name.as_str())
    }

    /// All fields in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (FieldId, &LayoutField)> {
        self.fields.iter().enumerate().map(|(index, field)| (FieldId(index as u32), field))
    }

    /// The children of an object field in the order of their slots.
    pub fn children(&self, parent: FieldId) -> impl Iterator<Item = (FieldId, &LayoutField)> {
        self.iter().filter(move |(_, field)| field.parent == Some(parent))
    }

    /// How many fields there are, children included.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// How many slots a frame has at its top level.
    pub fn top_level_slots(&self) -> usize {
        self.fields.iter().filter(|field| field.parent.is_none()).count()
    }
}
