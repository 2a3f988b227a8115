//! The open documents: their texts, kept as the editor changes them, and what the compiler said about each.
//!
//! In: a text, and changes of it. Out: [`Document`]. A change that does not fit the text is moved to where it does: the
//! editor and the server then differ until the next whole text, but nothing breaks.

use eqlc::syntax::Span;

use crate::analysis::{Analysis, FileKind};
use crate::positions::{Encoding, Lines, Position};
use crate::settings::Settings;

/// One change: the text between two positions is replaced, or all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// From where to where; `None` is the whole text.
    pub range: Option<(Position, Position)>,
    /// By what.
    pub text: String,
}

/// An open document.
#[derive(Debug, Clone)]
pub struct Document {
    path: String,
    kind: FileKind,
    /// The editor's number of this state.
    pub version: i32,
    text: String,
    lines: Lines,
    analysis: Analysis,
}

impl Document {
    /// Opens a document and looks at it.
    pub fn new(path: String, language: &str, version: i32, text: String, settings: &Settings) -> Document {
        let kind = FileKind::of(&path, language);
        let analysis = Analysis::new(&path, kind, &text, settings);
        Document { kind, version, lines: Lines::new(&text), text, analysis, path }
    }

    /// Applies changes in order and looks at the result.
    pub fn change(&mut self, version: i32, changes: Vec<Change>, encoding: Encoding, settings: &Settings) {
        self.version = version;
        for change in changes {
            match change.range {
                None => self.text = change.text,
                Some((from, to)) => {
                    let start = self.lines.offset(&self.text, from, encoding);
                    let end = self.lines.offset(&self.text, to, encoding).max(start);
                    self.text.replace_range(start..end, &change.text);
                }
            }
            self.lines = Lines::new(&self.text);
        }
        self.check(settings);
    }

    /// Looks at the document again, with other settings.
    pub fn check(&mut self, settings: &Settings) {
        self.analysis = Analysis::new(&self.path, self.kind, &self.text, settings);
    }

    /// The path as the compiler wants it; `None` for a document that is nothing of ours.
    pub fn name_for_compiler(&self) -> Option<String> {
        (self.kind != FileKind::Other).then(|| self.kind.name(&self.path))
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the compiler said.
    pub fn analysis(&self) -> &Analysis {
        &self.analysis
    }

    /// The byte at a position.
    pub fn offset(&self, position: Position, encoding: Encoding) -> usize {
        self.lines.offset(&self.text, position, encoding)
    }

    /// The positions of a range.
    pub fn positions(&self, span: Span, encoding: Encoding) -> (Position, Position) {
        let position = |offset| self.lines.position(&self.text, offset, encoding);
        (position(span.start), position(span.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, changes: &[(Option<[u32; 4]>, &str)], expected: &str) {
        let settings = Settings::default();
        let mut document = Document::new("a.txt".into(), "", 1, text.into(), &settings);
        let changes = changes.iter().map(|(range, text)| Change {
            range: range.map(|[line, character, end_line, end_character]| {
                (Position { line, character }, Position { line: end_line, character: end_character })
            }),
            text: (*text).to_owned(),
        });
        document.change(2, changes.collect(), Encoding::Utf16, &settings);
        assert_eq!(document.text(), expected);
    }

    #[test]
    fn changes_apply_one_after_the_other() {
        check("one\ntwo", &[(Some([1, 0, 1, 3]), "2"), (Some([0, 0, 1, 0]), ""), (Some([0, 1, 0, 1]), "!")], "2!");
        check("a😀b", &[(Some([0, 3, 0, 4]), "c")], "a😀c");
        check("a", &[(None, "b\nc"), (Some([1, 1, 1, 1]), "d")], "b\ncd");
    }

    #[test]
    fn a_change_that_does_not_fit_breaks_nothing() {
        check("ab", &[(Some([9, 9, 1, 1]), "c")], "abc");
        check("ab", &[(Some([0, 2, 0, 1]), "c")], "abc");
        check("😀", &[(Some([0, 1, 0, 1]), "c")], "c😀");
    }
}
