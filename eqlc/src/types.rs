//! Names and types: from a syntax tree to a typed tree, against a schema and a dialect.
//!
//! In: a [`Query`], its text (for fixes), a [`Schema`], a [`Dialect`]. Out: a [`TypedQuery`] and every mistake of the
//! query, not only the first: what was reported is of a type that fits everywhere. Constants are folded on the way.
//! This module does not touch the IR's tables; lowering a typed tree cannot fail.
//!
//! ```text
//! query ── filter ── expression ┬─ comparison   == != < <= > >=, null tests
//!                               ├─ lists        in : like regex
//!                               ├─ functions    signatures; searches: _arraysearch
//!                               ├─ names        fields, steps, variables
//!                               └─ fold         constants, in three values
//! ```

mod comparison;
pub mod errors;
mod expression;
mod fold;
pub mod functions;
pub mod limit_errors;
mod lineage;
pub(crate) mod lists;
mod literals;
mod names;
mod query;
mod searches;
pub mod tree;
pub mod warnings;

use kestrel_schema::Schema;

use crate::diagnostics::Diagnostic;
use crate::syntax::{Dialect, Query, Span};
use tree::{FieldUse, TypedQuery};

/// What a query is checked against.
#[derive(Debug, Clone, Copy)]
pub struct CheckOptions<'c> {
    /// Names and types.
    pub schema: &'c Schema,
    /// Which constructs are allowed.
    pub dialect: Dialect,
    /// Whether the query is for a live engine, where events never end.
    pub live: bool,
}

/// Checks a query: its typed tree, unless it is none, and all diagnostics. The tree is to be used only when no
/// diagnostic of the query, those of the parser included, is an error.
pub fn check(query: &Query, source: &str, options: CheckOptions<'_>) -> (Option<TypedQuery>, Vec<Diagnostic>) {
    let CheckOptions { schema, dialect, live } = options;
    let mut checker = Checker {
        source,
        schema,
        dialect,
        live,
        diagnostics: Vec::new(),
        aliases: Vec::new(),
        term: None,
        no_references: None,
        search: None,
    };
    let typed = checker.query(query);
    let mut diagnostics = checker.diagnostics;
    diagnostics.sort_by_key(|diagnostic| diagnostic.span());
    diagnostics.dedup();
    (typed, diagnostics)
}

/// The state of a check.
struct Checker<'c> {
    source: &'c str,
    schema: &'c Schema,
    dialect: Dialect,
    live: bool,
    diagnostics: Vec<Diagnostic>,
    /// The steps' aliases of the whole sequence, defined before any term is checked, so that a later one is known as such.
    aliases: Vec<Alias>,
    /// The number of the term that is being checked.
    term: Option<usize>,
    /// Where fields of other steps are not supported, as messages call it.
    no_references: Option<&'static str>,
    /// The array search that is being checked.
    search: Option<Search>,
}

impl Checker<'_> {
    fn report(&mut self, error: impl Into<Diagnostic>) {
        self.diagnostics.push(error.into());
    }
}

/// `[..] as e0`
struct Alias {
    name: String,
    span: Span,
    term: usize,
    /// The step among all steps, `runs` written out.
    step: u32,
    missing: bool,
}

/// The variable of a search and what it ranges over.
#[derive(Clone)]
struct Search {
    variable: String,
    field: FieldUse,
}
