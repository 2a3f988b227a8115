//! Packs by name: reading them from files, and whether several may run over the same events.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use kestrel_ir::pack::{EventFieldsInfo, MAX_PACK_SIZE, Pack, PackError, ThreatInfo};
use kestrel_schema::{EventFields, FieldType, Schema, TimestampFormat};
use serde_json::{Map, Value as Json};

use super::SessionError;

/// How many rules are named when they are there twice.
const NAMED_RULES: usize = 5;

/// A pack and what messages call it.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedPack {
    /// Its path, as it was given.
    pub name: String,
    /// The pack.
    pub pack: Pack,
}

impl NamedPack {
    /// Reads and checks the pack at `path`.
    ///
    /// # Errors
    /// When the file cannot be read, or the pack is refused.
    pub fn open(path: &Path) -> Result<NamedPack, SessionError> {
        let name = path.display().to_string();
        let mut bytes = Vec::new();
        // One byte more than allowed, so that the pack itself says that it is too large.
        File::open(path)
            .and_then(|file| file.take(MAX_PACK_SIZE + 1).read_to_end(&mut bytes))
            .map_err(|cause| SessionError::Io { name: name.clone(), cause })?;
        Ok(NamedPack { pack: refused(&name, Pack::from_bytes(bytes))?, name })
    }

    /// Reads and checks the bytes of a pack.
    ///
    /// # Errors
    /// When the pack is refused.
    pub fn read(name: &str, bytes: &[u8]) -> Result<NamedPack, SessionError> {
        Ok(NamedPack { pack: refused(name, Pack::read(bytes))?, name: name.to_owned() })
    }

    /// The same without what no engine looks at while it runs.
    pub fn for_matching(self) -> NamedPack {
        NamedPack { pack: self.pack.for_matching(), name: self.name }
    }

    /// The pack's content hash as alerts show it.
    pub fn content_hash(&self) -> String {
        self.pack.content_hash().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The packs without those whose content is that of an earlier one, and a sentence for each that is left out. Run twice, a
/// pack would give every alert twice. A signature is no content: a pack and its signed copy are the same.
pub fn without_copies(packs: Vec<NamedPack>) -> (Vec<NamedPack>, Vec<String>) {
    let mut kept: Vec<NamedPack> = Vec::new();
    let mut told = Vec::new();
    for pack in packs {
        match kept.iter().find(|first| first.pack.content_hash() == pack.pack.content_hash()) {
            Some(first) => told.push(format!("pack {} is the same as {}: it runs once", pack.name, first.name)),
            None => kept.push(pack),
        }
    }
    (kept, told)
}

fn refused(name: &str, read: Result<Pack, PackError>) -> Result<Pack, SessionError> {
    read.map_err(|cause| SessionError::Pack { name: name.to_owned(), cause })
}

/// The event fields of all packs, which must be the same: events are read once for all of them.
pub(super) fn agreed_event_fields(packs: &[NamedPack]) -> Result<EventFields, SessionError> {
    let first = packs.first().ok_or(SessionError::NoPack)?;
    let agreed = &first.pack.manifest().event_fields;
    for other in packs {
        let fields = &other.pack.manifest().event_fields;
        let same = (&fields.timestamp, &fields.timestamp_format, &fields.tiebreaker)
            == (&agreed.timestamp, &agreed.timestamp_format, &agreed.tiebreaker);
        if !same {
            let reason = format!(
                "the one reads an event's time from `{}` ({}), the other from `{}` ({}), or they break ties differently",
                agreed.timestamp, agreed.timestamp_format, fields.timestamp, fields.timestamp_format
            );
            return Err(disagree(first, other, reason));
        }
    }
    Ok(event_fields(agreed))
}

/// Whether every field has one type in all packs.
pub(super) fn check_types_agree(packs: &[NamedPack]) -> Result<(), SessionError> {
    let mut known: HashMap<&str, (FieldType, &NamedPack)> = HashMap::new();
    for pack in packs {
        for (_, field) in pack.pack.ir().layout.iter() {
            let (field_type, first) = *known.entry(&field.name).or_insert((field.field_type, pack));
            if field_type != field.field_type {
                let reason =
                    format!("`{}` is {} in the one and {} in the other", field.name, field_type, field.field_type);
                return Err(disagree(first, pack, reason));
            }
        }
    }
    Ok(())
}

fn disagree(first: &NamedPack, second: &NamedPack, reason: String) -> SessionError {
    SessionError::Disagree { first: first.name.clone(), second: second.name.clone(), reason }
}

/// A sentence for each of the first rules that more than one pack has, and how many more there are.
pub(super) fn rules_in_many(packs: &[NamedPack]) -> Vec<String> {
    let mut known: HashMap<&str, &NamedPack> = HashMap::new();
    let mut warnings = Vec::new();
    let mut untold = 0;
    for pack in packs {
        for rule in &pack.pack.ir().rules {
            let Some(first) = known.insert(&rule.id, pack) else { continue };
            if warnings.len() < NAMED_RULES {
                let id = &rule.id;
                warnings.push(format!("rule `{id}` is in {} and in {}: both run", first.name, pack.name));
            } else {
                untold += 1;
            }
        }
    }
    if untold > 0 {
        warnings.push(format!("{untold} more rules are in more than one pack"));
    }
    warnings
}

/// The schema that says how a pack's fields are written: the built-in one, with the pack's own types.
pub(super) fn schema_of(pack: &Pack) -> Schema {
    let mut schema = Schema::ecs();
    for (_, field) in pack.ir().layout.iter() {
        if schema.lookup(&field.name).map(|info| info.field_type) != Some(field.field_type) {
            schema.define(&field.name, field.field_type);
        }
    }
    schema
}

fn event_fields(info: &EventFieldsInfo) -> EventFields {
    EventFields {
        category: info.category.clone(),
        timestamp: info.timestamp.clone(),
        // An unknown format comes from a newer compiler of the same major version; `auto` reads most.
        timestamp_format: info.timestamp_format.parse().unwrap_or(TimestampFormat::Auto),
        tiebreaker: info.tiebreaker.clone(),
        id: info.id.clone(),
    }
}

/// An entry of `threat` as ECS has it.
pub(super) fn threat_json(threat: &ThreatInfo) -> Json {
    let place = |id: &str, name: &str, reference: Option<&String>| {
        let mut place = Map::new();
        place.insert("id".to_owned(), id.into());
        place.insert("name".to_owned(), name.into());
        if let Some(reference) = reference {
            place.insert("reference".to_owned(), reference.as_str().into());
        }
        place
    };
    let mut entry = Map::new();
    entry.insert("framework".to_owned(), threat.framework.as_str().into());
    if let Some(tactic) = &threat.tactic {
        entry.insert("tactic".to_owned(), place(&tactic.id, &tactic.name, tactic.reference.as_ref()).into());
    }
    if !threat.techniques.is_empty() {
        let techniques = threat.techniques.iter().map(|technique| {
            let mut json = place(&technique.id, &technique.name, technique.reference.as_ref());
            if !technique.subtechniques.is_empty() {
                let below = technique.subtechniques.iter();
                let below: Vec<Json> =
                    below.map(|sub| place(&sub.id, &sub.name, sub.reference.as_ref()).into()).collect();
                json.insert("subtechnique".to_owned(), below.into());
            }
            Json::Object(json)
        });
        entry.insert("technique".to_owned(), techniques.collect());
    }
    Json::Object(entry)
}
