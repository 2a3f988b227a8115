//! Layouts for generated packs: every field type, objects with children of every type, fields that dispatch ranks by
//! name, and a random number of others, in random order, so that slots and presence words differ from pack to pack.

use kestrel_ir::layout::{FieldId, Layout};
use kestrel_ir::model::LineageFields;
use kestrel_schema::FieldType;

use super::Random;

/// The fields that every generated layout has.
const FIELDS: [(&str, FieldType); 22] = [
    ("event.category", FieldType::Keyword),
    ("event.action", FieldType::Keyword),
    ("event.type", FieldType::Keyword),
    ("host.os.type", FieldType::Keyword),
    ("user.id", FieldType::Keyword),
    ("process.name", FieldType::Keyword),
    ("process.args", FieldType::Keyword),
    ("process.entity_id", FieldType::Keyword),
    ("process.parent.entity_id", FieldType::Keyword),
    ("process.Ext.ancestry", FieldType::Keyword),
    ("process.pid", FieldType::Long),
    ("process.exit_code", FieldType::Long),
    ("process.start", FieldType::Date),
    ("event.created", FieldType::Date),
    ("event.score", FieldType::Double),
    ("event.ratio", FieldType::Double),
    ("process.interactive", FieldType::Boolean),
    ("file.signed", FieldType::Boolean),
    ("source.ip", FieldType::Ip),
    ("destination.ip", FieldType::Ip),
    ("agent.version", FieldType::Version),
    ("package.version", FieldType::Version),
];

/// The children of the objects. `stack.size` is also a field of its own.
const CHILDREN: [(&str, &str, FieldType); 9] = [
    ("stack", "stack.symbol", FieldType::Keyword),
    ("stack", "stack.size", FieldType::Long),
    ("stack", "stack.ratio", FieldType::Double),
    ("stack", "stack.when", FieldType::Date),
    ("stack", "stack.known", FieldType::Boolean),
    ("stack", "stack.address", FieldType::Ip),
    ("stack", "stack.version", FieldType::Version),
    ("modules", "modules.name", FieldType::Keyword),
    ("modules", "modules.count", FieldType::Long),
];

/// A layout, sorted out by what may stand where.
#[derive(Debug, Clone)]
pub struct Fields {
    /// The layout.
    pub layout: Layout,
    /// The objects that can be searched.
    pub objects: Vec<FieldId>,
    /// Who descends from whom.
    pub lineage: LineageFields,
}

impl Fields {
    /// A layout.
    pub fn generate(random: &mut Random) -> Fields {
        let mut names: Vec<(String, FieldType)> = FIELDS.map(|(name, kind)| (name.to_owned(), kind)).to_vec();
        names.push(("stack.size".to_owned(), FieldType::Long));
        names.extend(["stack", "modules"].map(|name| (name.to_owned(), FieldType::Object)));
        let scalars: Vec<FieldType> = FieldType::ALL.into_iter().filter(|kind| *kind != FieldType::Object).collect();
        // Now and then more than one presence word.
        let others = if random.once_in(4) { random.below(120) } else { random.below(8) };
        names.extend((0..others).map(|number| (format!("extra.field{number}"), random.pick(&scalars))));
        for place in (1..names.len()).rev() {
            names.swap(place, random.below(place + 1));
        }
        let mut layout = Layout::new();
        for (name, kind) in &names {
            layout.intern(name, *kind);
        }
        let mut objects = Vec::new();
        for (object, child, kind) in CHILDREN {
            let object = layout.intern(object, FieldType::Object);
            layout.intern_child(child, kind, object);
            if !objects.contains(&object) {
                objects.push(object);
            }
        }
        let lineage = LineageFields {
            entity: layout.intern("process.entity_id", FieldType::Keyword),
            parent: layout.intern("process.parent.entity_id", FieldType::Keyword),
            ancestry: layout.intern("process.Ext.ancestry", FieldType::Keyword),
            event_type: layout.intern("event.type", FieldType::Keyword),
        };
        Fields { layout, objects, lineage }
    }

    /// A field of one of these types: inside the search of an object mostly one of its children.
    pub fn pick(&self, random: &mut Random, object: Option<FieldId>, kinds: &[FieldType]) -> FieldId {
        let kind = random.pick(kinds);
        let wants_child = object.is_some() && random.percent(70);
        let of = |parent: Option<FieldId>| -> Vec<FieldId> {
            let fields = self.layout.iter();
            fields.filter(|(_, field)| field.parent == parent && field.field_type == kind).map(|(id, _)| id).collect()
        };
        let children = if wants_child { of(object) } else { Vec::new() };
        let fields = if children.is_empty() { of(None) } else { children };
        // A few fields of each type are used more than the others, so that events and tests meet.
        let known = if random.percent(80) { fields.len().min(3) } else { fields.len() };
        fields[random.below(known)]
    }

    /// A field of any type.
    pub fn any(&self, random: &mut Random, object: Option<FieldId>) -> FieldId {
        self.pick(random, object, &FieldType::ALL)
    }
}
