//! `[rule.predicate]`, in front matter `[predicate]`: a hand-written predicate beside the query.
//!
//! In: the table. Out: what it says, with places in the file; whether the fields exist and the code keeps to the host API
//! is asked when the rule is compiled. Reading the code is [`files`](super::files)' business.

use std::sync::Arc;

use kestrel_ir::model::{Capability, ProgramLanguage, ProgramLimits};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::errors::{MissingKey, ProgramUnusable, UnknownKey};
use super::reader::Reader;
use crate::diagnostics::nearest;
use crate::syntax::Span;

/// A hand-written predicate as a rule file names it.
#[derive(Debug, Clone)]
pub struct PredicateSource {
    /// The path of its code, relative to the rule's file, with `/`.
    pub source: String,
    /// Where the path stands in the file.
    pub source_span: Span,
    /// What it is written in, by the path's ending.
    pub language: ProgramLanguage,
    /// The names of the fields that it may read, with their places.
    pub fields: Vec<(String, Span)>,
    /// What it may do, sorted, each once.
    pub capabilities: Vec<Capability>,
    /// Limits of its own.
    pub limits: ProgramLimits,
    /// Where the table stands in the file.
    pub span: Span,
    /// The code, once it was read.
    pub code: Option<Arc<[u8]>>,
}

const KEYS: [&str; 4] = ["source", "fields", "capabilities", "limits"];
const LIMITS: [&str; 3] = ["instructions", "memory", "host_work"];

/// Reads the table, if there is one.
pub(super) fn read(reader: &mut Reader, rule: &DeTable<'_>) -> Option<PredicateSource> {
    let span = reader.place(rule.get("predicate")?.span());
    let table = reader.table(rule, "predicate")?;
    check_keys(reader, table, &KEYS);
    let Some((source, source_span)) = reader.string(table, "source") else {
        if !table.contains_key("source") {
            reader.diagnostics.push(MissingKey { span, keys: "`source` of its predicate" }.into());
        }
        return None;
    };
    let language = language(reader, &source, source_span)?;
    let fields = spanned_strings(reader, table, "fields");
    let words = Capability::ALL.map(Capability::name);
    let mut capabilities: Vec<Capability> = spanned_words(reader, table, &words);
    capabilities.sort();
    capabilities.dedup();
    let limits = limits(reader, table);
    Some(PredicateSource { source, source_span, language, fields, capabilities, limits, span, code: None })
}

pub(super) fn check_keys(reader: &mut Reader, table: &DeTable<'_>, keys: &[&'static str]) {
    for key in table.keys() {
        let name: &str = key.get_ref();
        if !keys.contains(&name) {
            let near = nearest(name, keys.iter().copied());
            let nearest = keys.iter().copied().find(|known| Some(*known) == near);
            let span = reader.place(key.span());
            reader.diagnostics.push(UnknownKey { span, key: name.to_string(), nearest }.into());
        }
    }
}

fn language(reader: &mut Reader, source: &str, span: Span) -> Option<ProgramLanguage> {
    let inside = source.split('/').all(|part| !matches!(part, "" | "." | ".."));
    let odd = |character: char| character.is_control() || matches!(character, '\\' | ':');
    if !inside || source.chars().any(odd) {
        let reason = "it does not lie beside or below the rule's file".to_string();
        reader.diagnostics.push(ProgramUnusable { span, source: source.to_string(), reason }.into());
        return None;
    }
    match source.rsplit_once('.').map(|(_, ending)| ending) {
        Some("wasm") => Some(ProgramLanguage::Wasm),
        Some("lua") => Some(ProgramLanguage::Lua),
        _ => {
            let reason = "a predicate is a Wasm module, `.wasm`, or a Lua source, `.lua`".to_string();
            reader.diagnostics.push(ProgramUnusable { span, source: source.to_string(), reason }.into());
            None
        }
    }
}

pub(super) fn spanned_strings(reader: &mut Reader, table: &DeTable<'_>, key: &str) -> Vec<(String, Span)> {
    let texts = reader.strings(table, key);
    let items = items(table, key);
    let places = items.iter().filter(|item| item.get_ref().as_str().is_some()).map(|item| reader.place(item.span()));
    texts.into_iter().zip(places).collect()
}

fn items<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Vec<&'t Spanned<DeValue<'i>>> {
    let array = table.get(key).and_then(|value| value.get_ref().as_array());
    array.map(|array| array.iter().collect()).unwrap_or_default()
}

fn spanned_words(reader: &mut Reader, table: &DeTable<'_>, words: &[&'static str]) -> Vec<Capability> {
    let written = spanned_strings(reader, table, "capabilities");
    let mut known = Vec::new();
    for (word, span) in written {
        match word.parse() {
            Ok(capability) => known.push(capability),
            Err(_) => reader.unknown_word("capabilities", &word, words, span),
        }
    }
    known
}

fn limits(reader: &mut Reader, table: &DeTable<'_>) -> ProgramLimits {
    let Some(limits) = reader.table(table, "limits") else { return ProgramLimits::default() };
    check_keys(reader, limits, &LIMITS);
    let mut limit = |key: &str| reader.number(limits, key, u32::MAX).map(u64::from).filter(|limit| *limit > 0);
    ProgramLimits { instructions: limit("instructions"), memory: limit("memory"), host_work: limit("host_work") }
}
