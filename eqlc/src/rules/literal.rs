//! How the value of a TOML string maps to the bytes it was written with.
//!
//! In: the literal as it stands in the file. Out: a map from the value's bytes to the file's.

use crate::diagnostics::QueryMap;

/// The map for a literal that stands at byte `offset` of the file. Where the literal is not understood, the whole value
/// maps to its start.
pub(super) fn map(literal: &str, value: &str, offset: usize) -> QueryMap {
    let (quote, escaped) = match literal {
        _ if literal.starts_with("'''") => (3, false),
        _ if literal.starts_with("\"\"\"") => (3, true),
        _ => (1, literal.starts_with('"')),
    };
    let body = literal.get(quote..literal.len().saturating_sub(quote)).unwrap_or("");
    // A line end right behind the opening quotes does not belong to the value.
    let skipped = match body {
        _ if quote == 3 && body.starts_with('\n') => 1,
        _ if quote == 3 && body.starts_with("\r\n") => 2,
        _ => 0,
    };
    let start = quote + skipped;
    let body = body.get(skipped..).unwrap_or("");
    if body == value {
        return QueryMap::pieces(vec![(0, offset + start)], escaped);
    }
    pieces(body, value, offset + start, escaped).unwrap_or_else(|| QueryMap::pieces(vec![(0, offset)], escaped))
}

fn pieces(body: &str, value: &str, offset: usize, escaped: bool) -> Option<QueryMap> {
    let mut entries = vec![(0, offset)];
    let (mut from, mut to) = (0, 0);
    while from < body.len() {
        let rest = body.get(from..)?;
        let next = rest.chars().next()?;
        let (taken, made) = if escaped && next == '\\' {
            escape(rest)?
        } else if rest.starts_with("\r\n") && value.get(to..)?.starts_with('\n') {
            (2, 1)
        } else {
            (next.len_utf8(), next.len_utf8())
        };
        from += taken;
        to += made;
        if taken != made {
            entries.push((to, offset + from));
        }
    }
    (to == value.len()).then(|| QueryMap::pieces(entries, escaped))
}

/// The length of the escape that the text starts with, and of what it stands for.
fn escape(text: &str) -> Option<(usize, usize)> {
    let digits = match text.as_bytes().get(1)? {
        b'x' => 2,
        b'u' => 4,
        b'U' => 8,
        b' ' | b'\t' | b'\r' | b'\n' => {
            let body = text.get(1..)?;
            return Some((1 + body.len() - body.trim_start().len(), 0));
        }
        _ => return Some((2, 1)),
    };
    let code = u32::from_str_radix(text.get(2..2 + digits)?, 16).ok()?;
    Some((2 + digits, char::from_u32(code)?.len_utf8()))
}
