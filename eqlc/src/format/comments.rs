//! Comments find their place again.
//!
//! In: the comments of a source in order, and how far it has been printed. Out: documents with the comments that belong in
//! a gap. A comment behind something on its line stays at the end of that line; one on a line of its own keeps it.

use super::layout::Doc;
use crate::syntax::{Comment, Span};

/// The comments that are still to be printed.
pub(super) struct Comments<'a> {
    source: &'a str,
    rest: &'a [Comment],
    /// The end of the last thing that was printed.
    end: usize,
    started: bool,
}

impl<'a> Comments<'a> {
    pub(super) fn new(source: &'a str, comments: &'a [Comment]) -> Self {
        Self { source, rest: comments, end: 0, started: false }
    }

    /// Something was printed that stands here in the source.
    pub(super) fn printed(&mut self, span: Span) {
        self.end = self.end.max(span.end);
        self.started = true;
    }

    fn take(&mut self) -> Option<(Comment, bool)> {
        let (comment, rest) = self.rest.split_first()?;
        let same_line = self.started && !self.gap(*comment).contains('\n');
        self.rest = rest;
        self.end = self.end.max(comment.span.end);
        Some((*comment, same_line))
    }

    fn gap(&self, comment: Comment) -> &str {
        self.source.get(self.end..comment.span.start).unwrap_or("")
    }

    fn next_starts_before(&self, offset: usize) -> bool {
        self.rest.first().is_some_and(|comment| comment.span.start < offset)
    }

    /// The comments before the thing that stands at `offset`.
    pub(super) fn before(&mut self, offset: usize) -> Doc {
        let mut docs = Vec::new();
        while self.next_starts_before(offset) {
            let Some((comment, same_line)) = self.take() else { break };
            let text = self.text(comment);
            match (same_line, comment.block) {
                (true, false) => docs.push(Doc::Suffix(format!(" {text}"))),
                (true, true) => docs.extend(self.block(&text).into_iter().chain([Doc::text(" ")])),
                (false, block) => {
                    docs.push(Doc::FreshLine);
                    docs.extend(if block { self.block(&text) } else { vec![Doc::Text(text)] });
                    docs.push(Doc::HardLine);
                }
            }
            self.started = true;
        }
        Doc::Concat(docs)
    }

    /// The comments on the line of what was just printed, before `bound`.
    pub(super) fn trailing(&mut self, bound: usize) -> Doc {
        let mut docs = Vec::new();
        while self.next_starts_before(bound)
            && let Some(comment) = self.rest.first().copied()
            && !self.gap(comment).contains('\n')
        {
            let Some((comment, _)) = self.take() else { break };
            let text = self.text(comment);
            if comment.block {
                docs.push(Doc::text(" "));
                docs.extend(self.block(&text));
            } else {
                docs.push(Doc::Suffix(format!(" {text}")));
            }
        }
        Doc::Concat(docs)
    }

    /// The comments before a closing bracket, which has no place in the tree.
    pub(super) fn before_close(&mut self) -> Doc {
        let mut bound = self.end;
        for comment in self.rest {
            let gap = self.source.get(bound..comment.span.start).unwrap_or("");
            if !gap.trim().is_empty() {
                break;
            }
            bound = comment.span.end;
        }
        let trailing = self.trailing(bound);
        Doc::Concat(vec![trailing, self.before(bound)])
    }

    /// Whether a comment is left.
    pub(super) fn any_left(&self) -> bool {
        !self.rest.is_empty()
    }

    fn text(&self, comment: Comment) -> String {
        comment.span.text(self.source).to_string()
    }

    /// A block comment keeps its lines as they are.
    fn block(&self, text: &str) -> Vec<Doc> {
        let mut docs = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if index > 0 {
                docs.push(Doc::HardLine);
            }
            docs.push(Doc::text(line.trim()));
        }
        docs
    }
}
