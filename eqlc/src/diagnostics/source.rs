//! The text that diagnostics speak about, and where the query lies in it.
//!
//! In: a file's text and, for a rule file, how the query's bytes map to the file's. Out: lines and columns in the file.
//!
//! ```text
//! rule.toml   ...query = "process where name == \"x\""...
//! query                   process where name == "x"
//! entries     (0, a)                            (22, b) (23, c) (24, d)   each: from this query byte, file bytes run along
//! ```

use super::{Diagnostic, Fix};
use crate::syntax::Span;

/// How the bytes of a query map to the bytes of its file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryMap {
    entries: Vec<(usize, usize)>,
    escaped: bool,
}

impl QueryMap {
    /// The query starts at this byte of the file and stands there literally.
    pub fn offset(file_offset: usize) -> Self {
        Self { entries: vec![(0, file_offset)], escaped: false }
    }

    /// From pairs of (byte of the query, byte of the file), ascending, behind each of which both run along together.
    /// `escaped` says that the query stands in a TOML basic string, so that a fix has to be escaped.
    pub fn pieces(entries: Vec<(usize, usize)>, escaped: bool) -> Self {
        Self { entries, escaped }
    }

    /// The byte of the file for a byte of the query.
    pub fn locate(&self, offset: usize) -> usize {
        let index = self.entries.partition_point(|(query, _)| *query <= offset);
        match index.checked_sub(1).and_then(|index| self.entries.get(index)) {
            Some((query, file)) => file + (offset - query),
            None => offset,
        }
    }

    /// The byte of the query for a byte of the file; `None` before its start.
    pub fn locate_in_query(&self, file_offset: usize) -> Option<usize> {
        let index = self.entries.partition_point(|(_, file)| *file <= file_offset);
        match index.checked_sub(1).and_then(|index| self.entries.get(index)) {
            Some((query, file)) => Some(query + (file_offset - file)),
            None if self.entries.is_empty() => Some(file_offset),
            None => None,
        }
    }

    /// The span of the file for a span of the query.
    pub fn span(&self, span: Span) -> Span {
        Span::new(self.locate(span.start), self.locate(span.end))
    }
}

/// A file's text with its name, its lines and the place of the query in it.
#[derive(Debug, Clone)]
pub struct SourceFile {
    name: String,
    text: String,
    lines: Vec<usize>,
    map: QueryMap,
}

impl SourceFile {
    /// A file that is a query and nothing else.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::with_query(name, text, QueryMap::default())
    }

    /// A rule file.
    pub fn with_query(name: impl Into<String>, text: impl Into<String>, map: QueryMap) -> Self {
        let text = text.into();
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(index, _)| index + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        Self { name: name.into(), text, lines, map }
    }

    /// The name that messages show.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The place of a diagnostic's span in the file, inside the text and on characters' borders.
    pub fn span_in_file(&self, diagnostic: &Diagnostic, span: Span) -> Span {
        let span = if diagnostic.in_file { span } else { self.map.span(span) };
        let start = floor_boundary(&self.text, span.start);
        let end = floor_boundary(&self.text, span.end).max(start);
        Span::new(start, end)
    }

    /// The fix of a diagnostic as a change of the file: placed, and escaped where the query stands in an escaped string.
    pub fn fix_in_file(&self, diagnostic: &Diagnostic) -> Option<Fix> {
        let fix = diagnostic.fix.as_ref()?;
        let span = self.span_in_file(diagnostic, fix.span);
        let replacement = if self.map.escaped && !diagnostic.in_file {
            fix.replacement.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t")
        } else {
            fix.replacement.clone()
        };
        Some(Fix { span, replacement })
    }

    /// How many bytes the longest of the first and the last line of a span has.
    pub fn line_length(&self, diagnostic: &Diagnostic, span: Span) -> usize {
        let span = self.span_in_file(diagnostic, span);
        let length = |offset| {
            let (line, _) = self.line_column(offset);
            let start = self.lines.get(line - 1).copied().unwrap_or(0);
            self.lines.get(line).copied().unwrap_or(self.text.len()) - start
        };
        length(span.start).max(length(span.end))
    }

    /// Line and column of a byte of the file, from 1, columns in characters.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let offset = floor_boundary(&self.text, offset);
        let line = self.lines.partition_point(|start| *start <= offset).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(start..offset).map_or(0, |text| text.chars().count());
        (line, column + 1)
    }
}

fn floor_boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}
