//! The formatter: one way to write a query.
//!
//! In: a query's text, or a tree. Out: text that parses to the same tree, with every comment kept, 120 columns wide where
//! possible. Formatting what was formatted changes nothing. A text with syntax errors is not touched.

mod comments;
mod layout;
mod printer;

use crate::diagnostics::{Diagnostic, has_errors};
use crate::rules::{FileForm, Loaded, load_file};
use crate::syntax::{Dialect, Query, parse};
use printer::Printer;

/// How wide a line may be.
pub const WIDTH: usize = 120;

/// Prints a tree, also one that was not parsed; comments and the writing of literals are not in it.
pub fn format_query(query: &Query) -> String {
    layout::print(&Printer::new(None, &[]).query(query), WIDTH) + "\n"
}

/// Formats a query.
///
/// ```
/// use eqlc::{format::format_source, syntax::Dialect};
///
/// let tidy = format_source("process   where a==1 // why", Dialect::Elastic);
/// assert_eq!(tidy.as_deref(), Ok("process where a == 1 // why\n"));
/// ```
///
/// # Errors
/// The diagnostics, if the query has syntax errors.
pub fn format_source(source: &str, dialect: Dialect) -> Result<String, Vec<Diagnostic>> {
    let parsed = parse(source, dialect);
    if has_errors(&parsed.diagnostics) {
        return Err(parsed.diagnostics);
    }
    let doc = Printer::new(Some(source), &parsed.comments).query(&parsed.query);
    let text = layout::print(&doc, WIDTH);
    Ok(text.trim().to_string() + "\n")
}

/// Formats the query of an `.eql` file and leaves its front matter as it is. `None` for other files: their form belongs to
/// others.
///
/// # Errors
/// The diagnostics, if the front matter or the query has errors.
pub fn format_file(path: &str, text: &str, asked: Option<Dialect>) -> Result<Option<String>, Vec<Diagnostic>> {
    let file = load_file(path, text);
    let rule = match file.loaded {
        Loaded::Rule(rule) if rule.form == FileForm::Eql => rule,
        Loaded::Failed => return Err(file.diagnostics),
        _ => return Ok(None),
    };
    if has_errors(&file.diagnostics) {
        return Err(file.diagnostics);
    }
    let front = text.get(..text.len() - rule.query.len()).unwrap_or("");
    let query = format_source(&rule.query, rule.dialect_or(asked))?;
    Ok(Some(format!("{front}{query}")))
}
