//! The query inside a TOML file: found, and written again in the quotes that it stands in.
//!
//! In: the text of a rule file in one of the public forms, and the query as it is to be. Out: the file's text with that
//! query. All other bytes stay. What the quotes cannot hold is refused: the caller leaves the file as it is.
//!
//! ```text
//! query = '''            query = "process where process.name == \"sh\""
//! process where ..       one line: what the formatter sets on lines of their own is put behind each other
//! '''
//! ```

use toml::de::DeTable;

use crate::rules::{Loaded, load_file};
use crate::syntax::Span;

/// How a TOML string is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quotes {
    mark: &'static str,
}

impl Quotes {
    const ALL: [Quotes; 4] =
        [Quotes { mark: "'''" }, Quotes { mark: "\"\"\"" }, Quotes { mark: "'" }, Quotes { mark: "\"" }];

    /// The quotes that a literal starts with.
    fn of(literal: &str) -> Option<Quotes> {
        Quotes::ALL
            .into_iter()
            .find(|quotes| literal.starts_with(quotes.mark) && literal.len() >= 2 * quotes.mark.len())
    }

    /// As messages call them.
    pub(super) fn text(self) -> &'static str {
        self.mark
    }

    fn many_lines(self) -> bool {
        self.mark.len() == 3
    }

    fn escapes(self) -> bool {
        self.mark.starts_with('"')
    }
}

/// The query's literal in a rule file.
pub(super) struct Literal<'f> {
    file: &'f str,
    span: Span,
    quotes: Quotes,
}

impl<'f> Literal<'f> {
    /// Finds `query` in `[rule]`.
    pub(super) fn find(file: &'f str) -> Option<Literal<'f>> {
        let table = DeTable::parse(file).ok()?;
        let range = table.get_ref().get("rule")?.get_ref().as_table()?.get("query")?.span();
        let span = Span::new(range.start, range.end);
        let quotes = Quotes::of(span.text(file))?;
        Some(Literal { file, span, quotes })
    }

    /// How it is quoted.
    pub(super) fn quotes(&self) -> Quotes {
        self.quotes
    }

    /// Whether the query has to stay on one line: it stands on one, in quotes that hold no more.
    pub(super) fn one_line(&self, query: &str) -> bool {
        !self.quotes.many_lines() && !query.trim().contains('\n')
    }

    /// The file with another query, of which `path` tells the form; `None` when these quotes cannot hold it.
    pub(super) fn replaced(&self, path: &str, before: &str, query: &str) -> Option<String> {
        let body = self.span.text(self.file);
        let mark = self.quotes.mark;
        let inner = body.get(mark.len()..body.len() - mark.len())?;
        let crlf = inner.contains("\r\n");
        // Behind the opening quotes a line end does not count; it stays, and so does the one before the closing quotes.
        let opening =
            ["\r\n", "\n"].into_iter().find(|end| self.quotes.many_lines() && inner.starts_with(end)).unwrap_or("");
        let closed_on_own_line = before.trim_end_matches([' ', '\t']).ends_with('\n');
        let query = if closed_on_own_line { format!("{}\n", query.trim_end()) } else { query.trim_end().to_owned() };
        let written = if self.quotes.escapes() { escaped(&query, self.quotes.many_lines()) } else { query.clone() };
        let written = if crlf { written.replace('\n', "\r\n") } else { written };
        let start = self.file.get(..self.span.start)?;
        let rest = self.file.get(self.span.end..)?;
        let file = format!("{start}{mark}{opening}{written}{mark}{rest}");
        // The reader has the last word on what the quotes hold.
        match load_file(path, &file).loaded {
            Loaded::Rule(rule) if rule.query.replace("\r\n", "\n") == query => Some(file),
            _ => None,
        }
    }
}

/// The text as it stands between double quotes. Between three of them, line ends stand for themselves, and so does a quote
/// that is neither one of three nor the last.
fn escaped(text: &str, many_lines: bool) -> String {
    let mut written = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if next == '"' && many_lines {
            let run = rest.len() - rest.trim_start_matches('"').len();
            let plain = run <= 2 && run < rest.len();
            written.push_str(&(if plain { "\"" } else { "\\\"" }).repeat(run));
            rest = rest.get(run..).unwrap_or("");
            continue;
        }
        match next {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\n' if many_lines => written.push('\n'),
            '\n' => written.push_str("\\n"),
            '\t' => written.push_str("\\t"),
            '\r' => written.push_str("\\r"),
            control if control.is_control() => written.push_str(&format!("\\u{:04X}", u32::from(control))),
            other => written.push(other),
        }
        rest = rest.get(next.len_utf8()..).unwrap_or("");
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_escaped_where_they_must_be() {
        for (text, many_lines, expected) in [
            ("a \"b\" c", true, "a \"b\" c"),
            ("a \"b\"", true, "a \"b\\\""),
            ("a \"\"\"b\"\"\" c", true, "a \\\"\\\"\\\"b\\\"\\\"\\\" c"),
            ("a \"\" c\n", true, "a \"\" c\n"),
            ("a \"b\\n\"\n", false, "a \\\"b\\\\n\\\"\\n"),
        ] {
            assert_eq!(escaped(text, many_lines), expected, "{text}");
        }
    }
}
