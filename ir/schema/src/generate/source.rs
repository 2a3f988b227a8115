//! Reads `fields.toml` and `kinds.toml`, checks them, and expands field sets into full field names.
//!
//! In: two TOML texts. Out: a [`Source`], or the first thing that is wrong. What is checked: types, a sentence for each field, no
//! name defined twice, no set unknown, unused or inside itself, kind numbers 1, 2, 3 and so on, and that kinds and synonyms name
//! known fields.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::digest::SchemaDigest;
use crate::field::{FieldInfo, FieldType};
use crate::schema::EventFields;

/// How deep sets may lie in one another.
const DEEPEST: usize = 8;

/// The schema as it is written down, checked and expanded.
#[derive(Debug, Clone)]
pub struct Source {
    pub(super) sets: Vec<Set>,
    pub(super) fields: BTreeMap<String, Field>,
    pub(super) kinds: Vec<Kind>,
    pub(super) lists: BTreeMap<String, Vec<String>>,
    pub(super) categories: Vec<String>,
    pub(super) synonyms: BTreeMap<String, String>,
}

/// What is wrong with `fields.toml` or `kinds.toml`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {message}")]
pub struct SourceError {
    file: &'static str,
    message: String,
}

/// A group of fields that belong together.
#[derive(Debug, Clone)]
pub(super) struct Set {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) fields: BTreeMap<String, Field>,
    pub(super) include: BTreeMap<String, String>,
    /// Every prefix at which the set is found, directly or within other sets.
    pub(super) places: BTreeSet<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) info: FieldInfo,
    pub(super) doc: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kind {
    pub(super) id: u16,
    pub(super) name: String,
    pub(super) category: Vec<String>,
    #[serde(rename = "type")]
    pub(super) event_type: Vec<String>,
    pub(super) action: String,
    pub(super) live: bool,
    pub(super) doc: String,
    /// As written: names, and lists behind `@`.
    #[serde(rename = "fields")]
    pub(super) written: Vec<String>,
    /// Full names, sorted.
    #[serde(skip)]
    pub(super) fields: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldsFile {
    set: Vec<WrittenSet>,
    synonyms: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSet {
    name: String,
    title: String,
    #[serde(default)]
    at: Vec<String>,
    #[serde(default)]
    fields: BTreeMap<String, String>,
    #[serde(default)]
    include: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KindsFile {
    categories: Vec<String>,
    lists: BTreeMap<String, Vec<String>>,
    kind: Vec<Kind>,
}

impl Source {
    /// The schema in this crate's own `fields.toml` and `kinds.toml`.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn built_in() -> Result<Source, SourceError> {
        Source::parse(include_str!("../../fields.toml"), include_str!("../../kinds.toml"))
    }

    /// Reads and checks the two texts.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn parse(fields_toml: &str, kinds_toml: &str) -> Result<Source, SourceError> {
        let written: FieldsFile = toml::from_str(fields_toml).map_err(|error| in_fields(error.to_string()))?;
        let mut roots = Vec::new();
        let mut sets: Vec<Set> = Vec::new();
        for set in written.set {
            if sets.iter().any(|other| other.name == set.name) {
                return Err(in_fields(format!("set `{}` is defined twice", set.name)));
            }
            roots.extend(set.at.into_iter().map(|place| (place, sets.len())));
            let fields =
                set.fields.into_iter().map(|(name, text)| field(&set.name, name, &text)).collect::<Result<_, _>>()?;
            sets.push(Set { name: set.name, title: set.title, fields, include: set.include, places: BTreeSet::new() });
        }
        let mut fields = BTreeMap::new();
        for (place, root) in roots {
            expand(&mut sets, root, &place, 0, &mut fields)?;
        }
        if let Some(unused) = sets.iter().find(|set| set.places.is_empty()) {
            return Err(in_fields(format!("set `{}` is used nowhere", unused.name)));
        }
        mark_below_arrays(&mut fields);
        if let Some((other, field)) = written.synonyms.iter().find(|(_, field)| !fields.contains_key(*field)) {
            return Err(in_fields(format!("synonym `{other}` leads to the unknown field `{field}`")));
        }
        let kinds = kinds(kinds_toml, &fields)?;
        let KindsFile { categories, lists, kind } = kinds;
        Ok(Source { sets, fields, kinds: kind, lists, categories, synonyms: written.synonyms })
    }

    /// How many fields the schema has, after expansion.
    pub fn field_count(&self) -> usize {
        self.fields.len()
    }

    /// How many event kinds the schema has.
    pub fn kind_count(&self) -> usize {
        self.kinds.len()
    }

    /// The hash that [`crate::Schema::hash`] will give for the built-in schema once the tables are generated.
    pub fn hash(&self) -> [u8; 32] {
        let mut digest = SchemaDigest::new(false, &EventFields::ecs());
        for (name, field) in &self.fields {
            digest.field(name, field.info);
        }
        for kind in &self.kinds {
            let category = kind.category.iter().map(String::as_str);
            let event_type = kind.event_type.iter().map(String::as_str);
            digest.kind(kind.id, &kind.name, category, event_type, &kind.action);
        }
        digest.finish()
    }
}

fn in_fields(message: String) -> SourceError {
    SourceError { file: "fields.toml", message }
}

fn in_kinds(message: String) -> SourceError {
    SourceError { file: "kinds.toml", message }
}

fn join(prefix: &str, name: &str) -> String {
    match (prefix, name) {
        ("", name) => name.to_owned(),
        (prefix, "") => prefix.to_owned(),
        (prefix, name) => format!("{prefix}.{name}"),
    }
}

/// Reads `type: sentence.` or `type[]: sentence.`
fn field(set: &str, name: String, text: &str) -> Result<(String, Field), SourceError> {
    let wrong = |what: String| in_fields(format!("field `{name}` of set `{set}`: {what}"));
    let (type_text, doc) = text.split_once(": ").ok_or_else(|| wrong("expected `type: sentence.`".to_owned()))?;
    let (type_name, array) = type_text.strip_suffix("[]").map_or((type_text, false), |element| (element, true));
    let field_type: FieldType = type_name.parse().map_err(|error: crate::UnknownFieldType| wrong(error.to_string()))?;
    if !doc.ends_with('.') || doc.contains('\n') {
        return Err(wrong("the description must be one line that ends with a period".to_owned()));
    }
    let field = Field { info: FieldInfo { field_type, array }, doc: doc.to_owned() };
    Ok((name, field))
}

fn expand(
    sets: &mut [Set],
    index: usize,
    place: &str,
    depth: usize,
    fields: &mut BTreeMap<String, Field>,
) -> Result<(), SourceError> {
    let Some(set) = sets.get_mut(index) else {
        return Ok(());
    };
    if depth > DEEPEST {
        return Err(in_fields(format!("set `{}` lies in itself", set.name)));
    }
    set.places.insert(place.to_owned());
    for (name, field) in &set.fields {
        let full = join(place, name);
        if fields.insert(full.clone(), field.clone()).is_some() {
            return Err(in_fields(format!("field `{full}` is defined twice, the second time by set `{}`", set.name)));
        }
    }
    let (owner, included) = (set.name.clone(), set.include.clone());
    for (below, name) in included {
        let Some(next) = sets.iter().position(|set| set.name == name) else {
            return Err(in_fields(format!("set `{owner}` includes the unknown set `{name}`")));
        };
        expand(sets, next, &join(place, &below), depth + 1, fields)?;
    }
    Ok(())
}

/// What lies below an array of objects has as many values as the array has entries.
fn mark_below_arrays(fields: &mut BTreeMap<String, Field>) {
    let is_object_array = |field: &Field| field.info.array && field.info.field_type == FieldType::Object;
    let arrays: BTreeSet<String> =
        fields.iter().filter(|(_, field)| is_object_array(field)).map(|(name, _)| name.clone()).collect();
    for (name, field) in fields {
        field.info.array |=
            name.match_indices('.').any(|(end, _)| name.get(..end).is_some_and(|above| arrays.contains(above)));
    }
}

fn kinds(text: &str, fields: &BTreeMap<String, Field>) -> Result<KindsFile, SourceError> {
    let mut file: KindsFile = toml::from_str(text).map_err(|error| in_kinds(error.to_string()))?;
    file.categories.sort();
    let KindsFile { categories, lists, kind: kinds } = &mut file;
    let mut names = BTreeSet::new();
    for (kind, expected) in kinds.iter_mut().zip(1..) {
        if kind.id != expected {
            return Err(in_kinds(format!(
                "kind `{}` has number {}, expected {expected}: kinds stand in order",
                kind.name, kind.id
            )));
        }
        if !names.insert(kind.name.clone()) {
            return Err(in_kinds(format!("kind `{}` is defined twice", kind.name)));
        }
        if let Some(category) = kind.category.iter().find(|category| !categories.contains(category)) {
            return Err(in_kinds(format!("kind `{}` has the unknown category `{category}`", kind.name)));
        }
        let mut expanded = BTreeSet::new();
        for name in &kind.written {
            match name.strip_prefix('@') {
                // `@timestamp` is a field and no list.
                Some(list) if !fields.contains_key(name) => match lists.get(list) {
                    Some(list) => expanded.extend(list.iter().cloned()),
                    None => {
                        return Err(in_kinds(format!("kind `{}` uses the unknown list `{name}`", kind.name)));
                    }
                },
                _ => {
                    expanded.insert(name.clone());
                }
            }
        }
        if let Some(unknown) = expanded.iter().find(|name| !fields.contains_key(*name)) {
            return Err(in_kinds(format!("kind `{}` fills the unknown field `{unknown}`", kind.name)));
        }
        kind.fields = expanded.into_iter().collect();
    }
    Ok(file)
}
