//! The two public TOML forms, taken as they are: keys that nothing here reads are passed over.
//!
//! In: the text of a `.toml` file. Out: a rule, or that the file holds none in EQL.

use std::sync::Arc;

use toml::de::DeTable;

use super::errors::MissingKey;
use super::reader::Reader;
use super::{Action, FileForm, Loaded, LoadedFile, RuleSource, failed, literal, predicate, suppression};
use crate::diagnostics::{Diagnostic, SourceFile};
use crate::syntax::Span;

/// Reads a `.toml` file.
pub(super) fn load(path: &str, text: &str) -> LoadedFile {
    let mut reader = Reader::new(0);
    let table = reader.parse(text);
    let root = table.get_ref();
    let rule = root.get("rule").map(|rule| (rule.get_ref().as_table(), rule.span()));
    let Some((Some(rule), rule_range)) = rule else {
        if reader.diagnostics.is_empty() {
            return skipped(path, text, "no `[rule]` table".to_string());
        }
        return failed(path, text, reader.diagnostics);
    };
    for key in ["type", "language"] {
        if let Some(other) = rule.get(key).and_then(|value| value.get_ref().as_str()).filter(|value| *value != "eql") {
            return skipped(path, text, format!("{key} is `{other}`, not `eql`"));
        }
    }
    let rule_span = reader.place(rule_range);
    let read = read(root, rule, rule_span, &mut reader, path, text);
    let mut diagnostics = reader.diagnostics;
    diagnostics.sort_by_key(Diagnostic::span);
    match read {
        Some(rule) => {
            LoadedFile { source: Arc::clone(&rule.source), diagnostics, loaded: Loaded::Rule(Box::new(rule)) }
        }
        None => failed(path, text, diagnostics),
    }
}

fn skipped(path: &str, text: &str, reason: String) -> LoadedFile {
    LoadedFile { loaded: Loaded::Skipped { reason }, ..failed(path, text, Vec::new()) }
}

fn read(
    root: &DeTable<'_>,
    rule: &DeTable<'_>,
    rule_span: Span,
    reader: &mut Reader,
    path: &str,
    text: &str,
) -> Option<RuleSource> {
    let (form, id) = match reader.string(rule, "rule_id") {
        Some(id) => (FileForm::Detection, Some(id)),
        None => (FileForm::Endpoint, reader.string(rule, "id")),
    };
    let query = reader.string(rule, "query");
    if id.is_none() && !rule.contains_key("rule_id") && !rule.contains_key("id") {
        reader.diagnostics.push(MissingKey { span: rule_span, keys: "`rule_id` or `id`" }.into());
    }
    if query.is_none() && !rule.contains_key("query") {
        reader.diagnostics.push(MissingKey { span: rule_span, keys: "`query`" }.into());
    }
    let ((id, id_span), (query, query_span)) = (id?, query?);
    let tags = reader.strings(rule, "tags");
    let mut os = reader.strings(rule, "os_list");
    if os.is_empty() {
        os = tags.iter().filter_map(|tag| tag.strip_prefix("OS: ")).map(str::to_lowercase).collect();
    }
    let threat = if rule.contains_key("threat") { reader.threat(rule) } else { reader.threat(root) };
    let map = literal::map(query_span.text(text), &query, query_span.start);
    let mut references = reader.strings(rule, "references");
    if references.is_empty() {
        references = reader.strings(rule, "reference");
    }
    Some(RuleSource {
        name: reader.string(rule, "name").map_or_else(|| id.clone(), |(name, _)| name),
        description: reader.text(rule, "description").trim().to_string(),
        severity: reader.severity(rule),
        risk_score: reader.number(rule, "risk_score", 100).and_then(|score| u8::try_from(score).ok()),
        tags,
        os,
        threat,
        references,
        dialect: None,
        actions: actions(root, rule, reader),
        enabled: reader.flag(rule, "enabled", true),
        allow: Vec::new(),
        tests: reader.strings(rule, "tests"),
        version: reader.version(rule, "version"),
        predicate: predicate::read(reader, rule),
        suppression: suppression::read_public(reader, rule),
        form,
        path: path.to_string(),
        source: Arc::new(SourceFile::with_query(path, text, map)),
        query,
        id,
        id_span,
    })
}

/// The actions stand beside `[rule]` or, in some files, inside it.
fn actions(root: &DeTable<'_>, rule: &DeTable<'_>, reader: &mut Reader) -> Vec<Action> {
    let mut actions = Vec::new();
    for key in ["actions", "optional_actions"] {
        for table in [root, rule] {
            actions.extend(reader.actions(table, key, None));
        }
    }
    actions
}
