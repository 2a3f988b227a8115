//! Where the stages of the parser leave their diagnostics.
//!
//! In: structs of codes. Out: a sorted list with a limit: hostile input may be wrong in a million places.

use super::Span;
use super::limit_errors::TooManyErrors;
use crate::diagnostics::Diagnostic;

/// Collects diagnostics up to a limit.
#[derive(Debug)]
pub(crate) struct Sink {
    list: Vec<Diagnostic>,
    limit: usize,
    overflow: Option<Span>,
}

impl Sink {
    /// Keeps up to `limit` diagnostics.
    pub(crate) fn new(limit: usize) -> Self {
        Self { list: Vec::new(), limit, overflow: None }
    }

    /// Takes one in, unless the same place was reported for the same reason.
    pub(crate) fn push(&mut self, diagnostic: impl Into<Diagnostic>) {
        let diagnostic = diagnostic.into();
        if self.list.len() >= self.limit {
            self.overflow.get_or_insert(diagnostic.span());
        } else if !self.list.iter().any(|known| known.code == diagnostic.code && known.span() == diagnostic.span()) {
            self.list.push(diagnostic);
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// The diagnostics in the order of the text; the last one says if there were more.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|diagnostic| diagnostic.span());
        if let Some(span) = self.overflow {
            self.list.push(TooManyErrors { span, limit: self.limit }.into());
        }
        self.list
    }
}
