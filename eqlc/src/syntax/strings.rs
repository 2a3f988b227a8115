//! The text of strings: escapes resolved, and written again.
//!
//! In: what stands between the quotes, or a value. Out: the value, or a literal that means it.

use super::Span;
use super::errors::UnknownEscape;
use super::sink::Sink;

/// The value of the text between two quotes that starts at byte `start`. Unknown escapes are reported, where a sink is
/// given, and stand for themselves.
pub(crate) fn unescape(text: &str, start: usize, mut sink: Option<&mut Sink>) -> String {
    let mut value = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(index) = rest.find('\\') {
        let (plain, escape) = rest.split_at(index);
        value.push_str(plain);
        let (length, result) = read_escape(escape);
        let written = escape.get(..length).unwrap_or(escape);
        match result {
            Ok(character) => value.push(character),
            Err(reason) => {
                value.push_str(written);
                if let Some(sink) = sink.as_deref_mut() {
                    let at = start + text.len() - escape.len();
                    let span = Span::new(at, at + written.len());
                    sink.push(UnknownEscape { span, text: written.to_string(), reason });
                }
            }
        }
        rest = escape.get(length..).unwrap_or("");
    }
    value.push_str(rest);
    value
}

/// The length of the escape that `text` starts with and what it stands for, or why it stands for nothing.
fn read_escape(text: &str) -> (usize, Result<char, &'static str>) {
    let Some(character) = text.chars().nth(1) else {
        return (text.len(), Err("expected a character behind the backslash"));
    };
    let value = match character {
        'b' => '\u{8}',
        't' => '\t',
        'n' => '\n',
        'f' => '\u{c}',
        'r' => '\r',
        '"' | '\'' | '\\' => character,
        'u' => return read_unicode(text),
        _ => return (1 + character.len_utf8(), Err("no such escape")),
    };
    (2, Ok(value))
}

fn read_unicode(text: &str) -> (usize, Result<char, &'static str>) {
    let shape = "expected `\\u{`, 2 to 8 hexadecimal digits and `}`";
    let Some(body) = text.strip_prefix("\\u{") else { return (2, Err(shape)) };
    let digits: &str = body.split(|character: char| !character.is_ascii_hexdigit()).next().unwrap_or("");
    let closed = body.get(digits.len()..).is_some_and(|rest| rest.starts_with('}'));
    let length = 3 + digits.len() + usize::from(closed);
    if !closed || !(2..=8).contains(&digits.len()) {
        return (length, Err(shape));
    }
    match u32::from_str_radix(digits, 16).ok().and_then(char::from_u32) {
        Some(character) => (length, Ok(character)),
        None => (length, Err("not a Unicode character")),
    }
}

/// The value as a string literal with escapes.
pub(crate) fn escape(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for character in value.chars() {
        match character {
            '\u{8}' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\u{c}' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            control if control.is_control() => text.push_str(&format!("\\u{{{:02x}}}", u32::from(control))),
            other => text.push(other),
        }
    }
    text.push('"');
    text
}

/// The value as a raw string literal, or with escapes where it cannot be one.
pub(crate) fn raw(value: &str) -> String {
    let quotes_at_end = value.len() - value.trim_end_matches('"').len();
    let inner = value.get(..value.len() - quotes_at_end).unwrap_or("");
    let possible = !value.contains(['\n', '\r']) && !inner.contains("\"\"\"") && quotes_at_end <= 2;
    if possible { format!("\"\"\"{value}\"\"\"") } else { escape(value) }
}
