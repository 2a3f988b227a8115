//! The front door of the compiler: text in, syntax tree, comments and diagnostics out.
//!
//! Parsing never fails: what cannot be read becomes an `Error` node and a diagnostic, and all mistakes of a query are
//! reported in one run. This module does no IO and resolves no names.
//!
//! ```text
//! text ─ lexer ─> tokens ─ repair ─> tokens of the language ─ grammar (LR) ─> tree ─ check ─> tree
//!          └─ comments      each step leaves its diagnostics, the next goes on
//! ```

mod actions;
pub mod ast;
mod check;
mod dialect;
pub mod errors;
mod expectation;
mod lexer;
pub mod limit_errors;
mod repair;
mod sink;
mod strings;
pub mod token;
pub mod walk;

pub use ast::*;
pub use check::{ENDPOINT_FUNCTIONS, FOLDING_FUNCTIONS, PIPES};
pub use dialect::{Dialect, UnknownDialect};
pub(crate) use strings::{escape, raw};

use crate::diagnostics::Diagnostic;
use actions::Actions;
use sink::Sink;
use token::SpannedToken;

lalrpop_util::lalrpop_mod!(
    #[allow(
        clippy::all,
        clippy::unwrap_used,
        clippy::allow_attributes_without_reason,
        missing_docs,
        unused,
        reason = "generated code"
    )]
    grammar,
    "/syntax/grammar.rs"
);

/// What keeps hostile input cheap. Beyond a limit there is a diagnostic `E04xx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a query.
    pub source: usize,
    /// Levels of the tree: brackets, `not`, signs, operators of a long sum.
    pub nesting: usize,
    /// Elements of a list.
    pub list: usize,
    /// Diagnostics of one query.
    pub diagnostics: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { source: 1 << 20, nesting: 500, list: 100_000, diagnostics: 50 }
    }
}

/// What came of a text.
#[derive(Debug, Clone)]
pub struct Parse {
    /// The tree, with `Error` nodes where something was reported.
    pub query: Query,
    /// The comments in the order of the text.
    pub comments: Vec<Comment>,
    /// What is wrong, in the order of the text. Empty means that the tree is whole.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads a query with the default limits.
///
/// ```
/// use eqlc::syntax::{Dialect, Form, parse};
///
/// let good = parse("process where process.name : \"bash\"", Dialect::Elastic);
/// assert!(matches!(good.query.form, Form::Event(_)) && good.diagnostics.is_empty());
///
/// let bad = parse("process where process.name = 'bash'", Dialect::Elastic);
/// assert_eq!(bad.diagnostics.len(), 2);
/// ```
pub fn parse(source: &str, dialect: Dialect) -> Parse {
    parse_with(source, dialect, Limits::default())
}

/// Reads a query with limits of one's own.
pub fn parse_with(source: &str, dialect: Dialect, limits: Limits) -> Parse {
    let mut sink = Sink::new(limits.diagnostics);
    if source.len() > limits.source {
        let span = Span::default();
        sink.push(limit_errors::SourceTooLarge { span, size: source.len(), limit: limits.source });
        return Parse { query: no_query(source), comments: Vec::new(), diagnostics: sink.finish() };
    }
    let (tokens, comments) = lexer::lex(source, &mut sink);
    let tokens = repair::correct(tokens, source, &mut sink);
    let query = if let Some(span) = repair::too_deep(&tokens, limits.nesting) {
        sink.push(limit_errors::NestingTooDeep { span, limit: limits.nesting });
        no_query(source)
    } else if tokens.is_empty() {
        if sink.len() == 0 {
            sink.push(errors::EmptyQuery { span: Span::default() });
        }
        no_query(source)
    } else {
        let tokens = repair::balance(tokens, &mut sink);
        let tokens = repair::complete(tokens, source, &mut sink);
        let query = build(&tokens, source, limits, &mut sink);
        let clean = sink.len() == 0;
        check::check(&query, dialect, clean, &mut sink);
        query
    };
    Parse { query, comments, diagnostics: sink.finish() }
}

/// The tokens and comments of a text, without repairs and without diagnostics; for `show --stage tokens` and the editor.
pub fn tokens(source: &str) -> (Vec<SpannedToken>, Vec<Comment>) {
    lexer::lex(source, &mut Sink::new(0))
}

fn build(tokens: &[SpannedToken], source: &str, limits: Limits, sink: &mut Sink) -> Query {
    let mut actions = Actions { source, tokens, sink, list_limit: limits.list };
    let input = tokens.iter().map(|token| Ok((token.span.start, token.token.clone(), token.span.end)));
    match grammar::QueryParser::new().parse(&mut actions, input) {
        Ok(query) => query,
        Err(error) => {
            actions.unexpected(error);
            no_query(source)
        }
    }
}

fn no_query(source: &str) -> Query {
    let span = Span::new(0, source.len());
    Query { span, form: Form::Error(span), pipes: Vec::new() }
}
