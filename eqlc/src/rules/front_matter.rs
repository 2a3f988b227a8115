//! The project's own form: a query, with metadata in front of it if there is any.
//!
//! In: the text of an `.eql` file. Out: a rule; the file's name is the id where the metadata has none.

use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use super::errors::{MissingKey, UnclosedFrontMatter, UnknownKey};
use super::reader::Reader;
use super::{FileForm, Loaded, LoadedFile, RuleSource, failed, predicate, suppression};
use crate::diagnostics::{Diagnostic, QueryMap, SourceFile, nearest};
use crate::syntax::{Dialect, Span};

const KEYS: [&str; 21] = [
    "id",
    "name",
    "description",
    "severity",
    "risk_score",
    "tags",
    "os",
    "threat",
    "references",
    "dialect",
    "actions",
    "optional_actions",
    "enabled",
    "allow",
    "tests",
    "predicate",
    "suppress",
    "version",
    "author",
    "license",
    "notes",
];
const ACTIONS: [&str; 4] = ["block", "kill_process", "quarantine_file", "alert"];
const SYSTEMS: [&str; 3] = ["linux", "macos", "windows"];

/// Reads an `.eql` file.
pub(super) fn load(path: &str, text: &str) -> LoadedFile {
    let (metadata, base, query_start) = match split(text) {
        Ok(parts) => parts,
        Err(span) => return failed(path, text, vec![UnclosedFrontMatter { span }.into()]),
    };
    let mut reader = Reader::new(base);
    let table = reader.parse(metadata);
    let rule = read(table.get_ref(), &mut reader, path, text, query_start);
    let mut diagnostics = reader.diagnostics;
    diagnostics.sort_by_key(Diagnostic::span);
    match rule {
        Some(rule) => {
            LoadedFile { source: Arc::clone(&rule.source), diagnostics, loaded: Loaded::Rule(Box::new(rule)) }
        }
        None => failed(path, text, diagnostics),
    }
}

/// The metadata, where it starts, and where the query starts; or the place of a `---` without a partner.
fn split(text: &str) -> Result<(&str, usize, usize), Span> {
    let mark = text.strip_prefix('\u{feff}').map_or(0, |_| '\u{feff}'.len_utf8());
    let body = text.get(mark..).unwrap_or("");
    let mut offset = mark + body.len() - body.trim_start().len();
    let mut lines = text.get(offset..).unwrap_or("").split_inclusive('\n');
    let opening = lines.next().unwrap_or("");
    if opening.trim_end() != "---" {
        return Ok(("", 0, 0));
    }
    let opening_span = Span::new(offset, offset + 3);
    offset += opening.len();
    let start = offset;
    for line in lines {
        if line.trim_end() == "---" {
            return Ok((text.get(start..offset).unwrap_or(""), start, offset + line.len()));
        }
        offset += line.len();
    }
    Err(opening_span)
}

fn read(table: &DeTable<'_>, reader: &mut Reader, path: &str, text: &str, query_start: usize) -> Option<RuleSource> {
    for key in table.keys() {
        let name: &str = key.get_ref();
        if !KEYS.contains(&name) {
            let near = nearest(name, KEYS);
            let nearest = KEYS.into_iter().find(|known| Some(*known) == near);
            let span = reader.place(key.span());
            reader.diagnostics.push(UnknownKey { span, key: name.to_string(), nearest }.into());
        }
    }
    let query = text.get(query_start..).unwrap_or("");
    let stem = Path::new(path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let written = reader.string(table, "id");
    let (id, id_span) = written.or_else(|| stem.map(|stem| (stem, Span::default())))?;
    if id.trim().is_empty() {
        reader.diagnostics.push(MissingKey { span: id_span, keys: "id" }.into());
    }
    let dialect = reader.word(table, "dialect", &Dialect::ALL.map(Dialect::name)).and_then(|name| name.parse().ok());
    let mut actions = reader.actions(table, "actions", Some(&ACTIONS));
    actions.extend(reader.actions(table, "optional_actions", Some(&ACTIONS)));
    let name = reader.string(table, "name").map_or_else(|| id.clone(), |(name, _)| name);
    let os = systems(table, reader);
    Some(RuleSource {
        id_span,
        name,
        description: reader.text(table, "description"),
        severity: reader.severity(table),
        risk_score: reader.number(table, "risk_score", 100).and_then(|score| u8::try_from(score).ok()),
        tags: reader.strings(table, "tags"),
        os,
        threat: reader.threat(table),
        references: reader.strings(table, "references"),
        dialect,
        actions,
        enabled: reader.flag(table, "enabled", true),
        allow: reader.strings(table, "allow"),
        tests: reader.strings(table, "tests"),
        version: reader.version(table, "version"),
        predicate: predicate::read(reader, table),
        suppression: suppression::read(reader, table),
        query: query.to_string(),
        form: FileForm::Eql,
        path: path.to_string(),
        source: Arc::new(SourceFile::with_query(path, text, QueryMap::offset(query_start))),
        id,
    })
}

fn systems(table: &DeTable<'_>, reader: &mut Reader) -> Vec<String> {
    let named: Vec<String> = reader.strings(table, "os").iter().map(|os| os.to_lowercase()).collect();
    if let (Some(wrong), Some(value)) = (named.iter().find(|os| !SYSTEMS.contains(&os.as_str())), table.get("os")) {
        let near = nearest(wrong, SYSTEMS);
        let help = near.map_or(String::new(), |near| format!(" (did you mean `{near}`?)"));
        let expected = format!("`linux`, `macos` or `windows`{help}");
        let span = reader.place(value.span());
        let (key, value) = ("os".to_string(), wrong.clone());
        let error = super::errors::ValueOutOfRange { span, key, value, expected, nearest: None, quoted: true };
        reader.diagnostics.push(error.into());
    }
    named
}
