//! The formatter: one way to write a query.
//!
//! In: a query's text, or a tree. Out: text that parses to the same tree, with every comment kept, 120 columns wide where
//! possible. Formatting what was formatted changes nothing. A text with syntax errors is not touched.

mod comments;
mod layout;
mod printer;
mod toml_string;

use crate::diagnostics::{Diagnostic, has_errors};
use crate::rules::{FileForm, Loaded, load_file};
use crate::syntax::{Dialect, Query, parse};
use printer::Printer;
use toml_string::Literal;

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
    format_wide(source, dialect, WIDTH)
}

fn format_wide(source: &str, dialect: Dialect, width: usize) -> Result<String, Vec<Diagnostic>> {
    let parsed = parse(source, dialect);
    if has_errors(&parsed.diagnostics) {
        return Err(parsed.diagnostics);
    }
    let doc = Printer::new(Some(source), &parsed.comments).query(&parsed.query);
    let text = layout::print(&doc, width);
    Ok(text.trim().to_string() + "\n")
}

/// What came of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormattedFile {
    /// The file with its query in the one form; the same text when it was so already.
    Text(String),
    /// The query cannot be written in the quotes that it stands in, so the file is left as it is.
    Left {
        /// The quotes, such as `"`.
        quotes: &'static str,
    },
    /// Not an EQL rule.
    Skipped,
}

/// Formats the query of a rule file, in whichever of the three forms, and leaves every byte around it as it is.
///
/// ```
/// use eqlc::format::{FormattedFile, format_rule_file};
///
/// let file = "[rule]\nid = \"a\"  # kept\nquery = '''\nany   where true\n'''\n";
/// let tidy = "[rule]\nid = \"a\"  # kept\nquery = '''\nany where true\n'''\n";
/// assert_eq!(format_rule_file("a.toml", file, None), Ok(FormattedFile::Text(tidy.to_owned())));
/// ```
///
/// # Errors
/// The diagnostics, if the file around the query or the query itself has errors.
pub fn format_rule_file(path: &str, text: &str, asked: Option<Dialect>) -> Result<FormattedFile, Vec<Diagnostic>> {
    let file = load_file(path, text);
    let rule = match file.loaded {
        Loaded::Rule(rule) => rule,
        Loaded::Failed => return Err(file.diagnostics),
        Loaded::Skipped { .. } => return Ok(FormattedFile::Skipped),
    };
    if has_errors(&file.diagnostics) {
        return Err(file.diagnostics);
    }
    let dialect = rule.dialect_or(asked);
    if rule.form == FileForm::Eql {
        let front = text.get(..text.len() - rule.query.len()).unwrap_or("");
        return Ok(FormattedFile::Text(format!("{front}{}", format_source(&rule.query, dialect)?)));
    }
    let Some(literal) = Literal::find(text) else { return Ok(FormattedFile::Skipped) };
    let query = if literal.one_line(&rule.query) {
        one_line(&rule.query, dialect)?
    } else {
        format_source(&rule.query, dialect)?
    };
    if query.trim_end() == rule.query.trim_end() && rule.query.lines().count() == query.lines().count() {
        return Ok(FormattedFile::Text(text.to_owned()));
    }
    Ok(match literal.replaced(path, &rule.query, &query) {
        Some(file) => FormattedFile::Text(file),
        None => FormattedFile::Left { quotes: literal.quotes().text() },
    })
}

/// A query that stands on one line, formatted and on one line still. Line ends are blanks: no string holds one.
fn one_line(source: &str, dialect: Dialect) -> Result<String, Vec<Diagnostic>> {
    let text = format_wide(source, dialect, usize::MAX)?;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Ok(lines.join(" "))
}

/// Formats the query of a rule file. `None` where there is none, and where the query cannot be written in its quotes; see
/// [`format_rule_file`].
///
/// # Errors
/// The diagnostics, if the file around the query or the query itself has errors.
pub fn format_file(path: &str, text: &str, asked: Option<Dialect>) -> Result<Option<String>, Vec<Diagnostic>> {
    Ok(match format_rule_file(path, text, asked)? {
        FormattedFile::Text(text) => Some(text),
        FormattedFile::Left { .. } | FormattedFile::Skipped => None,
    })
}
