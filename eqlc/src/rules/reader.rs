//! Values out of TOML tables, with diagnostics for those of a wrong type.
//!
//! In: a parsed table. Out: plain values with their places in the file.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::errors::{MalformedToml, ValueOutOfRange, WrongType};
use super::{Action, RuleSeverity, Technique, Threat, ThreatItem};
use crate::diagnostics::{Diagnostic, nearest};
use crate::syntax::Span;

/// Reads values and collects what is wrong with them.
pub(super) struct Reader {
    /// The byte of the file at which the TOML starts.
    pub(super) base: usize,
    /// What is wrong.
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl Reader {
    /// A reader of TOML that starts at byte `base` of its file.
    pub(super) fn new(base: usize) -> Self {
        Self { base, diagnostics: Vec::new() }
    }

    /// Parses the text; what cannot be read is left out of the table and reported.
    pub(super) fn parse<'i>(&mut self, text: &'i str) -> Spanned<DeTable<'i>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let span = self.place(error.span().unwrap_or(0..0));
            let reason = error.message().to_string();
            self.diagnostics.push(MalformedToml { span, reason }.into());
        }
        table
    }

    /// A place in the file.
    pub(super) fn place(&self, range: std::ops::Range<usize>) -> Span {
        Span::new(self.base + range.start, self.base + range.end)
    }

    fn wrong(&mut self, key: &str, expected: &'static str, value: &Spanned<DeValue<'_>>) {
        let span = self.place(value.span());
        let found = value.get_ref().type_str();
        self.diagnostics.push(WrongType { span, key: key.to_string(), expected, found }.into());
    }

    /// A string, with the place of its literal.
    pub(super) fn string(&mut self, table: &DeTable<'_>, key: &str) -> Option<(String, Span)> {
        let value = table.get(key)?;
        match value.get_ref().as_str() {
            Some(text) => Some((text.to_string(), self.place(value.span()))),
            None => {
                self.wrong(key, "a string", value);
                None
            }
        }
    }

    /// A string, or nothing.
    pub(super) fn text(&mut self, table: &DeTable<'_>, key: &str) -> String {
        self.string(table, key).map(|(text, _)| text).unwrap_or_default()
    }

    /// A string or a number, as written.
    pub(super) fn version(&mut self, table: &DeTable<'_>, key: &str) -> Option<String> {
        match table.get(key)?.get_ref() {
            DeValue::Integer(number) => Some(number.as_str().to_string()),
            DeValue::Float(number) => Some(number.as_str().to_string()),
            _ => self.string(table, key).map(|(text, _)| text),
        }
    }

    /// A list of strings.
    pub(super) fn strings(&mut self, table: &DeTable<'_>, key: &str) -> Vec<String> {
        let Some(value) = table.get(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(key, "a list of strings", value);
            return Vec::new();
        };
        let mut strings = Vec::new();
        for item in array.iter() {
            match item.get_ref().as_str() {
                Some(text) => strings.push(text.to_string()),
                None => self.wrong(key, "a list of strings", item),
            }
        }
        strings
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, table: &DeTable<'_>, key: &str, default: bool) -> bool {
        let Some(value) = table.get(key) else { return default };
        value.get_ref().as_bool().unwrap_or_else(|| {
            self.wrong(key, "`true` or `false`", value);
            default
        })
    }

    /// A whole number from 0 to `most`.
    pub(super) fn number(&mut self, table: &DeTable<'_>, key: &str, most: u32) -> Option<u32> {
        let value = table.get(key)?;
        let Some(number) = value.get_ref().as_integer() else {
            self.wrong(key, "a whole number", value);
            return None;
        };
        let parsed = u32::from_str_radix(number.as_str(), number.radix()).ok().filter(|number| *number <= most);
        if parsed.is_none() {
            let expected = format!("a whole number from 0 to {most}");
            self.out_of_range(key, number.as_str(), expected, value);
        }
        parsed
    }

    fn out_of_range(&mut self, key: &str, value: &str, expected: String, place: &Spanned<DeValue<'_>>) {
        let span = self.place(place.span());
        let (key, value) = (key.to_string(), value.to_string());
        self.diagnostics.push(ValueOutOfRange { span, key, value, expected, nearest: None, quoted: true }.into());
    }

    /// One of a few words.
    pub(super) fn word(&mut self, table: &DeTable<'_>, key: &str, words: &[&'static str]) -> Option<&'static str> {
        let value = table.get(key)?;
        let (text, _) = self.string(table, key)?;
        let known = words.iter().copied().find(|word| *word == text);
        if known.is_none() {
            let span = self.place(value.span());
            self.unknown_word(key, &text, words, span);
        }
        known
    }

    /// Reports a word that is none of those which a key takes.
    pub(super) fn unknown_word(&mut self, key: &str, text: &str, words: &[&'static str], span: Span) {
        let listed: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        let near = nearest(text, words.iter().copied());
        let nearest = words.iter().copied().find(|word| Some(*word) == near);
        let expected = format!("one of {}", listed.join(", "));
        let (key, value) = (key.to_string(), text.to_string());
        self.diagnostics.push(ValueOutOfRange { span, key, value, expected, nearest, quoted: true }.into());
    }

    /// `severity`.
    pub(super) fn severity(&mut self, table: &DeTable<'_>) -> Option<RuleSeverity> {
        let word = self.word(table, "severity", &RuleSeverity::ALL.map(RuleSeverity::text))?;
        RuleSeverity::ALL.into_iter().find(|severity| severity.text() == word)
    }

    /// The tables of a list of tables.
    pub(super) fn tables<'t, 'i>(&mut self, table: &'t DeTable<'i>, key: &str) -> Vec<(&'t DeTable<'i>, Span)> {
        let Some(value) = table.get(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(key, "a list of tables", value);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in array.iter() {
            match item.get_ref().as_table() {
                Some(table) => tables.push((table, self.place(item.span()))),
                None => self.wrong(key, "a list of tables", item),
            }
        }
        tables
    }

    /// A table.
    pub(super) fn table<'t, 'i>(&mut self, table: &'t DeTable<'i>, key: &str) -> Option<&'t DeTable<'i>> {
        let value = table.get(key)?;
        if value.get_ref().as_table().is_none() {
            self.wrong(key, "a table", value);
        }
        value.get_ref().as_table()
    }

    /// `threat`.
    pub(super) fn threat(&mut self, table: &DeTable<'_>) -> Vec<Threat> {
        let entries = self.tables(table, "threat");
        entries.into_iter().map(|(entry, _)| self.threat_entry(entry)).collect()
    }

    fn threat_entry(&mut self, entry: &DeTable<'_>) -> Threat {
        let tactic = self.table(entry, "tactic").map(|tactic| self.threat_item(tactic));
        let techniques = self.tables(entry, "technique").into_iter().map(|(technique, _)| {
            let item = self.threat_item(technique);
            let parts = self.tables(technique, "subtechnique");
            Technique { item, subtechniques: parts.into_iter().map(|(part, _)| self.threat_item(part)).collect() }
        });
        let techniques = techniques.collect();
        Threat { framework: self.text(entry, "framework"), tactic, techniques }
    }

    fn threat_item(&mut self, table: &DeTable<'_>) -> ThreatItem {
        let reference = self.text(table, "reference");
        ThreatItem { id: self.text(table, "id"), name: self.text(table, "name"), reference }
    }

    /// `actions` or `optional_actions`; `words` are the allowed ones, if they are limited.
    pub(super) fn actions(&mut self, table: &DeTable<'_>, key: &str, words: Option<&[&'static str]>) -> Vec<Action> {
        let mut actions = Vec::new();
        for (entry, span) in self.tables(table, key) {
            let action = match words {
                Some(words) => self.word(entry, "action", words).map(str::to_string),
                None => self.string(entry, "action").map(|(text, _)| text),
            };
            let field = self.string(entry, "field").map(|(text, _)| text);
            let state = self.number(entry, "state", 1_000).unwrap_or(0);
            let tree = self.flag(entry, "tree", false);
            let optional = key != "actions";
            actions.extend(action.map(|action| Action { action, field, state, tree, optional, span }));
        }
        actions
    }
}
