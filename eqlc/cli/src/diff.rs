//! `eqlc diff`: what changed from one pack to another, rule by rule.
//!
//! Rules are compared by id: their queries as their sources have them, what the queries compile to, and what the manifest
//! says of them. So a rule whose source stayed and whose code did not is seen, too. Signatures are told and do not count:
//! a pack and its signed copy are the same.

mod meaning;
mod print;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use eqlc::rules::{Loaded, load_file};
use kestrel_ir::pack::{Pack, PackFile, RuleInfo, SectionId};
use serde::Serialize;
use serde_json::Value as Json;

use crate::Outcome;
use crate::inspect::{Output, kind_names};
use crate::pack_file::{hash_text, open_pack};

/// `eqlc diff`.
#[derive(Debug, Args)]
pub struct DiffArguments {
    /// The old pack.
    old: PathBuf,
    /// The new pack.
    new: PathBuf,
    /// How the differences are printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Everything that differs.
#[derive(Debug, Default, Serialize)]
struct Difference {
    /// Whether the content hashes are the same.
    same: bool,
    /// The content hashes, old and new.
    sha256: (String, String),
    /// What the manifests say of the packs as a whole.
    pack: Vec<Change>,
    /// Rules that only the new pack has.
    added: Vec<Named>,
    /// Rules that only the old pack has.
    removed: Vec<Named>,
    /// Rules that both have and that differ.
    changed: Vec<ChangedRule>,
    /// How many rules are in both and the same.
    unchanged: usize,
    /// Tests that differ.
    tests: Vec<Change>,
    /// The sections whose bytes differ.
    sections: Vec<String>,
    /// The keys whose signatures only one has.
    signatures: Vec<Change>,
}

/// A rule.
#[derive(Debug, Serialize)]
struct Named {
    id: String,
    name: String,
}

/// What changed in a rule.
#[derive(Debug, Serialize)]
struct ChangedRule {
    id: String,
    name: String,
    /// The query's text, old and new, when it changed.
    query: Option<(String, String)>,
    /// Whether the query compiles to something else.
    compiled: bool,
    metadata: Vec<Change>,
}

/// One thing that changed: a value, or entries of a list.
#[derive(Debug, Serialize)]
struct Change {
    what: String,
    #[serde(flatten)]
    how: How,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum How {
    Value { old: Json, new: Json },
    Entries { added: Vec<String>, removed: Vec<String> },
}

/// Tells what changed.
pub fn diff(arguments: &DiffArguments) -> anyhow::Result<Outcome> {
    let (old, new) = (open_pack(&arguments.old)?, open_pack(&arguments.new)?);
    let difference = compare(&old, &new)?;
    match arguments.output {
        Output::Json => crate::report::say!("{}", serde_json::to_string(&difference)?),
        Output::Text => print::print(&difference)?,
    }
    Ok(if difference.same { Outcome::Done } else { Outcome::Found })
}

fn compare(old: &Pack, new: &Pack) -> anyhow::Result<Difference> {
    let mut difference = Difference {
        same: old.content_hash() == new.content_hash(),
        sha256: (hash_text(old), hash_text(new)),
        pack: pack_changes(old, new)?,
        tests: files(old.tests(), new.tests()),
        sections: sections(old, new),
        ..Difference::default()
    };
    let keys = |pack: &Pack| pack.signatures().iter().map(|signature| format!("key {}", signature.key)).collect();
    difference.signatures.extend(entries("signatures", keys(old), keys(new)));
    let (of_old, of_new) = (rules(old), rules(new));
    for (id, rule) in &of_new {
        let name = rule.info.name.clone();
        let Some(before) = of_old.get(id) else {
            difference.added.push(Named { id: (*id).to_owned(), name });
            continue;
        };
        let (query_before, query) = (before.query(old), rule.query(new));
        let changed = ChangedRule {
            id: (*id).to_owned(),
            name,
            query: (query_before != query).then_some((query_before, query)),
            compiled: before.meaning != rule.meaning,
            metadata: values(&serde_json::to_value(before.info)?, &serde_json::to_value(rule.info)?, &["id"]),
        };
        if changed.query.is_some() || changed.compiled || !changed.metadata.is_empty() {
            difference.changed.push(changed);
        } else {
            difference.unchanged += 1;
        }
    }
    for (id, rule) in of_old.iter().filter(|(id, _)| !of_new.contains_key(*id)) {
        difference.removed.push(Named { id: (*id).to_owned(), name: rule.info.name.clone() });
    }
    Ok(difference)
}

/// A rule of one of the packs.
struct RuleParts<'p> {
    info: &'p RuleInfo,
    meaning: meaning::Digest,
}

impl RuleParts<'_> {
    /// The text of the query, from the rule's source in the pack; empty when there is none.
    fn query(&self, pack: &Pack) -> String {
        let file = |path: &String| pack.sources().iter().find(|file| file.path == *path);
        let Some(file) = self.info.file.as_ref().and_then(file) else { return String::new() };
        match load_file(&file.path, &file.text).loaded {
            Loaded::Rule(rule) => rule.query.trim().to_owned(),
            Loaded::Skipped { .. } | Loaded::Failed => file.text.trim().to_owned(),
        }
    }
}

fn rules(pack: &Pack) -> BTreeMap<&str, RuleParts<'_>> {
    let meanings = meaning::of_rules(pack.ir());
    let infos = pack.manifest().rules.iter().zip(meanings);
    infos.map(|(info, meaning)| (info.id.as_str(), RuleParts { info, meaning })).collect()
}

fn pack_changes(old: &Pack, new: &Pack) -> anyhow::Result<Vec<Change>> {
    let (before, after) = (old.manifest(), new.manifest());
    // Lists are told by their entries; rules are told one by one.
    const APART: [&str; 5] = ["rules", "required_kinds", "required_fields", "required_hooks", "capabilities"];
    let mut changes = values(&serde_json::to_value(before)?, &serde_json::to_value(after)?, &APART);
    let list = |entries: &[String]| entries.iter().cloned().collect();
    changes.extend(entries(
        "required_kinds",
        kind_names(old).into_iter().collect(),
        kind_names(new).into_iter().collect(),
    ));
    changes.extend(entries("required_fields", list(&before.required_fields), list(&after.required_fields)));
    changes.extend(entries("required_hooks", list(&before.required_hooks), list(&after.required_hooks)));
    changes.extend(entries("capabilities", list(&before.capabilities), list(&after.capabilities)));
    Ok(changes)
}

/// The members of two objects that differ, one level into objects.
fn values(old: &Json, new: &Json, skipped: &[&str]) -> Vec<Change> {
    let (Json::Object(old), Json::Object(new)) = (old, new) else { return Vec::new() };
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut changes = Vec::new();
    for name in names.into_iter().filter(|name| !skipped.contains(&name.as_str())) {
        let (before, after) = (old.get(name).unwrap_or(&Json::Null), new.get(name).unwrap_or(&Json::Null));
        if before == after {
            continue;
        }
        if before.is_object() && after.is_object() {
            let inner = values(before, after, &[]).into_iter();
            changes.extend(inner.map(|change| Change { what: format!("{name}.{}", change.what), ..change }));
        } else {
            let how = How::Value { old: before.clone(), new: after.clone() };
            changes.push(Change { what: name.clone(), how });
        }
    }
    changes
}

fn entries(what: &str, old: BTreeSet<String>, new: BTreeSet<String>) -> Option<Change> {
    let (added, removed) = (new.difference(&old).cloned().collect(), old.difference(&new).cloned().collect());
    (old != new).then(|| Change { what: what.to_owned(), how: How::Entries { added, removed } })
}

/// The tests that only one pack has, and those whose texts differ.
fn files(old: &[PackFile], new: &[PackFile]) -> Vec<Change> {
    let paths = |files: &[PackFile]| files.iter().map(|file| file.path.clone()).collect();
    let mut changes: Vec<Change> = entries("tests", paths(old), paths(new)).into_iter().collect();
    for file in new {
        if let Some(before) = old.iter().find(|before| before.path == file.path && before.text != file.text) {
            let how = How::Value { old: before.text.len().into(), new: file.text.len().into() };
            changes.push(Change { what: format!("bytes of {}", file.path), how });
        }
    }
    changes
}

fn sections(old: &Pack, new: &Pack) -> Vec<String> {
    let ids: BTreeSet<SectionId> = old.sections().iter().chain(new.sections()).map(|info| info.id).collect();
    let differs = |id: &SectionId| *id != SectionId::SIGNATURE && old.section(*id) != new.section(*id);
    let name = |id: SectionId| id.name().map_or_else(|| id.0.to_string(), str::to_owned);
    ids.into_iter().filter(differs).map(name).collect()
}
