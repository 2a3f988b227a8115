//! Formatting: the compiler's one way to write a query, as the smallest change of the text.
//!
//! In: a document and the settings. Out: one [`Fix`], or nothing where nothing is to change: a query with mistakes in its
//! syntax is left alone, and so are TOML files, whose form belongs to others.

use eqlc::diagnostics::Fix;
use eqlc::format::format_file;
use eqlc::syntax::Span;

use crate::analysis::LARGEST_DOCUMENT;
use crate::documents::Document;
use crate::settings::Settings;

/// The change that formats a document.
pub fn format(document: &Document, settings: &Settings) -> Option<Fix> {
    if document.text().len() > LARGEST_DOCUMENT {
        return None;
    }
    let tidy = format_file(&document.name_for_compiler()?, document.text(), settings.dialect).ok()??;
    smallest_change(document.text(), &tidy)
}

/// What is between the parts that both texts start and end with. Cursors and marks outside it stay where they are.
fn smallest_change(old: &str, new: &str) -> Option<Fix> {
    let alike = old.char_indices().zip(new.chars()).find(|((_, old), new)| old != new);
    let start = alike.map_or(old.len().min(new.len()), |((index, _), _)| index);
    let (old_rest, new_rest) = (old.get(start..)?, new.get(start..)?);
    let ends = old_rest.chars().rev().zip(new_rest.chars().rev());
    let tail: usize = ends.take_while(|(old, new)| old == new).map(|(character, _)| character.len_utf8()).sum();
    let replacement = new_rest.get(..new_rest.len() - tail)?.to_owned();
    let span = Span::new(start, old.len() - tail);
    (span.start < span.end || !replacement.is_empty()).then_some(Fix { span, replacement })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(old: &str, new: &str, expected: Option<(usize, usize, &str)>) {
        let change = smallest_change(old, new);
        let found = change.as_ref().map(|fix| (fix.span.start, fix.span.end, fix.replacement.as_str()));
        assert_eq!(found, expected, "{old:?} to {new:?}");
    }

    #[test]
    fn a_change_leaves_what_both_texts_share() {
        check("a  b", "a b", Some((2, 3, "")));
        check("a b", "a  b", Some((2, 2, " ")));
        check("x é y", "x è y", Some((2, 4, "è")));
        check("aa", "aaa", Some((2, 2, "a")));
        check("", "new", Some((0, 0, "new")));
        check("same", "same", None);
    }
}
