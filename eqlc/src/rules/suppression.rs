//! `[suppress]` in front matter, `[rule.alert_suppression]` in detection rules: of alike alerts the first is told.
//!
//! In: the table. Out: what it says, with places in the file; whether the fields exist is asked when the rule is compiled.

use kestrel_ir::pack::MAX_SUPPRESSION_FIELDS;
use kestrel_ir::time::parse_duration;
use toml::de::DeTable;

use super::errors::{MissingKey, ValueOutOfRange};
use super::predicate::{check_keys, spanned_strings};
use super::reader::Reader;
use crate::syntax::Span;

/// The window of a detection rule that names none: what such rules run over at a time, usually.
const USUAL_WINDOW: i64 = 5 * 60_000_000_000;

const KEYS: [&str; 3] = ["by", "for", "missing"];

/// How alike alerts of a rule are suppressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuppressionSource {
    /// The fields whose values make alerts alike, with their places.
    pub by: Vec<(String, Span)>,
    /// For how long after the first alert, in nanoseconds.
    pub window: i64,
    /// Whether alerts whose events lack one of the fields are told, all of them.
    pub tell_missing: bool,
}

/// Reads `[suppress]`, our own form.
pub(super) fn read(reader: &mut Reader, rule: &DeTable<'_>) -> Option<SuppressionSource> {
    let span = reader.place(rule.get("suppress")?.span());
    let table = reader.table(rule, "suppress")?;
    check_keys(reader, table, &KEYS);
    let by = fields(reader, table, "by");
    let missing = reader.word(table, "missing", &["suppress", "tell"]);
    let Some((text, place)) = reader.string(table, "for") else {
        if !table.contains_key("for") {
            reader.diagnostics.push(MissingKey { span, keys: "`for` of its `suppress`" }.into());
        }
        return None;
    };
    let window = parse_duration(&text).filter(|window| *window > 0);
    if window.is_none() {
        out_of_range(reader, "for", text, "a length of time such as `\"30s\"`, `\"5m\"` or `\"1h\"`", place);
    }
    Some(SuppressionSource { by, window: window?, tell_missing: missing == Some("tell") })
}

/// Reads `[rule.alert_suppression]`, the public form. Keys that nothing here reads are passed over.
pub(super) fn read_public(reader: &mut Reader, rule: &DeTable<'_>) -> Option<SuppressionSource> {
    let table = reader.table(rule, "alert_suppression")?;
    let by = fields(reader, table, "group_by");
    let missing = reader.word(table, "missing_fields_strategy", &["suppress", "doNotSuppress"]);
    let window = match reader.table(table, "duration") {
        None => Some(USUAL_WINDOW),
        Some(duration) => {
            let unit = reader.word(duration, "unit", &["s", "m", "h"]).unwrap_or("m");
            let value = reader.number(duration, "value", u32::MAX);
            let window = value.and_then(|value| parse_duration(&format!("{value}{unit}"))).filter(|window| *window > 0);
            if let (None, Some(value)) = (window, value) {
                let span = reader.place(duration.get("value")?.span());
                let expected = "a whole number from 1 that stays below 292 years";
                out_of_range(reader, "value", value.to_string(), expected, span);
            }
            window
        }
    };
    Some(SuppressionSource { by, window: window?, tell_missing: missing == Some("doNotSuppress") })
}

fn fields(reader: &mut Reader, table: &DeTable<'_>, key: &str) -> Vec<(String, Span)> {
    let mut fields: Vec<(String, Span)> = Vec::new();
    for (name, span) in spanned_strings(reader, table, key) {
        if !fields.iter().any(|(known, _)| *known == name) {
            fields.push((name, span));
        }
    }
    if let Some((name, span)) = fields.get(MAX_SUPPRESSION_FIELDS).cloned() {
        out_of_range(reader, key, name, &format!("at most {MAX_SUPPRESSION_FIELDS} fields"), span);
        fields.truncate(MAX_SUPPRESSION_FIELDS);
    }
    fields
}

fn out_of_range(reader: &mut Reader, key: &str, value: String, expected: &str, span: Span) {
    let (key, expected) = (key.to_string(), expected.to_string());
    reader.diagnostics.push(ValueOutOfRange { span, key, value, expected, nearest: None, quoted: true }.into());
}
