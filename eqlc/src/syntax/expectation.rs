//! Words for "expected this, found that".
//!
//! In: the terminals that the parser could have used and the token it met. Out: a short list of groups rather than thirty
//! terminals, and help for the commonest reasons.

use super::Span;
use super::errors::UnexpectedToken;
use super::token::{Keyword, SpannedToken, Symbol, Token};

/// The report for the token at `place` (the end of the text, if there is none).
pub(super) fn report(
    place: Option<(Span, Token)>,
    expected: &[String],
    tokens: &[SpannedToken],
    source: &str,
) -> UnexpectedToken {
    let names: Vec<&str> = expected.iter().map(|name| name.trim_matches('"')).collect();
    let start = place.as_ref().map_or(source.len(), |(span, _)| span.start);
    let index = tokens.partition_point(|token| token.span.start < start);
    let previous = index.checked_sub(1).and_then(|index| tokens.get(index));
    let span = match (&place, previous) {
        (Some((span, _)), _) => *span,
        // The end of the text is shown behind its last token, not behind blanks and comments.
        (None, Some(last)) => Span::new(last.span.end, last.span.end),
        (None, None) => Span::new(source.len(), source.len()),
    };
    let found = match &place {
        Some((span, token)) if span.start == span.end => describe(token),
        Some((span, _)) => format!("`{}`", shown(span.text(source))),
        None => "the end of the query".to_string(),
    };
    let token = place.as_ref().map(|(_, token)| token);
    let (help, insertion) = advice(previous.map(|previous| &previous.token), token, &names);
    let fix = insertion.zip(previous).map(|(text, previous)| (Span::new(previous.span.end, previous.span.end), text));
    UnexpectedToken { span, found, expected: groups(&names), help, fix }
}

fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(40).collect();
    if shown.len() < text.len() {
        shown.push_str("..");
    }
    shown
}

fn describe(token: &Token) -> String {
    match token {
        Token::Symbol(symbol) => format!("`{}`", symbol.text()),
        Token::Keyword(keyword) => format!("`{}`", keyword.text()),
        _ => "the end of this part".to_string(),
    }
}

/// The terminals in groups.
fn groups(names: &[&str]) -> String {
    let has = |name: &str| names.contains(&name);
    let mut groups: Vec<String> = Vec::new();
    let mut used: Vec<&str> = Vec::new();
    if has("a string") && has("(") {
        groups.push("an expression".to_string());
        used.extend(["a name", "a quoted name", "a function", "a variable", "an integer", "a number", "a string"]);
        used.extend(["a raw string", "(", "-", "+", "?", "not", "null", "true", "false"]);
    } else if has("any") && has("a string") {
        groups.push("an event category".to_string());
        used.extend(["any", "a name", "a quoted name", "a string", "a raw string"]);
    } else if has("a name") {
        groups.push(if has("?") { "a field" } else { "a name" }.to_string());
        used.extend(["a name", "a quoted name", "?"]);
    } else if has("an integer") {
        groups.push("a whole number".to_string());
        used.extend(["an integer", "a number", "-"]);
    }
    if has("==") || has("and") {
        if has("==") || has(":") {
            groups.push("an operator".to_string());
        }
        used.extend(["==", "!=", "<", "<=", ">", ">=", ":", "in", "in~", "like", "like~", "regex", "regex~", "not"]);
        used.extend(["+", "-", "*", "/", "%", ".", "an index", "of", "("]);
    }
    if has("[") && has("![") {
        groups.push("`[`".to_string());
        used.extend(["[", "!["]);
    }
    for name in names.iter().filter(|name| !used.contains(name)) {
        groups.push(if name.starts_with("a ") || name.starts_with("an ") {
            (*name).to_string()
        } else {
            format!("`{name}`")
        });
    }
    match groups.split_last() {
        None => "the end of the query".to_string(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// Help for common mistakes, and a text to put in behind the token before.
fn advice(previous: Option<&Token>, token: Option<&Token>, names: &[&str]) -> (Option<String>, Option<String>) {
    let has = |name: &str| names.contains(&name);
    let string = |token: Option<&Token>| matches!(token, Some(Token::String(_) | Token::RawString(_)));
    let help = |text: &str| Some(text.to_string());
    let starts = token.is_some_and(|token| token.starts_operand() || token.is_word(Keyword::Not));
    let ended = previous.is_some_and(Token::ends_operand);
    if has(",") && string(previous) && string(token) {
        return (help("put a comma between the values"), help(","));
    }
    if has("and") && ended && starts {
        return (help("join conditions with `and` or `or`"), None);
    }
    if previous.is_some_and(|token| token.is_word(Keyword::In) || token.is_word(Keyword::InFold)) && has("(") {
        return (help("`in` takes a list: `x in (\"a\", \"b\")`"), None);
    }
    if token.is_some_and(|token| token.is_word(Keyword::Not)) && previous.is_some_and(Token::is_comparison) {
        return (help("put `not` before the whole comparison: `not x == y`"), None);
    }
    if token.is_some_and(|token| token.is(Symbol::OpenParen)) && matches!(previous, Some(Token::QuotedName(_))) {
        return (help("the name of a function is written without backticks"), None);
    }
    if has("[") && has("![") && starts {
        return (help("a term is written in brackets: `[category where condition]`"), None);
    }
    (None, None)
}
